"""What each kind of Slack event means, by the payloads in `tests/payloads/slack`."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.slack import buttons, commands, events
from adapters.slack.events import Me
from bot.domain import (
    Addressed,
    Attachment,
    Author,
    Button,
    Deleted,
    Edited,
    Event,
    Order,
    Pressed,
    Said,
    SessionKey,
    Speaker,
)

PAYLOADS = Path(__file__).parent.parent / "payloads" / "slack"
ME = Me("T01", "U0BOT", "B01")
NAMES = {"U0ALICE": "Alice", "U0BOB": "Bob", "UOTHER": "Olga", "W0GRACE": "Grace", "W0HEIDI": "Heidi"}
THREAD = SessionKey("slack", "T01", "C01", "1700000001.000100")
ROOT, REPLY = 1_700_000_001_000_100, 1_700_000_002_000_200


def payload(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text())
    return found


def parsed(name: str, me: Me = ME) -> Event | None:
    return events.parse(payload(name)["event"], me, NAMES)


def said(name: str, me: Me = ME) -> Said:
    event = parsed(name, me)
    assert isinstance(event, Said)
    return event


def test_a_mention_opens_a_thread() -> None:
    event = said("message_with_mention")
    assert event.key == THREAD
    assert event.message.position == ROOT
    assert event.message.text == "what is up?"
    assert event.message.author == Author("U0ALICE", "Alice")
    assert event.message.sent_at == datetime(2023, 11, 14, 22, 13, 21, 100, UTC)
    assert event.addressed is Addressed.MENTION
    assert event.opens_thread
    assert event.gesture == "5a8e4b0e-0001"
    assert event.groups == {"T01"}


def test_the_twins_of_a_mention_are_one_value() -> None:
    assert said("app_mention") == said("message_with_mention")


def test_a_mention_that_an_edit_brought_asks_for_nothing() -> None:
    assert parsed("app_mention_after_edit") is None


def test_talk_outside_of_threads_is_not_our_business() -> None:
    assert parsed("message_to_nobody") is None


@pytest.mark.parametrize(
    ("name", "addressed", "text"),
    [
        ("thread_reply", Addressed.THREAD, "and then?"),
        ("thread_reply_to_a_person", Addressed.ASIDE, "@Bob your turn"),
        ("thread_reply_to_a_group", Addressed.ASIDE, "@designers please look"),
        ("mention_in_a_thread", Addressed.MENTION, "so, yes or no?"),
        ("thread_broadcast", Addressed.THREAD, "and then?"),
        ("me_message", Addressed.THREAD, "waves"),
    ],
)
def test_replies_belong_to_their_thread(name: str, addressed: Addressed, text: str) -> None:
    event = said(name)
    assert (event.key, event.message.position) == (THREAD, REPLY)
    assert (event.addressed, event.message.text) == (addressed, text)
    assert not event.opens_thread


def test_direct_messages_are_flat_or_in_threads() -> None:
    assert said("direct_message").key == SessionKey("slack", "T01", "D01", "main")
    assert said("direct_message").addressed is Addressed.DIRECT
    assert said("direct_message_in_a_thread").key == SessionKey("slack", "T01", "D01", THREAD.thread)


def test_markup_becomes_what_people_see() -> None:
    assert said("direct_message").message.text == "hi & [look](https://example.com) #general joe@example.com"


def test_files_come_with_the_message() -> None:
    (attachment,) = said("file_share").message.attachments
    link = "https://files.slack.com/files-pri/T01-F01/download/notes.txt#T01/F01"
    assert attachment == Attachment("notes.txt", "text/plain", 9, link)


def test_a_file_of_another_organisation_can_be_asked_for() -> None:
    (attachment,) = said("file_of_another_organisation").message.attachments
    assert attachment == Attachment("F03", "", 0, "#T01/F03")


def test_a_forwarded_message_is_quoted() -> None:
    assert said("forwarded").message.text == "what of this?\n> We ship on Friday"


@pytest.mark.parametrize(
    ("text", "quoted"), [("Look at this", "what of this?\n> Look at this"), ("", "what of this?")]
)
def test_the_files_of_a_forwarded_message_come_with_it(text: str, quoted: str) -> None:
    """They stand in the attachment that is the other message, not in the message itself."""
    event = payload("forwarded")["event"]
    files = [*payload("file_share")["event"]["files"], {"id": "F09", "mode": "tombstone"}]
    event["attachments"][0] |= {"text": text, "fallback": "[no preview available]", "files": files}
    told = events.parse(event, ME, NAMES)
    assert isinstance(told, Said)
    assert told.message.text == quoted
    assert told.message.attachments == said("file_share").message.attachments


def test_a_forwarded_file_that_is_deleted_is_an_edit() -> None:
    after, before = payload("forwarded")["event"], payload("forwarded")["event"]
    before["attachments"][0]["files"] = payload("file_share")["event"]["files"]
    changed = {
        "type": "message",
        "subtype": "message_changed",
        "channel": "C01",
        "event_ts": "1700000003.000300",
    }
    told = events.parse({**changed, "message": after, "previous_message": before}, ME, NAMES)
    assert isinstance(told, Edited)
    assert told.message.attachments == ()


def test_an_edit_tells_the_new_text_and_when() -> None:
    event = parsed("message_changed")
    assert isinstance(event, Edited)
    assert (event.key, event.message.position, event.message.text) == (THREAD, REPLY, "and now?")
    assert event.message.edited_at == datetime(2023, 11, 14, 22, 13, 29, tzinfo=UTC)
    assert event.addressed is Addressed.THREAD


def test_an_edit_that_takes_the_mention_out_still_names_us() -> None:
    event = parsed("message_changed_mention_taken_out")
    assert isinstance(event, Edited)
    assert event.addressed is Addressed.MENTION


def test_a_file_that_was_deleted_is_an_edit() -> None:
    event = parsed("message_changed_file_deleted")
    assert isinstance(event, Edited)
    assert event.message.attachments == ()
    assert event.message.edited_at is not None


@pytest.mark.parametrize(
    "name",
    [
        "message_changed_by_an_unfurl",
        "message_changed_by_a_reply_count",
        "message_changed_own_post",
        "message_changed_assistant_root",
        "own_post",
        "channel_join",
        "other_bot",
    ],
)
def test_what_nobody_said_is_nothing(name: str) -> None:
    assert parsed(name) is None


def test_a_deletion_names_the_message() -> None:
    assert parsed("message_deleted") == Deleted(THREAD, REPLY)
    assert parsed("message_deleted_own_post") == Deleted(THREAD, 1_700_000_003_000_300)
    assert parsed("message_deleted_without_its_past") == Deleted(THREAD, ROOT)


def test_a_parent_that_leaves_a_tombstone_was_deleted() -> None:
    assert parsed("message_changed_tombstone") == Deleted(THREAD, ROOT)


def test_another_bot_is_heard_only_where_it_may_be() -> None:
    event = said("other_bot", Me("T01", "U0BOT", "B01", frozenset({"B99"})))
    assert event.message.author == Author("B99", "Deploys", Speaker.OTHER_BOT)


def test_a_sender_of_another_organisation_stays_under_our_workspace() -> None:
    event = said("slack_connect")
    assert event.key == THREAD
    assert event.message.author == Author("UOTHER", "Olga")
    assert event.groups == {"T99"}


def test_people_of_an_enterprise_grid_have_names_too() -> None:
    event = said("enterprise_grid")
    assert event.message.author == Author("W0GRACE", "Grace")
    assert event.message.text == "say hello to @Heidi"
    assert events.unknown_names(payload("enterprise_grid")["event"]) == {"W0GRACE", "W0HEIDI", "U0BOT"}


def test_a_button_names_its_session_and_question() -> None:
    pressed = buttons.pressed(payload("block_actions"), ME, "Alice")
    assert pressed == Pressed(THREAD, ROOT, Button.AGAIN, Author("U0ALICE", "Alice"))


@pytest.mark.parametrize("value", ["", "C01", "C01 1.2 x"])
def test_a_button_that_is_not_ours_says_nothing(value: str) -> None:
    body = payload("block_actions")
    body["actions"][0]["value"] = value
    assert buttons.pressed(body, ME, "Alice") is None


def test_a_shortcut_is_about_the_thread_of_its_message() -> None:
    order = commands.shortcut_order(payload("message_action"), ME, "Alice")
    assert order == Order(THREAD, Author("U0ALICE", "Alice"), "pause", frozenset({"T01"}))


def test_a_command_in_a_direct_message_is_about_the_flat_talk() -> None:
    order = commands.command_order(payload("slash_command"), ME, "Alice")
    key = SessionKey("slack", "T01", "D01", "main")
    assert order == Order(key, Author("U0ALICE", "Alice"), "model small", frozenset({"T01"}))


def test_a_command_in_a_channel_knows_no_thread() -> None:
    body = payload("slash_command") | {"channel_id": "C01"}
    assert commands.command_order(body, ME, "Alice") is None
    helped = commands.command_order(body | {"text": ""}, ME, "Alice")
    assert helped is not None
    assert helped.words == "help"


# Messages without a text, or without an author, of their own.


def test_what_only_blocks_say_is_said() -> None:
    event = said("blocks_without_text")
    lines = ["compare [this](https://example.com/a?b=1&c=2) with <that> :eyes:", "• one", "• #C02"]
    assert event.message.text.splitlines() == [*lines, "```", "x = 1", "```", "> said"]
    assert event.addressed is Addressed.MENTION
    assert events.unknown_names(payload("blocks_without_text")["event"]) == {"U0ALICE", "U0BOT", "C02"}


@pytest.mark.parametrize(
    ("name", "author", "text"),
    [
        ("blocks_of_an_app_without_text", "Deploys", "Deploy 7\n*main* is out\ntook 3 min\nby Bob"),
        ("attachments_of_an_app_without_text", "Alerts", "Alarm\nDisk full\non db1\nsecond"),
    ],
)
def test_what_apps_say_in_blocks_and_attachments_is_read(name: str, author: str, text: str) -> None:
    event = said(name, Me("T01", "U0BOT", "B01", frozenset({"B99"})))
    assert (event.message.author.name, event.message.text) == (author, text)
    assert event.message.author.kind is Speaker.OTHER_BOT


def test_an_edit_of_blocks_alone_is_an_edit() -> None:
    event = parsed("message_changed_in_its_blocks")
    assert isinstance(event, Edited)
    assert event.message.text == "and now?"


def test_a_bot_of_which_only_the_name_is_known_has_that() -> None:
    message = events.as_message(payload("bot_message_with_a_name_only")["event"], ME, NAMES)
    assert message.author == Author("Nightly", "Nightly", Speaker.OTHER_BOT)


def test_a_stranger_has_the_name_that_the_message_tells() -> None:
    event = said("stranger_with_a_profile")
    assert event.message.author == Author("U0STRANGER", "Sven")
    assert (event.key.workspace, event.groups) == ("T01", {"T99"})


@pytest.mark.parametrize(
    "name", ["bot_message_with_a_name_only", "nobodys_message", "message_changed_by_an_app"]
)
def test_who_may_not_speak_to_it_is_not_heard(name: str) -> None:
    assert parsed(name) is None


NOISE = """
    assistant_app_thread bot_add bot_remove channel_archive channel_convert_to_private
    channel_convert_to_public channel_join channel_leave channel_name channel_posting_permissions
    channel_purpose channel_topic channel_unarchive document_mention ekm_access_denied group_archive
    group_join group_leave group_name group_purpose group_topic group_unarchive huddle_thread
    message_replied pinned_item unpinned_item reminder_add reply_broadcast sh_room_created
    sh_room_shared tabbed_canvas_updated tombstone something_new
