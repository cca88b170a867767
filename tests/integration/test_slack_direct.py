"""Calls that go straight to Slack: sent as slack-sdk sends them, and read whatever comes back."""

import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from adapters.posts import Throttled
from adapters.slack.client import Client, new_session, new_web_client
from adapters.slack.errors import Refused, Unsettled
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.server import BOT_TOKEN, CHANNEL, TEAM
from tests.integration.slack_stage import fake_slack

JSON = "application/json"


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with fake_slack() as slack:
        yield slack


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[Client]:
    session = new_session()
    try:
        yield Client(new_web_client(session, url, BOT_TOKEN), TEAM)
    finally:
        await session.close()


@asynccontextmanager
async def answering(answer: Callable[[], web.Response]) -> AsyncIterator[Client]:
    """A server of Slack's API that gives every call the same answer."""

    async def handle(_: web.Request) -> web.Response:
        return answer()

    app = web.Application()
    app.router.add_post("/api/{method}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        _, port, *_ = runner.addresses[0]
        async with client_of(f"http://127.0.0.1:{port}/api/") as client:
            yield client
    finally:
        await runner.cleanup()


async def test_what_is_none_is_no_argument(slack: FakeSlack) -> None:
    async with client_of(slack.api_url) as client:
        await client.call("chat.postMessage", channel=CHANNEL, text="hello", blocks=None)
    assert slack.calls[-1] == ("chat.postMessage", {"channel": CHANNEL, "text": "hello"})


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda: web.Response(status=429, text="slow down", headers={"Retry-After": "7"}), Throttled),
        (lambda: web.json_response({"ok": False, "error": "ratelimited"}, status=429), Throttled),
        (lambda: web.Response(text="<html>", content_type="text/html"), Refused),
        (lambda: web.Response(text="[1]", content_type=JSON), Unsettled),
        (lambda: web.Response(text="", content_type=JSON), Unsettled),
        (lambda: web.Response(body=b"\xff{", content_type=JSON), Unsettled),
        (lambda: web.Response(body=b"no gzip", headers={"Content-Encoding": "gzip"}), Unsettled),
        (lambda: web.Response(status=503, text="oops"), Unsettled),
        (lambda: web.json_response({"ok": False, "error": "not_in_channel"}), Refused),
        (lambda: web.json_response({"ok": True}, status=500), Unsettled),
        (lambda: web.Response(status=307, headers={"Location": "/api/again"}), Unsettled),
    ],
)
async def test_whatever_comes_back_has_a_meaning(
    answer: Callable[[], web.Response], error: type[Exception]
) -> None:
    async with answering(answer) as client:
        with pytest.raises(error):
            await client.call("chat.update", channel=CHANNEL, ts="1.000000", text="hello")


async def test_an_answer_that_is_packed_or_named_otherwise_is_read() -> None:
    packed = gzip.compress(b'{"ok": true, "ts": "1.000002"}')
    async with answering(
        lambda: web.Response(body=packed, headers={"Content-Encoding": "gzip", "Content-Type": "text/plain"})
    ) as client:
        assert await client.call("chat.postMessage", channel=CHANNEL, text="x") == {
            "ok": True,
            "ts": "1.000002",
        }
