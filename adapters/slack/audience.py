"""Whether everybody who reads a channel may open every public channel of the workspace.

Guests, and people who come through Slack Connect, only see the channels they are in. So where one of
them reads, nothing is said from elsewhere. Slack tells who is in a channel, and of each one by one who
they are; where that are many, the list of the whole workspace is read instead, within bounds.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from adapters.slack.events import PLATFORM
from adapters.slack.fresh import Fresh
from adapters.slack.joined import listed

Json = Mapping[str, Any]
Read = Callable[..., Awaitable[Json]]

MOST_ASKED = 20
"""People who are asked about one by one."""
SHARED = ("is_ext_shared", "is_org_shared", "is_shared", "is_global_shared", "is_pending_ext_shared")


class Audiences:
    """Asks Slack who reads where, and remembers the answer for less than a minute."""

    def __init__(self, fresh: Fresh) -> None:
        self._fresh = fresh

    async def is_of_members(self, read: Read, workspace: str, me: str, channel: str) -> bool:
        """Whether only full members of the workspace read the channel. False where that is not sure.

        Raises `PlatformError`.
        """
        name, changes = readers_name(workspace, channel), self._fresh.changes
        if told := await self._fresh.get(name):
            return told.get("members") is True
        at = self._fresh.now()
        members = await self._asked(read, workspace, me, channel)
        await self._fresh.put(name, {"at": at, "members": members}, changes)
        return members

    async def _asked(self, read: Read, workspace: str, me: str, channel: str) -> bool:
        about = (await read("conversations.info", channel=channel)).get("channel") or {}
        if not about or any(about.get(each) for each in SHARED):
            return False
        readers, whole = await listed(read, "conversations.members", "members", channel=channel)
        if not whole:
            return False
        others = sorted(set(readers) - {me})
        if len(others) <= MOST_ASKED:
            told = await asyncio.gather(*(read("users.info", user=each) for each in others))
            people = [each.get("user") or {} for each in told]
        else:
            people = await self._listed(read, others)
        return len(people) == len(others) and all(
            each.get("deleted") or is_member(each, workspace) for each in people
        )

    async def _listed(self, read: Read, ids: Collection[str]) -> list[Json]:
        """Those people out of the workspace's list, as far as that is read."""
        everybody, _ = await listed(read, "users.list", "members")
        wanted = set(ids)
        return list({each["id"]: each for each in everybody if each.get("id") in wanted}.values())


def readers_name(workspace: str, channel: str) -> str:
    """What is remembered of a channel's readers is called so."""
    return f"{PLATFORM}:{workspace}:readers:{channel}"


def is_ours(user: Json, workspace: str) -> bool:
    """Whether somebody belongs to the workspace or its organisation; others come through Slack Connect."""
    org = user.get("enterprise_user") or {}
    teams = {user.get("team_id"), org.get("enterprise_id"), *(org.get("teams") or ())}
    return workspace in teams and not user.get("is_stranger")


def is_member(user: Json, workspace: str) -> bool:
    """Whether every public channel is open to somebody.

    Not where the bot serves a whole organisation: which of its workspaces a channel is in is not told.
    """
    guest = user.get("is_restricted") or user.get("is_ultra_restricted")
    return is_ours(user, workspace) and not guest and not workspace.startswith("E")
