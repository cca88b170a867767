"""Events in shapes that Slack documents, and in some that only others send: taken in, and acknowledged."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.fakes.slack import FakeSlack
from tests.fakes.slack.core import ScriptedCore
from tests.fakes.slack.server import ALICE, BOB, BOT, CHANNEL, TEAM
from tests.integration.slack_stage import fake_slack, running

ROOT = "1700000001.000100"
MESSAGE = {"type": "message", "channel": CHANNEL, "channel_type": "channel", "event_ts": "1700000009.000100"}
REPLY = MESSAGE | {"user": ALICE, "thread_ts": ROOT, "ts": "1700000009.000100"}
MENTION = f"<@{BOT}> hello"

HEARD: dict[str, dict[str, Any]] = {
    "sent to the channel too": REPLY
    | {"subtype": "thread_broadcast", "root": {"ts": ROOT, "text": "x", "thread_ts": ROOT}},
    "in the third person": REPLY | {"subtype": "me_message", "blocks": None},
    "a file of which nothing is told": REPLY
    | {
        "subtype": "file_share",
        "files": [dict.fromkeys(("id", "name", "mimetype", "size", "mode", "url_private")), None],
    },
    "files as null": REPLY | {"subtype": "file_share", "files": None},
    "blocks of kinds to come": REPLY
    | {
        "blocks": [
            {"type": "hologram", "text": 7},
            {"type": "rich_text", "elements": [{"type": "x"}, None]},
            None,
        ]
    },
    "no team": REPLY | {"team": None, "user_team": None, "source_team": None},
    "of an enterprise": REPLY | {"team": "E01", "user_team": "E01", "user": "W0GRACE"},
    "attachments of nothing": REPLY
    | {"attachments": [{}, {"is_share": True, "text": None}, None, {"blocks": 1}]},
    "no gesture, no event time": {k: v for k, v in REPLY.items() if k != "event_ts"}
    | {"client_msg_id": None},
    "a time without a fraction": REPLY | {"ts": "1700000009"},
}

NOT_SAID: dict[str, dict[str, Any]] = {
    "a bot without a user": MESSAGE
    | {"subtype": "bot_message", "bot_id": "B77", "text": MENTION, "ts": ROOT, "username": None},
    "a reply is told of": MESSAGE
    | {"subtype": "message_replied", "message": {"ts": ROOT, "user": BOB, "text": MENTION, "replies": []}},
    "an agent's thread begins": MESSAGE
    | {"subtype": "assistant_app_thread", "user": BOT, "ts": ROOT, "assistant_app_thread": {"title": None}},
    "a huddle": MESSAGE | {"subtype": "huddle_thread", "user": "USLACKBOT", "ts": ROOT, "room": {"id": "R1"}},
    "a channel is converted": MESSAGE
    | {"subtype": "channel_convert_to_private", "user": None, "ts": ROOT, "text": MENTION},
    "nobody said it": MESSAGE | {"user": None, "text": MENTION, "ts": ROOT},
    "there is no time": MESSAGE | {"user": ALICE, "text": MENTION, "ts": None},
    "a change to nothing": MESSAGE
    | {"subtype": "message_changed", "message": None, "previous_message": None},
    "nothing was deleted": MESSAGE
    | {"subtype": "message_deleted", "deleted_ts": None, "previous_message": None},
    "no channel": {"type": "message", "user": ALICE, "text": MENTION, "ts": ROOT},
    "a channel as an object": {"type": "channel_rename", "channel": {"id": CHANNEL, "name": "new"}},
    "of a kind to come": {"type": "hologram_shared", "channel": None, "user": {"id": ALICE}},
    "joined by nobody": {"type": "member_joined_channel", "user": None, "channel": CHANNEL},
    "the home of nobody": {"type": "app_home_opened", "user": None, "channel": None, "tab": None},
    "a thread of an agent without its place": {"type": "assistant_thread_started", "assistant_thread": None},
    "stopped nowhere": {
        "type": "agent_session_stopped",
        "channel": None,
        "thread_ts": None,
        "event_ts": None,
    },
    "nothing": {},
}

WRAPPINGS: dict[str, dict[str, Any]] = {
    "authorised for nobody": {"authorizations": []},
    "authorisations as null": {"authorizations": None},
    "an authorisation of nothing": {"authorizations": [None, {"team_id": None, "enterprise_id": None}]},
    "no team": {"team_id": None, "context_team_id": None, "authorizations": None},
    "a team as a number": {"team": 5},
    "a team and an organisation as lists": {"team_id": ["T01"], "enterprise_id": [], "authorizations": None},
    "authorised for a team as a number": {"authorizations": [{"team": True, "enterprise": 5}]},
    "of an organisation": {"enterprise_id": "E01", "team_id": "T77", "is_ext_shared_channel": True},
}


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with fake_slack(scale=0.01) as slack:
        yield slack


@pytest.fixture
def core() -> ScriptedCore:
    return ScriptedCore()


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.ERROR]


def at(number: int, ts: str) -> str:
    """A time of its own, in the same form."""
    return ts.replace("1700000009", f"{1_700_000_009 + number}")


async def test_odd_messages_are_heard_and_acknowledged_at_once(
    slack: FakeSlack, core: ScriptedCore, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(slack, core):
        for number, (name, event) in enumerate(HEARD.items()):
            delivered = slack.event(event | {"text": f"{MENTION}: {name}", "ts": at(number, event["ts"])})
            await delivered.finished()
            assert (delivered.attempts, delivered.acknowledged) == (1, True), name
            assert len(core.said()) == number + 1, name
            assert name in core.said()[-1].message.text
    assert errors(caplog) == []


async def test_odd_events_are_acknowledged_and_mean_nothing(
    slack: FakeSlack, core: ScriptedCore, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(slack, core):
        for name, event in NOT_SAID.items():
            delivered = slack.event(event, event_time=1)
            await delivered.finished()
            assert (delivered.attempts, delivered.acknowledged) == (1, True), name
    assert core.events == []
    assert errors(caplog) == []


async def test_odd_wrappings_keep_no_message_from_being_heard(
    slack: FakeSlack, core: ScriptedCore, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(slack, core):
        for number, (name, wrapping) in enumerate(WRAPPINGS.items()):
            event = REPLY | {"text": f"{MENTION}: {name}", "ts": at(number, REPLY["ts"])}
            delivered = slack.deliveries.send("events_api", slack.wrapped(event) | wrapping)
            await delivered.finished()
            assert (delivered.attempts, delivered.acknowledged) == (1, True), name
            assert len(core.said()) == number + 1, name
    assert errors(caplog) == []


async def test_odd_presses_are_taken_and_acknowledged(
    slack: FakeSlack, core: ScriptedCore, caplog: pytest.LogCaptureFixture
) -> None:
    button = {"action_id": "threadfly_again", "type": "button", "value": f"{CHANNEL} {ROOT} 1700000001000100"}
    press = {"type": "block_actions", "team": {"id": TEAM}, "user": {"id": ALICE}, "actions": [button]}
    oddities: list[dict[str, Any]] = [
        {"user": {"id": ALICE, "username": None}, "response_url": None},
        {"channel": CHANNEL, "container": None, "message": None, "view": None, "state": []},
        {"actions": [None, {"action_id": None, "value": 7}, {"type": "static_select"}, button]},
    ]
    async with running(slack, core):
        for number, odd in enumerate(oddities, 1):
            delivered = slack.deliveries.send("interactive", press | odd)
            await delivered.finished()
            assert (delivered.attempts, delivered.acknowledged) == (1, True)
            assert len(core.events) == number
    assert errors(caplog) == []


async def test_odd_messages_in_a_history_are_read_over(slack: FakeSlack, core: ScriptedCore) -> None:
    root = slack.say("let us begin", user=BOB, deliver=False)
    for event in (*HEARD.values(), *NOT_SAID.values()):
        if event.get("type") != "message":
            continue
        ts = slack.clock.ts()
        kept = {k: v for k, v in event.items() if k not in {"channel", "event_ts"}}
        slack.team.channels[CHANNEL].messages[ts] = kept | {"ts": ts, "thread_ts": root, "text": "something"}
    async with running(slack, core) as platform:
        asked = slack.say(MENTION, thread_ts=root)
        await core.until(lambda: core.said())
        (said,) = core.said()
        history = await platform.history(said.key, said.message.position, 100)
    texts = [message.text.partition("\n")[0] for message in history.messages]
    assert texts[0] == "let us begin"
    assert texts[1:].count("something") >= len(HEARD)
    assert asked not in {message.position for message in history.messages}
