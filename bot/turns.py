"""The turns that this process owns: leases, deadlines, and what is written while a reply is posted."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from bot.domain import Turn
from bot.errors import LeaseLost
from bot.ports import TurnStore

log = logging.getLogger(__name__)

MARGIN = 0.2
"""The share of a lease that an owner does not use: what it began to post must land before the end."""
RENEWALS = 5
"""How often a lease is renewed while it holds, if all goes well."""


def monotonic() -> float:
    """Seconds that go on while the machine sleeps, where the system has such a clock."""
    boot_clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot_clock is None else time.clock_gettime(boot_clock)


class Held:
    """A turn that this process owns until a deadline by its own clock. It is the turn's `Journal`."""

    def __init__(self, turn: Turn, deadline: float, store: TurnStore, clock: Callable[[], float]) -> None:
        self.turn = turn
        self.deadline = deadline
        self.stopped = turn.stopping
        self.on_stop: Callable[[], None] = lambda: None
        self._store = store
        self._clock = clock

    def check(self) -> None:
        """Raise `LeaseLost` once the turn may be somebody else's."""
        if self._clock() >= self.deadline:
            raise LeaseLost("The lease ran out.")

    def left_s(self) -> float:
        """Seconds until then, if nothing is renewed."""
        return max(0.0, self.deadline - self._clock())

    def lose(self) -> None:
        """The turn is known to be somebody else's."""
        self.deadline = 0.0

    def stop(self) -> None:
        """Somebody wants no more of this answer."""
        if not self.stopped:
            self.stopped = True
            self.on_stop()

    async def intend(self, number: int) -> None:
        """Commit that part `number` is about to be posted."""
        self.check()
        await self._store.intend(self.turn, number)
        self.check()

    async def posted(self, number: int, position: int) -> None:
        """Commit where part `number` is."""
        await self._store.posted(self.turn, number, position)

    async def unclaimed(self, positions: Sequence[int]) -> frozenset[int]:
        """Those of our posts at `positions` that no row names."""
        return await self._store.unclaimed(self.turn, positions)


class Keeper:
    """Holds the turns of this process, and renews their leases together."""

    def __init__(self, store: TurnStore, lease_s: float, clock: Callable[[], float] = monotonic) -> None:
        self._store = store
        self._lease_s = lease_s
        self._clock = clock
        self._held: dict[int, Held] = {}

    def now(self) -> float:
        """This process's clock, to be read before a turn is claimed."""
        return self._clock()

    def take(self, turn: Turn, claimed_at: float) -> Held:
        """Own `turn`, whose claim began at `claimed_at`, and renew it until `let_go`."""
        held = Held(turn, self._deadline(claimed_at), self._store, self._clock)
        self._held[turn.id] = held
        return held

    def let_go(self, held: Held) -> None:
        """Own it no longer."""
        if self._held.get(held.turn.id) is held:
            del self._held[held.turn.id]

    def stop(self, turn_id: int) -> None:
        """Stop the turn if it is ours; another owner hears of it when it renews."""
        if held := self._held.get(turn_id):
            held.stop()

    def stop_all(self, platform: str, workspace: str) -> int:
        """Stop our turns in a workspace that the bot was taken out of; how many."""
        place = (platform, workspace)
        there = [
            held for held in self._held.values() if (held.turn.key.platform, held.turn.key.workspace) == place
        ]
        for held in there:
            held.stop()
        return len(there)

    async def renewing(self) -> None:
        """Renew for ever. An archive that is away costs the leases, and nothing else."""
        while True:
            await asyncio.sleep(self._lease_s / RENEWALS)
            try:
                await self.renew()
            except Exception as error:  # noqa: BLE001 - without renewing, every turn would be lost
                log.warning(
                    "Leases were not renewed: %s", type(error).__name__, extra={"event": "lease.unrenewed"}
                )

    async def renew(self) -> None:
        """Renew every held turn in one write; those that are not ours any more are lost at once."""
        held = dict(self._held)
        if not held:
            return
        began = self._clock()
        renewed = await self._store.renew(list(held))
        for turn_id, mine in held.items():
            epoch, stop_asked = renewed.get(turn_id, (0, False))
            if epoch != mine.turn.epoch:
                mine.lose()
                continue
            mine.deadline = self._deadline(began)
            if stop_asked:
                mine.stop()

    def _deadline(self, began: float) -> float:
        return began + self._lease_s * (1 - MARGIN)
