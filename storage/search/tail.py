"""Searching what is not sealed yet: row by row, in the database."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from bot.finding import Place
from storage.prepared import Prepared
from storage.search.among import among_named
from storage.search.checks import Checks, holds, in_time, times, told
from storage.search.clauses import Clause
from storage.search.wanted import Catch, Wanted
from storage.search_tables import search_tail

_Ways = tuple[int, ...]
"""Of the ways to satisfy one clause, how many terms each has."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """All that a statement depends on: how many of everything are asked for, not what they are."""

    clauses: tuple[_Ways, ...]
    authors: int
    traits: int
    without: tuple[_Ways, ...]
    after: bool
    before: bool
    in_session: bool
    checks: int


def search_tail_rows(c: sa.Connection, wanted: Wanted, catch: Catch) -> None:
    """Add to `catch` what fits in the tail, newest first."""
    checks = Checks(wanted)
    ways = [
        (n, number, way) for n, clause in enumerate(wanted.clauses) for number, way in enumerate(clause.ways)
    ]
    for row in _statement(_shape(wanted, checks)).all(c, _values(wanted, checks)):
        if Place(row.platform, row.workspace, row.channel, row.thread) not in wanted.places:
            continue
        if catch.enough():
            catch.whole = False
            return
        fitting = {way[:2] for way, fits in zip(ways, row[7 : 7 + len(ways)], strict=True) if fits}
        candidate = checks.candidate(row, lambda n, number, f=fitting: (n, number) in f)  # type: ignore[misc]
        if candidate:
            catch.add([candidate])


def _shape(wanted: Wanted, checks: Checks) -> _Shape:
    return _Shape(
        tuple(tuple(len(way.terms) for way in clause.ways) for clause in wanted.clauses),
        len(wanted.authors),
        len(wanted.traits),
        tuple(tuple(map(len, ways)) for ways in _excluded(wanted.without)),
        wanted.after is not None,
        wanted.before is not None,
        wanted.session_id is not None,
        len(checks.patterns),
    )


def _excluded(without: Iterable[Clause]) -> list[list[frozenset[str]]]:
    """The terms that no message may have, clause by clause; patterns are checked afterwards."""
    plain = ([way.terms for way in clause.ways if not way.pattern] for clause in without)
    return [ways for ways in plain if ways]


def _values(wanted: Wanted, checks: Checks) -> dict[str, Any]:
    """The terms are named in the order in which `_query` asks for them."""
    groups = [way.terms for clause in wanted.clauses for way in clause.ways]
    groups += [wanted.authors, wanted.traits]
    groups += [terms for ways in _excluded(wanted.without) for terms in ways]
    terms = [term for group in groups for term in sorted(group)]
    return {
        **{f"term_{n}": f" {term} " for n, term in enumerate(terms)},
        "channels": sorted({place.channel for place in wanted.places}),
        "session": wanted.session_id,
        **checks.values,
        **times(wanted),
    }


@lru_cache
def _statement(shape: _Shape) -> Prepared:
    return Prepared(lambda dialect: _query(dialect, shape))


def _query(dialect: str, shape: _Shape) -> sa.Executable:
    tail = search_tail.c
    terms = _terms()
    clauses = [[sa.and_(*_taken(terms, many)) for many in ways] for ways in shape.clauses]
    authors, traits = _taken(terms, shape.authors), _taken(terms, shape.traits)
    without = [[sa.and_(*_taken(terms, many)) for many in ways] for ways in shape.without]
    fits = [way for ways in clauses for way in ways]
    query = sa.select(
        tail.session_id, tail.position, tail.sent_us,
        tail.platform, tail.workspace, tail.channel, tail.thread,
        *(told(way, f"way_{n}") for n, way in enumerate(fits)),
        *Checks.columns(tail.stream, shape.checks),
    ).where(
        among_named(dialect, tail.channel, "channels"),
        *in_time(tail.sent_us, after=shape.after, before=shape.before),
        *traits,
        *(sa.or_(*ways) for ways in clauses),
        *(sa.not_(sa.or_(*ways)) for ways in without),
    )  # fmt: skip
    if authors:
        query = query.where(sa.or_(*authors))
    if shape.in_session:
        query = query.where(tail.session_id == sa.bindparam("session"))
    return query.order_by(tail.sent_us.desc(), tail.session_id, tail.position)


def _terms() -> Iterator[sa.ColumnElement[bool]]:
    """One condition after the other: that the message has the next of the terms."""
    n = 0
    while True:
        yield holds(search_tail.c.terms, sa.bindparam(f"term_{n}", type_=sa.Text))
        n += 1


def _taken(terms: Iterator[sa.ColumnElement[bool]], many: int) -> list[sa.ColumnElement[bool]]:
    return [next(terms) for _ in range(many)]
