"""How the server writes the `ts` of posts, which are kept as positions.

Slack writes six digits after the point, always, and then a position says it all. Other servers of its
API write more or fewer, and find a post by what they wrote and by nothing else; some tell no `ts` at all.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from adapters.slack.markup import position_of, ts_of
from adapters.slack.tidying import tidied


class Stamps:
    """Remembers the posts that one reply has to do with."""

    def __init__(self, after: int, now: Callable[[], float] = time.time) -> None:
        """`after`: a post whose `ts` is not told is newer than this."""
        self._told: dict[int, str] = {}
        self._newest = after
        self._now = now

    def __contains__(self, position: int) -> bool:
        return position in self._told

    def position(self, told: Mapping[str, Any]) -> int:
        """Where a post is, out of what the server told of it; by our own clock where it told nothing."""
        ts = tidied(told).get("ts")
        position = position_of(ts) if ts else max(self._newest + 1, int(self._now() * 1_000_000))
        self._newest = max(self._newest, position)
        self._told[position] = ts or ts_of(position)
        return position

    def of(self, position: int) -> str:
        """What the server calls it."""
        return self._told.get(position) or ts_of(position)
