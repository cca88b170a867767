"""Searching the buckets: the newest first, a page of them at a time, their messages as bits of integers."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa

from storage.prepared import Prepared, prepared
from storage.search.among import among_found, among_hashed, among_looked_up, among_named
from storage.search.checks import Checks, in_time, times
from storage.search.index import microseconds
from storage.search.places import numbers_of
from storage.search.slots import EVERY, SLOTS, UNSIFTED, bits_of, highest_first, slots_at, told_of
from storage.search.wanted import ENOUGH_MESSAGES, Candidate, Catch, Wanted
from storage.search_tables import search_buckets, search_docs, search_terms

_FIRST_BUCKETS = 16
_MOST_BUCKETS = 128
_KNOWN_AT_ONCE = 256
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
    numbers = numbers_of(c, wanted.places)
    if not numbers:
        return
    checks = Checks(wanted)
    at_once = _FIRST_AT_ONCE
    for buckets in _pages(c, wanted, told_of(numbers), catch):
        by_number = {bucket.number: bucket for bucket in buckets if bucket.fitting & EVERY}
        spots = _spots(c, by_number, numbers)
        while some := list(itertools.islice(spots, at_once)):
            if catch.enough():
                catch.whole = False
                return
            _look_at(c, some, wanted, numbers, checks, by_number, catch)
        at_once = _MOST_AT_ONCE


def counts_of(c: sa.Connection, terms: Iterable[str]) -> dict[str, int]:
    """In how many buckets each term is; those in none are left out."""
    return {row.term: row.buckets for row in _COUNTS.all(c, {"terms": sorted(terms)})}


_held, _shown, _doc = search_terms.c, search_buckets.c, search_docs.c
_COUNTS: Final = Prepared(
    lambda dialect: (
        sa.select(_held.term, sa.func.count().label("buckets"))
        .where(
            among_found(dialect, _held.era, sa.select(_shown.era).distinct()),
            among_looked_up(dialect, _held.term, "terms"),
        )
        .group_by(_held.term)
    )
)
_SHOWN: Final = prepared(
    sa.select(_shown.bucket, _shown.era)
    .where(
        _shown.bucket > sa.bindparam("above", type_=sa.BigInteger),
        _shown.bucket < sa.bindparam("below", type_=sa.BigInteger),
        _shown.oldest_us < sa.bindparam("before", type_=sa.BigInteger),
    )
    .order_by(_shown.bucket.desc())
    .limit(_KNOWN_AT_ONCE)
)
_HELD: Final = Prepared(
    lambda dialect: sa.select(_held.bucket, _held.term, _held.slots).where(
        among_named(dialect, _held.era, "eras"),
        among_named(dialect, _held.term, "terms"),
        _held.bucket.between(
            sa.bindparam("oldest", type_=sa.BigInteger), sa.bindparam("newest", type_=sa.BigInteger)
        ),
    )
)
_PLACES: Final = Prepared(
    lambda dialect: sa.select(_shown.bucket, _shown.places).where(
        among_named(dialect, _shown.bucket, "buckets")
    )
)


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


def _pages(c: sa.Connection, wanted: Wanted, told: frozenset[int], catch: Catch) -> Iterator[list[_Bucket]]:
    """The buckets in which something may fit, newest first, as many at a time as are likely to be needed."""
    excluded = [way.terms for clause in wanted.without for way in clause.ways if not way.pattern]
    terms = {term for clause in wanted.clauses for way in clause.ways for term in way.sealed_terms}
    terms = terms.union(wanted.authors, wanted.traits, *excluded)
    shown = _shown_buckets(c, wanted)
    size, seen = _FIRST_BUCKETS, 0
    while page := dict(itertools.islice(shown, size)):
        bits = _bits(c, page, terms, told)
        yield [_match(bits[number], wanted, excluded, number) for number in page]
        seen += len(page)
        size = _next_size(seen, len(catch.by_place))


def _next_size(seen: int, found: int) -> int:
    """How many more buckets are likely to give enough, if so many gave what was found."""
    needed = math.ceil(max(ENOUGH_MESSAGES - found, 0) * seen / found) if found else _MOST_BUCKETS
    return min(max(needed, _FIRST_BUCKETS), _MOST_BUCKETS)


def _shown_buckets(c: sa.Connection, wanted: Wanted) -> Iterator[tuple[int, int]]:
    """Number and era of each bucket that may hold what was said at that time, newest first."""
    bounds = {
        "above": microseconds(wanted.after) // 1000 if wanted.after is not None else -_BEYOND_BUCKETS,
        "before": microseconds(wanted.before) if wanted.before is not None else _BEYOND_US,
    }
    below = _BEYOND_BUCKETS
    while rows := _SHOWN.all(c, {**bounds, "below": below}):
        yield from rows
        if len(rows) < _KNOWN_AT_ONCE:
            return
        below = rows[-1].bucket


def _bits(
    c: sa.Connection, eras: Mapping[int, int], terms: Iterable[str], told: frozenset[int]
) -> dict[int, dict[str, int]]:
    """What some buckets, with their eras, hold of `terms`: by number and term."""
    bits: dict[int, dict[str, int]] = {number: {} for number in eras}
    asked = {
        "eras": sorted(set(eras.values())),
        "terms": sorted(terms),
        "oldest": min(eras),
        "newest": max(eras),
    }
    for number, term, slots in _HELD.all(c, asked) if asked["terms"] else ():
        if number in bits:  # not one that is just being filled
            bits[number][term] = bits_of(slots, told)
    return bits


def _match(
    bits: Mapping[str, int],
    wanted: Wanted,
    excluded: Sequence[frozenset[str]],
    number: int,
) -> _Bucket:
    fitting = EVERY | UNSIFTED
    by_way = {}
    for clause, asked in enumerate(wanted.clauses):
        of_clause = 0
        for n, way in enumerate(asked.ways):
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
