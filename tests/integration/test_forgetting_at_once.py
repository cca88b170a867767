"""A wish takes effect at once, however long the erasing takes, and none waits for another."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.util import await_only

from bot.domain import (
    Author,
    Block,
    Change,
    Chunk,
    Continued,
    Delta,
    Finished,
    Gone,
    Message,
    Order,
    Prompt,
    Receipt,
    Recorded,
    Role,
    Said,
    Usage,
)
from bot.errors import ArchiveUnavailable, LeaseLost
from bot.finding import Side
from bot.forgetting import Erasure, Forgetting, Retention
from bot.recall_words import unknown_person
from bot.searching import Source
from storage.archive.claims import Claimant
from storage.archive.continuing import Continuations
from storage.archive.erasures import Erasures
from storage.archive.records import _record
from storage.archive.searchable import found_by
from storage.archive.sources import Sources
from storage.database import Database
from storage.search.finder import SqlFinder
from storage.tables import erasures, messages
from tests.databases import fresh_database
from tests.integration.test_forgetting import (
    ANN,
    ELSEWHERE,
    HERE,
    JOE,
    KEY,
    OTHER,
    SECRET,
    T0,
    World,
    message,
    said,
)
from tests.integration.test_forgetting_quotes import LIBRARY, SEARCHES, quotes

WISHES = ["forget me yes", "forget thread"]


@pytest.fixture
def world(database: Database) -> World:
    """Nothing is erased in it unless the test says so."""
    world = World(database)
    world.process.recall.serve({"web": LIBRARY})
    return world


async def wishes(world: World, wish: str = "forget me yes", by: Author = ANN) -> None:
    """Written down, and not worked off."""
    await world.process.service.order(Order(KEY, by, wish))
    assert await world.rows(erasures) > 0
    assert SECRET in str(await world.texts())


@pytest.mark.parametrize("wish", WISHES)
async def test_no_window_shows_it(world: World, wish: str) -> None:
    world.model.begins = f"So the {SECRET}. "
    await world.say(said(1, f"the {SECRET}"))
    world.model.begins = ""
    await wishes(world, wish)
    await world.say(said(9_000_000, "what was it?", JOE))
    assert SECRET not in str(world.model.prompts[-1])
    session = await world.session()
    assert SECRET not in str(await world.process.windows.between(session, 0, 9_000_000, 10))


def looks_up(prompt: Prompt) -> Sequence[Chunk | Exception]:
    """Searches, and tells nothing of it."""
    return [Delta("Well."), Finished(Usage())] if prompt.messages[-1].role is Role.TOOL else SEARCHES


@pytest.mark.parametrize("wish", WISHES)
async def test_an_answer_elsewhere_that_may_quote_it_is_hidden_too(world: World, wish: str) -> None:
    await world.say(said(1, f"the {SECRET}"))
    world.model.answer = quotes
    await world.say(said(2, "what was it?", JOE, ELSEWHERE))
    await wishes(world, wish)
    await world.say(said(9_000_000, "hello", JOE, ELSEWHERE))
    assert SECRET not in str(world.model.prompts[-1])


async def test_a_model_is_not_given_what_a_wish_covers_since_it_was_found(world: World) -> None:
    await world.say(said(1, f"the {SECRET}"))
    recorded = await world.process.records.record(said(2, "what was it?", JOE, ELSEWHERE))
    assert recorded.turn is not None
    sources = Sources(world.database)
    assert await sources.given(recorded.turn, [Source(KEY, 1)])
    await wishes(world)
    with contextlib.suppress(LeaseLost):
        assert not await sources.given(recorded.turn, [Source(KEY, 1)])


@pytest.mark.parametrize("wish", WISHES)
async def test_no_search_gives_it_to_a_model_and_recall_shows_it_nobody(world: World, wish: str) -> None:
    await world.say(said(1, f"the {SECRET}"))
    await wishes(world, wish)
    world.model.answer = looks_up
    await world.say(said(2, "what was it?", JOE, ELSEWHERE))
    assert SECRET not in world.model.prompts[-1].messages[-1].text.replace(f"for “{SECRET}”", "")
    told = await world.process.service.order(Order(ELSEWHERE, JOE, f"recall {SECRET}"))
    assert f"**{SECRET}**" not in told


@pytest.mark.parametrize("wish", WISHES)
async def test_recall_counts_it_no_more_and_knows_nobody_by_it(world: World, wish: str) -> None:
    await world.say(said(1, f"the {SECRET}"))
    ask = Order(ELSEWHERE, JOE, f"recall {SECRET}")
    assert "1 conversation" in await world.process.service.order(ask)
    await wishes(world, wish)
    assert (await world.process.service.order(ask)).startswith("I found nothing")
    name = ANN.name.split()[0]
    by_name = await world.process.service.order(Order(ELSEWHERE, JOE, f"recall from:@{name}"))
    assert by_name.startswith(unknown_person(name))


async def test_a_conversation_that_is_found_counts_without_it(world: World) -> None:
    await world.say(said(1, f"the {SECRET}"), said(9_000_000, "albatross", JOE))
    finder = SqlFinder(world.database)
    before = await finder.excerpt(KEY, Side(9_000_000), HERE, 1)
    await wishes(world)
    after = await finder.excerpt(KEY, Side(9_000_000), HERE, 1)
    assert before is not None
    assert after is not None
    assert (before.talk.messages, after.talk.messages) == (4, 2)


@pytest.mark.parametrize("wish", WISHES)
async def test_no_thread_that_goes_on_from_there_knows_it(world: World, wish: str) -> None:
    await world.say(said(1, f"the {SECRET}"))
    block = Block(0, 0, 1, 1, f"Ann told of the {SECRET}")
    await world.process.summaries.put(await world.session(), block, [message(1, f"the {SECRET}")])
    await wishes(world, wish)
    known = await Continuations(world.database).background(
        Continued(KEY, 0, 9_000_000, datetime.now(UTC)), 50
    )
    assert SECRET not in str(known)


async def test_an_answer_that_is_being_written_is_stopped_before_anything_is_erased(world: World) -> None:
    world.model.open.clear()
    await world.process.service.handle(said(1, f"the {SECRET}"))
    await world.model.asked.wait()
    await wishes(world)
    await world.process.keeper.renew()
    await world.process.settle()
    assert await world.texts() == [f"the {SECRET}"]


async def test_wishes_go_before_what_is_merely_too_old(world: World) -> None:
    await world.say(said(1, "old", JOE, OTHER), said(1, f"the {SECRET}"))
    old = Forgetting(Erasures(world.database), world.hot, Retention(60.0, {}), 0)
    await old.age(datetime.now(UTC))
    await world.process.service.order(Order(KEY, ANN, "forget me yes"))
    store = Erasures(world.database)
    first = await store.next(())
    assert first is not None
    assert first.author == ANN.id
    second = await store.next([first.id])
    assert second is not None
    assert not second.buried


class _Failing(Erasures):
    """Fails at one person's messages."""

    async def erase(self, erasure: Erasure, session_id: int) -> int:
        if erasure.author == JOE.id:
            raise ArchiveUnavailable("That takes too long.")
        return await super().erase(erasure, session_id)


