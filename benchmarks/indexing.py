"""What indexing costs those who write: a turn's own transactions, with and without an index."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import sqlalchemy as sa

from benchmarks.corpus import Corpus
from bot.domain import Addressed, Answer, Author, Message, Part, Said, SessionKey
from storage.archive import records, standing, statements
from storage.archive.claims import Claimant
from storage.archive.records import Records
from storage.archive.turns import Turns
from storage.database import Database
from storage.search.upkeep import Upkeep
from storage.search_tables import search_tail

WRITERS = 64
ROUNDS = 2
TURNS = 2_000
"""Different turns; they come round again."""


async def indexing_cost(database: Database, corpus: Corpus, write_s: float) -> dict[str, float]:
    """Durable turns a second without and with indexing, taken by turns so that both meet the same weather."""
    writing, upkeep = _Writing(database, corpus), Upkeep(database)
    rates: dict[bool, list[float]] = {False: [], True: []}
    for indexed in (False, True) * ROUNDS:
        if indexed:
            async with _looked_after(upkeep):
                rates[True].append(await writing.rate(write_s))
        else:
            with _unindexed():
                rates[False].append(await writing.rate(write_s))
    left = await database.read(lambda c: c.scalar(sa.select(sa.func.count()).select_from(search_tail)))
    plain, searchable = max(rates[False]), max(rates[True])
    return {
        "turns_per_s": plain,
        "indexed_turns_per_s": searchable,
        "indexing_cost_percent": 100 * (1 - searchable / plain),
        "left_unsealed": left or 0,
    }


class _Writing:
    """Sixty-four sessions in each of which one turn follows the other, as the service archives them."""

    def __init__(self, database: Database, corpus: Corpus) -> None:
        self._records = Records(database, Claimant("bench", 60.0))
        self._turns = Turns(database, Claimant("bench", 60.0))
        texts = [entry.text for entry in corpus.entries(2 * TURNS)]
        self._said = itertools.cycle(zip(texts[::2], texts[1::2], strict=True))
        self._positions = itertools.count(time.time_ns() // 1000, 2)

    async def rate(self, write_s: float) -> float:
        """Turns a second."""
        until = time.perf_counter() + write_s
        done = 0

        async def write(session: int) -> None:
            nonlocal done
            while time.perf_counter() < until:
                await self._turn(SessionKey("bench", "T1", f"C{session}", "1"), *next(self._said))
                done += 1

        began = time.perf_counter()
        await asyncio.gather(*(write(session) for session in range(WRITERS)))
        return done / (time.perf_counter() - began)

    async def _turn(self, key: SessionKey, question: str, reply: str) -> None:
        """The question and its turn in one transaction, the reply and the turn's end in another."""
        asked = next(self._positions)
        message = Message(asked, Author("U1", "Ann"), question, datetime.now(UTC))
        recorded = await self._records.record(Said(key, message, Addressed.MENTION))
        assert recorded.turn is not None
        posted = [Part(1, asked + 1, len(reply))]
        await self._turns.close(recorded.turn, Answer(reply), posted, datetime.now(UTC))


@asynccontextmanager
async def _looked_after(upkeep: Upkeep) -> AsyncIterator[None]:
    """With the loop beside it that every bot runs."""
    running = asyncio.create_task(upkeep.running())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait([running])


@contextmanager
def _unindexed() -> Iterator[None]:
    """With an archive that lets nothing be found."""
    nothing: Callable[..., Any] = lambda *_: None  # noqa: E731 - in the place of functions
    with ExitStack() as stack:
        for module, name in ((records, "found_by"), (standing, "found_by"), (statements, "let_find")):
            stack.enter_context(patch.object(module, name, nothing))
        yield
