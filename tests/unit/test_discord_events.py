"""What Discord's JSON means to us."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.discord import (
    addresses,
    buttons,
    commands,
    events,
    hooks,
    invite,
    recall_command,
    rooms,
    sending,
)
from adapters.discord.events import Bot, Names
from bot.domain import Addressed, Button, Speaker

BOT = Bot(100, role=101)
NAMES = Names(
    channel={7: "general"}.get,
    role={8: "helpers"}.get,
)
ID = 1_319_000_000_000_000_000


def payload(content: str = "hello", **more: Any) -> dict[str, Any]:
    """MESSAGE_CREATE as the gateway sends it."""
    return {
        "id": str(ID),
        "channel_id": "7",
        "guild_id": "6",
        "type": 0,
        "content": content,
        "author": {"id": "1", "username": "ann", "global_name": "Ann", "discriminator": "0", "avatar": None},
        "member": {"nick": None, "roles": ["8"], "joined_at": "2024-01-01T00:00:00+00:00"},
        "timestamp": "2024-12-18T12:00:00.000000+00:00",
        "edited_timestamp": None,
        "mentions": [],
        "mention_roles": [],
        "mention_everyone": False,
        "attachments": [],
        "embeds": [],
        "flags": 0,
        **more,
    }


def user(user_id: int, name: str = "Ben") -> dict[str, Any]:
    return {"id": str(user_id), "username": name.lower(), "global_name": name}


def reply(author: int, content: str = "hello", **more: Any) -> dict[str, Any]:
    target = payload("earlier", author=user(author))
    return payload(content, type=19, referenced_message=target, **more)


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("<@100> hello", "hello"),
        ("<@!100>, hello", "hello"),
        ("<@100>: hello", "hello"),
        ("<@&101> hello", "hello"),
        ("hello <@100>", "hello"),
        ("hey <@100> hello", "hey hello"),
        ("<@100>\n```py\nprint()\n```", "```py\nprint()\n```"),
        ("<@100>", ""),
        ("ask <@2> or <@3>", "ask @Ben or @somebody"),
        ("see <#7>, <#9>", "see #general, #channel"),
        ("<@&8> and <@&9>", "@helpers and @role"),
        ("<:blob:123> <a:dance:456>", ":blob: :dance:"),
        ("use </help:77>", "use /help"),
        ("at <t:0:R>", "at 1970-01-01 00:00 UTC"),
        ("at <t:999999999999>", "at <t:999999999999>"),
        ("@everyone 1 < 2 > 0 <@x>", "@everyone 1 < 2 > 0 <@x>"),
    ],
)
def test_marks_become_names(said: str, read: str) -> None:
    assert events.text(payload(said, mentions=[user(2)]), BOT, NAMES) == read


@given(st.text())
def test_any_text_is_read(said: str) -> None:
    assert events.text(payload(said), BOT, NAMES) == events.text(payload(said), BOT, NAMES).strip()


def test_what_stands_beside_the_text_is_read_too() -> None:
    said = payload(
        "look",
        sticker_items=[{"id": "1", "name": "Wave", "format_type": 1}],
        message_snapshots=[{"message": {"content": "first\nsecond", "attachments": [], "mentions": []}}],
        poll={"question": {"text": "Tea?"}, "answers": [{"poll_media": {"text": "yes"}}]},
    )
    assert events.text(said, BOT, NAMES) == "look\n> first\n> second\n[sticker: Wave]\n[poll: Tea?]\n- yes"


def test_a_forward_shows_what_the_other_message_did_stickers_too() -> None:
    forwarded = {"content": "", "sticker_items": [{"id": "1", "name": "Wave", "format_type": 1}]}
    said = payload(content="", message_snapshots=[{"message": forwarded}])
    assert events.text(said, BOT, NAMES) == "> [sticker: Wave]"


@pytest.mark.parametrize(
    ("said", "in_thread", "addressed"),
    [
        (payload("<@100> hello", mentions=[user(100)]), False, Addressed.MENTION),
        (payload("<@&101> hello", mention_roles=["101"]), False, Addressed.MENTION),
        (reply(100), False, Addressed.MENTION),
        (reply(2, "<@100> hello", mentions=[user(100)]), False, Addressed.MENTION),
        (payload("hello"), False, None),
        (payload("@everyone", mention_everyone=True), False, None),
        (payload("<@&8>", mention_roles=["8"]), False, None),
        (reply(2), False, None),
        (payload("hello"), True, Addressed.THREAD),
        (payload("<@2> hello", mentions=[user(2)]), True, Addressed.ASIDE),
        (payload("@here", mention_everyone=True), True, Addressed.ASIDE),
        (payload("<@&8>", mention_roles=["8"]), True, Addressed.ASIDE),
        (reply(2), True, Addressed.ASIDE),
        (reply(1), True, Addressed.THREAD),
        (payload("hello", type=19, referenced_message=None), True, Addressed.THREAD),
    ],
)
def test_who_is_addressed(said: dict[str, Any], in_thread: bool, addressed: Addressed | None) -> None:
    assert events.addressed(said, BOT, direct=False, in_thread=in_thread) is addressed


def test_a_direct_message_is_direct_even_with_a_mention() -> None:
    said = payload("<@100> hello", mentions=[user(100)])
    assert events.addressed(said, BOT, direct=True, in_thread=False) is Addressed.DIRECT


def test_names_as_others_see_them() -> None:
    assert events.author(payload(), BOT).name == "Ann"
    assert events.author(payload(member={"nick": "Annie", "roles": []}), BOT).name == "Annie"
    assert (
        events.author(payload(author={"id": "1", "username": "ann", "global_name": None}), BOT).name == "ann"
    )


def test_kinds_of_authors() -> None:
    assert events.author(payload(), BOT).kind is Speaker.PERSON
    assert events.author(payload(author=user(100)), BOT).kind is Speaker.BOT
    assert events.author(payload(author={**user(2), "bot": True}), BOT).kind is Speaker.OTHER_BOT
    assert events.author(payload(webhook_id="5"), BOT).kind is Speaker.OTHER_BOT


def test_ids_that_are_numbers_are_kept_as_text() -> None:
    said = payload(author={"id": 1, "username": "ann"}, member={"roles": [8]}, mentions=[{"id": 2}])
    assert events.message(said, BOT, NAMES).author.id == "1"
    assert events.roles(said) == {"8"}
    assert events.addressed(said, BOT, direct=False, in_thread=True) is Addressed.ASIDE
    assert events.addressed(payload(mention_roles=[101]), BOT, direct=False, in_thread=False)
    assert hooks.person({"user": {"id": 1}}).id == "1"


def test_position_and_times_come_from_the_id() -> None:
    message = events.message(payload(edited_timestamp="2024-12-18T14:00:00+02:00"), BOT, NAMES)
    assert message.position == ID
    assert events.snowflake(message.sent_at) <= ID < events.snowflake(message.sent_at) + (1 << 22)
    assert message.edited_at is not None
    assert message.edited_at.isoformat() == "2024-12-18T12:00:00+00:00"


def test_attachments_of_the_message_and_of_what_it_forwards() -> None:
    file = {"id": "1", "filename": "a.txt", "size": 3, "url": "https://cdn.discordapp.com/a", "proxy_url": ""}
    typed = {**file, "content_type": "text/plain; charset=utf-8"}
    said = payload(attachments=[typed], message_snapshots=[{"message": {"attachments": [file]}}])
    assert [a.type for a in events.message(said, BOT, NAMES).attachments] == ["text/plain", ""]


@pytest.mark.parametrize("kind", [6, 7, 8, 18, 20, 21, 23, 46])
def test_what_discord_writes_by_itself_is_noise(kind: int) -> None:
    assert not events.is_told(payload(type=kind))


@given(
    st.sampled_from(list(Button)), st.integers(min_value=1, max_value=2**63), st.integers(1, 2**63).map(str)
)
def test_buttons_say_again_what_they_are_about(button: Button, asked: int, thread: str) -> None:
    mark = buttons.Mark(button, asked, thread)
    assert len(str(mark)) <= 100
    assert buttons.read(str(mark)) == mark


@pytest.mark.parametrize(
    "foreign", ["", "tf", "tf:stop:x:1", "other:stop:1:2", "tf:jump:1:2", "tf:stop:1:2:3"]
)
def test_foreign_buttons(foreign: str) -> None:
    assert buttons.read(foreign) is None


@given(st.integers(0, 2**63), st.integers(1, 999), st.integers(0, 9))
def test_nonces_fit_and_differ(asked: int, number: int, again: int) -> None:
    nonce = sending.nonce(asked, number, again)
    assert len(nonce) <= 25
    assert nonce != sending.nonce(asked, number + 1, again)
    assert nonce != sending.nonce(asked + 1, number, again)
    assert nonce != sending.nonce(asked, number, again + 1)


@given(st.text())
def test_every_question_makes_a_threads_name(question: str) -> None:
    name = rooms.thread_name(question)
    assert 1 <= len(name) <= 100
    assert "\n" not in name


def test_a_threads_name_is_cut_at_a_word() -> None:
    assert rooms.thread_name("\n# How do magnets work?\nPlease.") == "How do magnets work?"
    assert rooms.thread_name("word " * 50) == " ".join(["word"] * 19) + "…"
    assert rooms.thread_name("") == "Conversation"


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("@everyone and @here, hello", "everyone and here, hello"),
        ("look at <@123> <@!1> <@&2> <#3> now", "look at now"),
        ("a\x00b\ud800c", "abc"),
        ("\u200b \u200d", "Conversation"),
        ("👩\u200d👩\u200d👧", "👩\u200d👩\u200d👧"),
        ("?", "?"),
    ],
)
def test_a_threads_name_mentions_nobody_and_shows(question: str, name: str) -> None:
    assert rooms.thread_name(question) == name


def test_commands_that_discord_knows_already_are_the_same() -> None:
    wanted = commands.wanted(["small"], ["default"])
    added = {
        "id": "1",
        "version": "2",
        "application_id": "3",
        "default_member_permissions": None,
        "nsfw": False,
    }
    known = [{**command, **added, "options": command.get("options") or None} for command in reversed(wanted)]
    assert commands.same(wanted, known)
    assert not commands.same(wanted, known[1:])
    assert not commands.same(commands.wanted(["small", "large"], ["default"]), known)
    assert not commands.same(wanted, [])


def test_what_is_null_in_a_command_is_not_there() -> None:
    assert commands.words({"name": "pause", "options": None}) == "pause"
    assert recall_command.words({"name": "recall", "options": None}) == ""
    named = {"options": [{"name": "in", "value": "7"}], "resolved": {"channels": None}}
    assert recall_command.words(named) == "in:<#7|>"
    assert recall_command.typed({"components": [{"components": None, "component": None}]}) == ""
    assert recall_command.suggestions({"options": None})


def test_commands_keep_discords_bounds() -> None:
    many = commands.wanted([f"model-{n}" for n in range(40)] + ["x" * 200], [])
    model = next(command for command in many if command["name"] == "model")
    assert len(model["options"][0]["choices"]) == 25
    assert all(len(command.get("description", "")) <= 100 for command in many)


def test_the_invitation() -> None:
    assert invite.url("42").startswith("https://discord.com/oauth2/authorize?client_id=42&permissions=")
    assert "scope=bot+applications.commands" in invite.url("42")


@pytest.mark.parametrize(
    ("given_url", "used"),
    [
        ("https://discord.com/api/v10", "https://discord.com/api/v10"),
        ("https://discord.com/api/v10/", "https://discord.com/api/v10"),
        ("https://discord.com/api", "https://discord.com/api/v10"),
        ("http://127.0.0.1:99", "http://127.0.0.1:99/api/v10"),
    ],
)
def test_the_address_gets_the_version_that_we_speak(given_url: str, used: str) -> None:
    assert addresses.api(given_url) == used
