"""How events reach us: over sockets that break and are refreshed, over signed HTTP, and as commands."""

import asyncio
import io
import json
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from adapters.http import HttpServer
from adapters.slack import buttons, receiving, sockets
from bot import words
from bot.domain import Addressed, Answer, Button, Outcome, Receipt, Said
from bot.errors import PlatformForbidden
from bot.ports import Reply
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.core import ScriptedCore, echo
from tests.fakes.slack.server import ALICE, APP_TOKEN, BOB, BOT, BOT_TOKEN, CHANNEL, DM, OTHER_CHANNEL, TEAM
from tests.fakes.slack.world import Channel, Json
from tests.integration.slack_stage import fake_slack, platform_on, running


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with fake_slack(scale=0.01) as slack:
        slack.budgets.on = False
        yield slack


@pytest.fixture
def core() -> ScriptedCore:
    return ScriptedCore()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between attempts to connect are cut short, not left out."""
    monkeypatch.setattr(sockets, "SHORTEST_WAIT_S", 0.02)
    monkeypatch.setattr(sockets, "LONGEST_WAIT_S", 0.1)


async def answered(slack: FakeSlack, text: str = "hello") -> str:
    ts = slack.say(f"<@{BOT}> {text}")
    await slack.until(lambda: slack.thread(ts))
    return ts


async def test_two_connections_are_kept_open(slack: FakeSlack, core: ScriptedCore) -> None:
    async with running(slack, core) as platform:
        await slack.until(lambda: len(slack.deliveries.sockets) == 2)
        assert platform.ailing() == ""
    assert slack.deliveries.sockets == []


async def test_a_refreshed_connection_loses_nothing(slack: FakeSlack, core: ScriptedCore) -> None:
    async with running(slack, core):
        await slack.until(lambda: len(slack.deliveries.sockets) == 2)
        await slack.deliveries.refresh()
        await answered(slack)
        await slack.until(lambda: len(slack.deliveries.sockets) == 2)
        assert slack.deliveries.opened == 4


async def test_connections_that_break_come_back_for_ever(slack: FakeSlack, core: ScriptedCore) -> None:
    async with running(slack, core) as platform:
        for _ in range(3):
            await slack.until(lambda: len(slack.deliveries.sockets) == 2)
            slack.refusing = True
            await slack.deliveries.drop()
            await core.until_true(lambda: platform.ailing() != "")
            slack.refusing = False
            await answered(slack)
        assert platform.ailing() == ""


async def test_an_event_that_met_a_broken_connection_is_answered_once(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    core.slow_s = 0.1
    async with running(slack, core):
        await slack.until(lambda: len(slack.deliveries.sockets) == 2)
        slack.deliveries.ack_s = 0.5
        ts = slack.say(f"<@{BOT}> hello")
        await slack.deliveries.drop()
        await slack.until(lambda: slack.thread(ts))
        await slack.deliveries.settled()
    assert len(slack.thread(ts)) == 1


@pytest.mark.parametrize("tokens", [{"app_token": "xapp-wrong"}, {"bot_token": "xoxb-wrong"}])
async def test_refused_credentials_end_the_start(
    slack: FakeSlack, core: ScriptedCore, tokens: dict[str, str]
) -> None:
    platform = platform_on(slack, **tokens)
    try:
        with pytest.raises(PlatformForbidden, match="invalid_auth"):
            await platform.open(core, core.desk)
    finally:
        await platform.close()


async def test_a_slow_archive_is_not_waited_for_longer_than_slack_waits(
    slack: FakeSlack, core: ScriptedCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "ACKNOWLEDGE_S", 0.05)
    slack.deliveries.redeliver_after = ()
    slack.deliveries.ack_s = 0.3
    core.slow_s = 5
    async with running(slack, core):
        slack.say(f"<@{BOT}> hello")
        await slack.deliveries.settled()
    assert not any(delivered.acknowledged for delivered in slack.deliveries.log)


async def test_after_quiet_nothing_is_acknowledged(slack: FakeSlack, core: ScriptedCore) -> None:
    slack.deliveries.redeliver_after = ()
    async with running(slack, core) as platform:
        await platform.quiet()
        slack.say(f"<@{BOT}> hello")
        await slack.deliveries.settled()
    assert not any(delivered.acknowledged for delivered in slack.deliveries.log)


async def test_a_button_reaches_the_core(slack: FakeSlack, core: ScriptedCore) -> None:
    async with running(slack, core):
        ts = await answered(slack)
        (post,) = slack.thread(ts)
        delivered = slack.press("threadfly_good", ts=post["ts"])
        await delivered.finished()
    (pressed,) = core.pressed()
    assert delivered.acknowledged
    assert (pressed.button, pressed.by.name, pressed.key.thread) == (Button.GOOD, "Alice", ts)


async def test_nobody_who_presses_is_left_in_silence(slack: FakeSlack, core: ScriptedCore) -> None:
    async with running(slack, core):
        ts = await answered(slack)
        slack.press("threadfly_bad", ts=slack.thread(ts)[0]["ts"])
        await slack.until(lambda: slack.responses)
        core.pressing = Receipt.IGNORED
        core.script = fails
        failed = await answered(slack)
        slack.press("threadfly_again", ts=slack.thread(failed)[0]["ts"])
        await slack.until(lambda: len(slack.responses) == 2)
        core.pressing = Receipt.QUEUED
        slack.press("threadfly_again", ts=slack.thread(failed)[0]["ts"])
        await slack.until(lambda: len(slack.responses) == 3)
    sentences = [buttons.THANKS, buttons.NOT_AGAIN, words.AGAIN_NEXT]
    assert [told["text"] for _, told in slack.responses] == sentences
    assert all(told["response_type"] == "ephemeral" for _, told in slack.responses)


async def test_a_response_url_that_lives_no_more_is_a_line_in_the_log_and_no_error(
    slack: FakeSlack, core: ScriptedCore, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(slack, core):
        ts = await answered(slack)
        slack.response_urls.life_s = -1.0
        slack.press("threadfly_good", ts=slack.thread(ts)[0]["ts"])
        await core.until_true(lambda: "did not take a response: 404" in caplog.text)
    assert slack.responses == []
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def fails(reply: Reply, said: Said) -> Answer:
    return Answer("It failed.", Outcome.FAILED)


async def test_a_command_is_answered_to_its_asker(slack: FakeSlack, core: ScriptedCore) -> None:
    async with running(slack, core):
        delivered = slack.command("model small", channel=DM)
        await delivered.finished()
    assert delivered.response is not None
    assert (delivered.response["response_type"], delivered.response["text"]) == ("ephemeral", "done")
    assert delivered.response["blocks"] == [{"type": "markdown", "text": "done"}]
    assert [order.words for order in core.orders] == ["model small"]


async def test_a_command_in_a_channel_says_where_it_would_work(slack: FakeSlack, core: ScriptedCore) -> None:
    async with running(slack, core):
        delivered = slack.command("pause")
        await delivered.finished()
    assert delivered.response is not None
    assert "Mention me" in delivered.response["text"]
    assert core.orders == []


async def test_a_slow_command_answers_at_its_response_url(
    slack: FakeSlack, core: ScriptedCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "DESK_S", 0.02)
    core.slow_s = 0.1
    async with running(slack, core):
        delivered = slack.command("help")
        await slack.until(lambda: slack.responses)
    assert delivered.acknowledged
    assert slack.responses[0][1]["text"] == "done"


async def test_a_shortcut_is_about_its_thread(slack: FakeSlack, core: ScriptedCore) -> None:
    async with running(slack, core):
        ts = await answered(slack)
        slack.shortcut("threadfly_pause", ts=slack.thread(ts)[0]["ts"])
        await slack.until(lambda: slack.responses)
    (order,) = core.orders
    assert (order.words, order.key.thread, order.by.name) == ("pause", ts, "Alice")


async def test_joining_a_channel_greets_once_however_often_it_is_told(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    async with running(slack, core):
        joined = slack.invite()
        await slack.until(lambda: slack.team.authored(OTHER_CHANNEL))
        again = slack.event(joined.payload["event"])
        await again.finished()
        await slack.until(lambda: [m for m, _ in slack.calls].count("conversations.history") == 2)
        await answered(slack)
    (greeting,) = slack.team.authored(OTHER_CHANNEL)
    assert "help" in greeting["text"]
    assert "keep" in greeting["text"]


async def test_the_agent_view_gets_prompts_a_title_and_a_status(slack: FakeSlack, core: ScriptedCore) -> None:
    async def slowly(reply: Reply, said: Said) -> Answer:
        await slack.until(lambda: "processing" in slack.team.sessions.values())
        return await echo(reply, said)

    core.script = slowly
    async with running(slack, core):
        slack.event(
            {"type": "app_home_opened", "user": ALICE, "channel": DM, "tab": "messages", "event_ts": "1.0"}
        )
        await slack.until(lambda: slack.team.prompts)
        root = slack.say("New chat", channel=DM, deliver=False, subtype="assistant_app_thread")
        slack.say("How do I bake  bread?", channel=DM, thread_ts=root)
        await slack.until(lambda: slack.team.titles and slack.thread(root, channel=DM))
        slack.say("And cake?", channel=DM, thread_ts=root)
        await slack.until(lambda: len(slack.thread(root, channel=DM)) == 2)
    assert 1 <= len(slack.team.prompts[0]["prompts"]) <= 4
    assert [title["title"] for title in slack.team.titles] == ["How do I bake bread?"]
    assert slack.team.sessions == {(DM, root): "active"}


async def test_names_are_asked_once(slack: FakeSlack, core: ScriptedCore) -> None:
    async with running(slack, core):
        await answered(slack)
        await answered(slack)
        await slack.deliveries.settled()
    assert [method for method, _ in slack.calls].count(
        "users.info"
    ) == 2  # Alice, and the bot that she mentions


async def test_a_link_to_a_private_channel_tells_nobody_its_name(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    slack.add_channel(slack.team, Channel("C0SECRET", "layoffs", "group", {BOB, BOT}))
    async with running(slack, core):
        slack.say(f"<@{BOT}> look at <#C0SECRET|> and <#C01|>")
        await core.until(lambda: core.said())
    assert core.said()[0].message.text == "look at #private-channel and #general"


async def test_a_name_that_does_not_come_holds_nothing_up(
    slack: FakeSlack, core: ScriptedCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.slack.names.PATIENCE_S", 0.05)
    slack.hold["users.info"] = asyncio.Event()
    async with running(slack, core):
        await answered(slack)
        slack.hold["users.info"].set()
    assert core.said()[0].message.author.id == ALICE


async def test_a_mention_from_a_shared_channel_is_under_our_workspace(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    slack.team.shared_users["U0OLGA"] = "T99"
    async with running(slack, core):
        ts = slack.say(f"<@{BOT}> hello", user="U0OLGA")
        await slack.until(lambda: slack.thread(ts))
    said = core.said()[0]
    assert said.key.workspace == "T01"
    assert said.groups == {"T99"}


async def test_no_token_and_no_word_of_a_message_is_in_the_log(
    slack: FakeSlack, core: ScriptedCore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    core.refusals = 1
    async with running(slack, core):
        slack.failures["chat.postMessage"] = ["500", "internal_error"]
        await answered(slack, "a very secret question")
        await slack.deliveries.drop()
        await answered(slack)
    for secret in (BOT_TOKEN, APP_TOKEN, "very secret", "ticket"):
        assert secret not in caplog.text


class HttpDoor:
    """The one HTTP server, as far as Slack sees it."""

    def __init__(self, url: str) -> None:
        self.url = url


@pytest.fixture
async def door(slack: FakeSlack, core: ScriptedCore) -> AsyncIterator[HttpDoor]:
    async with running(slack, core, mode="http", app_token="") as platform:
        server = HttpServer("127.0.0.1", 0, CollectorRegistry())
        server.mount(platform.routes())
        await server.open()
        slack.deliveries.http_url = f"{server.url}/slack/events"
        yield HttpDoor(server.url)
        await server.close()


async def test_over_http_a_mention_is_answered_once(
    slack: FakeSlack, core: ScriptedCore, door: HttpDoor
) -> None:
    ts = await answered(slack)
    await slack.deliveries.settled()
    assert len(slack.thread(ts)) == 1
    assert all(delivered.acknowledged for delivered in slack.deliveries.log)
    assert core.said()[0].addressed is Addressed.MENTION


async def test_over_http_an_event_is_not_acknowledged_before_it_is_kept(
    slack: FakeSlack, core: ScriptedCore, door: HttpDoor
) -> None:
    core.refusals = 3
    ts = await answered(slack)
    await slack.deliveries.settled()
    assert len(slack.thread(ts)) == 1
    assert sum(delivered.attempts for delivered in slack.deliveries.log) >= 5


async def test_over_http_ids_may_be_numbers_as_over_a_socket(
    slack: FakeSlack, core: ScriptedCore, door: HttpDoor
) -> None:
    mention = {"type": "app_mention", "user": 42, "text": f"<@{BOT}> hello", "channel": CHANNEL}
    delivered = slack.event(mention | {"ts": "1700000009.000100"})
    await delivered.finished()
    assert (delivered.attempts, delivered.acknowledged) == (1, True)
    assert [said.message.author.id for said in core.said()] == ["42"]


@pytest.mark.parametrize("odd", [{"event": "x"}, {"event": [1]}, {"event": None}, {"authorizations": [7]}])
async def test_over_http_what_makes_no_sense_is_acknowledged_too(
    slack: FakeSlack, core: ScriptedCore, door: HttpDoor, odd: dict[str, Any]
) -> None:
    told = {"type": "event_callback", "team_id": TEAM, "event": {"type": "hologram"}}
    delivered = slack.deliveries.send("events_api", told | odd)
    await delivered.finished()
    assert (delivered.attempts, delivered.acknowledged) == (1, True)
    assert core.events == []


async def test_over_http_commands_and_buttons_work_too(
    slack: FakeSlack, core: ScriptedCore, door: HttpDoor
) -> None:
    ts = await answered(slack)
    pressed = slack.press("threadfly_bad", ts=slack.thread(ts)[0]["ts"])
    command = slack.command("help")
    await pressed.finished()
    await command.finished()
    assert core.pressed()[0].button is Button.BAD
    assert command.response is not None
    assert (command.response["response_type"], command.response["text"]) == ("ephemeral", "done")


async def test_a_signature_that_is_wrong_or_old_is_refused(
    slack: FakeSlack, core: ScriptedCore, door: HttpDoor
) -> None:
    body = json.dumps(
        {"type": "event_callback", "team_id": "T01", "event": {"type": "message", "channel": CHANNEL}}
    )
    good = slack.deliveries.signed(body)
    wrong = good | {"x-slack-signature": "v0=" + "0" * 64}
    old = slack.deliveries.signed(body, at=1_700_000_000)
    async with aiohttp.ClientSession() as session:
        for headers, status in ((good, 200), (wrong, 401), (old, 401), ({}, 401)):
            headers |= {"Content-Type": "application/json"}
            async with session.post(slack.deliveries.http_url, data=body, headers=headers) as answer:
                assert answer.status == status
    assert core.events == []


@pytest.mark.parametrize("body", ["not json", "payload=not json", "payload=[]", "[]", ""])
async def test_what_is_not_slacks_is_refused_without_a_word(
    door: HttpDoor, core: ScriptedCore, caplog: pytest.LogCaptureFixture, body: str
) -> None:
    headers = {
        "Content-Type": "application/x-www-form-urlencoded" if "payload" in body else "application/json"
    }
    async with (
        aiohttp.ClientSession() as anybody,
        anybody.post(f"{door.url}/slack/events", data=body, headers=headers) as answer,
    ):
        assert 400 <= answer.status < 500
    assert core.events == []
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


JSON = {"Content-Type": "application/json"}
ODD: list[tuple[dict[str, str], bytes]] = [
    ({}, b""),
    (JSON, b"[" * 200_000),
    (JSON, b"\xff\xfe{}"),
    (JSON, b"{" + b" " * 3_000_000 + b"}"),
    (JSON, b"{" + b" " * 5_000_000 + b"}"),
    (JSON, b'{"authorizations": 5, "team": 7}'),
    ({"Content-Type": "application/json; charset=none-such"}, b"{}"),
    ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x\r\n\r\n"),
    ({"Content-Type": "text/html"}, b"<p>"),
    (JSON | {"Content-Encoding": "gzip"}, b"no gzip"),
    (JSON | {"x-slack-request-timestamp": "noon", "x-slack-signature": "v0=0"}, b"{}"),
    (JSON | {"x-slack-request-timestamp": "9" * 5_000, "x-slack-signature": "v0=0"}, b"{}"),
    (JSON | {"x-slack-request-timestamp": "NOW", "x-slack-signature": "v0=\u00e9"}, b"{}"),
]


@pytest.mark.parametrize(("headers", "body"), ODD, ids=map(str, range(len(ODD))))
async def test_whatever_anybody_sends_unsigned_is_refused_without_a_word(
    door: HttpDoor,
    core: ScriptedCore,
    caplog: pytest.LogCaptureFixture,
    headers: dict[str, str],
    body: bytes,
) -> None:
    headers = {name: value.replace("NOW", str(int(time.time()))) for name, value in headers.items()}
    async with (
        aiohttp.ClientSession(skip_auto_headers=["Content-Type"]) as anybody,
        anybody.post(f"{door.url}/slack/events", data=io.BytesIO(body), headers=headers) as answer,
    ):
        assert 400 <= answer.status < 500
    assert core.events == []
    assert not [record for record in caplog.records if record.levelname in {"ERROR", "WARNING"}]


async def test_what_is_signed_and_can_not_be_read_is_refused_too(
    slack: FakeSlack, core: ScriptedCore, door: HttpDoor, caplog: pytest.LogCaptureFixture
) -> None:
    async with aiohttp.ClientSession() as session:
        for body in ("[" * 200_000, '{"a":' * 200_000, "nonsense", "{", "5", "[]"):
            headers = slack.deliveries.signed(body) | {"Content-Type": "application/json"}
            async with session.post(slack.deliveries.http_url, data=body, headers=headers) as answer:
                assert answer.status == 400
    assert core.events == []
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize(
    "wrapping",
    [
        {"authorizations": {"team_id": TEAM}},
        {"authorizations": [None, 5]},
        {"authorizations": 5},
        {"team": 5, "enterprise": True, "user": 5, "channel": 5},
        {"team_id": [TEAM], "enterprise_id": {}},
    ],
    ids=str,
)
async def test_over_http_an_event_in_an_odd_wrapping_is_heard(
    slack: FakeSlack, core: ScriptedCore, door: HttpDoor, wrapping: Json
) -> None:
    message = {"type": "message", "user": ALICE, "text": f"<@{BOT}> hello", "channel": CHANNEL}
    told = slack.wrapped(message | {"channel_type": "channel", "ts": slack.clock.ts()})
    delivered = slack.deliveries.send("events_api", told | wrapping)
    assert await delivered.finished() is not None
    assert delivered.attempts == 1
    assert "hello" in core.said()[0].message.text


@pytest.mark.parametrize("odd", [None, 5, "x", [], [5], {}, {"user": 5, "channel": True}], ids=str)
async def test_over_http_an_event_that_holds_nothing_is_acknowledged(
    slack: FakeSlack, core: ScriptedCore, door: HttpDoor, caplog: pytest.LogCaptureFixture, odd: Any
) -> None:
    delivered = slack.deliveries.send("events_api", slack.wrapped({}) | {"event": odd})
    assert await delivered.finished() is not None
    assert delivered.attempts == 1
    assert core.events == []
    assert not [record for record in caplog.records if record.levelname in {"ERROR", "WARNING"}]


async def test_slack_can_check_the_certificate(door: HttpDoor) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{door.url}/slack/events", data={"ssl_check": "1", "token": "x"}) as answer,
    ):
        assert answer.status == 200


async def test_slack_can_verify_the_address(slack: FakeSlack, door: HttpDoor) -> None:
    body = json.dumps({"type": "url_verification", "challenge": "3eZb", "token": "x"})
    headers = slack.deliveries.signed(body) | {"Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(slack.deliveries.http_url, data=body, headers=headers) as answer,
    ):
        assert (answer.status, await answer.json()) == (200, {"challenge": "3eZb"})
