"""The window of each session in Dragonfly, or nowhere. Disposable: no truth lives here.

A window is one list, one element a message, so that eviction takes all of it or nothing. The last
element carries the version that the window shows; scripts change list and version together.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from types import MappingProxyType
from typing import Protocol
from weakref import WeakValueDictionary

from bot.domain import Message, Window
from bot.ports import HotContext
from storage.codec import decode, digits, encode
from storage.dragonfly import Away, Dragonfly, load_script
from storage.keys import Keys

WINDOW_LIMIT = 100
TTL_S = 3600.0


class Found(StrEnum):
    """What a read met."""

    HIT = "hit"
    ABSENT = "absent"
    """Never seeded, expired, evicted, flushed."""
    STALE = "stale"
    """Shows another version, or is not readable by this release."""
    AWAY = "away"
    """The server did not answer, or there is none."""


@dataclass(frozen=True, slots=True)
class Look:
    """What came of one read."""

    found: Found
    window: Window | None = None


@dataclass(frozen=True, slots=True)
class HotState:
    """What is kept of one session."""

    version: int
    messages: int
    ttl_s: float
    """Seconds until it is forgotten if nobody uses it."""


class ObservedHotContext(HotContext, Protocol):
    """A hot context that can be watched and closed, which the core has no need for."""

    @property
    def totals(self) -> Mapping[Found, int]:
        """How many reads met what, since the start."""

    async def look(self, session_id: int, version: int, news: Sequence[Message] = ()) -> Look:
        """As `read`, and says what was found."""

    async def peek(self, session_id: int) -> HotState | None:
        """What is kept of the session, without renewing it; None for nothing, or when away."""

    async def ping(self) -> str:
        """Ask the server: "" if it answers, else a sentence for operators. Never raises."""

    def ailing(self) -> str:
        """One sentence while the server is away, else "". No I/O."""

    async def aclose(self) -> None:
        """Let go of the server. Never raises."""


class DragonflyContext:
    """Windows in a Redis-compatible server. Nothing raises; whatever goes wrong is a miss."""

    def __init__(
        self, server: Dragonfly, archive_id: str, *, limit: int = WINDOW_LIMIT, ttl_s: float = TTL_S
    ) -> None:
        """`limit`: most messages of a window. `ttl_s`: how long one is kept that nobody uses."""
        if limit < 1 or ttl_s <= 0:
            raise ValueError("a window needs room for a message, and time to live")
        self._server = server
        self._keys = Keys(archive_id)
        self._limit = limit
        self._ttl_ms = max(1, round(ttl_s * 1000))
        self._totals: Counter[Found] = Counter(dict.fromkeys(Found, 0))
        self._orders: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    @property
    def totals(self) -> Mapping[Found, int]:
        return MappingProxyType(self._totals)

    async def read(self, session_id: int, version: int, news: Sequence[Message] = ()) -> Window | None:
        return (await self.look(session_id, version, news)).window

    async def look(self, session_id: int, version: int, news: Sequence[Message] = ()) -> Look:
        look = await self._look(session_id, version, news)
        self._totals[look.found] += 1
        return look

    async def append(self, session_id: int, version: int, news: Sequence[Message]) -> None:
        if not news:
            return
        with suppress(Away, ValueError):
            await self._advance(session_id, version, news, wanted=False)

    async def seed(self, session_id: int, window: Window) -> None:
        newest = window.messages[-self._limit :]
        if not newest or window.version < 1 or not _ascending(window.messages):
            return
        whole = window.whole and len(newest) == len(window.messages)
        with suppress(Away, ValueError):
            elements = encode(newest, window.version, whole=whole)
            version = digits(window.version)
            async with self._order(session_id):
                await self._server.run(
                    load_script("seed"), self._key(session_id), version, self._ttl_ms, *elements
                )

    async def drop(self, session_id: int) -> None:
        with suppress(Away):
            async with self._order(session_id):
                await self._server.command("DEL", self._key(session_id))

    async def peek(self, session_id: int) -> HotState | None:
        try:
            kept = await self._server.run(load_script("peek"), self._key(session_id))
        except Away:
            return None
        if kept is None:
            return None
        version, messages, ttl_ms = kept
        return HotState(int(version), messages, ttl_ms / 1000)

    async def ping(self) -> str:
        return await self._server.ping()

    def ailing(self) -> str:
        return self._server.ailing()

    async def aclose(self) -> None:
        await self._server.aclose()

    async def _look(self, session_id: int, version: int, news: Sequence[Message]) -> Look:
        try:
            stored = await self._advance(session_id, version, news, wanted=True)
        except Away:
            return Look(Found.AWAY)
        except ValueError:
            return Look(Found.STALE)
        if stored is None:
            return Look(Found.ABSENT)
        decoded = decode(stored) if isinstance(stored, bytes) else None
        if decoded is None:
            return Look(Found.STALE)
        return Look(Found.HIT, Window(version, decoded.messages, decoded.whole))

    async def _advance(
        self, session_id: int, version: int, news: Sequence[Message], *, wanted: bool
    ) -> bytes | int | None:
        """Append what fits; None for no window, 0 for one at another version, else 1 or the window."""
        if version < 1:
            return None
        first, elements = self._written(version, news)
        async with self._order(session_id):
            answer: bytes | int | None = await self._server.run(
                load_script("read"),
                self._key(session_id),
                digits(version),
                digits(version - 1),
                self._ttl_ms,
                self._limit,
                int(wanted),
                first,
                *elements,
            )
        return answer

    def _order(self, session_id: int) -> asyncio.Lock:
        """Held by one command of a session at a time, in the order in which they were asked for.

        Each has a connection of its own. A question that is appended would else be overtaken by the turn
        that answers it, and two versions at once can't be appended: the window would be stale.
        """
        return self._orders.setdefault(session_id, asyncio.Lock())

    def _written(self, version: int, news: Sequence[Message]) -> tuple[str, list[bytes]]:
        """Position of the first of the news, and the newest of them; nothing where they can't be appended.

        Version 1 has none before it: zeros stand for a write that was not finished.
        """
        if not news or version == 1 or not _ascending(news):
            return "", []
        try:
            return digits(news[0].position), encode(news[-self._limit :], version)
        except ValueError:
            return "", []

    def _key(self, session_id: int) -> str:
        return self._keys.window(session_id, self._limit)


class NoContext:
    """No hot context: every read misses, and the bot works from SQL alone."""

    def __init__(self) -> None:
        self._misses = 0

    @property
    def totals(self) -> Mapping[Found, int]:
        return MappingProxyType({found: self._misses if found is Found.AWAY else 0 for found in Found})

    async def read(self, session_id: int, version: int, news: Sequence[Message] = ()) -> Window | None:
        return (await self.look(session_id, version, news)).window

    async def look(self, session_id: int, version: int, news: Sequence[Message] = ()) -> Look:  # noqa: ARG002 -- the port's
        self._misses += 1
        return Look(Found.AWAY)

    async def append(self, session_id: int, version: int, news: Sequence[Message]) -> None:
        """Keep nothing."""

    async def seed(self, session_id: int, window: Window) -> None:
        """Keep nothing."""

    async def drop(self, session_id: int) -> None:
        """Nothing is kept."""

    async def peek(self, session_id: int) -> HotState | None:  # noqa: ARG002 -- the port's
        return None

    async def ping(self) -> str:
        return ""

    def ailing(self) -> str:
        return ""

    async def aclose(self) -> None:
        """Nothing is open."""


def _ascending(messages: Sequence[Message]) -> bool:
    return all(one.position < other.position for one, other in pairwise(messages))