async def test_one_that_fails_holds_up_no_other(world: World) -> None:
    await world.say(said(1, "Joe's", JOE, OTHER), said(1, f"the {SECRET}"))
    for who in (JOE, ANN):
        await world.process.service.order(Order(KEY, who, "forget me yes"))
    with pytest.raises(ArchiveUnavailable):
        await Forgetting(_Failing(world.database), world.hot, breath_s=0).work()
    assert await world.holds(SECRET) == []
    assert await world.rows(erasures) == 1
    await world.process.forgetting.work()
    assert await world.rows(messages) == 0


@pytest.mark.parametrize("behind_s", [0, 2])
async def test_what_is_said_after_a_slash_command_is_answered_whatever_the_clocks_say(
    world: World, behind_s: float
) -> None:
    """It has no position: our clock says when, and the platform's may be behind."""
    await world.say(said(1, f"the {SECRET}"))
    await world.order("forget me yes")
    late = Message(9, ANN, "and now?", datetime.now(UTC) - timedelta(seconds=behind_s))
    await world.say(replace(said(9, "", key=OTHER), message=late))
    assert len(await world.texts(OTHER)) == 2


async def test_a_slash_command_takes_what_a_platform_ahead_of_us_has_said(world: World) -> None:
    ahead = Message(1, ANN, f"the {SECRET}", datetime.now(UTC) + timedelta(seconds=5))
    await world.say(replace(said(1, ""), message=ahead))
    await world.order("forget me yes")
    assert await world.holds(SECRET) == []


class TestMessageOnItsWay:
    """PostgreSQL has many writers: one is in the middle of its transaction when the wish is written."""

    @pytest.fixture
    async def archive_url(self, postgres_server: sa.URL) -> str:
        return await fresh_database(postgres_server)

    def begins(self, world: World, said: Said) -> tuple[asyncio.Task[Recorded], asyncio.Event, asyncio.Event]:
        """Recording it, an event for when its transaction holds all, and one that lets it commit."""
        written, go_on = asyncio.Event(), asyncio.Event()

        def work(c: sa.Connection) -> Recorded:
            recorded = _record(c, said, found_by(said.message), Change(), "", Claimant("two", 60.0), None)
            written.set()
            await_only(go_on.wait())
            return recorded

        return asyncio.create_task(world.database.write(work)), written, go_on

    async def test_it_is_erased_with_the_rest(self, world: World) -> None:
        await world.say(said(1, "Joe's", JOE))
        recording, written, go_on = self.begins(world, said(2, f"the {SECRET}"))
        await written.wait()
        await world.process.forgetting.forget_person("web", "w", ANN.id, T0 + timedelta(days=1))
        store = Erasures(world.database)
        settled = asyncio.create_task(store.settle())
        erasing = asyncio.create_task(world.process.forgetting.work())
        for _ in range(3):
            await store.next(())  # a round trip each
        assert not settled.done()
        go_on.set()
        await recording
        await asyncio.gather(settled, erasing)
        assert await world.holds(SECRET) == []

    async def test_its_place_is_not_gone_before_it_is_there(self, world: World) -> None:
        recording, written, go_on = self.begins(world, said(1, f"the {SECRET}"))
        await written.wait()
        losing = asyncio.create_task(world.process.service.handle(Gone("web", "w", "c", None)))
        await Erasures(world.database).next(())
        go_on.set()
        await recording
        assert await losing is Receipt.KEPT
        await world.process.forgetting.work()
        assert await world.holds(SECRET) == []


class _Counting(Erasures):
    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.anew: list[float] = []

    async def scrub(self, *, thoroughly: bool) -> None:
        if thoroughly:
            self.anew.append(asyncio.get_running_loop().time())


async def test_who_asks_again_and_again_does_not_keep_everybody_from_writing(world: World) -> None:
    store = _Counting(world.database)
    forgetting = Forgetting(store, world.hot, breath_s=0)
    for wish in range(3):
        await forgetting.forget_person("web", "w", "a stranger", T0 + timedelta(hours=wish))
        await forgetting.work(rest_s=0.1)
    first, *_, last = store.anew
    assert last - first >= 0.1 * (len(store.anew) - 1) > 0
