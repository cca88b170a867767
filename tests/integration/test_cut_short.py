"""An answer that may not go on: its question is deleted, or the right to write is taken away."""

import asyncio
from dataclasses import replace

import pytest
import sqlalchemy as sa

from adapters.posts import Showing
from bot import words
from bot.domain import Addressed, Deleted, Receipt
from bot.errors import PlatformForbidden
from bot.ports import Journal, Reply
from storage.database import Database, SqliteDatabase
from storage.tables import messages, turns
from tests.fakes.core import Process
from tests.integration.test_crashes import LONG, Life, MortalModel, Room, RoomPlatform, RoomPosts, Scene

PATIENCE_S = 20


class Stage(Scene):
    """One thread, a process that answers in it, and what people see."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, Room(), "1")
        self.model = MortalModel(LONG, Life())
        self.one = self.process("one", Life(), self.model)

    async def half(self) -> list[str]:
        """Let the answer grow to its middle; what people then read."""
        async with asyncio.timeout(PATIENCE_S):
            assert await self.one.service.handle(self.first) is Receipt.ANSWERING
            await self.model.middle.wait()
            while not self.room.read("1"):  # noqa: ASYNC110 - the writer tells nobody
                await asyncio.sleep(0.001)
            await self.idle()
        return self.room.read("1")

    async def idle(self) -> None:
        """Until the writer has nothing more to show."""
        for _ in range(200):
            await asyncio.sleep(0)

    async def delete(self, position: int) -> None:
        await self.one.service.handle(Deleted(self.key, position))

    async def end(self, process: Process | None = None) -> None:
        async with asyncio.timeout(PATIENCE_S):
            self.model.go_on.set()
            await (process or self.one).settle()

    async def replies(self) -> list[tuple[str, str]]:
        """Text and note of what is archived of ours."""
        query = sa.select(messages.c.text, messages.c.note).where(messages.c.kind == "bot")
        return await self.database.read(lambda c: [(row.text, row.note) for row in c.execute(query)])

    async def states(self) -> list[str]:
        query = sa.select(turns.c.state).order_by(turns.c.asked_position)
        return await self.database.read(lambda c: list(c.execute(query).scalars()))


@pytest.fixture
def stage(database: Database) -> Stage:
    return Stage(database)


@pytest.mark.parametrize("opens_thread", [True, False])
async def test_a_question_that_is_deleted_before_its_turn_loads_gets_no_answer(
    stage: Stage, opens_thread: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted, open_reply = asyncio.Event(), RoomPlatform.open_reply

    async def slow(platform: RoomPlatform, journal: Journal) -> Reply:
        await deleted.wait()
        return await open_reply(platform, journal)

    monkeypatch.setattr(RoomPlatform, "open_reply", slow)
    await stage.one.service.handle(replace(stage.first, opens_thread=opens_thread))
    await stage.delete(stage.first.message.position)
    deleted.set()
    await stage.end()
    assert stage.room.read("1") == []
    assert await stage.replies() == []
    assert await stage.states() == ["dropped"]


async def test_nor_does_one_whose_deletion_shares_its_commit(stage: Stage) -> None:
    if not isinstance(stage.database, SqliteDatabase):
        pytest.skip("PostgreSQL commits each by itself")
    first = replace(stage.first, opens_thread=True)
    await asyncio.gather(stage.one.service.handle(first), stage.delete(first.message.position))
    await stage.end()
    assert stage.room.read("1") == []
    assert await stage.replies() == []


async def test_one_that_is_deleted_while_its_owner_is_dead_gets_none(stage: Stage) -> None:
    await stage.one.service.handle(stage.first)
    await stage.one.die()
    two = stage.process("two", Life(), stage.model)
    await two.service.handle(Deleted(stage.key, stage.first.message.position))
    await stage.expire()
    await two.runner.sweep()
    await stage.end(two)
    assert stage.room.read("1") == []
    assert await stage.states() == ["dropped"]


async def test_a_question_that_is_deleted_in_mid_answer_ends_it_where_it_stands(stage: Stage) -> None:
    await stage.half()
    await stage.delete(stage.first.message.position)
    await stage.end()
    ((text, note),) = await stage.replies()
    assert text
    assert LONG.startswith(text)
    assert note == words.WITHDRAWN
    said, _, below = " ".join(stage.room.read("1")).partition("*")
    assert said.split() == text.split()
    assert note.startswith(below.rstrip("*"))
    assert stage.room.growing("1") == 0
    assert await stage.states() == ["stopped"]


async def test_what_an_earlier_owner_left_says_that_its_question_is_gone(stage: Stage) -> None:
    await stage.half()
    await stage.one.die()
    two = stage.process("two", Life(), stage.model)
    await two.service.handle(Deleted(stage.key, stage.first.message.position))
    await stage.expire()
    await two.runner.sweep()
    await stage.end(two)
    assert stage.room.read("1") == [words.WITHDRAWN]
    assert await stage.replies() == [(words.WITHDRAWN, "")]


async def test_what_waits_behind_a_deleted_question_is_answered(stage: Stage) -> None:
    await stage.half()
    await stage.one.service.handle(stage.second)
    await stage.delete(stage.first.message.position)
    await stage.end()
    assert await stage.states() == ["stopped", "done"]
    assert LONG in [text for text, _ in await stage.replies()]


async def test_of_two_questions_the_one_that_is_left_is_answered(stage: Stage) -> None:
    third = replace(stage.second, message=replace(stage.second.message, position=1_005_000, text="Third?"))
    await stage.half()
    await stage.one.service.handle(stage.second)
    await stage.one.service.handle(replace(third, addressed=Addressed.THREAD))
    await stage.end()
    assert await stage.states() == ["done", "merged", "done"]
    assert len(await stage.replies()) == 2


class ShutPosts(RoomPosts):
    """After `shut`, nobody may write there."""

    shut = False

    async def create(self, number: int, text: str, showing: Showing) -> int:
        self._check()
        return await super().create(number, text, showing)

    async def change(self, position: int, text: str, showing: Showing) -> None:
        self._check()
        await super().change(position, text, showing)

    def _check(self) -> None:
        if ShutPosts.shut:
            raise PlatformForbidden("not any more")


async def test_what_stands_when_the_right_to_write_is_taken_away_is_archived(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.integration.test_crashes.RoomPosts", ShutPosts)
    monkeypatch.setattr(ShutPosts, "shut", False)
    await stage.half()
    monkeypatch.setattr(ShutPosts, "shut", True)
    await stage.end()
    shown = stage.room.read("1")
    assert shown
    assert " ".join(shown) != LONG
    ((text, note),) = await stage.replies()
    assert text.split() == " ".join(shown).split()
    assert note == words.CUT_OFF
    assert await stage.states() == ["failed"]
