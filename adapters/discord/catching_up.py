"""Fetches what was said while nobody listened.

A watermark says how far a channel or thread is archived. It moves here alone, to messages that were
read on Discord itself and handed to the core: what happens live never moves it past a gap.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import discord

from adapters.discord.client import Gateway, ended
from adapters.discord.events import sent_at, snowflake
from adapters.discord.places import DIRECT, FORUM, MEDIA, PLATFORM, TEXT, Places, Spot
from adapters.discord.rereading import Rereading, Stretch
from adapters.discord.rest import Rest
from adapters.posts import Throttled
from bot.errors import PlatformError, PlatformForbidden, PostGone, StoreError
from bot.ports import Watermarks

log = logging.getLogger(__name__)

Payload = dict[str, Any]

PAGE = 100
EVERY_S = 600.0
"""Between two passes while all is well, so that watermarks do not stay far behind."""
AFTER_FAILURE_S = 15.0
AT_ONCE = 4
"""Channels that are read at the same time."""
DIRECT_MOST = 500
"""Direct-message channels looked at in one pass, the most recent first: each costs a call."""
DIRECT_KNOWN = 50_000
ARCHIVED_PAGE = 100
ARCHIVED_PAGES = 50
"""Pages of archived threads looked at in one channel, at most."""
ARCHIVED_MARK = ":archived"
"""Behind a channel's id: how far the threads archived in it have been looked through, as a time."""
CLOCKS_DIFFER = timedelta(minutes=10)
"""How far our clock may be ahead of Discord's."""
PUBLIC = "/channels/{channel_id}/threads/archived/public"
PRIVATE = "/channels/{channel_id}/users/@me/threads/archived/private"
POSTS_ONLY = (FORUM, MEDIA)
"""Channels without messages of their own: the newest they name is a thread."""


@dataclass(frozen=True, slots=True)
class Behind:
    """A place whose newest message is newer than its watermark."""

    workspace: str
    spot: Spot
    after: int
    newest: int | None
    """Its newest message; None where only an empty page tells that there is no more."""


