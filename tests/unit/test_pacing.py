"""When a growing reply may be edited, in time that only passes in the test."""

import asyncio

import pytest

from adapters.pacing import (
    FIRST,
    GATHER_S,
    LEAST_INTERVAL_S,
    MOST_INTERVAL_S,
    MUCH,
    OLD_S,
    Budget,
    Pace,
)
from tests.fakes.clock import VirtualTime

PER_MINUTE = 60.0


@pytest.fixture
def time() -> VirtualTime:
    return VirtualTime()


def a_pace(time: VirtualTime, budget: Budget | None = None) -> Pace:
    return Pace(budget, clock=time.now, sleep=time.sleep)


def a_budget(time: VirtualTime) -> Budget:
    return Budget(PER_MINUTE, clock=time.now, sleep=time.sleep)


async def waited(time: VirtualTime, pace: Pace, fresh: int = 1) -> float:
    began = time.now()
    await time.run(pace.due(lambda: fresh))
    pace.done()
    return time.now() - began


class TestPace:
    async def test_the_first_words_wait_only_for_what_comes_with_them(self, time):
        assert await waited(time, a_pace(time)) == GATHER_S

    async def test_then_edits_keep_their_distance(self, time):
        pace = a_pace(time)
        await waited(time, pace)
        assert await waited(time, pace) == pytest.approx(LEAST_INTERVAL_S, rel=0.05)

    async def test_the_older_the_reply_the_rarer_the_edits(self, time):
        pace = a_pace(time)
        await waited(time, pace)
        await time.pass_(OLD_S * 2)
        await waited(time, pace)
        assert await waited(time, pace) == pytest.approx(MOST_INTERVAL_S)

    async def test_much_new_text_need_not_wait_so_long(self, time):
        pace = a_pace(time)
        await waited(time, pace)
        assert await waited(time, pace, fresh=MUCH) == pytest.approx(LEAST_INTERVAL_S / 2, rel=0.05)

    async def test_a_platform_that_throttles_is_obeyed_and_then_spared(self, time):
        pace = a_pace(time)
        await waited(time, pace)
        pace.throttled(7.0, edit=True)
        assert await waited(time, pace) == pytest.approx(7.0)
        assert await waited(time, pace) > 1.5 * LEAST_INTERVAL_S
        for _ in range(20):
            await waited(time, pace)
        assert await waited(time, pace) < MOST_INTERVAL_S


class TestBudget:
    async def spend(self, time: VirtualTime, replies: int, seconds: float, budget: Budget) -> list[int]:
        """Edits of each of so many replies that always have something new."""
        edits = [0] * replies

        async def one(number: int) -> None:
            pace = a_pace(time, budget)
            while True:
                await pace.due(lambda: 1)
                await pace.edit(final=False)
                edits[number] += 1
                pace.done()

        tasks = [asyncio.ensure_future(one(number)) for number in range(replies)]
        await time.pass_(seconds)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return edits

    async def test_many_replies_together_stay_within_it(self, time):
        edits = await self.spend(time, 20, 120.0, a_budget(time))
        assert sum(edits) <= Budget.BURST + 120 * PER_MINUTE / 60 + 1

    async def test_it_is_used_up_and_shared_fairly(self, time):
        edits = await self.spend(time, 20, 120.0, a_budget(time))
        assert sum(edits) >= 115 * PER_MINUTE / 60
        assert max(edits) - min(edits) <= 1

    async def test_a_lone_reply_is_not_held_up(self, time):
        (alone,) = await self.spend(time, 1, 5.0, a_budget(time))
        assert alone >= 5.0 / LEAST_INTERVAL_S - 1

    async def test_whoever_finishes_goes_first(self, time):
        budget = a_budget(time)
        for _ in range(Budget.BURST):
            await time.run(budget.take())
        order: list[str] = []

        async def one(name: str, *priority: int) -> None:
            await budget.take(*priority)
            order.append(name)

        tasks = [asyncio.ensure_future(one(f"growing {n}")) for n in range(3)]
        await time.idle()
        tasks.append(asyncio.ensure_future(one("final", FIRST)))
        await time.pass_(10.0)
        await asyncio.gather(*tasks)
        assert order == ["final", "growing 0", "growing 1", "growing 2"]

    async def test_when_throttled_nobody_calls_and_less_afterwards(self, time):
        budget = a_budget(time)
        budget.throttled(10.0)
        began = time.now()
        await time.run(budget.take())
        assert time.now() - began >= 10.0
        assert budget.per_minute == pytest.approx(PER_MINUTE / 2, rel=0.1)

    async def test_one_burst_of_refusals_counts_once(self, time):
        budget = a_budget(time)
        for _ in range(5):
            budget.throttled(10.0)
        assert budget.per_minute == pytest.approx(PER_MINUTE / 2)

    async def test_the_rate_comes_back_slowly_and_never_ends(self, time):
        budget = a_budget(time)
        for _ in range(10):
            budget.throttled(1.0)
            await time.pass_(1.0)
        assert budget.per_minute >= PER_MINUTE * Budget.LEAST_SHARE
        await time.pass_(10.0)
        assert budget.per_minute < PER_MINUTE / 2
        await time.pass_(Budget.RECOVERY_S)
        assert budget.per_minute == pytest.approx(PER_MINUTE)

    async def test_whoever_gives_up_holds_up_nobody(self, time):
        budget = a_budget(time)
        for _ in range(Budget.BURST):
            await time.run(budget.take())
        first = asyncio.ensure_future(budget.take())
        second = asyncio.ensure_future(budget.take())
        await time.idle()
        first.cancel()
        await time.pass_(5.0)
        await second
        assert first.cancelled()
