"""Servers for the tests of the hot context.

`hot_url` is the embedded Redis, and the server named in `THREADFLY_TEST_HOT_URL` where there is one.
Such a server is for tests alone: they empty it.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from bot.domain import Author, Message, Window
from storage.embedded import EmbeddedServer

NAMED_URL = os.environ.get("THREADFLY_TEST_HOT_URL", "")

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
FIRST_POSITION = 1_792_000_000_000_000_000
"""As large as Discord's, past what a Lua number can tell apart."""


@pytest.fixture(name="embedded_url", scope="session")
def embedded_url_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = EmbeddedServer(tmp_path_factory.mktemp("embedded"))
    with asyncio.Runner() as runner:
        assert runner.run(server.open())
        yield server.url
        runner.run(server.close())


@pytest.fixture(name="hot_url", params=["embedded", *(["named"] if NAMED_URL else [])])
def hot_url_fixture(request: pytest.FixtureRequest, embedded_url: str) -> str:
    return embedded_url if request.param == "embedded" else NAMED_URL


def raw_client(url: str, **options: Any) -> Redis:
    """A plain client, to look behind the context's back."""
    return Redis.from_url(url, protocol=2, driver_info=None, **options)


async def send(client: Redis, *command: str | bytes | int) -> Any:
    """One command, whatever it is."""
    return await client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py has no types here


def new_archive_id() -> str:
    return uuid4().hex[:8]


def message(number: int, text: str = "", **more: Any) -> Message:
    """The message at place `number` of a session; neighbours differ in the last digit alone."""
    author = Author(f"U{number % 3}", f"Ann {number % 3}")
    sent_at = NOON + timedelta(microseconds=number)
    return Message(FIRST_POSITION + number, author, text or f"message {number}", sent_at, **more)


def messages(first: int, last: int) -> tuple[Message, ...]:
    return tuple(message(number) for number in range(first, last + 1))


def window_of(said: tuple[Message, ...], version: int, limit: int = 100) -> Window:
    """What the archive would say: the reference."""
    return Window(version, said[-limit:], whole=len(said) <= limit)


async def until(happens: Callable[[], Awaitable[bool]], timeout_s: float = 20) -> None:
    """Poll until `happens`, where nothing in this process tells."""
    async with asyncio.timeout(timeout_s):
        while not await happens():  # noqa: ASYNC110 -- another process does it
            await asyncio.sleep(0.01)
