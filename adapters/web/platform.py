"""The playground as a platform of the bot."""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from adapters.pacing import Pace
from adapters.reply import PacedReply
from adapters.web import taking
from adapters.web.asides import Asides
from adapters.web.cast import Cast
from adapters.web.guard import Guard
from adapters.web.ledger import Post
from adapters.web.memory import Memory
from adapters.web.posts import RoomPosts, ours
from adapters.web.pump import Pump
from adapters.web.room import Room
from adapters.web.server import Pages
from adapters.web.shelf import CastShelf, shown_page
from adapters.web.translate import PLATFORM, WORKSPACE, heard_in, key_of, messages_of, root_of
from bot import words
from bot.commands import Export
from bot.domain import (
    NEWEST_EVER,
    Attachment,
    Author,
    Button,
    History,
    Message,
    Order,
    Pressed,
    Receipt,
    Said,
    SessionKey,
)
from bot.errors import ArchiveUnavailable, PlatformForbidden, ThreadflyError
from bot.finding import Bookmark, Excerpt, Known, Page, Place, Question, Readable, Recaller, Side
from bot.ports import Desk, Handler, Journal, Reply, Watermarks
from bot.sharing import Opened, Quote, Sharer
from bot.sharing_words import Sentence, plainly
from bot.taking import Taken, Taker, Wish

log = logging.getLogger(__name__)

COMMANDS: Mapping[str, str] = {
    "help": "what Threadfly can do",
    "new": "begin afresh in this thread; nothing is deleted",
    "stop": "stop the answer that is being written",
    "pause": "let people talk; Threadfly keeps quiet, and keeps listening",
    "resume": "answer again",
    "catchup": "what was said since you last spoke, here or in all your threads; only you see it",
    "recall": "find what was said; only you see the answer",
    "export": "this thread as a file for you alone; `html` and `json` are other forms of it",
    "model": "choose the model for this thread",
    "persona": "choose the persona for this thread",
    "forget": "`thread` or `me`: take away for good what Threadfly keeps of it",
}
"""What may be typed with a slash, for the desk, and what it does, for the reader."""
_FILE_LINK = re.compile(r"/files/([\w-]{8,64})\Z")
_HISTORY_PAGE = 100
STEP_S = 0.1
"""Between two edits of a young reply: nobody limits the rate here."""
LONGEST_STEP_S = 0.5
NOT_OPEN = "Threadfly is not taking anything in right now. Try again in a moment."


