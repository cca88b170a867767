"""How the fake Slack delivers events: over sockets or by HTTP, again when they are not acknowledged."""

import asyncio
import hashlib
import hmac
import json
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import aiohttp
from aiohttp import web

from tests.fakes.slack.world import Clock, Json

REDELIVER_AFTER = (0.0, 60.0, 300.0)
"""Slack seconds from a failed delivery to the next."""


@dataclass(slots=True)
class Delivered:
    """What became of one thing that was to be delivered."""

    kind: str
    payload: Json
    attempts: int = 0
    acknowledged: bool = False
    response: Json | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once it was acknowledged, or given up."""

    async def finished(self) -> Json | None:
        """What it was acknowledged with, once it was; None if it was given up."""
        async with asyncio.timeout(20):
            await self.done.wait()
        return self.response


class Deliveries:
    """Sends envelopes, waits for acknowledgements, tries again."""

    def __init__(self, clock: Clock, seed: int, changed: Callable[[], Awaitable[None]]) -> None:
        """`changed` is told when a connection or a delivery changes."""
        self._changed = changed
        self.ack_s = 3.0
        """Real seconds until a delivery counts as failed: code under test is not scaled."""
        self.http_url = ""
        self.signing_secret = "8f742231b10e8888abcd99yyyzzz85a5"
        self.redeliver_after = REDELIVER_AFTER
        self.copies = (1, 1)
        """Least and most deliveries of one event, acknowledged or not."""
        self.log: list[Delivered] = []
        self.random = random.Random(seed)
        self.sockets: list[web.WebSocketResponse] = []
        """Open connections, the oldest first."""
        self.pick: Callable[[list[web.WebSocketResponse]], web.WebSocketResponse] = self.random.choice
        """Which of them gets the next delivery."""
        self.most_sockets = 10
        self.refused = 0
        """Connections that were too many."""
        self.opened = 0
        self._clock = clock
        self._waiting: dict[str, asyncio.Future[Json]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    def send(self, kind: str, payload: Json, *, retry: int = 0) -> Delivered:
        """Begin to deliver; `kind` is the envelope's type (`events_api`, `interactive`, `slash_commands`).

        `retry`: the number of the first attempt that comes; those before it were lost on the way.
        """
        delivered = Delivered(kind, payload)
        self.log.append(delivered)
        copies = self.random.randint(*self.copies) if kind == "events_api" else 1
        for copy in range(copies):
            self.start(self._deliver(delivered, retry + copy))
        return delivered

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run in the background until closed."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, delivered: Delivered, copy: int) -> None:
        waits = (0.0, *self.redeliver_after) if delivered.kind == "events_api" else (0.0,)
        for attempt, wait in enumerate(waits):
            await self._clock.sleep(wait)
            delivered.attempts += 1
            retry = attempt + copy
            response = await self._attempt(delivered, retry)
            if response is not None:
                delivered.acknowledged, delivered.response = True, response
                break
        delivered.done.set()
        await self._changed()

    async def _attempt(self, delivered: Delivered, retry: int) -> Json | None:
        if self.http_url:
            return await self._post(delivered, retry)
        if not self.sockets:
            return None
        socket = self.pick(self.sockets)
        envelope_id = str(uuid4())
        envelope: Json = {
            "envelope_id": envelope_id,
            "type": delivered.kind,
            "payload": delivered.payload,
            "accepts_response_payload": delivered.kind != "events_api",
        }
        if delivered.kind == "events_api":
            envelope |= {"retry_attempt": retry, "retry_reason": "timeout" if retry else ""}
        acknowledged: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._waiting[envelope_id] = acknowledged
        try:
            await socket.send_str(json.dumps(envelope))
            return await asyncio.wait_for(acknowledged, self.ack_s)
        except (TimeoutError, ConnectionError):
            return None
        finally:
            del self._waiting[envelope_id]

    async def _post(self, delivered: Delivered, retry: int) -> Json | None:
        if delivered.kind == "events_api":
            body, content_type = json.dumps(delivered.payload), "application/json"
        elif delivered.kind == "interactive":
            body = urlencode({"payload": json.dumps(delivered.payload)})
            content_type = "application/x-www-form-urlencoded"
        else:
            body = urlencode(delivered.payload)
            content_type = "application/x-www-form-urlencoded"
        headers = self.signed(body) | {"Content-Type": content_type}
        if retry:
            headers |= {"x-slack-retry-num": str(retry), "x-slack-retry-reason": "http_timeout"}
        if self._session is None:
            self._session = aiohttp.ClientSession()
        try:
            timeout = aiohttp.ClientTimeout(total=self.ack_s)
            async with self._session.post(
                self.http_url, data=body, headers=headers, timeout=timeout
            ) as answer:
                text = await answer.text()
                if answer.status != 200:
                    return None
                return json.loads(text) if text.startswith("{") else {"text": text} if text else {}
        except (TimeoutError, aiohttp.ClientError):
            return None

    def signed(self, body: str, *, at: float | None = None) -> dict[str, str]:
        """The headers that prove that Slack sent `body`."""
        stamp = str(int(time.time() if at is None else at))
        digest = hmac.new(
            self.signing_secret.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256
        ).hexdigest()
        return {"x-slack-request-timestamp": stamp, "x-slack-signature": f"v0={digest}"}

    async def serve(self, socket: web.WebSocketResponse, app_id: str) -> None:
        """Talk to one Socket Mode connection until it ends; one too many ends at once."""
        if len(self.sockets) >= self.most_sockets:
            self.refused += 1
            await socket.send_json({"type": "disconnect", "reason": "too_many_websockets"})
            await socket.close()
            await self._changed()
            return
        await socket.send_json(
            {
                "type": "hello",
                "num_connections": len(self.sockets) + 1,
                "debug_info": {"host": "applink-fake", "approximate_connection_time": 18060},
                "connection_info": {"app_id": app_id},
            }
        )
        self.sockets.append(socket)
        self.opened += 1
        await self._changed()
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._acknowledge(json.loads(message.data))
        finally:
            if socket in self.sockets:
                self.sockets.remove(socket)
            await self._changed()

    def _acknowledge(self, answer: Json) -> None:
        waiting = self._waiting.get(answer.get("envelope_id", ""))
        if waiting is not None and not waiting.done():
            waiting.set_result(answer.get("payload") or {})

    async def refresh(self) -> None:
        """Ask every connection to come anew, as Slack does every few hours, and close it after a while."""
        for socket in list(self.sockets):
            self.sockets.remove(socket)
            await socket.send_json({"type": "disconnect", "reason": "refresh_requested"})
            self.start(self._close_later(socket))

    async def _close_later(self, socket: web.WebSocketResponse) -> None:
        await self._clock.sleep(10)
        await socket.close()

    async def drop(self) -> None:
        """Break every connection without a word."""
        for socket in list(self.sockets):
            self.sockets.remove(socket)
            transport = (
                socket._req.transport if socket._req is not None else None
            )  # no public way to cut the line
            if transport is not None:
                transport.abort()

    async def settled(self) -> None:
        """Wait until everything was acknowledged or given up."""
        for delivered in list(self.log):
            await delivered.done.wait()

    async def close(self) -> None:
        """End everything that is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for socket in list(self.sockets):
            await socket.close()
        if self._session is not None:
            await self._session.close()
