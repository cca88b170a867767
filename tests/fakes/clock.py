"""Time that passes only when nothing else can happen."""

import asyncio
import heapq
import itertools
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

ROUNDS = 60
"""Rounds of the event loop without news after which nothing but time can go on."""


class VirtualTime:
    """A clock and its sleep. `run` lets time jump to the next sleeper whenever all tasks wait."""

    def __init__(self) -> None:
        self._now = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._tickets = itertools.count()

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + max(seconds, 0.0), next(self._tickets), woken))
        await woken

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, however much time it takes."""
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                await self._idle(task)
                if not task.done():
                    self._jump()
            return task.result()
        finally:
            task.cancel()

    async def pass_(self, seconds: float) -> None:
        """Let so much time pass for everybody."""
        await self.run(self.sleep(seconds))

    async def idle(self) -> None:
        """Let everything happen that needs no time."""
        for _ in range(ROUNDS):
            await asyncio.sleep(0)

    async def _idle(self, task: "asyncio.Future[Any]") -> None:
        for _ in range(ROUNDS):
            if task.done():
                return
            await asyncio.sleep(0)

    def _jump(self) -> None:
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        if not self._sleepers:
            raise AssertionError("everybody waits, and nobody for time")
        self._now, _, woken = heapq.heappop(self._sleepers)
        woken.set_result(None)
