"""The gateway: one supervised client, which listens. What is said goes out through `rest.py`."""

import asyncio
import contextlib
import logging
import random
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import discord
import discord.client
import discord.shard
from discord.backoff import ExponentialBackoff
from discord.gateway import KeepAliveHandler

from adapters.discord import addresses, leniency
from adapters.discord.rest import Refused, Rest, TokenRefused, our_errors
from adapters.posts import Throttled
from bot.errors import PlatformError, PlatformForbidden, PlatformUnavailable, PostGone

log = logging.getLogger(__name__)

IDENTIFY_PAUSE_S = 5.0
"""Discord's own limit for sessions that are opened one after the other; doubled while they don't last."""
LONGEST_PAUSE_S = 900.0
"""Before a session is opened; also before a token is tried again that was good once."""
RECONNECT_S = 60.0
"""Longest pause of discord.py's between two tries to connect: its own grow to 17 minutes."""
STEADY_S = 600.0
"""A connection that lasted so long was a good one: the next pause is short again."""
NO_LIMIT = 1_000
"""Identifies a day, where nobody tells how many are left."""
RESERVE = 10
"""Identifies of the day that are left alone: past the last one Discord resets the token."""
FIRST_TRY_S = 30.0
"""How long opening waits for the gateway before it goes on trying in the background."""
HEART_S = 5.0
"""How long a thread that sends heartbeats may take to end; it sends at most one more."""
AUTHENTICATION_FAILED = 4004
"""The close code that says that the token is no good."""
LOCKED_OUT = "Discord refuses the bot's token: set DISCORD_TOKEN to the one of your app, and restart."

OnRaw = Callable[[str], Awaitable[None]]
OnGuilds = Callable[[Sequence[discord.Guild]], Awaitable[None]]


def intents(*, content: bool) -> discord.Intents:
    """What the bot listens to. No members, no presences."""
    return discord.Intents(guilds=True, messages=True, message_content=content)


async def ended(task: "asyncio.Task[None]") -> None:
    """Cancel a task until it ends: `asyncio.wait_for`, which discord.py uses, can swallow one (3.11)."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=1.0)


async def stop_hearts(client: discord.Client) -> None:
    """End the threads that send heartbeats for `client`, and their connections, while its loop still runs.

    discord.py forgets those whose session was cut off before it was open, or whose socket closed first:
    they would go on for ever, and fail once the loop is gone.
    """
    left = [
        thread
        for thread in threading.enumerate()
        if isinstance(thread, KeepAliveHandler) and thread.ws._connection is client._connection
    ]
    for thread in left:
        thread.stop()
        with contextlib.suppress(Exception):
            await thread.ws.close(code=1000)
    for thread in left:
        await asyncio.to_thread(thread.join, HEART_S)


def _refuses_token(error: Exception) -> bool:
    if isinstance(error, discord.ConnectionClosed):
        return error.code == AUTHENTICATION_FAILED
    return isinstance(error, PlatformForbidden | TokenRefused)


class Identifies:
    """Sees to it that sessions are not opened in a loop: 1,000 a day, then Discord resets the token."""

    def __init__(self, rest: Rest, pause_s: float = IDENTIFY_PAUSE_S) -> None:
        self._rest = rest
        self._pause_s = pause_s
        self._in_a_row: dict[int, int] = {}
        self._last: dict[int, float] = {}

    async def wait(self, shard: int) -> None:
        """Wait until the shard may identify. What is left of a wait that was cut off comes next time."""
        now = time.monotonic()
        last = self._last.get(shard)
        if last is not None:
            pause = min(LONGEST_PAUSE_S, self._pause_s * 2 ** min(20, self._in_a_row.get(shard, 0)))
            await asyncio.sleep(last + pause * random.uniform(1.0, 1.2) - now)
        await self._budget()
        short = last is not None and now - last < STEADY_S
        self._in_a_row[shard] = self._in_a_row.get(shard, 0) + 1 if short else 0
        self._last[shard] = time.monotonic()

    async def _budget(self) -> None:
        while True:
            try:
                told = await self._rest.call("GET", "/gateway/bot")
            except (PlatformError, Throttled):
                return
            limit = told.get("session_start_limit") or {}
            if limit.get("remaining", NO_LIMIT) > RESERVE or limit.get("total", NO_LIMIT) <= RESERVE:
                return
            wait = min(LONGEST_PAUSE_S, limit.get("reset_after", 0) / 1000 or LONGEST_PAUSE_S)
            log.error(
                "No new Discord session until %d s from now: the day's are used up.",
                wait,
                extra={"event": "identify_budget"},
            )
            await asyncio.sleep(wait)


class Backoff(ExponentialBackoff[bool]):
    """discord.py's, which after an hour without a network would stay away for many minutes more."""

    def delay(self) -> float:
        return min(super().delay(), random.uniform(0.5, 1.0) * RECONNECT_S)


