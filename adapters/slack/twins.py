"""One mention comes as two events. The archive decides what is new; this saves asking it twice."""

import asyncio
from collections.abc import Awaitable, Callable

from bot.domain import Receipt
from bot.recent import Recent

REMEMBERED = 2_000
TAKEN_UP = frozenset({Receipt.ANSWERING, Receipt.QUEUED})

Key = tuple[str, str, str]
"""Workspace, channel and `ts` of what was said."""


class Twins:
    """Lets a delivery wait for another of the same message that is under way in this process.

    Only what is committed and taken up is remembered, so what is forgotten here is merely asked again.
    """

    def __init__(self) -> None:
        self._under_way: dict[Key, asyncio.Event] = {}
        self._taken_up: Recent[Key, None] = Recent(REMEMBERED)

    async def one(self, key: Key, hand_on: Callable[[], Awaitable[Receipt]]) -> Receipt:
        """What became of the message; raises what `hand_on` raises."""
        while other := self._under_way.get(key):
            await other.wait()
        if key in self._taken_up:
            return Receipt.KEPT
        self._under_way[key] = over = asyncio.Event()
        try:
            receipt = await hand_on()
        finally:
            del self._under_way[key]
            over.set()
        if receipt in TAKEN_UP:
            self._taken_up.put(key, None)
        return receipt
