"""A thread as a file on Slack, through its front doors: mentions, commands and the shortcut."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.slack import handing
from adapters.slack.commands import NO_THREAD
from adapters.slack.platform import SlackPlatform
from bot import words
from bot.domain import SessionKey
from storage.hot import NoContext
from storage.memo import Memos
from tests.databases import opened
from tests.fakes.core import HeldModel, Process
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.server import ALICE, BOB, BOT, CHANNEL, DM, TEAM
from tests.fakes.slack.world import Channel, Json
from tests.integration.slack_stage import fake_slack, platform_on

PRIVATE, BOBS_DM = "C0PRIVATE", "D0BOB"


@dataclass
class World:
    """A Slack, and a whole bot on it."""

    slack: FakeSlack
    platform: SlackPlatform
    process: Process

    async def ask(self, text: str, *, channel: str = CHANNEL, user: str = ALICE) -> str:
        """Somebody mentions the bot, and is answered; the `ts` of the thread."""
        ts = self.slack.say(f"<@{BOT}> {text}", channel=channel, user=user)
        await self.slack.until(lambda: "answer" in str(self.slack.thread(ts, channel=channel)))
        await self.process.settle()
        return ts

    def received(self, direct: str = BOBS_DM) -> list[Json]:
        """Files that somebody was handed."""
        return [message for message in self.slack.team.authored(direct) if message.get("files")]

    def content(self, message: Json) -> str:
        (file,) = message["files"]
        return self.slack.team.contents[file["id"]].decode()

    async def told(self, text: str, **where: str) -> str:
        """What a slash command is answered, at once or later."""
        answer = await self.slack.command(text, **where).finished()
        return str(answer["text"]) if answer else ""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/archive.db") as database, fake_slack() as slack:
        slack.budgets.on = False
        slack.add_channel(slack.team, Channel(PRIVATE, "plans", "group", {ALICE, BOT}))
        slack.add_channel(slack.team, Channel(BOBS_DM, "", "im", {BOB, BOT}))
        platform = platform_on(slack, cache=Memos(None, "a"))
        process = Process(database, NoContext(), platform, HeldModel())
        process.recall.serve({"slack": platform})
        process.taking.serve({"slack": platform})
        try:
            await platform.open(process.service.handle, process.service.order)
            yield World(slack, platform, process)
            await platform.quiet()
            await process.settle()
        finally:
            await platform.close()


def link(ts: str, channel: str = CHANNEL, thread: str = "") -> str:
    tail = f"?thread_ts={thread}&cid={channel}" if thread else ""
    return f"https://team.slack.com/archives/{channel}/p{ts.replace('.', '')}{tail}"


async def test_a_mention_in_a_thread_sends_it_as_a_direct_message(world: World) -> None:
    ts = await world.ask("the login page is blue")
    world.slack.say(f"<@{BOT}> export html", thread_ts=ts, user=BOB)
    await world.slack.until(lambda: words.EXPORT_SENT in str(world.slack.team.ephemerals))
    (message,) = world.received()
    assert message["files"][0]["name"] == "threadfly-export-the-login-page-is-blue.html"
    assert message["text"] == "Here is “the login page is blue”: 2 messages."
    page = world.content(message)
    assert "<p>the login page is blue</p>" in page
    assert "export html" not in page
    assert world.received(DM) == []
    (ephemeral,) = world.slack.team.ephemerals
    assert (ephemeral["user"], ephemeral["thread_ts"]) == (BOB, ts)


async def test_a_command_names_the_thread_by_a_link(world: World) -> None:
    ts = await world.ask("tea")
    reply = world.slack.thread(ts)[0]["ts"]
    for command, text in (
        ("/export", f"json {link(ts)}"),
        ("/export", f"json <{link(reply, thread=ts).replace('&', '&amp;')}>"),
        ("/threadfly", f"export json {link(reply, thread=ts)}"),
    ):
        assert await world.told(text, command=command, user=BOB) == words.EXPORT_SENT
        told = json.loads(world.content(world.received()[-1]))
        assert [message["text"] for message in told["messages"]] == ["tea", "answer 1"]


async def test_a_command_in_a_channel_that_names_none_says_how(world: World) -> None:
    await world.ask("tea")
    assert await world.told("html", command="/export", user=BOB) == NO_THREAD


async def test_the_shortcut_takes_out_the_thread_of_its_message(world: World) -> None:
    ts = await world.ask("tea")
    await world.slack.shortcut("threadfly_export", ts=ts, user=BOB).finished()
    await world.slack.until(lambda: words.EXPORT_SENT in str(world.slack.responses))
    assert "> tea" in world.content(world.received()[0])


async def test_in_a_direct_message_the_file_is_all_that_comes(world: World) -> None:
    asked = world.slack.say("tea", channel=DM)
    await world.slack.until(lambda: "answer" in str(world.slack.team.authored(DM)))
    await world.process.settle()
    assert await world.told("", command="/export", channel=DM) == ""
    (message,) = world.received(DM)
    assert "> tea" in world.content(message)
    assert "the file" not in str(world.slack.team.ephemerals)
    key = SessionKey("slack", TEAM, DM, "main")
    history = await world.platform.history(key, 2**53, 10)
    assert not [said for said in history.messages if said.attachments]
    assert handing.linked(link(asked, DM), TEAM)[-1] == key


async def test_nobody_takes_out_what_they_may_not_read(world: World) -> None:
    ts = await world.ask("the secret is plum", channel=PRIVATE)
    secret, nowhere = link(ts, PRIVATE), link("1600000000.000100", PRIVATE)
    for place in (CHANNEL, BOBS_DM):
        refused = await world.told(f"export {secret}", user=BOB, channel=place)
        assert refused == words.EXPORT_NOT_LINKED
        assert refused == await world.told(f"export {nowhere}", user=BOB, channel=place)
    assert world.received() == []
    assert await world.told(f"export {secret}", channel=CHANNEL) == words.EXPORT_NOT_LINKED
    assert await world.told(f"export {secret}", channel=DM) == ""
    assert "plum" in world.content(world.received(DM)[0])


async def test_who_left_takes_nothing_out_any_more(world: World) -> None:
    ts = await world.ask("the secret is plum", channel=PRIVATE)
    assert await world.told(f"export {link(ts, PRIVATE)}", channel=DM) == ""
    await world.slack.leave(ALICE, channel=PRIVATE).finished()
    assert await world.told(f"export {link(ts, PRIVATE)}", channel=DM) == words.EXPORT_NOT_LINKED


async def test_without_the_right_to_send_files_it_says_what_to_do(world: World) -> None:
    ts = await world.ask("tea")
    world.slack.team.scopes.discard("im:write")
    assert await world.told(f"export {link(ts)}", user=BOB) == handing.NO_RIGHT


async def test_what_slack_refuses_ends_in_a_sentence(world: World) -> None:
    ts = await world.ask("tea")
    world.slack.unsupported.add("files.completeUploadExternal")
    assert await world.told(f"export {link(ts)}", user=BOB) == words.EXPORT_FAILED


@pytest.mark.parametrize(
    "address",
    [
        "",
        "https://a.example",
        "https://t.slack.com/archives/c1/p1",
        "https://t.slack.com/archives/C1/pX",
        "http://[",
    ],
)
def test_what_is_no_link_to_a_message_means_no_thread(address: str) -> None:
    assert handing.linked(address, TEAM) == ()
