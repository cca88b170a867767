"""The one HTTP server: health, metrics, and whatever platforms mount on it."""

import asyncio
import errno
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from bot.errors import ThreadflyError

log = logging.getLogger(__name__)

MOST_BODY_BYTES = 4 * 1024 * 1024
"""Room for a message of 200,000 characters, each escaped as JSON may do it."""
PROBE_TIMEOUT_S = 2.0
CLOSE_TIMEOUT_S = 2.0

Probe = Callable[[], Awaitable[str]]
"""Answers "" when its part is ready, else with one sentence that holds no secret."""


class HttpServer:
    """Serves `/healthz`, `/readyz`, `/metrics` and mounted routes; opened once, closed once."""

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        """`port` 0 takes any that is free."""
        self._host = host
        self._port = port
        self._registry = registry
        self._probes: dict[str, Probe] = {}
        self._app = web.Application(client_max_size=MOST_BODY_BYTES, middlewares=[_answer_failures])
        self._app.add_routes(
            [
                web.get("/healthz", self._alive),
                web.get("/readyz", self._ready),
                web.get("/metrics", self._metrics),
            ]
        )
        self._runner = web.AppRunner(
            self._app, access_log=None, handle_signals=False, shutdown_timeout=CLOSE_TIMEOUT_S
        )

    def mount(self, routes: Iterable[web.AbstractRouteDef]) -> None:
        """Serve these too. Only before `open`."""
        self._app.add_routes(routes)

    def watch(self, probes: Mapping[str, Probe]) -> None:
        """Let `/readyz` ask these too, by name."""
        self._probes.update(probes)

    async def open(self) -> None:
        """Listen. Raises `ThreadflyError` when the address can't be had."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise ThreadflyError(_refused(self._host, self._port, error)) from error

    @property
    def port(self) -> int:
        """The port that it listens on. Only while open."""
        return int(self._runner.addresses[0][1])

    @property
    def url(self) -> str:
        """Its address for this machine, without a slash at the end. Only while open."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104  # not bound here
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    async def close(self) -> None:
        """Listen no more, and give requests that run a moment to end. Also when it never opened."""
        await self._runner.cleanup()

    async def _alive(self, _request: web.Request) -> web.Response:
        return web.json_response({"threadfly": "alive"})

    async def _ready(self, _request: web.Request) -> web.Response:
        names = list(self._probes)
        told = await asyncio.gather(*(_ask(self._probes[name]) for name in names))
        ready = not any(told)
        parts = {name: sentence or "ok" for name, sentence in zip(names, told, strict=True)}
        return web.json_response({"ready": ready, "parts": parts}, status=200 if ready else 503)

    async def _metrics(self, _request: web.Request) -> web.Response:
        body = generate_latest(self._registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


async def _ask(probe: Probe) -> str:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            return await probe()
    except TimeoutError:
        return f"no answer within {PROBE_TIMEOUT_S:g} s"
    except Exception as error:  # noqa: BLE001  # whatever fails in a probe means that its part is not ready
        return f"failed ({type(error).__name__})"


@web.middleware
async def _answer_failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A sentence for whoever asked, and the rest in our log, when a route fails unforeseen."""
    try:
        return await handler(request)
    except web.HTTPException:
        raise
    except web.RequestPayloadError:
        return _unreadable(request)
    except Exception:
        log.exception("a request failed", extra={"event": "http_failed", "route": _route(request)})
        return web.json_response({"error": "This failed here; the log says why."}, status=500)


def _unreadable(request: web.Request) -> web.Response:
    """A body that is not encoded as it says: nothing more of that connection can be read."""
    request.content.feed_eof()  # else aiohttp reads on, and complains in the log
    refused = web.json_response({"error": "The body can't be read."}, status=400)
    refused.force_close()
    return refused


def _route(request: web.Request) -> str:
    """The pattern of the route, never the path: that may hold something that was typed."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else ""


def _refused(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        taken = f"port {port} on {host} is taken, perhaps by another Threadfly"
        return f"{taken}; set http.port to another one (0: any)"
    if error.errno == errno.EACCES:
        return f"port {port} may not be used by this user; set http.port to one from 1024"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"{host} is no address of this machine; set http.host to one, such as 127.0.0.1"
    return f"the HTTP server can't listen on {host}, port {port}: {error.strerror}"
