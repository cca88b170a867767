"""Loads the window of a turn: hot if it is current, else from SQL, which then seeds the hot one."""

from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter

from bot.domain import Closed, Message, Turn, Window
from bot.observing import Observer
from bot.ports import HotContext, WindowStore
from bot.recent import Recent

FIRST = 1
"""The version of a session that was changed once: it was made by its first message."""
LAST_READS = 256
"""How many sessions' last reads are known, for whoever looks."""
MOST_FETCHED = 10
"""Most questions outside of the window that are read one by one; the newest count."""


class LastReads:
    """Whether the last read of a session was a hit: of the newest few sessions, to be looked at."""

    def __init__(self) -> None:
        self._hits: Recent[int, bool] = Recent(LAST_READS)

    def note(self, session_id: int, hit: bool) -> None:
        """Remember a read."""
        self._hits.put(session_id, hit)

    def of(self, session_id: int) -> str:
        """`hit`, `miss`, or "" when there was none lately."""
        hit = self._hits.get(session_id)
        return "" if hit is None else "hit" if hit else "miss"


class WindowLoader:
    """Gives turns their windows: exactly the newest `limit` messages up to the turn's cut."""

    def __init__(
        self, hot: HotContext, store: WindowStore, limit: int, observer: Observer, reads: "LastReads"
    ) -> None:
        self._hot = hot
        self._store = store
        self._limit = limit
        self._observer = observer
        self._reads = reads

    async def load(self, turn: Turn, news: Sequence[Message]) -> Window:
        """The window of `turn`. `news` raised the session to the turn's version, if anything did.

        The message that made the session is its whole window: nothing is there to be read. What is hot
        of it begins when it is answered (`keep`).
        """
        if turn.version == FIRST and len(news) == 1:
            return Window(FIRST, tuple(news), whole=True)
        hot = await self._hot.read(turn.session_id, turn.version, news)
        self._observer.hot_read(hot is not None)
        self._reads.note(turn.session_id, hot is not None)
        if hot is not None and (fitting := self._up_to(hot, turn.cut)):
            return fitting
        return await self.reload(turn)

    async def keep(self, turn: Turn, asked: Sequence[Message], closed: Closed) -> None:
        """Bring the hot window up to where `turn` was closed; `asked` raised the session to its version."""
        said = (closed.reply,) if closed.reply else ()
        if len(asked) == len(said) == turn.version == FIRST and closed.version == FIRST + 1:
            whole = Window(closed.version, (*asked, *said), whole=True)
            await self._hot.seed(turn.session_id, whole)
        else:
            await self._hot.append(turn.session_id, closed.version, said)

    async def reload(self, turn: Turn) -> Window:
        """The window from SQL; the hot context is made to show it."""
        newest = await self._store.newest(turn.session_id, self._limit)
        await self._hot.seed(turn.session_id, newest)
        fitting = self._up_to(newest, turn.cut)
        return fitting or await self._store.newest(turn.session_id, self._limit, turn.cut)

    async def with_questions(self, turn: Turn, window: Window) -> Window:
        """`window`, and what of the questions is outside: asked late, or before the context began afresh."""
        there = {message.position for message in window.messages}
        missing = [place for place in turn.asked if place not in there][-MOST_FETCHED:]
        if not missing:
            return window
        fetched = [await self._store.between(turn.session_id, at - 1, at + 1, 1) for at in missing]
        messages = [*window.messages, *(message for found in fetched for message in found)]
        return replace(window, messages=tuple(sorted(messages, key=attrgetter("position"))))

    async def is_asked(self, turn: Turn) -> bool:
        """Whether any of the turn's newest questions is still there."""
        for at in reversed(turn.asked[-MOST_FETCHED:]):
            if await self._store.between(turn.session_id, at - 1, at + 1, 1):
                return True
        return False

    def _up_to(self, window: Window, cut: int) -> Window | None:
        """The window without what is newer than `cut`; None if that leaves too few of a longer thread."""
        if not window.messages or window.messages[-1].position <= cut:
            return window
        kept = tuple(message for message in window.messages if message.position <= cut)
        return replace(window, messages=kept) if window.whole else None
