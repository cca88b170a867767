"""discord.py's clients, as they listen for us. Whoever supervises one is told of all that matters."""

import asyncio
import contextlib
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import discord
from discord.gateway import KeepAliveHandler

from adapters.discord import leniency
from adapters.discord.pauses import Identifies
from adapters.discord.rest import Rest

log = logging.getLogger(__name__)

TALK = (discord.TextChannel, discord.VoiceChannel, discord.StageChannel, discord.Thread)
"""Where things are said, and discord.py knows what was said last."""
HEART_S = 5.0
"""How long a thread that sends heartbeats may take to end; it sends at most one more."""


class Supervisor(Protocol):
    """Who is told by a client what became of it."""

    rest: Rest
    identifies: Identifies

    def is_up(self, shard: int | None) -> None:
        """A shard is connected; None: the only one (with several, each is told by its number)."""

    def is_down(self, shard: int | None) -> None:
        """A shard lost its connection."""

    async def took(self, raw: str) -> None:
        """A payload of the gateway, as it came."""

    async def began(self, guilds: Sequence[discord.Guild]) -> None:
        """What was said in these guilds before now was not heard."""

    async def counted(self, shard: int | None, guilds: Sequence[discord.Guild]) -> None:
        """A session began, and these are all guilds of the shard."""


def intents(*, content: bool) -> discord.Intents:
    """What the bot listens to. No members, no presences."""
    return discord.Intents(guilds=True, messages=True, message_content=content)


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


class Ears(discord.Client):
    """What both kinds of discord.py's client do for us; comes before them."""

    supervisor: Supervisor

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
        await self.supervisor.took(message)

    async def on_connect(self) -> None:
        self.supervisor.is_up(None)

    async def on_resumed(self) -> None:
        self.supervisor.is_up(None)

    async def on_disconnect(self) -> None:
        self.supervisor.is_down(None)

    async def on_ready(self) -> None:
        await self.supervisor.counted(None, self.guilds)
        await self.supervisor.began(self.guilds)

    async def on_guild_available(self, guild: discord.Guild) -> None:
        await self.supervisor.began([guild])

    async def on_guild_join(self, guild: discord.Guild) -> None:
        await self.supervisor.began([guild])

    async def on_error(self, event_method: str, /, *_args: Any, **_kwargs: Any) -> None:
        log.error(
            "An event of Discord's could not be handled (%s).",
            type(sys.exception()).__name__,
            extra={"event": "not_handled", "of": event_method},
        )


def forgetting_others(client: discord.Client, begin: Callable[[Any], None]) -> Callable[[Any], None]:
    """`begin`, by which a session of a shard begins, and then no guild is known that READY does not name.

    Of a client with one shard that is discord.py's own doing.
    """

    def run(ready: Any) -> None:
        begin(ready)
        shard, named = ready["shard"][0], {int(guild["id"]) for guild in ready["guilds"]}
        for guild in client.guilds:
            if guild.shard_id == shard and guild.id not in named:
                client._connection._remove_guild(guild)

    return run


def noting_the_last(client: discord.Client) -> Callable[[Any], None]:
    """Notes what was said last in a channel, which catching up asks, in place of making a message of it.

    Nobody listens to discord.py's messages: they are read from the payload as it came.
    """

    def run(said: Any) -> None:
        place, _ = client._connection._get_guild_channel(said)
        if isinstance(place, TALK):
            place.last_message_id = int(said["id"])

    return run


class One(Ears, discord.Client):
    """One shard: resumes after whatever happened."""


class Many(Ears, discord.AutoShardedClient):
    """Several shards in one process."""

    async def on_shard_connect(self, shard_id: int) -> None:
        self.supervisor.is_up(shard_id)

    async def on_shard_resumed(self, shard_id: int) -> None:
        self.supervisor.is_up(shard_id)

    async def on_shard_disconnect(self, shard_id: int) -> None:
        self.supervisor.is_down(shard_id)

    async def on_shard_ready(self, shard_id: int) -> None:
        await self._count(shard_id)
        await self.supervisor.began([guild for guild in self.guilds if guild.shard_id == shard_id])

    async def on_ready(self) -> None:
        for (
            shard_id
        ) in self.shards:  # discord.py forgets to tell of one whose READY another's follows too soon
            await self._count(shard_id)
        await self.supervisor.began(self.guilds)

    async def _count(self, shard_id: int) -> None:
        guilds = [guild for guild in self.guilds if guild.shard_id == shard_id]
        await self.supervisor.counted(shard_id, guilds)
