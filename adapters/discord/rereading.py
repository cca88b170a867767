"""Looks again at where people talked with the bot lately: what was deleted and edited while nobody listened.

A place that was deleted is known by Discord's own word for it alone, and an empty page tells nothing:
Discord sends one to who may not read.
"""

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from adapters.discord import events, leniency
from adapters.discord.places import FORUM, MEDIA, PLATFORM, PUBLIC_THREAD, Places, Spot
from adapters.discord.rest import UNKNOWN_CHANNEL, Missing, Rest
from adapters.posts import Throttled
from bot.domain import Event, Gone, Message, Reread
from bot.errors import PlatformError, PlatformForbidden, PostGone, StoreError
from bot.ports import Watermarks

log = logging.getLogger(__name__)

Payload = dict[str, Any]

MOST = 50
"""Sessions of a workspace that are looked at again, the last active first: each costs a call."""
PAGE = 100
MARGIN = timedelta(seconds=2)
"""How long before Discord answered something was said that its answer surely holds."""
MESSAGES = "/channels/{channel_id}/messages"

Read = Callable[[Spot, Payload], Awaitable[Message]]


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was read of a place: every message with `after < id <= upto`."""

    payloads: Sequence[Payload]
    after: int
    upto: int


class Rereading:
    """Reads the newest page of places again, and tells the core what it holds."""

    def __init__(
        self,
        rest: Rest,
        places: Places,
        watermarks: Watermarks,
        read: Read,
        tell: Callable[[Event], Awaitable[object]],
    ) -> None:
        """`read` makes a message of a payload that stands there, `tell` brings an event to the core."""
        self._rest = rest
        self._places = places
        self._watermarks = watermarks
        self._read = read
        self._tell = tell

    async def workspace(self, workspace: str, guild: int | None) -> bool:
        """Every session that was active there lately; False if one must be tried again."""
        marks = await self._watermarks.watermarks(PLATFORM, workspace)
        channels: dict[str, list[str]] = defaultdict(list)
        for channel, thread in await self._watermarks.lately(PLATFORM, workspace, MOST):
            channels[channel].append(thread)
        done = [await self._try(guild, channel, threads, marks) for channel, threads in channels.items()]
        return all(done)

    async def page(self, spot: Spot, stretch: Stretch) -> None:
        """Tell of a stretch of a thread or direct message that was read to catch up."""
        if spot.in_thread or spot.direct:
            after = stretch.after if spot.direct else max(stretch.after, spot.id)
            await self._pass_on(spot, spot.id, Stretch(stretch.payloads, after, stretch.upto))

    async def _try(
        self, guild: int | None, channel: str, threads: Sequence[str], marks: Mapping[str, int]
    ) -> bool:
        try:
            await self._channel(guild, channel, threads, marks)
        except (PlatformForbidden, PostGone):
            return True  # hidden from us: nothing can be told
        except (PlatformError, StoreError, Throttled) as error:
            log.info(
                "a place could not be read again, and is tried later",
                extra={"event": "reread_later", "error": type(error).__name__},
            )
            return False
        return True

    async def _channel(
        self, guild: int | None, channel: str, threads: Sequence[str], marks: Mapping[str, int]
    ) -> None:
        if guild is None:
            await self._place(Spot(int(channel), 1))
            return
        spot = await self._spot(int(channel), guild)
        if spot is None:
            await self._tell(Gone(PLATFORM, str(guild), channel, None))
            return
        if not self._places.may_read(spot):
            return
        by_reply = [thread for thread in threads if not await self._thread(spot, thread, thread in marks)]
        if by_reply:
            stretch = await self._newest(spot.id)
            for thread in by_reply:
                await self._pass_on(spot, thread, stretch)

    async def _spot(self, channel: int, guild: int) -> Spot | None:
        """The channel; None if Discord knows it no more. Raises `PlatformError`, `Throttled`."""
        if known := self._places.cached(channel, guild):
            return known
        try:
            payload = await self._rest.call("GET", "/channels/{channel_id}", channel_id=channel)
        except Missing as missing:
            if missing.code == UNKNOWN_CHANNEL:
                return None
            raise
        return self._places.learn(payload, guild)

    async def _thread(self, parent: Spot, thread: str, was_thread: bool) -> bool:
        """Look at a session's thread again; False where there is none, and it is held by reply."""
        room = self._places.room_of(int(thread))
        spot = Spot(room, PUBLIC_THREAD, parent.guild, parent.id, began=int(thread))
        try:
            await self._place(spot, parent)
        except Missing as missing:
            if missing.code == UNKNOWN_CHANNEL and was_thread:
                await self._tell(Gone(PLATFORM, str(parent.guild), str(parent.id), thread))
                return True
            return False
        return True

    async def _place(self, spot: Spot, parent: Spot | None = None) -> None:
        stretch = await self._newest(spot.id)
        if parent is not None:
            stretch = _within_thread(stretch, int(spot.key(0).thread), parent)
        await self._pass_on(spot, spot.id, stretch)

    async def _newest(self, channel: int) -> Stretch:
        """The newest page of a place. Raises `PlatformError`, `Throttled`."""
        asked_at = self._rest.told_at
        page = await self._rest.call("GET", MESSAGES, query={"limit": PAGE}, channel_id=channel)
        ids = [int(payload["id"]) for payload in page]
        whole = 0 < len(page) < PAGE and await self._begins_at(channel, min(ids))
        after = min(ids) - 1 if ids and not whole else 0
        return Stretch(page, after, max([*ids, _surely_told(asked_at)]))

    async def _begins_at(self, channel: int, first: int) -> bool:
        """Whether nothing stands before that message: a short page alone is no sign of it, since servers
        may return fewer than they were asked for."""
        query = {"before": first, "limit": 1}
        earlier = await self._rest.call("GET", MESSAGES, query=query, channel_id=channel)
        return isinstance(earlier, list) and not earlier

    async def _pass_on(self, spot: Spot, thread: int | str, stretch: Stretch) -> None:
        if not stretch.payloads:
            return
        payloads = [*stretch.payloads, *_starters(stretch.payloads)]
        there = frozenset(int(payload["id"]) for payload in payloads)
        edited: list[Message] = []
        for payload in filter(_is_edited, payloads):
            with leniency.passing_over("message"):
                edited.append(await self._read(spot, payload))
        read = tuple(message for message in edited if message.text or message.attachments)
        await self._tell(Reread(spot.key(thread), stretch.after, stretch.upto, there, read))


def _within_thread(stretch: Stretch, thread: int, parent: Spot) -> Stretch:
    """The stretch as far as it can speak for a thread: its first message may stand in the parent alone."""
    tells_of_first = parent.kind in (FORUM, MEDIA) or any(
        payload.get("type") == events.STARTER and "referenced_message" in payload
        for payload in stretch.payloads
    )
    first = thread - 1 if tells_of_first else thread
    return Stretch(stretch.payloads, max(stretch.after, first), stretch.upto)


def _starters(payloads: Iterable[Payload]) -> list[Payload]:
    """The messages that threads were opened from, as the markers in them hold them."""
    markers = (payload for payload in payloads if payload.get("type") == events.STARTER)
    return [starter for marker in markers if (starter := marker.get("referenced_message"))]


def _is_edited(payload: Payload) -> bool:
    return bool(payload.get("edited_timestamp")) and events.is_told(payload)


def _surely_told(asked_at: datetime | None) -> int:
    """The highest id that an answer to what was asked then surely knows of."""
    return events.snowflake(asked_at - MARGIN) if asked_at is not None else 0
