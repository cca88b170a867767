"""What was taken out of the index leaves nothing there and takes nothing with it, whenever it happens."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from bot.domain import (
    OURSELVES,
    Addressed,
    Answer,
    Author,
    Deleted,
    Edited,
    History,
    Message,
    Part,
    Said,
    SessionKey,
    Speaker,
    Turn,
)
from bot.finding import Place
from bot.sheets import Entry as Line
from bot.sheets import Sheet
from storage.archive.carrying import Carrying
from storage.archive.claims import Claimant
from storage.archive.lending import Lending
from storage.archive.records import Records
from storage.archive.turns import Turns
from storage.database import Database
from storage.search import sealing
from storage.search.clauses import clauses_of
from storage.search.find import find
from storage.search.index import Entry, index, unindex
from storage.search.sealing import Sealer
from storage.search.upkeep import Upkeep
from storage.search.wanted import Wanted
from storage.search_tables import (
    FORMAT,
    search_backlog,
    search_buckets,
    search_docs,
    search_sealing,
    search_tail,
    search_terms,
)
from storage.tables import messages
from tests.databases import fresh_database, opened

KEY = SessionKey("web", "w", "c", "1")
HERE = Place("web", "w", "c")
ANN = Author("U1", "Ann")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
WAIT_S = 30.0


def message(position: int, text: str, by: Author = ANN) -> Message:
    return Message(position, by, text, T0 + timedelta(minutes=position))


def entries(many: int) -> list[Entry]:
    return [Entry(1, n, HERE, "U1", f"word{n}", T0 + timedelta(minutes=n)) for n in range(1, many + 1)]


async def found(database: Database, word: str) -> list[int]:
    wanted = Wanted(frozenset({HERE}), clauses_of(word))
    return [hit.position for hit in (await database.read(lambda c: find(c, wanted, T0))).hits]


async def rows(database: Database, table: sa.Table) -> Sequence[Any]:
    return await database.read(lambda c: c.execute(sa.select(table)).all())


async def records_of(database: Database, lent_s: float | None = 1_000) -> Records:
    """Of an archive in which everything that is only read is lent."""
    return Records(database, Claimant("one", 60), lent_s=lent_s)


async def lent(database: Database, read: Message) -> Records:
    return (await begun(database, read))[0]


async def begun(database: Database, read: Message, lent_s: float | None = 1_000) -> tuple[Records, Turn]:
    """A turn runs, and `read` was found above it."""
    records = await records_of(database, lent_s)
    recorded = await records.record(Said(KEY, message(100, "hello"), Addressed.MENTION))
    assert isinstance(recorded.turn, Turn)
    await records.add_history(recorded.turn, History((read,), whole=True))
    return records, recorded.turn


async def closed(database: Database, turn: Turn, answer: str) -> None:
    """The turn ends with one post at 101."""
    await Turns(database, Claimant("one", 60)).close(turn, Answer(answer), [Part(1, 101, len(answer))], T0)


async def test_a_message_is_taken_out_by_the_name_that_it_was_said_under(database: Database) -> None:
    records = await records_of(database)
    await records.record(Said(KEY, message(5, "lion"), Addressed.MENTION, answer=False))
    renamed = replace(message(5, "tiger", Author("U1", "Josephine")), edited_at=T0 + timedelta(days=1))
    assert await records.edit(Edited(KEY, renamed, Addressed.MENTION))
    await Sealer(database).seal(1)
    await records.delete(Deleted(KEY, 5))
    assert await rows(database, search_terms) == []


async def test_what_was_read_before_it_was_told_is_found_as_it_reads(database: Database) -> None:
    records = await lent(database, message(5, "tiger"))
    await records.record(Said(KEY, message(5, "lion", Author("U1", "Josephine")), Addressed.THREAD))
    assert [await found(database, word) for word in ("lion", "tiger")] == [[], [5]]
    await Sealer(database).seal(1)
    for position in (5, 100):
        await records.delete(Deleted(KEY, position))
    assert await rows(database, search_terms) == []


async def test_a_reply_that_was_heard_before_it_was_closed_goes_by_the_name_that_it_was_heard_under(
    database: Database,
) -> None:
    """Its post was read from the platform, under the app's name there, by whoever it was posted for."""
    heard = message(101, "lion", Author("B7", "Josephine", Speaker.BOT))
    records, turn = await begun(database, heard, lent_s=None)
    await closed(database, turn, "tiger")
    assert [await found(database, word) for word in ("lion", "tiger")] == [[], [101]]
    await Sealer(database).seal(1)
    for position in (101, 100):
        await records.delete(Deleted(KEY, position))
    assert await rows(database, search_terms) == []


async def test_a_reply_that_was_only_read_before_it_was_closed_is_kept(database: Database) -> None:
    records, turn = await begun(database, message(101, "lion", OURSELVES))
    await closed(database, turn, "tiger")
    lending = Lending(database)
    while some := await lending.due(T0 + timedelta(days=10_000)):
        assert [await lending.give_back(each, T0 + timedelta(days=10_000)) for each in some]
    assert [row.text for row in await rows(database, messages)] == ["hello", "tiger"]
    assert await found(database, "tiger") == [101]
    for position in (101, 100):
        await records.delete(Deleted(KEY, position))
    assert await rows(database, search_tail) == []


