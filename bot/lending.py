"""What was only read on a platform is given back after a while (`archive.mode: distributed`)."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

from bot.ports import HotContext

log = logging.getLogger(__name__)

LENT_S: Final = 3_600.0
"""How long an answer may still be given from what was read."""
KEPT_S: Final = 90 * 86_400.0
"""How long what was told is kept in distributed mode, unless `archive.retention` says otherwise."""
LOOK_S: Final = 60.0


class LentStore(Protocol):
    """Where it is written down what is lent, and until when. Steps may be repeated, by any process."""

    async def due(self, now: datetime) -> Sequence[int]:
        """Some sessions with something to be given back."""

    async def give_back(self, session_id: int, now: datetime) -> int:
        """Take some of what is due out of a session; how many messages, 0 when none is left."""


class Returning:
    """Gives back what is due."""

    def __init__(
        self, store: LentStore, hot: HotContext, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._store = store
        self._hot = hot
        self._now = now

    async def working(self) -> None:
        """For ever, whatever the mode is now: it may have been another one."""
        while True:
            try:
                await self.work()
            except Exception as error:  # noqa: BLE001 - nobody would begin the loop again
                log.warning("What was lent is given back later: %s", error, extra={"event": "lending.waits"})
            await asyncio.sleep(LOOK_S)

    async def work(self) -> int:
        """Give back until nothing is due; how many messages."""
        taken, now = 0, self._now()
        while sessions := await self._store.due(now):
            before = taken
            for session in sessions:
                while some := await self._store.give_back(session, now):
                    taken += some
                await self._hot.drop(session)
            if taken == before:
                break
        return taken
