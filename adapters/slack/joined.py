"""Which conversations the bot is in, and which of them somebody shares with it.

Slack tells both at once (`users.conversations`). Other servers of its API often lack that method; what they
have instead is a list of all conversations, and of each one who is in it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from adapters.slack.cursors import following
from adapters.slack.errors import UNKNOWN, Refused

Json = Mapping[str, Any]
Read = Callable[..., Awaitable[Json]]

A_PAGE = 500
MOST_PAGES = 10
MOST_ASKED = 20
"""Conversations of which is asked who is in them, where that can't be told at once."""


def of_the_bot(conversations: Iterable[Json]) -> list[Json]:
    """Those of a list of all conversations that the bot is in. Of a direct message that is not told."""
    return [each for each in conversations if each.get("id") and each.get("is_member") is not False]


async def listed(read: Read, method: str, what: str, **arguments: Any) -> tuple[list[Any], bool]:
    """What a paged method lists, and whether that is all."""
    found: list[Any] = []
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = await read(method, limit=A_PAGE, cursor=cursor, **arguments)
        found += page.get(what) or ()
        cursor = following(page, cursor)
        if cursor is None:
            return found, True
    return found, False


async def joined(read: Read, types: str, user: str | None = None) -> tuple[list[Json], bool]:
    """Conversations of the bot, or those that it shares with `user`; and whether these are all.

    Raises `PlatformError`.
    """
    whose = {} if user is None else {"user": user}
    wanted = {"types": types, "exclude_archived": False}
    try:
        found, whole = await listed(read, "users.conversations", "channels", **wanted, **whose)
        return [each for each in found if each.get("id")], whole
    except Refused as refused:
        if refused.code not in UNKNOWN:
            raise
    found, whole = await listed(read, "conversations.list", "channels", **wanted)
    of_ours = of_the_bot(found)
    return (of_ours, whole) if user is None else await _with(read, of_ours, user, whole=whole)


async def _with(read: Read, conversations: list[Json], user: str, *, whole: bool) -> tuple[list[Json], bool]:
    """Those that somebody is in too. A direct message tells with whom it is."""
    directs = [each for each in conversations if each.get("is_im") and each.get("user") == user]
    rooms = [each for each in conversations if not each.get("is_im")]
    asked = rooms[:MOST_ASKED]
    told = await asyncio.gather(
        *(listed(read, "conversations.members", "members", channel=each["id"]) for each in asked)
    )
    shared = [each for each, (members, _) in zip(asked, told, strict=True) if user in members]
    return directs + shared, whole and len(asked) == len(rooms) and all(all_of_it for _, all_of_it in told)
