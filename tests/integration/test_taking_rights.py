"""Who asked for a file may lose the right to it before it is handed over."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

import pytest

from bot import taking
from bot.commands import Export
from bot.domain import SessionKey
from bot.errors import PlatformForbidden
from bot.finding import Place
from bot.taking import AT_ONCE, Document, Taken, Wish
from storage.database import Database
from tests.fakes.library import Library
from tests.integration.test_forgetting import ANN, JOE, KEY, World, said

SECRET = "the salaries"
ROOM = Place("web", "w", "c")
WISH = Wish(ANN, SessionKey("web", "w", "dm", "main"), Export(link="a link to it"))


class Shelf(Library):
    """A private channel that Ann is in for now, and a link to a thread there."""

    def __init__(self) -> None:
        super().__init__(private={ROOM: frozenset({ANN.id})}, directs=frozenset({"dm"}))

    async def linked(self, link: str, at: SessionKey) -> Sequence[SessionKey]:
        return [KEY]

    async def hand(self, taken: Taken, wish: Wish) -> str:
        raise NotImplementedError


class Counter:
    """Where files are handed over."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.shelf = Shelf()
        world.process.taking.serve({"web": self.shelf})

    async def take(self) -> Taken | str:
        return await self.world.process.taking.take(WISH)

    async def remove_ann(self) -> None:
        self.shelf.private = {}
        await self.world.say(said(1_000, SECRET, JOE))


@pytest.fixture
async def counter(database: Database) -> Counter:
    world = World(database)
    for number in range(3):
        await world.say(said(10 + number, f"line {number}"))
    return Counter(world)


async def test_the_right_is_judged_when_the_file_is_read_and_not_before_it_waits(counter: Counter) -> None:
    slow = []
    for _ in range(AT_ONCE):
        taken = await counter.take()
        assert isinstance(taken, Taken)
        slow.append(taken.documents(most_bytes=1))
        assert await anext(slow[-1])
    waiting = await counter.take()
    assert isinstance(waiting, Taken)

    async def handed() -> list[Document]:
        return [document async for document in waiting.documents()]

    task = asyncio.create_task(handed())
    await asyncio.sleep(0)
    await counter.remove_ann()
    for documents in slow:
        await documents.aclose()
    assert await task == []
    assert isinstance(await counter.take(), str)


async def test_a_right_that_is_lost_on_the_way_ends_the_handing_over(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "JUDGED_FOR_S", 0.0)
    taken = await counter.take()
    assert isinstance(taken, Taken)
    handed = []
    async with aclosing(taken.documents(most_bytes=1)) as documents:
        handed.append((await anext(documents)).content.decode())
        await counter.remove_ann()
        with pytest.raises(PlatformForbidden):
            await anext(documents)
    assert SECRET not in "".join(handed)
