"""One mention comes as two events. The archive decides what is new; this saves asking it twice."""

import asyncio

from bot.domain import Receipt, Said, SessionKey
from bot.ports import Handler
from bot.recent import Recent

REMEMBERED = 2_000
TAKEN_UP = frozenset({Receipt.ANSWERING, Receipt.QUEUED})

Key = tuple[SessionKey, int, bool]


class Twins:
    """Lets a delivery wait for another of the same message that is under way in this process.

    Only what is committed and taken up is remembered, so what is forgotten here is merely asked again.
    """

    def __init__(self) -> None:
        self._under_way: dict[Key, asyncio.Event] = {}
        self._taken_up: Recent[Key, None] = Recent(REMEMBERED)

    async def hand_on(self, said: Said, handler: Handler) -> Receipt:
        """What became of the message; raises what `handler` raises."""
        key = (said.key, said.message.position, said.answer)
        while other := self._under_way.get(key):
            await other.wait()
        if key in self._taken_up:
            return Receipt.KEPT
        self._under_way[key] = over = asyncio.Event()
        try:
            receipt = await handler(said)
        finally:
            del self._under_way[key]
            over.set()
        if receipt in TAKEN_UP:
            self._taken_up.put(key, None)
        return receipt
