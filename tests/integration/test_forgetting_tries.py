"""No try of an answer keeps what went: not the first, not the second, not while one waits or runs."""

import pytest

from bot.domain import (
    Button,
    Delta,
    Finished,
    Order,
    Pressed,
    Prompt,
    Receipt,
    Role,
    SessionKey,
    Usage,
)
from bot.errors import ModelError
from storage.database import Database
from storage.tables import erasures, tombstones, turns
from tests.fakes.core import Process
from tests.integration.test_forgetting import ANN, ELSEWHERE, JOE, KEY, SECRET, World, said
from tests.integration.test_forgetting_quotes import LIBRARY, QUOTE, SEARCHES, Pausing, others

NOW = 2_000_000
"""A position after the first replies."""


@pytest.fixture
async def world(database: Database) -> World:
    """Ann's question is answered by half a sentence, and the model breaks off."""
    world = World(database)
    world.process.recall.serve({"web": LIBRARY})
    breaks_off(world, f"The {SECRET} of Ann is")
    await world.say(said(1, f"the {SECRET}, please"))
    answers(world, "Fine.")
    return world


def breaks_off(world: World, text: str) -> None:
    world.model.answer = lambda prompt: [Delta(text), ModelError("away")]


def answers(world: World, text: str) -> None:
    world.model.answer = lambda prompt: [Delta(text), Finished(Usage())]


async def again(world: World, asked: int = 1, key: SessionKey = KEY) -> Receipt:
    return await world.process.service.handle(Pressed(key, asked, Button.AGAIN, JOE))


async def begun(world: World, *, joe_asks: bool) -> None:
    """A turn runs, whose model says nothing until it is let: another try, or what Joe asks."""
    world.model.open.clear()
    world.model.asked.clear()
    if joe_asks:
        await world.process.service.handle(said(NOW, "hello", JOE))
    else:
        assert await again(world) is Receipt.ANSWERING
    await world.model.asked.wait()


async def let_go(world: World) -> None:
    await world.process.keeper.renew()
    world.model.open.set()
    await world.process.settle()
    await world.process.forgetting.work()


@pytest.mark.parametrize("wish", ["forget me yes", "forget thread"])
async def test_a_second_try_that_runs_leaves_nothing_of_the_first(world: World, wish: str) -> None:
    await begun(world, joe_asks=False)
    await world.order(wish)
    assert await world.holds(SECRET) == []
    answers(world, f"Ann's {SECRET}.")
    await let_go(world)
    assert await world.holds(SECRET) == []
    assert set(world.wall.posts) == {
        post for post in world.wall.posts if await world.rows(tombstones, tombstones.c.position == post)
    }


async def test_a_try_that_was_answered_together_with_others_leaves_nothing_of_the_one_before(
    world: World,
) -> None:
    await begun(world, joe_asks=True)
    assert await again(world) is Receipt.QUEUED
    await world.process.service.handle(said(NOW + 1, "and me", ANN))
    world.model.open.set()
    await world.process.settle()
    assert f"The {SECRET} of Ann is" in str(await world.texts())
    await world.order("forget me yes")
    assert await world.holds(SECRET) == []
    assert set(await world.texts()) == {"hello", "Fine."}


class TestOfSomebodyElse:
    """Joe's question elsewhere is answered with what Ann said."""

    def half(self, prompt: Prompt) -> list[object]:
        if prompt.messages[-1].role is Role.TOOL:
            return [Delta(QUOTE), ModelError("away")]
        return list(SEARCHES)

    async def asks(self, world: World) -> None:
        world.model.answer = self.half  # type: ignore[assignment]
        await world.say(said(2, "what was it?", JOE, ELSEWHERE))
        assert SECRET in str(await others(world))

    async def waits(self, world: World) -> None:
        """Another try of it waits for an answer to something else."""
        await self.asks(world)
        world.model.open.clear()
        world.model.asked.clear()
        answers(world, "Hello.")
        await world.process.service.handle(said(3 * NOW, "hello", JOE, ELSEWHERE))
        await world.model.asked.wait()
        assert await again(world, 2, ELSEWHERE) is Receipt.QUEUED

    async def test_a_try_that_waits_loses_what_it_said_and_is_answered_anew(self, world: World) -> None:
        await self.waits(world)
        await world.order("forget me yes")
        assert SECRET not in str(await others(world))
        answers(world, "I don't know.")
        world.model.open.set()
        await world.process.settle()
        assert "I don't know." in await others(world)
        assert await world.rows(turns, turns.c.forgotten, turns.c.asker_id == JOE.id) == 0

    async def test_one_that_is_answered_with_others_does_too(self, world: World) -> None:
        await self.waits(world)
        await world.process.service.order(Order(KEY, ANN, "forget me yes"))
        await world.process.service.handle(said(3 * NOW + 1, "and this", JOE, ELSEWHERE))
        world.model.open.set()
        await world.process.settle()
        await world.process.forgetting.work()
        assert SECRET not in str(await others(world))

    async def test_one_that_failed_may_be_tried_again(self, world: World) -> None:
        await self.asks(world)
        await world.order("forget me yes")
        assert SECRET not in str(await others(world))
        answers(world, "I don't know.")
        assert await again(world, 2, ELSEWHERE) is Receipt.ANSWERING
        await world.process.settle()
        assert "I don't know." in await others(world)

    async def test_what_a_second_try_quotes_is_not_written_over_the_first(self, world: World) -> None:
        world.model.answer = lambda prompt: [ModelError("away")]
        await world.say(said(2, "what was it?", JOE, ELSEWHERE))
        model = Pausing()
        two = Process(world.database, world.hot, world.wall, model, owner="two")
        two.recall.serve({"web": LIBRARY})
        assert await two.service.handle(Pressed(ELSEWHERE, 2, Button.AGAIN, JOE)) is Receipt.ANSWERING
        await model.halfway.wait()
        await world.order("forget me yes")
        await two.keeper.renew()
        await two.settle()
        assert SECRET not in str(await others(world))
        await world.process.forgetting.work()
        assert await world.rows(erasures) == 0
        assert await others(world) == {"what was it?"}
