"""What people want forgotten, and what a platform removed, is gone for good, and stays away."""

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot import words
from bot.domain import (
    Addressed,
    Answer,
    Author,
    Block,
    Button,
    Deleted,
    Edited,
    Gone,
    History,
    Message,
    Order,
    Outcome,
    Part,
    Pressed,
    Receipt,
    Recorded,
    Said,
    SessionKey,
)
from bot.errors import ArchiveUnavailable
from bot.finding import Place
from bot.forgetting import Forgetting, Retention
from bot.sheets import Scope
from storage.archive.carrying import Carrying
from storage.archive.erasing import AT_ONCE
from storage.archive.erasures import Erasures
from storage.database import Database
from storage.dragonfly import Dragonfly
from storage.hot import DragonflyContext, NoContext
from storage.search.clauses import clauses_of
from storage.search.find import find
from storage.search.sealing import Sealer
from storage.search.wanted import Wanted
from storage.search_tables import search_docs, search_tail, search_terms
from storage.tables import (
    erasures,
    feedback,
    messages,
    metadata,
    sessions,
    summaries,
    tombstones,
    turns,
)
from tests.databases import opened
from tests.fakes.core import HeldModel, Process, Wall
from tests.hot_servers import new_archive_id, raw_client, send

KEY = SessionKey("web", "w", "c", "1")
OTHER = replace(KEY, thread="2")
ELSEWHERE = replace(KEY, channel="d", thread="3")
ANN, JOE = Author("U1", "Ann Zebrafish"), Author("U2", "Joe")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
HERE = frozenset({Place("web", "w", "c"), Place("web", "w", "d")})
SECRET = "quetzalcoatl"


def message(position: int, text: str, by: Author = ANN) -> Message:
    return Message(position, by, text, T0 + timedelta(seconds=position))


def said(
    position: int,
    text: str,
    by: Author = ANN,
    key: SessionKey = KEY,
    addressed: Addressed = Addressed.MENTION,
) -> Said:
    return Said(key, message(position, text, by), addressed, opens_thread=True)


