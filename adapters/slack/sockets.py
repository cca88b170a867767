"""Socket Mode: connections to Slack that are kept open for ever.

slack-sdk's own client asks for a new address only once and then tries that one for ever, though an
address is a ticket for one use; and it lets go of events under way when it closes. Hence this
keeper. What it carries, and whether it comes again, is handed on as it came.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any

import aiohttp
import orjson
from slack_bolt.response import BoltResponse

from adapters.jsons import loads
from adapters.posts import Throttled
from bot.errors import PlatformError, PlatformForbidden

CONNECTIONS = 2
"""Two, so that one is open while Slack refreshes the other, as it does every few hours."""
HEARTBEAT_S = 20.0
SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
STEADY_S = 1.0
"""A connection that ends sooner was refused, as Slack does beyond ten of them: the next one waits."""
HTTP_OK = 200
GRACE_S = 30.0
"""A connection that Slack has told to go may still bring events for a while."""

log = logging.getLogger(__name__)


class Sockets:
    """Keeps `count` connections open, and answers what comes in over them."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        ticket: Callable[[], Awaitable[str]],
        dispatch: Callable[[dict[str, Any], bool], Awaitable[BoltResponse]],
        on_return: Callable[[], None],
        *,
        count: int = CONNECTIONS,
    ) -> None:
        self._session = session
        self._ticket = ticket
        """Asks Slack for an address; it holds a secret, and works once."""
        self._dispatch = dispatch
        """Takes a payload, and whether Slack delivers it not for the first time."""
        self._on_return = on_return
        """Called when there is a connection again after there was none."""
        self._count = count
        self._up = 0
        self._first_up = asyncio.Event()
        self._keepers: list[asyncio.Task[None]] = []
        self._open: set[aiohttp.ClientWebSocketResponse] = set()
        self._leaving: set[asyncio.Task[None]] = set()
        self._answers: set[asyncio.Task[None]] = set()
        self._quiet = False

    @property
    def up(self) -> int:
        """How many connections are open, those that Slack has told to go left out."""
        return self._up

    async def open(self) -> None:
        """Connect; returns with the first connection. Raises `PlatformForbidden` for refused credentials."""
        self._keepers = [asyncio.create_task(self._keep()) for _ in range(self._count)]
        first = asyncio.create_task(self._first_up.wait())
        done, _ = await asyncio.wait([first, *self._keepers], return_when=asyncio.FIRST_COMPLETED)
        if first not in done:
            first.cancel()
            refused = next(iter(done))
            await self.quiet()
            refused.result()

    async def _keep(self) -> None:
        wait = 0.0
        while True:
            try:
                socket = await self._session.ws_connect(
                    await self._ticket(), heartbeat=HEARTBEAT_S, max_msg_size=0
                )
            except PlatformForbidden:
                if not self._first_up.is_set():
                    raise
                log.warning("Slack refuses the app-level token", extra={"event": "slack.socket_refused"})
            except (Throttled, PlatformError, aiohttp.ClientError, TimeoutError, OSError) as exc:
                reason = type(exc).__name__
                log.warning("Could not connect to Slack: %s", reason, extra={"event": "slack.socket_failed"})
            else:
                began = time.monotonic()
                await self._serve(socket)
                if time.monotonic() - began >= STEADY_S:
                    wait = 0.0
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))
            wait = min(LONGEST_WAIT_S, max(SHORTEST_WAIT_S, wait * 2))

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Read until the connection ends, or until Slack wants it replaced."""
        self._count_up(socket)
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT and self._take(socket, message.data):
                    self._background(self._leave(socket), self._leaving)
                    return
            self._open.discard(socket)
            log.info("A connection to Slack ended", extra={"event": "slack.socket_lost"})
        finally:
            self._up -= 1

    def _count_up(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._open.add(socket)
        self._up += 1
        log.info("Connected to Slack", extra={"event": "slack.socket_up"})
        if self._up == 1 and self._first_up.is_set():
            self._on_return()
        self._first_up.set()

    async def _leave(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_S):
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        self._take(socket, message.data)
        self._open.discard(socket)
        await socket.close()

    def _background(self, work: Coroutine[Any, Any, None], kept: set[asyncio.Task[None]]) -> None:
        task = asyncio.create_task(work)
        kept.add(task)
        task.add_done_callback(kept.discard)

    def _take(self, socket: aiohttp.ClientWebSocketResponse, data: str) -> bool:
        """Begin to answer one frame. True: Slack wants this connection replaced."""
        try:
            envelope = loads(data)
        except ValueError:
            return False
        if not isinstance(envelope, dict):
            return False
        if envelope.get("type") == "disconnect":
            return True
        if envelope.get("envelope_id") and not self._quiet:
            self._background(self._answer(socket, envelope), self._answers)
        return False

    async def _answer(self, socket: aiohttp.ClientWebSocketResponse, envelope: Mapping[str, Any]) -> None:
        again = bool(envelope.get("retry_attempt"))
        response = await self._dispatch(envelope.get("payload") or {}, again)
        if response.status != HTTP_OK or socket.closed:
            return
        acknowledgement: dict[str, Any] = {"envelope_id": envelope["envelope_id"]}
        if response.body:
            acknowledgement["payload"] = loads(response.body)
        with suppress(ConnectionError, aiohttp.ClientError):
            await socket.send_frame(orjson.dumps(acknowledgement), aiohttp.WSMsgType.TEXT)

    async def quiet(self) -> None:
        """Take in nothing more. What is being answered is acknowledged first; then the connections close."""
        self._quiet = True
        if self._answers:
            await asyncio.wait(self._answers)
        tasks = [*self._keepers, *self._leaving]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for socket in list(self._open):
            await socket.close()
        self._open.clear()
