"""Searching the index: the newest messages that hold what was asked, then the most fitting of them first.

The database only says which messages hold a term; choosing and ranking is done here, so that every
database gives the same hits in the same order.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import log
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from storage.clauses import Clause, Way, neighbours
from storage.search_index import Place, by_lookup, microseconds, place_numbers
from storage.search_tables import search_buckets, search_docs, search_tail, search_terms
from storage.slots import SLOTS, bits_of, highest_first, places_of
from storage.stemmer import stem

ENOUGH_MESSAGES = 256
ENOUGH_SESSIONS = 40
"""Searching stops when it has so many messages in so many sessions: the newest."""
MOST_MESSAGES = 1024
"""Searching stops here however few sessions they are in."""
MOST_LOOKED_AT = 8192
"""Messages whose words are all there, but not in the order that was asked, are looked at so often."""
MOST_RESPELLINGS = 32
"""Words one typo away that are tried for one word."""
_FIRST_BUCKETS = 16
_MOST_BUCKETS = 256
_HALF_FORGOTTEN_US = 30 * 86400 * 1_000_000
"""After a month recency counts half."""
_OTHER_FORM = 0.5
"""What another form of a word counts, where the word as typed counts 1."""
_IN_ORDER = 0.5
"""What it counts that all words stand in the order in which they were typed."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is searched for. All of it must fit; with nothing but places, the newest messages do."""

    places: frozenset[Place]
    """Where the asker may read; nothing from anywhere else is shown or counted."""
    clauses: tuple[Clause, ...] = ()
    without: tuple[Clause, ...] = ()
    authors: frozenset[str] = frozenset()
    """Said by one of these, as terms; empty for anybody."""
    traits: frozenset[str] = frozenset()
    """`LINK`, `FILE`."""
    after: datetime | None = None
    """Sent then or later."""
    before: datetime | None = None
    """Sent earlier than this."""
    session_id: int | None = None
    """In this session alone; None for all."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A message that fits, the best of its session."""

    session_id: int
    position: int
    sent_us: int
    score: float
    others: int
    """How many more of this session's messages fit, among those that were looked at."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search gave."""

    hits: tuple[Hit, ...]
    """At most one a session, best first."""
    whole: bool
    """False: older messages may fit too. Asking with `before` finds them."""
    terms: frozenset[str]
    """What is to be marked in the messages: terms of the analyser."""
    respelled: bool = False
    """Nothing fitted as typed; these hold words one typo away."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    session_id: int
    position: int
    sent_us: int
    exact: tuple[bool, ...]
    """For each clause, whether the message holds it just as typed."""
    in_order: bool


class _holds(FunctionElement[bool]):  # noqa: N801 - reads as the SQL function that it is
    """Whether a text column holds a string."""

    type = sa.Boolean()
    inherit_cache = True


@compiles(_holds, "sqlite")
def _holds_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    return f"(instr({compiler.process(element.clauses, **kw)}) > 0)"


@compiles(_holds, "postgresql")
def _holds_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    return f"(strpos({compiler.process(element.clauses, **kw)}) > 0)"


def find(c: sa.Connection, wanted: Wanted, now: datetime) -> Found:
    """The sessions with messages that fit, best first; words with a typo only if nothing fits as typed."""
    found = _find(c, wanted, now)
    if found.hits or not any(clause.word for clause in wanted.clauses):
        return found
    respelled = replace(wanted, clauses=_respelled(c, wanted.clauses))
    if respelled.clauses == wanted.clauses:
        return found
    return replace(_find(c, respelled, now), respelled=True)


def _find(c: sa.Connection, wanted: Wanted, now: datetime) -> Found:
    catch = _Catch()
    _search_tail(c, wanted, catch)
    _search_buckets(c, wanted, catch)
    marked = frozenset(term for clause in wanted.clauses for way in clause.ways for term in way.terms)
    return Found(tuple(_ranked(catch.candidates(), microseconds(now))), catch.whole, marked)


@dataclass(slots=True)
class _Catch:
    """What one search has found so far."""

    by_place: dict[tuple[int, int], _Candidate] = field(default_factory=dict)
    sessions: set[int] = field(default_factory=set)
    looked_at: int = 0
    whole: bool = True

    def add(self, candidates: Iterable[_Candidate]) -> None:
        for candidate in candidates:
            self.by_place[candidate.session_id, candidate.position] = candidate
            self.sessions.add(candidate.session_id)

    def enough(self) -> bool:
        many = len(self.by_place)
        return (
            many >= MOST_MESSAGES
            or self.looked_at >= MOST_LOOKED_AT
            or (many >= ENOUGH_MESSAGES and len(self.sessions) >= ENOUGH_SESSIONS)
        )

    def candidates(self) -> list[_Candidate]:
        newest = sorted(self.by_place.values(), key=lambda x: (-x.sent_us, x.session_id, x.position))
        return newest[:MOST_MESSAGES]


# Ranking


def _ranked(candidates: Sequence[_Candidate], now_us: int) -> list[Hit]:
    weights = _weights(candidates)
    best: dict[int, Hit] = {}
    for candidate in candidates:
        hit = Hit(
            candidate.session_id,
            candidate.position,
            candidate.sent_us,
            _score(candidate, weights, now_us),
            0,
        )
        known = best.get(hit.session_id)
        if known is None:
            best[hit.session_id] = hit
        else:
            better = min(hit, known, key=_order)
            best[hit.session_id] = replace(better, others=known.others + 1)
    return sorted(best.values(), key=_order)


def _order(hit: Hit) -> tuple[float, int, int, int]:
    return (-hit.score, -hit.sent_us, -hit.position, hit.session_id)


def _weights(candidates: Sequence[_Candidate]) -> list[float]:
    """For each clause, how much it tells: more, the fewer of the candidates hold it as typed."""
    if not candidates:
        return []
    exact = [sum(flags) for flags in zip(*(candidate.exact for candidate in candidates), strict=True)]
    return [log(2 + len(candidates) / (1 + many)) for many in exact]


def _score(candidate: _Candidate, weights: Sequence[float], now_us: int) -> float:
    """Between 0 and 1 for its words, a half for their order, and up to 1 for being new."""
    words = sum(w if exact else w * _OTHER_FORM for w, exact in zip(weights, candidate.exact, strict=True))
    age = max(now_us - candidate.sent_us, 0)
    return (
        words / (sum(weights) or 1.0)
        + (_IN_ORDER if candidate.in_order else 0.0)
        + _HALF_FORGOTTEN_US / (_HALF_FORGOTTEN_US + age)
    )


# What a message must hold


class _Checks:
    """The strings that are looked up in each candidate's stream, each of them once."""

    def __init__(self, wanted: Wanted) -> None:
        self.clauses = wanted.clauses
        self.without = [w.pattern for clause in wanted.without for w in clause.ways if w.pattern]
        together = "".join(clause.exact[:-1] for clause in wanted.clauses) + " "
        self.together = together if len(wanted.clauses) > 1 else ""
        ways = [way.pattern for clause in wanted.clauses for way in clause.ways]
        asked = [*ways, *(clause.exact for clause in wanted.clauses), self.together, *self.without]
        self.patterns = list(dict.fromkeys(pattern for pattern in asked if pattern))

    def columns(self, stream: sa.Column[str]) -> list[sa.ColumnElement[bool]]:
        return [_holds(stream, pattern).label(f"holds_{n}") for n, pattern in enumerate(self.patterns)]

    def candidate(self, row: Any, fits: Callable[[Clause, Way], bool]) -> _Candidate | None:
        """The message of `row` if every clause has a way that fits; `fits` knows of terms alone."""
        flags = dict(zip(self.patterns, row[-len(self.patterns) :] if self.patterns else (), strict=True))
        for clause in self.clauses:
            if not any(flags[way.pattern] if way.pattern else fits(clause, way) for way in clause.ways):
                return None
        if any(flags[pattern] for pattern in self.without):
            return None
        exact = tuple(bool(flags[clause.exact]) for clause in self.clauses)
        in_order = bool(self.together and flags[self.together])
        return _Candidate(row.session_id, row.position, row.sent_us, exact, in_order)


