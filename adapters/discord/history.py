"""What Discord holds of a conversation before some message, and after it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from adapters.discord import asides, events, leniency
from adapters.discord.people import People
from adapters.discord.places import Places, Spot
from adapters.discord.rest import Rest
from bot.domain import NEWEST_EVER, History, Message, Said, SessionKey
from bot.errors import PlatformForbidden, PostGone

Payload = dict[str, Any]

PAGE = 100
"""Messages that Discord returns at once, at most."""


class Past:
    """Reads backwards through a conversation."""

    def __init__(
        self,
        rest: Rest,
        places: Places,
        people: People,
        heard: Callable[[Payload, Spot], Awaitable[Said | None]],
    ) -> None:
        """`heard` makes of a payload what the core would have heard of it."""
        self._heard = heard
        self._rest = rest
        self._places = places
        self._people = people

    async def before(self, key: SessionKey, position: int, limit: int) -> History:
        """The newest `limit` messages before `position`. Raises the `PlatformError`s."""
        guild = None if key.channel == key.thread else int(key.workspace)
        spot = await self._places.spot(self._places.room_of(int(key.thread)), guild)
        if spot is None:
            return await self._without_thread(key, guild, position)
        if not self._places.may_read(spot):
            raise PlatformForbidden("The bot has no right to read what was said there before.")
        found: list[Message] = []
        whole = True
        async for payload in self._backwards(spot, position):
            if len(found) == limit:
                whole = False
                break
            with leniency.passing_over("message"):
                found.append(await self.message(guild, int(key.channel), payload))
        later = () if spot.direct else await self._later(spot, key, position, limit)
        return History(tuple(reversed(found)), whole, later)

    async def _later(self, spot: Spot, key: SessionKey, after: int, limit: int) -> tuple[Said, ...]:
        """What people said after that position, the oldest first."""
        found: list[Said] = []
        while len(found) < limit and (page := await self._page(spot.id, after=after)):
            for payload in sorted(page, key=_position):
                after = _position(payload)
                if spot.guild is not None:
                    payload["guild_id"] = key.workspace
                with leniency.passing_over("message"):
                    if (said := await self._heard(payload, spot)) is not None and said.key == key:
                        found.append(said)
        return tuple(found[:limit])

    async def _backwards(self, spot: Spot, position: int) -> AsyncIterator[Payload]:
        """What was said, newest first; at the end the message that the thread was opened from.

        A short page is no end: servers may return fewer than they were asked for.
        """
        before = position
        while page := await self._page(spot.id, before=before):
            oldest = min(page, key=_position)
            for payload in sorted(page, key=_position, reverse=True):
                told = _starter(payload)
                if told is not None and not self._is_handed(told):
                    yield told
            if oldest.get("type") == events.STARTER or _position(oldest) == spot.id:
                return
            before = _position(oldest)

    def _is_handed(self, payload: Payload) -> bool:
        """A file of ours that was for one person: no part of the conversation."""
        ours = events.author_id(payload) == self._rest.me
        return ours and asides.is_handed(payload)

    async def _page(self, channel: int, before: int = NEWEST_EVER, after: int = 0) -> list[Payload]:
        bound = {"after": after} if after else {"before": before}
        query = {**bound, "limit": PAGE}
        page: list[Payload] = await self._rest.call(
            "GET", "/channels/{channel_id}/messages", query=query, channel_id=channel
        )
        return [payload for payload in page if after < _position(payload) < before]

    async def _without_thread(self, key: SessionKey, guild: int | None, position: int) -> History:
        """Where no thread was opened, all that is known to belong is the message it began with."""
        first = int(key.thread)
        if first >= position:
            return History((), whole=True)
        try:
            payload = await self._rest.call(
                "GET",
                "/channels/{channel_id}/messages/{message_id}",
                channel_id=int(key.channel),
                message_id=first,
            )
        except PostGone:
            return History((), whole=True)
        return History((await self.message(guild, int(key.channel), payload),), whole=True)

    async def message(self, guild: int | None, channel: int, payload: Payload) -> Message:
        """A payload of the API as we keep it: said in the channel, or in a thread there."""
        complete = await self._people.complete(guild, payload)
        return events.message(complete, self._places.bot(guild), self._places.names(guild, channel))


def _position(payload: Payload) -> int:
    return int(payload["id"])


def _starter(payload: Payload) -> Payload | None:
    """The message itself; behind the marker at a thread's start the one that it stands for."""
    if payload.get("type") == events.STARTER:
        starter: Payload | None = payload.get("referenced_message")
        return starter
    return payload if events.is_told(payload) else None
