"""Recall on Discord, through its front doors: the command, its buttons, and words after a mention."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters.discord import recall
from adapters.discord.asides import RECALL_CLOSED
from adapters.discord.platform import DiscordPlatform
from adapters.discord.posts import DiscordPosts
from bot.domain import Author, SessionKey
from bot.recall import Recall
from storage.hot import NoContext
from storage.search.finder import SqlFinder
from tests.databases import opened
from tests.fakes.core import HeldModel, Process, taking_from
from tests.fakes.discord import FakeDiscord
from tests.fakes.discord_bot import Marks, turn_of

EPHEMERAL = 64
READS = ("view_channel", "read_message_history")


@dataclass
class World:
    """A guild with a public channel and one of ben's, and a whole bot in it."""

    fake: FakeDiscord
    platform: DiscordPlatform
    process: Process
    guild: int
    general: int
    ops: int
    ann: int
    ben: int
    refused: set[str]
    """People whom the operator lets ask nothing."""

    async def ask(self, person: int, channel: int, text: str) -> int:
        """Somebody asks the bot, and is answered; the thread."""
        asked = self.fake.say(person, channel, f"<@{self.fake.bot.id}> {text}")
        await self.fake.wait(lambda: "👍" in str(self.fake.messages(asked, by_bot=True)))
        await self.process.settle()
        return asked

    async def recall(self, person: int, channel: int, **options: Any) -> str:
        """Somebody uses the command; the interaction's token, once it is answered."""
        given = {name.rstrip("_"): value for name, value in options.items()}
        token = self.fake.slash(person, channel, "recall", given)
        await self.fake.wait(lambda: self.fake.answer(token))
        return token

    async def press(self, person: int, token: str, label: str) -> str:
        """Somebody presses a button of an answer; the interaction's token, once it is answered."""
        pressed = self.fake.press_shown(person, token, label)
        await self.fake.wait(lambda: self.fake.answer(pressed))
        return pressed

    def labels(self, token: str) -> list[str]:
        """The buttons of an answer."""
        shown = self.fake.interactions[token].message
        assert shown is not None
        return [button["label"] for row in shown["components"] for button in row["components"]]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    refused: set[str] = set()

    def may(by: Author, _: frozenset[str] | None) -> bool:
        return by.id not in refused

    async with (
        FakeDiscord(pace=100.0) as fake,
        opened(f"sqlite+aiosqlite:///{tmp_path}/archive.db") as database,
    ):
        guild = fake.guild()
        general, ops = fake.channel(guild, "general"), fake.channel(guild, "ops")
        ann, ben = fake.person("ann", "Ann"), fake.person("ben", "Ben")
        fake.guilds[guild].members |= {ann: [], ben: []}
        fake.deny(ops, READS, role=guild)
        fake.allow(ops, READS, user=ben)
        fake.allow(ops, READS, user=fake.bot.id)
        finder = SqlFinder(database)
        recaller, taker = Recall(finder, finder), taking_from(database)
        platform = DiscordPlatform(
            fake.token,
            Marks(),
            api_url=fake.api_url,
            identify_pause_s=0.05,
            guild_ready_s=0.05,
            recall=recaller,
            taker=taker,
            may=may,
        )
        process = Process(database, NoContext(), platform, HeldModel())
        for each in (recaller, process.recall):
            each.serve({"discord": platform})
        for taking in (taker, process.taking):
            taking.serve({"discord": platform})
        try:
            await platform.open(process.service.handle, process.service.order)
            yield World(fake, platform, process, guild, general, ops, ann, ben, refused)
            await platform.quiet()
            await process.settle()
        finally:
            await platform.close()
        assert fake.violations == []


async def test_what_was_said_is_found_with_a_link_and_shown_to_the_asker_alone(world: World) -> None:
    thread = await world.ask(world.ann, world.general, "the login page is blue")
    token = await world.recall(world.ben, world.general, words="login")
    answer = world.fake.answer(token)
    assert "> **Ann**: the **login** page is blue" in answer
    assert "#general" in answer
    assert f"[open](https://discord.com/channels/{world.guild}/{world.general}/{thread})" in answer
    response = world.fake.interactions[token].response
    assert response is not None
    assert response["data"]["flags"] & EPHEMERAL


async def test_what_was_said_in_private_is_shown_there_and_in_direct_messages(world: World) -> None:
    await world.ask(world.ann, world.general, "the login page is blue")
    await world.ask(world.ben, world.ops, "the login secret is plum")
    for person, place, sees in (
        (world.ann, world.general, False),
        (world.ann, world.fake.dm(world.ann), False),
        (world.ben, world.general, False),
        (world.ben, world.ops, True),
        (world.ben, world.fake.dm(world.ben), True),
    ):
        answer = world.fake.answer(await world.recall(person, place, words="login"))
        assert "blue" in answer
        assert ("plum" in answer) is sees
        assert ("2 conversations" in answer) is sees


