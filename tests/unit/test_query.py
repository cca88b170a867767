from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.query import LONGEST, Name, Query, Trait, Unclear, parse

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = timedelta(minutes=1)
HALF_PAST_12 = timedelta(hours=12, minutes=30)
NOW = datetime(2026, 11, 18, 15, 30, tzinfo=UTC)  # a Wednesday


def asked(text: str, now: datetime = NOW) -> Query:
    query = parse(text, now)
    assert isinstance(query, Query), query
    return query


def refused(text: str) -> str:
    query = parse(text, NOW)
    assert isinstance(query, Unclear), query
    return query.sentence


def day(year: int, month: int, number: int) -> datetime:
    return datetime(year, month, number, tzinfo=UTC)


def test_everything_that_can_be_asked_for_in_one_query() -> None:
    query = asked(
        'login "the page" -slow -"not this" from:@ann in:#ops after:2026-10-01 before:friday '
        "has:link has:file here"
    )
    assert query == Query(
        words=("login",),
        phrases=("the page",),
        without=("slow",),
        without_phrases=("not this",),
        people=(Name("ann"),),
        channels=(Name("ops"),),
        after=day(2026, 10, 1),
        before=day(2026, 11, 13),
        traits=frozenset(Trait),
        here=True,
    )


def test_nothing_asks_for_nothing() -> None:
    assert asked("  \x00\n ") == Query()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("from:@ann", Name("ann")),
        ("from:ann", Name("ann")),
        ("from: @ann", Name("ann")),
        ('from:"Ann Lee"', Name("Ann Lee")),
        ("from:<@U123|ann>", Name("ann", "U123")),
        ("from:<@123>", Name("", "123")),
        ("from:<@!123>", Name("", "123")),
        ("FROM:me", Name("me")),
        ("from:<@U123|Ann Lee>", Name("Ann Lee", "U123")),
    ],
)
def test_people(text: str, name: Name) -> None:
    assert asked(text).people == (name,)


@pytest.mark.parametrize(
    ("text", "name"),
    [("in:#ops", Name("ops")), ("in:ops", Name("ops")), ("in:<#C1|ops>", Name("ops", "C1"))],
)
def test_channels(text: str, name: Name) -> None:
    assert asked(text).channels == (name,)


@pytest.mark.parametrize(
    ("text", "first", "end"),
    [
        ("2026-10-01", day(2026, 10, 1), day(2026, 10, 2)),
        ("2026/10/1", day(2026, 10, 1), day(2026, 10, 2)),
        ("1.10.2026", day(2026, 10, 1), day(2026, 10, 2)),
        ("2026-02", day(2026, 2, 1), day(2026, 3, 1)),
        ("2026-12", day(2026, 12, 1), day(2027, 1, 1)),
        ("2025", day(2025, 1, 1), day(2026, 1, 1)),
        ("today", day(2026, 11, 18), day(2026, 11, 19)),
        ("yesterday", day(2026, 11, 17), day(2026, 11, 18)),
        ("friday", day(2026, 11, 13), day(2026, 11, 14)),
        ("Fri", day(2026, 11, 13), day(2026, 11, 14)),
        ("last friday", day(2026, 11, 13), day(2026, 11, 14)),
        ("wednesday", day(2026, 11, 11), day(2026, 11, 12)),
        ("tuesday", day(2026, 11, 17), day(2026, 11, 18)),
        ("this week", day(2026, 11, 16), day(2026, 11, 23)),
        ("last week", day(2026, 11, 9), day(2026, 11, 16)),
        ('"last week"', day(2026, 11, 9), day(2026, 11, 16)),
        ("last month", day(2026, 10, 1), day(2026, 11, 1)),
        ("last year", day(2025, 1, 1), day(2026, 1, 1)),
        ("2 days ago", day(2026, 11, 16), day(2026, 11, 17)),
        ("a week ago", day(2026, 11, 11), day(2026, 11, 12)),
        ("11 months ago", day(2025, 12, 18), day(2025, 12, 19)),
        ("7d", day(2026, 11, 11), day(2026, 11, 12)),
        ("2 hours ago", NOW - timedelta(hours=2), NOW),
        ("october", day(2026, 10, 1), day(2026, 11, 1)),
        ("december", day(2025, 12, 1), day(2026, 1, 1)),
        ("march 2024", day(2024, 3, 1), day(2024, 4, 1)),
        ("5 march 2026", day(2026, 3, 5), day(2026, 3, 6)),
        ("March 5th", day(2026, 3, 5), day(2026, 3, 6)),
        ("24 dec", day(2025, 12, 24), day(2025, 12, 25)),
        ("2026-10-01T12:30", day(2026, 10, 1) + HALF_PAST_12, day(2026, 10, 1) + HALF_PAST_12 + MINUTE),
        ("2026-10-01T14:30+02:00", day(2026, 10, 1) + HALF_PAST_12, day(2026, 10, 1) + HALF_PAST_12 + MINUTE),
    ],
)
def test_dates_mean_a_span_of_time(text: str, first: datetime, end: datetime) -> None:
    on, after, before = asked(f"on:{text}"), asked(f"after:{text}"), asked(f"before:{text}")
    assert (on.after, on.before) == (first, end)
    assert (after.after, after.before) == (first, None)
    assert (before.after, before.before) == (None, first)


