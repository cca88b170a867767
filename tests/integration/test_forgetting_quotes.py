"""An answer whose model was given, by a search, what is forgotten elsewhere goes with it."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.domain import (
    Author,
    Call,
    Called,
    Chunk,
    Deleted,
    Delta,
    Finished,
    Gone,
    Prompt,
    Role,
    SessionKey,
    Usage,
)
from bot.errors import LeaseLost
from bot.forgetting import Forgetting, Retention
from bot.searching import Source
from storage.archive.erasures import Erasures
from storage.archive.sources import Sources
from storage.database import Database
from storage.tables import erasures, tombstones, turn_sources
from tests.fakes.core import HeldModel, Process
from tests.fakes.library import Library
from tests.integration.test_forgetting import ANN, ELSEWHERE, HERE, JOE, KEY, OTHER, SECRET, T0, World, said

SUE = Author("U3", "Sue")
QUOTE = f"Ann said: {SECRET}."
SEARCHES: Sequence[Chunk] = (
    Called((Call("1", "search_archive", f'{{"words": "{SECRET}"}}'),)),
    Finished(Usage()),
)
LIBRARY = Library(shared=dict.fromkeys(HERE, "#c"))


def quotes(prompt: Prompt) -> Sequence[Chunk | Exception]:
    """Looks up whatever it is asked, except for greetings, and tells what it found."""
    last = prompt.messages[-1]
    if last.role is Role.TOOL:
        return [Delta(QUOTE), Finished(Usage())]
    return [Delta("Hello."), Finished(Usage())] if "hello" in last.text else SEARCHES


class Pausing(HeldModel):
    """Stops in the middle of what it says after a search, until it is let go on."""

    def __init__(self) -> None:
        super().__init__()
        self.halfway, self.go_on = asyncio.Event(), asyncio.Event()

    async def stream(self, prompt: Prompt, name: str) -> AsyncGenerator[Chunk, None]:
        for chunk in quotes(prompt):
            assert not isinstance(chunk, Exception)
            yield chunk
            if chunk == Delta(QUOTE):
                self.halfway.set()
                await self.go_on.wait()


@pytest.fixture
async def world(database: Database) -> World:
    """Ann tells a secret; elsewhere, Joe has one question answered from it, and another one without."""
    world = World(database)
    world.process.recall.serve({"web": LIBRARY})
    await world.say(said(1, f"the {SECRET}"))
    world.model.answer = quotes
    await world.say(said(2, "what was it?", JOE, ELSEWHERE), said(3_000_000, "hello you", JOE, ELSEWHERE))
    assert await others(world) == {"what was it?", QUOTE, "hello you", "Hello."}
    return world


async def others(world: World, key: SessionKey = ELSEWHERE) -> set[str]:
    return set(await world.texts(key))


KEPT = {"what was it?", "hello you", "Hello."}


async def test_forgetting_a_person_takes_the_answer(world: World) -> None:
    session = await world.session(ELSEWHERE)
    await world.order("forget me yes")
    assert await others(world) == KEPT
    assert await world.holds(SECRET, "zebrafish") == []
    assert session in world.hot.dropped
    assert await world.rows(turn_sources) == await world.rows(erasures) == 0
    (post,) = [at for at, (_, text) in world.wall.posts.items() if text == QUOTE]
    assert await world.rows(tombstones, tombstones.c.position == post) == 1


@pytest.mark.parametrize("gone", [None, Gone("web", "w", "c", "1"), Gone("web", "w", "c", None)])
async def test_so_does_forgetting_or_losing_where_it_was_said(world: World, gone: Gone | None) -> None:
    if gone is None:
        await world.order("forget thread")
    else:
        await world.process.service.handle(gone)
        await world.process.forgetting.work()
    assert await others(world) == KEPT
    assert await world.holds(SECRET) == []


async def test_a_single_deletion_leaves_the_answer_until_its_author_is_forgotten(world: World) -> None:
    await world.process.service.handle(Deleted(KEY, 1))
    await world.process.forgetting.work()
    assert QUOTE in await others(world)
    await world.order("forget me yes")
    assert await others(world) == KEPT


async def test_an_answer_made_from_such_an_answer_goes_too(world: World) -> None:
    await world.process.service.handle(Deleted(KEY, 1))
    await world.say(said(4_000_000, "and again?", JOE, OTHER))
    assert QUOTE in await others(world, OTHER)
    await world.order("forget me yes")
    assert await others(world, OTHER) == {"and again?"}
    assert await world.holds(SECRET) == []


async def test_forgetting_somebody_else_leaves_the_answer(world: World) -> None:
    await world.say(said(5, "hello from me", SUE, KEY))
    await world.order("forget me yes", SUE)
    assert QUOTE in await others(world)


async def test_what_is_merely_too_old_leaves_the_answer(world: World) -> None:
    retention = Retention(None, {"web:w:c": 10.0})
    forgetting = Forgetting(Erasures(world.database), world.hot, retention, breath_s=0)
    await forgetting.age(T0 + timedelta(days=365_0))
    await forgetting.work()
    assert await world.texts() == []
    assert QUOTE in await others(world)


async def test_an_answer_that_is_being_written_is_stopped_and_not_kept(world: World) -> None:
    model = Pausing()
    process = Process(world.database, world.hot, world.wall, model)
    process.recall.serve({"web": LIBRARY})
    await process.service.handle(said(4_000_000, "and again?", JOE, OTHER))
    await model.halfway.wait()
    await world.order("forget me yes")
    await process.keeper.renew()
    model.go_on.set()
    await process.settle()
    assert await others(world, OTHER) == {"and again?"}
    assert await world.holds(SECRET) == []
    (post,) = [at for at, (key, _) in world.wall.posts.items() if key == OTHER]
    assert await world.rows(tombstones, tombstones.c.position == post) == 1


async def test_a_model_is_not_given_what_went_while_it_was_looked_up(world: World) -> None:
    recorded = await world.process.records.record(said(4_000_000, "and again?", JOE, OTHER))
    assert recorded.turn is not None
    sources = Sources(world.database)
    assert await sources.given(recorded.turn, [Source(KEY, 1)])
    await world.process.service.handle(Deleted(KEY, 1))
    assert not await sources.given(recorded.turn, [Source(KEY, 1)])
    assert not await sources.given(recorded.turn, [Source(replace(KEY, thread="none"), 1)])


async def test_a_turn_that_is_somebody_elses_is_given_nothing(world: World) -> None:
    recorded = await world.process.records.record(said(4_000_000, "and again?", JOE, OTHER))
    assert recorded.turn is not None
    with pytest.raises(LeaseLost):
        await Sources(world.database).given(replace(recorded.turn, epoch=9), [Source(KEY, 1)])


async def test_a_conversation_that_is_called_by_what_was_said_first_counts_as_that(world: World) -> None:
    key = replace(KEY, thread="9")
    for position, by in ((1, ANN), *((n, SUE) for n in range(100, 110))):
        text = f"the {SECRET}" if by is ANN else f"hello from me, number {position}"
        await world.process.records.record(replace(said(position, text, by, key), answer=False))
    last = '{"words": "109"}'
    world.model.answer = lambda prompt: (
        [Delta(prompt.messages[-1].text), Finished(Usage())]
        if prompt.messages[-1].role is Role.TOOL
        else [Called((Call("1", "search_archive", last),)), Finished(Usage())]
    )
    await world.say(said(4_000_000, "what else?", JOE, OTHER))
    (answer,) = await others(world, OTHER) - {"what else?"}
    assert [line["text"] for line in json.loads(answer)["found"][0]["said"]][-1].endswith("109")
    assert answer.count(SECRET) == 1
    await world.order("forget me yes")
    assert await others(world, OTHER) == {"what else?"}
    assert await world.holds(SECRET) == []
