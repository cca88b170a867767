"""The posts of one reply on Discord, and the thread that they go to."""

import asyncio
import logging
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from adapters.discord import buttons, events, found
from adapters.discord.places import CAN_HAVE_THREADS, DIRECT, PLATFORM, Places, Spot
from adapters.discord.rest import (
    INVALID_BODY,
    THREAD_ARCHIVED,
    THREAD_EXISTS,
    TITLE_BLOCKED,
    UNKNOWN_CHANNEL,
    Missing,
    Refused,
    Rest,
)
from adapters.posts import Limits, Showing, Throttled, Work
from bot.domain import Turn
from bot.errors import MayNotAnswer, PlatformError, PlatformForbidden, PostGone, StoreError
from bot.ports import Watermarks
from bot.recent import Recent

log = logging.getLogger(__name__)

Payload = dict[str, Any]

LENGTH = 2_000
"""Characters of a post. Discord counts code points, as Python does (discord-api-docs issue 1315)."""
THREAD_NAME = 100
"""Characters of a thread's name."""
NONCE = 25
"""Characters of a nonce."""
PAGE = 100
NAMED_AFTER = 500
"""Characters of a question among which its thread's name is looked for."""
UNNAMED = "Conversation"
"""A thread's name where the question gives none that Discord takes."""
NO_PINGS: Payload = {"parse": [], "replied_user": False}
"""`allowed_mentions` of everything that we send: nobody is pinged."""
MAY_NOT_ANSWER = (
    "I can't answer you in #{place}: it is locked, or I lack the right to write there. "
    "Somebody who manages the server can change that; or write to me here."
)
TOLD_MARK = ":no_threads"
"""Behind a channel's id, among its watermarks: the notice that stands there already."""
NO_THREADS = (
    "-# I may not open threads in this channel, so I answer by reply: reply to my message to go on. "
    "Somebody who manages the server can give me the right to create public threads."
)
DIRECT_CLOSED = (
    "-# I can't write to you directly, so I can't show you what I found. Type `/recall` instead: "
    "only you see its answer."
)
MESSAGES = "/channels/{channel_id}/messages"
MESSAGE = "/channels/{channel_id}/messages/{message_id}"

_MENTION = re.compile(r"@(everyone|here)\b|<[@#][!&]?\d+>")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def base36(number: int) -> str:
    """`number` in few characters."""
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = _DIGITS[rest] + digits
    return digits or "0"


def nonce(asked: int, number: int, again: int = 0) -> str:
    """The name under which Discord takes a part once; `again` counts parts that were made anew."""
    return f"{base36(asked)}-{number}" + (f"-{again}" if again else "")


