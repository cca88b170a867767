"""Looking things up on Slack: commands, mentions and buttons, over a real archive."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.slack.events import FLAT
from adapters.slack.platform import SlackPlatform
from bot.domain import NEWEST_EVER, Addressed, Author, Message, Said, SessionKey
from bot.finding import Page, Place, Question
from bot.recall import Recall
from bot.words import SOMETHING_BROKE
from storage.archive.claims import Claimant
from storage.archive.records import Records
from storage.database import Database
from storage.memo import Memos
from storage.search.finder import SqlFinder
from tests.databases import opened
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.core import ScriptedCore
from tests.fakes.slack.server import ALICE, BOB, BOT, CAROL, CHANNEL, DM, TEAM
from tests.fakes.slack.world import Channel, Json
from tests.integration.slack_stage import fake_slack, running

PRIVATE, BOBS_DM = "C0PRIVATE", "D0BOB"
SECOND = 1_000_000
FIRST = 1_790_000_000 * SECOND
HOSTILE = "<!channel> @everyone <@U0BOB> *lion* _x_ `y` <https://a.example|b> &lt; | ~ > q"


@dataclass
class World:
    """A Slack, a platform on it, and an archive behind that."""

    slack: FakeSlack
    platform: SlackPlatform
    recall: Recall
    records: Records
    said: int = 0

    async def say(self, text: str, channel: str = CHANNEL, thread: str = "1.000001", by: str = ALICE) -> int:
        """Archive something that somebody said; its position."""
        self.said += 1
        position = FIRST + self.said * SECOND
        key = SessionKey("slack", TEAM, channel, thread)
        sent_at = datetime.fromtimestamp(position / SECOND, UTC)
        message = Message(position, Author(by, self.slack.team.users[by]), text, sent_at)
        await self.records.record(Said(key, message, Addressed.MENTION, answer=False))
        return position

    async def ask(self, words: str, **where: str) -> Json:
        """What somebody is answered who types `/recall`."""
        answer = await self.slack.command(words, command="/recall", **where).finished()
        assert answer is not None
        self.slack.check_answer(answer)
        assert answer["response_type"] == "ephemeral"
        return answer

    async def press(self, answer: Json, action: str, **who: str) -> Json:
        """What is shown in its place once somebody pressed that."""
        before = len(self.slack.responses)
        self.slack.press_alone(answer["blocks"], f"threadfly_recall_{action}", **who)
        await self.slack.until(lambda: len(self.slack.responses) > before)
        (_, shown) = self.slack.responses[-1]
        assert shown["replace_original"] is True
        assert shown["response_type"] == "ephemeral"
        return shown


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/archive.db") as database, fake_slack() as slack:
        slack.budgets.on = False
        slack.add_channel(slack.team, Channel(PRIVATE, "plans", "group", {ALICE, BOT}))
        slack.add_channel(slack.team, Channel(BOBS_DM, "", "im", {BOB, BOT}))
        async with on(slack, database) as world:
            yield world


@asynccontextmanager
async def on(slack: FakeSlack, database: Database, **options: Any) -> AsyncIterator[World]:
    """The platform with recall behind it."""
    finder = SqlFinder(database)
    recall = Recall(finder, finder)
    core = ScriptedCore()
    async with running(slack, core, recall=recall, cache=Memos(None, "a"), **options) as platform:
        recall.serve({"slack": platform})
        yield World(slack, platform, recall, Records(database, Claimant("one", 60)))


def bold(answer: Json) -> list[str]:
    """The words that are marked in what people said."""
    quotes = [p for b in answer["blocks"] if b["type"] == "rich_text" for p in b["elements"]]
    quoted = [e for p in quotes if p["type"] == "rich_text_quote" for e in p["elements"]]
    return [e["text"] for e in quoted if e.get("style", {}).get("bold")]


def read(answer: Json) -> str:
    """All that a person reads."""
    return "".join(texts(answer["blocks"]))


def texts(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    if not isinstance(value, dict):
        return []
    own = [value["text"]] if isinstance(value.get("text"), str) else []
    return own + [text for each in value.values() for text in texts(each)]


def buttons(answer: Json) -> list[str]:
    elements = [e for b in answer["blocks"] if b["type"] == "actions" for e in b["elements"]]
    return [e["action_id"].removeprefix("threadfly_recall_") for e in elements]


def links(answer: Json) -> list[str]:
    parts = [p for b in answer["blocks"] if b["type"] == "rich_text" for p in b["elements"]]
    return [e["url"] for p in parts for e in p["elements"] if e["type"] == "link"]


async def test_the_answer_shows_the_hit_and_what_stands_around_it(world: World) -> None:
    await world.say("we met the tiger first")
    position = await world.say("then a lion came", by=BOB)
    await world.say("and a zebra")
    answer = await world.ask("lions", user=CAROL)
    assert bold(answer) == ["lion"]
    for line in ("Alice: we met the tiger first", "Bob: then a lion came", "Alice: and a zebra"):
        assert line in read(answer)
    assert "#general" in read(answer)
    (link,) = links(answer)
    assert link == f"https://t01.slack.com/archives/C01/p{position}?thread_ts=1.000001&cid=C01"
    assert "then a lion came" in answer["text"]


async def test_pages_are_leafed_through_in_place(world: World) -> None:
    for number in range(12):
        await world.say(f"lion number {number}", thread=f"{number + 1}.000001")
    first = await world.ask("lion")
    second = await world.press(first, "later")
    third = await world.press(second, "later")
    assert "12 conversations" in read(first)
    shown = [len(links(page)) for page in (first, second, third)]
    assert shown == [5, 5, 2]
    assert len({link for page in (first, second, third) for link in links(page)}) == 12
    assert "later" not in buttons(third)
    assert links(await world.press(third, "earlier")) == links(second)


async def test_one_reads_on_around_a_hit_and_comes_back(world: World) -> None:
    for number in range(30):
        await world.say("a lion" if number == 15 else f"line {number}")
    page = await world.ask("lion")
    around = await world.press(page, "read_0")
    assert "a lion" in read(around)
    before = await world.press(around, "older")
    after = await world.press(around, "newer")
    assert "line 9" in read(before)
    assert "line 21" in read(after)
    assert links(await world.press(after, "back")) == links(page)


async def test_whatever_goes_wrong_who_asks_or_presses_gets_a_sentence(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.say("a lion")
    page = await world.ask("lion")

    async def broken(*_: Any) -> None:
        raise RuntimeError("nobody foresaw it")

    for name in ("ask", "look"):
        monkeypatch.setattr(world.recall, name, broken)
    assert SOMETHING_BROKE in read(await world.press(page, "read_0"))
    assert SOMETHING_BROKE in read(await world.ask("lion"))


async def test_private_things_are_shown_where_they_are_and_in_direct_messages(world: World) -> None:
    await world.say("a secret lion", channel=PRIVATE)
    assert "secret" not in str(await world.ask("lion"))
    assert "secret" in str(await world.ask("lion", channel=PRIVATE))
    assert "secret" in str(await world.ask("lion", channel=DM))
    assert "secret" not in str(await world.ask("lion", channel=BOBS_DM, user=BOB))


async def test_a_button_gives_nobody_more_than_they_may_read(world: World) -> None:
    await world.say("a secret lion", channel=PRIVATE)
    page = await world.ask("lion", channel=DM)
    stolen = await world.press(page, "read_0", user=BOB, channel=BOBS_DM)
    assert "secret" not in str(stolen)
    world.slack.leave(ALICE, channel=PRIVATE)
    await world.slack.until(lambda: all(d.done.is_set() for d in world.slack.deliveries.log))
    late = await world.press(page, "read_0", channel=DM)
    assert "secret" not in str(late)


@pytest.mark.parametrize("verbs", [{"GET"}, {"POST"}], ids=str)
@pytest.mark.parametrize("unknown", ["unknown_method", "404", "html"])
async def test_where_slack_can_t_tell_shared_channels_at_once_they_are_asked_one_by_one(
    world: World, unknown: str, verbs: set[str]
) -> None:
    world.slack.unsupported, world.slack.unknown = {"users.conversations"}, unknown
    world.slack.verbs = verbs
    await world.say("a public lion")
    await world.say("a secret lion", channel=PRIVATE)
    await world.say("a whispered lion", channel=DM)
    everywhere = str(await world.ask("lion", channel=DM))
    assert all(f"{kind} lion" in everywhere for kind in ("public", "secret", "whispered"))
    assert "left out" not in everywhere
    assert "secret" in str(await world.ask("lion", channel=PRIVATE))
    of_bob = str(await world.ask("lion", channel=BOBS_DM, user=BOB))
    assert "public lion" in of_bob
    assert "secret" not in of_bob
    assert "whispered" not in of_bob


@pytest.mark.parametrize("people", [5, 30])
async def test_who_reads_a_channel_is_asked_of_a_server_that_takes_no_get(world: World, people: int) -> None:
    for number in range(people):
        world.slack.team.users[f"U1PERSON{number:02}"] = f"Person {number}"
        world.slack.team.channels[CHANNEL].members.add(f"U1PERSON{number:02}")
    world.slack.verbs = {"POST"}
    here = SessionKey("slack", TEAM, CHANNEL, "1.000001")
    there = frozenset({Place("slack", TEAM, "C0ELSEWHERE")})
    assert await world.platform.open_to_readers_of(here, there) == there


async def test_of_very_many_rooms_not_all_are_asked_and_that_is_said(world: World) -> None:
    world.slack.unsupported = {"users.conversations"}
    for number in range(25):
        room = Channel(f"C1ROOM{number:02}", f"room{number}", "group", {ALICE, BOT})
        world.slack.add_channel(world.slack.team, room)
        await world.say("a secret lion", channel=room.id, thread=f"{number + 2}.000001")
    answer = await world.ask("lion", channel=DM)
    assert "left out" in read(answer)
    assert len([m for m, _ in world.slack.calls if m == "conversations.members"]) == 20


@pytest.mark.parametrize(
    "value",
    ["", "{", "[]", "1", '{"p":"x"}', "{}", '{"a":9e99}\nx', '{"a":-1,"s":0}\nx', "null"],
)
async def test_a_broken_button_does_nothing(world: World, value: str) -> None:
    await world.say("a lion")
    page = await world.ask("lion")
    pressed = world.slack.press_alone(page["blocks"], "threadfly_recall_read_0", value=value)
    await pressed.finished()
    assert pressed.acknowledged
    assert await world.ask("lion")
    assert world.slack.responses == []


async def test_what_people_wrote_is_neither_markup_nor_a_ping(world: World) -> None:
    await world.say(HOSTILE)
    page = await world.ask("lion")
    assert bold(page) == ["lion"]
    around = await world.press(page, "read_0")
    assert "`y`" in read(around)


async def test_the_longest_question_and_the_longest_messages_fit(world: World) -> None:
    for thread in range(6):
        for _ in range(11):
            await world.say("lion " + "wörd <&> " * 400, thread=f"{thread + 1}.000001")
    await world.press(await world.press(await world.ask("lion"), "later"), "read_0")
    long = await world.ask("lion -" + "\\" * 990)
    assert len(links(long)) == 5
    await world.press(await world.press(long, "later"), "read_0")


@pytest.mark.parametrize(
    "words", ["", "before:whenever", '"""', "from:@nobody lion", "x" * 10_000, "\x00'; --"]
)
async def test_whatever_is_typed_there_is_a_result_or_a_sentence(world: World, words: str) -> None:
    await world.say("a lion")
    assert read(await world.ask(words))


