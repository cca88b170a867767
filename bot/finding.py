"""The words of recall as values, and what it needs of platforms and of the archive. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol, runtime_checkable

from bot.domain import Author, SessionKey
from bot.query import Query


class Place(NamedTuple):
    """Where something was said, as far as the right to read it goes."""

    platform: str
    workspace: str
    channel: str
    thread: str = ""
    """Set where the thread has readers of its own (a private thread); "" where the channel decides."""


@dataclass(frozen=True, slots=True)
class Readable:
    """What somebody may read now, or could at most 60 s ago. What is in neither group is not shown.

    The values are what people call a place there (`#ops`, `direct messages`); "" where that is not known.
    """

    shared: Mapping[Place, str]
    """Places that everybody who belongs to the workspace may open, and the asker too."""
    private: Mapping[Place, str]
    """Places with readers of their own, the asker among them: direct messages, private channels."""
    direct: bool = False
    """It is asked in a direct message with the bot."""
    left_out: bool = False
    """Some places could not be judged, and are in neither."""
    zone: str = ""
    """The asker's time zone by its IANA name; "" where the platform tells none."""
    outsiders: bool = False
    """Where it is asked people of elsewhere may read along, to whom the shared places are closed."""


class Known(Protocol):
    """What the archive holds anything from, for platforms that must ask about each place."""

    async def channels(self, platform: str, workspace: str) -> frozenset[str]:
        """Every channel with a session."""

    async def closed_threads(self, platform: str, workspace: str) -> frozenset[tuple[str, str]]:
        """Channel and thread of every session that has readers of its own."""


@runtime_checkable
class Shelf(Protocol):
    """A platform whose conversations can be looked up."""

    async def places(self, asker: Author, at: SessionKey, known: Known) -> Readable:
        """What `asker` may read, who asks at `at`. Fails closed: what can't be determined is left out."""

    async def open_to_readers_of(self, at: SessionKey, places: frozenset[Place]) -> frozenset[Place]:
        """Those of `places` that everybody may open who reads what is said at `at`.

        For what is said there to all. Fails closed, as `places` does.
        """

    async def link(self, key: SessionKey, position: int) -> str:
        """Where a reader finds that message; "" where there is no such address."""


@dataclass(frozen=True, slots=True)
class Question:
    """Somebody wants to find something."""

    by: Author
    at: SessionKey
    """Where it is asked, and the answer is shown. Need not be a session."""
    words: str
    """What follows `recall`; nothing asks for the conversations that the asker took part in."""
    zone: str = ""
    """The asker's time zone where the question itself tells it, before what the platform says."""


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Where in the hits of a question a page begins. What was said after `as_of` moves nothing."""

    as_of: datetime
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a snippet."""

    text: str
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Snippet:
    """A part of a message."""

    stretches: tuple[Stretch, ...]
    cut_before: bool
    cut_after: bool

    @property
    def text(self) -> str:
        """Without marks."""
        return "".join(stretch.text for stretch in self.stretches)


@dataclass(frozen=True, slots=True)
class Line:
    """A message as it is shown among hits."""

    position: int
    author: Author
    sent_at: datetime
    snippet: Snippet


@dataclass(frozen=True, slots=True)
class Talk:
    """A session as it is shown among hits."""

    key: SessionKey
    place: Place
    title: str
    active_at: datetime
    messages: int
    first: int | None = None
    """Position of the message that the title is read from; None: there is none."""


@dataclass(frozen=True, slots=True)
class Hit:
    """The best message of one session, and what stands around it."""

    talk: Talk
    line: Line
    before: Line | None
    after: Line | None
    others: int
    """How many more messages of the session fit, among those that were looked at."""


class Seen(NamedTuple):
    """The newest part of one session."""

    key: SessionKey
    first: int
    """Position of its oldest message."""


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for, and where that is allowed."""

    query: Query
    places: frozenset[Place]
    asker: str
    """Who `me` is."""
    here: SessionKey
    """What `here` is: that session; its channel if it is none."""
    as_of: datetime
    first: bool = True
    """No page was shown yet: what by a platform's clock was sent a little later than `as_of` counts too."""
    seen: Seen | None = None
    """What is not looked for, since whoever asks has it before them."""


