"""What was said while nobody listened: read from Slack, and handed on as if it had just come.

A channel's watermark is moved only here, and only to the newest message that Slack showed when the
reading began: so what is said while it reads is left for the live events, or for the next time.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.posts import Throttled
from adapters.slack import events
from adapters.slack.errors import Refused
from adapters.slack.events import FLAT
from adapters.slack.history import GONE, PAGE, Kind
from adapters.slack.markup import position_of, time_of, ts_of
from adapters.slack.names import Names
from adapters.slack.workspaces import Installation, Workspaces
from bot.domain import Event
from bot.errors import PlatformError, PlatformForbidden, ThreadflyError
from bot.ports import Handler, Watermarks

EVERY_S = 1_800.0
"""Between two rounds over the channels in which something was said, so that watermarks keep up."""
AGAIN_S = 60.0
"""After a round that could not be completed."""
LOOK_BACK_S: Mapping[Kind, float] = {"internal": 14 * 86_400.0, "limited": 0.0}
"""How much older than the watermark a thread may be and still be found by its `latest_reply`."""
LOOK_BACK_PAGES = 5
MOST_OLD_THREADS: Mapping[Kind, int] = {"internal": 30, "limited": 3}
"""Older ones are asked for one by one: those of a channel that were active last."""
NAMES_S = 3.0
CHANNELS_A_PAGE = 200
MOST_HEARD = 10_000
KINDS = "public_channel,private_channel,mpim,im"

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
            try:
                async with asyncio.timeout(
                    (AGAIN_S if self._all else self._every_s) * random.uniform(0.8, 1.2)
                ):
                    await self._wanted.wait()
            except TimeoutError:
                pass
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

    async def _workspace(self, installation: Installation, only: set[str] | None, handler: Handler) -> None:
        workspace = installation.me.workspace
        try:
            marks = await self._watermarks.watermarks(events.PLATFORM, workspace)
            async for channel in _channels(installation):
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
        newest = since
        first = True
        async for page in self._history(installation, channel, since):
            if first:
                newest, first = max([since, *map(_latest, page)]), False
            await self._hand_on(installation, channel, page, since, handler)
            for message in page:
                if _latest(message) > since and message.get("latest_reply"):
                    await self._thread(installation, channel, message["ts"], since, handler)
        return newest

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
        self, installation: Installation, channel: str, thread: str, since: int, handler: Handler
    ) -> None:
        try:
            async for replies in self._replies(installation, channel, thread, since):
                await self._hand_on(installation, channel, replies, since, handler)
        except Refused as refused:
            if refused.code not in GONE:
                raise

    async def _history(
        self, installation: Installation, channel: str, since: int
    ) -> AsyncIterator[list[Json]]:
        """Pages of a channel, newest first, back to `since` and on to older threads within bounds."""
        oldest = since - self._look_back
        cursor, older = None, 0
        while True:
            page = await installation.client.read(
                "conversations.history",
                channel=channel,
                oldest=ts_of(max(0, oldest)),
                limit=PAGE[self._kind],
                cursor=cursor,
            )
            messages = [m for m in page.get("messages") or () if m.get("ts")]
            yield messages
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or None
            if messages and position_of(messages[-1]["ts"]) <= since:
                older += 1
            if cursor is None or older > LOOK_BACK_PAGES:
                return

    async def _replies(
        self, installation: Installation, channel: str, thread: str, since: int
    ) -> AsyncIterator[list[Json]]:
        cursor = None
        while True:
            page = await installation.client.read(
                "conversations.replies",
                channel=channel,
                ts=thread,
                oldest=ts_of(since),
                limit=PAGE[self._kind],
                cursor=cursor,
            )
            yield [m for m in page.get("messages") or () if m.get("ts") and m["ts"] != thread]
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or None
            if cursor is None:
                return

    async def _hand_on(
        self, installation: Installation, channel: str, messages: list[Json], since: int, handler: Handler
    ) -> None:
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
            told.append(events.said(message, channel, installation.me, names, answer=answer))
        changed = (message.get("edited") or {}).get("ts")
        if changed and position_of(changed) > since:
            told.append(events.edited(message, channel, installation.me, names))
        return [event for event in told if event is not None]


async def _channels(installation: Installation) -> AsyncIterator[str]:
    """The conversations that the bot is in."""
    cursor = None
    while True:
        page = await installation.client.read(
            "users.conversations", types=KINDS, exclude_archived=True, limit=CHANNELS_A_PAGE, cursor=cursor
        )
        for channel in page.get("channels") or ():
            yield channel["id"]
        cursor = (page.get("response_metadata") or {}).get("next_cursor") or None
        if cursor is None:
            return


def _latest(message: Json) -> int:
    return position_of(message.get("latest_reply") or message["ts"])
