"""A thread as a file on Discord, through its front doors: the command, and words after a mention."""

import json

from adapters.discord.asides import EXPORT_CLOSED
from adapters.discord.taking import HERE_INSTEAD, REFUSED_SIZE
from bot import words
from bot.domain import SessionKey
from tests.fakes.discord.world import Payload
from tests.integration.test_discord_recall import EPHEMERAL, World
from tests.integration.test_discord_recall import world as world  # noqa: PLC0414 - a fixture


def received(world: World, person: int) -> list[Payload]:
    """What the bot wrote to somebody directly."""
    return world.fake.messages(world.fake.dm(person), by_bot=True)


def content(world: World, message: Payload) -> str:
    (file,) = message["attachments"]
    return world.fake.files[file["url"].removeprefix(world.fake.files_base)][1].decode()


async def export(world: World, person: int, channel: int, **options: str) -> str:
    """Somebody uses the command; what they are answered."""
    token = world.fake.slash(person, channel, "export", dict(options))
    await world.fake.wait(lambda: world.fake.answer(token))
    response = world.fake.interactions[token].response
    assert response is not None
    assert response["data"]["flags"] & EPHEMERAL
    return world.fake.answer(token)


async def test_the_command_sends_the_thread_as_a_direct_message(world: World) -> None:
    thread = await world.ask(world.ann, world.general, "the login page is blue")
    assert await export(world, world.ben, thread) == words.EXPORT_SENT
    (message,) = received(world, world.ben)
    assert message["attachments"][0]["filename"] == "threadfly-export-the-login-page-is-blue.md"
    assert message["content"] == "Here is “the login page is blue”: 2 messages."
    assert "> the login page is blue" in content(world, message)
    assert received(world, world.ann) == []


async def test_a_form_and_a_link_can_be_chosen(world: World) -> None:
    thread = await world.ask(world.ann, world.general, "tea")
    for link in (
        f"https://discord.com/channels/{world.guild}/{thread}",
        f"https://discord.com/channels/{world.guild}/{thread}/{thread + 5}",
        f"https://ptb.discord.com/channels/{world.guild}/{world.general}/{thread}",
    ):
        assert await export(world, world.ben, world.general, form="json", link=link) == words.EXPORT_SENT
        told = json.loads(content(world, received(world, world.ben)[-1]))
        assert [message["text"] for message in told["messages"]] == ["tea", "answer 1"]


async def test_a_mention_asks_too_and_is_no_part_of_the_thread(world: World) -> None:
    thread = await world.ask(world.ann, world.general, "tea")
    world.fake.say(world.ben, thread, f"<@{world.fake.bot.id}> export html")
    await world.fake.wait(lambda: received(world, world.ben))
    (message,) = received(world, world.ben)
    page = content(world, message)
    assert "<p>tea</p>" in page
    assert "export html" not in page
    await world.process.settle()
    assert len(world.fake.messages(thread, by_bot=True)) == 1


async def test_with_closed_direct_messages_the_command_itself_shows_the_file(
    world: World,
) -> None:
    thread = await world.ask(world.ann, world.general, "tea")
    world.fake.closed_dms.add(world.ben)
    token = world.fake.slash(world.ben, thread, "export", {})
    await world.fake.wait(lambda: HERE_INSTEAD in world.fake.answer(token))
    (followup,) = world.fake.interactions[token].followups
    assert "> tea" in content(world, followup)
    assert followup["flags"] & EPHEMERAL


async def test_with_closed_direct_messages_a_mention_is_told_what_works(world: World) -> None:
    thread = await world.ask(world.ann, world.general, "tea")
    world.fake.closed_dms.add(world.ben)
    world.fake.say(world.ben, thread, f"<@{world.fake.bot.id}> export")
    await world.fake.wait(lambda: EXPORT_CLOSED in str(world.fake.messages(thread, by_bot=True)))


async def test_a_file_that_discord_finds_too_large_is_said_so(world: World) -> None:
    thread = await world.ask(world.ann, world.general, "tea")
    world.fake.most_file_bytes = 10
    assert await export(world, world.ben, thread) == REFUSED_SIZE


async def test_nobody_takes_out_what_they_may_not_read(world: World) -> None:
    secret = await world.ask(world.ben, world.ops, "the secret is plum")
    link = f"https://discord.com/channels/{world.guild}/{secret}"
    nowhere = f"https://discord.com/channels/{world.guild}/{world.fake.snowflake()}"
    for place in (world.general, world.fake.dm(world.ann)):
        refused = await export(world, world.ann, place, link=link)
        assert refused == await export(world, world.ann, place, link=nowhere) == words.EXPORT_NOT_LINKED
    assert received(world, world.ann) == []
    assert await export(world, world.ben, world.general, link=link) == words.EXPORT_NOT_LINKED
    assert await export(world, world.ben, world.fake.dm(world.ben), link=link) == words.EXPORT_SENT
    assert "plum" in content(world, received(world, world.ben)[-1])


async def test_where_there_is_no_thread_it_says_how_to_name_one(world: World) -> None:
    assert await export(world, world.ann, world.general) == words.EXPORT_NO_THREAD
    assert await export(world, world.ann, world.general, link="https://a.example/") == words.EXPORT_NOT_LINKED


async def test_whom_the_operator_refuses_gets_none(world: World) -> None:
    thread = await world.ask(world.ann, world.general, "tea")
    world.refused.add(str(world.ben))
    assert await export(world, world.ben, thread) == words.NOT_FOR_YOU


async def test_the_file_is_no_part_of_what_is_said_directly(world: World) -> None:
    thread = await world.ask(world.ann, world.general, "tea")
    await export(world, world.ben, thread)
    direct = world.fake.dm(world.ben)
    asked = world.fake.say(world.ben, direct, "hello")
    key = SessionKey("discord", "dm", str(direct), str(direct))
    history = await world.platform.history(key, asked, 10)
    assert (history.messages, history.whole) == ((), True)
