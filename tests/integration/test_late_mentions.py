"""A mention that nobody acknowledged comes again; what came before it was nobody's business yet."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from bot import words
from bot.domain import Addressed, Event, History, Receipt, Role, Said
from bot.errors import ArchiveUnavailable, PlatformUnavailable
from storage.database import Database
from storage.hot import NoContext
from storage.tables import messages, sessions
from tests.fakes.core import HeldModel, Process, Wall
from tests.fakes.slack.server import BOT
from tests.integration.slack_stage import fake_slack, platform_on
from tests.integration.test_service import JOE, KEY, T0, said

MENTION = said(1, "What shall we eat?")
REPLY = replace(said(20, "I vote for soup", Addressed.THREAD, JOE), opens_thread=False)
MINUTE = timedelta(minutes=1)


class Scene:
    """One process, and a platform whose thread holds the reply already."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.wall, self.model = Wall(), HeldModel()
        self.wall.past = History((), whole=True, later=(REPLY,))
        self.now = T0
        self.one = Process(database, NoContext(), self.wall, self.model, now=lambda: self.now)

    async def hear(self, event: Event) -> Receipt:
        receipt = await self.one.service.handle(event)
        await self.one.settle()
        return receipt

    def prompts(self) -> list[list[str]]:
        return [[m.text for m in p.messages if m.role is not Role.SYSTEM] for p in self.model.prompts]

    async def complete_from(self) -> int | None:
        query = sa.select(sessions.c.complete_from)
        return await self.database.read(lambda c: c.execute(query).scalar_one())

    async def archived(self) -> list[str]:
        query = sa.select(messages.c.text).where(messages.c.kind == "person").order_by(messages.c.position)
        return await self.database.read(lambda c: list(c.execute(query).scalars()))


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database)


@pytest.mark.parametrize(("after", "again"), [(MINUTE, False), (timedelta(0), True)])
async def test_what_was_said_before_a_late_mention_came_is_kept_and_answered(
    scene: Scene, after: timedelta, again: bool
) -> None:
    assert await scene.hear(REPLY) is Receipt.IGNORED
    scene.now = MENTION.message.sent_at + after
    assert await scene.hear(replace(MENTION, again=again)) is Receipt.ANSWERING
    assert scene.prompts() == [
        ["Ann: What shall we eat?"],
        ["Ann: What shall we eat?", "answer 1", "Joe: I vote for soup"],
    ]
    assert len(scene.wall.replies(KEY)) == 2
    assert await scene.complete_from() == 0


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_reply_that_overtook_the_mention_is_kept_and_answered(scene: Scene, at_once: bool) -> None:
    scene.now = MENTION.message.sent_at + timedelta(seconds=1)
    if at_once:
        await asyncio.gather(scene.hear(REPLY), scene.hear(MENTION))
    else:
        assert await scene.hear(REPLY) is Receipt.IGNORED
        await scene.hear(MENTION)
    assert scene.prompts()[-1] == ["Ann: What shall we eat?", "answer 1", "Joe: I vote for soup"]
    assert len(scene.wall.replies(KEY)) == 2


async def test_a_mention_in_time_asks_the_platform_nothing(scene: Scene) -> None:
    scene.wall.unreadable = AssertionError("asked")
    scene.now = MENTION.message.sent_at + timedelta(seconds=1)
    await scene.hear(MENTION)
    assert await scene.complete_from() == 0


async def test_until_it_was_looked_at_the_thread_does_not_count_as_whole(scene: Scene) -> None:
    scene.now = T0 + MINUTE
    scene.wall.unreadable = PlatformUnavailable("away")
    await scene.hear(MENTION)
    assert await scene.complete_from() is None
    scene.wall.unreadable = None
    scene.wall.past = History((REPLY.message,), whole=True)
    await scene.hear(replace(said(2_000_000, "Well?", Addressed.THREAD), opens_thread=False))
    assert scene.prompts()[-1][1:] == ["Joe: I vote for soup", "answer 1", "Ann: Well?"]


async def test_more_than_is_fetched_at_once_is_fetched_next_time(scene: Scene) -> None:
    scene.now = T0 + MINUTE
    many = tuple(replace(said(100 + n, "", Addressed.ASIDE), opens_thread=False) for n in range(50))
    scene.wall.past = History((), whole=True, later=many)
    await scene.hear(MENTION)
    assert len(await scene.archived()) == 51
    assert await scene.complete_from() is None


async def test_who_takes_over_looks_too(scene: Scene) -> None:
    scene.now = T0 + MINUTE
    asked = asyncio.Event()

    async def hanging(*_: object) -> History:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    history, scene.wall.history = scene.wall.history, hanging
    await scene.one.service.handle(MENTION)
    async with asyncio.timeout(20):
        await asked.wait()
    await scene.one.die()
    scene.wall.history = history
    overdue = sa.text("UPDATE turns SET lease_until = 0")
    await scene.database.write(lambda c: c.execute(overdue).rowcount)
    two = Process(scene.database, NoContext(), scene.wall, scene.model, owner="two")
    await two.runner.sweep()
    await two.settle()
    assert scene.prompts()[-1][-1] == "Joe: I vote for soup"


async def test_a_stop_that_was_said_before_the_late_mention_came_stops_it(scene: Scene) -> None:
    scene.now = T0 + MINUTE
    scene.model.open.clear()
    stop = replace(said(20, "stop", Addressed.THREAD), opens_thread=False)
    scene.wall.past = History((), whole=True, later=(stop,))
    await scene.hear(MENTION)
    assert scene.wall.replies(KEY) == [words.STOPPED]


class Forgetful:
    """A service whose archive is away until the reply was heard."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.heard = asyncio.Event()
        self.refused = asyncio.Event()

    async def __call__(self, event: Event) -> Receipt:
        if isinstance(event, Said) and event.addressed is Addressed.MENTION and not self.heard.is_set():
            self.refused.set()
            raise ArchiveUnavailable("away")
        receipt = await self.process.service.handle(event)
        if isinstance(event, Said) and event.addressed is Addressed.THREAD:
            self.heard.set()
        return receipt


async def test_slack_delivers_a_mention_again_after_its_replies(database: Database) -> None:
    async with fake_slack(scale=0.002) as slack:
        slack.deliveries.redeliver_after = (0.0, 300.0)
        platform = platform_on(slack)
        process = Process(database, NoContext(), platform, HeldModel())
        core = Forgetful(process)
        await platform.open(core, process.service.order)
        try:
            ts = slack.say(f"<@{BOT}> What shall we eat?")
            await core.refused.wait()
            slack.say("I vote for soup", thread_ts=ts)
            await slack.until(lambda: len(slack.thread(ts)) == 2)
        finally:
            await platform.quiet()
            await process.settle()
            await platform.close()
    query = sa.select(messages.c.kind, messages.c.text).order_by(messages.c.position)
    said = await database.read(lambda c: [tuple(row) for row in c.execute(query)])
    assert [text for kind, text in said if kind == "person"] == ["What shall we eat?", "I vote for soup"]
    assert [kind for kind, _ in said].count("bot") == 2
