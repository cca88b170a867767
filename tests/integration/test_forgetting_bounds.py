"""Forgetting a person takes what was said up to the wish, and nothing that is said after it."""

import contextlib
from datetime import timedelta

import pytest

from bot.domain import Button, Pressed
from bot.errors import ArchiveUnavailable
from bot.forgetting import Forgetting
from storage.database import Database
from storage.tables import erasures, feedback, sessions, tombstones, turns
from tests.integration.test_forgetting import ANN, ELSEWHERE, JOE, KEY, OTHER, SECRET, T0, Dying, World, said


@pytest.fixture
async def world(database: Database) -> World:
    """Ann's wish is written down, and nothing is erased yet."""
    world = World(database)
    await world.say(said(1, f"the {SECRET}"), said(50, "forget me yes"))
    assert await world.rows(erasures) == 1
    return world


async def test_what_is_said_after_the_wish_stays_with_its_answer(world: World) -> None:
    await world.say(said(60, "and now?", key=OTHER), said(70, "here too"))
    await world.process.service.handle(Pressed(OTHER, 60, Button.GOOD, ANN))
    there = await world.texts(OTHER)
    await world.process.forgetting.work()
    assert await world.texts(OTHER) == there
    assert (await world.texts())[0] == "here too"
    assert len(await world.texts()) == 2
    assert await world.rows(tombstones, tombstones.c.position.in_([60, 70])) == 0
    assert await world.rows(turns, turns.c.asker_id == ANN.id) == 2
    assert await world.rows(sessions, sessions.c.started_by == ANN.id) == 1
    assert await world.rows(feedback) == 1


async def test_an_answer_to_what_is_asked_after_the_wish_is_not_stopped(world: World) -> None:
    world.model.open.clear()
    world.model.asked.clear()
    await world.process.service.handle(said(60, "and now?", key=OTHER))
    await world.model.asked.wait()
    await world.process.forgetting.work()
    await world.process.keeper.renew()
    world.model.open.set()
    await world.process.settle()
    assert len(await world.texts(OTHER)) == 2


async def test_what_waits_to_be_answered_is_answered(world: World) -> None:
    world.model.open.clear()
    world.model.asked.clear()
    await world.process.service.handle(said(60, "Joe asks", JOE, OTHER))
    await world.model.asked.wait()
    await world.process.service.handle(said(61, "and Ann", key=OTHER))
    await world.process.forgetting.work()
    world.model.open.set()
    await world.process.settle()
    assert len(await world.texts(OTHER)) == 4


async def test_whoever_goes_on_after_a_crash_tells_them_apart_too(world: World) -> None:
    await world.say(
        said(60, "and now?", key=OTHER), said(70, "here too"), said(80, "and there", key=ELSEWHERE)
    )
    for nth in range(20):
        with contextlib.suppress(ArchiveUnavailable):
            await Forgetting(Dying(world.database, nth), world.hot, breath_s=0).work()
    assert await world.rows(erasures) == 0
    assert await world.holds(SECRET) == []
    assert [len(await world.texts(key)) for key in (KEY, OTHER, ELSEWHERE)] == [2, 2, 2]


async def test_a_second_wish_takes_what_was_said_after_the_first(world: World) -> None:
    await world.say(said(60, "and now?", key=OTHER), said(90, "forget me yes", key=OTHER))
    await world.process.forgetting.work()
    assert await world.texts(OTHER) == []


async def test_an_answer_goes_however_late_its_question_came(world: World) -> None:
    """Questions are judged by when they were asked, not by when they came: here long after the wish."""
    assert await world.rows(turns, turns.c.created_at > T0 + timedelta(seconds=50)) == 1
    await world.process.forgetting.work()
    assert await world.texts() == []
