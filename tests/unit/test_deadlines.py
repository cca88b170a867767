"""Limits of one length: each ends its own block, and one timer serves them all."""

import asyncio
from contextlib import AsyncExitStack
from unittest.mock import patch

import pytest

from bot.deadlines import Deadlines


async def test_what_takes_too_long_is_ended() -> None:
    deadlines = Deadlines(0.01)
    with pytest.raises(TimeoutError):
        async with deadlines.limit():
            await asyncio.Event().wait()


async def test_what_ended_in_time_hears_nothing_more() -> None:
    deadlines = Deadlines(0.01)
    async with deadlines.limit():
        pass
    overdue = asyncio.create_task(_overdue(deadlines))
    with pytest.raises(TimeoutError):
        await overdue


async def test_who_is_cancelled_is_cancelled() -> None:
    task = asyncio.create_task(_overdue(Deadlines(60)))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_any_number_of_limits_costs_one_timer() -> None:
    deadlines, loop = Deadlines(60), asyncio.get_running_loop()
    with patch.object(loop, "call_later", wraps=loop.call_later) as call_later:
        async with AsyncExitStack() as stack:
            for _ in range(100):
                await stack.enter_async_context(deadlines.limit())
    assert call_later.call_count == 1


async def test_each_block_has_its_own_time() -> None:
    deadlines, began = Deadlines(0.1), asyncio.get_running_loop().time()
    first = asyncio.create_task(_overdue(deadlines))
    await asyncio.sleep(0.06)
    second = asyncio.create_task(_overdue(deadlines))
    done, _ = await asyncio.wait([first, second], return_when=asyncio.FIRST_COMPLETED)
    assert done == {first}
    await asyncio.wait([second])
    assert isinstance(second.exception(), TimeoutError)
    assert asyncio.get_running_loop().time() - began >= 0.16


async def test_a_limit_after_all_others_were_over_ends_its_block_too() -> None:
    deadlines = Deadlines(0.01)
    for _ in range(2):
        overdue = asyncio.create_task(_overdue(deadlines))
        done, _ = await asyncio.wait([overdue], timeout=5)
        assert done
        assert isinstance(overdue.exception(), TimeoutError)


async def _overdue(deadlines: Deadlines) -> None:
    async with deadlines.limit():
        await asyncio.Event().wait()