async def test_who_is_locked_out_leafs_no_further(world: World) -> None:
    await world.ask(world.ben, world.ops, "the login secret is plum")
    token = await world.recall(world.ben, world.ops, words="login")
    assert "plum" in world.fake.answer(token)
    world.fake.deny(world.ops, READS, user=world.ben)
    read = await world.press(world.ben, token, "Read 1")
    assert "plum" not in world.fake.answer(read)
    assert "not for you here" in world.fake.answer(read)


async def test_pages_are_leafed_through_and_one_reads_on_around_a_hit(world: World) -> None:
    threads = [await world.ask(world.ann, world.general, f"apple number {n}") for n in range(7)]
    for n in range(12):
        world.fake.say(world.ann, threads[6], f"more {n}")
    await world.fake.wait(lambda: len(world.fake.messages(threads[6], by_bot=True)) >= 2)
    await world.process.settle()
    first = await world.recall(world.ann, world.general, words="apple")
    assert world.labels(first) == ["Read 1", "Read 2", "Read 3", "Read 4", "Read 5", "Next"]
    second = await world.press(world.ann, first, "Next")
    assert world.labels(second) == ["Read 1", "Read 2", "Previous"]
    both = world.fake.answer(first) + world.fake.answer(second)
    assert all(f"number {n}" in both for n in range(7))
    again = await world.press(world.ann, second, "Previous")
    assert world.fake.answer(again) == world.fake.answer(first)
    found = world.fake.answer(first)
    number = next(n for n in range(1, 6) if "number 6" in found.split(f"**{n}.**")[1].split("\n\n")[0])
    excerpt = await world.press(world.ann, again, f"Read {number}")
    assert re.search(r"➤ \*\*\[Ann\]\(https://\S+\)\*\*: apple number 6", world.fake.answer(excerpt))
    assert world.labels(excerpt) == ["Back to what was found", "Newer"]
    newer = await world.press(world.ann, excerpt, "Newer")
    assert "more 11" in world.fake.answer(newer)
    assert "Older" in world.labels(newer)
    back = await world.press(world.ann, newer, "Back to what was found")
    assert world.fake.answer(back) == world.fake.answer(first)


async def test_alone_it_lists_where_one_took_part(world: World) -> None:
    await world.ask(world.ann, world.general, "how do magnets work?")
    await world.ask(world.ben, world.general, "what is rust?")
    answer = world.fake.answer(await world.recall(world.ann, world.general))
    assert "**1.** how do magnets work? · #general" in answer
    assert "2 messages" in answer
    assert "rust" not in answer


async def test_every_option_narrows_what_is_found(world: World) -> None:
    thread = await world.ask(world.ann, world.general, "login with a link https://example.org")
    await world.ask(world.ben, world.general, "login without")
    for options, found in (
        ({"from_": str(world.ann)}, True),
        ({"from_": str(world.ben)}, False),
        ({"in_": str(world.general)}, True),
        ({"has": "link"}, True),
        ({"has": "file"}, False),
        ({"after": "yesterday"}, True),
        ({"before": "yesterday"}, False),
        ({"words": '"with a'}, True),
    ):
        given = {"words": "login", **options}
        answer = world.fake.answer(await world.recall(world.ben, world.general, **given))
        assert ("example.org" in answer) is found, options
    here = world.fake.answer(await world.recall(world.ben, thread, words="login", here=True))
    assert "1 conversation " in here


async def test_what_is_not_understood_gets_a_sentence(world: World) -> None:
    await world.ask(world.ann, world.general, "the login page is blue")
    answer = world.fake.answer(await world.recall(world.ann, world.general, words="login", after="soonish"))
    assert "I don't understand the date" in answer
    answer = world.fake.answer(await world.recall(world.ann, world.general, in_=str(world.ops)))
    assert "no channel called “ops”" in answer


async def test_dates_are_suggested_while_they_are_typed(world: World) -> None:
    token = world.fake.typing_option(world.ann, world.general, "recall", "after", "last")
    response = await world.fake.wait(lambda: world.fake.interactions[token].response)
    assert response is not None
    assert response["type"] == 8
    assert [choice["value"] for choice in response["data"]["choices"]] == ["last week", "last month"]


async def test_words_of_people_are_shown_as_they_are_and_ping_nobody(world: World) -> None:
    await world.ask(
        world.ann, world.general, "apple @everyone **bold** [click](https://bad.example) `x` <#1>"
    )
    answer = world.fake.answer(await world.recall(world.ben, world.general, words="apple"))
    assert r"\*\*bold\*\* \[click\]\(https://bad.example\) \`x\`" in answer
    assert r"\@everyone" in answer
    assert world.fake.pings == []


