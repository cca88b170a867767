"""The search beside a slow, obvious one: never a session too many, never one too few, on every database."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from bot.finding import Place
from storage.analyser import analyse
from storage.database import Database
from storage.search import sealing
from storage.search.clauses import Clause, clauses_of, phrase_clause
from storage.search.find import find
from storage.search.index import Entry, index, unindex
from storage.search.sealing import Sealer
from storage.search.wanted import Wanted
from storage.search_tables import (
    search_buckets,
    search_docs,
    search_places,
    search_sealing,
    search_tail,
    search_terms,
)
from storage.tables import metadata

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=30)
WORDS = [
    "run",
    "running",
    "page",
    "pages",
    "foo_bar",
    "FooBar",
    "foo",
    "bar",
    "東京",
    "京都",
    "👍",
    "café",
    "cafe",
]
TABLES = [search_tail, search_places, search_buckets, search_docs, search_terms, search_sealing]


def drawn_entries(draw: random.Random, number: int) -> list[Entry]:
    return [
        Entry(
            session_id=draw.randrange(1, 40),
            position=position,
            place=draw.choice(PLACES),
            author_id="ann",
            text=" ".join(draw.choices(WORDS, k=draw.randrange(5))),
            sent_at=START + timedelta(minutes=draw.randrange(10_000)),
        )
        for position in range(1, number + 1)
    ]


PLACES = [Place("p", "w", f"C{n}", thread) for n in range(4) for thread in ("", "private")]


def fits(entry: Entry, wanted: Wanted) -> bool:
    analysis = analyse(entry.text)

    def satisfied(clause: Clause) -> bool:
        return any(way.terms <= analysis.terms and way.pattern in analysis.stream for way in clause.ways)

    return (
        entry.place in wanted.places
        and all(map(satisfied, wanted.clauses))
        and not any(map(satisfied, wanted.without))
        and (wanted.after is None or entry.sent_at >= wanted.after)
        and (wanted.before is None or entry.sent_at < wanted.before)
        and wanted.session_id in (None, entry.session_id)
    )


def drawn_wanted(draw: random.Random) -> Wanted:
    words = draw.choices(WORDS, k=draw.randrange(3))
    phrase = phrase_clause(" ".join(draw.choices(WORDS, k=2))) if draw.random() < 0.3 else None
    return Wanted(
        frozenset(draw.sample(PLACES, draw.randrange(len(PLACES) + 1))),
        clauses_of(" ".join(words)) + ((phrase,) if phrase else ()),
        clauses_of(draw.choice(WORDS)) if draw.random() < 0.3 else (),
        after=START + timedelta(minutes=draw.randrange(10_000)) if draw.random() < 0.3 else None,
        before=START + timedelta(minutes=draw.randrange(10_000)) if draw.random() < 0.3 else None,
        session_id=draw.randrange(1, 40) if draw.random() < 0.1 else None,
    )


async def changed(archive: Database, draw: random.Random) -> list[Entry]:
    """Messages that came, were sealed in buckets of every size, and went; those that are left."""
    left: list[Entry] = []
    coming = drawn_entries(draw, 240)
    while coming:
        some, coming = coming[:30], coming[30:]
        await archive.write(lambda c, s=some: index(c, s))  # type: ignore[misc]
        left += some
        if draw.random() < 0.7:
            await Sealer(archive).seal(1)
        for gone in draw.sample(left, 6):
            await archive.write(lambda c, e=gone: unindex(c, e.session_id, e.position, e.text))  # type: ignore[misc]
            left.remove(gone)
    return left


@pytest.mark.parametrize("seed", range(3))
async def test_search_finds_what_a_look_at_every_message_finds(
    database: Database, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(seed)
    monkeypatch.setattr(sealing, "BUCKETS_IN_ERA", 2)
    await database.write(lambda c: metadata.create_all(c, TABLES))
    entries = await changed(database, draw)
    for _ in range(60):
        wanted = drawn_wanted(draw)
        fitting = [entry for entry in entries if fits(entry, wanted)]
        found = await database.read(lambda c, w=wanted: find(c, w, NOW))  # type: ignore[misc]
        if found.respelled:
            assert not fitting
            continue
        assert {hit.session_id for hit in found.hits} == {entry.session_id for entry in fitting}
        assert sum(1 + hit.others for hit in found.hits) == len(fitting)
        assert found.whole
    eras = await database.read(lambda c: c.execute(sa.select(search_terms.c.era).distinct()).all())
    assert len(eras) > 1
    for entry in entries:
        await database.write(lambda c, e=entry: unindex(c, e.session_id, e.position, e.text))  # type: ignore[misc]
    assert await database.read(lambda c: c.execute(sa.select(search_terms)).all()) == []


async def test_every_step_of_sealing_leaves_the_search_right(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages come, change and go between any two steps, and now and then who sealed is gone for good."""
    draw = random.Random(4)
    await database.write(lambda c: metadata.create_all(c, TABLES))
    monkeypatch.setattr(sealing, "MESSAGES_AT_ONCE", 16)
    monkeypatch.setattr(sealing, "TERMS_AT_ONCE", 3)
    entries = drawn_entries(draw, 100)
    await database.write(lambda c: index(c, entries))
    sealer = Sealer(database)
    for _ in range(90):
        assert await sealer.step(1)
        gone = entries.pop(draw.randrange(len(entries)))
        await database.write(lambda c, e=gone: unindex(c, e.session_id, e.position, e.text))  # type: ignore[misc]
        if draw.random() < 0.8:
            edited = replace(gone, text=" ".join(draw.choices(WORDS, k=2)))
            await database.write(lambda c, e=edited: index(c, [e]))  # type: ignore[misc]
            entries.append(edited)
        if draw.random() < 0.1:
            sealer = Sealer(database)
            await database.write(lambda c: c.execute(sa.update(search_sealing).values(lease_until=0)))
        wanted = drawn_wanted(draw)
        found = await database.read(lambda c, w=wanted: find(c, w, NOW))  # type: ignore[misc]
        fitting = [entry for entry in entries if fits(entry, wanted)]
        if not found.respelled:
            assert {hit.session_id for hit in found.hits} == {entry.session_id for entry in fitting}
            assert sum(1 + hit.others for hit in found.hits) == len(fitting)
    for entry in entries:
        await database.write(lambda c, e=entry: unindex(c, e.session_id, e.position, e.text))  # type: ignore[misc]
    for table in (search_tail, search_docs, search_terms):
        assert await database.read(lambda c, t=table: c.execute(sa.select(t)).all()) == []  # type: ignore[misc]


async def test_a_bucket_is_sealed_by_one_at_a_time(database: Database) -> None:
    await database.write(lambda c: metadata.create_all(c, TABLES))
    await database.write(lambda c: index(c, drawn_entries(random.Random(5), 20)))
    one, other = Sealer(database), Sealer(database)
    assert await one.step(1)
    assert not await other.step(1)
    await database.write(lambda c: c.execute(sa.update(search_sealing).values(lease_until=0)))
    await other.seal(1)
    await one.seal(1)
    for table, rows in ((search_buckets, 1), (search_tail, 0), (search_docs, 20), (search_sealing, 0)):
        count = sa.select(sa.func.count()).select_from(table)
        assert await database.read(lambda c, q=count: c.scalar(q)) == rows  # type: ignore[misc]
