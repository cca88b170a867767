"""Searching the buckets: the newest first, a page of them at a time, their messages as bits of integers."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

import sqlalchemy as sa

from storage.prepared import Prepared, prepared
from storage.search.among import among_named
from storage.search.checks import Checks, in_time, times
from storage.search.clauses import Way
from storage.search.index import microseconds
from storage.search.places import numbers_of
from storage.search.slots import SLOTS, bits_of, slots_at
from storage.search.wanted import Candidate, Catch, Wanted
from storage.search_tables import search_buckets, search_docs, search_terms

_FIRST_BUCKETS = 4
_MOST_BUCKETS = 64
_BEYOND_BUCKETS = 2**50
"""Greater than any number of a bucket."""
_AT_ONCE = 300
"""Messages that are looked at together."""


@dataclass(frozen=True, slots=True)
class _Bucket:
    """One bucket's messages that have all terms, as bits."""

    number: int
    fitting: int
    by_way: Mapping[tuple[int, int], int]
    """By the numbers of a clause and of a way of it."""


def search_sealed(c: sa.Connection, wanted: Wanted, catch: Catch) -> None:
    """Add to `catch` what fits in the buckets, newest first, until there is enough."""
    clauses = _known_clauses(c, wanted)
    if clauses is None:
        return
    numbers = numbers_of(c, wanted.places)
    checks = Checks(wanted)
    for numbers_of_buckets in _pages(c, wanted, clauses):
        if catch.enough():
            catch.whole = False
            return
        buckets = _matched(c, clauses, wanted, numbers_of_buckets)
        by_number = {bucket.number: bucket for bucket in buckets if bucket.fitting}
        spots = _allowed_spots(c, by_number, numbers)
        while some := list(itertools.islice(spots, _AT_ONCE)):
            if catch.enough():
                catch.whole = False
                return
            catch.looked_at += len(some)
            catch.add(_checked(c, some, wanted, checks, by_number))


@dataclass(frozen=True, slots=True)
class _Known:
    """The clauses as far as the index knows their terms, and the one that is rarest."""

    clauses: tuple[tuple[tuple[int, Way], ...], ...]
    """For each clause, its ways that may fit, by number."""
    drivers: frozenset[str]
    """Every message that fits has one of these terms; empty: any message may fit."""


def _known_clauses(c: sa.Connection, wanted: Wanted) -> _Known | None:
    """None when some clause has no term in any bucket."""
    asked = [[way.terms for way in clause.ways] for clause in wanted.clauses]
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
        tuple((n, way) for n, way in enumerate(clause.ways) if all(counts.get(term) for term in way.terms))
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
_NEWEST: Final = prepared(
    sa.select(sa.func.max(_shown.bucket).label("newest")).where(
        _shown.oldest_us < sa.bindparam("before", type_=sa.BigInteger)
    )
)
_BITS: Final = Prepared(
    lambda dialect: sa.select(_held.bucket, _held.term, _held.slots).where(
        among_named(dialect, _held.term, "terms"), among_named(dialect, _held.bucket, "buckets")
    )
)
_PLACES: Final = Prepared(
    lambda dialect: (
        sa.select(_shown.bucket, _shown.places)
        .where(among_named(dialect, _shown.bucket, "buckets"))
        .order_by(_shown.bucket.desc())
    )
)


@lru_cache
def _page(drivers: int) -> Prepared:
    """Numbers of buckets between two, newest first: of those with one of the drivers, or of all."""

    def build(dialect: str) -> sa.Executable:
        number = _held.bucket if drivers else _shown.bucket
        query = sa.select(number).where(
            number > sa.bindparam("above", type_=sa.BigInteger),
            number <= sa.bindparam("upto", type_=sa.BigInteger),
        )
        if drivers == 1:
            query = query.where(_held.term == sa.bindparam("driver", type_=_held.term.type))
        elif drivers:
            query = query.where(among_named(dialect, _held.term, "drivers")).distinct()
        return query.order_by(number.desc()).limit(sa.bindparam("most", type_=sa.Integer))

    return Prepared(build)


@lru_cache
def _docs(checks: int, needs: int, after: bool, before: bool, in_session: bool) -> Prepared:
    """The messages at some spots, with what `checks` strings tell; those that hold `needs` of them."""

    def build(dialect: str) -> sa.Executable:
        columns = (_doc.session_id, _doc.position, _doc.sent_us, _doc.spot)
        query = sa.select(*columns, *Checks.columns(_doc.stream, checks)).where(
            among_named(dialect, _doc.spot, "spots"),
            *Checks.conditions(_doc.stream, needs),
            *in_time(_doc.sent_us, after=after, before=before),
        )
        return query.where(_doc.session_id == sa.bindparam("session")) if in_session else query

    return Prepared(build)