async def test_people_and_channels_are_meant_as_slack_names_them(world: World) -> None:
    await world.say("a lion", by=BOB)
    await world.say("a lion", channel=PRIVATE)
    found = await world.ask(f"lion from:<@{BOB}|bob> in:<#{CHANNEL}|general>", channel=DM)
    assert len(links(found)) == 1


async def test_the_other_command_takes_the_same_words_in_any_channel(world: World) -> None:
    await world.say("a lion")
    answer = await world.slack.command("recall lion").finished()
    assert answer is not None
    assert bold(answer) == ["lion"]


async def test_what_takes_long_is_acknowledged_and_follows(world: World) -> None:
    await world.say("a lion")
    world.slack.hold["users.info"] = asyncio.Event()
    delivered = world.slack.command("lion", command="/recall")
    assert not await delivered.finished()
    world.slack.hold.pop("users.info").set()
    await world.slack.until(lambda: world.slack.responses)
    (_, shown) = world.slack.responses[0]
    assert (shown["response_type"], shown["replace_original"]) == ("ephemeral", False)
    assert bold(shown) == ["lion"]


async def found(world: World, words: str, key: SessionKey) -> tuple[Question, Page]:
    question = Question(Author(ALICE, "Alice"), key, words)
    page = await world.recall.ask(question)
    assert isinstance(page, Page)
    return question, page


