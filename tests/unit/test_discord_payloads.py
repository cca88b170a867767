"""Messages in the shapes that Discord documents, and what becomes of each: kept text, or nothing.

https://docs.discord.com/developers/resources/message
"""

from typing import Any

import pytest

from adapters.discord import events
from adapters.discord.events import Bot, Names
from adapters.discord.receiving import _is_whole, _may_be_edit
from bot.domain import Speaker

BOT = Bot(100, role=101)
HUGE = 2**63 - 1
"""The largest id that there can be."""


def payload(**more: Any) -> dict[str, Any]:
    author = {"id": "1", "username": "ann", "discriminator": "0", "avatar": None}
    return {
        "id": "1319000000000000000",
        "channel_id": "7",
        "type": 0,
        "content": "",
        "author": author,
        **more,
    }


def kept(said: dict[str, Any]) -> str | None:
    """What is kept of a message as text; None if it is noise."""
    return events.message(said, BOT, Names()).text if events.is_told(said) else None


EMBED = {
    "type": "rich",
    "title": "Build 7",
    "description": "failed",
    "fields": [{"name": "on", "value": "main"}],
}
FORWARD = {"message_reference": {"type": 1, "message_id": "5", "channel_id": "6"}}


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (payload(content="hello"), "hello"),
        (payload(type=19, content="a reply", referenced_message=None), "a reply"),
        (payload(type=21, referenced_message=payload(content="the starter")), None),
        (payload(type=18, content="a thread's name"), None),
        (payload(type=6), None),
        (payload(type=8), None),
        (payload(type=20, content="answer to a command", webhook_id="9"), None),
        (payload(type=23, content="answer to a menu"), None),
        (payload(type=24, embeds=[{"type": "auto_moderation_message", "description": "bad"}]), None),
        (payload(type=46, embeds=[{"type": "poll_result"}]), None),
        (payload(**FORWARD, message_snapshots=[{"message": {"content": "forwarded"}}]), "> forwarded"),
        (
            payload(**FORWARD, message_snapshots=[{"message": {"content": "", "embeds": [EMBED]}}]),
            "> Build 7",
        ),
        (payload(**FORWARD, message_snapshots=[{}]), ""),
        (payload(**FORWARD, message_snapshots=None), ""),
        (payload(sticker_items=[{"id": "3", "name": "Wave", "format_type": 1}]), "[sticker: Wave]"),
        (payload(embeds=[EMBED]), "Build 7"),
        (payload(content="see", embeds=[EMBED]), "see"),
        (payload(embeds=[{"type": "link", "title": "A page"}]), ""),
        (
            payload(
                flags=1 << 15, components=[{"type": 17, "components": [{"type": 10, "content": "boxed"}]}]
            ),
            "boxed",
        ),
        (
            payload(poll={"question": {"text": "Tea?"}, "answers": [{"poll_media": {"text": "Yes"}}]}),
            "[poll: Tea?]",
        ),
        (payload(content=None), ""),
        (payload(mentions=None, mention_roles=None, attachments=None, embeds=None, components=None), ""),
    ],
)
def test_what_is_kept_of_each_kind_of_message(said: dict[str, Any], text: str | None) -> None:
    found = kept(said)
    assert (found.splitlines()[0] if found else found) == text


def test_a_voice_message_is_a_file() -> None:
    voice = {
        "id": "3",
        "filename": "voice-message.ogg",
        "size": 9,
        "url": "https://x",
        "content_type": "audio/ogg",
    }
    said = payload(flags=1 << 13, attachments=[{**voice, "duration_secs": 2.1, "waveform": "AA=="}])
    (file,) = events.message(said, BOT, Names()).attachments
    assert (file.name, file.type) == ("voice-message.ogg", "audio/ogg")


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({}, Speaker.PERSON),
        ({"author": {"id": "2", "username": "hook"}, "webhook_id": "2"}, Speaker.OTHER_BOT),
        ({"author": {"id": "2", "username": "app", "bot": True}, "application_id": "2"}, Speaker.OTHER_BOT),
        ({"author": {"id": "643945264868098049", "username": "Discord", "system": True}}, Speaker.OTHER_BOT),
        ({"author": {"id": "100", "username": "threadfly", "bot": True}}, Speaker.BOT),
    ],
)
def test_who_is_a_person(more: dict[str, Any], kind: Speaker) -> None:
    assert events.author(payload(**more), BOT).kind is kind


def test_the_largest_ids_fit() -> None:
    said = events.message(payload(id=str(HUGE), author={"id": str(HUGE)}), BOT, Names())
    assert said.position == HUGE
    assert said.author.name == str(HUGE)


@pytest.mark.parametrize(
    ("update", "may_be"),
    [
        ({"content": "new", "edited_timestamp": "2024-12-18T12:00:00+00:00"}, True),
        ({"content": "new"}, True),
        ({"edited_timestamp": "2024-12-18T12:00:00+00:00"}, True),
        ({"embeds": [{"type": "link"}]}, False),
        ({"content": "same", "embeds": [{"type": "link"}], "edited_timestamp": None}, False),
        ({"pinned": True, "content": "same", "edited_timestamp": None}, False),
        ({"flags": 32}, False),
        ({"thread": {"id": "5"}}, False),
    ],
)
def test_updates_that_may_be_edits(update: dict[str, Any], may_be: bool) -> None:
    """They may bring no more than what is new; what is missing of an edit is asked for."""
    partial = {"id": "1", "channel_id": "7", **update}
    assert _may_be_edit(partial) is may_be
    assert not _is_whole(partial)