def be_patient() -> None:
    """Let every client of the process wait by `Backoff`: discord.py takes no other as an argument."""
    for module in (discord.client, discord.shard):
        setattr(module, ExponentialBackoff.__name__, Backoff)


class _Ears(discord.Client):
    """What both kinds of discord.py's client do for us; comes before them."""

    supervisor: "Gateway"

    async def application_info(self) -> discord.AppInfo:
        """As discord.py's, which asks where not every server answers."""
        rest = self.supervisor.rest
        owner = {"id": str(rest.me)}
        return discord.AppInfo(self._connection, leniency.application(rest.about, owner))  # type: ignore[arg-type]

    async def before_identify_hook(
        self,
        shard_id: int | None,
        *,
        initial: bool = False,  # noqa: ARG002  # discord.py passes it by name
    ) -> None:
        await self.supervisor.identifies.wait(shard_id or 0)

    def dispatch(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        """As discord.py's, but not once the client is closed: it has no loop then, and still tries."""
        if not self.is_closed():
            super().dispatch(event, *args, **kwargs)

    async def on_socket_raw_receive(self, message: str) -> None:
        await self.supervisor.heard(message)

    async def on_connect(self) -> None:
        self.supervisor.is_up(None)

    async def on_resumed(self) -> None:
        self.supervisor.is_up(None)

    async def on_disconnect(self) -> None:
        self.supervisor.is_down(None)

    async def on_ready(self) -> None:
        await self.supervisor.begun(self.guilds)

    async def on_guild_available(self, guild: discord.Guild) -> None:
        await self.supervisor.begun([guild])

    async def on_guild_join(self, guild: discord.Guild) -> None:
        await self.supervisor.begun([guild])

    async def on_error(self, event_method: str, /, *_args: Any, **_kwargs: Any) -> None:
        log.error(
            "An event of Discord's could not be handled (%s).",
            type(sys.exception()).__name__,
            extra={"event": "not_handled", "of": event_method},
        )


class _One(_Ears, discord.Client):
    """One shard: resumes after whatever happened."""


class _Many(_Ears, discord.AutoShardedClient):
    """Several shards in one process."""

    async def on_shard_connect(self, shard_id: int) -> None:
        self.supervisor.is_up(shard_id)

    async def on_shard_resumed(self, shard_id: int) -> None:
        self.supervisor.is_up(shard_id)

    async def on_shard_disconnect(self, shard_id: int) -> None:
        self.supervisor.is_down(shard_id)

    async def on_shard_ready(self, shard_id: int) -> None:
        await self.supervisor.begun([guild for guild in self.guilds if guild.shard_id == shard_id])


class Gateway:
    """Keeps a client connected until it is closed, whatever ends it.

    `heard` gets every payload as it came. `began` is called whenever a session is new, or a guild
    came into sight: what was said before that was not heard.
    """

    def __init__(
        self,
        rest: Rest,
        token: str,
        heard: OnRaw,
        began: OnGuilds,
        shard_ids: Sequence[int] = (),
        shard_count: int | None = None,
        *,
        identify_pause_s: float = IDENTIFY_PAUSE_S,
        heartbeat_timeout_s: float = 60.0,
        guild_ready_s: float = 2.0,
    ) -> None:
        self.rest = rest
        self._token = token
        self.heard = heard
        self.begun = began
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

    def is_up(self, shard: int | None) -> None:
        """A shard is connected; None: the only one (with several, each is told by its number)."""
        if shard is None and len(self._wanted) > 1:
            return
        self._up.add(self._wanted[0] if shard is None else shard)
        if set(self._wanted) <= self._up:
            self._connected.set()

    def is_down(self, shard: int | None) -> None:
        """A shard lost its connection."""
        if shard is None and len(self._wanted) > 1:
            return
        self._trouble = "the connection is being mended"
        self._up.discard(self._wanted[0] if shard is None else shard)

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
                    "Discord refuses the message content intent: only mentions and direct messages can "
                    "be read. Switch it on at https://discord.com/developers/applications, page Bot.",
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
        client = _One(shard_id=ids[0], **options) if one else _Many(shard_ids=many, **options)
        client.supervisor = self
        leniency.parse_leniently(client._connection.parsers)
        return client
