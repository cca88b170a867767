"""What may be remembered for a few seconds: in Dragonfly, or in this process while it is away."""

import time
from collections.abc import Callable

from bot.recent import Recent
from storage.dragonfly import Away, Dragonfly
from storage.keys import Keys

MOST_ALONE = 1_000
"""What one process remembers by itself."""


class Memos:
    """The `Cache` port of the adapters. Never raises.

    What is remembered here while the server is away is looked at by this process alone, and only
    while the server is away: what others drop there is then dropped for us too.
    """

    def __init__(
        self, server: Dragonfly | None, archive_id: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._server = server
        self._keys = Keys(archive_id)
        self._clock = clock
        self._alone: Recent[str, tuple[str, float]] = Recent(MOST_ALONE)

    async def get(self, name: str) -> str | None:
        """What was put under `name`, while it is fresh; None otherwise."""
        if self._server is not None:
            try:
                value = await self._server.command("GET", self._keys.memo(name))
                return value.decode(errors="replace") if isinstance(value, bytes) else value
            except Away:
                pass
        value, until = self._alone.get(name) or ("", 0.0)
        return value if self._clock() < until else None

    async def put(self, name: str, value: str, ttl_s: float) -> None:
        """Remember `value` for so long."""
        if not await self._is_kept_there(name, value, ttl_s):
            self._alone.put(name, (value, self._clock() + ttl_s))

    async def _is_kept_there(self, name: str, value: str, ttl_s: float) -> bool:
        if self._server is None:
            return False
        ttl_ms = max(1, int(ttl_s * 1000))
        try:
            await self._server.command("SET", self._keys.memo(name), value, "PX", ttl_ms)
        except Away:
            return False
        return True

    async def drop(self, name: str) -> None:
        """Forget it now."""
        self._alone.drop(name)
        if self._server is not None:
            try:
                await self._server.command("DEL", self._keys.memo(name))
            except Away:
                return
