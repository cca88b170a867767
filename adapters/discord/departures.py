"""Guilds that the bot was taken out of: heard of, or found out when they are missing later."""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from adapters.discord import events
from adapters.discord.places import PLATFORM
from bot.domain import Left, Receipt
from bot.errors import PlatformError, StoreError
from bot.ports import Watermarks

log = logging.getLogger(__name__)

LEFT_MARK = ":left"
"""Among a guild's watermarks: when it was found out that the bot is not there; newer ones were made since."""


class Departures:
    """Tells the core of each, and the log once."""

    def __init__(self, watermarks: Watermarks, tell: Callable[[Left], Awaitable[Receipt]]) -> None:
        self._watermarks = watermarks
        self._tell = tell
        self._known: set[int] = set()
        """Guilds that this process was in."""

    async def counted(self, here: frozenset[int], shard: int, shards: int) -> None:
        """These are all guilds of a shard: whichever else is known was left while nobody listened."""
        try:
            archived = await self._watermarks.workspaces(PLATFORM)
            known = self._known | {int(workspace) for workspace in archived if workspace.isdecimal()}
            for guild in known - here:
                if (guild >> 22) % shards == shard:
                    await self._missed(guild)
        except (PlatformError, StoreError) as error:
            log.info(
                "it was not found out which servers were left; the next session does",
                extra={"event": "left_unknown", "error": type(error).__name__},
            )
        self._known |= here

    async def _missed(self, guild: int) -> None:
        marks = dict(await self._watermarks.watermarks(PLATFORM, str(guild)))
        told = marks.pop(LEFT_MARK, 0)
        if guild in self._known or not told or told < max(marks.values(), default=0):
            await self.left(guild)

    async def left(self, guild: int) -> None:
        """The bot is not there any more. Raises `StoreError`, and `PlatformUnavailable` at the end."""
        workspace = str(guild)
        log.warning(
            "The bot is no longer in a server. What was said there is kept, and shown to nobody; "
            "`threadfly forget --workspace discord:%s` takes it away.",
            workspace,
            extra={"event": "guild_left", "workspace": workspace},
        )
        self._known.discard(guild)
        await self._tell(Left(PLATFORM, workspace))
        marks = await self._watermarks.watermarks(PLATFORM, workspace)
        now = max([events.snowflake(datetime.now(UTC)), *marks.values()])
        await self._watermarks.advance(PLATFORM, workspace, LEFT_MARK, now)
