"""The gateway as in real life: it drops, forgets, goes silent, refuses, and sends what nobody expects."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import discord
import discord.shard
import pytest

from adapters.discord import client, leniency, pauses
from adapters.discord.notices import UNREAD
from adapters.discord.platform import DiscordPlatform
from bot.domain import Left
from bot.errors import PlatformForbidden
from tests.fakes.discord import FakeDiscord
from tests.fakes.discord_bot import Core, Marks, connected


@pytest.fixture
async def fake() -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord() as discord:
        yield discord
        assert discord.violations == []
    assert [thread for thread in threading.enumerate() if thread.name.startswith("keep-alive")] == []


@pytest.fixture
def core() -> Core:
    return Core(script=None)


async def sessions(fake: FakeDiscord) -> None:
    """Wait until a session has a connection."""
    await fake.wait(lambda: any(session.socket for session in fake.gateway.sessions.values()))


def mention(fake: FakeDiscord, text: str) -> str:
    return f"<@{fake.bot.id}> {text}"


async def holds(probe: Callable[[], bool]) -> None:
    """Wait until it does; nobody tells when."""
    async with asyncio.timeout(10):
        while not probe():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def texts(core: Core) -> set[str]:
    return {said.message.text for said in core.said}


async def test_a_dropped_connection_is_resumed_and_nothing_is_lost(fake: FakeDiscord, core: Core) -> None:
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    async with connected(fake, core):
        await fake.gateway.drop()
        fake.say(ann, channel, mention(fake, "while away"))
        await core.heard(1)
        assert len(fake.gateway.identifies) == 1
        assert fake.gateway.resumes >= 1
    assert texts(core) == {"while away"}


async def test_discord_asks_to_reconnect(fake: FakeDiscord, core: Core) -> None:
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    async with connected(fake, core):
        fake.gateway.ask_reconnect()
        await fake.wait(lambda: fake.gateway.resumes)
        fake.say(ann, channel, mention(fake, "after"))
        await core.heard(1)
    assert len(fake.gateway.identifies) == 1


async def test_a_connection_that_is_cut_without_a_word(fake: FakeDiscord, core: Core) -> None:
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    async with connected(fake, core):
        await fake.gateway.cut()
        await fake.wait(lambda: fake.gateway.resumes)
        fake.say(ann, channel, mention(fake, "after"))
        await core.heard(1)
    assert len(fake.gateway.identifies) == 1


async def test_an_invalid_session_is_caught_up_on(fake: FakeDiscord, core: Core) -> None:
    """Nothing is sent again there, so what was said meanwhile is fetched."""
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    marks = Marks()
    async with connected(fake, core, marks):
        await marks.reach(channel)
        fake.gateway.invalidate()
        fake.say(ann, channel, mention(fake, "unheard"))
        await core.heard(1)
    assert texts(core) == {"unheard"}
    assert len(fake.gateway.identifies) == 2


async def test_a_session_that_ran_out_is_caught_up_on(fake: FakeDiscord, core: Core) -> None:
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    marks = Marks()
    async with connected(fake, core, marks):
        await marks.reach(channel)
        fake.gateway.forget()
        fake.say(ann, channel, mention(fake, "unheard"))
        await fake.gateway.drop()
        await core.heard(1)
    assert texts(core) == {"unheard"}
    assert len(fake.gateway.identifies) == 2


async def test_a_connection_that_went_silent_is_given_up(fake: FakeDiscord, core: Core) -> None:
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    async with connected(fake, core, heartbeat_timeout_s=0.5):
        fake.gateway.zombify()
        await fake.wait(lambda: fake.gateway.resumes)
        fake.say(ann, channel, mention(fake, "after"))
        await core.heard(1)
    assert len(fake.gateway.identifies) == 1


@pytest.mark.parametrize("shards", [1, 2])
async def test_a_gateway_that_does_not_answer_is_asked_for_a_new_session(
    fake: FakeDiscord, core: Core, monkeypatch: pytest.MonkeyPatch, shards: int
) -> None:
    monkeypatch.setattr(leniency, "SESSION_S", 0.2)
    fake.gateway.shards = shards
    channel, ann, marks = fake.channel(fake.guild(), "general"), fake.person("ann"), Marks()
    async with connected(fake, core, marks) as platform:
        await marks.reach(channel)
        fake.gateway.deaf = 2 * shards  # the resume, and the identify after it
        await fake.gateway.drop()
        fake.say(ann, channel, mention(fake, "unheard"))
        await core.heard(1)
        await holds(lambda: platform.ailing() == "")
    assert texts(core) == {"unheard"}
    assert fake.gateway.resumes == 0


async def test_heartbeats_are_sent(fake: FakeDiscord, core: Core) -> None:
    fake.guild()
    fake.gateway.heartbeat_ms = 50
    async with connected(fake, core):
        await fake.wait(lambda: fake.gateway.heartbeats >= 3)


async def test_a_payload_that_discord_py_cannot_parse_ends_nothing(
    fake: FakeDiscord, core: Core, caplog: pytest.LogCaptureFixture
) -> None:
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    async with connected(fake, core) as platform:
        fake.gateway.raw("MESSAGE_REACTION_ADD", {"id": "1", "channel_id": str(channel), "content": "half"})
        fake.gateway.raw("MESSAGE_REACTION_ADD", {"id": "2", "channel_id": str(channel), "content": "half"})
        fake.say(ann, channel, mention(fake, "after"))
        await core.heard(1)
        assert platform.ailing() == ""
        assert len(fake.gateway.identifies) == 1
    unread = [r for r in caplog.records if getattr(r, "event", "") == "unread"]
    assert [record.levelname for record in unread].count("WARNING") == 1
    assert "half" not in caplog.text


async def test_events_of_tomorrow_and_messages_without_half_their_fields(
    fake: FakeDiscord, core: Core
) -> None:
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    async with connected(fake, core):
        fake.gateway.raw("SOMETHING_NEW", {"a": 1})
        fake.gateway.raw("MESSAGE_DELETE", {"id": "1", "channel_id": "2", "guild_id": "3"})
        fake.say(ann, channel, mention(fake, "after"))
        await core.wait(lambda: core.said)
    assert texts(core) == {"after"}


async def test_the_days_sessions_are_not_used_up(
    fake: FakeDiscord, core: Core, caplog: pytest.LogCaptureFixture
) -> None:
    """Past its thousandth session of a day Discord resets the token."""
    fake.guild()
    fake.gateway.identify_budget = 12
    async with connected(fake, core) as platform:
        fake.gateway.invalidate()
        await fake.wait(lambda: len(fake.gateway.identifies) == 2)
        await sessions(fake)
        fake.gateway.invalidate()
        await fake.wait(lambda: fake.rest.calls.count("GET gateway") >= 4)
        assert platform.ailing()
        assert len(fake.gateway.identifies) == 2
    assert any(record.event == "identify_budget" for record in caplog.records if hasattr(record, "event"))


async def test_without_the_message_content_intent_it_hears_mentions_and_direct_messages(
    fake: FakeDiscord, core: Core, caplog: pytest.LogCaptureFixture
) -> None:
    fake.gateway.content_intent = False
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    thread = fake.thread(channel, "talk")
    with caplog.at_level(logging.WARNING):
        async with connected(fake, core) as platform:
            assert not platform.reads_content
            fake.say(ann, thread, "hidden")
            fake.say(ann, thread, mention(fake, "shown"))
            fake.say(ann, fake.dm(ann), "direct")
            await core.heard(2)
            assert platform.ailing() == ""
    assert texts(core) == {"shown", "direct"}
    assert "message content intent" in caplog.text


async def test_who_goes_on_where_it_cannot_be_read_is_told_to_mention_the_bot_once(fake: FakeDiscord) -> None:
    fake.gateway.content_intent = False
    channel, ann, marks = fake.channel(fake.guild(), "general"), fake.person("ann"), Marks()
    elsewhere = fake.thread(channel, "no bot", by=ann)
    for _ in range(2):
        core = Core()
        async with connected(fake, core, marks):
            asked = fake.say(ann, channel, mention(fake, "hello"))
            await fake.wait(lambda asked=asked: fake.messages(asked, by_bot=True))
            fake.say(ann, elsewhere, "among us")
            for text in ("and then?", "anybody?"):
                fake.say(ann, asked, text)
            fake.say(ann, asked, mention(fake, "ah"))
            await fake.wait(lambda asked=asked: len(fake.messages(asked, by_bot=True)) == 3)
            told = {post["content"] for post in fake.messages(asked, by_bot=True)}
            assert told == {"You said: hello", "You said: ah", UNREAD.text}
    assert fake.messages(elsewhere, by_bot=True) == []


async def test_discord_out_of_reach_is_tried_again(fake: FakeDiscord, core: Core) -> None:
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    async with connected(fake, core):
        fake.gateway.closing = True
        fake.gateway.forget()
        await fake.gateway.drop()
        calls = len(fake.rest.calls)
        await fake.wait(lambda: len(fake.rest.calls) > calls or not fake.gateway.sockets)
        fake.gateway.closing = False
        await sessions(fake)
        fake.say(ann, channel, mention(fake, "after"))
        await core.heard(1)


async def test_discord_out_of_reach_at_the_start_holds_nobody_up(core: Core) -> None:
    port = 0
    async with FakeDiscord() as away:
        port = int(away.api_url.split(":")[2].split("/")[0])
    async with AsyncExitStack() as stack:
        platform = await stack.enter_async_context(connected(away, core))
        assert platform.ailing()
        fake = await stack.enter_async_context(FakeDiscord(port))
        channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
        await sessions(fake)
        fake.say(ann, channel, mention(fake, "hello"))
        await core.heard(1)
        assert platform.ailing() == ""


async def test_a_token_that_is_refused_while_it_runs_is_tried_again_seldom(
    fake: FakeDiscord, core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    async with connected(fake, core) as platform:
        monkeypatch.setattr(client, "LONGEST_PAUSE_S", 0.2)
        fake.gateway.token = "another"
        fake.gateway.forget()
        await fake.gateway.drop()
        await fake.wait(lambda: len(fake.gateway.identifies) == 2)
        await fake.wait(lambda: len(fake.gateway.identifies) == 3)
        assert "DISCORD_TOKEN" in platform.ailing()
        fake.gateway.token = fake.token
        await sessions(fake)
        fake.say(ann, channel, mention(fake, "hello"))
        await core.heard(1)


async def test_nobody_waits_long_for_a_network_that_is_back(fake: FakeDiscord, core: Core) -> None:
    """discord.py's own pauses grow to 17 minutes, and take no other bound."""
    fake.guild()
    async with connected(fake, core):
        for library in (discord.Client.connect, discord.shard.Shard.__init__):
            backoff = library.__globals__["ExponentialBackoff"]()
            assert max(backoff.delay() for _ in range(100)) <= pauses.RECONNECT_S