def thread_name(question: str) -> str:
    """A thread's name out of what was asked: its first line, cut at a word. It mentions nobody."""
    lines = (" ".join(_plain(line).split()).strip("#>*_`~- ") for line in question.splitlines())
    line = next((line for line in lines if any(map(_shows, line))), UNNAMED)
    if len(line) <= THREAD_NAME:
        return line
    cut = line[: THREAD_NAME - 1]
    return (cut.rsplit(" ", 1)[0] if " " in cut[THREAD_NAME // 2 :] else cut) + "…"


def _plain(line: str) -> str:
    return "".join(c for c in _MENTION.sub(r"\1", line) if unicodedata.category(c) not in ("Cc", "Cs"))


def _shows(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNPS"


@dataclass(frozen=True, slots=True)
class Room:
    """Where a reply's posts go."""

    channel: int
    answers: int | None = None
    """The message that every post replies to, where there is no thread."""


class Rooms:
    """Finds and opens the rooms of replies."""

    def __init__(self, rest: Rest, places: Places, watermarks: Watermarks) -> None:
        self._rest = rest
        self._places = places
        self._watermarks = watermarks
        self._questions: Recent[int, str] = Recent(1_000)
        self._told: Recent[int, str] = Recent(1_000)

    def check(self, turn: Turn) -> None:
        """Raise `MayNotAnswer` where it is known that nothing that we say would be taken."""
        key = turn.key
        if key.workspace == DIRECT:
            return
        thread = self._places.room_of(int(key.thread))
        spot = self._places.cached(thread, int(key.workspace))
        spot = spot or self._places.cached(int(key.channel), int(key.workspace))
        if spot is not None and not self._places.may_answer(spot):
            raise MayNotAnswer(MAY_NOT_ANSWER.format(place=spot.name or "this channel"))

    def asked(self, message: int, question: str) -> None:
        """Remember what a thread would be named after."""
        self._questions.put(message, question[:NAMED_AFTER])

    async def find(self, turn: Turn) -> Room | None:
        """The room that is there already; None if its thread is still to be opened."""
        key, thread = turn.key, int(turn.key.thread)
        if key.thread == key.channel:
            return Room(thread)
        room = self._places.room_of(thread)
        if room != thread or self._places.cached(thread, int(key.workspace)):
            return Room(room)
        if thread in turn.asked:
            return None
        by_reply = self._places.thread_of(turn.asked[-1]) == key.thread
        if not by_reply and await self._places.spot(thread, int(key.workspace)):
            return Room(thread)
        return Room(int(key.channel), turn.asked[-1])

    async def look(self, turn: Turn) -> Room:
        """As `find`, for a reply that somebody else may have begun."""
        thread = int(turn.key.thread)
        room = await self.find(turn)
        if room is not None:
            return room
        if await self._places.spot(thread, int(turn.key.workspace)):
            return Room(thread)
        return Room(int(turn.key.channel), turn.asked[-1])

    async def open(self, turn: Turn) -> Room:
        """Open the thread that belongs to what was asked; where that can't be, answer by reply."""
        channel, thread = int(turn.key.channel), int(turn.key.thread)
        spot = await self._places.spot(channel, int(turn.key.workspace))
        by_reply = Room(channel, turn.asked[-1])
        if spot is None or not self._places.may_open_threads(spot):
            await self._say_so(spot)
            return by_reply
        try:
            return Room(await self._start(spot, thread, await self._name(channel, thread)))
        except Refused as refused:
            if refused.code != THREAD_EXISTS:
                log.warning("no thread can be opened", extra={"event": "no_thread", "code": refused.code})
                await self._say_so(spot)
                return by_reply
        except PostGone:
            return by_reply
        return Room(thread)

    async def _start(self, spot: Spot, message: int, name: str) -> int:
        """The thread's id, which is the message's."""
        path = f"{MESSAGE}/threads"
        ids: dict[str, Any] = {"channel_id": spot.id, "message_id": message}
        try:
            thread = await self._rest.call("POST", path, body={"name": name}, **ids)
        except Refused as refused:
            if refused.code not in (INVALID_BODY, TITLE_BLOCKED) or name == UNNAMED:
                raise
            thread = await self._rest.call("POST", path, body={"name": UNNAMED}, **ids)
        self._places.opened(message, int(thread["id"]))
        self._places.hold(message, spot.guild or 0)
        return self._places.learn(thread, spot.guild or 0).id

    async def _name(self, channel: int, message: int) -> str:
        if known := self._questions.get(message):
            return thread_name(known)
        question = await self._rest.call("GET", MESSAGE, channel_id=channel, message_id=message)
        bot = self._places.bot(None)
        return thread_name(events.text(question, bot, events.Names()))

    async def _say_so(self, spot: Spot | None) -> None:
        """Tell the channel, once and for all, why the answer is not in a thread.

        The archive knows where it was told; the nonce brings two processes together that tell it at once.
        """
        if spot is None or spot.kind not in CAN_HAVE_THREADS or self._told.get(spot.id):
            return
        self._told.put(spot.id, "told")
        workspace, mark = str(spot.guild), f"{spot.id}{TOLD_MARK}"
        try:
            if mark in await self._watermarks.watermarks(PLATFORM, workspace):
                return
            notice = {"content": NO_THREADS, "allowed_mentions": NO_PINGS}
            body = {**notice, "nonce": f"told-{base36(spot.id)}", "enforce_nonce": True}
            post = await self._rest.call("POST", MESSAGES, body=body, channel_id=spot.id)
            await self._watermarks.advance(PLATFORM, workspace, mark, int(post["id"]))
        except (PlatformError, StoreError, Throttled):
            log.info("could not say why there is no thread", extra={"event": "no_thread_untold"})


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
            self._made[number] = again + 1
            body["nonce"] = nonce(self._asked, number, again)
            position = await self._once(room, body, file)
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
        """An earlier owner may have made it, who knew another text or other buttons, or it was deleted."""
        if self._turn.taken_over or self._turn.parts:
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
        """Our posts in the room that are newer than what was asked, without those of other turns."""
        room = self._room or await self._rooms.look(self._turn)
        query = {"after": self._asked, "limit": PAGE}
        try:
            found = await self._rest.call("GET", MESSAGES, query=query, channel_id=room.channel)
        except PostGone:
            return ()
        return sorted(int(post["id"]) for post in found if self._is_ours(post, room))

    def _is_ours(self, post: Payload, room: Room) -> bool:
        if events.author_id(post) != self._rest.me or not events.is_told(post):
            return False
        if post.get("content") in (NO_THREADS, DIRECT_CLOSED) or found.is_page(post) or found.is_aside(post):
            return False
        reference = (post.get("message_reference") or {}).get("message_id")
        if room.answers is not None and str(room.answers) != reference:
            return False
        mark = buttons.mark_of(post)
        return mark is None or mark.asked == self._asked

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
