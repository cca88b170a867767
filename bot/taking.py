"""The use case: somebody takes a thread out that they may read, as a file for them alone."""

import asyncio
import logging
import re
import time
import unicodedata
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, runtime_checkable

from bot import words
from bot.carry import Carrier
from bot.commands import Export, Form
from bot.domain import Author, SessionKey
from bot.errors import PlatformError, PlatformForbidden, ThreadflyError
from bot.finding import Finder, Known, Place, Shelf, Side, Talk
from bot.printed import Html, Json, Markdown, Printer
from bot.recall import shown_at
from bot.sheets import Entry, Piece, Scope, Sheet

FILE_BYTES = 4_000_000
"""Of one file. Every platform takes as much, and no more of a thread is held in memory at once."""
MOST_FILES = 10
"""What is longer is for operators, whose command has no such bounds."""
PREFIX: Final = "threadfly-export"
"""Names of files begin so: thereby a platform's history of a direct message knows them again."""
NAME_LENGTH = 50
AT_ONCE = 2
"""Threads that a process hands over at the same time."""
JUDGED_FOR_S = 30.0
"""A right that was judged longer ago is judged anew before more is read."""

log = logging.getLogger(__name__)

_PRINTERS: Final[Mapping[Form, type[Printer]]] = {Form.MARKDOWN: Markdown, Form.HTML: Html, Form.JSON: Json}
_TYPES: Final = {Form.MARKDOWN: "text/markdown", Form.HTML: "text/html", Form.JSON: "application/json"}
_SUFFIXES: Final = {Form.MARKDOWN: "md", Form.HTML: "html", Form.JSON: "json"}


@dataclass(frozen=True, slots=True)
class Wish:
    """Somebody wants a thread as a file."""

    by: Author
    at: SessionKey
    """Where it is asked; the thread that is meant unless a link names another. Need not be a session."""
    export: Export


@dataclass(frozen=True, slots=True)
class Document:
    """One file."""

    name: str
    type: str
    content: bytes
    messages: int
    lead: str
    """What it is, in a sentence or two."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A thread that may be handed to who asked for it. It is read as it is handed over."""

    title: str
    messages: int
    form: Form
    pieces: Callable[[], AsyncGenerator[Piece, None]] = field(repr=False)
    """Its sheet, and then what is on it."""
    turnstile: asyncio.Semaphore = field(repr=False)
    """Passed by those who hold whole files in memory."""

    def name(self, number: int = 1) -> str:
        """Of the file with that number: letters, digits and dashes."""
        parts = [PREFIX, _slug(self.title), str(number) if number > 1 else ""]
        return f"{'-'.join(filter(None, parts))}.{_SUFFIXES[self.form]}"

    @property
    def type(self) -> str:
        """MIME type."""
        return _TYPES[self.form]

    async def text(self) -> AsyncGenerator[str, None]:
        """All of it as one document, piece by piece. Close it."""
        printer = _PRINTERS[self.form]()
        yield printer.before()
        async with aclosing(self.pieces()) as pieces:
            async for piece in pieces:
                if text := printer.piece(piece):
                    yield text
        yield printer.after()

    async def documents(
        self, most_bytes: int = FILE_BYTES, most: int = MOST_FILES
    ) -> AsyncGenerator[Document, None]:
        """All of it in files of at most `most_bytes` (of one message more, if it alone is longer).

        None if it went away meanwhile. Close it.
        """
        page: _Page | None = None
        async with self.turnstile, aclosing(self.pieces()) as pieces:
            async for piece in pieces:
                if isinstance(piece, Sheet):
                    page = _Page(self, piece)
                elif isinstance(piece, Entry) and page is not None and not page.add(piece, most_bytes):
                    yield page.document(more=True, end=page.number == most)
                    if page.number == most:
                        return
                    page = page.next()
                    page.add(piece, most_bytes)
            if page is not None:
                yield page.document(more=False, end=True)


class _Page:
    """A file that is being written."""

    def __init__(self, taken: Taken, sheet: Sheet, number: int = 1) -> None:
        self.number = number
        self._taken = taken
        self._sheet = sheet
        self._printer = _PRINTERS[taken.form]()
        self._pieces = [piece.encode() for piece in (self._printer.before(), self._printer.piece(sheet))]
        self._size = sum(map(len, self._pieces))
        self._messages = 0

    def add(self, entry: Entry, most_bytes: int) -> bool:
        """Write one more message; False if that would be more than `most_bytes`, and it is not the first."""
        encoded = self._printer.piece(entry).encode()
        if self._messages and self._size + len(encoded) > most_bytes:
            return False
        self._pieces.append(encoded)
        self._size += len(encoded)
        self._messages += 1
        return True

    def next(self) -> "_Page":
        """The file after this one."""
        return _Page(self._taken, self._sheet, self.number + 1)

    def document(self, *, more: bool, end: bool) -> Document:
        """The file, which is the last one at the `end`; there is `more` of the thread behind it."""
        taken, whole = self._taken, self.number == 1 and not more
        content = b"".join([*self._pieces, self._printer.after().encode()])
        lead = words.exported(taken.title, self._messages, self.number, whole=whole)
        if end and more:
            lead = f"{lead} {words.EXPORT_CUT}"
        return Document(taken.name(self.number), taken.type, content, self._messages, lead)


