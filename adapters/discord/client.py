"""The gateway: one supervised client, which listens. What is said goes out through `rest.py`."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import discord

from adapters.discord import addresses, invite, leniency
from adapters.discord.ears import Many, One, forgetting_others, intents, noting_the_last, stop_hearts
from adapters.discord.pauses import IDENTIFY_PAUSE_S, LONGEST_PAUSE_S, STEADY_S, Identifies, be_patient
from adapters.discord.rest import Refused, Rest, TokenRefused, our_errors
from bot.errors import PlatformForbidden, PlatformUnavailable, PostGone

log = logging.getLogger(__name__)

FIRST_TRY_S = 30.0
"""How long opening waits for the gateway before it goes on trying in the background."""
AUTHENTICATION_FAILED = 4004
"""The close code that says that the token is no good."""
LOCKED_OUT = "Discord refuses the bot's token: set DISCORD_TOKEN to the one of your app, and restart."

OnRaw = Callable[[str], Awaitable[None]]
OnGuilds = Callable[[Sequence[discord.Guild]], Awaitable[None]]
OnCount = Callable[[frozenset[int], int, int], Awaitable[None]]
"""Takes the ids of all guilds of a shard, the shard, and how many shards there are."""


async def ended(task: "asyncio.Task[None]") -> None:
    """Cancel a task until it ends: `asyncio.wait_for`, which discord.py uses, can swallow one (3.11)."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=1.0)


def _refuses_token(error: Exception) -> bool:
    if isinstance(error, discord.ConnectionClosed):
        return error.code == AUTHENTICATION_FAILED
    return isinstance(error, PlatformForbidden | TokenRefused)


