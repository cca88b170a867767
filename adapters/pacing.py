"""When a reply that grows may be edited: few edits, in order, and as fast as the platform takes them.

A `Pace` is the clock of one reply; a `Budget` is what the replies of one workspace share.
"""

import asyncio
import heapq
import itertools
import time
from collections.abc import Awaitable, Callable

Clock = Callable[[], float]
"""Seconds from anywhere, never going back."""
Sleep = Callable[[float], Awaitable[None]]

GATHER_S = 0.01
"""What arrives within this time of the first words is posted with them."""
LEAST_INTERVAL_S = 0.7
"""Between two edits of a young reply."""
MOST_INTERVAL_S = 3.0
"""Between two edits of an old one."""
OLD_S = 60.0
"""Age at which a reply is edited as seldom as `MOST_INTERVAL_S`."""
MUCH = 600
"""Characters: once so many are new, half the interval is enough."""
MOST_SLOWNESS = 8.0
"""A platform that throttles makes the interval longer, up to so many times."""

TICK_S = 0.001
"""Less than this is not worth a sleep."""

GIVES_WAY, FIRST = 1, 0
"""Priorities: a growing edit gives way to the last edits of a reply."""


class Budget:
    """Calls that many replies share: a bucket that fills with time, and a queue before it.

    Growing edits are served in the order in which they came, one of each reply at a time, so N
    replies get an Nth of the rate each. Whoever finishes goes first. A platform that throttles
    halves the rate, which comes back slowly.
    """

    BURST = 10
    """Calls that may follow each other at once after a calm time."""
    LEAST_SHARE = 1 / 8
    """The rate is never cut below this share of the full one."""
    RECOVERY_S = 300.0
    """From nothing back to the full rate."""

    def __init__(
        self, per_minute: float, clock: Clock = time.monotonic, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._full = self._rate = per_minute / 60
        self._clock = clock
        self._sleep = sleep
        self._tokens = float(self.BURST)
        self._told = clock()
        self._closed_until = self._told
        self._queue: list[tuple[int, int, asyncio.Event]] = []
        self._tickets = itertools.count()

    async def take(self, priority: int = GIVES_WAY) -> None:
        """Wait for one call."""
        place = (priority, next(self._tickets), asyncio.Event())
        heapq.heappush(self._queue, place)
        try:
            while not self._granted(place):
                if self._queue[0] is place:
                    await self._sleep(self._wait_s())
                else:
                    place[2].clear()
                    await place[2].wait()
        finally:
            self._queue.remove(place)
            heapq.heapify(self._queue)
            if self._queue:
                self._queue[0][2].set()

    def throttled(self, retry_after_s: float) -> None:
        """The platform refused a call: nothing more for that time, and less from then on."""
        self._fill()
        now = self._clock()
        if now >= self._closed_until:
            self._rate = max(self._rate / 2, self._full * self.LEAST_SHARE)
        self._closed_until = max(self._closed_until, now + retry_after_s)
        self._tokens = min(self._tokens, 0.0)

    @property
    def per_minute(self) -> float:
        """The rate at present."""
        self._fill()
        return self._rate * 60

    def _granted(self, place: tuple[int, int, asyncio.Event]) -> bool:
        self._fill()
        if self._queue[0] is not place or self._wait_s() > TICK_S:
            return False
        self._tokens -= 1
        return True

    def _wait_s(self) -> float:
        closed = self._closed_until - self._clock()
        return max(closed, (1 - self._tokens) / self._rate if self._tokens < 1 else 0.0, 0.0)

    def _fill(self) -> None:
        now = self._clock()
        calm_s = max(0.0, now - max(self._told, self._closed_until))
        self._tokens = min(float(self.BURST), self._tokens + calm_s * self._rate)
        self._rate = min(self._full, self._rate + self._full * calm_s / self.RECOVERY_S)
        self._told = now


class Pace:
    """The clock of one reply."""

    def __init__(
        self,
        budget: Budget | None = None,
        *,
        least_s: float = LEAST_INTERVAL_S,
        most_s: float = MOST_INTERVAL_S,
        gather_s: float = GATHER_S,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`budget` is for edits; None where the platform counts each thread by itself."""
        self._budget = budget
        self._least_s = least_s
        self._most_s = most_s
        self._gather_s = gather_s
        self.now = clock
        self.sleep = sleep
        self._began: float | None = None
        self._last = 0.0
        self._closed_until = 0.0
        self._slowness = 1.0

    async def due(self, fresh: Callable[[], int]) -> None:
        """Wait until the reply may show more; `fresh` tells how many characters are new."""
        if self._began is None:
            self._began = self.now()
            await self.sleep(self._gather_s)
            return
        while (wait_s := self._wait_s(fresh())) > TICK_S:
            await self.sleep(min(wait_s, self._least_s / 2))

    async def edit(self, *, final: bool) -> None:
        """Wait for the right to make one edit."""
        if self._budget:
            await self._budget.take(FIRST if final else GIVES_WAY)

    def done(self) -> None:
        """A call was carried out."""
        self._last = self.now()
        self._slowness = max(1.0, self._slowness * 0.9)

    def throttled(self, retry_after_s: float, *, edit: bool) -> None:
        """A call was refused."""
        self._closed_until = self.now() + retry_after_s
        if edit and self._budget:
            self._budget.throttled(retry_after_s)
        else:
            self._slowness = min(self._slowness * 2, MOST_SLOWNESS)

    def _wait_s(self, fresh: int) -> float:
        now = self.now()
        age = min(1.0, (now - (now if self._began is None else self._began)) / OLD_S)
        interval_s = (self._least_s + (self._most_s - self._least_s) * age) * self._slowness
        if fresh >= MUCH:
            interval_s /= 2
        return max(self._last + interval_s, self._closed_until) - now