async def test_two_shards_in_one_process(fake: FakeDiscord, core: Core) -> None:
    fake.gateway.shards = 2
    channels = [fake.channel(fake.guild(f"guild {shard}", shard=shard), "general") for shard in (0, 1)]
    ann = fake.person("ann")
    async with connected(fake, core) as platform:
        assert platform.ailing() == ""
        for number, channel in enumerate(channels):
            fake.say(ann, channel, mention(fake, str(number)))
        fake.say(ann, fake.dm(ann), "direct")
        await core.heard(3)
        assert {session.shard for session in fake.gateway.sessions.values()} == {0, 1}
    assert texts(core) == {"0", "1", "direct"}


async def test_a_shard_for_each_of_two_processes(fake: FakeDiscord) -> None:
    channels = [fake.channel(fake.guild(f"guild {shard}", shard=shard), "general") for shard in (0, 1)]
    ann = fake.person("ann")
    cores = [Core(script=None), Core(script=None)]
    async with (
        connected(fake, cores[0], shard_ids=[0], shard_count=2),
        connected(fake, cores[1], shard_ids=[1], shard_count=2),
    ):
        for number, channel in enumerate(channels):
            fake.say(ann, channel, mention(fake, str(number)))
        fake.say(ann, fake.dm(ann), "direct")
        await cores[0].heard(2)
        await cores[1].heard(1)
    assert texts(cores[0]) == {"0", "direct"}
    assert texts(cores[1]) == {"1"}


