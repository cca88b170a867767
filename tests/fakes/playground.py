"""The playground with a scripted core behind it: enough of a bot to drive the room and its page."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry

from adapters.http import HttpServer
from adapters.web.memory import Memory, Remembered
from adapters.web.platform import WebPlatform
from bot.domain import (
    Addressed,
    Answer,
    Button,
    Event,
    Message,
    Order,
    Outcome,
    Pressed,
    Receipt,
    Said,
    SessionKey,
    Turn,
)
from bot.errors import ArchiveUnavailable
from bot.ports import Desk, Handler, Reply, Watermarks
from tests.fakes.posts import FakeJournal

WAIT_S = 10.0


class Marks(Watermarks):
    """Watermarks in memory, which outlive the platform that they are passed to."""

    def __init__(self) -> None:
        self.positions: dict[str, int] = {}
        self.moved = asyncio.Event()

    async def watermarks(self, platform: str, workspace: str) -> Mapping[str, int]:
        assert (platform, workspace) == ("web", "playground")
        return dict(self.positions)

    async def advance(self, platform: str, workspace: str, channel: str, position: int) -> None:
        self.positions[channel] = max(position, self.positions.get(channel, 0))
        self.moved.set()


class Recollection(Memory):
    """A memory that can be set, and whose hot part can be dropped."""

    def __init__(self) -> None:
        self.kept: dict[SessionKey, Remembered] = {}
        self.dropped: list[SessionKey] = []

    async def look(self, key: SessionKey) -> Remembered | None:
        return self.kept.get(key)

    async def drop(self, key: SessionKey) -> None:
        self.dropped.append(key)
        if key in self.kept:
            self.kept[key] = replace(self.kept[key], hot=None, hot_version=None, ttl_s=None)


Script = Callable[["Core", Reply, Said], Awaitable[None]]


async def echo(core: "Core", reply: Reply, said: Said) -> None:
    """Answer with what was said."""
    await reply.finish(Answer(f"You said: {said.message.text}"))


class Core(Handler, Desk):
    """Takes every event, and answers mentions, direct messages and the threads that it is in."""

    def __init__(self, script: Script = echo) -> None:
        self.script = script
        self.platform: WebPlatform | None = None
        self.events: list[Event] = []
        self.orders: list[Order] = []
        self.unavailable = False
        self.refused: asyncio.Queue[Event] = asyncio.Queue()
        self.stopped = asyncio.Event()
        self.memory = Recollection()
        self._sessions: dict[SessionKey, list[Message]] = {}
        self._known: set[tuple[SessionKey, int]] = set()
        self._turns: set[asyncio.Task[None]] = set()
        self._heard = asyncio.Condition()

    async def __call__(self, event: Event | Order) -> Receipt | str:  # type: ignore[override]  # both doors in one
        if isinstance(event, Order):
            self.orders.append(event)
            return f"You asked for: {event.words}"
        if self.unavailable:
            self.refused.put_nowait(event)
            raise ArchiveUnavailable("the archive is away")
        self.events.append(event)
        async with self._heard:
            self._heard.notify_all()
        if isinstance(event, Pressed) and event.button is Button.STOP:
            self.stopped.set()
        return self._take(event) if isinstance(event, Said) else Receipt.KEPT

    def _take(self, said: Said) -> Receipt:
        here = said.key in self._sessions
        wanted = said.addressed in {Addressed.MENTION, Addressed.DIRECT} or (
            here and said.addressed is Addressed.THREAD
        )
        known = (said.key, said.message.position)
        if not (wanted or here):
            return Receipt.IGNORED
        self._sessions.setdefault(said.key, []).append(said.message)
        if not (wanted and said.answer) or known in self._known:
            return Receipt.KEPT
        self._known.add(known)
        task = asyncio.create_task(self._answer(said))
        self._turns.add(task)
        task.add_done_callback(self._turns.discard)
        return Receipt.ANSWERING

    async def _answer(self, said: Said) -> None:
        assert self.platform is not None
        reply = await self.platform.open_reply(FakeJournal(turn_of(said)))
        await self.script(self, reply, said)
        count = 2 * len(self._sessions[said.key])
        self.memory.kept[said.key] = Remembered(
            count, count, hot=count, hot_version=count, ttl_s=3600.0, last_read="hit"
        )

    async def heard(self, wanted: Callable[[Event], bool]) -> Event:
        """The first event of that kind, as soon as it came."""

        def first() -> Event | None:
            return next((event for event in self.events if wanted(event)), None)

        async with asyncio.timeout(WAIT_S), self._heard:
            await self._heard.wait_for(lambda: first() is not None)
        found = first()
        assert found is not None
        return found

    async def end(self) -> None:
        for task in tuple(self._turns):
            task.cancel()
        await asyncio.gather(*self._turns, return_exceptions=True)


def turn_of(said: Said, id: int | None = None) -> Turn:
    """The turn that answers `said`."""
    position = said.message.position
    number = id if id is not None else position % 1_000_000_007
    return Turn(number, 1, said.key, (position,), cut=position, epoch=1, version=1, asker=said.message.author)


def now() -> datetime:
    return datetime.now(UTC)


@contextlib.asynccontextmanager
async def opened(
    folder: Path, core: Core, marks: Marks | None = None, *, clock: Callable[[], datetime] = now
) -> AsyncIterator[WebPlatform]:
    """The platform, open and with `core` behind it."""
    async with _running(
        WebPlatform(folder, marks or Marks(), memory=core.memory, now=clock), core
    ) as platform:
        yield platform


@contextlib.asynccontextmanager
async def served(
    folder: Path,
    core: Core,
    marks: Marks | None = None,
    *,
    token: str = "",
    port: int = 0,
    clock: Callable[[], datetime] = now,
) -> AsyncIterator[tuple[WebPlatform, HttpServer]]:
    """The same, with its pages on 127.0.0.1."""
    platform = WebPlatform(folder, marks or Marks(), memory=core.memory, token=token, now=clock)
    async with page_server(platform, port) as server, _running(platform, core):
        yield platform, server


@contextlib.asynccontextmanager
async def page_server(platform: WebPlatform, port: int = 0) -> AsyncIterator[HttpServer]:
    """The HTTP server, which opens before the platform and closes after it."""
    server = HttpServer("127.0.0.1", port, CollectorRegistry())
    server.mount(platform.routes())
    await server.open()
    try:
        yield server
    finally:
        await server.close()


@contextlib.asynccontextmanager
async def _running(platform: WebPlatform, core: Core) -> AsyncIterator[WebPlatform]:
    core.platform = platform
    await platform.open(core, core)
    try:
        yield platform
    finally:
        await platform.quiet()
        await core.end()
        await platform.close()


async def failing(core: Core, reply: Reply, said: Said) -> None:
    """Fail in a kind way."""
    await reply.finish(Answer("I could not reach my model. Try again in a moment.", Outcome.FAILED))
