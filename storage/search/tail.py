"""Searching what is not sealed yet: row by row, in the database."""

from collections.abc import Iterable, Iterator

import sqlalchemy as sa

from bot.finding import Place
from storage.search.among import among
from storage.search.checks import Checks, holds, in_time
from storage.search.wanted import Catch, Wanted
from storage.search_tables import search_tail


def search_tail_rows(c: sa.Connection, wanted: Wanted, catch: Catch) -> None:
    """Add to `catch` what fits in the tail, newest first."""
    checks = Checks(wanted)
    tail = search_tail.c
    ways = [
        (n, number, way)
        for n, clause in enumerate(wanted.clauses)
        for number, way in enumerate(clause.ways)
        if not way.pattern
    ]
    query = (
        sa.select(
            tail.session_id, tail.position, tail.sent_us,
            tail.platform, tail.workspace, tail.channel, tail.thread,
            *(_has_all(way.terms).label(f"way_{n}_{number}") for n, number, way in ways),
            *checks.columns(tail.stream),
        )
        .where(*_tail_conditions(c, wanted))
        .order_by(tail.sent_us.desc(), tail.session_id, tail.position)
    )  # fmt: skip
    for row in c.execute(query):
        if Place(row.platform, row.workspace, row.channel, row.thread) not in wanted.places:
            continue
        if catch.enough():
            catch.whole = False
            return
        fitting = {way[:2] for way, fits in zip(ways, row[7 : 7 + len(ways)], strict=True) if fits}
        candidate = checks.candidate(row, lambda n, number, f=fitting: (n, number) in f)  # type: ignore[misc]
        if candidate:
            catch.add([candidate])


def _tail_conditions(c: sa.Connection, wanted: Wanted) -> Iterator[sa.ColumnElement[bool]]:
    tail = search_tail.c
    yield among(c, tail.channel, sorted({place.channel for place in wanted.places}))
    yield from in_time(tail.sent_us, wanted)
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
    return sa.and_(*(holds(search_tail.c.terms, f" {term} ") for term in sorted(terms)))
