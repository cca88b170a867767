"""The posts of one reply on Discord."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

from adapters.discord import asides, buttons, events
from adapters.discord.places import Places
from adapters.discord.rest import THREAD_ARCHIVED, UNKNOWN_CHANNEL, Missing, Payload, Refused, Rest
from adapters.discord.rooms import Room, Rooms
from adapters.discord.sending import LENGTH, MESSAGE, MESSAGES, NO_PINGS, nonce
from adapters.posts import Limits, Showing, Throttled, Work
from bot.domain import Turn
from bot.errors import PlatformError, PlatformForbidden, PostGone

log = logging.getLogger(__name__)

PAGE = 100
MOST_PAGES = 20
"""Read after what was asked, in which a post of ours is looked for."""


class DiscordPosts:
    """The posts of the reply to one turn. Implements `adapters.posts.Posts`."""

    limits = Limits(post_length=LENGTH)

    def __init__(self, rest: Rest, rooms: Rooms, places: Places, turn: Turn) -> None:
        self._rest = rest
        self._rooms = rooms
        self._places = places
        self._turn = turn
        self._asked = turn.asked[-1]
        self._room: Room | None = None
        self._finding = asyncio.Lock()
        self._made: dict[int, int] = {}

    async def create(self, number: int, text: str, showing: Showing) -> int:
        """Post part `number`, once: the nonce brings back the first post if it was made before."""
        return await self._post(number, {"content": text, **self._buttons(showing)}, None)

    async def create_file(self, number: int, name: str, content: str) -> int:
        """Post part `number` as a file."""
        body = {"attachments": [{"id": 0, "filename": name}]}
        return await self._post(number, body, (name, content.encode()))

    async def _post(self, number: int, body: Payload, file: tuple[str, bytes] | None) -> int:
        room = await self._where()
        body |= {"allowed_mentions": NO_PINGS, "enforce_nonce": True}
        if room.answers is not None:
            body["message_reference"] = {"message_id": str(room.answers), "fail_if_not_exists": False}
        position: int | None = None
        while position is None:
            # A file can't be compared with what a nonce brings back: each owner has nonces of its own.
            again = self._made.get(number, self._turn.epoch if file else 0)
            body["nonce"] = nonce(self._asked, number, again)
            position = await self._once(room, body, file)
            self._made[number] = again + 1  # a try of which nothing is known is made again under its nonce
        if room.answers is not None:
            self._places.belongs(position, self._turn.key.thread)
        return position

    async def _once(self, room: Room, body: Payload, file: tuple[str, bytes] | None) -> int | None:
        """Post under the nonce in `body`. None: Discord brings back a post that was deleted since."""
        try:
            post = await self._rest.call("POST", MESSAGES, body=body, file=file, channel_id=room.channel)
        except PostGone as gone:
            self._places.forget(room.channel)
            raise PlatformForbidden("the place to answer in is gone") from gone
        position = int(post["id"])
        if file is None and self._may_be_old(post, body):
            try:
                await self._edit(room, position, {key: body[key] for key in ("content", "components")})
            except PostGone:
                return None
        return position

    def _may_be_old(self, post: Payload, body: Payload) -> bool:
        """An earlier owner or try may have made it, with another text or other buttons, or it was deleted."""
        if self._turn.taken_over or self._turn.parts:
            return True
        if "components" in post and buttons.mark_of(post) != buttons.mark_of(body):
            return True
        read = str(post.get("content", body["content"]))
        return read.strip() != str(body["content"]).strip()

    async def change(self, position: int, text: str, showing: Showing) -> None:
        """Let the post read `text`; an archived thread is woken for that."""
        await self._edit(await self._where(), position, {"content": text, **self._buttons(showing)})

    async def _edit(self, room: Room, position: int, body: Payload) -> None:
        body |= {"allowed_mentions": NO_PINGS}
        ids: dict[str, Any] = {"channel_id": room.channel, "message_id": position}
        try:
            await self._rest.call("PATCH", MESSAGE, body=body, **ids)
        except Missing as missing:
            if missing.code != UNKNOWN_CHANNEL:
                raise  # the post alone is gone
            self._places.forget(room.channel)
            raise PlatformForbidden("the place to answer in is gone") from missing
        except Refused as refused:
            if refused.code != THREAD_ARCHIVED:
                raise
            awake = {"archived": False}
            await self._rest.call("PATCH", "/channels/{channel_id}", body=awake, channel_id=room.channel)
            await self._rest.call("PATCH", MESSAGE, body=body, **ids)

    async def remove(self, position: int) -> None:
        """Take the post away, if it is there."""
        room = await self._where()
        try:
            await self._rest.call("DELETE", MESSAGE, channel_id=room.channel, message_id=position)
        except PostGone:
            return

    async def ours(self) -> Sequence[int]:
        """Our posts in the room that are newer than what was asked, without those of other turns.

        Those whose buttons name this turn come first.
        """
        room = self._room or await self._rooms.look(self._turn)
        try:
            ours = [post async for post in self._since(room.channel) if self._is_ours(post, room)]
        except PostGone:
            return ()
        return [int(post["id"]) for post in sorted(ours, key=_likeliest)]

    async def _since(self, channel: int) -> AsyncIterator[Payload]:
        """What was posted after what was asked, the oldest page first; the end is known by an empty one."""
        after = self._asked
        for _ in range(MOST_PAGES):
            query = {"after": after, "limit": PAGE}
            page = await self._rest.call("GET", MESSAGES, query=query, channel_id=channel)
            newest = max((int(post["id"]) for post in page), default=0)
            if newest <= after:
                return
            for post in page:
                yield post
            after = newest

    def _is_ours(self, post: Payload, room: Room) -> bool:
        if events.author_id(post) != self._rest.me or not events.is_told(post):
            return False
        reference = (post.get("message_reference") or {}).get("message_id")
        if room.answers is not None and str(room.answers) != str(reference):
            return False
        mark = buttons.mark_of(post)
        return not asides.is_beside(post) if mark is None else mark.asked == self._asked

    async def working(self, work: Work) -> None:  # noqa: ARG002 - there is one sign for all
        """Typing lasts ten seconds on Discord, or until a post."""
        try:
            room = await self._where()
            path = "/channels/{channel_id}/typing"
            await self._rest.call("POST", path, tries=1, channel_id=room.channel)
        except (PlatformError, Throttled):
            log.debug("typing can't be shown", extra={"event": "no_typing", "session": str(self._turn.key)})

    def _buttons(self, showing: Showing) -> Payload:
        return {"components": buttons.below(showing, self._asked, self._turn.key.thread)}

    async def _where(self) -> Room:
        async with self._finding:
            if self._room is None:
                self._room = await self._rooms.find(self._turn) or await self._rooms.open(self._turn)
            return self._room


def _likeliest(post: Payload) -> tuple[bool, int]:
    return buttons.mark_of(post) is None, int(post["id"])
