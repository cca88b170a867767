"""What the bot remembers of one thread, for the playground's side panel."""

from adapters.web.memory import Remembered
from bot.domain import SessionKey
from bot.ports import SummaryStore
from bot.windows import LastReads
from storage.archive.windows import Windows
from storage.hot import ObservedHotContext


class ThreadMemory:
    """Looks at archive and hot context as they are; renews and changes nothing by looking."""

    def __init__(
        self, windows: Windows, hot: ObservedHotContext, summaries: SummaryStore, reads: LastReads
    ) -> None:
        self._windows = windows
        self._hot = hot
        self._summaries = summaries
        self._reads = reads

    async def look(self, key: SessionKey) -> Remembered | None:
        """What is remembered of the thread; None if it is no session."""
        session = await self._windows.facts(key)
        if session is None or not session.joined:
            return None
        hot = await self._hot.peek(session.id)
        blocks = await self._summaries.blocks(session.id, session.fresh_from)
        return Remembered(
            version=session.version,
            archived=session.messages,
            hot=hot.messages if hot else None,
            hot_version=hot.version if hot else None,
            ttl_s=hot.ttl_s if hot else None,
            last_read=self._reads.of(session.id),
            whole=session.complete_from == 0,
            summary_blocks=len(blocks),
            summary="\n".join(block.text for block in blocks),
        )

    async def drop(self, key: SessionKey) -> None:
        """Forget the hot context; the archive is not touched."""
        session = await self._windows.facts(key)
        if session is not None:
            await self._hot.drop(session.id)
