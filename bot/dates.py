"""Pure: what people type for a date -> the span of time that they mean."""

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

MOST_WORDS = 3
"""The longest way to name a date: `2 days ago`, `5 march 2026`."""
EXAMPLES = "2026-10-01, friday, yesterday, last week, 2 days ago or march 2026"
_FIRST_YEAR, _LAST_YEAR = 1970, 2999

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_SHORTEST_NAME = 3
_SECONDS = {"minute": 60, "hour": 3600}
_UNITS = {"min": "minute", "h": "hour", "d": "day", "w": "week", "m": "month", "y": "year"}


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` on, up to but without `end`; both in UTC."""

    start: datetime
    end: datetime


def span(words: str, now: datetime) -> Span | None:
    """What `words` mean to somebody whose clock shows `now` (aware, in their zone); None if nothing.

    A weekday is the last one before today; a month without its year is the last one that has begun.
    """
    tidy = " ".join(words.lower().replace(",", " ").split())
    for pattern, meaning in _MEANINGS:
        match = pattern.fullmatch(tidy)
        if match:
            with contextlib.suppress(ValueError, OverflowError):  # not a day of the calendar, or not this way
                return meaning(match, now)
    return None


def _days(first: date, end: date, now: datetime) -> Span:
    for day in (first, end):
        if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
            raise ValueError("out of the calendar's reach")
    return Span(*(datetime.combine(day, time(), now.tzinfo).astimezone(UTC) for day in (first, end)))


def _one_day(day: date, now: datetime) -> Span:
    return _days(day, day + timedelta(days=1), now)


def _month(year: int, month: int, now: datetime) -> Span:
    return _days(date(year, month, 1), _first_of_month(year, month + 1), now)


def _first_of_month(year: int, month: int) -> date:
    """The first day of a month that may be counted past either end of the year."""
    years, index = divmod(month - 1, 12)
    return date(year + years, index + 1, 1)


def _iso_day(m: re.Match[str], now: datetime) -> Span:
    return _one_day(date(int(m[1]), int(m[2]), int(m[3])), now)


def _dotted_day(m: re.Match[str], now: datetime) -> Span:
    return _one_day(date(int(m[3]), int(m[2]), int(m[1])), now)


def _iso_moment(m: re.Match[str], now: datetime) -> Span:
    moment = datetime.fromisoformat(m[0].replace(" ", "T").upper())
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise ValueError("out of the calendar's reach")
    start = (moment if moment.tzinfo else moment.replace(tzinfo=now.tzinfo)).astimezone(UTC)
    return Span(start, start + timedelta(minutes=1))


def _iso_month(m: re.Match[str], now: datetime) -> Span:
    return _month(int(m[1]), int(m[2]), now)


def _year(m: re.Match[str], now: datetime) -> Span:
    return _days(date(int(m[1]), 1, 1), date(int(m[1]) + 1, 1, 1), now)


def _near_day(m: re.Match[str], now: datetime) -> Span:
    return _one_day(now.date() - timedelta(days=1 if m[1] == "yesterday" else 0), now)


def _weekday(m: re.Match[str], now: datetime) -> Span:
    back = (now.weekday() - _named(m[1], _DAYS) - 1) % 7 + 1
    return _one_day(now.date() - timedelta(days=back), now)


def _this_or_last(m: re.Match[str], now: datetime) -> Span:
    back = 1 if m[1] == "last" else 0
    today = now.date()
    match m[2]:
        case "week":
            monday = today - timedelta(days=today.weekday() + 7 * back)
            return _days(monday, monday + timedelta(days=7), now)
        case "month":
            first = _first_of_month(today.year, today.month - back)
            return _month(first.year, first.month, now)
        case _:
            return _days(date(today.year - back, 1, 1), date(today.year - back + 1, 1, 1), now)


def _ago(m: re.Match[str], now: datetime) -> Span:
    many = 1 if m[1] in {"a", "an", "one"} else int(m[1])
    unit = _UNITS.get(m[2], m[2])
    if unit in _SECONDS:
        start = (now - timedelta(seconds=many * _SECONDS[unit])).astimezone(UTC)
        return Span(start, now.astimezone(UTC))
    if unit in {"month", "year"}:
        return _one_day(_months_before(now.date(), many * (12 if unit == "year" else 1)), now)
    return _one_day(now.date() - timedelta(days=many * (7 if unit == "week" else 1)), now)


def _months_before(day: date, many: int) -> date:
    """The same day `many` months ago, or the last one of a shorter month."""
    first = _first_of_month(day.year, day.month - many)
    last = _first_of_month(day.year, day.month - many + 1) - timedelta(days=1)
    return first.replace(day=min(day.day, last.day))


def _month_by_name(m: re.Match[str], now: datetime) -> Span:
    month = _named(m["month"], _MONTHS)
    year = int(m["year"]) if m["year"] else now.year
    day = m["day"] or m["day_after"]
    if day:
        found = date(year, month + 1, int(day))
        return _one_day(found if m["year"] or found <= now.date() else found.replace(year=year - 1), now)
    return _month(year if m["year"] or month + 1 <= now.month else year - 1, month + 1, now)


def _named(name: str, names: tuple[str, ...]) -> int:
    """The index of the name that begins with `name`; raises ValueError if there is none."""
    if len(name) >= _SHORTEST_NAME:
        for index, whole in enumerate(names):
            if whole.startswith(name):
                return index
    raise ValueError(name)


_NAMED_DAY = "|".join(f"{day[:3]}[a-z]*" for day in _DAYS)
_NAMED_MONTH = "|".join(f"{month[:3]}[a-z]*" for month in _MONTHS)
_UNIT_NAMES = r"(minute|hour|day|week|month|year)s?"
_MEANINGS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], datetime], Span]], ...] = tuple(
    (re.compile(pattern, re.ASCII), meaning)
    for pattern, meaning in (
        (r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})", _iso_day),
        (r"(\d{1,2})\.(\d{1,2})\.(\d{4})", _dotted_day),
        (r"\d{4}-\d\d-\d\d[t ]\d\d:\d\d(:\d\d)?(z|[+-]\d\d:\d\d)?", _iso_moment),
        (r"(\d{4})-(\d{1,2})", _iso_month),
        (r"(\d{4})", _year),
        (r"(today|yesterday)", _near_day),
        (rf"(?:last )?({_NAMED_DAY})", _weekday),
        (r"(this|last) (week|month|year)", _this_or_last),
        (rf"(\d{{1,4}}|an?|one) {_UNIT_NAMES} ago", _ago),
        (r"(\d{1,4})(min|h|d|w|m|y)", _ago),
        (
            rf"(?:(?P<day>\d{{1,2}})(?:st|nd|rd|th)? )?(?P<month>{_NAMED_MONTH})"
            r"(?: (?P<day_after>\d{1,2})(?:st|nd|rd|th)?)?(?: (?P<year>\d{4}))?",
            _month_by_name,
        ),
    )
)
