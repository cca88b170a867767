"""What was said, edited and deleted while nobody listened: read from Slack, and handed on.

What is read again is also held against the archive (`Reread`), since Slack tells of no deletion afterwards:
before what is new is handed on, so that no answer is given from what was deleted.

A channel's watermark is moved only here, and only to the newest message that Slack showed when the
reading began: so what is said while it reads is left for the live events, or for the next time.
"""

import asyncio
import logging
import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.posts import Throttled
from adapters.slack import events, pages
from adapters.slack.errors import Refused
from adapters.slack.events import FLAT
from adapters.slack.history import GONE, PAGE, Kind
from adapters.slack.markup import position_of, time_of
from adapters.slack.names import Names
from adapters.slack.stretches import Stretch
from adapters.slack.workspaces import Installation, Workspaces
from bot.domain import Event, SessionKey
from bot.errors import PlatformError, PlatformForbidden, ThreadflyError
from bot.ports import Handler, Watermarks

EVERY_S = 1_800.0
"""Between two rounds over the channels in which something was said, so that watermarks keep up."""
AGAIN_S = 60.0
"""After a round that could not be completed."""
LOOK_BACK_S: Mapping[Kind, float] = {"internal": 14 * 86_400.0, "limited": 0.0}
"""How much older than the watermark a thread may be and still be found by its `latest_reply`."""
MOST_OLD_THREADS: Mapping[Kind, int] = {"internal": 30, "limited": 3}
"""Older ones are asked for one by one: those of a channel that were active last."""
SECOND_LOOK_S = 86_400.0
"""Threads in which something was said so shortly before the watermark are read again after an outage, though
nothing new was said there: somebody may have edited or deleted something."""
MOST_SECOND_LOOKS = 200
SECOND_LOOKS_EVERY_S = 2.4
"""Half of what Slack's tier 3 allows: people who call the bot in a thread need the other half."""
NAMES_S = 3.0
MOST_HEARD = 10_000

log = logging.getLogger(__name__)

Json = Mapping[str, Any]


