"""Somebody catches up on what was said since they last spoke; the answer is for them alone."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
import sqlalchemy as sa

from adapters.discord.platform import DiscordPlatform
from adapters.llm.offline import OfflineModel
from bot import catching_up, words
from bot.access import Access, Lists
from bot.catching_up_words import MOST_CHARACTERS, NOT_SUMMARISED, NOTHING_NEW, NOTHING_NEW_HERE
from bot.domain import Addressed, Author, Delta, Finished, Message, Order, Prompt, Said, SessionKey, Usage
from bot.errors import ModelUnavailable
from bot.finding import Place
from bot.gate import Gate
from storage.database import Database
from storage.hot import NoContext
from storage.limits import RateLimits
from storage.memo import Memos
from storage.tables import messages
from tests.databases import opened
from tests.fakes.core import HeldModel, Process, Wall
from tests.fakes.discord import FakeDiscord
from tests.fakes.discord_bot import Marks
from tests.fakes.library import Library
from tests.fakes.remembering import remembering
from tests.fakes.slack.server import ALICE, BOB, BOT, CHANNEL, DM
from tests.integration.slack_stage import fake_slack, platform_on
from tests.integration.test_asking_on_platforms import answered, bot_on

ANN, JOE, MEI = Author("U1", "Ann"), Author("U2", "Joe"), Author("U3", "Mei")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
OPS, GENERAL, PLANS = (SessionKey("web", "w", name, "1") for name in ("ops", "general", "plans"))
DIRECT = SessionKey("web", "w", "dm", "main")


def said(key: SessionKey, position: int, text: str, by: Author = ANN) -> Said:
    message = Message(position, by, text, T0 + timedelta(seconds=position))
    return Said(key, message, Addressed.MENTION, opens_thread=True, answer=text.lower().startswith("catch"))


class World:
    """One process, with public channels and a private one of Ann's and Mei's."""

    def __init__(self, database: Database, model: HeldModel | OfflineModel) -> None:
        self.database, self.wall, self.model = database, Wall(), model
        self.process = Process(database, NoContext(), self.wall, model)
        self.library = Library(
            shared={Place("web", "w", "ops"): "#ops", Place("web", "w", "general"): "#general"},
            private={
                Place("web", "w", "plans"): frozenset({ANN.id, MEI.id}),
                Place("web", "w", "dm"): frozenset({ANN.id}),
            },
            directs=frozenset({"dm"}),
        )
        self.process.recall.serve({"web": self.library})

    async def say(self, *all_said: Said) -> None:
        for each in all_said:
            await self.process.service.handle(each)
        await self.process.settle()

    async def catch_up(self, key: SessionKey, by: Author = ANN) -> str:
        """What somebody is told alone."""
        return await self.process.service.order(Order(key, by, "catchup"))


def summed_up(prompt: Prompt) -> list[Delta | Finished]:
    return [
        Delta(f"They said {prompt.messages[-1].text.count(chr(10)) + 1} things."),
        Finished(Usage("held")),
    ]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/archive.db") as database:
        model = HeldModel(summarises=True)
        model.answer = summed_up
        yield World(database, model)


@pytest.fixture
async def plain(tmp_path: Path) -> AsyncIterator[World]:
    """With the offline model."""
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/archive.db") as database:
        yield World(database, OfflineModel(pace_s=0))


async def test_in_a_thread_it_is_what_was_said_there_since_one_last_spoke(world: World) -> None:
    await world.say(said(OPS, 1, "before", JOE), said(OPS, 2, "mine"), said(OPS, 3, "lion", JOE))
    await world.say(said(OPS, 4, "tiger", MEI))
    assert await world.catch_up(OPS) == (
        "**2 new messages since you last spoke here** · [from here](link:ops/1/3)\nThey said 2 things."
    )
    assert isinstance(world.model, HeldModel)
    [prompt] = world.model.prompts
    assert prompt.messages[-1].text == "Joe: lion\nMei: tiger"
    assert "data" in prompt.messages[0].text


async def test_who_never_spoke_there_is_told_of_all(world: World) -> None:
    await world.say(said(OPS, 1, "lion", JOE), said(OPS, 2, "tiger", JOE))
    assert (await world.catch_up(OPS)).startswith("**2 new messages")


async def test_who_spoke_last_missed_nothing(world: World) -> None:
    await world.say(said(OPS, 1, "lion", JOE), said(OPS, 2, "mine"))
    assert await world.catch_up(OPS) == NOTHING_NEW_HERE


async def test_outside_of_a_thread_it_is_all_conversations_one_took_part_in(world: World) -> None:
    await world.say(said(OPS, 1, "The [lion](x)"), said(OPS, 2, "it roars", JOE))
    await world.say(said(GENERAL, 3, "tea?"), said(GENERAL, 4, "yes", JOE), said(GENERAL, 5, "no", MEI))
    other = replace(GENERAL, thread="2")
    await world.say(said(other, 6, "not Ann's", JOE), said(replace(other, thread="3"), 7, "Ann's alone"))
    told = await world.catch_up(replace(GENERAL, thread="top"))
    assert told == (
        "**#general** · [tea?](link:general/1/4) · 2 new messages\nThey said 2 things.\n\n"
        "**#ops** · [The lion x](link:ops/1/2) · 1 new message\nThey said 1 things."
    )


async def test_who_missed_nothing_anywhere_is_told_so(world: World) -> None:
    assert await world.catch_up(replace(GENERAL, thread="top")) == NOTHING_NEW


async def test_private_places_are_told_of_there_and_in_direct_messages_alone(world: World) -> None:
    await world.say(said(PLANS, 1, "mine"), said(PLANS, 2, "a secret", MEI))
    assert "1 new message" in await world.catch_up(PLANS)
    assert "1 new message" in await world.catch_up(DIRECT)
    assert await world.catch_up(GENERAL) == NOTHING_NEW
    assert await world.catch_up(PLANS, JOE) == NOTHING_NEW


async def test_rights_are_those_of_the_moment(world: World) -> None:
    await world.say(said(PLANS, 1, "mine"), said(PLANS, 2, "a secret", MEI))
    world.library.private[Place("web", "w", "plans")] = frozenset({MEI.id})
    assert await world.catch_up(PLANS) == NOTHING_NEW
    assert await world.catch_up(DIRECT) == NOTHING_NEW


async def test_a_mention_asks_too_is_answered_once_and_is_no_part_of_the_thread(world: World) -> None:
    await world.say(said(OPS, 1, "mine"), said(OPS, 2, "lion", JOE))
    for text in ("Catch up!", "catchup", "Catch me up?"):
        asked = said(OPS, 100 + len(text), text)
        await world.say(asked, asked)
    assert [told.startswith("**1 new message ") for told in world.wall.told] == [True] * 3
    assert world.wall.replies(OPS) == []
    rows = await world.database.read(lambda c: c.execute(sa.select(messages.c.text)).scalars().all())
    assert sorted(rows) == ["lion", "mine"]


async def test_words_that_only_begin_so_are_a_question(world: World) -> None:
    asked = Said(OPS, Message(1, ANN, "catch up with me later", T0), Addressed.MENTION, opens_thread=True)
    await world.say(asked)
    assert world.wall.told == []
    assert len(world.wall.replies(OPS)) == 1


async def test_a_long_absence_is_told_of_in_part(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catching_up, "MOST_MESSAGES", 5)
    await world.say(said(OPS, 1, "mine"), *(said(OPS, n, f"chat {n}", JOE) for n in range(2, 9)))
    assert await world.catch_up(OPS) == (
        "**5 or more new messages since you last spoke here** · [from here](link:ops/1/4)\n"
        "They said 5 things."
    )


async def test_the_answer_fits_into_one_post(world: World) -> None:
    assert isinstance(world.model, HeldModel)
    world.model.answer = lambda prompt: [Delta("word " * 2_000), Finished(Usage("held"))]
    for number in range(7):
        key = replace(OPS, thread=str(number))
        await world.say(said(key, 1 + 10 * number, "x " * 200), said(key, 2 + 10 * number, "lion", JOE))
    told = await world.catch_up(replace(GENERAL, thread="top"))
    assert len(told) <= MOST_CHARACTERS
    assert told.count("1 new message") == catching_up.MOST_TALKS


async def test_without_a_model_that_summarises_first_words_stand_for_it_and_it_says_so(plain: World) -> None:
    await plain.say(said(OPS, 1, "mine"), *(said(OPS, n, f"chat {n} {'x' * 500}", JOE) for n in range(2, 7)))
    head, *lines, _, note = (await plain.catch_up(OPS)).split("\n")
    assert head.startswith("**5 new messages")
    assert [line.split(" x")[0] for line in lines] == ["> Joe: chat 4", "> Joe: chat 5", "> Joe: chat 6"]
    assert max(map(len, lines)) < 130
    assert note == NOT_SUMMARISED


async def test_a_model_that_fails_costs_the_summary_alone(world: World) -> None:
    assert isinstance(world.model, HeldModel)
    world.model.answer = lambda prompt: [ModelUnavailable("no")]
    await world.say(said(OPS, 1, "mine"), said(OPS, 2, "lion", JOE))
    told = await world.catch_up(OPS)
    assert "> Joe: lion" in told
    assert NOT_SUMMARISED in told


async def test_it_counts_as_an_answer_and_is_for_those_who_get_some(world: World) -> None:
    await world.say(said(OPS, 1, "mine"), said(OPS, 2, "lion", JOE))
    world.process.service._gate = Gate(Access(), RateLimits(None, "a", "1/hour", "none"))
    assert "1 new message" in await world.catch_up(OPS)
    assert "That was a lot at once. Please ask" in await world.catch_up(OPS)
    denied = Access(users=Lists(frozenset(), frozenset({ANN.id})))
    world.process.service._gate = Gate(denied, RateLimits(None, "a", "none", "none"))
    assert await world.catch_up(OPS) == words.NOT_FOR_YOU


# On the platforms


async def test_on_slack_by_mention_in_the_thread_and_by_command_elsewhere(tmp_path: Path) -> None:
    async with fake_slack() as slack, opened(f"sqlite+aiosqlite:///{tmp_path}/archive.db") as database:
        slack.budgets.on = False
        async with bot_on(platform_on(slack, cache=Memos(None, "a")), database) as process:
            ts, _ = await answered(slack, "the lion is called Leo", user=BOB)
            await process.settle()
            slack.say("and the tiger is Tim", thread_ts=ts, user=ALICE)
            await slack.until(lambda: len(slack.team.authored(CHANNEL)) >= 2)
            await process.settle()
            slack.say(f"<@{BOT}> catch up", thread_ts=ts, user=BOB)
            await slack.until(lambda: slack.team.ephemerals)
            (alone,) = slack.team.ephemerals
            assert (alone["user"], alone["thread_ts"]) == (BOB, ts)
            assert "the tiger is Tim" in str(alone["blocks"])
            told = await slack.command("", command="/catchup", user=BOB).finished()
            assert told is not None
            assert told["response_type"] == "ephemeral"
            assert "the lion is called Leo](https://t01.slack.com/archives/" in str(told["blocks"])
            assert "the tiger is Tim" in str(told["blocks"])
            own = await slack.command("catch up", channel=DM, user=ALICE).finished()
            assert "1 new message" in str(own)


async def test_on_discord_by_command_in_a_thread_and_outside_of_it(tmp_path: Path) -> None:
    async with (
        FakeDiscord(pace=100.0) as fake,
        opened(f"sqlite+aiosqlite:///{tmp_path}/archive.db") as database,
    ):
        guild = fake.guild()
        general = fake.channel(guild, "general")
        ann, ben = fake.person("ann", "Ann"), fake.person("ben", "Ben")
        fake.guilds[guild].members |= {ann: [], ben: []}
        platform = DiscordPlatform(
            fake.token, Marks(), api_url=fake.api_url, identify_pause_s=0.05, guild_ready_s=0.05
        )
        async with bot_on(platform, database, OfflineModel(pace_s=0)) as process:
            thread = fake.say(ann, general, f"<@{fake.bot.id}> the lion is called Leo")
            await fake.wait(lambda: "👍" in str(fake.messages(thread, by_bot=True)))
            await process.settle()
            for place in (thread, general):
                token = fake.slash(ann, place, "catchup", {})
                await fake.wait(lambda t=token: fake.answer(t))
                assert "1 new message" in fake.answer(token)
                assert f"](https://discord.com/channels/{guild}/{thread}/" in fake.answer(token)
                response = fake.interactions[token].response
                assert response is not None
                assert response["data"]["flags"] & 64
        assert fake.violations == []


async def test_in_the_playground_by_command_with_links_within_the_page(tmp_path: Path) -> None:
    async with remembering(tmp_path, OfflineModel(pace_s=0)) as playground, aiohttp.ClientSession() as http:
        root = await playground.say("ann", "general", "@threadfly the lion is called Leo")
        await playground.say("joe", "general", "@threadfly and the tiger Tim", root)
        address = f"{playground.url}/api/posts/general"
        async with http.post(address, params={"as": "ann"}, json={"text": "/catchup"}) as answer:
            assert answer.status == 200
        async with http.get(f"{playground.url}/api/room", params={"as": "ann"}) as response:
            note = (await response.json())["notes"][-1]
        assert "3 new messages" in note["text"]
        assert f"'href': '#/general/{root}/" in str(note["body"])
        async with http.get(f"{playground.url}/api/room", params={"as": "joe"}) as response:
            assert (await response.json())["notes"] == []
