"""A disk that fills up under SQLite: what was acknowledged is kept, and it goes on once there is room."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.domain import Addressed, Author, Message, Said, SessionKey
from bot.errors import ArchiveUnavailable
from storage.archive.claims import Claimant
from storage.archive.records import Records
from storage.database import Database
from storage.tables import messages
from tests.databases import opened

KEY = SessionKey("slack", "T1", "C1", "1")
PAGES = 10
"""Room that is left."""
ENOUGH = 200
"""Messages that have no room there."""


def said(position: int) -> Said:
    text = f"number {position} " * 100
    message = Message(position, Author("U1", "Ann"), text, datetime(2026, 1, 1, tzinfo=UTC))
    return Said(KEY, message, Addressed.MENTION, answer=False)


@pytest.fixture
async def full(tmp_path: Path) -> AsyncIterator[Database]:
    """An archive that has little room, until the first that finds none has let go of its connection."""
    async with opened(f"sqlite+aiosqlite:///{tmp_path / 'archive.db'}") as database:
        pages = await database.read(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar_one())
        most = f"PRAGMA max_page_count = {pages + PAGES}"
        assert await database.write(lambda c: c.exec_driver_sql(most).scalar_one()) == pages + PAGES
        yield database


async def there(database: Database) -> Sequence[int]:
    query = sa.select(messages.c.position).order_by(messages.c.position)
    return await database.read(lambda c: c.scalars(query).all())


async def test_what_was_kept_stays_and_more_is_kept_once_there_is_room(full: Database) -> None:
    records, kept, told = Records(full, Claimant("one", 60)), 0, ""
    while not told and kept < ENOUGH:
        try:
            await records.record(said(kept + 1))
            kept += 1
        except ArchiveUnavailable as error:
            told = str(error)
    assert told.startswith("The disk of the archive is full. Make room")
    assert kept > 1
    assert await there(full) == list(range(1, kept + 1))
    assert (await records.record(said(kept + 1))).fresh
    assert await there(full) == list(range(1, kept + 2))


async def test_of_many_at_once_those_are_kept_that_were_told_so(full: Database) -> None:
    records = Records(full, Claimant("one", 60))
    told = await asyncio.gather(
        *(records.record(said(position)) for position in range(1, ENOUGH)), return_exceptions=True
    )
    kept = [position for position, one in enumerate(told, 1) if not isinstance(one, BaseException)]
    assert any(isinstance(one, ArchiveUnavailable) for one in told)
    assert await there(full) == kept