class Gateway:
    """Keeps a client connected until it is closed, whatever ends it. Implements `ears.Supervisor`.

    `heard` gets every payload as it came. `began` is called whenever a session is new, or a guild
    came into sight: what was said before that was not heard. `counted` gets every guild that the bot
    is in, whenever that was told anew.
    """

    def __init__(
        self,
        rest: Rest,
        token: str,
        heard: OnRaw,
        began: OnGuilds,
        counted: OnCount,
        shard_ids: Sequence[int] = (),
        shard_count: int | None = None,
        *,
        identify_pause_s: float = IDENTIFY_PAUSE_S,
        heartbeat_timeout_s: float = 60.0,
        guild_ready_s: float = 2.0,
    ) -> None:
        self.rest = rest
        self._token = token
        self._heard = heard
        self._began = began
        self._counted = counted
        self._shard_ids = tuple(shard_ids)
        self._shard_count = shard_count
        self._heartbeat_timeout_s = heartbeat_timeout_s
        self._guild_ready_s = guild_ready_s
        self.identifies = Identifies(rest, identify_pause_s)
        self.client: discord.Client | None = None
        """The present client; its cache outlives its connection."""
        self.content = True
        """The message-content intent was not refused."""
        self._up: set[int] = set()
        self._wanted: tuple[int, ...] = ()
        self._connected = asyncio.Event()
        self._trouble = "it is not connected yet"
        self._refused: PlatformForbidden | None = None
        self._running: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect; returns when connected, or when that takes long. Raises `PlatformForbidden`."""
        self._running = asyncio.create_task(self._run(), name="discord gateway")
        connected = asyncio.create_task(self._connected.wait())
        try:
            await asyncio.wait(
                {self._running, connected}, timeout=FIRST_TRY_S, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            connected.cancel()
        if self._refused is not None:
            raise self._refused

    async def close(self) -> None:
        """Listen no more."""
        if self._running is not None:
            await ended(self._running)
            self._running = None
        self._trouble = "it is closed"

    def ailing(self) -> str:
        """Why nothing is heard; "" when all is well."""
        if self._wanted and set(self._wanted) <= self._up:
            return ""
        return f"Discord: {self._trouble}"

    async def took(self, raw: str) -> None:
        """As `ears.Supervisor`."""
        await self._heard(raw)

    async def began(self, guilds: Sequence[discord.Guild]) -> None:
        """As `ears.Supervisor`."""
        await self._began(guilds)

    def is_up(self, shard: int | None) -> None:
        """As `ears.Supervisor`."""
        if shard is None and len(self._wanted) > 1:
            return
        self._up.add(self._wanted[0] if shard is None else shard)
        if set(self._wanted) <= self._up:
            self._connected.set()

    def is_down(self, shard: int | None) -> None:
        """As `ears.Supervisor`."""
        if shard is None and len(self._wanted) > 1:
            return
        self._trouble = "the connection is being mended"
        self._up.discard(self._wanted[0] if shard is None else shard)

    async def counted(self, shard: int | None, guilds: Sequence[discord.Guild]) -> None:
        """As `ears.Supervisor`."""
        if shard is None and len(self._wanted) > 1:
            return
        count = (self.client and self.client.shard_count) or 1
        one = self._wanted[0] if shard is None else shard
        if count == 1 and not guilds:
            self._say_how_to_begin()
        await self._counted(frozenset(guild.id for guild in guilds), one, count)

    def _say_how_to_begin(self) -> None:
        log.warning(
            "The bot is in no Discord server. Open this to invite it: %s",
            invite.url(str(self.rest.application)),
            extra={"event": "no_guild"},
        )

    def hears(self, guild: int) -> bool:
        """What changes in the guild is heard now."""
        if self.client is None or self.client.is_closed():
            return False
        known = self.client.get_guild(guild)
        return known is not None and known.shard_id in self._up

    @property
    def hears_every_shard(self) -> bool:
        """No other process listens to guilds that this one does not."""
        count = self.client.shard_count if self.client is not None else None
        return count is not None and len(self._wanted) == count

    @property
    def hears_direct(self) -> bool:
        """Direct messages come through the first shard."""
        return 0 in self._wanted

    async def _run(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            try:
                await self._listen()
            except discord.PrivilegedIntentsRequired:
                self.content = False
                log.warning(
                    "Discord refuses the message content intent: only mentions and direct messages can be "
                    "read. Switch it on at %s, page Bot, and restart.",
                    invite.PORTAL,
                    extra={"event": "no_message_content"},
                )
                continue
            except Exception as error:  # noqa: BLE001  # whatever ends discord.py's loop, we listen again
                self._ended(error)
                if _refuses_token(error):
                    if not self._connected.is_set():
                        self._refused = PlatformForbidden(LOCKED_OUT)
                        return
                    await asyncio.sleep(random.uniform(1.0, 1.2) * LONGEST_PAUSE_S)
            failures = 0 if time.monotonic() - began > STEADY_S else failures + 1
            await asyncio.sleep(random.uniform(0.75, 1.25) * min(60.0, 0.25 * 2 ** min(failures, 10)))

    def _ended(self, error: Exception) -> None:
        self._up.clear()
        if _refuses_token(error):
            self._trouble = LOCKED_OUT
            log.error("%s", LOCKED_OUT, extra={"event": "discord_refused"})
            return
        kind = type(error).__name__
        code = f", code {error.code}" if isinstance(error, discord.ConnectionClosed) else ""
        self._trouble = f"the connection ended ({kind}{code})"
        log.warning(
            "The Discord gateway is opened again: %s.",
            self._trouble,
            extra={"event": "gateway_ended", "error": kind},
        )

    async def _listen(self) -> None:
        """One client, until something ends it."""
        url, shards = await self._told()
        addresses.use_gateway(url)
        count = self._shard_count or shards
        ids = self._shard_ids or tuple(range(count))
        self._wanted = ids
        client = self._client(ids, count)
        try:
            with our_errors("logging in"):
                await client.login(self._token)
            self.client = client
            await client.connect()
        finally:
            with contextlib.suppress(Exception):
                await client.close()
            await stop_hearts(client)

    async def _told(self) -> tuple[str, int]:
        """The gateway's address, and how many shards are recommended."""
        try:
            told = await self.rest.call("GET", "/gateway/bot")
        except (PostGone, Refused):
            told = await self._told_to_all()
        return told["url"], int(told.get("shards") or 1)

    async def _told_to_all(self) -> dict[str, Any]:
        try:
            told: dict[str, Any] = await self.rest.call("GET", "/gateway")
        except (PostGone, Refused) as error:
            raise PlatformUnavailable("Discord does not tell the gateway's address") from error
        return told

    def _client(self, ids: tuple[int, ...], count: int) -> discord.Client:
        options: dict[str, Any] = {
            "intents": intents(content=self.content),
            "allowed_mentions": discord.AllowedMentions.none(),
            "max_messages": None,
            "member_cache_flags": discord.MemberCacheFlags.none(),
            "chunk_guilds_at_startup": False,
            "enable_debug_events": True,
            "heartbeat_timeout": self._heartbeat_timeout_s,
            "guild_ready_timeout": self._guild_ready_s,
            "shard_count": count,
        }
        be_patient()
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # nobody misses a voice
        one, many = len(ids) == 1, list(ids)
        client = One(shard_id=ids[0], **options) if one else Many(shard_ids=many, **options)
        client.supervisor = self
        parsers = client._connection.parsers
        parsers["MESSAGE_CREATE"] = noting_the_last(client)
        leniency.parse_leniently(parsers)
        if not one:
            parsers["READY"] = forgetting_others(client, parsers["READY"])
        return client
