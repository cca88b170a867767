"""Where things are said: channels and threads, their sessions, and what the bot may do there."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import discord

from adapters.discord import audience, buttons, events
from adapters.discord.rest import Rest
from adapters.posts import Throttled
from bot.domain import SessionKey
from bot.errors import PlatformError, PlatformForbidden, PostGone
from bot.recent import Recent

Payload = dict[str, Any]

PLATFORM = "discord"
DIRECT = "dm"
"""The workspace of direct messages."""

TEXT, DM, VOICE, GROUP, ANNOUNCEMENT, STAGE, FORUM, MEDIA = 0, 1, 2, 3, 5, 13, 15, 16
PUBLIC_THREAD, PRIVATE_THREAD = 11, 12
THREADS = (10, PUBLIC_THREAD, PRIVATE_THREAD)
"""Channel types: threads of announcements, public and private ones.

`GROUP` is a direct message of several people: Discord lets no bot in, and what somebody may read alone
has no place there.
"""
VOICED = (VOICE, STAGE)
"""Channels that hold a chat beside the talk."""
CAN_HAVE_THREADS = (TEXT, ANNOUNCEMENT)
"""Where a thread can be opened from a message."""

REMEMBERED = 2_000
CHAIN = 20
"""Replies followed back at most to find what a conversation without a thread began with."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A channel or a thread."""

    id: int
    kind: int
    guild: int | None = None
    """None: a direct message."""
    parent: int | None = None
    """A thread's channel."""
    category: int | None = None
    name: str = ""
    began: int | None = None
    """The message that a thread was opened from, where the server gave it an id of its own."""

    @property
    def in_thread(self) -> bool:
        return self.kind in THREADS

    @property
    def channel(self) -> int:
        """Itself, or the channel that the thread is in."""
        return self.parent or self.id

    @property
    def closed(self) -> bool:
        """It is read by its members, not by everybody in its channel."""
        return self.kind == PRIVATE_THREAD

    @property
    def direct(self) -> bool:
        return self.guild is None

    def key(self, thread: int | str) -> SessionKey:
        """The session of what is said here; `thread` counts only outside of threads."""
        if self.guild is None:
            return SessionKey(PLATFORM, DIRECT, str(self.id), str(self.id))
        if self.in_thread:
            return SessionKey(PLATFORM, str(self.guild), str(self.parent), str(self.began or self.id))
        return SessionKey(PLATFORM, str(self.guild), str(self.id), str(thread))


def spot_of(payload: Payload) -> Spot:
    """A channel as the API sends it."""
    kind = int(payload.get("type") or TEXT)
    parent = int(payload["parent_id"]) if payload.get("parent_id") else None
    guild = int(payload["guild_id"]) if payload.get("guild_id") else None
    in_thread = kind in THREADS
    return Spot(
        int(payload["id"]),
        kind,
        guild,
        parent if in_thread else None,
        None if in_thread else parent,
        payload.get("name") or "",
    )