async def test_a_server_that_was_left_while_away_is_left_and_told_of_once(
    fake: FakeDiscord, core: Core, caplog: pytest.LogCaptureFixture
) -> None:
    stays, goes, marks = fake.guild("stays"), fake.guild("goes"), Marks()
    channels = [fake.channel(guild, "general") for guild in (stays, goes)]
    async with connected(fake, core, marks):
        for channel in channels:
            await marks.reach(channel)
    fake.remove_guild(goes)
    await marks.advance("discord", "no-server", "1", 1)  # as an import may bring it
    for _ in range(2):
        async with connected(fake, core, marks):
            await core.heard(1)
            await marks.reach(channels[0])
    assert core.events == [Left("discord", str(goes))]
    (told,) = [record for record in caplog.records if getattr(record, "event", "") == "guild_left"]
    assert f"--workspace discord:{goes}" in told.getMessage()


@pytest.mark.parametrize("shards", [1, 2])
async def test_a_server_that_was_left_during_a_break_is_left(
    fake: FakeDiscord, core: Core, shards: int
) -> None:
    fake.gateway.shards = shards
    stays, goes, marks = fake.guild("stays"), fake.guild("goes"), Marks()
    channel = fake.channel(goes, "general")
    async with connected(fake, core, marks) as platform:
        await marks.reach(channel)
        fake.gateway.forget()
        fake.remove_guild(goes)
        await fake.gateway.drop()
        await core.heard(1)
        assert not platform._gateway.hears(goes)
        assert platform._gateway.hears(stays)
    assert core.events == [Left("discord", str(goes))]