def is_name(name: str) -> bool:
    """Whether a file of ours is called so that was handed to somebody."""
    return name.startswith(PREFIX)


def _slug(title: str) -> str:
    """What is left of a title in the name of a file; whatever a path or a header could trip over is not."""
    plain = unicodedata.normalize("NFKC", title).lower()
    return re.sub(r"[\W_]+", "-", plain).strip("-")[:NAME_LENGTH].strip("-")


@runtime_checkable
class Handing(Shelf, Protocol):
    """A platform on which a file can be given to one person alone."""

    async def linked(self, link: str, at: SessionKey) -> Sequence[SessionKey]:
        """The sessions that a link may mean, the likeliest first. Whether they are there is not said."""

    async def hand(self, taken: Taken, wish: Wish) -> str:
        """Give it to who asked; what to tell them about it, where they asked ("": they see it themselves).

        Raises `PlatformError`.
        """


class Taker(Protocol):
    """The door to exports, for platforms that hand them over in ways of their own."""

    async def take(self, wish: Wish) -> Taken | str:
        """The thread, or a sentence why not."""


class TakingOut:
    """Says who may take what, at the moment when they ask: what they could read with recall, there."""

    def __init__(
        self,
        finder: Finder,
        known: Known,
        carrier: Carrier,
        wait_s: Callable[[SessionKey, Author], Awaitable[float]],
    ) -> None:
        """`wait_s`: 0, and one more request of a person is counted; or the seconds until it may be."""
        self._finder = finder
        self._known = known
        self._carrier = carrier
        self._wait_s = wait_s
        self._platforms: Mapping[str, Handing] = {}
        self._turnstile = asyncio.Semaphore(AT_ONCE)

    def serve(self, platforms: Mapping[str, Handing]) -> None:
        """Hand files over on these platforms, by name."""
        self._platforms = platforms

    async def take(self, wish: Wish) -> Taken | str:
        """The thread, or a sentence why not: the same where it is not there and where it is not for them."""
        platform = self._platforms.get(wish.at.platform)
        if platform is None:
            return words.EXPORT_NOT_HERE
        if (wait_s := await self._wait_s(wish.at, wish.by)) > 0:
            return words.too_fast_unkept(wait_s)
        link = wish.export.link
        keys = await platform.linked(link, wish.at) if link else [wish.at]
        places = await self._places(wish)
        for key in keys:
            if (talk := await self._talk(key, places)) is not None:
                return self._taken(wish, key, talk)
        return words.EXPORT_NOT_LINKED if link else words.EXPORT_NO_THREAD

    async def _places(self, wish: Wish) -> frozenset[Place]:
        """What its asker could read with recall, there and now."""
        readable = await self._platforms[wish.at.platform].places(wish.by, wish.at, self._known)
        return frozenset(shown_at(readable, wish.at))

    async def _talk(self, key: SessionKey, places: frozenset[Place]) -> Talk | None:
        first = await self._finder.excerpt(key, Side(0, 1), places, 1)
        return first.talk if first is not None and first.lines else None

    def _taken(self, wish: Wish, key: SessionKey, talk: Talk) -> Taken:
        """The title is the one that recall shows: it tells nothing that was edited or deleted.

        Handing over may have to wait, and may take long, so the right to it is judged again on the way.
        """

        async def pieces() -> AsyncGenerator[Piece, None]:
            judged: float | None = None
            async for piece in self._carrier.out(_scope(key)):
                if judged is None or time.monotonic() - judged > JUDGED_FOR_S:
                    if await self._talk(key, await self._places(wish)) is None:
                        if judged is None:
                            return
                        raise PlatformForbidden("The right to read the thread was lost on the way.")
                    judged = time.monotonic()
                yield replace(piece, title=talk.title) if isinstance(piece, Sheet) else piece

        return Taken(talk.title, talk.messages, wish.export.form, pieces, self._turnstile)

    async def hand(self, wish: Wish) -> str:
        """Take the thread and give it to who asked; what to tell them there ("": nothing)."""
        try:
            taken = await self.take(wish)
            if isinstance(taken, str):
                return taken
            return await self._platforms[wish.at.platform].hand(taken, wish)
        except PlatformError as error:
            kind = type(error).__name__
            log.warning("An export failed: %s", kind, extra={"event": "not_handed", "session": str(wish.at)})
            return words.EXPORT_FAILED
        except ThreadflyError as error:
            return str(error)


def _scope(key: SessionKey) -> Scope:
    return Scope(key.platform, key.workspace, key.channel, key.thread)
