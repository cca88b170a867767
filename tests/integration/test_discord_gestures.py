"""Buttons, slash commands and context menus; and what Discord is told of the commands."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.discord import gestures
from bot.domain import Addressed, Answer, Button, Event, Order, Outcome, Pressed, Said
from bot.errors import ModelUnavailable, PlatformUnavailable
from bot.ports import Reply
from bot.words import SOMETHING_BROKE
from tests.fakes.discord import FakeDiscord
from tests.fakes.discord_bot import Core, connected

EPHEMERAL = 64


@pytest.fixture
async def fake() -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord() as discord:
        yield discord
        assert discord.violations == []


async def wait_for_post(fake: FakeDiscord, channel: int, label: str) -> int:
    """The bot's post that has a certain button."""
    posts = await fake.wait(
        lambda: [p for p in fake.messages(channel, by_bot=True) if label in str(p["components"])]
    )
    return int(posts[-1]["id"])


async def pressed(core: Core) -> Pressed:
    """The press, once it arrived."""
    return (await core.wait(lambda: [e for e in core.events if isinstance(e, Pressed)]))[0]


class Wordy(Core):
    """Answers every order at length."""

    SENTENCE = "word " * 1_000 + "end"

    async def __call__(self, event: Event | Order) -> Any:
        answer = await super().__call__(event)
        return self.SENTENCE if isinstance(event, Order) else answer


async def failing(_: Core, reply: Reply, _said: Said) -> None:
    await reply.finish(Answer("It broke.", Outcome.FAILED))


async def test_buttons_work_after_a_restart(fake: FakeDiscord) -> None:
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    core = Core()
    async with connected(fake, core):
        asked = fake.say(ann, channel, f"<@{fake.bot.id}> hello")
        post = await wait_for_post(fake, asked, "👍")
    later = Core()
    async with connected(fake, later):
        token = fake.press(ann, asked, post, "👍")
        event = await pressed(later)
        await fake.wait(lambda: fake.answer(token))
    assert (event.key, event.asked, event.button) == (core.said[0].key, asked, Button.GOOD)
    assert event.by.name == "Ann"
    assert fake.answer(token) == gestures.THANKS
    assert fake.interactions[token].followups[0]["flags"] & EPHEMERAL


async def test_a_failed_answer_can_be_tried_again(fake: FakeDiscord) -> None:
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    core = Core(failing)
    async with connected(fake, core):
        asked = fake.say(ann, channel, f"<@{fake.bot.id}> hello")
        post = await wait_for_post(fake, asked, "Try again")
        fake.press(ann, asked, post, "Try again")
        event = await pressed(core)
    assert event.button is Button.AGAIN


async def test_who_presses_and_commands_brings_their_roles(fake: FakeDiscord) -> None:
    guild, ann = fake.guild(), fake.person("ann")
    category = fake.channel(guild, "all", kind="category")
    channel = fake.channel(guild, "general", parent=category)
    role = fake.role(guild, "staff", to=[ann])
    core = Core()
    async with connected(fake, core):
        asked = fake.say(ann, channel, f"<@{fake.bot.id}> hello")
        fake.press(ann, asked, await wait_for_post(fake, asked, "👍"), "👍")
        assert (await pressed(core)).groups == frozenset({str(role), str(category)})
        fake.say(ann, fake.dm(ann), "hello")
        post = await wait_for_post(fake, fake.dm(ann), "👍")
        core.events.clear()
        fake.press(ann, fake.dm(ann), post, "👍")
        assert (await pressed(core)).groups is None
        token = fake.slash(ann, fake.dm(ann), "pause")
        await fake.wait(lambda: fake.answer(token))
    assert core.orders[-1].groups is None


async def test_a_button_where_there_is_no_thread_names_its_session(fake: FakeDiscord) -> None:
    channel, ann = fake.channel(fake.guild(), "voice", kind="voice"), fake.person("ann")
    core = Core()
    async with connected(fake, core):
        fake.say(ann, channel, f"<@{fake.bot.id}> hello")
        post = await wait_for_post(fake, channel, "👎")
        fake.press(ann, channel, post, "👎")
        event = await pressed(core)
    assert event.key == core.said[0].key


