"""Discord looked at beside a bot that may be running: over its REST API alone, without a gateway."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import discord

from adapters.discord.ears import intents
from adapters.discord.memberships import Memberships
from adapters.discord.places import DIRECT, Places
from adapters.discord.rest import Payload, Rest
from adapters.discord.shelf import MOST_GUILDS, DiscordShelf
from adapters.posts import Throttled
from bot.errors import PlatformForbidden, PlatformUnavailable, PostGone

WAIT = "Discord wants me to wait. Please try again in a minute."


@asynccontextmanager
async def shelf_of(workspace: str, *, api_url: str, token: str) -> AsyncIterator[DiscordShelf]:
    """Who may read what in a guild, or as seen from direct messages (`dm`).

    Raises `PlatformForbidden`, `PlatformUnavailable`.
    """
    rest = Rest(token, api_url)
    try:
        await rest.open()
        sight = await _sight(rest, workspace)
        places = Places(rest, lambda: sight.client)
        yield DiscordShelf(rest, places, Memberships(rest), sight)
    except Throttled as throttled:
        raise PlatformUnavailable(WAIT) from throttled
    finally:
        await rest.close()


class Sight:
    """Guilds as REST tells them at this moment, for as long as one question takes."""

    def __init__(self, client: discord.Client, *, whole: bool) -> None:
        self.client: discord.Client | None = client
        self.hears_every_shard = whole

    def hears(self, guild: int) -> bool:
        """They were asked for just now."""
        return self.client is not None and self.client.get_guild(guild) is not None


async def _sight(rest: Rest, workspace: str) -> Sight:
    ids: Sequence[str] = [workspace]
    if workspace == DIRECT:
        ids = [guild["id"] for guild in await rest.call("GET", "/users/@me/guilds")]
    client = discord.Client(intents=intents(content=False))
    for guild in ids[:MOST_GUILDS]:
        client._connection._add_guild(await guild_of(rest, guild, client))
    return Sight(client, whole=len(ids) <= MOST_GUILDS)


async def guild_of(rest: Rest, guild: str, client: discord.Client | None = None) -> discord.Guild:
    """A guild with its roles and channels, as REST tells it.

    Raises `PlatformForbidden`, `PlatformUnavailable`, `Throttled`.
    """
    client = client or discord.Client(intents=intents(content=False))
    told = await _guild(rest, guild)
    try:
        return discord.Guild(data=cast(Any, told), state=client._connection)
    except (KeyError, TypeError, ValueError) as error:
        raise PlatformUnavailable("Discord tells of a server in a way that I can't read.") from error


async def _guild(rest: Rest, guild: str) -> Payload:
    """A guild with its channels."""
    if not guild.isdecimal():
        raise PlatformForbidden(f"A Discord server is named by a number, or `{DIRECT}`, and not {guild!r}.")
    try:
        told: Payload = await rest.call("GET", "/guilds/{guild_id}", guild_id=int(guild))
        channels = await rest.call("GET", "/guilds/{guild_id}/channels", guild_id=int(guild))
    except (PlatformForbidden, PostGone) as error:
        raise PlatformForbidden(f"I am in no Discord server {guild}.") from error
    return {"emojis": [], "stickers": [], "features": [], **told, "channels": channels}
