"""What a benchmark is, and what all of them share.

A benchmark is a module of this folder with two names:

    SHOWN = ("sqlite_ratio", "*_p95_ms")        # the keys that the table shows, as patterns, in this order

    async def measure(size: Size) -> dict[str, float]

`measure` returns plain numbers whose keys end in their unit (`_ms`, `_mb`, `_s`, `_per_s`; none for a
ratio); all of them go into the results. It runs in a process of its own, starts the servers that it
needs and ends them, and keeps its files in a temporary folder. It asserts that the work was done, never
how fast. Whatever it raises makes it a failed one, and the others still run. Adding a module with
these two names is all it takes to add a benchmark.

All of them together take less than a minute at `Size.QUICK`, ten at `Size.NORMAL`, 45 at `Size.FULL`.
"""

import statistics
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Protocol, TypeVar

T = TypeVar("T")


class Size(StrEnum):
    """How much is measured."""

    QUICK = "quick"
    """Only shows that it works."""
    NORMAL = "normal"
    FULL = "full"

    def pick(self, quick: T, normal: T, full: T) -> T:
        """The one of three that is meant for this size."""
        return {Size.QUICK: quick, Size.NORMAL: normal, Size.FULL: full}[self]


class Benchmark(Protocol):
    """A module of this folder that measures something."""

    SHOWN: tuple[str, ...]

    async def measure(self, size: Size) -> dict[str, float]:
        """Do the work, and say what it cost."""


async def milliseconds(work: Callable[[], Awaitable[object]]) -> float:
    """How long one piece of work takes."""
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) * 1000


async def medians_ms(rounds: int, **work: Callable[[], Awaitable[object]]) -> dict[str, float]:
    """Median of each piece of work by name, one of each in every round, so that noise meets all alike."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, one in work.items():
            times[name].append(await milliseconds(one))
    return {name: statistics.median(ms) for name, ms in times.items()}