async def test_in_a_thread_the_answer_is_beside_the_question(world: World) -> None:
    await world.say("a lion")
    start = world.slack.say("what was it?", deliver=False)
    world.slack.say(f"<@{BOT}> recall lion", thread_ts=start, deliver=False)
    await world.platform.show_found(*await found(world, "lion", SessionKey("slack", TEAM, CHANNEL, start)))
    (shown,) = world.slack.team.ephemerals
    assert (shown["user"], shown["thread_ts"]) == (ALICE, start)
    assert bold(shown) == ["lion"]
    assert bold(await world.press(shown, "read_0")) == ["Alice: "]


async def test_below_a_message_without_replies_nobody_would_see_it(world: World) -> None:
    await world.say("a lion")
    start = world.slack.say(f"<@{BOT}> recall lion", deliver=False)
    await world.platform.show_found(*await found(world, "lion", SessionKey("slack", TEAM, CHANNEL, start)))
    (shown,) = world.slack.team.ephemerals
    assert "thread_ts" not in shown


async def test_what_comes_by_direct_message_instead_is_no_part_of_the_talk_there(world: World) -> None:
    await world.say("a lion")
    start = world.slack.say("hello", deliver=False)
    world.slack.say("good morning", channel=DM, deliver=False)
    world.slack.failures["chat.postEphemeral"] = ["user_not_in_channel"] * 3
    key = SessionKey("slack", TEAM, CHANNEL, start)
    await world.platform.show_found(*await found(world, "lion", key))
    await world.platform.tell(key, Author(ALICE, "Alice"), "Between us")
    page, _ = world.slack.team.authored(DM)
    assert await talk_in(world, DM) == ["good morning"]
    world.slack.press("threadfly_recall_read_0", ts=page["ts"], channel=DM)
    await world.slack.until(lambda: world.slack.responses)
    assert "Back to what was found" in str(page["blocks"])
    assert await talk_in(world, DM) == ["good morning"]


