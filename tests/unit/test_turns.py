"""An owner uses a lease only as long as it is surely its own."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence

import pytest

from bot.domain import Author, SessionKey, Turn
from bot.errors import ArchiveUnavailable, LeaseLost
from bot.turns import MARGIN, Held, Keeper

LEASE_S = 10.0
SURE_S = LEASE_S * (1 - MARGIN)


class Store:
    """What SQL would say of the leases; every method of a `TurnStore` that is used here."""

    def __init__(self) -> None:
        self.answer: dict[int, tuple[int, bool]] = {}
        self.renewed: list[list[int]] = []
        self.trouble: Exception | None = None
        self.written: list[tuple[str, int]] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self.asked = asyncio.Event()

    async def renew(self, held: Sequence[int]) -> dict[int, tuple[int, bool]]:
        self.renewed.append(sorted(held))
        self.asked.set()
        self.meanwhile()
        if self.trouble:
            raise self.trouble
        return self.answer

    async def intend(self, turn: Turn, number: int) -> None:
        self.meanwhile()
        self.written.append(("intend", number))

    async def posted(self, turn: Turn, number: int, position: int) -> None:
        self.written.append(("posted", position))

    async def unclaimed(self, turn: Turn, positions: Sequence[int]) -> frozenset[int]:
        return frozenset(positions) - {7}


class Time:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def keeper(store: Store, time: Time) -> Keeper:
    return Keeper(store, LEASE_S, time)  # type: ignore[arg-type]  # what a keeper uses of the port


def turn(id: int = 1, epoch: int = 1) -> Turn:
    key = SessionKey("web", "w", "c", "1")
    return Turn(id, 1, key, (1,), cut=1, epoch=epoch, version=1, asker=Author("U1", "Ann"))


@contextlib.contextmanager
def holding(keeper: Keeper, turn: Turn, claimed_at: float) -> Iterator[Held]:
    """The turn is taken, and let go when the block ends."""
    held = keeper.take(turn, claimed_at)
    try:
        yield held
    finally:
        keeper.let_go(held)


def test_a_lease_counts_from_before_it_was_claimed_and_ends_early(keeper: Keeper, time: Time) -> None:
    claimed_at = keeper.now()
    time.now += 3.0
    with holding(keeper, turn(), claimed_at) as held:
        assert held.left_s() == SURE_S - 3.0
        time.now = claimed_at + SURE_S - 0.001
        held.check()
        time.now = claimed_at + SURE_S
        with pytest.raises(LeaseLost):
            held.check()
        assert held.left_s() == 0.0


async def test_renewing_counts_from_before_the_write(keeper: Keeper, store: Store, time: Time) -> None:
    with holding(keeper, turn(), keeper.now()) as held:
        store.answer = {1: (1, False)}
        time.now += 5.0
        store.meanwhile = lambda: setattr(time, "now", time.now + 2.0)
        await keeper.renew()
        assert held.left_s() == SURE_S - 2.0


async def test_what_another_claimed_is_lost_at_once(keeper: Keeper, store: Store) -> None:
    with contextlib.ExitStack() as stack:
        mine, taken, gone = (stack.enter_context(holding(keeper, turn(id), keeper.now())) for id in (1, 2, 3))
        store.answer = {1: (1, False), 2: (2, False)}
        await keeper.renew()
        mine.check()
        for lost in (taken, gone):
            with pytest.raises(LeaseLost):
                lost.check()
    assert store.renewed == [[1, 2, 3]]


async def test_what_ended_is_renewed_no_more(keeper: Keeper, store: Store) -> None:
    with holding(keeper, turn(), keeper.now()):
        pass
    await keeper.renew()
    assert store.renewed == []


async def test_a_turn_that_is_held_anew_outlives_its_old_hold(keeper: Keeper, store: Store) -> None:
    """A process may take over its own turn, after its archive was away for longer than the lease."""
    with contextlib.ExitStack() as old:
        late = old.enter_context(holding(keeper, turn(epoch=1), keeper.now()))
        with holding(keeper, turn(epoch=2), keeper.now()) as held:
            old.close()
            store.answer = {1: (2, False)}
            await keeper.renew()
            held.check()
            assert store.renewed == [[1]]
            assert late is not held


async def test_a_stop_reaches_its_turn_here_and_from_elsewhere_once(keeper: Keeper, store: Store) -> None:
    stops: list[int] = []
    with holding(keeper, turn(1), keeper.now()) as here, holding(keeper, turn(2), keeper.now()) as there:
        here.on_stop = lambda: stops.append(1)
        there.on_stop = lambda: stops.append(2)
        keeper.stop(1)
        keeper.stop(1)
        keeper.stop(99)
        store.answer = {1: (1, True), 2: (1, True)}
        await keeper.renew()
        await keeper.renew()
        assert stops == [1, 2]
        assert here.stopped
        assert there.stopped


async def test_nothing_is_intended_once_the_lease_may_be_over(
    keeper: Keeper, store: Store, time: Time
) -> None:
    with holding(keeper, turn(), keeper.now()) as held:
        await held.intend(1)
        store.meanwhile = lambda: setattr(time, "now", time.now + LEASE_S)
        with pytest.raises(LeaseLost):
            await held.intend(2)
        store.meanwhile = lambda: None
        with pytest.raises(LeaseLost):
            await held.intend(3)
    assert store.written == [("intend", 1), ("intend", 2)]


async def test_what_was_posted_is_written_even_then(keeper: Keeper, store: Store, time: Time) -> None:
    """SQL knows whether the turn is still ours, and refuses if not."""
    with holding(keeper, turn(), keeper.now()) as held:
        time.now += LEASE_S
        await held.posted(1, 5)
        assert await held.unclaimed([5, 7]) == {5}
    assert store.written == [("posted", 5)]


@pytest.mark.parametrize("trouble", [ArchiveUnavailable("away"), RuntimeError("sesame")])
async def test_renewing_goes_on_whatever_the_archive_does(
    store: Store, trouble: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = Keeper(store, 0.01)  # type: ignore[arg-type]  # what a keeper uses of the port
    store.trouble = trouble
    with holding(keeper, turn(), keeper.now()):
        renewing = asyncio.create_task(keeper.renewing())
        await store.asked.wait()
        store.asked.clear()
        await store.asked.wait()
        renewing.cancel()
        await asyncio.wait({renewing})
    assert "Leases were not renewed" in caplog.text
    assert "sesame" not in caplog.text
