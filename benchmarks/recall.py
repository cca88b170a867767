"""What searching costs, by the size of the archive, and what indexing costs those who write to the largest.

On SQLite and on PostgreSQL, which are filled side by side. The asker may read 200 of 1,000 channels.
"""

import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import sqlalchemy as sa

from benchmarks.corpus import Corpus, place_of, queries, stamp, vocabulary
from benchmarks.indexing import indexing_cost
from benchmarks.measuring import Size
from benchmarks.stage import DATABASES, open_postgres
from storage import schema
from storage.database import Database, open_database
from storage.search import sealing
from storage.search.clauses import clauses_of, phrase_clause
from storage.search.find import find
from storage.search.index import microseconds, row_of
from storage.search.slots import SLOTS
from storage.search.wanted import Found, Wanted
from storage.search_tables import search_tail

SHOWN = ("*_p50_ms", "*0_p95_ms", "*_turns_per_s", "*_percent")
READABLE = frozenset(place_of(channel) for channel in range(0, 1000, 5))
DIFFERENT = 100_000
"""Messages of which no two read the same."""
SAMPLED = 2_000
"""Messages, spread over the archive, of which the searches are made."""
MOST_OF_A_KIND = 40
"""As many searches as the corpus offers of each kind."""


async def measure(size: Size) -> dict[str, float]:
    """For each database: searches by the size of the archive, and turns written with and without an index."""
    sizes = size.pick((2_000,), (10_000, 100_000), (10_000, 100_000, 1_000_000))
    write_s = size.pick(0.1, 3.0, 10.0)
    searches = size.pick(4, MOST_OF_A_KIND, MOST_OF_A_KIND)
    corpus = Corpus(vocabulary())
    async with AsyncExitStack() as stack:
        databases = {kind: await _opened(kind, stack) for kind in DATABASES}
        results = await _searching(databases, corpus, sizes, searches)
        for name, database in databases.items():
            cost = await indexing_cost(database, corpus, write_s)
            results |= {f"{name}_{key}": n for key, n in cost.items()}
        return results


async def _opened(kind: str, stack: AsyncExitStack) -> Database:
    """An empty archive, gone with `stack`."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="threadfly-bench-"))
    url = f"sqlite+aiosqlite:///{folder}/archive.db" if kind == "sqlite" else open_postgres(stack)
    database = open_database(url)
    stack.push_async_callback(database.close)
    await schema.migrate(database)
    return database


async def _searching(
    databases: Mapping[str, Database], corpus: Corpus, sizes: Sequence[int], searches: int
) -> dict[str, float]:
    """By the size of the archive; `searches` of each kind."""
    results: dict[str, float] = {}
    source = _rows(corpus, max(sizes))
    sample: list[str] = []
    done = 0
    for size in sizes:
        began = time.perf_counter()
        for batch in _batches(itertools.islice(source, size - done)):
            some = batch[:: max(1, size // SAMPLED)]
            sample = (sample + [row["stream"].split(" | ")[0] for row in some])[-SAMPLED:]
            await asyncio.gather(*(_fill(database, batch) for database in databases.values()))
        done = size
        results[f"{size}_fill_s"] = time.perf_counter() - began
        mix = {kind: texts[:searches] for kind, texts in queries(corpus, sample).items()}
        for name, database in databases.items():
            results |= {f"{name}_{size}_{key}": n for key, n in (await _mix(database, mix)).items()}
    return results


def _rows(corpus: Corpus, number: int) -> Iterator[dict[str, Any]]:
    """Messages as the index takes them; after the first hundred thousand the same again, said elsewhere."""
    made = []
    for n, entry in enumerate(corpus.entries(min(number, DIFFERENT))):
        made.append(row_of(entry))
        yield made[n]
    for n in range(DIFFERENT, number):
        session_id, place, sent_at = stamp(n)
        there = {"session_id": session_id, "position": n, "channel": place.channel}
        yield {**made[n % DIFFERENT], **there, "sent_us": microseconds(sent_at)}


def _batches(rows: Iterable[dict[str, Any]]) -> Iterable[list[dict[str, Any]]]:
    iterator = iter(rows)
    return iter(lambda: list(itertools.islice(iterator, SLOTS)), [])


async def _fill(database: Database, rows: list[dict[str, Any]]) -> None:
    """As production does it, in larger steps: nobody waits here.

    PostgreSQL frees the tail's room by itself once a minute, in which nobody else fills a dozen buckets.
    """
    await database.write(lambda c: c.execute(sa.insert(search_tail), rows))
    with patch.multiple(sealing, MESSAGES_AT_ONCE=SLOTS, TERMS_AT_ONCE=100 * SLOTS):
        await sealing.Sealer(database).seal()
    await database.scrub([search_tail.name], thoroughly=False)


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
