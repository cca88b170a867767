"""What people do in an order that nobody foresaw."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot import words
from bot.domain import Addressed, Button, Deleted, Delta, Edited, Finished, Pressed, Receipt, Role, Usage
from bot.errors import ArchiveUnavailable, ModelUnavailable
from storage.database import Database, Work
from storage.hot import NoContext
from storage.tables import turns
from tests.databases import opened
from tests.fakes.core import HeldModel, Process, Wall
from tests.integration.test_service import ANN, KEY, T0, message, said


class Stage:
    """One archive and what is posted, which outlive the processes."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.wall, self.model = Wall(), HeldModel()
        self.one = self.process("one")

    def process(self, owner: str) -> Process:
        return Process(self.database, NoContext(), self.wall, self.model, owner=owner)

    async def say(self, position: int, text: str = "", addressed: Addressed = Addressed.MENTION) -> Receipt:
        receipt = await self.one.service.handle(said(position, text, addressed))
        await self.one.settle()
        return receipt

    def prompt(self) -> list[str]:
        return [each.text for each in self.model.prompts[-1].messages if each.role is not Role.SYSTEM]

    async def expire(self) -> None:
        await self.database.write(lambda c: c.execute(sa.update(turns).values(lease_until=0)).rowcount)

    async def states(self) -> list[str]:
        query = sa.select(turns.c.state).order_by(turns.c.asked_position)
        return await self.database.read(lambda c: list(c.execute(query).scalars()))


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/archive.db") as database:
        yield Stage(database)


async def test_a_fresh_start_is_confirmed_and_asks_no_model(stage: Stage) -> None:
    await stage.say(1, "old")
    asked = len(stage.model.prompts)
    await stage.say(2_000_000, "new")
    assert "fresh start" in stage.wall.replies(KEY)[-1]
    assert len(stage.model.prompts) == asked


async def test_a_question_before_a_fresh_start_that_waited_with_it_is_answered(stage: Stage) -> None:
    stage.model.open.clear()
    await stage.one.service.handle(said(1, "old"))
    await stage.one.service.handle(said(2, "Why?", Addressed.THREAD))
    await stage.one.service.handle(said(3, "new"))
    stage.model.open.set()
    await stage.one.settle()
    assert "Ann: Why?" in stage.prompt()
    assert "Ann: old" not in stage.prompt()
    assert "fresh start" in stage.wall.replies(KEY)[-1]


async def test_a_fresh_start_does_not_lose_the_question_of_an_owner_that_died(stage: Stage) -> None:
    stage.model.open.clear()
    await stage.one.service.handle(said(1, "Why?"))
    await stage.model.asked.wait()
    await stage.one.service.handle(said(2, "new"))
    await stage.one.die()
    stage.model.open.set()
    await stage.expire()
    two = stage.process("two")
    await two.runner.sweep()
    await two.settle()
    assert stage.prompt() == ["Ann: Why?"]
    assert len(stage.wall.replies(KEY)) == 2


async def test_an_older_fresh_start_that_comes_late_brings_nothing_back(stage: Stage) -> None:
    await stage.say(1)
    await stage.say(30, "secret")
    await stage.say(2_000_000, "new")
    await stage.say(20, "new")
    await stage.say(3_000_000, "What do you see?")
    assert "secret" not in " ".join(stage.prompt())


async def test_a_question_that_comes_late_into_a_long_thread_is_shown(stage: Stage) -> None:
    stage.one = Process(stage.database, NoContext(), stage.wall, stage.model, limit=3)
    for position in range(100, 108):
        await stage.one.service.handle(
            said(position, "", Addressed.ASIDE if position > 100 else Addressed.MENTION)
        )
    await stage.one.settle()
    await stage.say(5, "Anybody?")
    assert stage.prompt() == ["Ann: text 106", "Ann: text 107", "answer 1", "Ann: Anybody?"]


async def test_a_redelivered_question_that_was_deleted_meanwhile_unmakes_nothing(stage: Stage) -> None:
    stage.model.open.clear()
    await stage.one.service.handle(said(1))
    await stage.model.asked.wait()
    await stage.one.service.handle(Deleted(KEY, 1))
    assert await stage.one.service.handle(said(1)) is Receipt.KEPT
    stage.model.open.set()
    await stage.one.settle()
    assert await stage.states() == ["dropped"]
    await stage.say(2_000_000, "And now?", Addressed.THREAD)
    assert stage.prompt() == ["Ann: And now?"]