async def test_what_slack_takes_without_blocks_alone_is_no_part_of_the_talk_either(world: World) -> None:
    await world.say("a lion")
    world.slack.failures["chat.postEphemeral"] = ["user_not_in_channel"]
    world.slack.failures["chat.postMessage"] = ["invalid_blocks"]
    key = SessionKey("slack", TEAM, CHANNEL, world.slack.say("hello", deliver=False))
    await world.platform.show_found(*await found(world, "lion", key))
    assert "lion" in world.slack.team.authored(DM)[0]["text"]
    assert await talk_in(world, DM) == []


async def talk_in(world: World, channel: str) -> list[str]:
    """What a first look at the conversation there takes for things that were said."""
    history = await world.platform.history(SessionKey("slack", TEAM, channel, FLAT), NEWEST_EVER, 50)
    return [message.text for message in history.messages]


async def test_who_may_not_command_is_told_so(tmp_path: Path) -> None:
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/archive.db") as database, fake_slack() as slack:
        await _refused(slack, database)


async def _refused(slack: FakeSlack, database: Database) -> None:
    async with on(slack, database, may=lambda by, groups: by.id != ALICE) as world:
        await world.say("a lion")
        assert "lion" not in str(await world.ask("lion"))
        assert bold(await world.ask("lion", user=BOB)) == ["lion"]


async def test_each_message_that_one_reads_around_a_hit_leads_to_its_place(world: World) -> None:
    said = [await world.say(text) for text in ("a tiger", "a lion", "a zebra")]
    around = await world.press(await world.ask("lion"), "read_0")
    quotes = [p for b in around["blocks"] if b["type"] == "rich_text" for p in b["elements"]]
    led = [e["url"] for p in quotes for e in p["elements"] if e["type"] == "link"]
    assert [f"/p{position}?" in url for position, url in zip(said, led, strict=True)] == [True] * 3


async def test_recall_alone_lists_title_place_size_and_link(world: World) -> None:
    position = await world.say("a lion came")
    await world.say("and went")
    answer = await world.ask("")
    assert "a lion came" in read(answer)
    assert "2 messages" in read(answer)
    assert "#general" in read(answer)
    assert f"p{position + SECOND}" in links(answer)[0]
