"""What Slack told less than a minute ago, kept where all processes find it."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from adapters.cache import Cache

FRESH_S = 55.0
"""From the moment when the first call for it began; nothing is believed for 60 s."""


class Fresh:
    """Remembers values that say under `at` when they were asked for, in seconds since 1970."""

    def __init__(self, cache: Cache, now: Callable[[], float] = time.time) -> None:
        self._cache = cache
        self.now = now
        self.changes = 0
        """Counts what events told: what was read across one is not remembered."""

    async def get(self, name: str) -> dict[str, Any]:
        """What is still fresh, also by the clock of who remembers it; {} if there is nothing."""
        try:
            value = json.loads(await self._cache.get(name) or "{}")
            return value if 0 <= self.now() - value["at"] < FRESH_S else {}
        except (ValueError, KeyError, TypeError):
            return {}

    async def put(self, name: str, value: Mapping[str, Any], changes: int) -> None:
        """Remember it, unless an event came since `changes` was read."""
        left_s = FRESH_S - (self.now() - value["at"])
        if changes == self.changes and left_s > 0:
            await self._cache.put(name, json.dumps(value, ensure_ascii=False), left_s)

    async def drop(self, name: str) -> None:
        """An event tells that it is wrong."""
        self.changes += 1
        await self._cache.drop(name)
