"""The use case: what was found is shown to everybody at a place, or gone on with in a new thread.

Both are for those who may read it, and only where everybody who reads along may open it too; that is
asked of the platform anew, right before anything is posted.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, runtime_checkable

from bot import sharing_words as words
from bot.domain import NEWEST_EVER, Author, SessionKey
from bot.errors import PlatformError, PlatformForbidden, PlatformUnavailable, PostGone, StoreError
from bot.finding import Excerpt, Finder, Known, Line, Passing, Place, Question, Readable, Shelf, Side
from bot.recall import for_everybody
from bot.recall_words import where
from bot.recent import Recent
from bot.sharing_words import Sentence

REMEMBERED = 1_000
"""Gestures that are known to be done, so that one that comes twice costs nothing."""
WITHIN_S = 110.0
"""How long it may take: somebody waits."""
TAKEN_S = 150.0
"""Longer than that: after a crash somebody else may see to it."""
LOOK_EVERY_S = 0.3
"""While another process sees to the same."""
LOOKS = 40


@dataclass(frozen=True, slots=True)
class Quote:
    """A message as it is shown to everybody at a place."""

    line: Line
    where: str
    """What people call the place where it was said."""
    link: str
    by: Author
    """Who asked for it to be shown."""
    here: str
    """What people call the place where it is shown; "" where no name is known."""


class Opened(NamedTuple):
    """Where a new thread began."""

    key: SessionKey
    post: int
    """Position of the post that opened it."""


@runtime_checkable
class Stage(Shelf, Protocol):
    """A platform where something can be posted outside of any turn.

    Such a post pings nobody, and is known as no part of any answer. A `gesture` names what somebody
    did: the same one again gives the same post, as far as the platform allows. All raise
    `PlatformUnavailable`, `PlatformForbidden`.
    """

    async def show_to_all(self, at: SessionKey, quote: Quote, gesture: str) -> int:
        """Post `quote` where everybody at `at` reads it; its position."""

    async def open_thread(self, at: SessionKey, opening: Sentence, name: str, gesture: str) -> Opened:
        """Begin a new thread in the channel of `at`; in a flat direct message go on right there."""

    async def leave_word(self, key: SessionKey, word: Sentence, gesture: str) -> int | None:
        """Post `word` in that thread, unless it is archived or locked; its position."""


class Continuations(Protocol):
    """Where it is kept which session goes on from which."""

    async def begin(self, key: SessionKey, post: int, old: SessionKey, by: Author) -> bool:
        """Let the session of `key` go on from what `old` holds now; False if that holds nothing."""


class Gestures(Protocol):
    """Who sees to what somebody did: one process at a time. Kept in SQL."""

    async def take(self, gesture: str, for_s: float) -> str:
        """What to let go of it with; "" while somebody else sees to it. It is free again after `for_s`."""

    async def let_go(self, gesture: str, token: str) -> None:
        """It is seen to, or not: whoever asks next may take it."""


class Sharer(Protocol):
    """The door to it, for platforms."""

    async def offer(self, question: Question, key: SessionKey, position: int) -> Quote | Sentence:
        """What would be shown to everybody where it is asked, or why nothing is."""

    async def show(self, question: Question, key: SessionKey, position: int, gesture: str) -> Sentence:
        """Show it to everybody there; what to tell who asked for it."""

    async def go_on(self, question: Question, key: SessionKey, gesture: str) -> Sentence:
        """Go on with a session in a new thread where it is asked; what to tell who asked for it."""


class Sharing:
    """Implements `Sharer`."""

    def __init__(
        self,
        finder: Finder,
        known: Known,
        passing: Passing,
        continuations: Continuations,
        gestures: Gestures,
    ) -> None:
        self._finder = finder
        self._known = known
        self._passing = passing
        self._continuations = continuations
        self._taken = gestures
        self._stages: Mapping[str, Stage] = {}
        self._gestures: Recent[str, Sentence] = Recent(REMEMBERED)
        """Those that are under way or done, with what was said of them."""

    def serve(self, stages: Mapping[str, Stage]) -> None:
        """Post on these platforms, by name."""
        self._stages = stages

    async def offer(self, question: Question, key: SessionKey, position: int) -> Quote | Sentence:
        stage = self._stages.get(question.at.platform)
        if stage is None:
            return words.NOT_HERE
        readable = await stage.places(question.by, question.at, self._known)
        if readable.direct:
            return words.NOBODY_ELSE
        places = await for_everybody(stage, readable, question.at)
        part = await self._part(key, places, position)
        if part is None or part.lines[0].position != position:
            return words.NOT_TO_ALL
        here = _name(readable, question.at)
        link = await stage.link(key, position)
        return Quote(part.lines[0], _where(part, places), link, question.by, here)

    async def show(self, question: Question, key: SessionKey, position: int, gesture: str) -> Sentence:
        async with self._once(gesture) as said:
            if said:
                return said
            quote = await self.offer(question, key, position)
            told = await self._show(question.at, quote, gesture) if isinstance(quote, Quote) else quote
            if told is words.SHOWN:
                self._gestures.put(gesture, told)
            return told

    async def _show(self, at: SessionKey, quote: Quote, gesture: str) -> Sentence:
        try:
            post = await self._stages[at.platform].show_to_all(at, quote, gesture)
        except (PlatformForbidden, PostGone):
            return words.CANT_POST
        with suppress(StoreError):  # it was shown, and is known by its marks too
            await self._passing.pass_over(at, post)
        return words.SHOWN

    async def go_on(self, question: Question, key: SessionKey, gesture: str) -> Sentence:
        async with self._once(gesture) as said:
            if said:
                return said
            told = await self._go_on(question, key, gesture)
            if any(piece.link for piece in told):
                self._gestures.put(gesture, told)
            return told

    async def _go_on(self, question: Question, key: SessionKey, gesture: str) -> Sentence:
        at, by = question.at, question.by
        stage = self._stages.get(at.platform)
        if stage is None:
            return words.NOT_HERE
        readable = await stage.places(by, at, self._known)
        places = await for_everybody(stage, readable, at if readable.direct else replace(at, thread=""))
        part = await self._part(key, places, NEWEST_EVER)
        if part is None:
            return words.NOT_TO_ALL
        place, link = _where(part, places), await stage.link(key, part.lines[0].position)
        opening = words.goes_on_from(by.name, place, part.talk.messages, link)
        try:
            opened = await stage.open_thread(at, opening, words.thread_name(place), gesture)
        except (PlatformForbidden, PostGone):
            return words.CANT_POST
        if not await self._continuations.begin(opened.key, opened.post, key, by):
            return words.NOT_TO_ALL
        await self._passing.pass_over(opened.key, opened.post)
        there = await stage.link(opened.key, opened.post)
        await self._leave_word(stage, by, key, opened.key, there, gesture)
        return words.goes_on_at(there)

    async def _leave_word(
        self, stage: Stage, by: Author, old: SessionKey, new: SessionKey, link: str, gesture: str
    ) -> None:
        """Where it goes on, if everybody who reads the old conversation may know that there is a new one."""
        if old == new or old.platform != new.platform:
            return
        readable = await stage.places(by, old, self._known)
        if readable.direct or Place(*_channel(new)) not in await for_everybody(stage, readable, old):
            return
        try:
            post = await stage.leave_word(old, words.went_on(by.name, link), f"{gesture}:word")
        except PlatformError:  # then it is linked one way only
            return
        if post is not None:
            await self._passing.pass_over(old, post)

    async def _part(self, key: SessionKey, places: Mapping[Place, str], position: int) -> Excerpt | None:
        """The newest message of a session up to a position; None if it is in none of `places`, or empty."""
        part = await self._finder.excerpt(key, Side(position), frozenset(places), 1)
        return part if part is not None and part.lines else None

    @asynccontextmanager
    async def _once(self, gesture: str) -> AsyncGenerator[Sentence]:
        """What is to be said of a gesture that is done or under way; () for another, which may be refused.

        What was refused may be tried again: somebody may have given the right to it meanwhile. What
        another process did meanwhile is done again, and finds the posts that are there.
        """
        known = self._gestures.get(gesture)
        if known is not None:
            yield known
            return
        self._gestures.put(gesture, words.UNDER_WAY)
        try:
            async with self._alone(gesture) as is_ours:
                yield () if is_ours else words.UNDER_WAY
        finally:
            if self._gestures.get(gesture) is words.UNDER_WAY:
                self._gestures.drop(gesture)

    @asynccontextmanager
    async def _alone(self, gesture: str) -> AsyncGenerator[bool]:
        """Whether no other process sees to it, for as long as this one does. Waits a while for it to end."""
        token = await self._taken.take(gesture, TAKEN_S)
        for _ in range(LOOKS):
            if token:
                break
            await asyncio.sleep(LOOK_EVERY_S)
            token = await self._taken.take(gesture, TAKEN_S)
        if not token:
            yield False
            return
        try:
            async with asyncio.timeout(WITHIN_S):
                yield True
        except TimeoutError as exc:
            raise PlatformUnavailable(words.TOO_SLOW) from exc
        finally:
            with suppress(StoreError):  # else it is free a little later
                await self._taken.let_go(gesture, token)


def _where(part: Excerpt, places: Mapping[Place, str]) -> str:
    return where(part.talk.place, places.get(part.talk.place, ""))


def _name(readable: Readable, at: SessionKey) -> str:
    """What people call the place of `at`; "" where it is not known."""
    here = Place(*_channel(at))
    names = (readable.private.get(here._replace(thread=at.thread)), readable.shared.get(here))
    return next(filter(None, (*names, readable.private.get(here))), "")


def _channel(key: SessionKey) -> tuple[str, str, str]:
    return key.platform, key.workspace, key.channel
