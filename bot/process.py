"""What a process of the bot runs on: its event loop, and its garbage collector."""

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

YOUNG = 20_000
"""Objects that are made before the collector looks at them. Python's own 700 are a fraction of one turn."""
YOUNG_TO_MIDDLE, MIDDLE_TO_OLD = 20, 50
"""How many looks at younger objects come before one at those that outlived them."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, on uvloop where it is installed: it is in C what asyncio is in Python.

    The collector looks seldom from now on: a turn makes next to no cycles.
    """
    gc.set_threshold(YOUNG, YOUNG_TO_MIDDLE, MIDDLE_TO_OLD)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(work)


def settle() -> None:
    """Let the collector leave alone what was made until now: modules, clients, all that stays for good.

    Each full look at it held up everything else for a tenth of a second.
    """
    gc.freeze()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """None: asyncio's own, as on Windows, for which there is no uvloop."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
