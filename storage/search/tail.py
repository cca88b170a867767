"""Searching what is not sealed yet: row by row, in the database.

How much waits to be sealed is not in our hands: after an import it may be everything. So the database
leaves out whatever does not fit, and gives no more rows than a search may need.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa

from storage.prepared import Prepared
from storage.search.among import among_rows, rows
from storage.search.checks import Checks, holds, in_time, times, told
from storage.search.clauses import Clause
from storage.search.wanted import MOST_MESSAGES, Catch, Wanted
from storage.search_tables import search_tail

_ENOUGH: Final = MOST_MESSAGES + 1
"""Rows: the last one tells that there are more."""
_Ways = tuple[tuple[int, int], ...]
"""Of the ways to satisfy one clause, how many terms each has, and which of the patterns; -1 for none."""


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
    """Add to `catch` what fits in the tail, newest first. To be asked before anything else is."""
    checks = Checks(wanted)
    ways = [
        (n, number, way) for n, clause in enumerate(wanted.clauses) for number, way in enumerate(clause.ways)
    ]
    for row in _statement(_shape(wanted, checks)).all(c, _values(wanted, checks)):
        if catch.enough():
            catch.whole = False
            return
        fitting = {way[:2] for way, fits in zip(ways, row[3 : 3 + len(ways)], strict=True) if fits}
        candidate = checks.candidate(row, lambda n, number, f=fitting: (n, number) in f)  # type: ignore[misc]
        if candidate:
            catch.add([candidate])


def _shape(wanted: Wanted, checks: Checks) -> _Shape:
    def ways_of(clause: Clause) -> _Ways:
        return tuple((len(way.terms), checks.at(way.pattern)) for way in clause.ways)

    return _Shape(
        tuple(map(ways_of, wanted.clauses)),
        len(wanted.authors),
        len(wanted.traits),
        tuple(map(ways_of, wanted.without)),
        wanted.after is not None,
        wanted.before is not None,
        wanted.session_id is not None,
        len(checks.patterns),
    )


def _values(wanted: Wanted, checks: Checks) -> dict[str, Any]:
    """The terms are named in the order in which `_query` asks for them."""
    groups = [way.terms for clause in wanted.clauses for way in clause.ways]
    groups += [wanted.authors, wanted.traits]
    groups += [way.terms for clause in wanted.without for way in clause.ways]
    terms = [term for group in groups for term in sorted(group)]
    return {
        **{f"term_{n}": f" {term} " for n, term in enumerate(terms)},
        "places": rows(wanted.places),
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
    clauses = [[_way(terms, *way) for way in ways] for ways in shape.clauses]
    authors, traits = _taken(terms, shape.authors), _taken(terms, shape.traits)
    without = [[_way(terms, *way) for way in ways] for ways in shape.without]
    fits = [way for ways in clauses for way in ways]
    query = sa.select(
        tail.session_id, tail.position, tail.sent_us,
        *(told(way, f"way_{n}") for n, way in enumerate(fits)),
        *Checks.columns(tail.stream, shape.checks),
    ).where(
        *in_time(tail.sent_us, after=shape.after, before=shape.before),
        *traits,
        *(sa.or_(*ways) for ways in clauses),
        *(sa.not_(sa.or_(*ways)) for ways in without),
        among_rows(dialect, (tail.platform, tail.workspace, tail.channel, tail.thread), "places"),
    )  # fmt: skip
    if authors:
        query = query.where(sa.or_(*authors))
    if shape.in_session:
        query = query.where(tail.session_id == sa.bindparam("session"))
    return query.order_by(tail.sent_us.desc(), tail.session_id, tail.position).limit(_ENOUGH)


def _way(terms: Iterator[sa.ColumnElement[bool]], many: int, pattern: int) -> sa.ColumnElement[bool]:
    """That a clause is satisfied in one way: by the next terms, and by a pattern if it has one."""
    conditions = _taken(terms, many)
    if pattern >= 0:
        conditions.append(holds(search_tail.c.stream, Checks.asked(pattern)))
    return sa.and_(*conditions)


def _terms() -> Iterator[sa.ColumnElement[bool]]:
    """One condition after the other: that the message has the next of the terms."""
    n = 0
    while True:
        yield holds(search_tail.c.terms, sa.bindparam(f"term_{n}", type_=sa.Text))
        n += 1


def _taken(terms: Iterator[sa.ColumnElement[bool]], many: int) -> list[sa.ColumnElement[bool]]:
    return [next(terms) for _ in range(many)]