@dataclass(frozen=True, slots=True)
class Hits:
    """One page of what fits."""

    hits: tuple[Hit, ...]
    total: int
    """Sessions that fit, among those messages that were looked at."""
    whole: bool
    """False: older messages may fit too."""
    as_of: datetime
    """With this, and not `first`, all other pages are found as they were."""
    respelled: bool = False
    """Nothing fitted as typed; these hold words one typo away."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A part of one session."""

    talk: Talk
    lines: tuple[Line, ...]
    """Ascending."""
    older: bool
    """There is something before the first of them."""
    newer: bool
    links: tuple[str, ...] = ()
    """Where each of them is on its platform; "" where that can't be told."""


class Side(NamedTuple):
    """Which part of a session: around a position, or what is next to it on one side."""

    position: int
    step: int = 0
    """0: around it; -1: what comes before it; 1: what comes after it."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """What was said in a session since somebody last spoke."""

    talk: Talk
    lines: tuple[Line, ...]
    """Ascending; the newest of them, where there are more than were asked for."""
    whole: bool
    """These are all."""


@dataclass(frozen=True, slots=True)
class News:
    """The same with what its reader is told of it."""

    talk: Talk
    where: str
    lines: tuple[Line, ...]
    whole: bool


@dataclass(frozen=True, slots=True)
class AllNews:
    """What somebody missed."""

    news: Sequence[News]
    here: bool
    """In the thread where they asked; else in the conversations that they took part in."""


class Finder(Protocol):
    """Looks the archive up. Each call reads one moment of it, and never outside of the given places."""

    async def find(self, search: Search, skip: int, most: int) -> Hits | None:
        """A page of the sessions with messages that fit, best first; None if there is nothing to look for."""

    async def spoke(self, name: str, places: frozenset[Place]) -> bool:
        """Whether anybody of that name said anything there."""

    async def excerpt(
        self, key: SessionKey, side: Side, places: frozenset[Place], most: int
    ) -> Excerpt | None:
        """`most` messages of a session; None if it is not there, or in none of `places`."""

    async def unseen(self, key: SessionKey, by: str, places: frozenset[Place], most: int) -> Unseen | None:
        """The newest `most` messages since `by` last spoke in a session, of all if they never did.

        None as for `excerpt`.
        """


class Passing(Protocol):
    """Where it is written down which messages are never archived."""

    async def pass_over(self, key: SessionKey, position: int, *, answered: bool = True) -> bool:
        """Keep that message out of the archive for good; whether it was not `answered` before.

        False: it is only met now, and may be answered when it comes again.
        """


class Recaller(Protocol):
    """The door to recall, for platforms with buttons of their own below an answer."""

    async def ask(self, question: Question, bookmark: Bookmark | None = None) -> "Page | str":
        """A page of what `question` finds, or a sentence why there is none."""

    async def look(self, question: Question, key: SessionKey, side: Side) -> Excerpt | str:
        """A part of a session that the asker may read where they ask, or a sentence."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A hit with what its reader is told of it."""

    hit: Hit
    where: str
    """What people call the place; its id where no name is known."""
    link: str
    for_all: bool = False
    """Others read along where it was asked, and all of them may open it too."""


@dataclass(frozen=True, slots=True)
class Page:
    """An answer to a question."""

    words: str
    """As asked."""
    lead: str
    """What was found, in a sentence."""
    found: Sequence[Shown]
    notes: tuple[str, ...]
    """What else the asker should know: one sentence each."""
    zone: str
    """The IANA name of the zone in which times are to be told."""
    earlier: Bookmark | None
    """The page before this one; None on the first."""
    later: Bookmark | None


@runtime_checkable
class Showing(Protocol):
    """A platform that can show a page better than as a text."""

    async def show_found(self, question: Question, page: Page) -> None:
        """Show it to who asked, alone, where they asked. Best effort."""