class CatchingUp:
    """One task that catches up: at the start, after an outage, and every now and then."""

    def __init__(
        self,
        workspaces: Workspaces,
        names: Names,
        watermarks: Watermarks,
        *,
        kind: Kind = "internal",
        answer_within_s: float = 900.0,
        enabled: bool = True,
        every_s: float | None = None,
    ) -> None:
        self._workspaces = workspaces
        self._names = names
        self._watermarks = watermarks
        self._kind: Kind = kind
        self._answer_within = timedelta(seconds=answer_within_s)
        self._answer_from = datetime.now(UTC)
        """By the time when a round began: who is read late, behind many channels, is not too late."""
        self._look_back = int(LOOK_BACK_S[kind] * 1_000_000)
        self._enabled = enabled
        self._every_s = EVERY_S if every_s is None else every_s
        self._heard: set[tuple[str, str]] = set()
        self._all = enabled
        """Some channel is behind, and nobody knows which."""
        self._everywhere = False
        """This round is about all of them."""
        self._second_looks: list[tuple[Installation, str, str, int]] = []
        """Channels and threads, with the watermark."""
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def heard(self, workspace: str, channel: str) -> None:
        """Something was said there: its watermark is worth moving."""
        if len(self._heard) < MOST_HEARD:
            self._heard.add((workspace, channel))
        else:
            self._all = True

    def again(self) -> None:
        """There was an outage: look everywhere, now."""
        self._all = True
        self._wanted.set()

    def begin(self, handler: Handler) -> None:
        """Catch up from now on, in the background."""
        if self._enabled:
            self._wanted.set()
            self._task = asyncio.create_task(self._run(handler))

    async def close(self) -> None:
        """Stop; what was not read yet is read next time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, handler: Handler) -> None:
        while True:
            await self._is_wanted_within((AGAIN_S if self._all else self._every_s) * random.uniform(0.8, 1.2))
            self._wanted.clear()
            try:
                await self._round(handler)
            except Exception:
                self._all = True
                log.exception("Catching up failed", extra={"event": "slack.catch_up_failed"})

    async def _round(self, handler: Handler) -> None:
        everywhere = self._everywhere = self._all
        self._all = False
        heard, self._heard = self._heard, set()
        self._answer_from = datetime.now(UTC) - self._answer_within
        for installation in await self._workspaces.everywhere():
            workspace = installation.me.workspace
            only = None if everywhere else {channel for of, channel in heard if of == workspace}
            if only is None or only:
                await self._workspace(installation, only, handler)
        await self._look_again(handler)

    async def _look_again(self, handler: Handler) -> None:
        """Read threads in which nothing new was said; when all that is new has been handed on."""
        looks, self._second_looks = self._second_looks[:MOST_SECOND_LOOKS], []
        for installation, channel, thread, since in looks:
            if await self._is_wanted_within(SECOND_LOOKS_EVERY_S):
                return  # what is new goes first, whenever it comes; the next round finds these again
            try:
                await self._thread(installation, channel, thread, since, handler)
            except (PlatformError, Throttled) as exc:
                log.info(
                    "Did not look again: %s",
                    type(exc).__name__,
                    extra={"event": "slack.no_second_look", "channel": channel},
                )

    async def _is_wanted_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._wanted.wait()
        except TimeoutError:
            return False
        return True

    async def _workspace(self, installation: Installation, only: set[str] | None, handler: Handler) -> None:
        workspace = installation.me.workspace
        try:
            marks = await self._watermarks.watermarks(events.PLATFORM, workspace)
            async for channel in pages.channels(installation):
                if only is None or channel in only:
                    await self._channel(installation, channel, marks.get(channel), handler)
        except (ThreadflyError, Throttled) as exc:
            self._all = True
            kind = type(exc).__name__
            log.warning(
                "Could not catch up: %s",
                kind,
                extra={"event": "slack.catch_up_failed", "workspace": workspace},
            )

    async def _channel(
        self, installation: Installation, channel: str, mark: int | None, handler: Handler
    ) -> None:
        since = self._since(mark)
        try:
            reached = await self._read(installation, channel, since, handler)
            if mark is not None and self._everywhere:
                await self._old_threads(installation, channel, since, handler)
        except PlatformError as exc:
            self._all = self._all or not isinstance(exc, PlatformForbidden)
            kind = type(exc).__name__
            log.warning(
                "Could not catch up: %s", kind, extra={"event": "slack.catch_up_failed", "channel": channel}
            )
            return
        if reached > (mark or 0):
            await self._watermarks.advance(events.PLATFORM, installation.me.workspace, channel, reached)

    def _since(self, mark: int | None) -> int:
        """A channel without a watermark is new to us: only what could still be answered matters there."""
        if mark is not None:
            return mark
        return int(self._answer_from.timestamp() * 1_000_000)

    async def _read(self, installation: Installation, channel: str, since: int, handler: Handler) -> int:
        """Hand on everything after `since`, newest first; the newest position that Slack showed at once.

        Replies come after what opened their thread: without it they would be nobody's business.
        """
        newest, first = since, True
        stretch = self._stretch(installation, since)
        read, flat = set[str](), list[list[Json]]()
        async for page in pages.of_channel(installation, channel, stretch, since, PAGE[self._kind]):
            if first:
                newest, first = max([since, *map(_latest, page)]), False
            if events.is_direct(channel):
                flat.append(page)
            else:
                await self._hand_on(installation, channel, page, since, handler)
            for message in page:
                if _may_have_new_replies(message, since):
                    read.add(message["ts"])
                    await self._thread(installation, channel, message["ts"], since, handler)
        if stretch.shown and events.is_direct(channel):
            await self._compare(installation, channel, FLAT, stretch, handler)
        for page in flat:
            await self._hand_on(installation, channel, page, since, handler)
        await self._known_threads(installation, channel, stretch, read, since, handler)
        return newest

    async def _known_threads(
        self,
        installation: Installation,
        channel: str,
        stretch: Stretch,
        read: set[str],
        since: int,
        handler: Handler,
    ) -> None:
        """Those where the bot took part lately: is the first message still there, and may others be gone?"""
        most = MOST_OLD_THREADS[self._kind]
        known = await self._watermarks.threads(events.PLATFORM, installation.me.workspace, channel, most)
        recent = since - min(self._look_back, int(SECOND_LOOK_S * 1_000_000))
        for thread in known:
            if thread == FLAT or thread in read:
                continue
            first = position_of(thread)
            if stretch.lacks(first):
                await self._thread(installation, channel, thread, since, handler, perhaps_gone=True)
            elif self._everywhere and recent < _latest(stretch.there.get(first, {"ts": "0"})) <= since:
                self._second_looks.append((installation, channel, thread, since))

    async def _old_threads(
        self, installation: Installation, channel: str, since: int, handler: Handler
    ) -> None:
        """Hand on what is new in threads that began before the looking back, if the bot took part lately."""
        workspace, oldest = installation.me.workspace, since - self._look_back
        most = MOST_OLD_THREADS[self._kind]
        for thread in await self._watermarks.threads(events.PLATFORM, workspace, channel, most):
            if thread != FLAT and position_of(thread) <= oldest:
                await self._thread(installation, channel, thread, since, handler)

    async def _thread(
        self,
        installation: Installation,
        channel: str,
        thread: str,
        since: int,
        handler: Handler,
        *,
        perhaps_gone: bool = False,
    ) -> None:
        """Hand on what is new in a thread, and what became of the rest.

        `perhaps_gone`: the channel does not show its first message; if Slack knows no such thread
        either, it was deleted with all that was said there.
        """
        stretch, news = self._stretch(installation, since), list[list[Json]]()
        try:
            async for page in pages.of_thread(installation, channel, thread, stretch, PAGE[self._kind]):
                news.append([m for m in page if m["ts"] != thread])
        except Refused as refused:
            if refused.code not in GONE:
                raise
            if perhaps_gone:
                await self._compare(installation, channel, thread, stretch, handler)
            return
        if position_of(thread) in stretch.shown:  # Slack always shows it, or what it left
            await self._compare(installation, channel, thread, stretch, handler)
        for replies in news:
            await self._hand_on(installation, channel, replies, since, handler)

    def _stretch(self, installation: Installation, since: int) -> Stretch:
        return Stretch(max(0, since - self._look_back), installation.client.slacks_time())

    async def _compare(
        self, installation: Installation, channel: str, thread: str, stretch: Stretch, handler: Handler
    ) -> None:
        """Let the archive learn what is edited or not there any more."""
        me = installation.me
        names = await self._names.of(installation, stretch.names_wanted(), NAMES_S)
        reread = stretch.reread(SessionKey(events.PLATFORM, me.workspace, channel, thread), me, names)
        if reread is not None:
            await handler(reread)

    async def _hand_on(
        self, installation: Installation, channel: str, messages: list[Json], since: int, handler: Handler
    ) -> None:
        messages = [m for m in messages if _changed(m) > since]
        ids = frozenset().union(*(events.unknown_names(m) for m in messages))
        names = await self._names.of(installation, ids, NAMES_S)
        for message in sorted(messages, key=lambda m: position_of(m["ts"])):
            for event in self._events(installation, channel, message, since, names):
                await handler(event)

    def _events(
        self, installation: Installation, channel: str, message: Json, since: int, names: Mapping[str, str]
    ) -> list[Event]:
        """A message that is new, and its edit if it was edited since."""
        told: list[Event | None] = []
        if position_of(message["ts"]) > since:
            answer = time_of(message["ts"]) >= self._answer_from
            said = events.said(message, channel, installation.me, names, answer=answer)
            told.append(replace(said, read=True) if said else None)
        if message.get("edited") and _changed(message) > since:
            edited = events.edited(message, channel, installation.me, names)
            told.append(replace(edited, read=True) if edited else None)
        return [event for event in told if event is not None]


def _latest(message: Json) -> int:
    return position_of(message.get("latest_reply") or message["ts"])


def _may_have_new_replies(message: Json, since: int) -> bool:
    """Slack tells when the newest one came; other servers of its API only that there are some."""
    if message.get("latest_reply"):
        return _latest(message) > since
    return bool(message.get("reply_count"))


def _changed(message: Json) -> int:
    """When it was said, or edited last."""
    edited = (message.get("edited") or {}).get("ts")
    return max(position_of(message["ts"]), position_of(edited) if edited else 0)