async def test_a_server_that_tells_of_its_guilds_one_by_one_is_not_left(
    fake: FakeDiscord, core: Core
) -> None:
    fake.rest.bare = fake.gateway.bare = True
    channel, ann, marks = fake.channel(fake.guild(), "general"), fake.person("ann"), Marks()
    for text in ("one", "two"):
        async with connected(fake, core, marks):
            await marks.reach(channel)
            fake.say(ann, channel, mention(fake, text))
            await core.wait(lambda text=text: text in texts(core))
    assert len(core.events) == 2


async def test_a_bot_that_is_nowhere_yet_says_how_to_invite_it(
    fake: FakeDiscord, core: Core, caplog: pytest.LogCaptureFixture
) -> None:
    ann = fake.person("ann")
    async with connected(fake, core):
        fake.say(ann, fake.dm(ann), "hello")
        await core.heard(1)
        await holds(lambda: "oauth2/authorize" in caplog.text)
    assert f"client_id={fake.bot.id}" in caplog.text


@pytest.mark.parametrize("token", ["wrong", "two\nlines", "töken", ""])
async def test_a_token_that_cannot_be_one_is_a_sentence(fake: FakeDiscord, core: Core, token: str) -> None:
    platform = DiscordPlatform(token, Marks(), api_url=fake.api_url)
    with pytest.raises(PlatformForbidden, match="DISCORD_TOKEN"):
        await platform.open(core, core)
    await platform.close()
