"""Who may read what on Discord, decided when it is asked, by Discord's own rules.

A channel is read by whom its overwrites and their roles give `view_channel` and `read_message_history`
(in voice channels `connect` too); a private thread by its members among these, and by whom may manage
threads. https://docs.discord.com/developers/topics/permissions and .../resources/message
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import discord

from adapters.discord import audience
from adapters.discord.memberships import NOBODY, Memberships
from adapters.discord.places import DIRECT, PLATFORM, Places
from adapters.discord.rest import Rest
from adapters.posts import Throttled
from bot.domain import Author, SessionKey
from bot.errors import PlatformError
from bot.finding import Known, Place, Readable
from bot.recent import Recent

log = logging.getLogger(__name__)

MOST_GUILDS = 50
"""Guilds that a question in a direct message looks into; those where the asker was met lately come first."""
MOST_THREADS = 20
"""Private threads that Discord is asked about for one question; in each guild the newest come first."""
AT_ONCE = 5
"""Guilds that are looked at at the same time."""
REMEMBERED = 5_000
ADDRESS = "https://discord.com/channels"

Channel = discord.abc.GuildChannel


@dataclass(slots=True)
class _Found:
    """What was found so far."""

    shared: dict[Place, str] = field(default_factory=dict)
    private: dict[Place, str] = field(default_factory=dict)
    left_out: bool = False
    threads_asked: int = 0


class Sight(Protocol):
    """Which guilds are seen as they are now."""

    @property
    def client(self) -> discord.Client | None:
        """Holds them."""

    def hears(self, guild: int) -> bool:
        """What changes in the guild is known."""

    @property
    def hears_every_shard(self) -> bool:
        """There are no others."""


class DiscordShelf:
    """Implements `bot.finding.Shelf` over what the gateway keeps up to date, and a few calls."""

    def __init__(self, rest: Rest, places: Places, memberships: Memberships, gateway: Sight) -> None:
        self._rest = rest
        self._places = places
        self._memberships = memberships
        self._gateway = gateway
        self._direct: Recent[int, int] = Recent(REMEMBERED)
        """Users, and their channels with the bot, which never change."""
        self._no_threads: Recent[int, str] = Recent(REMEMBERED)

    # ---- what somebody may read

    async def places(self, asker: Author, at: SessionKey, known: Known) -> Readable:
        """What `asker` may read now, or could a minute ago."""
        found, user, direct = _Found(), int(asker.id), at.workspace == DIRECT
        if direct:
            await self._add_direct(found, user, known)
            await self._add_guilds(found, user, known)
        else:
            await self._add_guild(found, int(at.workspace), user, known, at.thread)
        return Readable(found.shared, found.private, direct=direct, left_out=found.left_out)

    async def _add_direct(self, found: _Found, user: int, known: Known) -> None:
        """The asker's own direct messages."""
        with _leaving_out(found):
            channel = await self.direct_channel(user)
            if str(channel) in await known.channels(PLATFORM, DIRECT):
                found.private[Place(PLATFORM, DIRECT, str(channel))] = "direct messages"

    async def _add_guilds(self, found: _Found, user: int, known: Known) -> None:
        """Every guild that the asker shares with the bot, within bounds."""
        client = self._gateway.client
        ids = [guild.id for guild in client.guilds] if client is not None else []
        guilds = sorted(ids, key=lambda guild: not self._memberships.was_met(guild, user))
        found.left_out |= len(guilds) > MOST_GUILDS or not self._gateway.hears_every_shard
        turnstile = asyncio.Semaphore(AT_ONCE)

        async def add(guild: int) -> None:
            async with turnstile:
                await self._add_guild(found, guild, user, known)

        await asyncio.gather(*(add(guild) for guild in guilds[:MOST_GUILDS]))

    async def _add_guild(self, found: _Found, guild_id: int, user: int, known: Known, here: str = "") -> None:
        channels = await known.channels(PLATFORM, str(guild_id))
        if not channels:
            return
        with _leaving_out(found):
            if not self._gateway.hears(guild_id):
                raise _Unsure
            payload = await self._memberships.member(guild_id, user)
            guild = self._places.guild(guild_id)  # only now: it may have changed meanwhile
            if guild is None or guild.unavailable:
                raise _Unsure
            if payload is None:
                return
            member = discord.Member(data=cast(Any, payload), guild=guild, state=guild._state)
            readable = {
                channel.id: channel
                for channel in map(guild.get_channel, map(int, channels))
                if channel is not None and _reads(channel, member)
            }
            for channel in readable.values():
                everybody = _reads(channel, guild.default_role)
                group = found.shared if everybody else found.private
                group[Place(PLATFORM, str(guild_id), str(channel.id))] = f"#{channel.name}"
            await self._add_threads(found, member, readable, known, here)

    async def _add_threads(
        self, found: _Found, member: discord.Member, readable: Mapping[int, Channel], known: Known, here: str
    ) -> None:
        """Private threads in channels that the member reads: the one where it is asked, then the newest."""
        workspace = str(member.guild.id)
        threads = [
            (channel, thread)
            for channel, thread in await known.closed_threads(PLATFORM, workspace)
            if int(channel) in readable
        ]
        for channel, thread in sorted(threads, key=lambda pair: (pair[1] != here, -int(pair[1]))):
            parent = readable[int(channel)]
            who = NOBODY if parent.permissions_for(member).manage_threads else member.id
            found.threads_asked += not self._memberships.knows_thread(int(thread), who)
            if found.threads_asked > MOST_THREADS:
                found.left_out = True
                return
            with _leaving_out(found):
                if await self._memberships.in_thread(int(thread), who):
                    name = f"a private thread in #{parent.name}"
                    found.private[Place(PLATFORM, workspace, channel, thread)] = name

    async def open_to_readers_of(self, at: SessionKey, places: frozenset[Place]) -> frozenset[Place]:
        """Those of `places` whose rules let everybody read them whom those of `at`'s channel let read that.

        The readers of a private thread are among those of its channel.
        """
        guild = self._places.guild(int(at.workspace)) if at.workspace != DIRECT else None
        here = guild.get_channel(int(at.channel)) if guild is not None else None
        if guild is None or here is None:
            return frozenset()
        open_to_all: set[Place] = set()
        for place in places:
            if place.workspace != at.workspace:
                continue
            if place.thread:
                fits = (place.channel, place.thread) == (at.channel, at.thread)
            else:
                channel = guild.get_channel(int(place.channel))
                fits = channel is not None and audience.includes(channel, here)
            if fits:
                open_to_all.add(place)
        return frozenset(open_to_all)

    # ---- where a message is

    async def direct_channel(self, user: int) -> int:
        """The user's channel with the bot. Raises `PlatformError` and `Throttled`."""
        channel = self._direct.get(user)
        if channel is None:
            body = {"recipient_id": str(user)}
            channel = int((await self._rest.call("POST", "/users/@me/channels", body=body))["id"])
            self._direct.put(user, channel)
        return channel

    async def link(self, key: SessionKey, position: int) -> str:
        """The message's address on Discord; "" where it can't be told just now."""
        try:
            channel = await self.home(key, position)
        except (PlatformError, Throttled):
            return ""
        guild = "@me" if key.workspace == DIRECT else key.workspace
        return f"{ADDRESS}/{guild}/{channel}/{position}"

    async def home(self, key: SessionKey, position: int) -> str:
        """The channel or thread that holds a message of the session. Raises `PlatformError`, `Throttled`."""
        if key.workspace == DIRECT:
            return key.channel
        thread, guild = int(key.thread), int(key.workspace)
        if position == thread and not self._is_forum(key):
            return key.channel  # what a thread was opened from stays in the channel
        if self._places.cached(thread, guild) is None:
            if self._no_threads.get(thread):
                return key.channel
            if await self._places.spot(thread, guild) is None:
                self._no_threads.put(thread, "none")
                return key.channel
        return key.thread

    def _is_forum(self, key: SessionKey) -> bool:
        guild = self._places.guild(int(key.workspace))
        parent = guild.get_channel(int(key.channel)) if guild is not None else None
        return isinstance(parent, discord.ForumChannel)


class _Unsure(Exception):
    """It can't be said who may read it."""


@contextmanager
def _leaving_out(found: _Found) -> Iterator[None]:
    """What can't be determined within is left out, and said so."""
    try:
        yield
    except (PlatformError, Throttled, _Unsure) as error:
        found.left_out = True
        log.info("a place is left out of recall", extra={"event": "left_out", "error": type(error).__name__})


def _reads(channel: Channel, who: discord.Member | discord.Role) -> bool:
    rights = channel.permissions_for(who)
    voiced = isinstance(channel, discord.VoiceChannel | discord.StageChannel)
    return rights.view_channel and rights.read_message_history and (rights.connect or not voiced)
