"""The index looked after: sealed by itself, and made for an archive that is older than it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from alembic import command

from bot.domain import Addressed, Author, Deleted, Edited, Message, Said, SessionKey
from bot.finding import Place
from storage import schema
from storage.archive.claims import Claimant
from storage.archive.records import Records
from storage.database import Database
from storage.search import upkeep
from storage.search.clauses import clauses_of
from storage.search.find import find
from storage.search.index import Entry, index
from storage.search.sealing import Sealer
from storage.search.slots import SLOTS
from storage.search.upkeep import STEP, Upkeep
from storage.search.wanted import Wanted
from storage.search_tables import (
    FORMAT,
    search_backlog,
    search_buckets,
    search_docs,
    search_tail,
    search_terms,
)
from storage.tables import messages

KEY = SessionKey("web", "w", "c", "1")
HERE = frozenset({Place("web", "w", "c")})
T0 = datetime(2026, 1, 1, tzinfo=UTC)


def message(position: int, text: str, edited: int | None = None) -> Message:
    at = T0 + timedelta(seconds=position)
    return Message(position, Author("U1", "Ann"), text, at, edited_at=edited and T0 + timedelta(days=edited))  # type: ignore[arg-type]


async def said(db: Database, texts: Sequence[str], first: int = 1) -> Records:
    records = Records(db, Claimant("one", 60))
    for position, text in enumerate(texts, first):
        await records.record(Said(KEY, message(position, text), Addressed.MENTION, answer=False))
    return records


async def found(db: Database, word: str) -> list[int]:
    wanted = Wanted(HERE, clauses_of(word))
    hits = (await db.read(lambda c: find(c, wanted, T0))).hits
    return [hit.position for hit in hits]


async def rows(db: Database, table: sa.Table) -> int:
    return await db.read(lambda c: c.scalar(sa.select(sa.func.count()).select_from(table))) or 0


async def settle(db: Database) -> None:
    looking_after = Upkeep(db)
    while await looking_after.step():
        pass


async def emptied(db: Database) -> None:
    """As an archive is that was made before there was an index."""
    last = await db.read(lambda c: c.scalar(sa.select(sa.func.max(messages.c.id))))
    for table in (search_tail, search_docs, search_terms, search_buckets):
        await db.write(lambda c, t=table: c.execute(sa.delete(t)))  # type: ignore[misc]
    await db.write(lambda c: c.execute(sa.update(search_backlog).values(done_id=0, last_id=last)))


async def test_a_full_tail_is_sealed_and_is_found_as_before(database: Database) -> None:
    await said(database, ["zebra"])
    (place,) = HERE
    filler = [Entry(99, n, place, "U1", f"filler {n}", T0) for n in range(1, SLOTS + 1)]
    await database.write(lambda c: index(c, filler))
    await settle(database)
    assert (await rows(database, search_buckets), await rows(database, search_tail)) == (1, 1)
    assert await found(database, "zebra") == [1]


async def test_nothing_is_sealed_that_is_not_worth_it(database: Database) -> None:
    await said(database, ["zebra"])
    assert not await Upkeep(database).step()
    assert await rows(database, search_buckets) == 0


async def test_an_older_archive_is_taken_in_step_by_step(database: Database) -> None:
    await said(database, [f"lion{n} roars" for n in range(2 * STEP + 5)])
    await emptied(database)
    assert await found(database, "lion3") == []
    await said(database, ["tiger"], first=1000)
    assert await Upkeep(database).step()
    assert (await found(database, "lion3"), await found(database, f"lion{2 * STEP}")) == ([4], [])
    await settle(database)
    assert await found(database, f"lion{2 * STEP}") == [2 * STEP + 1]
    assert await found(database, "tiger") == [1000]
    assert await rows(database, search_tail) == 2 * STEP + 6


async def test_an_index_of_another_format_is_made_anew_step_by_step(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "TAKEN_AWAY", 20)
    await said(database, ["lion", *(f"filler {n}" for n in range(40))])
    await Sealer(database).seal(1)
    renamed = sa.update(search_terms).values(term=search_terms.c.term + "old")
    await database.write(lambda c: c.execute(renamed))
    await database.write(lambda c: c.execute(sa.update(search_backlog).values(format=FORMAT - 1)))
    records = await said(database, ["tiger", "zebra"], first=1000)
    assert await found(database, "lion") == []
    looking_after = Upkeep(database)
    assert await looking_after.step()
    await records.edit(Edited(KEY, message(1, "gnu", edited=1), Addressed.THREAD))
    await records.delete(Deleted(KEY, 1001))
    await settle(database)
    assert await found(database, "gnu") == [1]
    assert await found(database, "tiger") == [1000]
    assert [await found(database, word) for word in ("lion", "zebra")] == [[], []]
    assert await rows(database, search_tail) == await rows(database, messages)
    old = sa.select(search_terms.c.term).where(search_terms.c.term.like("%old"))
    assert await database.read(lambda c: c.execute(old).all()) == []


async def test_an_index_of_the_last_format_is_in_nobodys_way_until_it_is_made_anew(
    database: Database,
) -> None:
    records = await said(database, ["lion", "zebra", "gnu"])
    await Sealer(database).seal(1)
    await database.write(lambda c: command.downgrade(schema._config(c), "0008"))
    shorter = sa.update(search_terms).values(slots=b"\x00\x00")
    await database.write(lambda c: c.execute(shorter))
    await database.write(lambda c: c.execute(sa.update(search_backlog).values(format=2)))
    await schema.migrate(database)
    assert await found(database, "lion") == []
    await records.edit(Edited(KEY, message(1, "tiger", edited=1), Addressed.THREAD))
    await records.delete(Deleted(KEY, 2))
    await settle(database)
    assert [await found(database, word) for word in ("lion", "tiger", "zebra", "gnu")] == [[], [1], [], [3]]
    assert await rows(database, search_terms) == 0


async def test_a_new_archive_has_an_index_of_this_format(database: Database) -> None:
    await said(database, ["lion"])
    assert not await Upkeep(database).step()


async def test_what_changes_before_its_turn_has_come_is_found_as_it_reads(database: Database) -> None:
    records = await said(database, ["lion", "zebra", "gnu"])
    await emptied(database)
    await records.edit(Edited(KEY, message(1, "tiger", edited=1), Addressed.THREAD))
    await records.delete(Deleted(KEY, 2))
    await settle(database)
    assert [await found(database, word) for word in ("lion", "tiger", "zebra", "gnu")] == [[], [1], [], [3]]