async def test_a_press_while_the_archive_is_away_gets_a_sentence(fake: FakeDiscord) -> None:
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    core = Core()
    async with connected(fake, core):
        asked = fake.say(ann, channel, f"<@{fake.bot.id}> hello")
        post = await wait_for_post(fake, asked, "👍")
        core.unavailable = True
        token = fake.press(ann, asked, post, "👍")
        assert await fake.wait(lambda: fake.answer(token)) == gestures.ARCHIVE_DOWN


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (RuntimeError("nobody foresaw it"), SOMETHING_BROKE),
        (ModelUnavailable("My model is away."), "My model is away."),
        (PlatformUnavailable("away"), gestures.NOT_LET),
    ],
)
async def test_whatever_goes_wrong_who_presses_or_commands_gets_a_sentence(
    fake: FakeDiscord, error: Exception, sentence: str
) -> None:
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    core = Core()
    async with connected(fake, core):
        asked = fake.say(ann, channel, f"<@{fake.bot.id}> hello")
        post = await wait_for_post(fake, asked, "👍")
        core.breaks = error
        for token in (fake.press(ann, asked, post, "👍"), fake.slash(ann, asked, "pause")):
            assert await fake.wait(lambda token=token: fake.answer(token)) == sentence


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [("help", {}, "help"), ("pause", {}, "pause"), ("model", {"name": "small"}, "model small")],
)
async def test_a_slash_command_in_a_thread(
    fake: FakeDiscord, name: str, options: dict[str, str], words: str
) -> None:
    guild = fake.guild()
    channel, ann = fake.channel(guild, "general"), fake.person("ann")
    thread = fake.thread(channel, "talk")
    helpers = fake.role(guild, "helpers", to=[ann])
    core = Core()
    async with connected(fake, core, models=["small", "large"]):
        await fake.wait(lambda: fake.commands)
        token = fake.slash(ann, thread, name, options)
        assert await fake.wait(lambda: fake.answer(token)) == f"You asked for: {words}"
    (order,) = core.orders
    assert (order.key.channel, order.key.thread, order.words) == (str(channel), str(thread), words)
    assert order.by.name == "Ann"
    assert str(helpers) in (order.groups or ())
    response = fake.interactions[token].response
    assert response is not None
    assert response["data"]["flags"] & EPHEMERAL


async def test_a_slash_command_in_a_direct_message(fake: FakeDiscord) -> None:
    ann = fake.person("ann")
    dm = fake.dm(ann)
    core = Core()
    async with connected(fake, core):
        await fake.wait(lambda: fake.commands)
        token = fake.slash(ann, dm, "new")
        await fake.wait(lambda: fake.answer(token))
    assert core.orders[0].key.workspace == "dm"


async def test_outside_of_threads_there_is_only_help(fake: FakeDiscord) -> None:
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    core = Core()
    async with connected(fake, core):
        await fake.wait(lambda: fake.commands)
        token = fake.slash(ann, channel, "pause")
        assert await fake.wait(lambda: fake.answer(token)) == gestures.NOT_HERE
        token = fake.slash(ann, channel, "help")
        assert await fake.wait(lambda: fake.answer(token)) == "You asked for: help"


async def test_the_menu_of_a_message_has_it_answered_as_if_it_were_a_mention(fake: FakeDiscord) -> None:
    channel, ann, ben = fake.channel(fake.guild(), "general"), fake.person("ann"), fake.person("ben")
    core = Core()
    async with connected(fake, core):
        await fake.wait(lambda: fake.commands)
        message = fake.say(ann, channel, "how do magnets work?")
        other = fake.menu(ben, channel, "Answer this", message)
        assert await fake.wait(lambda: fake.answer(other)) == gestures.NOT_YOURS
        token = fake.menu(ann, channel, "Answer this", message)
        assert await fake.wait(lambda: fake.answer(token)) == "On it."
        await wait_for_post(fake, message, "👍")
    (said,) = core.said
    assert (said.addressed, said.message.position) == (Addressed.MENTION, message)
    assert said.message.text == "how do magnets work?"


async def test_commands_are_sent_when_they_changed_and_not_at_every_start(fake: FakeDiscord) -> None:
    fake.guild()
    for _ in range(2):
        async with connected(fake, Core(), models=["small"]):
            await fake.wait(lambda: fake.commands)
    assert fake.rest.calls.count("PUT commands") == 1
    async with connected(fake, Core(), models=["small", "large"]):
        await fake.wait(lambda: fake.rest.calls.count("PUT commands") == 2)


async def test_a_long_answer_to_one_person_goes_on_in_further_messages(fake: FakeDiscord) -> None:
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    thread = fake.thread(channel, "talk", by=ann)
    async with connected(fake, Wordy()):
        token = fake.slash(ann, thread, "help")
        await fake.wait(lambda: "end" in fake.answer(token))
    interaction = fake.interactions[token]
    assert interaction.message is not None
    shown = [interaction.message, *interaction.followups]
    assert [bool(message["flags"] & EPHEMERAL) for message in shown] == [True] * 3
    assert fake.answer(token).split() == Wordy.SENTENCE.split()


async def test_a_foreign_button_is_left_alone(fake: FakeDiscord) -> None:
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    row = {"type": 1, "components": [{"type": 2, "style": 2, "label": "x", "custom_id": "other"}]}
    post = fake.post(fake.bot.id, channel, "hello", components=[row], parse=())
    core = Core()
    async with connected(fake, core):
        token = fake.press(ann, channel, int(post["id"]), "x")
        asked = fake.say(ann, channel, f"<@{fake.bot.id}> hello")
        await wait_for_post(fake, asked, "👍")
    assert fake.interactions[token].response is None
    assert not any(isinstance(event, Pressed) for event in core.events)
