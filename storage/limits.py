"""Rate limits for people and workspaces: counted in Dragonfly, or in this process while it is away."""

import time

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

from storage.dragonfly import Away, Dragonfly, load_script
from storage.keys import Keys

NONE = "none"


class RateLimits:
    """The `Limiter` port: so much for one person, so much for one workspace.

    What is counted here while the server is away is not carried over: limits are soft.
    """

    def __init__(self, server: Dragonfly | None, archive_id: str, per_user: str, per_workspace: str) -> None:
        """Rates as `limits` reads them (`20/minute`), or `none`."""
        self._server = server
        self._keys = Keys(archive_id)
        self._own = FixedWindowRateLimiter(MemoryStorage())
        self._per_user = _item(per_user)
        self._per_workspace = _item(per_workspace)

    async def wait_s(self, platform: str, workspace: str, user: str) -> float:
        """0, and the request is counted; or the seconds until one more is allowed."""
        place = f"{platform}:{workspace}"
        items = [
            (item, who)
            for item, who in ((self._per_user, user), (self._per_workspace, ""))
            if item is not None
        ]
        if not items:
            return 0.0
        if self._server is not None:
            try:
                return await self._shared(self._server, place, items)
            except Away:
                pass
        return await self._alone(place, items)

    async def _shared(self, server: Dragonfly, place: str, items: list[tuple[RateLimitItem, str]]) -> float:
        """Counted with all other processes, in one round trip."""
        keys = [self._keys.count(place, who) for _, who in items]
        windows = [number for item, _ in items for number in (item.amount, item.get_expiry() * 1000)]
        return int(await server.run(load_script("count"), keys, *windows)) / 1000

    async def _alone(self, place: str, items: list[tuple[RateLimitItem, str]]) -> float:
        for item, who in items:
            if not await self._own.hit(item, place, who):
                window = await self._own.get_window_stats(item, place, who)
                return max(1.0, window.reset_time - time.time())
        return 0.0


def _item(rate: str) -> RateLimitItem | None:
    return None if rate == NONE else parse(rate)
