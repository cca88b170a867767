"""Where the end of a long thread is looked for, by apps that Slack lets read one page a minute. No I/O.

Slack begins a thread at its oldest reply, so its end is asked for by time: everything since some moment. If
that is more than a page, there is a gap before the question, and the next look begins later; if it is
nothing, earlier. An answer waits for one look as a rule, so what one has taught is kept for the next.
"""

from dataclasses import dataclass, replace
from typing import Self

SHARE = 0.5
"""Of a page, for the first look that is not at everything: threads are busier at one time than at another."""
LEAST = 1_000_000
"""Microseconds between two looks that are worth it."""


@dataclass(frozen=True, slots=True)
class Tail:
    """What is known of one thread before a question; times are microseconds before `before`."""

    before: int
    """The position of the question that was asked first. What comes later is heard."""
    empty: int
    """Nothing was said since then."""
    full: int
    """More than a page was said since then, or nobody has looked yet."""
    stretch: int
    """Where the next look begins."""
    whole: int
    """When the thread began."""

    @classmethod
    def of(cls, thread: int, before: int) -> Self:
        """Of a thread that began at the position `thread`: the first look is at all of it."""
        return cls(before, 0, before - thread, before - thread, before - thread)

    @property
    def is_whole(self) -> bool:
        """The look is at all of it."""
        return self.stretch == self.whole

    def later(self, replies: int, page: int) -> "Tail | None":
        """After a look that found more than a `page` of the `replies`; None if there is no better one."""
        if self.is_whole:
            return replace(self, stretch=int(self.whole * SHARE * page / max(replies, page)))
        return replace(self, full=self.stretch)._between()

    def earlier(self) -> "Tail | None":
        """After a look that found nothing; None if there is no better one."""
        return replace(self, empty=self.stretch)._between()

    def _between(self) -> "Tail | None":
        if self.full - self.empty < LEAST:
            return None
        return replace(self, stretch=(self.empty + self.full) // 2)
