"""What was deleted and edited while nobody listened is learned by reading again."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.discord import rereading
from bot.domain import Gone, Reread
from tests.fakes.discord import FakeDiscord
from tests.fakes.discord_bot import WAIT_S, Core, Marks, connected


@pytest.fixture
async def fake() -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord(pace=100.0) as discord:
        yield discord
        assert discord.violations == []


class Stage:
    """A channel and a thread that a first process knew, and what a second one tells of them."""

    def __init__(self, fake: FakeDiscord) -> None:
        self.fake = fake
        self.guild = fake.guild()
        self.channel = fake.channel(self.guild, "general")
        self.ann = fake.person("ann")
        self.start = fake.say(self.ann, self.channel, "the start", ago_s=60)
        self.thread = fake.thread(self.channel, "talk", by=self.ann, message=self.start)
        self.said = [fake.say(self.ann, self.thread, text, ago_s=30) for text in ("one", "two", "three")]
        self.marks = Marks()
        self.marks.sessions = [(str(self.channel), str(self.thread))]

    async def first(self) -> None:
        async with connected(self.fake, Core(script=None), self.marks):
            await self.marks.reach(self.thread)
            await self.marks.reach(f"{self.channel}:archived")

    async def second(self) -> Core:
        core = Core(script=None)
        async with connected(self.fake, core, self.marks) as platform:
            async with asyncio.timeout(WAIT_S):
                await platform._catching_up.caught_up.wait()
        return core

    def reread(self, core: Core, thread: int = 0) -> Reread:
        """What was told last of a thread."""
        found = [
            r for r in core.rereads if isinstance(r, Reread) and r.key.thread == str(thread or self.thread)
        ]
        return found[-1]


def covered(reread: Reread, *positions: int) -> bool:
    return all(reread.after < position <= reread.upto for position in positions)


@pytest.fixture
def stage(fake: FakeDiscord) -> Stage:
    return Stage(fake)


async def test_messages_deleted_meanwhile(fake: FakeDiscord, stage: Stage) -> None:
    await stage.first()
    fake.delete(stage.thread, stage.said[1])
    fake.delete(stage.thread, stage.said[2])
    reread = stage.reread(await stage.second())
    assert covered(reread, stage.start, *stage.said)
    assert {stage.start, stage.said[0]} <= reread.there
    assert reread.there.isdisjoint(stage.said[1:])
    assert reread.key.channel == str(stage.channel)


async def test_messages_edited_meanwhile(fake: FakeDiscord, stage: Stage) -> None:
    await stage.first()
    fake.edit(stage.thread, stage.said[0], "one, rather")
    fake.edit(stage.channel, stage.start, "another start")
    reread = stage.reread(await stage.second())
    assert {message.text for message in reread.edited} == {"one, rather", "another start"}
    assert all(message.edited_at for message in reread.edited)


async def test_the_message_that_a_thread_began_with_was_deleted_meanwhile(
    fake: FakeDiscord, stage: Stage
) -> None:
    """It stood in the parent channel; the marker in the thread tells that it is gone."""
    await stage.first()
    fake.delete(stage.channel, stage.start)
    marker = next(m for m in fake.channels[stage.thread].messages.values() if m["type"] == 21)
    marker["referenced_message"] = None
    reread = stage.reread(await stage.second())
    assert covered(reread, stage.start)
    assert stage.start not in reread.there
    assert set(stage.said) <= reread.there


async def test_without_a_marker_nothing_is_told_of_what_a_thread_began_with(
    fake: FakeDiscord, stage: Stage
) -> None:
    await stage.first()
    fake.channels[stage.thread].messages = {
        position: message
        for position, message in fake.channels[stage.thread].messages.items()
        if message["type"] != 21
    }
    assert not covered(stage.reread(await stage.second()), stage.start)


async def test_a_thread_and_a_channel_deleted_meanwhile(fake: FakeDiscord, stage: Stage) -> None:
    other = fake.channel(stage.guild, "other")
    await stage.first()
    stage.marks.sessions.append((str(other), str(other + 1)))
    fake.delete_channel(stage.thread)
    fake.delete_channel(other)
    core = await stage.second()
    where = ("discord", str(stage.guild))
    assert core.events == [
        Gone(*where, str(stage.channel), str(stage.thread)),
        Gone(*where, str(other), None),
    ]


async def test_what_is_hidden_or_out_of_reach_is_not_gone(fake: FakeDiscord, stage: Stage) -> None:
    await stage.first()
    fake.deny(stage.channel, ["read_message_history"])
    core = await stage.second()
    fake.allow(stage.channel, ["read_message_history"])
    fake.deny(stage.channel, ["view_channel"])
    hidden = await stage.second()
    fake.allow(stage.channel, ["view_channel"])
    fake.rest.absent = {"GET messages": 404}  # not in Discord's words
    elsewhere = await stage.second()
    assert [*core.events, *hidden.events, *elsewhere.events] == []
    assert [*core.rereads, *hidden.rereads, *elsewhere.rereads] == []


async def test_an_empty_page_tells_nothing(fake: FakeDiscord, stage: Stage) -> None:
    """Discord sends one to who may not read."""
    await stage.first()
    fake.channels[stage.thread].messages.clear()
    assert (await stage.second()).rereads == []


async def test_what_is_held_by_reply_is_looked_for_in_its_channel(fake: FakeDiscord, stage: Stage) -> None:
    asked, more = (fake.say(stage.ann, stage.channel, text, ago_s=20) for text in ("by reply", "more"))
    stage.marks.sessions = [(str(stage.channel), str(asked))]
    await stage.first()
    fake.delete(stage.channel, more)
    fake.edit(stage.channel, asked, "by reply, please")
    core = await stage.second()
    reread = stage.reread(core, asked)
    assert covered(reread, asked, more)
    assert asked in reread.there
    assert more not in reread.there
    assert [message.text for message in reread.edited] == ["by reply, please"]
    assert core.events == []


async def test_of_a_long_thread_the_newest_page_is_read(fake: FakeDiscord, stage: Stage) -> None:
    many = [fake.say(stage.ann, stage.thread, str(number), ago_s=10) for number in range(120)]
    await stage.first()
    fake.delete(stage.thread, many[110])
    reread = stage.reread(await stage.second())
    assert covered(reread, many[110], *many[30:])
    assert not covered(reread, many[0])
    assert many[110] not in reread.there


async def test_what_is_said_just_now_is_not_judged(
    fake: FakeDiscord, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been said after the page was read; only what Discord surely knew of counts."""
    await stage.first()
    reread = stage.reread(await stage.second())
    assert not covered(reread, fake.snowflake())
    assert covered(reread, fake.snowflake(ago_s=5))
    assert rereading.MARGIN.total_seconds() >= 1


async def test_what_could_not_be_read_is_read_later(
    fake: FakeDiscord, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.discord.catching_up.AFTER_FAILURE_S", 0.01)
    monkeypatch.setattr("adapters.discord.rest.TRIES", 1)
    await stage.first()
    fake.delete(stage.thread, stage.said[0])

    async def failing() -> object:
        return fake.rest.refused(503, 0)

    fake.rest.faults += [("GET messages", failing)]  # type: ignore[list-item]
    assert stage.said[0] not in stage.reread(await stage.second()).there


async def test_a_short_page_is_not_taken_for_all_there_is(fake: FakeDiscord, stage: Stage) -> None:
    """A server may return fewer messages than it was asked for."""
    await stage.first()
    fake.rest.message_page = 2
    reread = stage.reread(await stage.second())
    assert covered(reread, stage.said[2])
    assert stage.said[2] in reread.there
    assert not any(covered(reread, position) for position in stage.said[:2])