def _in_time(column: sa.Column[int], wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    conditions = []
    if wanted.after is not None:
        conditions.append(column >= microseconds(wanted.after))
    if wanted.before is not None:
        conditions.append(column < microseconds(wanted.before))
    return conditions


# The tail: what is not sealed yet


def _search_tail(c: sa.Connection, wanted: Wanted, catch: _Catch) -> None:
    checks = _Checks(wanted)
    tail = search_tail.c
    ways = [way for clause in wanted.clauses for way in clause.ways if not way.pattern]
    has = {way: _has_all(way.terms) for way in ways}
    query = (
        sa.select(
            tail.session_id, tail.position, tail.sent_us,
            tail.platform, tail.workspace, tail.channel, tail.thread,
            *(has[way].label(f"way_{n}") for n, way in enumerate(ways)),
            *checks.columns(tail.stream),
        )
        .where(*_tail_conditions(wanted))
        .order_by(tail.sent_us.desc(), tail.session_id, tail.position)
    )  # fmt: skip
    for row in c.execute(query):
        if Place(row.platform, row.workspace, row.channel, row.thread) not in wanted.places:
            continue
        if catch.enough():
            catch.whole = False
            return
        fitting = {way for way, fits in zip(ways, row[7 : 7 + len(ways)], strict=True) if fits}
        candidate = checks.candidate(row, lambda _clause, way, f=fitting: way in f)  # type: ignore[misc]
        if candidate:
            catch.add([candidate])


def _tail_conditions(wanted: Wanted) -> Iterator[sa.ColumnElement[bool]]:
    tail = search_tail.c
    yield from _in_time(tail.sent_us, wanted)
    if wanted.session_id is not None:
        yield tail.session_id == wanted.session_id
    for trait in sorted(wanted.traits):
        yield _has_all({trait})
    if wanted.authors:
        yield sa.or_(*(_has_all({author}) for author in sorted(wanted.authors)))
    for clause in wanted.clauses:
        yield sa.or_(*(_has_all(way.terms) for way in clause.ways))
    for clause in wanted.without:
        plain = [_has_all(way.terms) for way in clause.ways if not way.pattern]
        if plain:
            yield sa.not_(sa.or_(*plain))


def _has_all(terms: Iterable[str]) -> sa.ColumnElement[bool]:
    return sa.and_(*(_holds(search_tail.c.terms, f" {term} ") for term in sorted(terms)))


# The buckets


@dataclass(frozen=True, slots=True)
class _Bucket:
    """One bucket's messages that have all terms, as bits."""

    number: int
    fitting: int
    by_way: Mapping[tuple[Clause, Way], int]


def _search_buckets(c: sa.Connection, wanted: Wanted, catch: _Catch) -> None:
    clauses = _known_clauses(c, wanted)
    if clauses is None:
        return
    numbers = frozenset(place_numbers(c, wanted.places).values())
    checks = _Checks(wanted)
    for numbers_of_buckets in _pages(c, wanted, clauses):
        if catch.enough():
            catch.whole = False
            return
        buckets = _matched(c, clauses, wanted, numbers_of_buckets)
        by_number = {bucket.number: bucket for bucket in buckets if bucket.fitting}
        spots = _allowed_spots(c, by_number, numbers)
        for some in by_lookup(spots):
            if catch.enough():
                catch.whole = False
                return
            catch.looked_at += len(some)
            catch.add(_checked(c, some, wanted, checks, by_number))


@dataclass(frozen=True, slots=True)
class _Known:
    """The clauses as far as the index knows their terms, and the one that is rarest."""

    clauses: tuple[tuple[Clause, tuple[Way, ...]], ...]
    drivers: frozenset[str]
    """Every message that fits has one of these terms; empty: any message may fit."""


def _known_clauses(c: sa.Connection, wanted: Wanted) -> _Known | None:
    """None when some clause has no term in any bucket."""
    asked = [[way.terms for way in clause.ways] for clause in wanted.clauses]
    asked += [[frozenset((author,)) for author in sorted(wanted.authors)]] if wanted.authors else []
    asked += [[frozenset((trait,))] for trait in sorted(wanted.traits)]
    counts = _counts(c, {term for ways in asked for terms in ways for term in terms})
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
        (clause, tuple(way for way in clause.ways if all(counts.get(term) for term in way.terms)))
        for clause in wanted.clauses
    )
    return _Known(known, driver[1] if driver else frozenset())


