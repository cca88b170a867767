"""What the room tells: its news to whoever listens, and its refusals to whoever asked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from adapters.web.ledger import Post, Tally


class Refused(Exception):
    """The room does not do this; `str(error)` is a sentence for whoever asked."""


class NotThere(Refused):
    """There is no such post, channel or file, or not for this person."""


class RoomUnavailable(Exception):
    """The room's file can't be read or written."""


@dataclass(frozen=True, slots=True)
class Posted:
    """A post is new or reads differently."""

    post: Post
    tally: Tally | None
    """Of its thread; None for a post of the channel itself."""


@dataclass(frozen=True, slots=True)
class Working:
    """The bot is at work on an answer there."""

    channel: str
    root: int | None
    work: str
    """`thinking` or `searching`."""


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence for one person alone, kept by nobody."""

    number: int
    after: int
    """The last stamp of the room when it was told: what came later stands below it."""
    to: str
    channel: str
    root: int | None
    text: str
    found: Mapping[str, Any] | None = None
    """A page of recall, which the reader can leaf through; the text is then its first sentence."""
    download: str = ""
    """Where a file is that the text speaks of; "" for none."""


News = Posted | Working | Note
Listener = Callable[[News], None]
