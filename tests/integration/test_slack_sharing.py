"""What is done on Slack with something found: shown to everybody, gone on with; and the window for words."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.slack.content import ASIDE_TYPE
from bot.domain import Addressed, Author, Message, Said, SessionKey
from bot.recall import Recall
from bot.sharing import Sharing
from storage.archive.continuing import Continuations
from storage.archive.gestures import Gestures
from storage.archive.passing import PassedOver
from storage.hot import NoContext
from storage.memo import Memos
from storage.search.finder import SqlFinder
from tests.databases import opened
from tests.fakes.core import HeldModel, Process
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.server import ALICE, BOB, BOT, CHANNEL, DM, TEAM
from tests.fakes.slack.world import Channel, Json
from tests.integration.slack_stage import fake_slack, platform_on

PRIVATE, OPS = "C0PRIVATE", "C0OPS"
SECOND = 1_000_000
FIRST = 1_790_000_000 * SECOND


@dataclass
class World:
    """A Slack, and a whole bot on it."""

    slack: FakeSlack
    process: Process
    model: HeldModel
    sharing: Sharing
    said: int = 0

    async def say(self, text: str, channel: str = CHANNEL, thread: str = "1.000001", by: str = ALICE) -> int:
        """Archive something that somebody said; its position."""
        self.said += 1
        position = FIRST + self.said * SECOND
        key = SessionKey("slack", TEAM, channel, thread)
        message = Message(
            position,
            Author(by, self.slack.team.users[by]),
            text,
            datetime.fromtimestamp(position / SECOND, UTC),
        )
        await self.process.records.record(Said(key, message, Addressed.MENTION, answer=False))
        return position

    async def ask(self, words: str, **where: str) -> Json:
        answer = await self.slack.command(words, command="/recall", **where).finished()
        assert answer is not None
        self.slack.check_answer(answer)
        return answer

    async def press(self, answer: Json, action: str, **who: str) -> Json:
        """What comes to the response URL once somebody pressed that."""
        before = len(self.slack.responses)
        self.slack.press_alone(answer["blocks"], f"threadfly_share_{action}", **who)
        await self.slack.until(lambda: len(self.slack.responses) > before)
        return self.slack.responses[-1][1]

    def posted(self, channel: str = CHANNEL) -> list[Json]:
        """What the bot posted outside of replies."""
        found = self.slack.team.channels[channel].messages.values()
        return [m for m in found if (m.get("metadata") or {}).get("event_type") == ASIDE_TYPE]


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with fake_slack() as slack:
        slack.budgets.on = False
        slack.add_channel(slack.team, Channel(PRIVATE, "plans", "group", {ALICE, BOT}))
        slack.add_channel(slack.team, Channel(OPS, "ops", "channel", {ALICE, BOB, BOT}))
        yield slack


@pytest.fixture
async def world(slack: FakeSlack, tmp_path: Path) -> AsyncIterator[World]:
    async with a_bot(slack, f"sqlite+aiosqlite:///{tmp_path}/archive.db") as world:
        yield world


@asynccontextmanager
async def a_bot(slack: FakeSlack, archive: str) -> AsyncIterator[World]:
    """One process, once it is connected."""
    async with opened(archive) as database:
        finder = SqlFinder(database)
        recall = Recall(finder, finder)
        sharing = Sharing(finder, finder, PassedOver(database), Continuations(database), Gestures(database))
        platform = platform_on(slack, recall=recall, sharing=sharing, cache=Memos(None, "a"))
        model = HeldModel()
        process = Process(database, NoContext(), platform, model)
        recall.serve({"slack": platform})
        sharing.serve({"slack": platform})
        opened_before = slack.deliveries.opened
        try:
            await platform.open(process.service.handle, process.service.order)
            await slack.until(lambda: slack.deliveries.opened == opened_before + 2)
            yield World(slack, process, model, sharing)
            await platform.quiet()
            await process.settle()
        finally:
            await platform.close()


def texts(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    if not isinstance(value, dict):
        return []
    own = [value["text"]] if isinstance(value.get("text"), str) else []
    return own + [text for each in value.values() for text in texts(each)]


def read(answer: Json) -> str:
    return "".join(texts(answer["blocks"]))


def labels(answer: Json) -> list[str]:
    return [e["text"]["text"] for b in answer["blocks"] if b["type"] == "actions" for e in b["elements"]]


# Showing to everybody.


async def test_it_asks_who_will_see_what_and_posts_only_after_a_yes(world: World) -> None:
    await world.say("something known of #general")
    position = await world.say("a <!channel> lion @everyone", OPS, by=BOB)
    asking = await world.press(await world.ask("lion"), "offer_0")
    assert asking["replace_original"] is False
    assert "Everybody who reads along in #general will see this message" in read(asking)
    assert "lion" in read(asking)
    assert labels(asking) == ["Show it to everybody", "Leave it"]
    assert world.posted() == []
    done = await world.press(asking, "show")
    assert (done["replace_original"], read(done)) == (True, "Everybody here can see it now.")
    (post,) = world.posted()
    assert "thread_ts" not in post
    assert "Bob: " in read(post)
    assert "lion" in read(post)
    assert "#ops" in read(post)
    assert "Alice had this shown with recall" in read(post)
    assert f"https://t01.slack.com/archives/C0OPS/p{position}" in str(post)


async def test_who_leaves_it_shows_nothing(world: World) -> None:
    await world.say("a lion")
    asking = await world.press(await world.ask("lion"), "offer_0")
    assert await world.press(asking, "leave") == {"delete_original": True}
    assert world.posted() == []


async def test_pressing_twice_posts_once(world: World) -> None:
    await world.say("a lion")
    asking = await world.press(await world.ask("lion"), "offer_0")
    assert read(await world.press(asking, "show")) == read(await world.press(asking, "show"))
    assert len(world.posted()) == 1


async def test_in_a_direct_message_nothing_is_offered_to_be_shown(world: World) -> None:
    await world.say("a lion")
    assert labels(await world.ask("lion", channel=DM)) == ["Read here", "Continue here"]


async def test_a_value_that_somebody_changed_shows_nothing_private(world: World) -> None:
    await world.say("a public lion")
    position = await world.say("a secret lion", PRIVATE)
    page = await world.ask("lion")
    forged = f'{{"c":"{PRIVATE}","t":"1.000001","p":{position},"d":0,"h":"main"}}'
    before = len(world.slack.responses)
    for action in ("show", "go_0", "offer_0"):
        blocks = page["blocks"]
        made = [
            {"type": "actions", "elements": [{"action_id": f"threadfly_share_{action}", "value": forged}]}
        ]
        world.slack.press_alone([*blocks, *made][-1:], f"threadfly_share_{action}")
    await world.slack.until(lambda: len(world.slack.responses) == before + 3)
    assert len({read(answer) for _, answer in world.slack.responses[before:]}) == 1
    assert "not everybody who reads along here may open it" in read(world.slack.responses[-1][1])
    assert world.posted() == []


async def test_who_was_removed_between_question_and_yes_shows_nothing(world: World) -> None:
    await world.say("a secret lion", PRIVATE)
    asking = await world.press(await world.ask("lion", channel=PRIVATE), "offer_0", channel=PRIVATE)
    assert "secret" in read(asking)
    world.slack.team.channels[PRIVATE].members.discard(ALICE)
    await world.slack.event(
        {"type": "member_left_channel", "user": ALICE, "channel": PRIVATE, "channel_type": "G", "team": TEAM}
    ).finished()
    done = await world.press(asking, "show", channel=PRIVATE)
    assert "not everybody who reads along here may open it" in read(done)
    assert world.posted(PRIVATE) == []


# Going on.


async def test_it_goes_on_in_a_new_thread_that_knows_what_was_said(world: World) -> None:
    world.slack.say("the root", channel=OPS, user=BOB, ts="1.000001", deliver=False)
    await world.say("the cat is called Fred", OPS, by=BOB)
    told = await world.press(await world.ask("cat"), "go_0")
    assert read(told) == "It goes on over there, with what was said until now."
    (opening,) = world.posted()
    assert "Alice goes on here with an earlier conversation from #ops (1 message)" in read(opening)
    world.slack.say("what is it called?", thread_ts=opening["ts"])
    await world.slack.until(lambda: len(world.model.prompts) == 1)
    await world.process.settle()
    assert "Bob: the cat is called Fred" in str(world.model.prompts[-1])


async def test_the_same_press_after_a_restart_finds_the_thread_that_was_opened(world: World) -> None:
    await world.say("the cat is called Fred", OPS, thread=world.slack.say("x", channel=OPS, deliver=False))
    page = await world.ask("cat")
    first = await world.press(page, "go_0")
    world.sharing._gestures.clear()
    assert read(await world.press(page, "go_0")) == read(first)
    assert len(world.posted()) == 1


async def test_a_press_that_comes_again_leaves_no_second_word_behind(world: World) -> None:
    world.slack.say("the root", channel=OPS, user=BOB, ts="1.000001", deliver=False)
    await world.say("the cat is called Fred", OPS)
    page = await world.ask("cat")
    await world.press(page, "go_0")
    world.sharing._gestures.clear()
    await world.press(page, "go_0")
    assert len(world.posted(OPS)) == 1


# Two processes.


@pytest.mark.parametrize("verb", ["show", "go_0"])
async def test_a_press_that_two_processes_hear_of_is_seen_to_once(
    slack: FakeSlack, archive_url: str, verb: str
) -> None:
    async with a_bot(slack, archive_url) as one, a_bot(slack, archive_url):
        slack.say("the root", channel=OPS, user=BOB, ts="1.000001", deliver=False)
        await one.say("a lion", OPS)
        shown = await one.ask("lion")
        if verb == "show":
            shown = await one.press(shown, "offer_0")
        before, alternately = len(slack.responses), itertools.cycle((0, 2))
        slack.deliveries.pick = lambda sockets: sockets[next(alternately)]
        for _ in range(2):
            slack.press_alone(shown["blocks"], f"threadfly_share_{verb}")
        await slack.until(lambda: len(slack.responses) == before + 2)
        assert len({read(answer) for _, answer in slack.responses[before:]}) == 1
        assert len(one.posted()) == 1
        assert len(one.posted(OPS)) == (0 if verb == "show" else 1)


# The window.


async def test_in_a_thread_one_types_the_words_into_a_window(world: World) -> None:
    await world.say("a lion", OPS)
    ts = world.slack.say("hello")
    reply = world.slack.say("in the thread", thread_ts=ts, user=BOB)
    world.slack.shortcut("threadfly_recall", ts=reply)
    await world.slack.until(lambda: bool(world.slack.views))
    world.slack.submit("lion")
    await world.slack.until(lambda: bool(world.slack.team.ephemerals))
    (shown,) = world.slack.team.ephemerals
    assert (shown["user"], shown["channel"], shown["thread_ts"]) == (ALICE, CHANNEL, ts)
    assert "a lion" in str(shown["blocks"])


async def test_words_that_cannot_be_understood_get_a_sentence_there_too(world: World) -> None:
    ts = world.slack.say("hello")
    world.slack.shortcut("threadfly_recall", ts=ts)
    await world.slack.until(lambda: bool(world.slack.views))
    world.slack.submit("after:someday")
    await world.slack.until(lambda: bool(world.slack.team.ephemerals))
    assert "someday" in str(world.slack.team.ephemerals[-1]["blocks"])


async def test_who_gets_no_window_in_time_is_told_what_works(world: World) -> None:
    world.slack.trigger_life_s = -1.0
    world.slack.shortcut("threadfly_recall", ts=world.slack.say("hello"))
    await world.slack.until(lambda: bool(world.slack.responses))
    assert "mention me: `recall login page`" in read(world.slack.responses[-1][1])
    assert world.slack.views == []
