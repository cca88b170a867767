"""The HTTP server over a real socket: health, readiness, metrics, mounted routes."""

import asyncio
import io
import logging
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from adapters import http
from adapters.http import MOST_BODY_BYTES, HttpServer
from adapters.metrics import Metrics
from bot.domain import Outcome, Usage
from bot.errors import ThreadflyError
from bot.logs import JsonLines
from bot.observing import TurnEnd
from bot.redaction import Redactor


@pytest.fixture
def metrics() -> Metrics:
    return Metrics({"small": (1.0, 10.0)})


@pytest.fixture
async def server(metrics: Metrics) -> AsyncIterator[HttpServer]:
    """A server that is not open yet, and is closed at the end."""
    server = HttpServer("127.0.0.1", 0, metrics.registry)
    yield server
    await server.close()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client


async def well() -> str:
    return ""


async def ill() -> str:
    return "the socket is down"


async def silent() -> str:
    await asyncio.Event().wait()
    return ""


async def broken() -> str:
    raise RuntimeError("open sesame")


async def test_it_tells_the_port_that_it_was_given(server: HttpServer, client: aiohttp.ClientSession) -> None:
    await server.open()
    assert server.url == f"http://127.0.0.1:{server.port}"
    async with client.get(f"{server.url}/healthz") as response:
        assert (response.status, await response.json()) == (200, {"threadfly": "alive"})


async def test_it_is_ready_when_all_its_parts_are(server: HttpServer, client: aiohttp.ClientSession) -> None:
    server.watch({"archive": well, "hot": well})
    await server.open()
    async with client.get(f"{server.url}/readyz") as response:
        assert response.status == 200
        assert await response.json() == {"ready": True, "parts": {"archive": "ok", "hot": "ok"}}


async def test_it_says_which_part_is_not_ready_and_waits_for_none(
    server: HttpServer, client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "PROBE_TIMEOUT_S", 0.05)
    server.watch({"archive": well, "slack": ill, "hot": silent, "discord": broken})
    await server.open()
    async with client.get(f"{server.url}/readyz") as response:
        assert response.status == 503
        assert await response.json() == {
            "ready": False,
            "parts": {
                "archive": "ok",
                "slack": "the socket is down",
                "hot": "no answer within 0.05 s",
                "discord": "failed (RuntimeError)",
            },
        }


async def test_a_part_that_is_ill_does_not_make_it_dead(
    server: HttpServer, client: aiohttp.ClientSession
) -> None:
    server.watch({"slack": ill})
    await server.open()
    async with client.get(f"{server.url}/healthz") as response:
        assert response.status == 200


async def test_it_serves_what_a_platform_mounts(server: HttpServer, client: aiohttp.ClientSession) -> None:
    async def events(request: web.Request) -> web.Response:
        return web.Response(text=f"{len(await request.read())} bytes")

    server.mount([web.post("/slack/events", events)])
    await server.open()
    async with client.post(f"{server.url}/slack/events", data=io.BytesIO(b"x" * 1_200_000)) as response:
        assert await response.text() == "1200000 bytes"
    async with client.post(
        f"{server.url}/slack/events", data=io.BytesIO(b"x" * (MOST_BODY_BYTES + 1))
    ) as response:
        assert response.status == 413


async def test_a_route_that_breaks_answers_with_a_sentence_and_logs_no_contents(
    server: HttpServer, client: aiohttp.ClientSession
) -> None:
    async def breaks(_request: web.Request) -> web.Response:
        raise RuntimeError("open sesame")

    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    handler.setFormatter(JsonLines(Redactor([])))
    logging.getLogger("adapters.http").addHandler(handler)
    server.mount([web.get("/files/{name}", breaks)])
    await server.open()
    async with client.get(f"{server.url}/files/sesame.txt") as response:
        assert response.status == 500
        assert await response.json() == {"error": "This failed here; the log says why."}
    logging.getLogger("adapters.http").removeHandler(handler)
    assert '"event": "http_failed", "route": "/files/{name}", "error": "RuntimeError at' in heard.getvalue()
    assert "sesame" not in heard.getvalue()


async def test_a_port_that_is_taken_is_told_with_the_key_to_change(metrics: Metrics) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = HttpServer("127.0.0.1", port, metrics.registry)
        with pytest.raises(ThreadflyError, match=f"port {port} on 127.0.0.1 is taken, .* set http.port"):
            await server.open()
        await server.close()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
async def test_an_address_of_another_machine_is_told_with_the_key_to_change(
    host: str, metrics: Metrics
) -> None:
    server = HttpServer(host, 0, metrics.registry)
    with pytest.raises(ThreadflyError, match=f"{host} is no address of this machine; set http.host"):
        await server.open()
    await server.close()


async def test_metrics_count_what_the_core_tells(
    server: HttpServer, client: aiohttp.ClientSession, metrics: Metrics
) -> None:
    usage = Usage(model="small-2026-01-01", prompt_tokens=500_000, completion_tokens=100_000)
    metrics.turn_ended(TurnEnd("slack", "small", Outcome.DONE, usage, 1.5, 0.2))
    metrics.turn_ended(TurnEnd("slack", "of a workspace", Outcome.FAILED, Usage(), 3, None))
    metrics.hot_read(hit=True)
    metrics.archived("slack", 2)
    metrics.feedback("slack", good=False)
    await server.open()
    async with client.get(f"{server.url}/metrics") as response:
        assert response.content_type == "text/plain"
        lines = (await response.text()).splitlines()
    for line in (
        'threadfly_turns_total{model="small",outcome="done",platform="slack"} 1.0',
        'threadfly_turns_total{model="other",outcome="failed",platform="slack"} 1.0',
        'threadfly_tokens_total{kind="prompt",model="small"} 500000.0',
        'threadfly_cost_total{model="small"} 1.5',
        'threadfly_hot_reads_total{result="hit"} 1.0',
        'threadfly_archived_messages_total{platform="slack"} 2.0',
        'threadfly_feedback_total{platform="slack",verdict="bad"} 1.0',
        'threadfly_turn_seconds_count{platform="slack"} 2.0',
        'threadfly_first_text_seconds_count{platform="slack"} 1.0',
    ):
        assert line in lines
