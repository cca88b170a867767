"""Work that gives way waits for company, a moment at most, and nobody else waits for it."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from storage import groups
from storage.groups import LIMIT, Groups, Job


@pytest.fixture(name="loop")
def loop_fixture() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


class Waiter:
    """Somebody who asks for the next group in a thread of their own."""

    def __init__(self, waiting: Groups) -> None:
        self.group: list[Job] | None = None
        self._waiting = waiting
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        self.group = self._waiting.next()

    def got(self, within_s: float) -> list[Job] | None:
        self._thread.join(within_s)
        return self.group


def job(loop: asyncio.AbstractEventLoop, *, gives_way: bool = False) -> Job:
    return Job(None, loop, loop.create_future(), gives_way)


def test_all_that_waits_is_handed_out_together(loop: asyncio.AbstractEventLoop) -> None:
    waiting, jobs = Groups(), [job(loop), job(loop, gives_way=True), job(loop)]
    for each in jobs:
        waiting.put(each)
    assert waiting.next() == jobs


def test_what_gives_way_is_held_until_somebody_else_comes(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "HELD_S", 60.0)
    waiting, first, second, third = Groups(), *(job(loop, gives_way=way) for way in (True, True, False))
    waiter = Waiter(waiting)
    waiting.put(first)
    waiting.put(second)
    assert waiter.got(within_s=0.1) is None
    waiting.put(third)
    assert waiter.got(within_s=20) == [first, second, third]


def test_what_gives_way_is_held_no_longer_for_others_that_do(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "HELD_S", 0.0)
    waiting, jobs = Groups(), [job(loop, gives_way=True), job(loop, gives_way=True)]
    for each in jobs:
        waiting.put(each)
    assert waiting.next() == jobs, "what is there already costs no wait"


def test_a_group_has_an_end(loop: asyncio.AbstractEventLoop) -> None:
    waiting = Groups()
    for _ in range(LIMIT + 1):
        waiting.put(job(loop))
    assert [len(waiting.next()), len(waiting.next())] == [LIMIT, 1]


def test_what_waits_at_the_end_is_handed_out_before_it(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "HELD_S", 60.0)
    waiting, last = Groups(), job(loop, gives_way=True)
    waiting.put(last)
    waiting.end()
    assert Waiter(waiting).got(within_s=20) == [last]
    assert waiting.next() == []
