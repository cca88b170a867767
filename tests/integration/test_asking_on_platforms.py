"""A whole bot on Slack, Discord and in the playground is asked what was decided, and cites what was said."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.discord.platform import DiscordPlatform
from adapters.llm.models import ModelSettings
from adapters.llm.offline import OfflineModel
from adapters.llm.roster import Roster
from adapters.web.markdown import tree
from bot.ports import Platform
from storage.database import Database
from storage.hot import NoContext
from storage.memo import Memos
from tests.databases import opened
from tests.fakes.core import Answering, Process
from tests.fakes.discord import FakeDiscord
from tests.fakes.discord_bot import Marks
from tests.fakes.openai import FakeOpenAI, Script
from tests.fakes.remembering import remembering
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.server import ALICE, BOB, BOT, CHANNEL, OTHER_CHANNEL
from tests.fakes.slack.world import Channel, Json
from tests.integration.slack_stage import fake_slack, platform_on

QUESTION = "what did we decide about the login page?"
READS = ("view_channel", "read_message_history")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/archive.db") as database:
        yield database


@asynccontextmanager
async def bot_on(
    platform: DiscordPlatform | Platform, database: Database, model: Answering | None = None
) -> AsyncIterator[Process]:
    """A whole bot there."""
    process = Process(database, NoContext(), platform, model or OfflineModel(pace_s=0))
    process.recall.serve({platform.name: platform})  # type: ignore[dict-item]  # each of them is a shelf too
    try:
        await platform.open(process.service.handle, process.service.order)
        yield process
    finally:
        await platform.quiet()
        await process.settle()
        await platform.close()


# Slack


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with fake_slack() as slack:
        slack.budgets.on = False
        slack.team.channels[OTHER_CHANNEL].members |= {ALICE, BOT}
        slack.add_channel(slack.team, Channel("C0PLANS", "plans", "group", {ALICE, BOT}))
        yield slack


async def answered(
    slack: FakeSlack, text: str, channel: str = CHANNEL, user: str = ALICE
) -> tuple[str, Json]:
    """The `ts` of what somebody asks, and the bot's whole answer."""
    ts = slack.say(f"<@{BOT}> {text}", channel=channel, user=user)

    def whole() -> list[Json]:
        posts = [m for m in slack.team.authored(channel) if m.get("thread_ts") == ts]
        return [m for m in posts if "threadfly_good" in str(m.get("blocks"))]

    await slack.until(whole)
    return ts, whole()[-1]


def markdown(post: Json) -> str:
    return "".join(block["text"] for block in post["blocks"] if block["type"] == "markdown")


async def test_on_slack_it_cites_the_message(slack: FakeSlack, database: Database) -> None:
    async with bot_on(platform_on(slack, cache=Memos(None, "a")), database):
        ts, _ = await answered(slack, "the login page gets a blue button", OTHER_CHANNEL)
        _, answer = await answered(slack, QUESTION, user=BOB)
    link = f"https://t01.slack.com/archives/{OTHER_CHANNEL}/p{ts.replace('.', '')}"
    name = slack.team.channels[OTHER_CHANNEL].name
    assert f"]({link})" in markdown(answer)
    assert f"[#{name}, " in markdown(answer)
    assert "the login page gets a blue button" in markdown(answer)


async def test_on_slack_nothing_private_is_told_in_public(slack: FakeSlack, database: Database) -> None:
    async with bot_on(platform_on(slack, cache=Memos(None, "a")), database):
        await answered(slack, "the login page gets a secret", "C0PLANS")
        _, in_public = await answered(slack, QUESTION)
        _, in_private = await answered(slack, QUESTION, "C0PLANS")
    assert "secret" not in markdown(in_public)
    assert "found nothing" in markdown(in_public)
    assert "gets a secret" in markdown(in_private)


async def test_on_slack_a_guest_who_reads_along_is_told_nothing_from_elsewhere(
    slack: FakeSlack, database: Database
) -> None:
    slack.team.users["U0GUEST"] = "Guest"
    slack.team.guests = {"U0GUEST": "is_ultra_restricted"}
    slack.team.channels[CHANNEL].members.add("U0GUEST")
    async with bot_on(platform_on(slack, cache=Memos(None, "a")), database):
        await answered(slack, "the login page gets a blue button", OTHER_CHANNEL)
        _, answer = await answered(slack, QUESTION)
    assert "blue button" not in markdown(answer)


async def test_on_slack_one_sees_that_it_searches(slack: FakeSlack, database: Database) -> None:
    async with FakeOpenAI() as server:
        call = {"name": "search_archive", "arguments": '{"words": "login"}'}
        server.answers = [Script("", calls=[call]), Script("So.", hold_before=True)]
        roster = Roster([ModelSettings("small", base_url=server.url, api_key="k")], "small")
        async with bot_on(platform_on(slack), database, roster):
            slack.say(f"<@{BOT}> {QUESTION}")
            await slack.until(lambda: any("looking" in each["status"] for each in slack.team.statuses))
            await server.until(lambda it: it.holding == 1)
            server.release()
            await slack.until(lambda: "So." in str(slack.team.authored(CHANNEL)))
        await roster.close()


# Discord


async def test_on_discord_it_cites_the_message_and_tells_nothing_that_others_may_not_read(
    database: Database,
) -> None:
    async with FakeDiscord(pace=100.0) as fake:
        guild = fake.guild()
        general, ops, lobby = (fake.channel(guild, name) for name in ("general", "ops", "lobby"))
        ann = fake.person("ann", "Ann")
        guests = fake.role(guild, "guests")
        fake.guilds[guild].members |= {ann: [], fake.person("gus"): [guests]}
        fake.deny(ops, READS, role=guests)
        platform = DiscordPlatform(
            fake.token, Marks(), api_url=fake.api_url, identify_pause_s=0.05, guild_ready_s=0.05
        )
        async with bot_on(platform, database) as process:

            async def asked(channel: int, text: str) -> tuple[int, str]:
                thread = fake.say(ann, channel, f"<@{fake.bot.id}> {text}")
                await fake.wait(lambda: "👍" in str(fake.messages(thread, by_bot=True)))
                await process.settle()
                return thread, "".join(post["content"] for post in fake.messages(thread, by_bot=True))

            thread, _ = await asked(general, "the login page gets a blue button")
            _, secret = await asked(ops, "the login page gets a secret")
            _, answer = await asked(lobby, QUESTION)
        assert f"](https://discord.com/channels/{guild}/{general}/{thread})" in answer
        assert "gets a blue button" in answer
        assert "secret" not in answer
        assert secret
        assert fake.violations == []


# The playground


async def test_in_the_playground_it_links_to_the_message_within_the_page(tmp_path: Path) -> None:
    async with remembering(tmp_path, OfflineModel(pace_s=0)) as playground:
        root = await playground.say("mei", "general", "@threadfly the login page gets a blue button")
        await playground.say("mei", "secret-plans", "@threadfly the login page gets a secret")
        asked = await playground.say("joe", "random", f"@threadfly {QUESTION}")
        page = await playground.platform.room.page("random", asked, None, 10)
        answer = page[-1].text
    assert f"](#/general/{root}/{root})" in answer
    assert "secret" not in answer
    assert f"'href': '#/general/{root}/{root}'" in str(tree(answer))
