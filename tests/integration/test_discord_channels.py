"""Every type of channel that Discord has: what is said there, and where the answer goes.

https://docs.discord.com/developers/resources/channel#channel-object-channel-types
"""

from collections.abc import AsyncIterator

import pytest

from bot.domain import SessionKey
from bot.sharing_words import Piece
from tests.fakes.discord import FakeDiscord
from tests.fakes.discord_bot import Core, Marks, connected


@pytest.fixture
async def fake() -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord() as discord:
        yield discord
        assert discord.violations == []


async def answers(fake: FakeDiscord, place: int, number: int = 1) -> list[str]:
    """Wait until the bot said so much there; what it said."""
    await fake.wait(lambda: len(fake.messages(place, by_bot=True)) >= number)
    return [post["content"] for post in fake.messages(place, by_bot=True)]


def keys(core: Core) -> set[tuple[str, str]]:
    """Channel and thread of every session that something was said in."""
    return {(said.key.channel, said.key.thread) for said in core.said}


@pytest.mark.parametrize(("kind", "thread"), [("text", 11), ("announcement", 10)])
async def test_where_threads_can_be_opened_one_is(fake: FakeDiscord, kind: str, thread: int) -> None:
    channel, ann, core = fake.channel(fake.guild(), "here", kind=kind), fake.person("ann"), Core()
    async with connected(fake, core):
        asked = fake.say(ann, channel, f"<@{fake.bot.id}> one")
        await answers(fake, asked)
        fake.say(ann, asked, "two")
        assert await answers(fake, asked, 2) == ["You said: one", "You said: two"]
    assert fake.channels[asked].kind == thread
    assert keys(core) == {(str(channel), str(asked))}


@pytest.mark.parametrize("kind", ["voice", "stage"])
async def test_in_the_chat_of_a_voice_or_stage_channel_it_answers_by_reply(
    fake: FakeDiscord, kind: str
) -> None:
    channel, ann, core, marks = (
        fake.channel(fake.guild(), "here", kind=kind),
        fake.person("ann"),
        Core(),
        Marks(),
    )
    async with connected(fake, core, marks):
        await marks.reach(channel)
        asked = fake.say(ann, channel, f"<@{fake.bot.id}> one")
        await answers(fake, channel)
        (post,) = fake.messages(channel, by_bot=True)
        fake.say(ann, channel, "two", reply_to=int(post["id"]))
        assert await answers(fake, channel, 2) == ["You said: one", "You said: two"]
    assert post["message_reference"]["message_id"] == str(asked)
    assert keys(core) == {(str(channel), str(asked))}
    missed = fake.say(ann, channel, f"<@{fake.bot.id}> three")
    async with connected(fake, core, marks):
        assert (await answers(fake, channel, 3))[2] == "You said: three"
    assert (str(channel), str(missed)) in keys(core)


@pytest.mark.parametrize("kind", ["voice", "stage"])
async def test_where_it_may_not_connect_it_answers_and_fetches_nothing(fake: FakeDiscord, kind: str) -> None:
    """Discord gives what was said in a voice channel to those alone who may connect to it."""
    guild, ann, core, marks = fake.guild(), fake.person("ann"), Core(), Marks()
    channel, other = fake.channel(guild, "here", kind=kind), fake.channel(guild, "other")
    async with connected(fake, core, marks):
        await marks.reach(channel)
    fake.deny(channel, ["connect"])
    for place in (channel, other):
        fake.say(ann, place, f"<@{fake.bot.id}> missed")
    async with connected(fake, core, marks):
        await core.heard(1)
        fake.say(ann, channel, f"<@{fake.bot.id}> one")
        assert await answers(fake, channel) == ["You said: one"]
    assert {said.message.text for said in core.said} == {"missed", "one"}
    assert len(core.said) == 2


@pytest.mark.parametrize("kind", ["forum", "media"])
async def test_posts_of_a_forum_or_media_channel_are_threads(fake: FakeDiscord, kind: str) -> None:
    channel, ann, core, marks = (
        fake.channel(fake.guild(), "here", kind=kind),
        fake.person("ann"),
        Core(),
        Marks(),
    )
    async with connected(fake, core, marks):
        await marks.reach(f"{channel}:archived")
        post = fake.thread(channel, "How?", by=ann)
        fake.say(ann, post, f"<@{fake.bot.id}> one")
        await answers(fake, post)
        fake.say(ann, post, "two")
        assert await answers(fake, post, 2) == ["You said: one", "You said: two"]
    later = fake.thread(channel, "And how?", by=ann)
    fake.say(ann, later, f"<@{fake.bot.id}> three")
    fake.archive(later)
    async with connected(fake, core, marks):
        assert await answers(fake, later) == ["You said: three"]
    assert keys(core) == {(str(channel), str(thread)) for thread in (post, later)}


@pytest.mark.parametrize("parent", ["text", "announcement"])
async def test_a_thread_that_somebody_else_opened(fake: FakeDiscord, parent: str) -> None:
    channel, ann, core = fake.channel(fake.guild(), "here", kind=parent), fake.person("ann"), Core()
    start = fake.say(ann, channel, "let us talk")
    thread = fake.thread(channel, "talk", by=ann, message=start)
    async with connected(fake, core):
        fake.say(ann, thread, f"<@{fake.bot.id}> one")
        assert await answers(fake, thread) == ["You said: one"]
    assert keys(core) == {(str(channel), str(thread))}


async def test_direct_messages_of_several_people_are_nobodys_session(fake: FakeDiscord) -> None:
    """Discord lets no bot in, but an app that was installed for one user alone is used there."""
    ann, ben, core = fake.person("ann"), fake.person("ben"), Core()
    fake.guild()
    async with connected(fake, core):
        group = fake.group(ann, ben)
        fake.gateway.raw("CHANNEL_CREATE", fake.channel_payload(group))
        fake.say(ann, group, f"<@{fake.bot.id}> one")
        asked = [fake.slash(ann, group, name) for name in ("recall", "help")]
        for token in asked:
            await fake.wait(lambda token=token: fake.answer(token))
        fake.say(ann, fake.dm(ann), "two")
        await answers(fake, fake.dm(ann))
    assert [said.message.text for said in core.said] == ["two"]
    assert core.orders == []
    assert fake.messages(group, by_bot=True) == []


@pytest.mark.parametrize(
    ("kind", "thread"), [("forum", 11), ("media", 11), ("announcement", 10), ("voice", 0)]
)
async def test_a_conversation_that_is_gone_on_with_begins_where_it_can(
    fake: FakeDiscord, kind: str, thread: int
) -> None:
    """Channels that hold posts alone take none that is no thread; in a voice channel there are no threads."""
    guild, ann, core = fake.guild(), fake.person("ann"), Core()
    channel = fake.channel(guild, "here", kind=kind)
    at = SessionKey("discord", str(guild), str(channel), "1")
    async with connected(fake, core) as platform:
        opened = await platform.open_thread(at, (Piece("Here we go on."),), "the plan", "gesture")
        room = int(opened.key.thread) if thread else channel
        (post,) = fake.messages(room if kind in ("forum", "media") else channel, by_bot=True)
        reply_to = 0 if thread else int(post["id"])
        fake.say(ann, room, f"<@{fake.bot.id}> hello", reply_to=reply_to)
        await core.heard(1)
        await core.answered()
    assert post["content"] == "Here we go on."
    assert opened.post == int(post["id"])
    assert core.said[0].key == opened.key
    assert not thread or fake.channels[room].kind == thread