async def test_a_stop_is_not_forgotten_when_the_owner_dies(stage: Stage) -> None:
    stage.model.open.clear()
    await stage.one.service.handle(said(1))
    await stage.model.asked.wait()
    two = stage.process("two")
    await two.service.handle(Pressed(KEY, 1, Button.STOP, ANN))
    await stage.one.die()
    await stage.expire()
    stage.model.open.set()
    await two.runner.sweep()
    await two.settle()
    assert stage.wall.replies(KEY) == [words.STOPPED]
    assert await stage.states() == ["stopped"]
    assert len(stage.model.prompts) == 1


async def test_what_was_taken_over_before_the_archive_went_away_is_run(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.model.open.clear()
    for thread in ("1", "2", "3"):
        await stage.one.service.handle(replace(said(1), key=replace(KEY, thread=thread)))
    await stage.one.die()
    await stage.expire()
    two, write, written = stage.process("two"), stage.database.write, 0

    async def failing(work: Work[Any]) -> Any:
        nonlocal written
        written += 1
        if written == 3:
            raise ArchiveUnavailable("away")
        return await write(work)

    monkeypatch.setattr(stage.database, "write", failing)
    assert await two.runner.sweep() == 2
    monkeypatch.undo()
    assert await two.runner.sweep() == 1
    stage.model.open.set()
    await two.settle()
    assert await stage.states() == ["done"] * 3


async def test_another_try_after_a_stop_is_not_stopped(stage: Stage) -> None:
    stage.model.answer = lambda prompt: [ModelUnavailable("overloaded")]
    await stage.say(1)
    stage.model.answer = lambda prompt: [Delta("Here."), Finished(Usage())]
    stage.model.open.clear()
    await stage.one.service.handle(Pressed(KEY, 1, Button.AGAIN, ANN))
    await stage.one.keeper.renew()
    stage.model.open.set()
    await stage.one.settle()
    assert stage.wall.replies(KEY) == ["Here."]


async def test_another_try_waits_for_the_turn_that_runs(stage: Stage) -> None:
    stage.model.answer = lambda prompt: [ModelUnavailable("overloaded")]
    await stage.say(1)
    stage.model.answer = lambda prompt: [Delta("Here."), Finished(Usage())]
    stage.model.asked.clear()
    stage.model.open.clear()
    await stage.one.service.handle(said(2_000_000))
    await stage.model.asked.wait()
    assert await stage.one.service.handle(Pressed(KEY, 1, Button.AGAIN, ANN)) is Receipt.QUEUED
    stage.model.open.set()
    await stage.one.settle()
    assert stage.wall.replies(KEY) == ["Here.", "Here."]
    assert await stage.states() == ["done", "done"]


async def test_a_bug_while_posting_costs_a_try_and_no_mention(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stage.wall.trouble = RuntimeError("sesame")
    with caplog.at_level(logging.INFO):
        await stage.say(1)
    assert "RuntimeError at " in caplog.text
    assert "sesame" not in caplog.text
    stage.wall.trouble = None
    await stage.expire()
    await stage.one.runner.sweep()
    await stage.one.settle()
    assert stage.wall.replies(KEY) == ["answer 1"]


async def test_while_ending_nothing_is_taken_over(stage: Stage) -> None:
    stage.model.open.clear()
    await stage.one.service.handle(said(1))
    await stage.model.asked.wait()
    await stage.one.die()
    await stage.expire()
    two, three = stage.process("two"), stage.process("three")
    await two.runner.drain(0.0)
    await two.runner.sweep()
    assert two.runner.tasks() == []
    stage.model.open.set()
    await three.runner.sweep()
    await three.settle()
    assert len(stage.wall.replies(KEY)) == 1


async def test_an_edit_that_comes_before_its_message_wins(stage: Stage) -> None:
    await stage.one.service.handle(Edited(KEY, replace(message(1, "late"), edited_at=T0), Addressed.MENTION))
    await stage.say(1, "early")
    assert stage.prompt() == ["Ann: late"]


async def test_a_deletion_that_comes_before_its_message_wins(stage: Stage) -> None:
    await stage.one.service.handle(Deleted(KEY, 1))
    assert await stage.say(1) is Receipt.IGNORED
    assert stage.wall.replies(KEY) == []
    assert stage.model.prompts == []


async def test_the_same_text_twice_is_two_messages(stage: Stage) -> None:
    await stage.say(1, "yes")
    await stage.say(2_000_000, "yes", Addressed.THREAD)
    assert stage.prompt() == ["Ann: yes", "answer 1", "Ann: yes"]


async def test_mentions_in_a_hundred_threads_at_once_are_each_answered_once(stage: Stage) -> None:
    keys = [replace(KEY, thread=str(number)) for number in range(100)]
    events = [said(number + 1, key=key) for number, key in enumerate(keys)]
    await asyncio.gather(*(stage.one.service.handle(event) for event in events * 2))
    await stage.one.settle()
    assert [len(stage.wall.replies(key)) for key in keys] == [1] * 100