def test_days_begin_at_the_askers_midnight() -> None:
    query = asked("on:2026-07-01", NOW.astimezone(BERLIN))
    assert query.after == datetime(2026, 6, 30, 22, tzinfo=UTC)
    assert asked("on:today", datetime(2026, 11, 18, 23, 30, tzinfo=UTC).astimezone(BERLIN)).after == datetime(
        2026, 11, 18, 23, tzinfo=UTC
    )


def test_the_words_after_a_date_are_words_again() -> None:
    query = asked("after:2 days ago login before:today page")
    assert query.words == ("login", "page")
    assert query.after == day(2026, 11, 16)


@pytest.mark.parametrize(
    "word",
    ["https://example.com/a?b=1", "std::vector", "error:", "10:30", "foo-bar", "a'b", "x:y", "(", "@ann"],
)
def test_what_only_looks_like_a_filter_is_a_word(word: str) -> None:
    assert asked(word).words == (word,)


def test_typographic_and_unclosed_quotes() -> None:
    assert asked("“a phrase” „noch eine“").phrases == ("a phrase", "noch eine")
    assert asked('word "to the end').phrases == ("to the end",)
    assert asked('"here"').phrases == ("here",)


@pytest.mark.parametrize(
    ("text", "word", "help_"),
    [
        ("login after:blursday", "after:blursday", "yesterday"),
        ("on:2026-02-30", "on:2026-02-30", "2026-10-01"),
        ("before:10/01/2026", "before:10/01/2026", "2026-10-01"),
        ("after:", "after:", "yesterday"),
        ("after:9999-12-31", "after:9999-12-31", "friday"),
        ("after:9999 years ago", "after:9999", "friday"),
        ("from:", "from:", "from:@ann"),
        ("from:#ops", "from:#ops", "from:@ann"),
        ("from:<#C1|ops>", "from:<#C1|ops>", "from:@ann"),
        ("in:@ann", "in:@ann", "in:#ops"),
        ("has:cheese", "has:cheese", "has:file"),
        ("-from:@ann", "-from:@ann", "phrases"),
        ("after:monday before:friday", "after", "before"),
        ("x " * 40, "40", "32"),
        ("x" * 10_000, "10,000", "1,000"),
    ],
)
def test_what_is_not_understood_is_named_with_what_would_work(text: str, word: str, help_: str) -> None:
    sentence = refused(text)
    assert word in sentence
    assert help_ in sentence
    assert sentence.endswith(".")


_PARTS = st.sampled_from(
    [
        *("from:", "in:", "after:", "on:", "has:", "-", '"', "“", "<@", ">", "|", "here", " ", " ", " "),
        *("2", "days", "ago", "last", "week", "friday", "feb", "29", "2026-13-45", "0000-00-00", "9999"),
        *("'; DROP TABLE messages;--", "* NEAR(", "&!|()", "\x00", "\ud800"),
    ]
)
_ZONES = st.sampled_from([UTC, BERLIN, ZoneInfo("Pacific/Kiritimati"), ZoneInfo("America/St_Johns")])
_DAYS = st.integers(400, 300_000).map(lambda days: datetime(1970, 1, 1, 23, 30, tzinfo=UTC) + timedelta(days))


@given(st.one_of(st.text(max_size=LONGEST + 50), st.lists(_PARTS, max_size=30).map("".join)), _DAYS, _ZONES)
def test_whatever_is_typed_gives_a_query_or_a_sentence(text: str, day: datetime, zone: ZoneInfo) -> None:
    result = parse(text, day.astimezone(zone))
    if isinstance(result, Unclear):
        assert result.sentence
        result.sentence.encode()
    else:
        for word in (*result.words, *result.phrases, *result.without, *result.without_phrases):
            word.encode()
            assert "\x00" not in word
        for name in (*result.people, *result.channels):
            assert name.text or name.id
