"""What waits for the one writer of a SQLite file, handed to it in groups that share a commit."""

import asyncio
import queue
import time
from typing import Any, NamedTuple

LIMIT = 256
"""Most pieces of work that share one commit; bounds how long the first of them waits."""
HELD_S = 0.002
"""How long work that gives way is held for company: about as long as a commit takes."""


class Job(NamedTuple):
    """A piece of work, and who waits for it."""

    work: Any
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]
    gives_way: bool


class Groups:
    """Filled from any thread, emptied by one."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()

    def put(self, job: Job) -> None:
        """Let `job` wait."""
        self._jobs.put(job)

    def end(self) -> None:
        """Nothing more comes."""
        self._jobs.put(None)

    def next(self) -> list[Job]:
        """What waits, in the order it came; empty once the end was reached.

        The first is waited for. While all that came gives way, others are too, for `HELD_S` in all.
        """
        job = self._jobs.get()
        group: list[Job] = []
        held_until = time.monotonic() + HELD_S
        while job is not None:
            group.append(job)
            if len(group) == LIMIT:
                return group
            held_until = held_until if job.gives_way else 0.0
            try:
                job = self._jobs.get(timeout=max(0.0, held_until - time.monotonic()))
            except queue.Empty:
                return group
        if group:
            self.end()  # for the call that finds nothing else
        return group