def _counts(c: sa.Connection, terms: Iterable[str]) -> dict[str, int]:
    """In how many buckets each term is; those in none are left out."""
    counts: dict[str, int] = {}
    held = search_terms.c
    for some in by_lookup(sorted(terms)):
        rows = c.execute(sa.select(held.term, sa.func.count()).where(held.term.in_(some)).group_by(held.term))
        counts.update((term, many) for term, many in rows)
    return counts


def _pages(c: sa.Connection, wanted: Wanted, known: _Known) -> Iterator[list[int]]:
    """The buckets in which something may fit, newest first, in growing pages."""
    number = search_terms.c.bucket if known.drivers else search_buckets.c.bucket
    query = sa.select(number).order_by(number.desc())
    if known.drivers:
        query = query.where(search_terms.c.term.in_(sorted(known.drivers)))
        query = query.distinct() if len(known.drivers) > 1 else query
    if wanted.after is not None:
        query = query.where(number > microseconds(wanted.after) // 1000)
    upto = _newest_bucket(c, wanted.before)
    size = _FIRST_BUCKETS
    while True:
        page = query.limit(size) if upto is None else query.where(number <= upto).limit(size)
        numbers = list(c.scalars(page))
        if numbers:
            yield numbers
        if len(numbers) < size:
            return
        upto, size = numbers[-1] - 1, min(size * 2, _MOST_BUCKETS)


def _newest_bucket(c: sa.Connection, before: datetime | None) -> int | None:
    """The newest bucket with a message from before then; -1 if there is none, None without a limit."""
    if before is None:
        return None
    bucket = search_buckets.c
    newest = sa.select(sa.func.max(bucket.bucket)).where(bucket.oldest_us < microseconds(before))
    return c.scalar(newest) or -1


def _matched(c: sa.Connection, known: _Known, wanted: Wanted, numbers: Sequence[int]) -> list[_Bucket]:
    """What of these buckets has all terms, bucket by bucket in the order given."""
    terms = {term for _, ways in known.clauses for way in ways for term in way.terms}
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
    for clause, ways in known.clauses:
        of_clause = 0
        for way in ways:
            by_way[clause, way] = _all_of(bits, way.terms)
            of_clause |= by_way[clause, way]
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
    held = search_terms.c
    bits: dict[int, dict[str, int]] = {}
    for some in by_lookup(sorted(terms)):
        rows = c.execute(
            sa.select(held.bucket, held.term, held.slots).where(held.term.in_(some), held.bucket.in_(numbers))
        )
        for number, term, slots in rows:
            bits.setdefault(number, {})[term] = bits_of(slots)
    return bits


def _allowed_spots(c: sa.Connection, buckets: Mapping[int, _Bucket], allowed: frozenset[int]) -> list[int]:
    """Where the messages are that have all terms and that the asker may read, newest first."""
    column = search_buckets.c
    query = sa.select(column.bucket, column.places).where(column.bucket.in_(list(buckets)))
    spots = []
    for number, packed in c.execute(query.order_by(column.bucket.desc())) if buckets else ():
        places = places_of(packed)
        size = len(places)
        fitting = buckets[number].fitting & ((1 << size) - 1)
        spots += [number * SLOTS + slot for slot in highest_first(fitting) if places[slot] in allowed]
    return spots


def _checked(
    c: sa.Connection, spots: Sequence[int], wanted: Wanted, checks: _Checks, buckets: Mapping[int, _Bucket]
) -> Iterator[_Candidate]:
    """The messages at `spots` that hold the phrases too."""
    doc = search_docs.c
    query = sa.select(doc.session_id, doc.position, doc.sent_us, doc.spot, *checks.columns(doc.stream)).where(
        doc.spot.in_(spots), *_in_time(doc.sent_us, wanted)
    )
    if wanted.session_id is not None:
        query = query.where(doc.session_id == wanted.session_id)
    for row in c.execute(query):
        bucket, slot = buckets[row.spot // SLOTS], row.spot % SLOTS
        candidate = checks.candidate(row, lambda clause, way, b=bucket, s=slot: _has(b, clause, way, s))  # type: ignore[misc]
        if candidate:
            yield candidate


def _has(bucket: _Bucket, clause: Clause, way: Way, slot: int) -> bool:
    return bool(bucket.by_way.get((clause, way), 0) >> slot & 1)


# Typos


def _respelled(c: sa.Connection, clauses: Sequence[Clause]) -> tuple[Clause, ...]:
    """The clauses, with words that the index knows one typo away as further ways."""
    return tuple(_respelled_clause(c, clause) if clause.word else clause for clause in clauses)


def _respelled_clause(c: sa.Connection, clause: Clause) -> Clause:
    near = {stem(word) for word in neighbours(clause.word)}
    counts = _counts(c, near)
    for term in _in_tail(c, near):
        counts[term] = counts.get(term, 0) + 1
    known = {term for way in clause.ways for term in way.terms}
    nearest = sorted((term for term in counts if term not in known), key=lambda t: (-counts[t], t))
    ways = tuple(Way(frozenset((term,))) for term in nearest[:MOST_RESPELLINGS])
    return replace(clause, ways=clause.ways + ways)


def _in_tail(c: sa.Connection, terms: set[str]) -> set[str]:
    found: set[str] = set()
    for text in c.scalars(_TAIL_TERMS):
        found |= terms.intersection(text.split())
    return found


_TAIL_TERMS: Final = sa.select(search_tail.c.terms).order_by(search_tail.c.sent_us.desc()).limit(4 * SLOTS)