class Windows(NoContext):
    """Remembers which windows were dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.dropped: list[int] = []

    async def drop(self, session_id: int) -> None:
        self.dropped.append(session_id)


class World:
    """One process over one archive."""

    def __init__(self, database: Database) -> None:
        self.database, self.wall, self.model, self.hot = database, Wall(), HeldModel(), Windows()
        self.process = Process(database, self.hot, self.wall, self.model)

    async def say(self, *all_said: Said) -> Receipt:
        for each in all_said:
            receipt = await self.process.service.handle(each)
            await self.process.settle()
        return receipt

    async def order(self, text: str, by: Author = ANN, key: SessionKey = KEY) -> str:
        told = await self.process.service.order(Order(key, by, text))
        await self.process.forgetting.work()
        return told

    async def texts(self, key: SessionKey = KEY) -> list[str]:
        query = (
            sa.select(messages.c.text)
            .join(sessions, sessions.c.id == messages.c.session_id)
            .where(*(sessions.c[name] == getattr(key, name) for name in ("channel", "thread")))
            .order_by(messages.c.position)
        )
        return list(await self.database.read(lambda c: c.scalars(query).all()))

    async def found(self, word: str) -> list[int]:
        wanted = Wanted(HERE, clauses_of(word))
        return [hit.position for hit in (await self.database.read(lambda c: find(c, wanted, T0))).hits]

    async def rows(self, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
        query = sa.select(sa.func.count()).select_from(table).where(*where)
        return await self.database.read(lambda c: c.scalar(query)) or 0

    async def session(self, key: SessionKey = KEY) -> int:
        row = await self.process.windows.facts(key)
        assert row is not None
        return int(row.id)

    async def holds(self, *secrets: str) -> list[str]:
        """Tables in which any of the words is, in whatever column: all that the database has."""

        def looked(c: sa.Connection) -> list[str]:
            names = sa.inspect(c).get_table_names()
            assert set(names) >= set(metadata.tables)
            return [name for name in names if _is_in(c, name, secrets)]

        return await self.database.read(looked)


def _is_in(c: sa.Connection, table: str, secrets: Sequence[str]) -> bool:
    rows = c.execute(sa.text(f'SELECT * FROM "{table}"')).all()
    return any(secret in str(tuple(row)).lower() for row in rows for secret in secrets)


async def held_hot(url: str) -> str:
    """Every key of a hot server, and what it holds, whatever kind it is."""
    readers = {
        "string": lambda key: ("GET", key),
        "list": lambda key: ("LRANGE", key, 0, -1),
        "hash": lambda key: ("HGETALL", key),
        "set": lambda key: ("SMEMBERS", key),
        "zset": lambda key: ("ZRANGE", key, 0, -1),
    }
    held = []
    async with raw_client(url) as client:
        for key in await send(client, "KEYS", "*"):
            kind = (await send(client, "TYPE", key)).decode()
            held.append(str((key, await send(client, *readers[kind](key)))))
    return "\n".join(held).lower()


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


async def test_a_forgotten_thread_leaves_no_word_in_any_table(world: World) -> None:
    await world.say(said(1, f"the {SECRET} is here"), said(2, f"more {SECRET}", JOE))
    session = await world.session()
    block = Block(0, 0, 1, 1, f"Ann told of the {SECRET}")
    await world.process.summaries.put(session, block, [message(1, f"the {SECRET} is here")])
    await world.process.service.handle(Pressed(KEY, 1, Button.GOOD, ANN))
    assert await world.order("forget thread") == words.FORGETTING_THREAD
    assert await world.texts() == []
    assert await world.holds(SECRET, "zebrafish") == []
    assert (await world.found(SECRET), await world.rows(feedback), await world.rows(erasures)) == ([], 0, 0)
    assert await world.rows(summaries) == 0
    assert session in world.hot.dropped


async def test_no_key_of_the_hot_server_and_no_line_of_the_log_holds_a_word(
    database: Database, hot_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    server = Dragonfly(hot_url, timeout_s=20)
    hot = DragonflyContext(server, new_archive_id(), limit=100)
    process = Process(database, hot, Wall(), HeldModel())
    try:
        for each in (said(1, f"the {SECRET} is here"), said(2, "hello", JOE, OTHER)):
            await process.service.handle(each)
            await process.settle()
        assert SECRET in await held_hot(hot_url)
        await process.service.order(Order(KEY, ANN, "forget me yes"))
        await process.forgetting.work()
        left = await held_hot(hot_url)
        assert "hello" in left
        assert [secret for secret in (SECRET, "zebrafish") if secret in left] == []
        assert [secret for secret in (SECRET, "zebrafish") if secret in caplog.text.lower()] == []
    finally:
        await server.aclose()


async def test_it_is_gone_from_sealed_parts_of_the_index_too(world: World) -> None:
    await world.say(said(1, f"the {SECRET} is here"), said(2, "hello", JOE, OTHER))
    await Sealer(world.database).seal(1)
    await world.order("forget thread")
    assert await world.holds(SECRET, "zebrafish") == []
    assert await world.rows(search_docs) == await world.rows(messages) == 2
    assert await world.rows(search_tail) == 0
    assert await world.rows(search_terms) > 0


async def test_only_who_started_a_thread_and_admins_have_it_forgotten(world: World) -> None:
    await world.say(said(1, "hello"), said(2, "me too", JOE))
    assert await world.order("forget thread", JOE) == words.NOT_YOUR_THREAD
    assert len(await world.texts()) == 4
    assert await world.order("forget thread", JOE, OTHER) == words.NOTHING_TO_FORGET


async def test_a_mention_that_asks_is_not_kept_and_answers_the_asker_alone(world: World) -> None:
    await world.say(said(1, "hello"), said(50, "forget thread"), said(50, "forget thread"))
    await world.process.forgetting.work()
    assert world.wall.told == [words.FORGETTING_THREAD]
    assert await world.texts() == []
    assert len(world.model.prompts) == 1


async def test_other_words_after_forget_are_a_question(world: World) -> None:
    await world.say(said(1, "forget about it"))
    assert len(world.model.prompts) == 1


async def test_without_a_mention_it_is_no_command(world: World) -> None:
    await world.say(said(1, "hello"), said(2, "forget thread", addressed=Addressed.THREAD))
    assert len(await world.texts()) == 4


async def test_nothing_brings_a_forgotten_thread_back(world: World) -> None:
    await world.say(said(1, f"the {SECRET}"), said(3, "more"))
    await world.order("forget thread")
    again = said(1, f"the {SECRET}")
    assert await world.say(again, replace(again, answer=False), said(2, f"late {SECRET}")) is Receipt.KEPT
    assert (await world.texts(), len(world.model.prompts)) == ([], 2)
    world.wall.past = History((message(1, f"the {SECRET}"), message(2, f"never kept {SECRET}")), whole=True)
    later = said(9_000_000, "new things")
    assert await world.say(later) is Receipt.ANSWERING
    assert sorted(await world.texts()) == ["answer 1", "new things"]
    assert await world.holds(SECRET) == []


async def test_the_thread_goes_on_with_a_window_that_begins_anew(world: World) -> None:
    await world.say(said(1, f"the {SECRET}"))
    await world.process.service.order(Order(KEY, ANN, "forget thread"))
    await world.say(said(9_000_000, "and now?"))  # before anything was erased
    assert [m.text for m in world.model.prompts[-1].messages[1:]] == ["Ann Zebrafish: and now?"]


async def test_who_asks_to_be_forgotten_is_told_first_what_goes(world: World) -> None:
    await world.say(said(1, "one"), said(2, "two", key=OTHER), said(3, "three", JOE, OTHER))
    told = await world.order("forget me")
    assert "2 messages" in told
    assert "2 threads" in told
    assert "`forget me yes`" in told
    assert len(await world.texts(OTHER)) == 4


async def test_what_somebody_said_goes_with_the_answers_to_it_and_what_others_said_stays(
    world: World,
) -> None:
    await world.say(
        said(1, f"the {SECRET}"),
        said(2, "and what do you say?", JOE),
        said(3, f"again the {SECRET}", key=OTHER),
        said(4, f"{SECRET}", key=ELSEWHERE),
    )
    assert await world.order("forget me yes") == words.FORGETTING_YOU
    assert await world.texts() == ["and what do you say?", "answer 3"]
    assert (await world.texts(OTHER), await world.texts(ELSEWHERE)) == ([], [])
    assert await world.holds(SECRET, "zebrafish") == []
    assert await world.rows(turns, turns.c.asker_id == ANN.id) == 0
    assert await world.rows(sessions, sessions.c.started_by == ANN.id) == 0


async def test_what_is_yet_to_be_erased_is_in_no_export(world: World) -> None:
    await world.say(said(1, f"my word is {SECRET}"), said(3, "mine is another", JOE))
    await world.process.service.order(Order(KEY, ANN, "forget me yes"))
    assert SECRET in str(await world.texts()), "nothing is erased yet"

    pieces = [piece async for piece in Carrying(world.database).out(Scope("web", "w", "c", "1"))]
    assert SECRET not in str(pieces)
    assert ANN.name not in str(pieces), "as who asked either"
    assert "mine is another" in str(pieces)


async def test_an_answer_to_several_people_goes_if_one_of_them_is_forgotten(world: World) -> None:
    world.model.open.clear()
    await world.process.service.handle(said(1, "hello", JOE))
    await world.process.service.handle(said(2, "mine", ANN))
    await world.process.service.handle(said(3, "and mine", JOE))
    world.model.open.set()
    await world.process.settle()
    assert await world.texts() == ["hello", "mine", "and mine", "answer 1", "answer 4"]
    await world.order("forget me yes")
    assert await world.texts() == ["hello", "and mine", "answer 1"]


async def test_nothing_that_somebody_said_before_comes_back(world: World) -> None:
    await world.say(said(1, f"the {SECRET}"), said(2, "hello", JOE))
    await world.order("forget me yes")
    world.wall.past = History((message(1, f"the {SECRET}"), message(4, f"never kept {SECRET}")), whole=True)
    await world.say(said(1, f"the {SECRET}"), said(5, f"late {SECRET}"), said(6, f"late {SECRET}", key=OTHER))
    await world.say(said(9_000_000, "how are you?", JOE, ELSEWHERE))
    assert sorted(await world.texts(ELSEWHERE)) == ["answer 1", "how are you?"]
    assert await world.holds(SECRET) == []
    assert await world.process.windows.facts(OTHER) is None


async def test_an_edit_of_what_was_forgotten_brings_nothing_back(world: World) -> None:
    await world.say(said(1, "hello"))
    await world.order("forget me yes")
    edited = replace(message(3, f"the {SECRET}"), edited_at=T0 + timedelta(days=1))
    for key in (KEY, OTHER):
        assert await world.process.service.handle(Edited(key, edited, Addressed.MENTION)) is Receipt.IGNORED
    assert await world.holds(SECRET) == []
    assert await world.process.windows.facts(OTHER) is None


async def test_what_somebody_says_after_being_forgotten_is_kept(world: World) -> None:
    await world.say(said(1, "hello"), said(50, "forget me yes"))
    await world.process.forgetting.work()
    assert world.wall.told == [words.FORGETTING_YOU]
    await world.say(said(60, "hello again"))
    assert (await world.texts())[0] == "hello again"


async def test_an_answer_that_is_being_written_is_stopped_and_not_kept(world: World) -> None:
    world.model.open.clear()
    world.model.begins = "The beginning"
    await world.process.service.handle(said(1, f"the {SECRET}"))
    await world.process.service.handle(said(2, f"and the {SECRET}"))
    await world.model.asked.wait()
    await world.order("forget thread")
    await world.process.keeper.renew()
    await world.process.settle()
    assert await world.texts() == []
    assert len(world.model.prompts) == 1
    assert await world.rows(turns, turns.c.state.in_(["queued", "running"])) == 0
    (post,) = world.wall.posts
    assert await world.rows(tombstones, tombstones.c.position == post) == 1
    world.model.open.set()
    assert await world.say(said(9_000_000, "go on")) is Receipt.ANSWERING


async def test_an_answer_that_had_no_word_yet_is_never_posted_once_its_thread_is_forgotten(
    world: World,
) -> None:
    world.model.open.clear()
    await world.process.service.handle(said(1, f"the {SECRET}"))
    await world.model.asked.wait()
    await world.order("forget thread")
    await world.process.keeper.renew()
    await world.process.settle()
    assert (await world.texts(), world.wall.posts) == ([], {})


async def test_a_reply_of_many_posts_comes_back_by_none_of_them(world: World) -> None:
    recorded = await world.process.records.record(said(1, "hello"))
    assert recorded.turn is not None
    await world.process.turns.close(recorded.turn, Answer("onetwo"), [Part(1, 10, 3), Part(2, 11, 6)], T0)
    await world.order("forget me yes")
    assert await world.rows(tombstones, tombstones.c.position.in_([1, 10, 11])) == 3


async def test_a_failed_answer_to_what_was_forgotten_is_not_tried_again(world: World) -> None:
    recorded = await world.process.records.record(said(1, "hello"))
    assert recorded.turn is not None
    await world.process.turns.close(recorded.turn, Answer("", Outcome.FAILED), [], T0)
    await world.order("forget me yes")
    assert await world.process.turns.again(KEY, 1) == Recorded(Receipt.IGNORED)


async def test_an_answer_that_outlives_the_erasing_of_its_thread_leaves_no_turn(world: World) -> None:
    world.model.open.clear()
    world.model.begins = "The beginning"
    await world.process.service.handle(said(1, f"the {SECRET}"))
    await world.model.asked.wait()
    await world.process.service.handle(Gone("web", "w", "c", "1"))
    await world.process.forgetting.work()
    await world.process.keeper.renew()
    await world.process.settle()
    assert (await world.texts(), await world.rows(turns, sa.true())) == ([], 0)


@pytest.mark.parametrize("place", [Gone("web", "w", "c", "1"), Gone("web", "w", "c", None)])
async def test_what_a_platform_removed_is_erased(world: World, place: Gone) -> None:
    await world.say(said(1, f"the {SECRET}"), said(2, "hello", JOE, OTHER), said(3, "hi", key=ELSEWHERE))
    assert await world.process.service.handle(place) is Receipt.KEPT
    await world.process.forgetting.work()
    assert await world.texts() == []
    assert len(await world.texts(OTHER)) == (2 if place.thread else 0)
    assert len(await world.texts(ELSEWHERE)) == 2
    assert await world.holds(SECRET) == []
    assert await world.rows(tombstones, tombstones.c.position == 1) == 1


async def test_nothing_is_taken_in_from_a_place_that_is_gone(world: World) -> None:
    await world.say(said(1, "hello"))
    await world.process.service.handle(Gone("web", "w", "c", None))
    await world.process.forgetting.work()
    assert await world.say(said(5, "late"), said(6, "late too", key=OTHER)) is Receipt.IGNORED
    assert await world.rows(messages) == 0


async def test_a_place_may_be_gone_before_its_first_message_comes(world: World) -> None:
    assert await world.process.service.handle(Gone("web", "w", "c", "1")) is Receipt.IGNORED
    assert await world.say(said(1, "hello")) is Receipt.IGNORED
    assert await world.say(said(2, "hello", key=OTHER)) is Receipt.ANSWERING


class Dying(Erasures):
    """Fails at its nth step."""

    def __init__(self, database: Database, nth: int) -> None:
        super().__init__(database)
        self.left = nth

    def _step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise ArchiveUnavailable("killed")

    async def quell(self, *a: object) -> None:
        self._step()
        await super().quell(*a)  # type: ignore[arg-type]

    async def erase(self, *a: object) -> int:
        self._step()
        return await super().erase(*a)  # type: ignore[arg-type]

    async def tidy(self, *a: object) -> None:
        self._step()
        await super().tidy(*a)  # type: ignore[arg-type]

    async def advance(self, *a: object) -> None:
        self._step()
        await super().advance(*a)  # type: ignore[arg-type]

    async def finish(self, *a: object) -> None:
        self._step()
        await super().finish(*a)  # type: ignore[arg-type]


async def test_a_crash_at_any_step_is_resumed(world: World) -> None:
    everything: Sequence[Said] = [
        *(said(n, f"{SECRET} {n}", key=KEY) for n in range(1, AT_ONCE + 5)),
        said(100, SECRET, key=OTHER),
    ]
    for each in everything:
        await world.process.records.record(replace(each, answer=False))
    await world.process.service.handle(Gone("web", "w", "c", None))
    died = 0
    for nth in range(100):
        try:
            await Forgetting(Dying(world.database, nth), world.hot, breath_s=0).work()
        except ArchiveUnavailable:
            died += 1
    assert died > 5
    assert await world.rows(messages) == await world.rows(erasures) == 0
    assert await world.holds(SECRET) == []
    assert {await world.session(), await world.session(OTHER)} <= set(world.hot.dropped)


class TestRetention:
    KEEP_S = 1000.0
    NOW = T0 + timedelta(seconds=2000)

    async def purge(self, world: World, retention: Retention) -> int:
        forgetting = Forgetting(Erasures(world.database), world.hot, retention, breath_s=0)
        await forgetting.age(self.NOW)
        return await forgetting.work()

    async def test_what_is_too_old_goes_and_the_rest_stays(self, world: World) -> None:
        for position in (1, 900, 1100, 1200):
            await world.process.records.record(replace(said(position, f"at {position}"), answer=False))
        assert await self.purge(world, Retention(self.KEEP_S, {})) == 2
        assert await world.texts() == ["at 1100", "at 1200"]
        assert await self.purge(world, Retention(self.KEEP_S, {})) == 0
        assert await world.rows(tombstones) == 0

    async def test_it_is_not_fetched_again(self, world: World) -> None:
        for position in (1, 900, 1100):
            await world.process.records.record(replace(said(position, f"at {position}"), answer=False))
        await self.purge(world, Retention(self.KEEP_S, {}))
        for position in (1, 2, 900):
            await world.process.records.record(replace(said(position, f"at {position}"), answer=False))
        assert await world.texts() == ["at 1100"]

    @pytest.mark.parametrize(
        ("places", "left"),
        [({}, [0, 0]), ({"web:w": None}, [1, 1]), ({"web:w": None, "web:w:c": 10.0}, [0, 1])],
    )
    async def test_the_narrowest_place_decides(
        self, world: World, places: dict[str, float | None], left: list[int]
    ) -> None:
        for key in (KEY, ELSEWHERE):
            await world.process.records.record(replace(said(1, "hello", key=key), answer=False))
        await self.purge(world, Retention(self.KEEP_S, places))
        assert [len(await world.texts(key)) for key in (KEY, ELSEWHERE)] == left

    async def test_a_turn_whose_messages_were_deleted_one_by_one_goes_too(self, world: World) -> None:
        await world.say(said(1, "hello"))
        for position in (1, *world.wall.posts):
            await world.process.service.handle(Deleted(KEY, position))
        assert (await world.texts(), await world.rows(turns)) == ([], 1)
        retention = Retention(self.KEEP_S, {})
        forgetting = Forgetting(Erasures(world.database), world.hot, retention, breath_s=0)
        await forgetting.age(datetime.now(UTC))
        assert (await forgetting.work(), await world.rows(turns)) == (0, 1)
        await forgetting.age(datetime.now(UTC) + timedelta(seconds=2 * self.KEEP_S))
        assert (await forgetting.work(), await world.rows(turns)) == (0, 0)

    def test_by_default_everything_is_kept(self) -> None:
        assert Retention(None, {}).off
        assert not Retention(None, {"web:w": 5.0}).off


async def test_the_files_can_be_scrubbed_at_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    await world.say(said(1, "hello"))
    await world.order("forget me yes")
    assert not [
        record for record in caplog.records if getattr(record, "event", "") in {"unscrubbed", "unvacuumed"}
    ]


class TestFile:
    """SQLite's files, byte by byte."""

    @pytest.fixture
    async def small(self, tmp_path: Path) -> AsyncIterator[World]:
        async with opened(f"sqlite+aiosqlite:///{tmp_path / 'archive.db'}") as database:
            yield World(database)

    @staticmethod
    def held(folder: Path, *secrets: str) -> list[str]:
        """Files under `folder` that hold any of the words."""
        files = [path for path in folder.rglob("*") if path.is_file()]
        return [
            path.name
            for path in files
            if any(secret.encode() in path.read_bytes().lower() for secret in secrets)
        ]

    @pytest.mark.parametrize("sealed", [False, True])
    async def test_the_words_are_in_no_file(self, small: World, tmp_path: Path, sealed: bool) -> None:
        draw = random.Random(5)
        for position in range(1, 400):
            by, key = draw.choice([ANN, JOE]), draw.choice([KEY, OTHER, ELSEWHERE])
            text = " ".join(draw.choice(WORDS) * draw.randint(1, 9) for _ in range(draw.randint(1, 60)))
            mine = f"{text} {SECRET}{position} {text}" if by is ANN else text
            await small.process.records.record(replace(said(position, mine, by, key), answer=False))
        if sealed:
            await Sealer(small.database).seal(1)
        assert self.held(tmp_path, SECRET, "zebrafish")
        await small.order("forget me yes")
        assert await small.rows(messages) > 100
        assert self.held(tmp_path, SECRET, "zebrafish") == []

    async def test_long_texts_leave_nothing_either(self, small: World, tmp_path: Path) -> None:
        for position in range(1, 30):
            text = f"{SECRET} " * (3 ** (position % 9))
            await small.process.records.record(replace(said(position, text), answer=False))
        await small.order("forget thread")
        assert self.held(tmp_path, SECRET, "zebrafish") == []


WORDS = ("login", "page", "decided", "tomorrow", "the", "of", "café", "日本", "foo_bar")
