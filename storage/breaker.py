"""Keeps calls away from a server that does not answer, and lets one through now and then."""

import random
import time
from collections.abc import Callable

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0
STEADY_S = 10.0
"""A server that fails again sooner than this after it came back is left alone for longer."""


class Breaker:
    """A circuit breaker: one failure opens it, then one probe after each pause until one succeeds.

    Calls take a pass and give it back with what came of them. A pass from before the breaker
    opened or closed says nothing any more: 64 calls that fail together are one failure.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`clock` in seconds; `jitter` between 0 and 1 shortens a pause by up to half."""
        self._clock = clock
        self._jitter = jitter
        self._era = 0
        self._probing = False
        self._pause_s = FIRST_PAUSE_S
        self._retry_at: float | None = None
        self._closed_at = clock() - STEADY_S

    @property
    def is_open(self) -> bool:
        """The server did not answer when it was last asked."""
        return self._retry_at is not None

    def admit(self) -> int | None:
        """A pass for one call, to be handed back in any case; None: do not call."""
        if self._retry_at is not None:
            if self._probing or self._clock() < self._retry_at:
                return None
            self._probing = True
        return self._era

    def holds(self, era: int) -> bool:
        """The pass is still good: nothing was learnt of the server since it was given."""
        return era == self._era

    def succeeded(self, era: int) -> bool:
        """The call was answered. True if the server is back with this."""
        if era != self._era or self._retry_at is None:
            return False
        self._retry_at = None
        self._probing = False
        self._era += 1
        self._closed_at = self._clock()
        return True

    def failed(self, era: int) -> bool:
        """The call was not answered. True if the server is gone with this."""
        if era != self._era:
            return False
        goes_away = self._retry_at is None
        self._pause_s = self._next_pause_s(goes_away)
        self._retry_at = self._clock() + self._pause_s * (1 - self._jitter() / 2)
        self._probing = False
        self._era += 1
        return goes_away

    def withdrawn(self, era: int) -> None:
        """The call ended without an answer, through no fault of the server."""
        if era == self._era:
            self._probing = False

    def _next_pause_s(self, goes_away: bool) -> float:
        if goes_away and self._clock() - self._closed_at >= STEADY_S:
            return FIRST_PAUSE_S
        return min(2 * self._pause_s, LONGEST_PAUSE_S)
