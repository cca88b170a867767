"""How long to wait: before a session is opened, and before a broken connection is tried again."""

import asyncio
import logging
import random
import time

import discord.client
import discord.shard
from discord.backoff import ExponentialBackoff

from adapters.discord.rest import Rest
from adapters.posts import Throttled
from bot.errors import PlatformError

log = logging.getLogger(__name__)

IDENTIFY_PAUSE_S = 5.0
"""Discord's own limit for sessions that are opened one after the other; doubled while they don't last."""
LONGEST_PAUSE_S = 900.0
"""Before a session is opened; also before a token is tried again that was good once."""
RECONNECT_S = 60.0
"""Longest pause of discord.py's between two tries to connect: its own grow to 17 minutes."""
STEADY_S = 600.0
"""A connection that lasted so long was a good one: the next pause is short again."""
NO_LIMIT = 1_000
"""Identifies a day, where nobody tells how many are left."""
RESERVE = 10
"""Identifies of the day that are left alone: past the last one Discord resets the token."""


class Identifies:
    """Sees to it that sessions are not opened in a loop: 1,000 a day, then Discord resets the token."""

    def __init__(self, rest: Rest, pause_s: float = IDENTIFY_PAUSE_S) -> None:
        self._rest = rest
        self._pause_s = pause_s
        self._in_a_row: dict[int, int] = {}
        self._last: dict[int, float] = {}

    async def wait(self, shard: int) -> None:
        """Wait until the shard may identify. What is left of a wait that was cut off comes next time."""
        now = time.monotonic()
        last = self._last.get(shard)
        if last is not None:
            pause = min(LONGEST_PAUSE_S, self._pause_s * 2 ** min(20, self._in_a_row.get(shard, 0)))
            await asyncio.sleep(last + pause * random.uniform(1.0, 1.2) - now)
        await self._budget()
        short = last is not None and now - last < STEADY_S
        self._in_a_row[shard] = self._in_a_row.get(shard, 0) + 1 if short else 0
        self._last[shard] = time.monotonic()

    async def _budget(self) -> None:
        while True:
            try:
                told = await self._rest.call("GET", "/gateway/bot")
            except (PlatformError, Throttled):
                return
            limit = told.get("session_start_limit") or {}
            if limit.get("remaining", NO_LIMIT) > RESERVE or limit.get("total", NO_LIMIT) <= RESERVE:
                return
            wait = min(LONGEST_PAUSE_S, limit.get("reset_after", 0) / 1000 or LONGEST_PAUSE_S)
            log.error(
                "No new Discord session until %d s from now: the day's are used up.",
                wait,
                extra={"event": "identify_budget"},
            )
            await asyncio.sleep(wait)


class Backoff(ExponentialBackoff[bool]):
    """discord.py's, which after an hour without a network would stay away for many minutes more."""

    def delay(self) -> float:
        return min(super().delay(), random.uniform(0.5, 1.0) * RECONNECT_S)


def be_patient() -> None:
    """Let every client of the process wait by `Backoff`: discord.py takes no other as an argument."""
    for module in (discord.client, discord.shard):
        setattr(module, ExponentialBackoff.__name__, Backoff)
