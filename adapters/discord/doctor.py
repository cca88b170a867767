"""What `threadfly doctor` can say about Discord: token, intents, identifies left, rights in each server."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from adapters.discord import invite
from adapters.discord.rest import Rest
from adapters.posts import Throttled
from bot.errors import PlatformError

Payload = dict[str, Any]

CONTENT_ALLOWED = 1 << 18 | 1 << 19
"""Application flags: the message content intent is granted, or switched on (below 100 servers)."""
ADMINISTRATOR = 1 << 3
SERVERS = 25
"""Servers looked at."""
PORTAL = "https://discord.com/developers/applications"


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
    except (PlatformError, Throttled) as error:
        yield Finding(
            "Discord: token", well=False, found=str(error), advice=f"Copy the token from {PORTAL}, page Bot."
        )
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
        "" if on else f"Switch it on at {PORTAL}, page Bot, Privileged Gateway Intents.",
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
    if not guilds:
        link = invite.url(str(rest.application))
        yield Finding("Discord: servers", well=False, found="the bot is in none", advice=f"Invite it: {link}")
    for guild in guilds:
        missing = _missing(int(guild["permissions"]))
        yield Finding(
            f"Discord: rights in {guild['name']}",
            not missing,
            f"it lacks {', '.join(missing)}" if missing else "all there",
            f"Invite it again, or give it the rights: {invite.url(str(rest.application))}" if missing else "",
        )


def _missing(permissions: int) -> list[str]:
    if permissions & ADMINISTRATOR:
        return []
    return [right for right, held in invite.permissions() if held and not permissions & _bit(right)]


def _bit(right: str) -> int:
    from discord import Permissions

    return Permissions(**{right: True}).value
