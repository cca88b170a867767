"""What the gateway tells, on its way to the core."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.discord import events, leniency
from adapters.discord.notices import UNREAD, Notices
from adapters.discord.people import People
from adapters.discord.places import GROUP, Places, Spot, spot_of
from adapters.discord.rooms import Rooms
from adapters.discord.telling import Teller
from adapters.jsons import loads
from adapters.posts import Throttled
from bot.domain import Addressed, Deleted, Edited, Event, Gone, Receipt, Said, Speaker
from bot.errors import PlatformError, PlatformUnavailable, StoreError
from bot.ports import Handler
from bot.recent import Recent

log = logging.getLogger(__name__)

Payload = dict[str, Any]

HEARD = (
    "MESSAGE_CREATE",
    "MESSAGE_UPDATE",
    "MESSAGE_DELETE",
    "MESSAGE_DELETE_BULK",
    "THREAD_DELETE",
    "CHANNEL_DELETE",
    "GUILD_DELETE",
    "INTERACTION_CREATE",
)
KEPT = 20_000
"""Messages remembered as kept: those since the last pass of catching up, unless it is very busy."""
NAMED = 1_000
"""Messages remembered as the bot's business, for edits that overtake them and name it no more."""


class Receiver:
    """Turns payloads into events, and hands them to the core, each in a task of its own."""

    def __init__(
        self,
        places: Places,
        people: People,
        rooms: Rooms,
        teller: Teller,
        met: Callable[[int, int], Awaitable[None]],
        pressed: Callable[[Payload], Awaitable[None]],
        missed: Callable[[], None],
        departed: Callable[[int], Awaitable[None]],
        notices: Notices,
        reads_content: Callable[[], bool],
        allowed_bots: frozenset[str] = frozenset(),
        answer_within: timedelta = timedelta(minutes=15),
    ) -> None:
        """`met` is told of direct messages, `pressed` of interactions, `missed` of what could not be kept.

        `departed` is told of guilds that are no more, or that the bot was taken out of.
        """
        self._places = places
        self._people = people
        self._rooms = rooms
        self._teller = teller
        self._met = met
        self._missed = missed
        self._departed = departed
        self._notices = notices
        self._reads_content = reads_content
        self._allowed_bots = allowed_bots
        self._answer_within = answer_within
        self._handler: Handler | None = None
        self._kept: Recent[int, Receipt] = Recent(KEPT)
        self._named: Recent[int, Addressed] = Recent(NAMED)
        self._at_work: set[asyncio.Task[None]] = set()
        self._on: dict[str, Callable[[Payload], Awaitable[None]]] = {
            "MESSAGE_CREATE": self._created,
            "MESSAGE_UPDATE": self._updated,
            "MESSAGE_DELETE": self._deleted,
            "MESSAGE_DELETE_BULK": self._deleted,
            "THREAD_DELETE": self._vanished,
            "CHANNEL_DELETE": self._vanished,
            "GUILD_DELETE": self._left,
            "INTERACTION_CREATE": pressed,
        }

    def begin(self, handler: Handler) -> None:
        """Take in from now on."""
        self._handler = handler

    async def end(self) -> None:
        """Take in nothing more, and wait until what was taken in is committed."""
        self._handler = None
        if self._at_work:
            await asyncio.wait(self._at_work)

    async def heard(self, raw: str) -> None:
        """One payload of the gateway, as it came."""
        if self._handler is None or not any(name in raw for name in HEARD):
            return
        payload = loads(raw)
        take = self._on.get(payload.get("t") or "")
        if take is None:
            return
        task = asyncio.current_task()
        assert task is not None
        self._at_work.add(task)
        try:
            await take(payload["d"])
        except (PlatformError, StoreError, Throttled) as error:
            log.warning(
                "An event was not kept; catching up will bring it.",
                extra={"event": "not_kept", "error": type(error).__name__},
            )
            self._missed()
        except Exception:
            self._missed()
            raise  # whoever called tells of it
        finally:
            self._at_work.discard(task)

    async def catch_up(self, payload: Payload, spot: Spot) -> None:
        """One message that was read, not heard; answered while it is young."""
        position = int(payload["id"])
        if self._kept.get(position) is None:
            age = datetime.now(UTC) - events.sent_at(position)
            await self.take(payload, spot, answer=age < self._answer_within, read=True)

    async def pass_on(self, event: Event) -> Receipt:
        """Something that was found out by reading. Raises `PlatformUnavailable` once all is over."""
        if self._handler is None:
            raise PlatformUnavailable("nothing is taken in any more")
        return await self._handler(event)

    async def take(self, payload: Payload, spot: Spot, *, answer: bool = True, read: bool = False) -> Receipt:
        """One message; returns when it is kept, and `catch_up` then passes it over."""
        said: Said | None = None
        with leniency.passing_over("message"):
            said = await self.said(payload, spot)
        if said is None:
            return Receipt.IGNORED
        said = replace(said, answer=answer, read=read)
        if self._handler is None:
            raise PlatformUnavailable("nothing is taken in any more")
        if spot.in_thread and spot.guild is not None:
            self._places.hold(int(said.key.thread), spot.guild, spot.parent)
        self._teller.heard(said.key, said.message.author, spot.id, said.message.position)
        self._rooms.asked(said.message.position, said.message.text)
        self._named.put(said.message.position, said.addressed)
        receipt = await self._handler(said)
        self._kept.put(said.message.position, receipt)
        return receipt

    async def said(self, payload: Payload, spot: Spot) -> Said | None:
        """The message as an event; None where it is none of the bot's business."""
        bot = self._places.bot(spot.guild)
        if not self._counts(payload, bot):
            return None
        addressed = events.addressed(payload, bot, direct=spot.direct, in_thread=spot.in_thread)
        if addressed is None:
            return None
        payload = await self._people.complete(spot.guild, payload)
        thread, opens = await self._thread(spot, payload)
        message = events.message(payload, bot, self._places.names(spot.guild, spot.channel))
        if addressed in (Addressed.THREAD, Addressed.ASIDE) and not (message.text or message.attachments):
            return None  # hidden from us: without the message content intent there is nothing to keep
        groups = events.roles(payload)
        if spot.category is not None:
            groups |= {str(spot.category)}
        return Said(
            spot.key(thread),
            message,
            addressed,
            opens_thread=opens,
            groups=groups,
            closed=spot.closed,
        )

    def _counts(self, payload: Payload, bot: events.Bot) -> bool:
        if not (events.is_told(payload) and events.author_id(payload)):
            return False
        author = events.author(payload, bot)
        return author.kind is Speaker.PERSON or (
            author.kind is Speaker.OTHER_BOT and author.id in self._allowed_bots
        )

    async def _thread(self, spot: Spot, payload: Payload) -> tuple[str, bool]:
        if spot.direct or spot.in_thread:
            return str(spot.id), False
        return await self._places.conversation(spot, payload)

    async def _spot(self, payload: Payload, guild: int | None) -> Spot | None:
        if payload.get("channel_type") == GROUP:
            return None
        return await self._places.spot(int(payload["channel_id"]), guild)

    async def _created(self, payload: Payload) -> None:
        guild = self._places.home(payload)
        if not self._counts(payload, self._places.bot(guild)):
            return
        if guild is not None:
            self._people.met(guild, payload)
        spot = await self._spot(payload, guild)
        if spot is None:
            return
        if spot.direct:
            await self._met(spot.id, int(payload["id"]))
        receipt = await self.take(payload, spot)
        if receipt is Receipt.IGNORED and self._is_hidden(payload, spot):
            await self._notices.once(spot, UNREAD)

    def _is_hidden(self, payload: Payload, spot: Spot) -> bool:
        """Somebody goes on in one of our threads, and without the message content intent we can't read it."""
        hidden = not (self._reads_content() or payload.get("content") or payload.get("attachments"))
        return hidden and spot.in_thread and self._places.takes_part(spot)

    async def _updated(self, payload: Payload) -> None:
        """An edit, unless nothing that a person wrote has changed: links that unfurl, pins."""
        if not _may_be_edit(payload):
            return
        if not _is_whole(payload):
            found = await self._places.message(int(payload["channel_id"]), int(payload["id"]))
            if found is None or not found.get("edited_timestamp"):
                return
            payload = {**found, "guild_id": payload.get("guild_id")}
        guild = self._places.home(payload)
        bot = self._places.bot(guild)
        spot = await self._spot(payload, guild)
        if spot is None or self._handler is None or not self._counts(payload, bot):
            return
        addressed = events.addressed(payload, bot, direct=spot.direct, in_thread=spot.in_thread)
        message = events.message(payload, bot, self._places.names(guild, spot.channel))
        if not (message.text or message.attachments) and addressed is not Addressed.MENTION:
            return
        thread, _ = await self._thread(spot, payload)
        if addressed is None:  # without a mention, it is the bot's business only if it was before
            addressed = self._named.get(message.position) or Addressed.ASIDE
        await self._handler(Edited(spot.key(thread), message, addressed, closed=spot.closed))

    async def _deleted(self, payload: Payload) -> None:
        """One message, or many at once."""
        guild = self._places.home(payload)
        spot = await self._spot(payload, guild)
        if spot is None:
            return
        for message in payload.get("ids") or [payload["id"]]:
            if self._handler is None:
                return
            key = spot.key(self._places.thread_of(int(message)))
            await self._handler(Deleted(key, int(message)))

    async def _vanished(self, payload: Payload) -> None:
        """A thread or channel was deleted, with all that was said there."""
        self._places.forget(int(payload["id"]))
        spot = spot_of(payload)
        if self._handler is not None and not spot.direct and await self._places.is_gone(spot.id):
            key = spot.key("")
            await self._handler(Gone(key.platform, key.workspace, key.channel, key.thread or None))

    async def _left(self, payload: Payload) -> None:
        """The bot was taken out of a guild, or the guild is no more; during an outage it is neither."""
        if payload.get("unavailable") or self._handler is None:
            return
        await self._departed(int(payload["id"]))


def _is_whole(payload: Payload) -> bool:
    return all(payload.get(name) is not None for name in ("content", "author", "edited_timestamp"))


def _may_be_edit(payload: Payload) -> bool:
    """Whether somebody may have changed what they wrote; updates may bring no more than what is new."""
    if payload.get("edited_timestamp"):
        return True
    return "edited_timestamp" not in payload and "content" in payload