class WebPlatform:
    """The bot's seat in a room of its own.

    `data_dir` must exist; the room lies in it as `playground.db`. Without a `token` only requests
    that come to this very machine by its own names are served.
    """

    def __init__(
        self,
        data_dir: Path,
        watermarks: Watermarks,
        *,
        memory: Memory | None = None,
        recall: Recaller | None = None,
        taker: Taker | None = None,
        sharing: Sharer | None = None,
        token: str = "",
        bot_name: str = "threadfly",
        cast: Cast | None = None,
        commands: Mapping[str, str] = COMMANDS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.room = Room(data_dir / "playground.db", cast or Cast.of(bot_name), now)
        self._watermarks = watermarks
        self._recall = recall
        self._taker = taker
        self._sharing = sharing
        self._asides = Asides(self.room)
        self._shelf = CastShelf(self.room.cast)
        self._pages = Pages(self.room, self, memory, Guard(token), commands)
        self._handler: Handler | None = None
        self._desk: Desk | None = None
        self._pumps: list[Pump] = []

    @property
    def name(self) -> str:
        return PLATFORM

    def routes(self) -> list[web.RouteDef]:
        """What the one HTTP server serves for it: `/`, `/static/`, `/ws`, `/api/`, `/files/`.

        Open that server before the platform and close it after: `close` ends the sockets of the
        pages, which the server would otherwise wait for.
        """
        return self._pages.routes()

    async def open(self, handler: Handler, desk: Desk) -> None:
        """Open the room and catch up. Raises `PlatformUnavailable` when its file is unusable."""
        with ours():
            await self.room.open()
        self._handler, self._desk = handler, desk
        done = await self._watermarks.watermarks(PLATFORM, WORKSPACE)
        self._pumps = [
            Pump(self.room, channel, done.get(channel, 0), handler, self._watermarks)
            for channel in self.room.cast.channels
        ]
        for pump in self._pumps:
            pump.start()

    async def quiet(self) -> None:
        """Hand nothing more to the core; what people still say is kept by the room, for the next start."""
        self._handler = self._desk = None
        await asyncio.gather(*(pump.stop() for pump in self._pumps))
        self._pumps = []

    async def close(self) -> None:
        await self.quiet()
        await self._pages.close()
        await self.room.close()

    def ailing(self) -> str:
        if self._handler is None:
            return "The playground is not open."
        return next((pump.trouble for pump in self._pumps if pump.trouble), "")

    async def open_reply(self, journal: Journal) -> Reply:
        pace = Pace(least_s=STEP_S, most_s=LONGEST_STEP_S)
        reply = PacedReply(RoomPosts(self.room, journal.turn), journal, pace)
        await reply.open()
        return reply

    async def history(self, key: SessionKey, before: int, limit: int) -> History:
        if key.channel not in self.room.cast.channels:
            raise PlatformForbidden("There is no such channel in the playground.")
        posts: list[Post] = []
        found: tuple[Message, ...] = ()
        exhausted = False
        oldest = before
        while len(found) <= limit and not exhausted:
            with ours():
                page = await self.room.page(key.channel, root_of(key), oldest, _HISTORY_PAGE)
            exhausted = len(page) < _HISTORY_PAGE
            oldest = page[0].position if page else oldest
            posts = [*(post for post in page if not post.deleted), *posts]
            found = messages_of(posts, self.room.cast)
        newest = found[-limit:] if limit else ()
        return History(newest, exhausted and len(newest) == len(found), await self._later(key, before, limit))

    async def _later(self, key: SessionKey, after: int, limit: int) -> tuple[Said, ...]:
        """What people said in the thread after that position."""
        posts: list[Post] = []
        oldest = NEWEST_EVER
        while oldest > after:
            with ours():
                page = await self.room.page(key.channel, root_of(key), oldest, _HISTORY_PAGE)
            posts = [*page, *posts]
            oldest = page[0].position if len(page) == _HISTORY_PAGE else after
        return heard_in((post for post in posts if post.position > after), self.room.cast)[:limit]

    async def fetch(self, attachment: Attachment, most: int) -> bytes | None:
        link = _FILE_LINK.match(attachment.url)
        if link is None:
            return None
        with ours():
            known = await self.room.file(link[1])
            if known is None or known[0].size > most:
                return None
            return await self.room.content(link[1])

    async def tell(self, key: SessionKey, to: Author, text: str) -> None:
        self.room.note(to.id, key.channel, root_of(key), text)

    # Looking things up.

    async def places(self, asker: Author, at: SessionKey, known: Known) -> Readable:
        return await self._shelf.places(asker, at, known)

    async def open_to_readers_of(self, at: SessionKey, places: frozenset[Place]) -> frozenset[Place]:
        return await self._shelf.open_to_readers_of(at, places)

    async def link(self, key: SessionKey, position: int) -> str:
        return await self._shelf.link(key, position)

    async def show_found(self, question: Question, page: Page) -> None:
        at = question.at
        self.room.note(question.by.id, at.channel, root_of(at), page.lead, shown_page(page))

    # Files for one person alone.

    async def linked(self, link: str, at: SessionKey) -> Sequence[SessionKey]:  # noqa: ARG002 - the port's
        return taking.linked(link)

    async def hand(self, taken: Taken, wish: Wish) -> str:
        """Say where it can be downloaded: it is read, and judged again who may have it, when it is."""
        at, text = wish.at, words.exported(taken.title, taken.messages, 1, whole=True)
        self.room.note(wish.by.id, at.channel, root_of(at), text, download=taking.address(wish))
        return ""

    # Showing to everybody, and going on.

    async def show_to_all(self, at: SessionKey, quote: Quote, gesture: str) -> int:
        return await self._asides.show(at, quote, gesture)

    async def open_thread(
        self,
        at: SessionKey,
        opening: Sentence,
        name: str,  # noqa: ARG002 - threads have none here
        gesture: str,
    ) -> Opened:
        return await self._asides.open_thread(at, opening, gesture)

    async def leave_word(self, key: SessionKey, word: Sentence, gesture: str) -> int | None:
        return await self._asides.leave_word(key, word, gesture)

    # What the pages need of the guest.

    async def taken(self, by: str, at: SessionKey, export: Export) -> Taken | str:
        """A thread to be downloaded, or a sentence."""
        wish = Wish(self._author(by), at, export)
        return NOT_OPEN if self._taker is None else await self._taker.take(wish)

    async def pressed(self, post: Post, button: Button, by: str) -> str:
        """Pass on that a button was pressed; a sentence when that could not be done."""
        if self._handler is None or post.mark is None:
            return NOT_OPEN
        key = key_of(post, self.room.cast.channels[post.channel])
        event = Pressed(key, post.mark.asked, button, self._author(by))
        try:
            receipt = await self._handler(event)
        except ArchiveUnavailable:
            return "That could not be kept just now. Try again in a moment."
        if button is Button.AGAIN and receipt is Receipt.QUEUED:
            self.room.note(by, post.channel, root_of(key), words.AGAIN_NEXT)
        return ""

    async def ordered(self, key: SessionKey, by: str, words: str) -> str:
        """The answer to a slash command, for who typed it."""
        if self._desk is None:
            return NOT_OPEN
        try:
            return await self._desk(Order(key, self._author(by), words))
        except ThreadflyError as exc:
            log.warning("a command failed", extra={"event": "order_failed", "session": str(key)})
            return str(exc)

    async def recalled(
        self, by: str, at: SessionKey, words: str, zone: str, mark: Bookmark | None
    ) -> Page | str:
        """What somebody looks for, or a sentence."""
        question = Question(self._author(by), at, words, zone)
        return NOT_OPEN if self._recall is None else await self._recall.ask(question, mark)

    async def looked(self, by: str, at: SessionKey, key: SessionKey, side: Side) -> Excerpt | str:
        """A part of a conversation, or a sentence."""
        question = Question(self._author(by), at, "")
        return NOT_OPEN if self._recall is None else await self._recall.look(question, key, side)

    async def offered(self, by: str, at: SessionKey, key: SessionKey, position: int) -> Quote | Sentence:
        """What would be shown to everybody, or why nothing is."""
        if self._sharing is None:
            return plainly(NOT_OPEN)
        return await self._sharing.offer(Question(self._author(by), at, ""), key, position)

    async def shown(self, by: str, at: SessionKey, key: SessionKey, position: int, gesture: str) -> Sentence:
        """Show it to everybody there; what to tell who wanted that."""
        if self._sharing is None:
            return plainly(NOT_OPEN)
        return await self._sharing.show(Question(self._author(by), at, ""), key, position, gesture)

    async def went_on(self, by: str, at: SessionKey, key: SessionKey, gesture: str) -> Sentence:
        """Go on with a conversation there; what to tell who wanted that."""
        if self._sharing is None:
            return plainly(NOT_OPEN)
        return await self._sharing.go_on(Question(self._author(by), at, ""), key, gesture)

    def _author(self, person: str) -> Author:
        return Author(person, self.room.cast.name_of(person))
