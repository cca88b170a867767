"""What was found, over HTTP: its pages, the conversations around, showing it to all, and going on with it."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from aiohttp import web

from adapters.web.asides import as_markdown, quoted
from adapters.web.asking import bookmark_of, gesture_of, json_of, number_of, root_of, zone_of
from adapters.web.guard import Serve
from adapters.web.markdown import tree
from adapters.web.news import NotThere, Refused
from adapters.web.room import Room
from adapters.web.shelf import shown_excerpt, shown_page
from adapters.web.translate import DIRECT_THREAD, PLATFORM, WORKSPACE
from bot.domain import SessionKey
from bot.finding import Bookmark, Excerpt, Page, Side
from bot.sharing import Quote
from bot.sharing_words import Sentence, as_text, asks_to_show


class Finder(Protocol):
    """What these pages need of the bot."""

    async def recalled(
        self, by: str, at: SessionKey, words: str, zone: str, mark: Bookmark | None
    ) -> Page | str: ...

    async def looked(self, by: str, at: SessionKey, key: SessionKey, side: Side) -> Excerpt | str: ...

    async def offered(self, by: str, at: SessionKey, key: SessionKey, position: int) -> Quote | Sentence: ...

    async def shown(
        self, by: str, at: SessionKey, key: SessionKey, position: int, gesture: str
    ) -> Sentence: ...

    async def went_on(self, by: str, at: SessionKey, key: SessionKey, gesture: str) -> Sentence: ...


class FoundPages:
    """The handlers."""

    def __init__(self, room: Room, finder: Finder) -> None:
        self._room = room
        self._guest = finder

    def serves(self) -> Iterator[tuple[str, Serve]]:
        """Paths below a channel, and what serves each."""
        yield "", self._leaf
        yield "/look", self._read_on
        yield "/offer", self._offer
        yield "/show", self._show
        yield "/go_on", self._go_on

    async def _leaf(self, request: web.Request) -> web.StreamResponse:
        """Another page of what somebody asked here."""
        me, at, asked = await self._asked_again(request)
        words = asked.get("words")
        if not isinstance(words, str):
            raise Refused("The words must be a string.")
        mark = bookmark_of(asked)
        found = await self._guest.recalled(me, at, words, zone_of(asked), mark)
        if not isinstance(found, Page):
            raise Refused(found)
        return web.json_response({"found": shown_page(found)})

    async def _read_on(self, request: web.Request) -> web.StreamResponse:
        """A part of a conversation in which something was found."""
        me, at, asked = await self._asked_again(request)
        key, position = self._hit(me, asked)
        step = asked.get("step", 0)
        if step not in (-1, 0, 1):
            raise Refused("A step is -1, 0 or 1.")
        excerpt = await self._guest.looked(me, at, key, Side(position, step))
        if not isinstance(excerpt, Excerpt):
            raise NotThere(excerpt)
        return web.json_response({"part": shown_excerpt(excerpt, position)})

    async def _offer(self, request: web.Request) -> web.StreamResponse:
        """What would be shown to everybody, and the question whether it shall be."""
        me, at, asked = await self._asked_again(request)
        offered = await self._guest.offered(me, at, *self._hit(me, asked))
        if not isinstance(offered, Quote):
            raise Refused(as_text(offered))
        return web.json_response({"ask": asks_to_show(offered.here, "you"), "quote": tree(quoted(offered))})

    async def _show(self, request: web.Request) -> web.StreamResponse:
        """Show it to everybody."""
        me, at, asked = await self._asked_again(request)
        key, position = self._hit(me, asked)
        said = await self._guest.shown(me, at, key, position, gesture_of(me, asked))
        return web.json_response({"said": tree(as_markdown(said))})

    async def _go_on(self, request: web.Request) -> web.StreamResponse:
        """Go on with a conversation in a new thread."""
        me, at, asked = await self._asked_again(request)
        key, _ = self._hit(me, asked)
        said = await self._guest.went_on(me, at, key, gesture_of(me, asked))
        return web.json_response({"said": tree(as_markdown(said))})

    def _hit(self, me: str, asked: Mapping[str, Any]) -> tuple[SessionKey, int]:
        """The message that a request is about."""
        channel, thread = asked.get("of_channel"), asked.get("of_thread")
        position = number_of(str(asked.get("position") or ""))
        if not isinstance(channel, str) or not isinstance(thread, str) or position is None:
            raise NotThere("There is no such conversation.")
        self._room.place(me, channel)
        return place_key(channel, None if thread == DIRECT_THREAD else number_of(thread)), position

    async def _asked_again(self, request: web.Request) -> tuple[str, SessionKey, dict[str, Any]]:
        """Who asks, where, and what else the request says."""
        me, channel = person_of(request, self._room), request.match_info["channel"]
        self._room.place(me, channel)
        asked = await json_of(request)
        return me, place_key(channel, root_of(asked)), asked


def person_of(request: web.Request, room: Room) -> str:
    """Who asks."""
    person = request.query.get("as", "")
    if person not in room.cast.people:
        raise NotThere("Nobody here has that name.")
    return person


def place_key(channel: str, root: int | None) -> SessionKey:
    """The session of a thread, or what stands for one where somebody types into a channel."""
    return SessionKey(PLATFORM, WORKSPACE, channel, DIRECT_THREAD if root is None else str(root))
