"""On a Discord that is not Discord's, and tells less: every question still gets one whole answer."""

import logging
from collections.abc import AsyncIterator

import pytest

from adapters.discord import addresses
from adapters.discord.doctor import examine
from adapters.discord.pauses import Identifies
from bot.domain import Answer
from tests.fakes.discord import FakeDiscord
from tests.fakes.discord_bot import Core, Marks, connected, turn_of
from tests.fakes.posts import FakeJournal


@pytest.fixture
async def fake() -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord() as discord:
        yield discord
        assert discord.violations == []


@pytest.fixture
def core() -> Core:
    return Core()


async def answers(fake: FakeDiscord, channel: int, number: int = 1) -> list[str]:
    """Wait until the bot said so much there; what it said."""
    await fake.wait(lambda: len(fake.messages(channel, by_bot=True)) >= number)
    return [post["content"] for post in fake.messages(channel, by_bot=True)]


async def test_a_server_that_tells_the_least(fake: FakeDiscord, core: Core) -> None:
    """No compression, proxy, rate limits, address to resume at, members, or list of whom a text names."""
    fake.rest.bare = fake.gateway.bare = True
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    async with connected(fake, core) as platform:
        asked = fake.say(ann, channel, f"<@{fake.bot.id}> hello")
        assert await answers(fake, asked) == ["You said: hello"]
        fake.say(ann, asked, "and again")
        assert await answers(fake, asked, 2) == ["You said: hello", "You said: and again"]
        fake.edit(channel, asked, f"<@{fake.bot.id}> good morning")
        edited = (await core.heard(3))[2]
        assert "good morning" in str(edited)
        assert platform.ailing() == ""
    assert fake.messages(channel, by_bot=True) == []
    assert len(fake.gateway.identifies) == 1


async def test_after_a_break_a_server_that_tells_the_least_is_connected_again(
    fake: FakeDiscord, core: Core
) -> None:
    fake.rest.bare = fake.gateway.bare = True
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    async with connected(fake, core):
        await fake.gateway.drop()
        fake.say(ann, channel, f"<@{fake.bot.id}> while away")
        await core.heard(1)
    assert fake.gateway.resumes == 1


async def test_what_was_missed_is_fetched_from_a_server_that_tells_the_least(
    fake: FakeDiscord, core: Core
) -> None:
    fake.rest.bare = True
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    marks = Marks()
    async with connected(fake, core, marks):
        first = fake.say(ann, channel, f"<@{fake.bot.id}> hello")
        await answers(fake, first)
        await marks.reach(channel)
    missed = fake.say(ann, channel, f"<@{fake.bot.id}> are you there?")
    async with connected(fake, core, marks):
        assert await answers(fake, missed) == ["You said: are you there?"]


async def test_code_and_what_is_escaped_name_nobody(fake: FakeDiscord, core: Core) -> None:
    fake.gateway.bare = True
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    me = f"<@{fake.bot.id}>"
    async with connected(fake, core):
        for text in (f"write `{me}` to call it", f"```\n{me}\n```", f"\\{me} is how"):
            fake.say(ann, channel, text)
        fake.say(ann, channel, f"and {me} now")
        await core.heard(1)
    assert [said.message.text for said in core.said] == ["and now"]


ABSENT = [
    {"GET commands": 404, "PUT commands": 404},
    {"GET commands": 405, "PUT commands": 405},
    {"GET application": 404},
    {"POST typing": 404, "GET message": 404, "GET channel": 404},
    {"GET archived": 404, "GET own archived": 501, "GET messages": 404, "GET member": 404},
]


@pytest.mark.parametrize("absent", ABSENT, ids=str)
async def test_what_is_not_there_costs_no_answer(
    fake: FakeDiscord, core: Core, absent: dict[str, int]
) -> None:
    fake.rest.absent = absent
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    async with connected(fake, core):
        asked = fake.say(ann, channel, f"<@{fake.bot.id}> hello")
        assert await answers(fake, asked) == ["You said: hello"]


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_where_no_threads_can_be_opened_it_answers_by_reply(
    fake: FakeDiscord, core: Core, status: int
) -> None:
    fake.rest.absent = {"POST threads": status}
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    async with connected(fake, core):
        asked = fake.say(ann, channel, f"<@{fake.bot.id}> hello")
        await fake.wait(
            lambda: "You said: hello" in [p["content"] for p in fake.messages(channel, by_bot=True)]
        )
    (post,) = [p for p in fake.messages(channel, by_bot=True) if p["content"] == "You said: hello"]
    assert post["message_reference"]["message_id"] == str(asked)


