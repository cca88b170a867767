"""What the side panel "What the bot remembers" is told. Bootstrap passes the implementation."""

from dataclasses import dataclass
from typing import Protocol

from bot.domain import SessionKey


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is kept of one thread at this moment."""

    version: int
    """`session.version` in the archive."""
    archived: int
    """Messages in the archive, tombstones not counted."""
    hot: int | None = None
    """Messages in the hot context; None when nothing is hot."""
    hot_version: int | None = None
    """The version that the hot context shows; another than `version` is not used."""
    ttl_s: float | None = None
    """Seconds until the hot context is forgotten; None when nothing is hot."""
    last_read: str = ""
    """`hit` or `miss`: how this process last read the window; "" when it has not."""
    whole: bool = True
    """The archive begins with the thread's first message."""
    summary_blocks: int = 0
    summary: str = ""
    """What older messages were summed up to; "" while everything fits."""


class Memory(Protocol):
    """The bot's memory of a thread, to look at and to drop."""

    async def look(self, key: SessionKey) -> Remembered | None:
        """What is remembered; None when the bot takes no part in the thread. Renews no TTL."""

    async def drop(self, key: SessionKey) -> None:
        """Forget the hot context. The archive is not touched."""
