"""SQLite and PostgreSQL find the same in the same order, whatever was said, edited, deleted and sealed."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.finding import Place
from bot.query import Query, parse
from storage.analyser import analyse
from storage.database import Database
from storage.search.clauses import Clause
from storage.search.find import find
from storage.search.index import Entry, index, unindex
from storage.search.sealing import Sealer
from storage.search.wanted import Found, Wanted, wanted_of
from storage.search_tables import (
    search_buckets,
    search_docs,
    search_places,
    search_sealing,
    search_tail,
    search_terms,
)
from tests.databases import fresh_database, opened

T0 = datetime(2026, 1, 1, tzinfo=UTC)
NOW = T0 + timedelta(days=30)
PLACES = [
    Place("p", "w", "C1"),
    Place("p", "w", "C1", "private"),
    Place("p", "other", "C1"),
    Place("p", "w", "C2"),
]
TABLES = (search_tail, search_docs, search_terms, search_buckets, search_sealing, search_places)

LONG = "(ten thousand lions)"
PIECES = st.sampled_from(
    [
        *("lion", "lions", "loin", "foo_bar", "FooBar", "v1.23", "don't", "naïve", "e\u0301cole", "école"),
        *(
            "東京",
            "京都",
            "東京都",
            "한국어",
            "กขค",
            "👍🏽",
            "👨‍👩‍👧",
            "🇩🇪",
            "a" * 70,
            "字" * 80,
            "ﷺ",
            "ß",
            "İ",
        ),
        *(
            '"',
            "-",
            "''",
            "%",
            "_",
            "\\",
            "*",
            "OR",
            "NEAR(",
            ");--",
            "|",
            "x|y",
            "@ann",
            "!link",
            "&7",
            "\u200d",
        ),
        *("http://a.example/lion?x=1", "C++", "c#", "/etc/hosts", "\ud7ff", "\U0001f9ff", "a\u0301\u0327b"),
    ]
)
TEXTS = st.one_of(
    st.lists(PIECES, max_size=6).map(" ".join),
    st.lists(PIECES, max_size=4).map("".join),
    st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00"), max_size=12),
    st.just(LONG),
)


def written(text: str) -> str:
    """What is said: the same word very often, which a report of a failure has no room for."""
    return "lion " * 10_000 if text == LONG else text


@dataclass(frozen=True)
class Said:
    """Somebody says something."""

    session: int
    place: int
    minute: int
    text: str


@dataclass(frozen=True)
class Changed:
    """One of the messages that are there is edited, or deleted."""

    which: int
    text: str | None


@dataclass(frozen=True)
class Sealed:
    """All of the tail goes into a bucket, or whoever moves it there dies after so many steps."""

    steps: int | None


SAID = st.builds(Said, st.integers(1, 5), st.integers(0, len(PLACES) - 1), st.integers(0, 50), TEXTS)
STEPS = st.lists(
    st.one_of(
        SAID,
        SAID,
        st.builds(Changed, st.integers(0, 99), st.one_of(st.none(), TEXTS)),
        st.builds(Sealed, st.one_of(st.none(), st.integers(1, 8))),
    ),
    min_size=1,
    max_size=14,
)


@pytest.fixture
async def both(tmp_path: Path, postgres_server: sa.URL) -> AsyncIterator[list[Database]]:
    """An archive on each database."""
    async with (
        opened(f"sqlite+aiosqlite:///{tmp_path / 'archive.db'}") as sqlite,
        opened(await fresh_database(postgres_server)) as postgres,
    ):
        yield [sqlite, postgres]


async def lived(database: Database, steps: Sequence[Said | Changed | Sealed]) -> list[Entry]:
    """Everything happens there; the messages that are left."""
    for table in TABLES:
        await database.write(lambda c, table=table: c.execute(sa.delete(table)))  # type: ignore[misc]
    left: list[Entry] = []
    for position, step in enumerate(steps, 1):
        if isinstance(step, Sealed):
            await sealed(database, step.steps)
            continue
        if isinstance(step, Said):
            sent = T0 + timedelta(minutes=step.minute)
            text = written(step.text)
            new = Entry(step.session, position, PLACES[step.place], "ann", text, sent, author_name="Ann")
        elif left:
            old = left.pop(step.which % len(left))
            await database.write(
                lambda c, old=old: unindex(c, old.session_id, old.position, old.text, old.author_name)  # type: ignore[misc]
            )
            if step.text is None:
                continue
            new = replace(old, text=written(step.text))
        else:
            continue
        await database.write(lambda c, new=new: index(c, [new]))  # type: ignore[misc]
        left.append(new)
    return left


async def sealed(database: Database, steps: int | None) -> None:
    sealer = Sealer(database)
    if steps is None:
        await sealer.seal(1)
    for _ in range(steps or 0):
        await sealer.step(1)
    await database.write(lambda c: c.execute(sa.update(search_sealing).values(lease_until=0)))


def fits(entry: Entry, wanted: Wanted) -> bool:
    analysis = analyse(entry.text)

    def satisfied(clause: Clause) -> bool:
        return any(way.terms <= analysis.terms and way.pattern in analysis.stream for way in clause.ways)

    return (
        entry.place in wanted.places
        and all(map(satisfied, wanted.clauses))
        and not any(map(satisfied, wanted.without))
    )


def checked(found: Found, wanted: Wanted, left: Sequence[Entry]) -> None:
    """Just what a look at every message finds."""
    fitting = [entry for entry in left if fits(entry, wanted)]
    if found.respelled:
        assert not fitting
        readable = {entry.session_id for entry in left if entry.place in wanted.places}
        assert {hit.session_id for hit in found.hits} <= readable
        return
    assert {hit.session_id for hit in found.hits} == {entry.session_id for entry in fitting}
    assert sum(1 + hit.others for hit in found.hits) == len(fitting)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    steps=STEPS,
    asked=st.lists(TEXTS.map(lambda text: text[:200]), max_size=4),
    readable=st.sets(st.sampled_from(PLACES)),
)
async def test_both_find_what_a_look_at_every_message_finds(
    both: list[Database], steps: list[Said | Changed | Sealed], asked: list[str], readable: set[Place]
) -> None:
    left, same = [await lived(database, steps) for database in both]
    assert left == same
    for text in [*asked, *(entry.text[:200] for entry in left[:4]), ""]:
        query = parse(text, NOW)
        wanted = wanted_of(query, frozenset(readable), frozenset()) if isinstance(query, Query) else None
        if wanted is None:
            continue
        one, other = [await database.read(lambda c, w=wanted: find(c, w, NOW)) for database in both]  # type: ignore[misc]
        assert one == other
        checked(one, wanted, left)
    for database in both:
        for entry in left:
            await database.write(
                lambda c, e=entry: unindex(c, e.session_id, e.position, e.text, e.author_name)  # type: ignore[misc]
            )
        for table in (search_tail, search_docs, search_terms):
            assert await database.read(lambda c, t=table: c.execute(sa.select(t)).all()) == []  # type: ignore[misc]
