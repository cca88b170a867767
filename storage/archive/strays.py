"""Deletions of messages that were never ours: remembered for days only, in case the message comes yet."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Final

import sqlalchemy as sa

from storage.database import Database
from storage.tables import tombstones

log = logging.getLogger(__name__)

STRAY_DAYS = 3
"""How long a deletion outside of any session is remembered: longer than Slack delivers again (24 h)."""
STEP = 500
"""Rows of one step."""
EVERY_S = 3600.0

_STRAYS: Final = (
    sa.select(*tombstones.primary_key.columns)
    .where(~tombstones.c.ours, tombstones.c.made_at < sa.bindparam("before", type_=tombstones.c.made_at.type))
    .limit(STEP)
)
_FORGET: Final = sa.delete(tombstones).where(
    sa.tuple_(*tombstones.primary_key.columns).in_(sa.bindparam("strays", expanding=True))
)


class StrayTombstones:
    """Forgets deletions of messages that were never ours."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def step(self, now: datetime) -> int:
        """Forget some; how many."""
        before = now - timedelta(days=STRAY_DAYS)
        return await self._database.write(lambda c: _forget(c, before))

    async def forgetting(self) -> None:
        """For ever."""
        while True:
            try:
                while await self.step(datetime.now(UTC)) == STEP:
                    pass
            except Exception as error:  # noqa: BLE001 - nobody would begin the loop again
                kind = type(error).__name__
                log.warning("Old deletions are kept for now: %s", kind, extra={"event": "strays.kept"})
            await asyncio.sleep(EVERY_S)


def _forget(c: sa.Connection, before: datetime) -> int:
    strays = [tuple(row) for row in c.execute(_STRAYS, {"before": before})]
    if strays:
        c.execute(_FORGET, {"strays": strays})
    return len(strays)
