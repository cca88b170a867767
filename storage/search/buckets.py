"""Searching the buckets: the newest first, a page of them at a time, their messages as bits of integers."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa

from storage.prepared import Prepared
from storage.search.among import among_hashed, among_named
from storage.search.checks import Checks, in_time, times
from storage.search.clauses import Way
from storage.search.index import microseconds
from storage.search.places import numbers_of
from storage.search.slots import EVERY, SLOTS, UNSIFTED, bits_of, highest_first, slots_at, told_of
from storage.search.wanted import ENOUGH_MESSAGES, Candidate, Catch, Wanted
from storage.search_tables import search_buckets, search_docs, search_terms

_FIRST_BUCKETS = 16
_MOST_BUCKETS = 128
_BEYOND_BUCKETS = 2**50
"""Greater than any number of a bucket."""
_BEYOND_US = 2**62
_FIRST_AT_ONCE = 300
_MOST_AT_ONCE = 1_000
"""Messages that are looked at together."""
_FITTING_AT_ONCE = 2_000
"""Messages with all terms whose places are read together."""
_FEW = 8
"""Of so few messages of a bucket each one's own row tells where it was said; of more, the bucket's does,
unless the terms told it already."""


@dataclass(frozen=True, slots=True)
class _Bucket:
    """One bucket's messages that have all terms, as bits; see `UNSIFTED`."""

    number: int
    fitting: int
    by_way: Mapping[tuple[int, int], int]
    """By the numbers of a clause and of a way of it."""


def search_sealed(c: sa.Connection, wanted: Wanted, catch: Catch) -> None:
    """Add to `catch` what fits in the buckets, newest first, until there is enough."""
    clauses = _known_clauses(c, wanted)
    numbers = numbers_of(c, wanted.places) if clauses is not None else frozenset()
    if clauses is None or not numbers:
        return
    checks = Checks(wanted)
    at_once = _FIRST_AT_ONCE
    for buckets in _pages(c, wanted, clauses, told_of(numbers), catch):
        by_number = {bucket.number: bucket for bucket in buckets if bucket.fitting & EVERY}
        spots = _spots(c, by_number, numbers)
        while some := list(itertools.islice(spots, at_once)):
            if catch.enough():
                catch.whole = False
                return
            _look_at(c, some, wanted, numbers, checks, by_number, catch)
        at_once = _MOST_AT_ONCE


@dataclass(frozen=True, slots=True)
class _Known:
    """The clauses as far as the index knows their terms, and the one that is rarest."""

    clauses: tuple[tuple[tuple[int, Way], ...], ...]
    """For each clause, its ways that may fit, by number."""
    drivers: frozenset[str]
    """Every message that fits has one of these terms; empty: any message may fit."""


def _known_clauses(c: sa.Connection, wanted: Wanted) -> _Known | None:
    """None when some clause has no term in any bucket."""
    asked = [[way.sealed_terms for way in clause.ways] for clause in wanted.clauses]
    asked += [[frozenset((author,)) for author in sorted(wanted.authors)]] if wanted.authors else []
    asked += [[frozenset((trait,))] for trait in sorted(wanted.traits)]
    terms_asked = {term for ways in asked for terms in ways for term in terms}
    counts = counts_of(c, terms_asked) if len(terms_asked) > 1 else dict.fromkeys(terms_asked, 1)
    driver: tuple[int, frozenset[str]] | None = None
    for ways in asked:
        rarest = [min(terms, key=lambda t: (counts.get(t, 0), t)) for terms in ways]
        rarest = [term for term in rarest if counts.get(term, 0)]
        if not rarest:
            return None
        cost = sum(counts[term] for term in rarest)
        if driver is None or cost < driver[0]:
            driver = (cost, frozenset(rarest))
    known = tuple(
        tuple((n, way) for n, way in enumerate(clause.ways) if all(map(counts.get, way.sealed_terms)))
        for clause in wanted.clauses
    )
    return _Known(known, driver[1] if driver else frozenset())


def counts_of(c: sa.Connection, terms: Iterable[str]) -> dict[str, int]:
    """In how many buckets each term is; those in none are left out."""
    return {row.term: row.buckets for row in _COUNTS.all(c, {"terms": sorted(terms)})}


