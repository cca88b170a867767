"""What was said while nobody listened is fetched, kept, and answered while it is young."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from adapters.discord import catching_up, rest
from adapters.discord.catching_up import ARCHIVED_MARK
from bot.domain import Addressed, Event, Order, Said
from tests.fakes.discord import FakeDiscord
from tests.fakes.discord_bot import WAIT_S, Core, Marks, connected


@pytest.fixture
async def fake() -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord(pace=100.0) as discord:
        yield discord
        assert discord.violations == []


@pytest.fixture
def core() -> Core:
    return Core(script=None)


@pytest.fixture
def marks() -> Marks:
    return Marks()


def mention(fake: FakeDiscord, text: str) -> str:
    return f"<@{fake.bot.id}> {text}"


async def pass_over(fake: FakeDiscord, marks: Marks, *hidden: int) -> None:
    """Be connected once, so that every place has a watermark, but those that are `hidden`."""
    async with connected(fake, Core(script=None), marks):
        for place in list(fake.channels.values()):
            if place.guild and not place.archived and place.id not in hidden:
                await marks.reach(place.id)
                if not place.is_thread:
                    await marks.reach(f"{place.id}{ARCHIVED_MARK}")


@pytest.mark.parametrize("page", [100, 40], ids=["full pages", "pages shorter than asked for"])
async def test_what_was_said_meanwhile_arrives_in_order(
    fake: FakeDiscord, core: Core, marks: Marks, page: int
) -> None:
    fake.rest.message_page = page
    guild = fake.guild()
    channel, ann = fake.channel(guild, "general"), fake.person("ann")
    thread = fake.thread(channel, "talk")
    fake.say(ann, thread, "before the bot came")
    await pass_over(fake, marks)
    asked = fake.say(ann, channel, mention(fake, "asked"))
    said = [fake.say(ann, thread, str(number)) for number in range(250)]
    async with connected(fake, core, marks):
        await marks.reach(thread, said[-1])
        await marks.reach(channel, asked)
    in_thread = [event for event in core.said if event.key.thread == str(thread)]
    assert [event.message.text for event in in_thread] == [str(number) for number in range(250)]
    assert {event.message.position for event in core.said} == {asked, *said}
    assert all(event.answer for event in core.said)


async def test_a_caught_up_message_is_the_same_value_as_a_live_one(
    fake: FakeDiscord, core: Core, marks: Marks
) -> None:
    guild = fake.guild()
    channel, ann = fake.channel(guild, "general"), fake.person("ann")
    fake.role(guild, "helpers", to=[ann])
    await pass_over(fake, marks)
    live = Core(script=None)
    kept = dict(marks.kept)
    async with connected(fake, live, marks):
        fake.say(ann, channel, mention(fake, "hello"), files=[("a.txt", "text/plain", b"a")])
        await live.heard(1)
    marks.kept = kept
    async with connected(fake, core, marks):
        await core.heard(1)
    assert core.said[0] == replace(live.said[0], read=True)
    assert core.said[0].groups


async def test_places_that_did_not_move_are_not_read(fake: FakeDiscord, core: Core, marks: Marks) -> None:
    guild = fake.guild()
    ann = fake.person("ann")
    channels = [fake.channel(guild, f"channel-{number}") for number in range(5)]
    for channel in channels:
        fake.say(ann, channel, "hello")
    await pass_over(fake, marks)
    assert "GET messages" not in fake.rest.calls
    asked = fake.say(ann, channels[2], mention(fake, "hello"))
    async with connected(fake, core, marks):
        await marks.reach(channels[2], asked)
    assert fake.rest.calls.count("GET messages") == 1


async def test_what_is_too_old_is_kept_and_not_answered(fake: FakeDiscord, core: Core, marks: Marks) -> None:
    guild = fake.guild()
    channel, ann = fake.channel(guild, "general"), fake.person("ann")
    marks.kept[str(guild), str(channel)] = fake.snowflake(ago_s=7200)
    old = fake.say(ann, channel, mention(fake, "old"), ago_s=3600)
    young = fake.say(ann, channel, mention(fake, "young"), ago_s=60)
    async with connected(fake, core, marks):
        await core.heard(2)
    assert {event.message.position: event.answer for event in core.said} == {old: False, young: True}


async def test_a_thread_that_was_opened_meanwhile_is_read_from_its_beginning(
    fake: FakeDiscord, core: Core, marks: Marks
) -> None:
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    await pass_over(fake, marks)
    asked = fake.say(ann, channel, mention(fake, "asked"))
    thread = fake.thread(channel, "asked", message=asked)
    later = fake.say(ann, thread, "later")
    async with connected(fake, core, marks):
        await core.heard(2)
    assert {event.message.position for event in core.said} == {asked, later}
    assert len({event.key for event in core.said}) == 1


async def test_a_thread_that_was_archived_again_meanwhile(
    fake: FakeDiscord, core: Core, marks: Marks
) -> None:
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    thread = fake.thread(channel, "talk")
    await pass_over(fake, marks)
    later = fake.say(ann, thread, "later")
    fake.archive(thread)
    async with connected(fake, core, marks):
        await core.heard(1)
    assert [event.message.position for event in core.said] == [later]
    assert core.said[0].addressed is Addressed.THREAD


async def test_a_private_thread_that_was_archived_again_meanwhile(
    fake: FakeDiscord, core: Core, marks: Marks
) -> None:
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    ours = fake.thread(channel, "ours", by=ann, private=True, members=[fake.bot.id])
    theirs = fake.thread(channel, "theirs", by=ann, private=True)
    await pass_over(fake, marks, theirs)
    later = fake.say(ann, ours, "later")
    fake.say(ann, theirs, "not for us")
    for thread in (ours, theirs):
        fake.archive(thread)
    async with connected(fake, core, marks):
        await core.heard(1)
        await marks.reach(ours, later)
    assert [event.message.position for event in core.said] == [later]
    assert core.said[0].closed


async def test_more_threads_were_archived_meanwhile_than_fit_a_page(
    fake: FakeDiscord, core: Core, marks: Marks
) -> None:
    fake.rest.thread_page = 2
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    threads = [fake.thread(channel, f"talk {number}") for number in range(5)]
    await pass_over(fake, marks)
    later = [fake.say(ann, thread, "later") for thread in threads]
    for age, thread in enumerate(threads):
        fake.archive(thread, ago_s=age)
    async with connected(fake, core, marks):
        await core.heard(5)
    assert {event.message.position for event in core.said} == set(later)


async def test_a_thread_that_was_archived_again_while_the_gateway_was_away(
    fake: FakeDiscord, core: Core, marks: Marks
) -> None:
    """As after a stop: the session that comes then is a new one."""
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    thread = fake.thread(channel, "talk")
    await pass_over(fake, marks)
    async with connected(fake, core, marks):
        await fake.wait(lambda: "GET own archived" in fake.rest.calls)
        fake.gateway.forget()
        later = fake.say(ann, thread, "later")
        fake.archive(thread)
        await fake.gateway.drop()
        await core.heard(1)
    assert [event.message.position for event in core.said] == [later]


async def test_archived_threads_that_could_not_be_listed_are_listed_later(
    fake: FakeDiscord, core: Core, marks: Marks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catching_up, "AFTER_FAILURE_S", 0.05)
    monkeypatch.setattr(rest, "PAUSE_S", 0.01)
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    thread = fake.thread(channel, "talk")
    await pass_over(fake, marks)
    fake.say(ann, thread, "later")
    fake.archive(thread)
    fake.rest.cut_after += ["GET archived"] * rest.TRIES
    async with connected(fake, core, marks):
        await core.heard(1)


async def test_a_channel_that_was_made_meanwhile_is_read_from_its_beginning(
    fake: FakeDiscord, core: Core, marks: Marks
) -> None:
    guild, ann = fake.guild(), fake.person("ann")
    fake.channel(guild, "general")
    await pass_over(fake, marks)
    made = fake.channel(guild, "new")
    asked = fake.say(ann, made, mention(fake, "hello"))
    async with connected(fake, core, marks):
        await core.heard(1)
        await marks.reach(made, asked)
    assert core.said[0].answer


async def test_a_channel_that_comes_into_sight_counts_from_then_on(
    fake: FakeDiscord, core: Core, marks: Marks
) -> None:
    guild, ann = fake.guild(), fake.person("ann")
    hidden, shown = fake.channel(guild, "hidden"), fake.channel(guild, "shown")
    fake.deny(hidden, ["view_channel"])
    said = fake.say(ann, hidden, mention(fake, "hello"))
    fake.say(ann, shown, "newer")
    await pass_over(fake, marks, hidden)
    fake.allow(hidden, ["view_channel"])
    async with connected(fake, core, marks):
        await marks.reach(hidden, said)
    assert core.said == []


async def test_a_forum_post_made_meanwhile(fake: FakeDiscord, core: Core, marks: Marks) -> None:
    forum, ann = fake.channel(fake.guild(), "questions", kind="forum"), fake.person("ann")
    await pass_over(fake, marks)
    post = fake.thread(forum, "A question", by=ann)
    asked = fake.say(ann, post, mention(fake, "hello"))
    async with connected(fake, core, marks):
        await core.heard(1)
        await marks.reach(post, asked)
    assert core.said[0].key.thread == str(post)


async def test_direct_messages_said_meanwhile(fake: FakeDiscord, core: Core, marks: Marks) -> None:
    fake.rest.message_page = 2
    fake.guild()
    ann = fake.person("ann")
    dm = fake.dm(ann)
    first = Core(script=None)
    async with connected(fake, first, marks):
        fake.say(ann, dm, "one")
        await first.heard(1)
    missed = ["two", "three", "four", "five"]
    for text in missed:
        fake.say(ann, dm, text)
    async with connected(fake, core, marks):
        await core.wait(lambda: [said.message.text for said in core.said] == ["one", *missed])


async def test_what_the_archive_could_not_take_is_fetched_later(
    fake: FakeDiscord, core: Core, marks: Marks
) -> None:
    """A live event whose commit failed is not lost, and the watermark does not move past it."""
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    await pass_over(fake, marks)
    core.unavailable = True
    async with connected(fake, core, marks):
        asked = fake.say(ann, channel, mention(fake, "hello"))
        await fake.wait(lambda: "GET messages" in fake.rest.calls)
        assert marks.of(channel) < asked
    core.unavailable = False
    async with connected(fake, core, marks):
        await core.heard(1)
        await marks.reach(channel, asked)


async def test_what_failed_in_a_way_that_nobody_foresaw_is_fetched_soon(
    fake: FakeDiscord, marks: Marks
) -> None:
    class Stumbling(Core):
        async def __call__(self, event: Event | Order) -> Any:
            if isinstance(event, Said) and not event.read:
                raise RuntimeError("nobody foresaw this")
            return await super().__call__(event)

    channel, ann, core = fake.channel(fake.guild(), "general"), fake.person("ann"), Stumbling()
    await pass_over(fake, marks)
    async with connected(fake, core, marks) as platform:
        async with asyncio.timeout(WAIT_S):
            await platform._catching_up.caught_up.wait()
        asked = fake.say(ann, channel, mention(fake, "hello"))
        await marks.reach(channel, asked)
        assert core.said[0].message.position == asked


async def test_live_events_move_no_watermark(fake: FakeDiscord, core: Core, marks: Marks) -> None:
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    await pass_over(fake, marks)
    before = dict(marks.kept)
    async with connected(fake, core, marks):
        fake.say(ann, channel, mention(fake, "hello"))
        await core.heard(1)
        assert marks.kept == before


async def test_watermarks_follow_while_all_is_well(fake: FakeDiscord, core: Core, marks: Marks) -> None:
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    await pass_over(fake, marks)
    async with connected(fake, core, marks, catch_up_every_s=0.05):
        asked = fake.say(ann, channel, mention(fake, "hello"))
        await marks.reach(channel, asked)


async def test_channels_that_it_may_not_read_are_left_alone(
    fake: FakeDiscord, core: Core, marks: Marks
) -> None:
    guild = fake.guild()
    hidden, shown = fake.channel(guild, "hidden"), fake.channel(guild, "shown")
    ann = fake.person("ann")
    fake.deny(hidden, ["read_message_history"])
    marks.kept[str(guild), str(hidden)] = 1
    fake.say(ann, hidden, mention(fake, "hidden"))
    async with connected(fake, core, marks):
        await marks.reach(shown, 1)
    assert core.said == []
    assert marks.of(hidden) == 1