"""


@pytest.mark.parametrize("subtype", NOISE.split())
def test_what_slack_says_by_itself_is_noise(subtype: str) -> None:
    event = payload("thread_reply")["event"] | {"subtype": subtype, "text": "<@U0BOT> joined"}
    assert events.parse(event, ME, NAMES) is None


@pytest.mark.parametrize("field", ["text", "blocks", "attachments", "files", "thread_ts", "team", "edited"])
def test_a_field_that_is_null_is_as_good_as_none(field: str) -> None:
    event = payload("message_with_mention")["event"]
    assert isinstance(events.parse(event | {field: None, "channel_type": None}, ME, NAMES), Said | None)
    direct = payload("direct_message")["event"] | {field: None}
    assert isinstance(events.parse(direct, ME, NAMES), Said)


@pytest.mark.parametrize("junk", [None, [], [None], ["x"], [{}], [{"type": 7}], {"a": 1}, "x"])
def test_odd_blocks_and_attachments_break_nothing(junk: object) -> None:
    event = payload("direct_message")["event"] | {"text": "", "blocks": junk, "attachments": junk}
    assert isinstance(events.parse(event | {"files": junk}, ME, NAMES), Said)


def test_what_was_just_said_is_known_by_its_place() -> None:
    event = {"type": "message", "channel": "C01", "ts": "1.000000"}
    assert events.newly_said_at(event) == ("C01", "1.000000")


@pytest.mark.parametrize(
    "change",
    [
        {"subtype": "message_changed"},
        {"subtype": "message_deleted"},
        {"hidden": True},
        {"edited": {"ts": "2.000000"}},
        {"channel": ""},
        {"ts": ""},
    ],
)
def test_a_change_is_no_second_event_of_what_it_changes(change: dict[str, Any]) -> None:
    """Servers that write the message's own `ts` beside a change would else have it passed over."""
    event = {"type": "message", "channel": "C01", "ts": "1.000000"} | change
    assert events.newly_said_at(event) is None
