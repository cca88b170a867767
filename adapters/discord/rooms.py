"""Where a reply goes: its thread, which is opened if need be, or the channel where there can be none."""

import logging
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from adapters.discord import events
from adapters.discord.notices import NO_THREADS, Notices
from adapters.discord.places import CAN_HAVE_THREADS, DIRECT, PUBLIC_THREAD, Places, Spot
from adapters.discord.rest import INVALID_BODY, THREAD_EXISTS, TITLE_BLOCKED, Refused, Rest
from adapters.discord.sending import MESSAGE
from bot.domain import Turn
from bot.errors import MayNotAnswer, PostGone
from bot.recent import Recent

log = logging.getLogger(__name__)

THREAD_NAME = 100
"""Characters of a thread's name."""
NAMED_AFTER = 500
"""Characters of a question among which its thread's name is looked for."""
UNNAMED = "Conversation"
"""A thread's name where the question gives none that Discord takes."""
MAY_NOT_ANSWER = (
    "I can't answer you in #{place}: it is locked, or I lack the right to write there. "
    "Somebody who manages the server can change that; or write to me here."
)

_MENTION = re.compile(r"@(everyone|here)\b|<[@#][!&]?\d+>")


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

    def __init__(self, rest: Rest, places: Places, notices: Notices) -> None:
        self._rest = rest
        self._places = places
        self._notices = notices
        self._questions: Recent[int, str] = Recent(1_000)

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
        if await self._places.spot(thread, int(turn.key.workspace)) is None:
            return by_reply  # a server with other ids for threads, and nothing tells any more which one it is
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
        return self._places.learn({"type": PUBLIC_THREAD, "parent_id": spot.id, **thread}, spot.guild or 0).id

    async def _name(self, channel: int, message: int) -> str:
        if known := self._questions.get(message):
            return thread_name(known)
        question = await self._rest.call("GET", MESSAGE, channel_id=channel, message_id=message)
        bot = self._places.bot(None)
        return thread_name(events.text(question, bot, events.Names()))

    async def _say_so(self, spot: Spot | None) -> None:
        """Tell the channel why the answer is not in a thread."""
        if spot is not None and spot.kind in CAN_HAVE_THREADS:
            await self._notices.once(spot, NO_THREADS)