class Places:
    """What is known of places: from the gateway's cache, else from the API, else nothing."""

    def __init__(self, rest: Rest, client: Callable[[], discord.Client | None]) -> None:
        self._rest = rest
        self._client = client
        self._spots: Recent[int, Spot] = Recent(REMEMBERED)
        self._asking: dict[int, asyncio.Lock] = {}
        self._threads: Recent[int, str] = Recent(REMEMBERED)
        """Messages in channels without threads, and the sessions that they turned out to belong to."""
        self._opened_from: Recent[int, int] = Recent(REMEMBERED)
        self._opened: Recent[int, int] = Recent(REMEMBERED)
        self._held: dict[int, tuple[int, int | None]] = {}

    def guild(self, guild: int | None) -> discord.Guild | None:
        """The guild from the cache."""
        client = self._client()
        return None if client is None or guild is None else client.get_guild(guild)

    def cached(self, channel: int, guild: int | None) -> Spot | None:
        """The place, as far as it is known without asking."""
        known = self.guild(guild)
        found = known.get_channel_or_thread(channel) if known is not None else None
        if isinstance(found, discord.Thread):
            category = found.parent.category_id if found.parent is not None else None
            began = self._opened_from.get(found.id)
            return Spot(found.id, found.type.value, guild, found.parent_id, category, found.name, began)
        if found is not None:
            return Spot(found.id, found.type.value, guild, None, found.category_id, found.name)
        return self._spots.get(channel)

    def home(self, payload: Payload) -> int | None:
        """The guild in which something was said; None: in a direct message."""
        if payload.get("guild_id"):
            return int(payload["guild_id"])
        client, channel = self._client(), int(payload.get("channel_id") or 0)
        known = client.get_channel(channel) if client is not None else None
        guild = getattr(known, "guild", None)
        if guild is not None:
            return int(guild.id)
        learnt = self._spots.get(channel)
        return learnt.guild if learnt is not None else None

    async def spot(self, channel: int, guild: int | None) -> Spot | None:
        """The place; None if it is gone, or hidden from the bot. Raises `PlatformUnavailable`."""
        if guild is None:
            return None if self._is_group(channel) else Spot(channel, DM)
        if found := self.cached(channel, guild):
            return found
        async with self._asking.setdefault(channel, asyncio.Lock()):
            try:
                return self.cached(channel, guild) or await self._ask(channel, guild)
            finally:
                self._asking.pop(channel, None)

    def _is_group(self, channel: int) -> bool:
        client = self._client()
        return client is not None and isinstance(client.get_channel(channel), discord.GroupChannel)

    async def _ask(self, channel: int, guild: int) -> Spot | None:
        try:
            payload = await self._rest.call("GET", "/channels/{channel_id}", channel_id=channel)
        except (PlatformForbidden, PostGone):
            return None
        return self.learn(payload, guild)

    def learn(self, payload: Payload, guild: int) -> Spot:
        """Remember a channel of the guild that the API sent: which guild it is, it need not say."""
        spot = spot_of({**payload, "guild_id": guild})
        spot = replace(spot, began=self._opened_from.get(spot.id))
        self._spots.put(spot.id, spot)
        return spot

    def opened(self, message: int, thread: int) -> None:
        """A thread was opened from a message. On Discord both have one id; elsewhere this is remembered."""
        if message != thread:
            self._opened_from.put(thread, message)
            self._opened.put(message, thread)

    def hold(self, thread: int, guild: int, parent: int | None = None) -> None:
        """A session is held in a thread: once Discord knows it no more, what was said there is gone.

        `parent`: its channel; None: we opened it just now.
        """
        if len(self._held) < REMEMBERED:
            self._held.setdefault(thread, (guild, parent))

    def held(self) -> dict[int, tuple[int, int | None]]:
        """Threads, with guild and parent, since this was asked last."""
        held, self._held = self._held, {}
        return held

    def room_of(self, thread: int) -> int:
        """The place in which a session's thread is held."""
        return self._opened.get(thread) or thread

    async def is_gone(self, channel: int) -> bool:
        """Whether the gateway is right that the place was deleted; it is not if only the sight was lost.

        What was said there is erased for good then, which is worth a call. Without an answer it is right.
        """
        try:
            await self._rest.call("GET", "/channels/{channel_id}", channel_id=channel)
        except PlatformForbidden:
            return False
        except (PlatformError, Throttled):
            return True
        return False

    def forget(self, channel: int) -> None:
        """The place is gone."""
        self._spots.drop(channel)

    # ---- names and rights

    def names(self, guild: int | None, here: int) -> events.Names:
        """What channels and roles are called there, as far as everybody knows who reads the channel `here`.

        Anybody may link to a channel, and Discord shows its name to those who see it, alone.
        """
        known = self.guild(guild)
        if known is None:
            return events.Names()

        def channel(channel_id: int) -> str | None:
            found = known.get_channel_or_thread(channel_id)
            if found is None or not audience.knows(known.get_channel(here), found):
                return None
            return found.name

        def role(role_id: int) -> str | None:
            found = known.get_role(role_id)
            return found.name if found is not None else None

        return events.Names(channel, role)

    def bot(self, guild: int | None) -> events.Bot:
        """Who we are there."""
        known = self.guild(guild)
        own = known.self_role if known is not None else None
        return events.Bot(self._rest.me, own.id if own is not None else None)

    def may(self, spot: Spot, right: str) -> bool:
        """The bot has the right there; True also where that is not known."""
        guild = self.guild(spot.guild)
        if guild is None or guild.me is None:
            return True
        found = guild.get_channel_or_thread(spot.id) or guild.get_channel(spot.parent or 0)
        if found is None:
            return True
        try:
            return bool(getattr(found.permissions_for(guild.me), right))
        except discord.ClientException:  # a thread whose channel is hidden from us
            return True

    def may_read(self, spot: Spot) -> bool:
        """The bot may read what was said there before. In voice channels that takes the right to connect."""
        rights = ("view_channel", "read_message_history", *(("connect",) if spot.kind in VOICED else ()))
        return spot.direct or all(self.may(spot, right) for right in rights)

    def takes_part(self, spot: Spot) -> bool:
        """The bot is a member of the thread: it was called there, or has written there."""
        guild = self.guild(spot.guild)
        thread = guild.get_thread(spot.id) if guild is not None else None
        return thread is not None and thread.me is not None

    def may_answer(self, spot: Spot) -> bool:
        """What the bot says would be taken there, or in a thread below."""
        if spot.direct:
            return True
        guild = self.guild(spot.guild)
        thread = guild.get_thread(spot.id) if guild is not None else None
        if thread is not None and thread.locked and not self.may(spot, "manage_threads"):
            return False
        if spot.in_thread:
            return self.may(spot, "send_messages_in_threads")
        if self.may_open_threads(spot):
            return True
        return self.may(spot, "send_messages") and self.may(spot, "read_message_history")

    def may_open_threads(self, spot: Spot) -> bool:
        """A thread can be opened from a message there, and the bot has the right to, and to write in it."""
        rights = ("create_public_threads", "send_messages_in_threads")
        return spot.kind in CAN_HAVE_THREADS and all(self.may(spot, right) for right in rights)

    # ---- conversations in channels where no thread was opened

    def belongs(self, message: int, thread: str) -> None:
        """Remember the session of a message that was said or posted outside of threads."""
        self._threads.put(message, thread)

    def thread_of(self, message: int) -> str:
        """The fourth part of the key of something outside of threads: its own id, unless known better."""
        return self._threads.get(message) or str(message)

    async def conversation(self, spot: Spot, payload: Payload) -> tuple[str, bool]:
        """Thread of a message outside of threads, and whether it begins one.

        A reply to one of the bot's posts goes on with what that post answered.
        """
        message = int(payload["id"])
        if known := self._threads.get(message):
            return known, known == str(message)
        target = events.replies_to(payload)
        if target is None or events.author_id(target) != self._rest.me:
            return str(message), True
        thread = await self._began(spot, target)
        self.belongs(message, thread)
        return thread, False

    async def _began(self, spot: Spot, post: Payload) -> str:
        for _ in range(CHAIN):
            if known := self._threads.get(int(post["id"])):
                return known
            if mark := buttons.mark_of(post):
                return mark.thread
            answered = (post.get("message_reference") or {}).get("message_id")
            if answered is None:
                return str(post["id"])
            if known := self._threads.get(int(answered)):
                return known
            question = await self.message(spot.id, int(answered))
            target = events.replies_to(question) if question is not None else None
            if target is None or events.author_id(target) != self._rest.me:
                return str(answered)
            post = target
        return str(post["id"])

    async def message(self, channel: int, message: int) -> Payload | None:
        """A message as the API has it; None if it is not to be had."""
        try:
            found: Payload = await self._rest.call(
                "GET", "/channels/{channel_id}/messages/{message_id}", channel_id=channel, message_id=message
            )
        except PlatformError:
            return None
        return found
