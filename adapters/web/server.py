"""The room over HTTP, for the page in `static/`: what it shows, what it takes, and its socket."""

import asyncio
import hashlib
import mimetypes
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from importlib import resources
from typing import Protocol

from aiohttp import web

from adapters.web import taking
from adapters.web.asking import (
    body_of,
    files_of,
    json_of,
    kindly,
    nonce_of,
    number_of,
    position_of,
    root_of,
    text_of,
    zone_of,
)
from adapters.web.cast import Kind
from adapters.web.finding import Finder, FoundPages, person_of, place_key
from adapters.web.guard import Guard, Serve
from adapters.web.ledger import File, Post
from adapters.web.line import Line, note_shown
from adapters.web.memory import Memory
from adapters.web.news import News, Note, NotThere, Posted, Refused, RoomUnavailable
from adapters.web.room import MOST_FILE_BYTES, MOST_FILES, MOST_PERSON_CHARS, Room
from adapters.web.shelf import shown_page
from adapters.web.showing import file_response, shown_channel, shown_file, shown_post
from adapters.web.translate import DIRECT_THREAD, PLATFORM, WORKSPACE
from adapters.web.words import clean, command
from bot.commands import Export
from bot.domain import Button, SessionKey
from bot.finding import Page
from bot.taking import Taken

PAGE = 50
MOST_NOTES = 30
"""Notes for each person that a page which is loaded again still shows."""
NOTES_LIVE = timedelta(seconds=60)
"""For how long: they may quote what is deleted or forgotten meanwhile."""
RECALL = "recall"
_PLACELESS = frozenset({"help", "forget", "export", "catchup", RECALL})
"""Commands that make sense outside of a thread."""
_OPINIONS = frozenset({Button.GOOD, Button.BAD})


class Guest(Finder, Protocol):
    """What the pages need of the bot."""

    async def pressed(self, post: Post, button: Button, by: str) -> str: ...

    async def ordered(self, key: SessionKey, by: str, words: str) -> str: ...

    async def taken(self, by: str, at: SessionKey, export: Export) -> Taken | str: ...