async def test_buttons_of_somebody_else_or_of_long_ago_say_to_ask_again(world: World) -> None:
    await world.ask(world.ann, world.general, "the login page is blue")
    token = await world.recall(world.ann, world.general, words="login")
    stolen = await world.press(world.ben, token, "Read 1")
    assert world.fake.answer(stolen) == recall.ASK_AGAIN


async def test_whom_the_operator_refuses_finds_nothing(world: World) -> None:
    await world.ask(world.ann, world.general, "the login page is blue")
    token = await world.recall(world.ann, world.general, words="login")
    world.refused.add(str(world.ann))
    assert world.fake.answer(await world.press(world.ann, token, "Read 1")) == recall.NOT_FOR_YOU
    again = await world.recall(world.ann, world.general, words="login")
    assert world.fake.answer(again) == recall.NOT_FOR_YOU


async def test_asked_with_a_mention_it_answers_by_direct_message(world: World) -> None:
    fake = world.fake
    thread = await world.ask(world.ann, world.general, "the login page is blue")
    fake.say(world.ben, thread, f"<@{fake.bot.id}> recall login")
    dm = fake.dm(world.ben)
    (post,) = await fake.wait(lambda: fake.messages(dm, by_bot=True))
    assert "the **login** page is blue" in post["embeds"][0]["description"]
    pressed = fake.press(world.ben, dm, int(post["id"]), "Read 1")
    await fake.wait(lambda: fake.answer(pressed))
    assert re.search(rf"➤ \*\*\[Ann\]\(\S+/{thread}\)\*\*: the login page is blue", fake.answer(pressed))
    assert len(fake.messages(thread, by_bot=True)) == 1


async def test_asked_in_words_in_a_direct_message_it_answers_there_with_all_that_one_may_read(
    world: World,
) -> None:
    fake = world.fake
    await world.ask(world.ben, world.ops, "the login secret is plum")
    for person, sees in ((world.ann, False), (world.ben, True)):
        dm = fake.dm(person)
        fake.say(person, dm, "recall login")
        (post,) = await fake.wait(lambda dm=dm: fake.messages(dm, by_bot=True))  # type: ignore[misc]  # its default
        assert ("plum" in str(post["embeds"])) is sees
        assert ("nothing" in str(post["embeds"])) is not sees


async def test_what_was_found_is_no_part_of_an_answer_that_is_taken_over(world: World) -> None:
    """A page in a direct message is a post of ours in no row, as a missing part of an answer would be."""
    fake = world.fake
    dm = fake.dm(world.ben)
    await world.ask(world.ann, world.general, "the login page is blue")
    asked = fake.say(world.ben, dm, "hello")
    await fake.wait(lambda: "👍" in str(fake.messages(dm, by_bot=True)))
    await world.process.settle()
    fake.say(world.ben, dm, "recall login")
    await fake.wait(lambda: fake.messages(dm, by_bot=True)[1:])
    fake.say(world.ben, dm, "recall nowhere")
    pages = (await fake.wait(lambda: fake.messages(dm, by_bot=True)[2:])) and fake.messages(dm, by_bot=True)[
        1:
    ]
    assert [bool(page["components"]) for page in pages] == [True, False]
    turn = turn_of(SessionKey("discord", "dm", str(dm), str(dm)), asked)
    posts = DiscordPosts(world.platform._rest, world.platform._rooms, world.platform._places, turn)
    assert {int(page["id"]) for page in pages}.isdisjoint(await posts.ours())


async def test_where_direct_messages_are_closed_it_says_what_works(world: World) -> None:
    fake = world.fake
    thread = await world.ask(world.ann, world.general, "the login page is blue")
    fake.closed_dms.add(world.ben)
    fake.say(world.ben, thread, f"<@{fake.bot.id}> recall login")
    posts = await fake.wait(lambda: fake.messages(thread, by_bot=True)[1:])
    assert [post["content"] for post in posts] == [RECALL_CLOSED]


async def test_the_command_is_told_with_its_options(world: World) -> None:
    (command,) = [command for command in world.fake.commands if command["name"] == "recall"]
    kinds = {option["name"]: option["type"] for option in command["options"]}
    assert kinds == {"words": 3, "from": 6, "in": 7, "after": 3, "before": 3, "has": 3, "here": 5}
    assert [o["name"] for o in command["options"] if o.get("autocomplete")] == ["after", "before"]
    assert command["contexts"] == [0, 1]
    assert all(len(option["description"]) <= 100 for option in command["options"])