_held, _shown, _doc = search_terms.c, search_buckets.c, search_docs.c
_COUNTS: Final = Prepared(
    lambda dialect: (
        sa.select(_held.term, sa.func.count().label("buckets"))
        .where(among_named(dialect, _held.term, "terms"))
        .group_by(_held.term)
    )
)
_PLACES: Final = Prepared(
    lambda dialect: sa.select(_shown.bucket, _shown.places).where(
        among_named(dialect, _shown.bucket, "buckets")
    )
)


@lru_cache
def _held_in(drivers: int) -> Prepared:
    """What the next buckets hold of some terms: those buckets with one of the drivers, or all for none."""

    def build(dialect: str) -> sa.Executable:
        page = _page(dialect, drivers).subquery("page")
        asked = sa.and_(_held.bucket == page.c.bucket, among_named(dialect, _held.term, "terms"))
        return sa.select(page.c.bucket, _held.term, _held.slots).join_from(
            page, search_terms, asked, isouter=not drivers
        )

    return Prepared(build)


def _page(dialect: str, drivers: int) -> sa.Select[int]:
    """Numbers of some of the buckets that searches may look into, newest first."""
    driving = search_terms.alias("driving")
    number = driving.c.bucket if drivers else _shown.bucket
    page = sa.select(number).where(
        number > sa.bindparam("above", type_=sa.BigInteger),
        number <= sa.bindparam("upto", type_=sa.BigInteger),
        _shown.oldest_us < sa.bindparam("before", type_=sa.BigInteger),
    )
    if drivers:
        page = page.join_from(search_buckets, driving, driving.c.bucket == _shown.bucket)
    if drivers == 1:
        page = page.where(driving.c.term == sa.bindparam("driver", type_=_held.term.type))
    elif drivers:
        page = page.where(among_named(dialect, driving.c.term, "drivers")).distinct()
    return page.order_by(number.desc()).limit(sa.bindparam("most", type_=sa.Integer))


@lru_cache
def _docs(checks: int, after: bool, before: bool, in_session: bool) -> Prepared:
    """The messages at some spots that were said at some places, with what `checks` strings tell."""

    def build(dialect: str) -> sa.Executable:
        columns = (_doc.session_id, _doc.position, _doc.sent_us, _doc.spot)
        query = sa.select(*columns, *Checks.columns(_doc.stream, checks)).where(
            among_named(dialect, _doc.spot, "spots"),
            among_hashed(dialect, _doc.place, "places"),
            *in_time(_doc.sent_us, after=after, before=before),
        )
        return query.where(_doc.session_id == sa.bindparam("session")) if in_session else query

    return Prepared(build)


def _pages(
    c: sa.Connection, wanted: Wanted, known: _Known, told: frozenset[int], catch: Catch
) -> Iterator[list[_Bucket]]:
    """The buckets in which something may fit, newest first, as many at a time as are likely to be needed."""
    excluded = [way.terms for clause in wanted.without for way in clause.ways if not way.pattern]
    terms = {term for ways in known.clauses for _, way in ways for term in way.sealed_terms}
    terms = terms.union(wanted.authors, wanted.traits, *excluded)
    upto, size, seen = _BEYOND_BUCKETS, _FIRST_BUCKETS, 0
    while True:
        rows = _next_rows(c, wanted, known, terms, upto, size)
        bits: dict[int, dict[str, int]] = {}
        for number, term, slots in rows:
            held = bits.setdefault(number, {})
            if term is not None:
                held[term] = bits_of(slots, told)
        numbers = sorted(bits, reverse=True)
        yield [_match(bits[number], known, wanted, excluded, number) for number in numbers]
        seen += len(numbers)
        if len(numbers) < size:
            return
        upto, size = numbers[-1] - 1, _next_size(seen, len(catch.by_place))


def _next_size(seen: int, found: int) -> int:
    """How many more buckets are likely to give enough, if so many gave what was found."""
    needed = math.ceil(max(ENOUGH_MESSAGES - found, 0) * seen / found) if found else _MOST_BUCKETS
    return min(max(needed, _FIRST_BUCKETS), _MOST_BUCKETS)