async def test_a_file_that_tells_a_place_twice_leaves_nothing_of_the_second(database: Database) -> None:
    sheet = Sheet(KEY, started_by="U1", title="", created_at=T0, active_at=T0)
    lines = [Line(message(5, "lion"), ""), Line(message(5, "tiger"), "")]
    await Carrying(database).take_in(sheet, lines)
    assert [await found(database, word) for word in ("lion", "tiger")] == [[5], []]
    await Sealer(database).seal(1)
    await (await records_of(database)).delete(Deleted(KEY, 5))
    assert await rows(database, search_terms) == []


async def test_what_is_lent_is_not_taken_in_when_the_index_is_made_anew(database: Database) -> None:
    await lent(database, message(5, "albatross"))
    await database.write(lambda c: c.execute(sa.update(search_backlog).values(format=FORMAT - 1)))
    upkeep = Upkeep(database)
    while await upkeep.step():
        pass
    assert [await found(database, word) for word in ("hello", "albatross")] == [[100], []]
    assert len(await rows(database, search_tail)) == 1
    assert len(await rows(database, messages)) == 2


async def test_taking_a_long_text_out_costs_no_statement_for_each_of_its_words(database: Database) -> None:
    """Everybody who writes waits for it."""
    text = " ".join(f"word{n}" for n in range(2_000))
    await database.write(lambda c: index(c, [Entry(1, 1, HERE, "U1", text, T0), *entries(3)[1:]]))
    await Sealer(database).seal(1)
    run: list[str] = []

    def counted(*about: Any) -> None:
        run.append(about[2])

    def taken(c: sa.Connection) -> None:
        sa.event.listen(c, "before_cursor_execute", counted)
        unindex(c, 1, 1, text)
        sa.event.remove(c, "before_cursor_execute", counted)

    await database.write(taken)
    assert len(run) < 10
    assert [await found(database, word) for word in ("word1", "word2", "word1999")] == [[], [2], []]


async def until_shown(database: Database) -> Sealer:
    """Whoever seals has all but taken its messages off the tail."""
    sealer = Sealer(database)
    while not await rows(database, search_buckets):
        assert await sealer.step(1)
    return sealer


@pytest.mark.parametrize("newcomer", [entries(6)[-1], Entry(2, 1, HERE, "U1", "x", T0)])
async def test_what_comes_as_another_goes_stays_in_the_tail(database: Database, newcomer: Entry) -> None:
    """SQLite gives the id of its newest row out again."""
    *_, newest = said = entries(6)
    await database.write(lambda c: index(c, said))
    sealer = await until_shown(database)

    def replaced(c: sa.Connection) -> None:
        unindex(c, newest.session_id, newest.position, newest.text)
        index(c, [replace(newcomer, text="albatross")])

    await database.write(replaced)
    await sealer.seal(len(said))
    assert await rows(database, search_sealing) == []
    assert await found(database, "albatross") == [newcomer.position]


async def test_a_bucket_takes_in_nothing_newer_than_itself(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a search for what is newer would pass it over."""
    monkeypatch.setattr(sealing, "MESSAGES_AT_ONCE", 2)
    *_, newest = said = entries(6)
    await database.write(lambda c: index(c, said))
    sealer = Sealer(database)
    while not await rows(database, search_docs):
        assert await sealer.step(1)
    later = Entry(2, 1, HERE, "U1", "albatross", T0 + timedelta(days=5))

    def replaced(c: sa.Connection) -> None:
        unindex(c, newest.session_id, newest.position, newest.text)
        index(c, [later])

    await database.write(replaced)
    await sealer.seal(len(said))
    wanted = Wanted(frozenset({HERE}), clauses_of("albatross"), after=T0 + timedelta(days=4))
    assert (await database.read(lambda c: find(c, wanted, T0))).hits


class TestOnPostgres:
    """Where somebody takes messages out while a bucket is begun with them."""

    async def test_nothing_of_them_gets_into_it(self, postgres_server: sa.URL) -> None:
        url = await fresh_database(postgres_server)
        said = entries(6)
        async with opened(url) as database:
            await database.write(lambda c: index(c, said))
            engine = create_async_engine(url)
            async with engine.connect() as other:
                await other.run_sync(lambda c: unindex(c, 1, 3, "word3"))
                sealed = asyncio.create_task(Sealer(database).seal(1))
                await eventually(database, lambda c: sealed.done() or _waits(c))
                await other.commit()
            await sealed
            await engine.dispose()
            await database.write(lambda c: index(c, [replace(said[2], text="albatross")]))
            await Sealer(database).seal(1)
            assert await found(database, "albatross") == [3]
            assert "word3" not in str(await rows(database, search_docs))
            assert "word3" not in str(await rows(database, search_terms))


def _waits(c: sa.Connection) -> bool:
    """Whether somebody waits for a lock."""
    here = sa.text(
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return c.execute(here).first() is not None


async def eventually(database: Database, true: Callable[[sa.Connection], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not await database.read(true):  # noqa: ASYNC110 - the database is another process
            await asyncio.sleep(0.01)
