"""Hands what is said in one channel of the room to the core, and never skips anything.

Live and after an absence it does the same: it reads the room's own record from where it stopped,
so a message that the process died over is found again, and there is no gap to fill.
"""

import asyncio
import logging

from adapters.web.cast import Kind
from adapters.web.ledger import Post
from adapters.web.news import News, Posted, RoomUnavailable
from adapters.web.room import Room
from adapters.web.translate import PLATFORM, WORKSPACE, Told, events_of
from bot.errors import ArchiveUnavailable
from bot.ports import Handler, Watermarks

log = logging.getLogger(__name__)

PAGE = 100
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 15.0


class Pump:
    """One channel's way into the core."""

    def __init__(self, room: Room, channel: str, done: int, handler: Handler, watermarks: Watermarks) -> None:
        self.trouble = ""
        """One sentence while the core can't take anything in."""
        self._room = room
        self._channel = channel
        self._kept = done
        """The watermark: a stamp of the room, and everything that changed up to it is archived."""
        self._done = done
        self._told = done
        """The core was told of every post up to here; of newer ones perhaps not yet, even where it is
        past their last change: an edited post is read once, at the place of its edit."""
        self._handler = handler
        self._watermarks = watermarks
        self._news = asyncio.Event()
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._unlisten = room.listen(self._hear)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"playground #{self._channel}")

    async def stop(self) -> None:
        """End after what is being handed over right now."""
        self._unlisten()
        self._ended.set()
        self._news.set()
        if self._task is not None:
            await self._task

    def _hear(self, news: News) -> None:
        if isinstance(news, Posted) and news.post.channel == self._channel:
            self._news.set()

    async def _run(self) -> None:
        wait = FIRST_WAIT_S
        while not self._ended.is_set():
            try:
                await self._hand_over()
                await self._keep_watermark()
            except (ArchiveUnavailable, RoomUnavailable) as exc:
                self.trouble = f"Messages of the playground wait: {exc}"
                about = {"event": "pump_waits", "channel": self._channel}
                log.warning("messages of the playground wait: %s", exc, extra=about)
                await self._pause(wait)
                wait = min(wait * 2, LONGEST_WAIT_S)
            else:
                self.trouble, wait = "", FIRST_WAIT_S
                await self._news.wait()

    async def _hand_over(self) -> None:
        """Deliver everything that changed."""
        while not self._ended.is_set():
            self._news.clear()
            page = await self._room.news((self._channel,), self._done, PAGE)
            for post in page:
                if self._ended.is_set():
                    return
                await self._deliver(post, new=post.position > self._told)
                self._done = post.changed
            if len(page) < PAGE:
                self._told = self._done
                return

    async def _deliver(self, post: Post, *, new: bool) -> None:
        first = post.root is None and not await self._in_thread_before(post)
        age = self._room.now() - Room.time_of(post.position)
        for event in events_of(post, self._room.cast, new=new, first=first, age=age):
            await self._give(event, post)

    async def _in_thread_before(self, post: Post) -> bool:
        direct = self._room.cast.channels[self._channel].kind is Kind.DIRECT
        return direct and await self._room.earlier(post.channel, post.position)

    async def _give(self, event: Told, post: Post) -> None:
        try:
            await self._handler(event)
        except ArchiveUnavailable:
            raise
        except Exception as exc:  # noqa: BLE001 (one event that fails must not silence its channel)
            where = {"event": "event_failed", "session": str(event.key), "message": post.position}
            log.error("an event of the playground failed: %s", type(exc).__name__, extra=where)  # noqa: TRY400 (a traceback quotes text)

    async def _keep_watermark(self) -> None:
        if self._done > self._kept and not self._ended.is_set():
            await self._watermarks.advance(PLATFORM, WORKSPACE, self._channel, self._done)
            self._kept = self._done

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            return