async def test_a_429_that_came_through_no_proxy_is_no_ban(fake: FakeDiscord, core: Core) -> None:
    fake.rest.bare = True
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")

    async def limited() -> object:
        return fake.rest.limited(0.05)

    fake.rest.faults += [("POST threads", limited), ("POST messages", limited)]  # type: ignore[list-item]
    async with connected(fake, core):
        asked = fake.say(ann, channel, f"<@{fake.bot.id}> hello")
        assert await answers(fake, asked) == ["You said: hello"]


async def test_a_gateway_whose_address_is_told_to_everybody_alone(fake: FakeDiscord, core: Core) -> None:
    fake.gateway.bare = True
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    async with connected(fake, core, shard_count=1) as platform:
        fake.say(ann, channel, f"<@{fake.bot.id}> hello")
        await core.heard(1)
        await Identifies(platform._rest, 0.0).wait(0)


async def test_the_doctor_asks_no_more_than_is_told(fake: FakeDiscord) -> None:
    fake.rest.bare = fake.gateway.bare = True
    fake.guild()
    findings = [finding async for finding in examine(fake.token, fake.api_url)]
    assert [finding.well for finding in findings] == [True] * len(findings)
    assert "1 shards recommended" in str(findings)


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("https://discord.com/api/v10", "https://discord.com/api/v10"),
        ("https://discord.com/api/v10/", "https://discord.com/api/v10"),
        ("https://discord.com/api", "https://discord.com/api/v10"),
        ("https://discord.com/api/", "https://discord.com/api/v10"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/api/v10"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/api/v10"),
        ("http://127.0.0.1:8080/api/v9", "http://127.0.0.1:8080/api/v9"),
    ],
)
def test_addresses_of_an_api(given: str, asked: str) -> None:
    assert addresses.api(given) == asked


async def test_nothing_that_is_read_leniently_is_quoted(
    fake: FakeDiscord, core: Core, caplog: pytest.LogCaptureFixture
) -> None:
    fake.rest.bare = fake.gateway.bare = True
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    with caplog.at_level(logging.DEBUG):
        async with connected(fake, core):
            asked = fake.say(ann, channel, f"<@{fake.bot.id}> the treasure")
            await answers(fake, asked)
    assert "treasure" not in caplog.text
    assert fake.token not in caplog.text


async def test_threads_that_have_ids_of_their_own_are_gone_on_in(fake: FakeDiscord, core: Core) -> None:
    """On Discord a thread has the id of the message that it was opened from."""
    fake.own_thread_ids = True
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    async with connected(fake, core):
        asked = fake.say(ann, channel, f"<@{fake.bot.id}> hello")
        thread = await fake.wait(
            lambda: next((c.id for c in fake.channels.values() if c.parent == channel), 0)
        )
        assert await answers(fake, thread) == ["You said: hello"]
        fake.say(ann, thread, "and again")
        assert await answers(fake, thread, 2) == ["You said: hello", "You said: and again"]
    assert {said.key.thread for said in core.said} == {str(asked)}


async def test_a_thread_that_nobody_finds_after_a_restart_costs_no_answer(
    fake: FakeDiscord,
) -> None:
    fake.own_thread_ids = True
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    first, second = Core(script=None), Core(script=None)
    async with connected(fake, first) as platform:
        asked = fake.say(ann, channel, f"<@{fake.bot.id}> hello")
        await first.heard(1)
        key = first.said[0].key
        await (await platform.open_reply(FakeJournal(turn_of(key, asked)))).finish(Answer("Half"))
    fake.nonces.clear()
    async with connected(fake, second) as platform:
        reply = await platform.open_reply(FakeJournal(turn_of(key, asked, taken_over=True)))
        await reply.finish(Answer("The whole answer"))
    (post,) = [p for p in fake.messages(channel, by_bot=True) if p["content"] == "The whole answer"]
    assert post["message_reference"]["message_id"] == str(asked)


async def test_commands_are_told_where_nobody_tells_which_are_known(fake: FakeDiscord, core: Core) -> None:
    fake.rest.absent = {"GET commands": 404}
    fake.guild()
    async with connected(fake, core):
        assert {"help", "recall"} <= {command["name"] for command in fake.commands}


async def test_commands_and_buttons_that_tell_the_least(fake: FakeDiscord, core: Core) -> None:
    fake.rest.bare = fake.gateway.bare = True
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    async with connected(fake, core):
        asked = fake.say(ann, channel, f"<@{fake.bot.id}> hello")
        await answers(fake, asked)
        token = fake.slash(ann, asked, "pause")
        await fake.wait(lambda: fake.answer(token))
        (post,) = fake.messages(asked, by_bot=True)
        pressed = fake.press(ann, asked, int(post["id"]), "👍")
        assert await fake.wait(lambda: fake.answer(pressed)) == "Thank you, noted."
    assert core.orders[0].key == core.said[0].key
