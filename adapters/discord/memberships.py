"""Who belongs to which guild and private thread, asked of Discord and remembered for a minute at most."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from adapters.discord.rest import Rest
from adapters.jsons import loads
from bot.errors import PostGone
from bot.recent import Recent

Payload = dict[str, Any]
V = TypeVar("V")

FRESH_S = 60.0
"""How long an answer of Discord's counts."""
REMEMBERED = 10_000
CHANGED = (
    "GUILD_MEMBER_UPDATE",
    "GUILD_MEMBER_REMOVE",
    "GUILD_BAN_ADD",
    "THREAD_MEMBERS_UPDATE",
    "THREAD_DELETE",
)
"""Events after which something is asked anew. Without the members intent most of them do not come."""

NOBODY = 0
"""In place of a user: what is remembered of the thread itself."""

Pair = tuple[int, int]
"""A guild or a thread, and a user."""


class Memberships:
    """Asks about one person at a time, so that it works without the members intent."""

    def __init__(self, rest: Rest, clock: Callable[[], float] = time.monotonic) -> None:
        self._rest = rest
        self._clock = clock
        self._members: Recent[Pair, tuple[float, Payload | None]] = Recent(REMEMBERED)
        self._in_threads: Recent[Pair, tuple[float, bool]] = Recent(REMEMBERED)
        self._changes = 0

    def met(self, guild: int, member: Payload) -> None:
        """A member as an interaction brought it, hence as it is now."""
        self._members.put((guild, int(member["user"]["id"])), (self._clock(), member))

    def was_met(self, guild: int, user: int) -> bool:
        """Whether the user was a member when it was last looked at, however long ago."""
        known = self._members.get((guild, user))
        return known is not None and known[1] is not None

    async def member(self, guild: int, user: int) -> Payload | None:
        """The member; None if the user is none. Raises `PlatformError` and `Throttled`."""
        path = "/guilds/{guild_id}/members/{user_id}"

        async def ask() -> Payload | None:
            try:
                member: Payload = await self._rest.call("GET", path, tries=2, guild_id=guild, user_id=user)
            except PostGone:
                return None
            return member

        return await self._fresh(self._members, (guild, user), ask)

    def knows_thread(self, thread: int, user: int) -> bool:
        """Whether `in_thread` would answer without asking Discord."""
        known = self._in_threads.get((thread, user))
        return known is not None and self._clock() - known[0] < FRESH_S

    async def in_thread(self, thread: int, user: int) -> bool:
        """Whether the user is a member of the thread; for `NOBODY`, whether it is there.

        Raises `PlatformError` and `Throttled`.
        """
        path = "/channels/{channel_id}" + ("" if user == NOBODY else "/thread-members/{user_id}")

        async def ask() -> bool:
            try:
                await self._rest.call("GET", path, tries=2, channel_id=thread, user_id=user)
            except PostGone:
                return False
            return True

        return await self._fresh(self._in_threads, (thread, user), ask)

    async def _fresh(
        self, memory: Recent[Pair, tuple[float, V]], pair: Pair, ask: Callable[[], Awaitable[V]]
    ) -> V:
        now, changes = self._clock(), self._changes
        known = memory.get(pair)
        if known is not None and now - known[0] < FRESH_S:
            return known[1]
        value = await ask()
        if changes == self._changes:
            memory.put(pair, (now, value))
        return value

    def heard(self, raw: str) -> None:
        """One payload of the gateway, as it came: forget what it changes."""
        if not any(name in raw for name in CHANGED):
            return
        payload = loads(raw)
        event, data = payload.get("t"), payload.get("d")
        if event not in CHANGED:
            return
        self._changes += 1
        if event == "THREAD_MEMBERS_UPDATE":
            for user in data.get("removed_member_ids", ()):
                self._in_threads.drop((int(data["id"]), int(user)))
        elif event == "THREAD_DELETE":
            self._in_threads.drop((int(data["id"]), NOBODY))
        else:
            self._members.drop((int(data["guild_id"]), int(data["user"]["id"])))
