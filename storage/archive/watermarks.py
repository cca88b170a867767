"""How far each channel is archived without a gap."""

from collections.abc import Mapping, Sequence
from typing import Final

import sqlalchemy as sa

from storage.archive.statements import OnConflict
from storage.database import Database
from storage.tables import sessions, watermarks

_ADVANCE: Final = OnConflict(
    lambda insert: (moved := insert(watermarks)).on_conflict_do_update(
        index_elements=["platform", "workspace", "channel"],
        set_={"position": moved.excluded.position},
        where=watermarks.c.position < moved.excluded.position,
    )
)


class SqlWatermarks:
    """The `Watermarks` port in SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def watermarks(self, platform: str, workspace: str) -> Mapping[str, int]:
        """Channel to position, for every channel of the workspace that has one."""
        query = sa.select(watermarks.c.channel, watermarks.c.position).where(
            watermarks.c.platform == platform, watermarks.c.workspace == workspace
        )
        return await self._database.read(lambda c: {row.channel: row.position for row in c.execute(query)})

    async def threads(self, platform: str, workspace: str, channel: str, most: int) -> Sequence[str]:
        """The threads of a channel that were active last: the newest `most` of its sessions."""
        there = (sessions.c.platform == platform, sessions.c.workspace == workspace)
        query = (
            sa.select(sessions.c.thread)
            .where(*there, sessions.c.channel == channel)
            .order_by(sessions.c.active_at.desc())
            .limit(most)
        )
        return await self._database.read(lambda c: c.execute(query).scalars().all())

    async def lately(self, platform: str, workspace: str, most: int) -> Sequence[tuple[str, str]]:
        """Channel and thread of the sessions that were active last in a workspace, the newest first."""
        query = (
            sa.select(sessions.c.channel, sessions.c.thread)
            .where(sessions.c.platform == platform, sessions.c.workspace == workspace)
            .order_by(sessions.c.active_at.desc())
            .limit(most)
        )
        return await self._database.read(lambda c: [(row.channel, row.thread) for row in c.execute(query)])

    async def workspaces(self, platform: str) -> Sequence[str]:
        """Every workspace that has a watermark."""
        query = sa.select(watermarks.c.workspace).where(watermarks.c.platform == platform).distinct()
        return await self._database.read(lambda c: c.execute(query).scalars().all())

    async def advance(self, platform: str, workspace: str, channel: str, position: int) -> None:
        """Everything up to `position` is archived. Never moves back."""
        values = {"platform": platform, "workspace": workspace, "channel": channel, "position": position}
        await self._database.write(lambda c: c.execute(_ADVANCE(c), values).rowcount)
