"""`archive.retention` as an operator meets it: what is too old is nowhere any more, the rest can be found."""

import asyncio
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.domain import (
    Addressed,
    Answer,
    Author,
    Block,
    Button,
    Deleted,
    Message,
    Part,
    Pressed,
    Said,
    SessionKey,
    Usage,
)
from storage.database import Database
from storage.hot import NoContext
from storage.search.sealing import Sealer
from storage.tables import turns
from tests.databases import opened
from tests.fakes.core import HeldModel, Process, Wall
from tests.integration.test_cli import TIMEOUT_S, running, threadfly

NOW = datetime.now(UTC)
OLD, KEPT = "quetzal", "albatross"
ANN, JOE = Author("U1", "Ann Zebrafish"), Author("U2", "Joe Kingfisher")
SHORT = SessionKey("slack", "T1", "C1", "1")
MIXED = SessionKey("slack", "T1", "C1", "2")
LONGER = SessionKey("slack", "T1", "C2", "3")
LENGTHY = SessionKey("slack", "T1", "C2", "4")
EVER = SessionKey("slack", "T2", "C9", "5")
EMPTIED = SessionKey("slack", "T1", "C1", "6")
SETTINGS = """
archive:
  retention:
    default: forever
    places:
      slack:T1: 60d
      slack:T1:C1: 10d
"""


def at(days: float) -> datetime:
    return NOW - timedelta(days=days)


def position(days: float) -> int:
    return int(at(days).timestamp() * 1_000_000)


class Past:
    """Lets things have been said some days ago."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._process = Process(database, NoContext(), Wall(), HeldModel())

    async def ask(self, key: SessionKey, days: float, text: str, by: Author, reply: str) -> None:
        """A question, and its answer in two posts, which somebody liked."""
        said = Said(key, Message(position(days), by, text, at(days)), Addressed.MENTION, opens_thread=True)
        recorded = await self._process.records.record(said)
        turn = recorded.turn
        assert turn is not None
        first = position(days) + 1_000_000
        parts = [Part(1, first, len(reply) // 2), Part(2, first + 1, len(reply))]
        usage = Usage(model="held", prompt_tokens=1, completion_tokens=1, total_tokens=2)
        await self._process.turns.close(turn, Answer(reply, usage=usage), parts, at(days))
        await self._took(turn.id, days)
        await self._process.service.handle(Pressed(key, position(days), Button.GOOD, by))

    async def _took(self, turn: int, days: float) -> None:
        """The database's clock can't be turned back: what it wrote is."""
        then = sa.update(turns).where(turns.c.id == turn).values(created_at=at(days), finished_at=at(days))
        await self._database.write(lambda c: c.execute(then).rowcount)

    async def delete(self, key: SessionKey, *positions: int) -> None:
        """Somebody deletes messages on the platform, one by one."""
        for each in positions:
            await self._process.service.handle(Deleted(key, each))

    async def summarise(self, key: SessionKey, text: str) -> None:
        """What is in a session up to now is told in one block."""
        said = (await self._process.windows.newest(await self.session(key), 10)).messages
        block = Block(0, said[0].position - 1, said[-1].position, len(said), text)
        assert await self._process.summaries.put(await self.session(key), block, said)

    async def session(self, key: SessionKey) -> int:
        facts = await self._process.windows.facts(key)
        assert facts is not None
        return int(facts.id)


async def _fill(url: str, *, sealed: bool) -> None:
    async with opened(url) as db:
        past = Past(db)
        await past.ask(SHORT, 30, f"the {OLD} is at dawn", ANN, f"A {OLD}, I see.")
        await past.ask(MIXED, 30, f"another {OLD}", ANN, f"One more {OLD}.")
        await past.summarise(MIXED, f"Ann told of the {OLD}.")
        await past.ask(MIXED, 20, f"and the {OLD}", ANN, f"Yes, the {OLD}.")
        await past.ask(MIXED, 2, f"an {KEPT}", JOE, f"The {KEPT} stays.")
        await past.ask(LONGER, 30, f"a second {KEPT}", JOE, "Noted.")
        await past.summarise(LONGER, f"Joe told of the {KEPT}.")
        await past.ask(LENGTHY, 90, f"{OLD} of the past", ANN, f"That {OLD} again.")
        await past.ask(LENGTHY, 50, f"a third {KEPT}", JOE, "Noted too.")
        await past.summarise(LENGTHY, f"Ann told of the {OLD}, Joe of the {KEPT}.")
        await past.ask(EVER, 900, f"a fourth {KEPT}", JOE, "For ever.")
        await past.ask(EMPTIED, 30, f"the {OLD} was deleted", ANN, f"What {OLD}?")
        first = position(30)
        await past.delete(EMPTIED, first, first + 1_000_000, first + 1_000_001)
        if sealed:
            await Sealer(db).seal(1)


@pytest.fixture
def archive(request: pytest.FixtureRequest, folder: Path) -> Path:
    """An archive of several ages, with a `config.yaml` that says how long it is kept.

    Given a parameter: with a sealed index.
    """
    (folder / "data").mkdir()
    path = folder / "data" / "threadfly.db"
    asyncio.run(_fill(f"sqlite+aiosqlite:///{path}", sealed=getattr(request, "param", False)))
    (folder / "config.yaml").write_text(SETTINGS)
    return path


def rows(archive: Path) -> list[str]:
    """Every row of every table, with the table's name before it."""
    with closing(sqlite3.connect(archive)) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return [f"{name} {row}" for name in names for row in db.execute(f'SELECT * FROM "{name}"')]


def holding(archive: Path, *secrets: str) -> list[str]:
    """The rows with any of the words."""
    return [row for row in rows(archive) for word in secrets if word in row.lower()]


def check(archive: Path) -> None:
    """What is too old is in no row, what is not is where it was."""
    assert holding(archive, OLD, "zebrafish") == []
    assert len([row for row in holding(archive, KEPT) if row.startswith("messages ")]) == 5
    shown = threadfly("recall", "--all", KEPT).stdout
    assert [str(key) in shown for key in (MIXED, LONGER, LENGTHY, EVER, SHORT)] == [True] * 4 + [False]
    kept = {table: sum(row.startswith(f"{table} ") for row in rows(archive)) for table in COUNTED}
    assert kept == COUNTED


COUNTED = {"messages": 8, "turns": 4, "parts": 8, "feedback": 4, "erasures": 0}


@pytest.mark.parametrize("archive", [False, True], ids=["tail", "sealed"], indirect=True)
def test_purging_leaves_what_is_young_enough_and_nothing_else(archive: Path) -> None:
    assert holding(archive, OLD, "zebrafish")
    assert threadfly("purge").stdout == "8 messages are gone.\n"
    check(archive)
    assert holding(archive, f"joe told of the {KEPT}.")
    told = threadfly("recall", "--all", OLD).stdout
    assert told == f"I found nothing for “{OLD}”.\nI looked into everything that you can read here.\n"
    for path in archive.parent.rglob("*"):
        assert path.is_dir() or not [
            word for word in (OLD, "zebrafish") if word.encode() in path.read_bytes().lower()
        ]


def test_a_bot_that_runs_does_so_by_itself(archive: Path) -> None:
    with running() as (process, said):
        assert said.startswith("Threadfly is ready")
        give_up = time.monotonic() + TIMEOUT_S
        while holding(archive, OLD, "zebrafish") or holding(archive, "erasures "):
            assert process.poll() is None
            assert time.monotonic() < give_up, rows(archive)
            time.sleep(0.05)
        check(archive)
