"""Whether memory grows with the number of sessions: resident size after ever more of them had a turn."""

import asyncio
import gc

import psutil

from benchmarks.measuring import Size
from benchmarks.stage import Stage, set_up

SHOWN = ("after_*_mb", "growth_mb")
AT_ONCE = 64


async def measure(size: Size) -> dict[str, float]:
    """Megabytes (of 2**20 bytes) of this process after the fewer and after the more sessions."""
    fewer, more = size.pick((100, 500), (1_000, 10_000), (1_000, 50_000))
    async with set_up("sqlite") as stage:
        await _turns(stage, range(fewer))
        before = _resident_mb()
        await _turns(stage, range(fewer, more))
        after = _resident_mb()
    return {f"after_{fewer}_mb": before, f"after_{more}_mb": after, "growth_mb": after - before}


async def _turns(stage: Stage, numbers: range) -> None:
    """A turn in a new session for each number."""
    left = iter(numbers)

    async def work() -> None:
        for number in left:
            await stage.turn(f"session {number}")

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


def _resident_mb() -> float:
    gc.collect()
    return float(psutil.Process().memory_info().rss) / 2**20