class Pages:
    """The handlers, and the sockets that are open."""

    def __init__(
        self, room: Room, guest: Guest, memory: Memory | None, guard: Guard, commands: Mapping[str, str]
    ) -> None:
        self._room = room
        self._guest = guest
        self._memory = memory
        self._guard = guard
        self._commands = commands
        self._static = _static_files()
        self._lines: set[Line] = set()
        self._notes: dict[str, deque[tuple[datetime, Note]]] = {}
        self._found = FoundPages(room, guest)
        self._unlisten = room.listen(self._keep_note)

    def routes(self) -> list[web.RouteDef]:
        def route(method: str, path: str, serve: Serve) -> web.RouteDef:
            return web.route(method, path, self._guard.wrap(kindly(serve)))

        return [
            route("GET", "/", self._index),
            route("GET", "/static/{name}", self._asset),
            route("GET", "/ws", self._socket),
            route("GET", "/api/room", self._overview),
            route("GET", "/api/posts/{channel}", self._posts),
            route("POST", "/api/posts/{channel}", self._say),
            route("PATCH", "/api/post/{position}", self._edit),
            route("DELETE", "/api/post/{position}", self._delete),
            route("POST", "/api/post/{position}/press", self._press),
            route("GET", "/api/export/{channel}/{thread}", self._export),
            *(route("POST", f"/api/recall/{{channel}}{path}", serve) for path, serve in self._found.serves()),
            route("POST", "/api/files", self._upload),
            route("GET", "/files/{id}", self._file),
            route("GET", "/api/memory/{channel}/{thread}", self._look),
            route("DELETE", "/api/memory/{channel}/{thread}", self._drop),
        ]

    async def close(self) -> None:
        """Tell every page that the server goes away; they come back by themselves."""
        self._unlisten()
        await asyncio.gather(*(line.close() for line in tuple(self._lines)))

    def _keep_note(self, news: News) -> None:
        if isinstance(news, Note) and news.to in self._room.cast.people:
            kept = self._notes.setdefault(news.to, deque(maxlen=MOST_NOTES))
            kept.append((self._room.now(), news))

    def _kept_notes(self, person: str) -> list[Note]:
        """What that person was told just now."""
        kept = self._notes.get(person, deque())
        while kept and self._room.now() - kept[0][0] > NOTES_LIVE:
            kept.popleft()
        return [note for _, note in kept]

    # Pages and files.

    async def _index(self, request: web.Request) -> web.StreamResponse:
        return self._asset_response(request, "index.html")

    async def _asset(self, request: web.Request) -> web.StreamResponse:
        return self._asset_response(request, request.match_info["name"])

    def _asset_response(self, request: web.Request, name: str) -> web.StreamResponse:
        if name not in self._static:
            raise NotThere("There is no such page.")
        body, tag = self._static[name]
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=headers)
        type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return web.Response(body=body, headers=headers, content_type=type, charset="utf-8")

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        person = self._person(request)
        content = await body_of(request, MOST_FILE_BYTES, f"a file takes {MOST_FILE_BYTES // 2**20} MB")
        kept = await self._room.upload(person, request.query.get("name", ""), request.content_type, content)
        return web.json_response(shown_file(kept))

    async def _file(self, request: web.Request) -> web.StreamResponse:
        person = self._person(request)
        known = await self._room.file(request.match_info["id"])
        if known is None or not self._may_have(person, *known):
            raise NotThere("There is no such file for you.")
        content = await self._room.content(known[0].id) or b""
        return file_response(known[0], content)

    def _may_have(self, person: str, file: File, post: Post | None) -> bool:
        if post is None:
            return file.owner == person
        return self._room.cast.may_read(person, post.channel)

    # The room.

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        since = number_of(request.query.get("since"))
        line = Line(self._room, self._person(request), shown_post)
        self._lines.add(line)
        try:
            return await line.serve(request, since)
        finally:
            self._lines.discard(line)

    async def _overview(self, request: web.Request) -> web.StreamResponse:
        cast = self._room.cast
        me = self._person(request) if request.query.get("as") else next(iter(cast.people))
        return web.json_response(
            {
                "me": me,
                "bot": asdict(cast.bot),
                "people": [asdict(person) for person in cast.people.values()],
                "channels": [shown_channel(place) for place in cast.readable(me)],
                "commands": dict(self._commands),
                "remembers": self._memory is not None,
                "newest": self._room.newest,
                "notes": [note_shown(note) for note in self._kept_notes(me)],
                "limits": {"chars": MOST_PERSON_CHARS, "files": MOST_FILES, "bytes": MOST_FILE_BYTES},
            }
        )

    async def _posts(self, request: web.Request) -> web.StreamResponse:
        me, channel = self._person(request), request.match_info["channel"]
        self._room.place(me, channel)
        root, before = number_of(request.query.get("root")), number_of(request.query.get("before"))
        posts = await self._room.page(channel, root, before, PAGE + 1)
        more, posts = len(posts) > PAGE, posts[-PAGE:]
        roots = [post.position for post in posts if post.root is None]
        tallies = await self._room.tallies(channel, roots)
        shown = [shown_post(Posted(post, None), me) for post in posts]
        return web.json_response(
            {"posts": shown, "tallies": [asdict(tally) for tally in tallies.values()], "more": more}
        )

    async def _say(self, request: web.Request) -> web.StreamResponse:
        me, channel = self._person(request), request.match_info["channel"]
        asked = await json_of(request)
        root = root_of(asked)
        text, files = text_of(asked), files_of(asked)
        order = command(clean(text))
        if order is not None and not files:
            return await self._order(me, channel, root, *order, zone_of(asked))
        post = await self._room.say(me, channel, root, text, files, nonce_of(asked))
        return web.json_response({"post": shown_post(Posted(post, None), me)})

    async def _order(
        self, me: str, channel: str, root: int | None, word: str, rest: str, zone: str
    ) -> web.StreamResponse:
        place = self._room.place(me, channel)
        direct = place.kind is Kind.DIRECT
        if word not in self._commands:
            known = ", ".join(f"/{name}" for name in self._commands)
            text = f"I don't know /{word}. There are {known}."
        elif root is None and not direct and word not in _PLACELESS:
            text = f"/{word} is about one thread: open a thread, and type it there."
        elif word == RECALL:
            found = await self._guest.recalled(me, place_key(channel, root), rest, zone, None)
            if isinstance(found, Page):
                self._room.note(me, channel, root, found.lead, shown_page(found))
                return web.json_response({"noted": True})
            text = found
        else:
            text = await self._guest.ordered(place_key(channel, root), me, f"{word} {rest}".strip())
        if text:
            self._room.note(me, channel, root, text)
        return web.json_response({"noted": True})

    async def _edit(self, request: web.Request) -> web.StreamResponse:
        text = text_of(await json_of(request))
        post = await self._room.edit(self._person(request), position_of(request), text)
        return web.json_response({"post": shown_post(Posted(post, None), self._person(request))})

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        await self._room.delete(self._person(request), position_of(request))
        return web.json_response({"deleted": True})

    async def _press(self, request: web.Request) -> web.StreamResponse:
        me, asked = self._person(request), await json_of(request)
        post = await self._room.get(position_of(request))
        if post is None or post.deleted or not self._room.cast.may_read(me, post.channel):
            raise NotThere("That message is not there any more.")
        button = next((button for button in Button if button.value == asked.get("button")), None)
        if post.mark is None or button is None:
            raise Refused("There is no such button.")
        trouble = await self._guest.pressed(post, button, me)
        if trouble:
            raise RoomUnavailable(trouble)
        if button in _OPINIONS:
            await self._room.vote(me, post.position, button.value)
        return web.json_response({"pressed": True})

    # What is taken out.

    async def _export(self, request: web.Request) -> web.StreamResponse:
        """A thread as a file, for somebody who may read it now."""
        at = self._session(request)
        taken = await self._guest.taken(self._person(request), at, taking.export_of(request.query))
        if isinstance(taken, str):
            raise NotThere(taken)
        return await taking.send(request, taken)

    # What the bot remembers.

    async def _look(self, request: web.Request) -> web.StreamResponse:
        key = self._session(request)
        found = None if self._memory is None else await self._memory.look(key)
        return web.json_response({"remembered": None if found is None else asdict(found)})

    async def _drop(self, request: web.Request) -> web.StreamResponse:
        key = self._session(request)
        if self._memory is not None:
            await self._memory.drop(key)
        return await self._look(request)

    def _session(self, request: web.Request) -> SessionKey:
        channel, thread = request.match_info["channel"], request.match_info["thread"]
        self._room.place(self._person(request), channel)
        if thread != DIRECT_THREAD:
            number_of(thread)
        return SessionKey(PLATFORM, WORKSPACE, channel, thread)

    def _person(self, request: web.Request) -> str:
        return person_of(request, self._room)


def _static_files() -> dict[str, tuple[bytes, str]]:
    """Every file of the page, with its tag; read once, so that no path from outside meets the disk."""
    folder = resources.files("adapters.web") / "static"
    found = {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()}
    return {name: (body, f'"{hashlib.sha256(body).hexdigest()[:16]}"') for name, body in found.items()}
