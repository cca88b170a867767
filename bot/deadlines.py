"""Time limits that are all of one length, and seldom reached: one timer serves them all.

A timer of its own costs each event more than deciding that the event is nobody's business.
"""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final

LATE_S: Final = 0.02
"""How late a limit may strike: those that end within this time of each other strike together."""


class Deadlines:
    """Limits of `seconds` each. Belongs to one event loop.

    What ended in time is remembered until its time is up, so this is for short limits.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begun: deque[tuple[float, asyncio.Timeout]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def limit(self) -> asyncio.Timeout:
        """As `asyncio.timeout`, but up to `LATE_S` late; to be entered at once."""
        loop = asyncio.get_running_loop()
        limit = asyncio.timeout(None)
        self._begun.append((loop.time() + self._seconds, limit))
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._strike)
        return limit

    def _strike(self) -> None:
        """End what is over time, and look again when the next will be."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._begun and self._begun[0][0] <= now:
            with suppress(RuntimeError):  # it ended long ago, as nearly all do
                self._begun.popleft()[1].reschedule(now)
        next_s = self._begun[0][0] - now if self._begun else None
        self._timer = None if next_s is None else loop.call_later(max(next_s, LATE_S), self._strike)
