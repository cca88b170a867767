"""Rate limits for people and workspaces: counted in Dragonfly, or in this process while it is away."""

import time
from typing import Any

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, Storage
from limits.aio.strategies import FixedWindowRateLimiter

from storage.dragonfly import Away, Dragonfly, load_script
from storage.keys import Keys

NONE = "none"


class SharedCounts(Storage):
    """The storage that `limits` counts in, over our connection with its short timeouts and breaker.

    (Its own Redis storage would wait for a server that hangs, and its `redis` extra refuses redis 8.)
    What is counted here while the server is away is not carried over: limits are soft.
    """

    STORAGE_SCHEME = None

    def __init__(self, server: Dragonfly | None, keys: Keys) -> None:
        super().__init__()
        self._server = server
        self._keys = keys
        self._own = MemoryStorage()

    @property
    def base_exceptions(self) -> type[Exception]:
        return Away

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count one more, in a window of `expiry` seconds from the first; how many that makes."""
        if self._server is not None:
            try:
                name = self._keys.count(key)
                return int(await self._server.run(load_script("count"), name, int(expiry * 1000)))
            except Away:
                pass
        return await self._own.incr(key, expiry, amount)

    async def get(self, key: str) -> int:
        """How many were counted in this window."""
        return int(await self._ask("GET", key) or await self._own.get(key))

    async def get_expiry(self, key: str) -> float:
        """When this window ends: seconds since 1970."""
        left_ms = await self._ask("PTTL", key)
        if left_ms is not None and int(left_ms) > 0:
            return time.time() + int(left_ms) / 1000
        return await self._own.get_expiry(key)

    async def check(self) -> bool:
        """Counting always works."""
        return True

    async def reset(self) -> int | None:
        """Nothing is ever reset at once: windows end by themselves."""
        return None

    async def clear(self, key: str) -> None:
        """Begin a new window."""
        await self._ask("DEL", key)
        await self._own.clear(key)

    async def _ask(self, command: str, key: str) -> Any:
        if self._server is None:
            return None
        try:
            return await self._server.command(command, self._keys.count(key))
        except Away:
            return None


class RateLimits:
    """The `Limiter` port: so much for one person, so much for one workspace."""

    def __init__(self, server: Dragonfly | None, archive_id: str, per_user: str, per_workspace: str) -> None:
        """Rates as `limits` reads them (`20/minute`), or `none`."""
        self._limiter = FixedWindowRateLimiter(SharedCounts(server, Keys(archive_id)))
        self._per_user = _item(per_user)
        self._per_workspace = _item(per_workspace)

    async def wait_s(self, platform: str, workspace: str, user: str) -> float:
        """0, and the request is counted; or the seconds until one more is allowed."""
        for item, who in ((self._per_user, user), (self._per_workspace, "")):
            if item is None:
                continue
            name = (platform, workspace, who)
            if not await self._limiter.hit(item, *name):
                window = await self._limiter.get_window_stats(item, *name)
                return max(1.0, window.reset_time - time.time())
        return 0.0


def _item(rate: str) -> RateLimitItem | None:
    return None if rate == NONE else parse(rate)