def _pages(c: sa.Connection, wanted: Wanted, known: _Known) -> Iterator[list[int]]:
    """The buckets in which something may fit, newest first, in growing pages."""
    drivers = sorted(known.drivers)
    page = _page(min(len(drivers), 2))
    values: dict[str, object] = {"driver": drivers[0]} if len(drivers) == 1 else {"drivers": drivers}
    values["above"] = microseconds(wanted.after) // 1000 if wanted.after is not None else -_BEYOND_BUCKETS
    upto = _newest_bucket(c, wanted.before)
    size = _FIRST_BUCKETS
    while True:
        rows = page.all(c, {**values, "upto": upto, "most": size})
        numbers = [row.bucket for row in rows]
        if numbers:
            yield numbers
        if len(numbers) < size:
            return
        upto, size = numbers[-1] - 1, min(size * 2, _MOST_BUCKETS)


def _newest_bucket(c: sa.Connection, before: datetime | None) -> int:
    """The newest bucket with a message from before then; -1 if there is none."""
    if before is None:
        return _BEYOND_BUCKETS
    return _NEWEST.one(c, {"before": microseconds(before)}).newest or -1


def _matched(c: sa.Connection, known: _Known, wanted: Wanted, numbers: Sequence[int]) -> list[_Bucket]:
    """What of these buckets has all terms, bucket by bucket in the order given."""
    terms = {term for ways in known.clauses for _, way in ways for term in way.terms}
    terms |= wanted.authors | wanted.traits
    excluded = [way.terms for clause in wanted.without for way in clause.ways if not way.pattern]
    terms.update(*excluded)
    bits = _bits(c, terms, numbers)
    return [_match(bits.get(number, {}), known, wanted, excluded, number) for number in numbers]


def _match(
    bits: Mapping[str, int],
    known: _Known,
    wanted: Wanted,
    excluded: Sequence[frozenset[str]],
    number: int,
) -> _Bucket:
    fitting = (1 << SLOTS) - 1
    by_way = {}
    for clause, ways in enumerate(known.clauses):
        of_clause = 0
        for n, way in ways:
            by_way[clause, n] = _all_of(bits, way.terms)
            of_clause |= by_way[clause, n]
        fitting &= of_clause
    for trait in wanted.traits:
        fitting &= bits.get(trait, 0)
    if wanted.authors:
        fitting &= _any_of(bits, wanted.authors)
    for terms in excluded:
        fitting &= ~_all_of(bits, terms)
    return _Bucket(number, fitting, by_way)


def _all_of(bits: Mapping[str, int], terms: Iterable[str]) -> int:
    result = (1 << SLOTS) - 1
    for term in terms:
        result &= bits.get(term, 0)
    return result


def _any_of(bits: Mapping[str, int], terms: Iterable[str]) -> int:
    result = 0
    for term in terms:
        result |= bits.get(term, 0)
    return result


def _bits(c: sa.Connection, terms: Iterable[str], numbers: Sequence[int]) -> dict[int, dict[str, int]]:
    bits: dict[int, dict[str, int]] = {}
    for number, term, slots in _BITS.all(c, {"terms": sorted(terms), "buckets": numbers}):
        bits.setdefault(number, {})[term] = bits_of(slots)
    return bits


def _allowed_spots(
    c: sa.Connection, buckets: Mapping[int, _Bucket], allowed: frozenset[int]
) -> Iterator[int]:
    """Where the messages are that have all terms and that the asker may read, newest first."""
    if not buckets:
        return
    for number, packed in _PLACES.all(c, {"buckets": list(buckets)}):
        yield from (number * SLOTS + slot for slot in slots_at(packed, buckets[number].fitting, allowed))


def _checked(
    c: sa.Connection, spots: Sequence[int], wanted: Wanted, checks: Checks, buckets: Mapping[int, _Bucket]
) -> Iterator[Candidate]:
    """The messages at `spots` that hold the phrases too."""
    query = _docs(
        len(checks.patterns),
        len(checks.needed),
        wanted.after is not None,
        wanted.before is not None,
        wanted.session_id is not None,
    )
    values = {"spots": spots, "session": wanted.session_id, **checks.values, **times(wanted)}
    for row in query.all(c, values):
        by_way, slot = buckets[row.spot // SLOTS].by_way, row.spot % SLOTS
        candidate = checks.candidate(row, lambda n, way, b=by_way, s=slot: b.get((n, way), 0) >> s & 1)  # type: ignore[misc]
        if candidate:
            yield candidate
