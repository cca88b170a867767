"""What a platform must be able to do with posts, so that `reply.py` can write a reply there.

This is the seam between what the platforms share (pace, cut, once, finish: `reply.py`,
`pacing.py`, `splitting.py`) and what is theirs alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Showing(StrEnum):
    """In what state a post is shown, which decides its buttons."""

    GROWING = "growing"
    """More text comes: Stop."""
    EARLIER = "earlier"
    """Complete, and another post follows: no buttons. A file that follows does not count."""
    DONE = "done"
    """The last post of a whole answer: thumbs up and down."""
    STOPPED = "stopped"
    """The last post of an answer that somebody stopped."""
    FAILED = "failed"
    """The last post of an answer that failed: Try again."""


class Work(StrEnum):
    """What the bot does while there is no text yet."""

    THINKING = "thinking"
    SEARCHING = "searching"
    """It looks through what was said."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one platform takes."""

    post_length: int
    """Most that a post may hold, in the platform's own count."""
    most_parts: int = 5
    """A reply that needs more posts goes on as a file."""
    length: Callable[[str], int] = len
    """The platform's own count: the sum over the characters, each at least 1."""


class Throttled(Exception):
    """The platform wants us to wait; the call was not carried out."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"wait {retry_after_s:.1f} s")
        self.retry_after_s = retry_after_s


class Fixed(Exception):
    """The platform lets nobody change the post any more; another one may be made in its place."""


class Posts(Protocol):
    """The posts of one reply, in one thread. An island makes one for each reply.

    Methods raise `Throttled`, or the `PlatformError`s. A call that may or may not have been
    carried out (a cut connection) is settled by the island where it can (`create` through its nonce).
    Where it can't, it raises `PlatformUnavailable`: `reply.py` looks among `ours` before it posts
    that part again. Text pings no one, on any path; only the island knows how.
    """

    limits: Limits

    async def create(self, number: int, text: str, showing: Showing) -> int:
        """Post part `number`; its position. The post carries turn and part where the platform allows."""

    async def change(self, position: int, text: str, showing: Showing) -> None:
        """Let the post read `text` instead. Raises `PostGone` when it is not there any more, or `Fixed`."""

    async def remove(self, position: int) -> None:
        """Take the post away, if it is there."""

    async def create_file(self, number: int, name: str, content: str) -> int:
        """Post part `number` as a file, without text or buttons; its position.

        Raises `PlatformForbidden` where the bot may not post files: the rest is then posted as text.
        """

    async def ours(self) -> Sequence[int]:
        """Positions of the bot's own posts in the thread that are newer than what was asked, ascending.

        Where the platform tells: posts that name another turn or part than this reply's are left out,
        and those that name this turn come first, before the others.
        """

    async def working(self, work: Work) -> None:
        """Show that the bot is at work, if it can at what; called again every few seconds. Never raises."""
