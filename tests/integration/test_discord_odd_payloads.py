"""Messages that are sparse, odd or of tomorrow: each is kept or passed over, and holds up no other.

https://docs.discord.com/developers/resources/message
"""

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.fakes.discord import FakeDiscord
from tests.fakes.discord_bot import Core, Marks, connected


@pytest.fixture
async def fake() -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord() as discord:
        yield discord
        assert discord.violations == []


NOTHING = dict.fromkeys(
    ["mentions", "mention_roles", "attachments", "embeds", "components", "sticker_items", "poll"]
)
FORWARD = {"message_reference": {"type": 1, "message_id": "5", "channel_id": "6"}}
UNKNOWN = [{"type": 99, "id": 1, "components": None}, {"type": 9, "accessory": {"type": 2}, "components": []}]

KEPT: dict[str, dict[str, Any]] = {
    "nothing but words": NOTHING,
    "no type": {"type": None},
    "no member": {"member": None},
    "a member without roles": {"member": {"roles": None}},
    "components of tomorrow": {"components": UNKNOWN},
    "a poll without words": {"poll": {"question": {}, "answers": None}},
    "a poll whose answers are pictures": {
        "poll": {"question": None, "answers": [{"poll_media": {"text": None, "emoji": {"name": "A"}}}]}
    },
    "a sticker without a name": {"sticker_items": [{"id": "3", "format_type": 1}]},
    "an empty forward": {**FORWARD, "message_snapshots": [{"message": None}, {}]},
    "a file without a name": {"attachments": [{"id": "3", "filename": None, "size": None, "url": None}]},
    "an embed of nulls": {"embeds": [{"type": "rich", "title": None, "fields": [{"name": None}]}]},
    "flags and fields of tomorrow": {"flags": 1 << 40, "something_new": {"a": [1]}, "tts": None},
}
"""Each is a mention that is answered."""

NOISE: dict[str, dict[str, Any]] = {
    "somebody joined": {"type": 7},
    "a pin": {"type": 6},
    "a thread was created": {"type": 18},
    "the marker of a deleted starter": {"type": 21, "referenced_message": None},
    "a marker without a starter": {"type": 21},
    "a type of tomorrow": {"type": 99},
    "a webhook": {"webhook_id": "9", "author": {"id": "9", "username": "hook", "avatar": None}},
    "an author of nothing": {"author": {}},
    "no author": {"author": None},
    "a time that is none": {"edited_timestamp": "yesterday"},
    "mentions that are none": {"mentions": ["nobody"]},
    "a poll that is none": {"poll": "tea?"},
}
"""Each is nobody's message, or cannot be read."""


def ask(fake: FakeDiscord, channel: int, ann: int, text: str, odd: dict[str, Any], *, live: bool) -> int:
    """A mention in that odd shape; heard, or only to be read."""
    asked = fake.say(ann, channel, f"<@{fake.bot.id}> {text}", live=False)
    held = fake.channels[channel].messages[asked]
    payload = {**fake.for_gateway(held), **odd}
    held |= odd
    if live:
        fake.gateway.raw("MESSAGE_CREATE", payload)
    return asked


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What went wrong, as the log tells it."""
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR or r.exc_info]


@pytest.mark.parametrize("odd", KEPT.values(), ids=KEPT)
async def test_a_mention_in_an_odd_shape_is_answered_whether_it_is_heard_or_read(
    fake: FakeDiscord, odd: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    channel, ann, marks, core = fake.channel(fake.guild(), "general"), fake.person("ann"), Marks(), Core()

    def answered(question: int) -> bool:
        return bool(fake.messages(question, by_bot=True))

    async with connected(fake, core, marks):
        await marks.reach(channel)
        heard = ask(fake, channel, ann, "heard", odd, live=True)
        await fake.wait(lambda: answered(heard))
    read = ask(fake, channel, ann, "read", odd, live=False)
    async with connected(fake, core, marks):
        await fake.wait(lambda: answered(read))
    assert core.failures == []
    assert complaints(caplog) == []


@pytest.mark.parametrize("odd", NOISE.values(), ids=NOISE)
async def test_what_is_no_message_holds_up_no_other(
    fake: FakeDiscord, odd: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    channel, ann, marks, core = fake.channel(fake.guild(), "general"), fake.person("ann"), Marks(), Core()
    async with connected(fake, core, marks):
        await marks.reach(channel)
        ask(fake, channel, ann, "odd", odd, live=True)
        fake.say(ann, channel, f"<@{fake.bot.id}> heard")
        await core.heard(1)
    ask(fake, channel, ann, "odd", odd, live=False)
    last = fake.say(ann, channel, f"<@{fake.bot.id}> read", live=False)
    async with connected(fake, core, marks):
        await marks.reach(channel, last)
    assert {said.message.text for said in core.said} == {"heard", "read"}
    assert complaints(caplog) == []


@pytest.mark.parametrize("odd", [*KEPT.values(), *NOISE.values()], ids=[*KEPT, *NOISE])
async def test_what_was_said_before_is_read_around_it(fake: FakeDiscord, odd: dict[str, Any]) -> None:
    channel, ann, core = fake.channel(fake.guild(), "general"), fake.person("ann"), Core(script=None)
    thread = fake.thread(channel, "talk", by=ann)
    fake.say(ann, thread, "first", live=False)
    ask(fake, thread, ann, "odd", odd, live=False)
    fake.say(ann, thread, "second", live=False)
    async with connected(fake, core) as platform:
        asked = fake.say(ann, thread, f"<@{fake.bot.id}> and now?")
        await core.heard(1)
        history = await platform.history(core.said[0].key, asked, 50)
    texts = [message.text for message in history.messages]
    assert texts[0] == "first"
    assert texts[-1] == "second"


async def test_archived_threads_that_tell_the_least_are_read(fake: FakeDiscord) -> None:
    channel, ann, marks = fake.channel(fake.guild(), "general"), fake.person("ann"), Marks()
    core = Core()
    async with connected(fake, core, marks):
        await marks.reach(f"{channel}:archived")
    thread = fake.thread(channel, "talk", by=ann)
    fake.say(ann, thread, f"<@{fake.bot.id}> missed")
    fake.archive(thread)
    fake.rest.bare = fake.gateway.bare = True
    async with connected(fake, core, marks):
        await core.heard(1)
    assert core.said[0].message.text == "missed"
