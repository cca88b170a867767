"""`archive.mode: distributed` on Slack: what Slack tells is kept, what is read there is lent."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from adapters.slack.markup import ts_of
from bot.lending import LENT_S, Returning
from bot.recall import Recall
from storage.archive.lending import Lending
from storage.database import Database
from storage.hot import NoContext
from storage.memo import Memos
from storage.search.finder import SqlFinder
from storage.tables import messages
from tests.fakes.core import HeldModel, Process
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.core import Marks
from tests.fakes.slack.server import BOB, BOT
from tests.integration.slack_stage import fake_slack, platform_on


@dataclass
class World:
    """A Slack, and a whole bot in distributed mode on it."""

    slack: FakeSlack
    process: Process
    model: HeldModel
    database: Database

    async def an_hour_later(self) -> int:
        later = datetime.now(UTC) + timedelta(seconds=LENT_S + 60)
        return await Returning(Lending(self.database), NoContext(), lambda: later).work()

    async def texts(self) -> list[str]:
        """What the archive holds of people."""
        query = sa.select(messages.c.text).where(messages.c.kind == "person").order_by(messages.c.position)
        return list(await self.database.read(lambda c: c.scalars(query).all()))

    async def ask(self, text: str, thread: str, answers: int) -> str:
        """Bob mentions the bot in a thread, which then has so many answers; what the model was shown."""
        self.slack.say(f"<@{BOT}> {text}", thread_ts=thread, user=BOB)
        await self.answered(thread, answers)
        return str(self.model.prompts[-1])

    async def answered(self, thread: str, answers: int) -> None:
        await self.slack.until(lambda: len(self.slack.thread(thread)) == answers)
        await self.process.settle()

    async def recalled(self, words: str) -> bool:
        return "1 conversation" in str(await self.slack.command(words, command="/recall").finished())


@asynccontextmanager
async def bot(slack: FakeSlack, database: Database, **options: bool) -> AsyncIterator[World]:
    finder = SqlFinder(database)
    recall, model = Recall(finder, finder), HeldModel()
    marks = Marks(C01=int((time.time() - 600) * 1_000_000))
    platform = platform_on(slack, marks, cache=Memos(None, "a"), recall=recall, **options)
    process = Process(database, NoContext(), platform, model, lent_s=LENT_S)
    recall.serve({"slack": platform})
    try:
        await platform.open(process.service.handle, process.service.order)
        yield World(slack, process, model, database)
        await platform.quiet()
        await process.settle()
    finally:
        await platform.close()


async def test_a_thread_is_read_for_an_answer_and_read_again_after_an_hour(database: Database) -> None:
    async with fake_slack() as slack, bot(slack, database) as world:
        slack.budgets.on = False
        thread = slack.say("the walrus plan", deliver=False)
        slack.say("is good", thread_ts=thread, deliver=False)
        assert "the walrus plan" in await world.ask("what is the giraffe?", thread, 1)
        assert await world.texts() == ["the walrus plan", "is good", "what is the giraffe?"]
        assert [await world.recalled(word) for word in ("walrus", "giraffe")] == [False, True]
        assert await world.an_hour_later() == 2
        assert await world.texts() == ["what is the giraffe?"]
        shown = await world.ask("and now?", thread, 2)
        assert "the walrus plan" in shown
        assert shown.count("what is the giraffe?") == 1
        assert await world.an_hour_later() == 2


async def test_what_was_missed_is_answered_once_and_not_kept(database: Database) -> None:
    async with fake_slack() as slack:
        slack.budgets.on = False
        ts = ts_of(int(time.time() - 9) * 1_000_000)
        missed = slack.say(f"<@{BOT}> a giraffe?", deliver=False, ts=ts)
        async with bot(slack, database, catch_up=True) as world:
            await world.answered(missed, 1)
            assert await world.an_hour_later() == 1
            assert await world.texts() == []
        async with bot(slack, database, catch_up=True) as world:
            slack.announce(slack.team.channels["C01"].messages[missed])
            await slack.deliveries.settled()
            await world.process.settle()
            assert await world.texts() == ["a giraffe?"]
            assert await world.recalled("giraffe")
            assert len(slack.thread(missed)) == 1
