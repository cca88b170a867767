"""What the fake Slack holds: teams, people, channels, messages. Messages are the API's own JSON."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(slots=True)
class Channel:
    """One conversation; `kind` is `channel`, `group`, `im` or `mpim`, as in `channel_type`."""

    id: str
    name: str
    kind: str = "channel"
    members: set[str] = field(default_factory=set)
    messages: dict[str, Json] = field(default_factory=dict)
    """By `ts`, ascending. A reply has a `thread_ts` that is not its own."""

    shared: bool = False
    """With another organisation, through Slack Connect."""
    archived: bool = False

    def replies(self, thread_ts: str) -> list[Json]:
        """The thread's messages after its parent."""
        return [m for m in self.messages.values() if m.get("thread_ts") == thread_ts and m["ts"] != thread_ts]


@dataclass(slots=True)
class Stream:
    """A native stream that grows."""

    began: float
    channel: str
    ts: str
    alive: bool = True
    reader: str = ""
    """Who alone sees it grow in a shared channel; nobody else does before it ends."""
    opening: str = ""
    """What it began with, which everybody sees."""


@dataclass(slots=True)
class Status:
    """What a thread says that the bot is at."""

    text: str
    set_at: float
    """In Slack's seconds."""


@dataclass(slots=True)
class Team:
    """One workspace where the app is installed."""

    id: str
    bot_token: str
    bot_user: str
    bot_id: str
    scopes: set[str]
    users: dict[str, str] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    streams: dict[tuple[str, str], Stream] = field(default_factory=dict)
    sessions: dict[tuple[str, str], str] = field(default_factory=dict)
    """Agent sessions: channel and thread to status."""
    ephemerals: list[Json] = field(default_factory=list)
    statuses: list[Json] = field(default_factory=list)
    status: dict[tuple[str, str], Status] = field(default_factory=dict)
    """By channel and thread, until something is posted there."""
    lapsed: list[str] = field(default_factory=list)
    """Threads whose status ran out before it was set again, or anything was posted."""
    titles: list[Json] = field(default_factory=list)
    prompts: list[Json] = field(default_factory=list)
    files: dict[str, Json] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    shared_users: dict[str, str] = field(default_factory=dict)
    """People of other organisations in shared channels: user to their own team."""
    guests: dict[str, str] = field(default_factory=dict)
    """Users to `is_restricted` or `is_ultra_restricted`."""
    departed: set[str] = field(default_factory=set)
    """Users whose accounts are deactivated."""
    zone: str = "Europe/Berlin"
    """Of everybody."""
    installed: bool = True
    enterprise: str = ""
    """The organisation that it belongs to, if the app is installed for all of it: then its workspaces
    share the token and the bot, and their channels have ids of their own."""

    def authored(self, channel: str) -> list[Json]:
        """The bot's own posts in a channel, ascending."""
        return [m for m in self.channels[channel].messages.values() if m.get("user") == self.bot_user]


class Clock:
    """Time in the fake Slack: `scale` real seconds pass for each of its own."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale
        self.digits = 6
        """How many of a `ts` stand behind the point; other servers of Slack's API write more or fewer."""
        self._last = 0

    def now(self) -> float:
        """Monotonic, in Slack seconds."""
        return time.monotonic() / self.scale

    async def sleep(self, seconds: float) -> None:
        """Let `seconds` of Slack's time pass."""
        await asyncio.sleep(seconds * self.scale)

    def ts(self) -> str:
        """A `ts` of the real time, never twice the same."""
        step = max(1, 10 ** (6 - self.digits))
        self._last = max(self._last + step, time.time_ns() // 1000 // step * step)
        told = ts_of(self._last) + "7" * (self.digits - 6)
        return told[: len(told) + min(0, self.digits - 6)].rstrip(".")


def ts_of(microseconds: int) -> str:
    """Slack's way to write a time that is an id."""
    return f"{microseconds // 1_000_000}.{microseconds % 1_000_000:06d}"


_numbers: Iterator[int] = itertools.count(1)


def new_id(prefix: str) -> str:
    """An id of the kind that begins with `prefix`."""
    return f"{prefix}{next(_numbers):08X}"
