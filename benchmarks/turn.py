"""What a whole turn costs beside the bare round trips and commits that it is made of.

A turn goes in through `Service.handle`; the model answers at once, the platform does nothing. The floor
is two round trips to the same Redis and two durable commits of two rows to the same database, through
the same drivers: nothing can answer and remember for less. Both are measured by turns.
"""

import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable

import sqlalchemy as sa
from redis.asyncio import Redis

from benchmarks.measuring import Size, milliseconds
from benchmarks.stage import DATABASES, QUESTION, Stage, set_up
from storage.database import Database
from storage.dragonfly import TIMEOUT_S

SHOWN = tuple(
    f"{database}_{key}"
    for database in DATABASES
    for key in ("floor_ms", "sequential_ms", "ratio", "turns_per_s_64", "cpu_ms_per_turn")
)
AT_ONCE = 64
THREADS = 10
"""Sequential turns go round among so many."""

_rows = sa.Table(
    "bench_rows",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
)


async def measure(size: Size) -> dict[str, float]:
    """The five keys for each database."""
    results: dict[str, float] = {}
    for kind in DATABASES:
        async with set_up(kind) as stage:
            results |= {f"{kind}_{key}": number for key, number in (await _costs(stage, size)).items()}
    return results


async def _costs(stage: Stage, size: Size) -> dict[str, float]:
    floor = await _floor(stage)
    numbers = itertools.count()

    async def turn() -> None:
        await stage.turn(f"alone {next(numbers) % THREADS}")

    rounds = size.pick(3, 30, 100)
    await _by_turns(2, floor, turn)
    floor_ms, sequential_ms = await _by_turns(rounds, floor, turn)
    rate, cpu_ms = await _at_once(stage, size.pick(2, 25, 100))
    return {
        "floor_ms": floor_ms,
        "sequential_ms": sequential_ms,
        "ratio": sequential_ms / floor_ms,
        "turns_per_s_64": rate,
        "floor_rate_per_s": 1000 / floor_ms,
        "cpu_ms_per_turn": cpu_ms,
    }


async def _by_turns(rounds: int, *work: Callable[[], Awaitable[None]]) -> list[float]:
    """Medians. Ten of one, ten of the other: what is done once in a while finds its caches cold."""
    times: list[list[float]] = [[] for _ in work]
    for _ in range(rounds):
        for one, ms in zip(work, times, strict=True):
            ms += [await milliseconds(one) for _ in range(THREADS)]
    return [statistics.median(ms) for ms in times]


async def _floor(stage: Stage) -> Callable[[], Awaitable[None]]:
    await stage.database.write(_rows.create)
    redis = Redis.from_url(stage.hot_url, protocol=2, driver_info=None)
    database: Database = stage.database

    def two_rows(c: sa.Connection) -> None:
        for _ in range(2):
            c.execute(sa.insert(_rows), {"text": QUESTION})

    async def floor() -> None:
        for _ in range(2):
            async with asyncio.timeout(TIMEOUT_S):
                await redis.execute_command("PING")
            await database.write(two_rows)

    return floor


async def _at_once(stage: Stage, each: int) -> tuple[float, float]:
    """Turns a second with 64 sessions at work, and this process's CPU for one."""

    async def session(number: int, turns: int) -> None:
        for _ in range(turns):
            await stage.turn(f"together {number}")

    async def all_of_them(turns: int) -> None:
        await asyncio.gather(*(session(number, turns) for number in range(AT_ONCE)))

    await all_of_them(2)
    began, cpu = time.perf_counter(), time.process_time()
    await all_of_them(each)
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    return AT_ONCE * each / seconds, cpu_s / (AT_ONCE * each) * 1000