def _next_rows(
    c: sa.Connection, wanted: Wanted, known: _Known, terms: Iterable[str], upto: int, size: int
) -> list[Any]:
    """For the next `size` buckets and each term that they hold: number, term, slots."""
    values = {
        "above": microseconds(wanted.after) // 1000 if wanted.after is not None else -_BEYOND_BUCKETS,
        "upto": upto,
        "before": microseconds(wanted.before) if wanted.before is not None else _BEYOND_US,
        "most": size,
    }
    drivers = sorted(known.drivers)
    driven = {"driver": drivers[0]} if len(drivers) == 1 else {"drivers": drivers}
    return _held_in(min(len(drivers), 2)).all(c, {**values, **driven, "terms": sorted(terms)})


def _match(
    bits: Mapping[str, int],
    known: _Known,
    wanted: Wanted,
    excluded: Sequence[frozenset[str]],
    number: int,
) -> _Bucket:
    fitting = EVERY | UNSIFTED
    by_way = {}
    for clause, ways in enumerate(known.clauses):
        of_clause = 0
        for n, way in ways:
            by_way[clause, n] = _all_of(bits, way.sealed_terms)
            of_clause |= by_way[clause, n]
        fitting &= of_clause
    for trait in wanted.traits:
        fitting &= bits.get(trait, 0)
    if wanted.authors:
        fitting &= _any_of(bits, wanted.authors)
    for terms in excluded:
        fitting &= ~(_all_of(bits, terms) & EVERY)
    return _Bucket(number, fitting, by_way)


def _all_of(bits: Mapping[str, int], terms: Iterable[str]) -> int:
    result = EVERY | UNSIFTED
    for term in terms:
        result &= bits.get(term, 0)
    return result


def _any_of(bits: Mapping[str, int], terms: Iterable[str]) -> int:
    result = 0
    for term in terms:
        result |= bits.get(term, 0)
    return result


def _spots(c: sa.Connection, buckets: Mapping[int, _Bucket], allowed: frozenset[int]) -> Iterator[int]:
    """Where the messages are that have all terms, newest first, without many that the asker may not read."""
    for some in _groups(buckets.values()):
        many = [
            bucket.number
            for bucket in some
            if bucket.fitting & UNSIFTED and bucket.fitting.bit_count() > _FEW
        ]
        places = {row.bucket: row.places for row in _PLACES.all(c, {"buckets": many})} if many else {}
        for bucket in some:
            packed = places.get(bucket.number)
            slots = slots_at(packed, bucket.fitting, allowed) if packed else highest_first(bucket.fitting)
            yield from (bucket.number * SLOTS + slot for slot in slots)


def _groups(buckets: Iterable[_Bucket]) -> Iterator[list[_Bucket]]:
    """The buckets in their order, as many together as are soon looked through."""
    group: list[_Bucket] = []
    fitting = 0
    for bucket in buckets:
        group.append(bucket)
        fitting += bucket.fitting.bit_count()
        if fitting >= _FITTING_AT_ONCE:
            yield group
            group, fitting = [], 0
    yield group


def _look_at(
    c: sa.Connection,
    spots: Sequence[int],
    wanted: Wanted,
    places: frozenset[int],
    checks: Checks,
    buckets: Mapping[int, _Bucket],
    catch: Catch,
) -> None:
    """Catch those of the messages at `spots` that may be read and hold the phrases too."""
    query = _docs(
        len(checks.patterns),
        wanted.after is not None,
        wanted.before is not None,
        wanted.session_id is not None,
    )
    values = {
        "spots": spots,
        "places": list(places),
        "session": wanted.session_id,
        **checks.values,
        **times(wanted),
    }
    rows = query.all(c, values)
    catch.looked_at += len(rows)
    catch.add(filter(None, (_candidate(row, checks, buckets) for row in rows)))


def _candidate(row: Any, checks: Checks, buckets: Mapping[int, _Bucket]) -> Candidate | None:
    by_way, slot = buckets[row.spot // SLOTS].by_way, row.spot % SLOTS
    return checks.candidate(row, lambda n, way: bool(by_way.get((n, way), 0) >> slot & 1))
