"""One open page: what is new in the room goes to it, as fast as it takes it and no faster."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from aiohttp import web

from adapters.web.ledger import Post
from adapters.web.markdown import tree
from adapters.web.news import News, Note, Posted, RoomUnavailable, Working
from adapters.web.room import Room

Shown = dict[str, Any]
TICK_S = 15.0
"""A page that hears nothing for much longer takes the connection for dead."""
MOST_BEHIND = 500
"""A page that missed more than this loads everything anew."""


class Line:
    """The socket of one page that one person looks at.

    At most one state of each post waits to be sent, the newest: a slow reader costs no memory.
    """

    def __init__(self, room: Room, person: str, show: Callable[[Posted, str], Shown]) -> None:
        self._room = room
        self._person = person
        self._show = show
        self._pending: dict[object, News] = {}
        self._news = asyncio.Event()
        self._socket = web.WebSocketResponse(heartbeat=TICK_S, max_msg_size=4096)

    async def serve(self, request: web.Request, since: int | None) -> web.WebSocketResponse:
        """Send until the page goes away; first what changed after `since`."""
        await self._socket.prepare(request)
        unlisten = self._room.listen(self._hear)
        sender = asyncio.create_task(self._send_all(since))
        try:
            async for _ in self._socket:
                pass  # a page says things by POST; here it only listens
        finally:
            unlisten()
            sender.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sender
        return self._socket

    async def close(self) -> None:
        await self._socket.close(code=1012, message=b"the playground restarts")

    def _hear(self, news: News) -> None:
        if not self._may_see(news):
            return
        name = _name(news)
        self._pending.pop(name, None)  # back to the end: stamps reach the page in ascending order
        self._pending[name] = news
        self._news.set()

    def _may_see(self, news: News) -> bool:
        if isinstance(news, Note):
            return news.to == self._person
        channel = news.post.channel if isinstance(news, Posted) else news.channel
        return self._room.cast.may_read(self._person, channel)

    async def _send_all(self, since: int | None) -> None:
        try:
            if since is not None:
                await self._catch_up(since)
            await self._socket.send_json({"caught_up": True})
            while True:
                await self._send_pending()
        except ConnectionError:
            return
        except RoomUnavailable:
            await self.close()

    async def _send_pending(self) -> None:
        try:
            async with asyncio.timeout(TICK_S):
                await self._news.wait()
        except TimeoutError:
            await self._socket.send_json({"tick": True})
            return
        self._news.clear()
        batch, self._pending = self._pending, {}
        await self._socket.send_json({"news": [self._shown(news) for news in batch.values()]})

    async def _catch_up(self, since: int) -> None:
        channels = [place.id for place in self._room.cast.readable(self._person)]
        missed = await self._room.news(channels, since, MOST_BEHIND + 1)
        if len(missed) > MOST_BEHIND:
            await self._socket.send_json({"reload": True})
            return
        told = [
            news
            for post in missed
            for news in (await self._posted(post),)
            if _name(news) not in self._pending
        ]
        if told:
            await self._socket.send_json({"news": [self._shown(news) for news in told]})

    async def _posted(self, post: Post) -> Posted:
        tallies = await self._room.tallies(post.channel, (post.root,)) if post.root else {}
        return Posted(post, tallies.get(post.root or 0))

    def _shown(self, news: News) -> Shown:
        match news:
            case Posted():
                return {"post": self._show(news, self._person)}
            case Working():
                return {"working": {"channel": news.channel, "root": news.root, "work": news.work}}
            case Note():
                return {"note": note_shown(news)}


def note_shown(note: Note) -> Shown:
    shown: Shown = {"number": note.number, "after": note.after, "channel": note.channel, "root": note.root}
    shown |= {"text": note.text, "body": tree(note.text)}
    if note.download:
        shown["download"] = note.download
    return shown if note.found is None else shown | {"found": note.found}


def _name(news: News) -> object:
    match news:
        case Posted():
            return news.post.position
        case Working():
            return ("working", news.channel, news.root)
        case Note():
            return ("note", news.number)
