"""What `threadfly doctor` can say about Discord: token, intents, identifies left, rights in each server."""

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import discord

from adapters.discord import invite
from adapters.discord.beside import guild_of
from adapters.discord.rest import Rest
from adapters.posts import Throttled
from bot.errors import PlatformError, PlatformForbidden

Payload = dict[str, Any]

CONTENT_ALLOWED = 1 << 18 | 1 << 19
"""Application flags: the message content intent is granted, or switched on (below 100 servers)."""
SERVERS = 25
"""Servers looked at."""
CHANNELS_TOLD = 10
"""Channels of a server that are named, if something is missing there."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried."""

    what: str
    well: bool
    found: str
    advice: str = ""
    """What to do when it is not well."""


async def examine(token: str, api_url: str) -> AsyncIterator[Finding]:
    """Try everything that can be tried without disturbing a running bot: no session is opened."""
    rest = Rest(token, api_url)
    try:
        await rest.open()
    except PlatformForbidden as refused:
        advice = f"Copy the token from {invite.PORTAL}, page Bot."
        yield Finding("Discord: token", well=False, found=str(refused), advice=advice)
        return
    except (PlatformError, Throttled) as error:
        advice = "See whether discord.api_url is right and can be reached from here, then try again."
        yield Finding("Discord: API", well=False, found=str(error), advice=advice)
        return
    try:
        yield Finding("Discord: token", well=True, found=f"it is application {rest.application}")
        for check in (_intents(rest), _identifies(rest), _rights(rest)):
            async for finding in check:
                yield finding
    except (PlatformError, Throttled) as error:
        yield Finding("Discord: API", well=False, found=str(error), advice="Try again in a minute.")
    finally:
        await rest.close()


async def _intents(rest: Rest) -> AsyncIterator[Finding]:
    flags = int(rest.about.get("flags") or 0)
    on = bool(flags & CONTENT_ALLOWED)
    yield Finding(
        "Discord: message content intent",
        on,
        "on" if on else "off: only mentions and direct messages can be read, replies in threads can't",
        "" if on else f"Switch it on at {invite.PORTAL}, page Bot, Privileged Gateway Intents; then restart.",
    )


async def _identifies(rest: Rest) -> AsyncIterator[Finding]:
    told = await rest.call("GET", "/gateway/bot")
    limit = told.get("session_start_limit") or {}
    left = limit.get("remaining", 1)
    left_of = f", {left} of {limit['total']} sessions left today" if "total" in limit else ""
    yield Finding(
        "Discord: gateway",
        left > 0,
        f"{told.get('shards', 1)} shards recommended{left_of}",
        "" if left else "Wait until tomorrow: something opened sessions in a loop.",
    )


async def _rights(rest: Rest) -> AsyncIterator[Finding]:
    guilds = await rest.call("GET", "/users/@me/guilds", query={"limit": SERVERS})
    invitation = f"run `threadfly invite discord {rest.application}` and open what it prints"
    if not guilds:
        advice = f"Invite it: {invitation}."
        yield Finding("Discord: servers", well=False, found="the bot is in none", advice=advice)
    for guild in guilds:
        what = f"Discord: rights in {guild['name']}"
        missing = _missing(discord.Permissions(int(guild.get("permissions") or 0)))
        if missing:
            advice = f"Give them to its role, or invite it again: {invitation}."
            yield Finding(what, well=False, found=f"it lacks {', '.join(missing)}", advice=advice)
            continue
        lacking = list(await _channels(rest, guild["id"]))
        told = "; ".join(["all there", *lacking[:CHANNELS_TOLD]])
        more = f"; and in {len(lacking) - CHANNELS_TOLD} more" if len(lacking) > CHANNELS_TOLD else ""
        advice = "Where it should answer, add it or its role to the channel's permissions." if lacking else ""
        yield Finding(what, well=True, found=told + more, advice=advice)


async def _channels(rest: Rest, guild: str) -> Iterator[str]:
    """Channels that take rights from the bot, each with these: on purpose, or not."""
    try:
        known, me = await guild_of(rest, guild), await _me(rest, guild)
    except (PlatformError, Throttled):
        return iter(())  # what can't be looked at is not missing
    member = discord.Member(data=me, guild=known, state=known._state)  # type: ignore[arg-type]
    return _lacking(known.channels, member)


async def _me(rest: Rest, guild: str) -> Payload:
    path = "/guilds/{guild_id}/members/{user_id}"
    member: Payload = await rest.call("GET", path, guild_id=int(guild), user_id=rest.me)
    return member


def _lacking(channels: Iterable[discord.abc.GuildChannel], member: discord.Member) -> Iterator[str]:
    for channel in channels:
        if isinstance(channel, discord.CategoryChannel):
            continue
        rights = channel.permissions_for(member)
        if not rights.view_channel:
            yield f"#{channel.name} is hidden from it"
        elif missing := _missing(rights):
            yield f"#{channel.name} lacks {', '.join(missing)}"


def _missing(permissions: discord.Permissions) -> list[str]:
    """Rights that are not there, as Discord's settings call them."""
    if permissions.administrator:
        return []
    return [
        right.replace("_", " ").title()
        for right, needed in invite.permissions()
        if needed and not getattr(permissions, right)
    ]