class CatchingUp:
    """One pass when it is asked for, and one every so often."""

    def __init__(
        self,
        rest: Rest,
        places: Places,
        watermarks: Watermarks,
        take: Callable[[Payload, Spot], Awaitable[None]],
        gateway: Gateway,
        rereading: Rereading,
        every_s: float = EVERY_S,
    ) -> None:
        self._rest = rest
        self._places = places
        self._watermarks = watermarks
        self._take = take
        self._gateway = gateway
        self._rereading = rereading
        self._every_s = every_s
        self._wanted = asyncio.Event()
        self._unseen: set[int] = set()
        """Guilds whose archived threads are to be looked through, and what was said there lately again."""
        self._direct_unseen = True
        """The same for direct messages."""
        self._running: asyncio.Task[None] | None = None
        self._direct_known: set[int] = set()
        self.caught_up = asyncio.Event()
        """Nothing is left of the time in which nobody listened."""
        self.passes = 0
        """Passes that ended well."""

    def begin(self) -> None:
        """Start to run."""
        self._running = asyncio.create_task(self._run(), name="discord catching up")

    async def end(self) -> None:
        """Stop; what was not fetched is fetched next time."""
        if self._running is None:
            return
        await ended(self._running)
        with contextlib.suppress(StoreError):
            await self._mark_held()

    def request(self) -> None:
        """Run a pass soon."""
        self._wanted.set()

    def anew(self, guilds: Iterable[discord.Guild]) -> None:
        """Run a pass soon; in these guilds nobody heard what was said before now."""
        self._unseen |= {guild.id for guild in guilds}
        self._direct_unseen = True
        self.caught_up.clear()
        self._wanted.set()

    async def met(self, channel: int, message: int) -> None:
        """A direct message came: from now on its channel has a watermark, just before it."""
        if not self._direct_known or len(self._direct_known) > DIRECT_KNOWN:
            marks = await self._watermarks.watermarks(PLATFORM, DIRECT)
            self._direct_known = {int(known) for known in marks}
        if channel not in self._direct_known:
            await self._watermarks.advance(PLATFORM, DIRECT, str(channel), message - 1)
            self._direct_known.add(channel)

    async def _run(self) -> None:
        await self._wanted.wait()
        while True:
            self._wanted.clear()
            if not await self._try():
                await asyncio.sleep(AFTER_FAILURE_S)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every_s * random.uniform(0.9, 1.1)):
                    await self._wanted.wait()

    async def _try(self) -> bool:
        try:
            return await self._pass()
        except Exception as error:  # noqa: BLE001  # catching up goes on whatever went wrong once
            log.warning(
                "Catching up failed, and is tried again.",
                extra={"event": "catch_up_failed", "error": type(error).__name__},
            )
            return False

    async def _pass(self) -> bool:
        """Every place that moved; False if something must be tried again."""
        client = self._gateway.client
        if client is None:
            return False
        done = True
        await self._mark_held()
        if self._gateway.hears_direct:
            done &= await self._bring(await self._direct()) and await self._see_direct()
        for guild in client.guilds:
            marks = await self._watermarks.watermarks(PLATFORM, str(guild.id))
            done &= await self._bring(await self._behind(guild, marks, self._moved(guild)))
        if client.is_ready():
            done &= await self._look_through_unseen(client.guilds)
            if done and not self._unseen:
                self.caught_up.set()
        self.passes += 1
        return done

    async def _mark_held(self) -> None:
        """Give every thread that was heard of since the last pass a watermark, moving none.

        One that we opened counts from its beginning, another one as far as its channel does.
        """
        marks: dict[int, Mapping[str, int]] = {}
        for thread, (guild, parent) in self._places.held().items():
            if guild not in marks:
                marks[guild] = await self._watermarks.watermarks(PLATFORM, str(guild))
            after = thread - 1 if parent is None else marks[guild].get(str(parent))
            if after is not None and str(thread) not in marks[guild]:
                await self._watermarks.advance(PLATFORM, str(guild), str(thread), after)

    async def _behind(
        self, guild: discord.Guild, marks: Mapping[str, int], places: Iterable[tuple[Spot, int]]
    ) -> list[Behind]:
        """Those of `places` (each with its newest message) whose watermark is older."""
        workspace = str(guild.id)
        behind = []
        newest_known = max((mark for place, mark in marks.items() if place.isdigit()), default=None)
        for spot, newest in places:
            after = self._since(spot, marks)
            if after is None and newest_known is not None and spot.id > newest_known:
                after = spot.id - 1  # made since the guild was last looked at: all of it was missed
            if after is None or (spot.kind in POSTS_ONLY and newest > after):
                await self._watermarks.advance(PLATFORM, workspace, str(spot.id), newest)
            elif newest > after:
                if str(spot.id) not in marks:
                    await self._watermarks.advance(PLATFORM, workspace, str(spot.id), after)
                behind.append(Behind(workspace, spot, after, newest))
        return behind

    def _moved(self, guild: discord.Guild) -> Iterator[tuple[Spot, int]]:
        """Places that the bot may read, with their newest message as the gateway told it.

        Threads come first: one that has no watermark yet goes by its channel's, which then moves on.
        """
        for place in (*guild.threads, *guild.channels):
            spot = self._places.cached(place.id, guild.id)
            if spot is None or isinstance(place, discord.CategoryChannel):
                continue
            if self._places.may_read(spot):
                yield spot, place.last_message_id or place.id

    async def _look_through_unseen(self, guilds: Sequence[discord.Guild]) -> bool:
        unseen, self._unseen = self._unseen, set()
        try:
            for guild in guilds:
                if guild.id not in unseen or not await self._look_through(guild):
                    continue
                if await self._rereading.workspace(str(guild.id), guild.id):
                    unseen.discard(guild.id)
        finally:
            self._unseen |= unseen
        return unseen.isdisjoint(guild.id for guild in guilds)

    async def _look_through(self, guild: discord.Guild) -> bool:
        """Threads that moved and were archived while nobody listened: the gateway does not name them."""
        marks = await self._watermarks.watermarks(PLATFORM, str(guild.id))
        done = True
        for channel in guild.channels:
            if not isinstance(channel, discord.TextChannel | discord.ForumChannel):
                continue
            spot = self._places.cached(channel.id, guild.id)
            if spot is not None and self._places.may_read(spot):
                done &= await self._look_through_one(guild, channel, marks)
        return done

    async def _look_through_one(
        self,
        guild: discord.Guild,
        channel: discord.TextChannel | discord.ForumChannel,
        marks: Mapping[str, int],
    ) -> bool:
        mark = f"{channel.id}{ARCHIVED_MARK}"
        began = snowflake(datetime.now(UTC) - CLOCKS_DIFFER)
        since = marks.get(mark)
        if since is not None:
            moved = {
                thread["id"]: Behind(str(guild.id), self._places.learn(thread, guild.id), after, newest)
                async for thread in self._archived(channel, since)
                if (newest := int(thread.get("last_message_id") or 0))
                > (after := marks.get(str(thread["id"]), since))
            }
            if not await self._bring(list(moved.values())):
                return False
        await self._watermarks.advance(PLATFORM, str(guild.id), mark, began)
        return True

    async def _archived(
        self, channel: discord.TextChannel | discord.ForumChannel, since: int
    ) -> AsyncIterator[Payload]:
        """Threads archived in a channel since then: public ones, and private ones that we joined."""
        archived_since = sent_at(since)
        async for thread in self._pages(PUBLIC, channel.id, "archived_at"):
            if _archived_at(thread) < archived_since:
                break
            yield thread
        if channel.type.value == TEXT:
            async for thread in self._pages(PRIVATE, channel.id, "id"):
                if _archived_at(thread) >= archived_since:
                    yield thread

    async def _pages(self, path: str, channel: int, before: str) -> AsyncIterator[Payload]:
        """Every thread, newest first by when it was archived, or by its id."""
        query: dict[str, Any] = {"limit": ARCHIVED_PAGE}
        for _ in range(ARCHIVED_PAGES):
            try:
                page = await self._rest.call("GET", path, query=query, channel_id=channel)
            except (PlatformForbidden, PostGone):
                return
            threads = page.get("threads") or []
            for thread in threads:
                yield thread
            if not (page.get("has_more") and threads):
                return
            last = threads[-1]
            query["before"] = last["id"] if before == "id" else _archived_at(last).isoformat()

    def _since(self, spot: Spot, marks: Mapping[str, int]) -> int | None:
        """Up to where the place is archived. A thread that was never seen is as old as its channel's mark."""
        own = marks.get(str(spot.id))
        if own is not None or spot.parent is None:
            return own
        return marks.get(str(spot.parent))

    async def _direct(self) -> list[Behind]:
        """Direct messages: the gateway names no such channels, so those with a watermark are asked."""
        marks = await self._watermarks.watermarks(PLATFORM, DIRECT)
        recent = sorted(marks.items(), key=lambda mark: -mark[1])[:DIRECT_MOST]
        return [Behind(DIRECT, Spot(int(channel), 1), mark, None) for channel, mark in recent]

    async def _see_direct(self) -> bool:
        if self._direct_unseen:
            self._direct_unseen = not await self._rereading.workspace(DIRECT, None)
        return not self._direct_unseen

    async def _bring(self, places: Sequence[Behind]) -> bool:
        """Read every place to its end; False if one must be tried again."""
        room = asyncio.Semaphore(AT_ONCE)

        async def one(behind: Behind) -> bool:
            async with room:
                return await self._bring_one(behind)

        return all(await asyncio.gather(*(one(behind) for behind in places)))

    async def _bring_one(self, behind: Behind) -> bool:
        try:
            await self._read(behind)
        except (PlatformForbidden, PostGone):
            return True  # not to be read, or gone: nothing to bring
        except (PlatformError, StoreError, Throttled) as error:
            log.info(
                "a place could not be read, and is tried again",
                extra={"event": "catch_up_later", "error": type(error).__name__},
            )
            return False
        return True

    async def _read(self, behind: Behind) -> None:
        after = behind.after
        while True:
            page = await self._rest.call(
                "GET",
                "/channels/{channel_id}/messages",
                query={"after": after, "limit": PAGE},
                channel_id=behind.spot.id,
            )
            page = [payload for payload in page if int(payload["id"]) > after]
            before = after
            for payload in sorted(page, key=lambda message: int(message["id"])):
                if behind.spot.guild is not None:
                    payload["guild_id"] = behind.workspace
                await self._take(payload, behind.spot)
                after = int(payload["id"])
            await self._rereading.page(behind.spot, Stretch(page, before, after))
            if after > behind.after:
                await self._watermarks.advance(PLATFORM, behind.workspace, str(behind.spot.id), after)
            # A short page alone is no end: servers may return fewer than they were asked for.
            if not page or (len(page) < PAGE and behind.newest is not None and after >= behind.newest):
                return


def _archived_at(thread: Payload) -> datetime:
    """When; where that is not told, it may have been just now."""
    told = (thread.get("thread_metadata") or {}).get("archive_timestamp")
    return datetime.fromisoformat(told) if told else datetime.now(UTC)
