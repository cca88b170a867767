"""The posts of one reply as they stand on the platform, and the rows that say so."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from adapters import words
from adapters.layout import Sheet
from adapters.posts import Fixed, Posts, Showing, Throttled
from bot.domain import Part
from bot.errors import LeaseLost, PlatformForbidden, PostGone
from bot.ports import Journal

T = TypeVar("T")


@dataclass(slots=True)
class _Post:
    number: int
    position: int | None = None
    shown: tuple[str, Showing] | None = None
    """None: nothing yet, or what an earlier owner left there."""
    says: str | None = None
    """Its share of the reply's text, as it was when the post was last changed; None as above."""
    gone: bool = False
    """Somebody deleted it. It stays deleted."""
    doubtful: bool = False
    """May be on the platform though we have no position: to be looked for before it is posted."""
    journaled: bool = False


class Written:
    """What a reply has posted. Each method makes at most one call that users can see.

    Intent is committed before a post is made, its position right after. A post whose call may have
    been carried out, by us or by an earlier owner, is looked for before it is made again.
    """

    def __init__(self, posts: Posts, journal: Journal) -> None:
        turn = journal.turn
        self._posts = posts
        self._journal = journal
        self._taken_over = turn.taken_over
        self._by_number = {
            part.number: _Post(
                part.number,
                part.position,
                doubtful=part.position is None,
                journaled=part.position is not None,
            )
            for part in turn.parts
        }
        if turn.taken_over:
            self._by_number.setdefault(1, _Post(1, doubtful=True))
        self._intended = {1, *self._by_number}

    @property
    def any(self) -> bool:
        """Whether there is a post that people see."""
        return any(post.position is not None and not post.gone for post in self._by_number.values())

    async def settle(self) -> None:
        """Look for the posts that may be there, and write down what is not written yet."""
        doubtful = sorted((p for p in self._by_number.values() if p.doubtful), key=lambda p: p.number)
        if doubtful:
            found = await self._posts.ours()
            free = await self._journal.unclaimed(found) - self._positions() if found else frozenset()
            unclaimed = [position for position in found if position in free]
            for post in doubtful:
                post.position = next((p for p in unclaimed if p > self._floor(post.number)), None)
                post.doubtful = False
        for post in self._by_number.values():
            await self._write_down(post)

    def is_shown(self, sheet: Sheet) -> bool:
        """Whether nothing is to be done for a sheet of the whole answer."""
        post = self._by_number.get(sheet.number)
        return post is not None and (post.gone or post.shown == (sheet.text, sheet.showing))

    def is_enough(self, sheet: Sheet) -> bool:
        """Whether nothing is to be done for a sheet while the reply grows.

        What an earlier owner showed stays until the new text fills that post, lest it seem to shrink.
        """
        post = self._by_number.get(sheet.number)
        if post is None or not self._taken_over or post.position is None or post.shown is not None:
            return self.is_shown(sheet)
        return sheet.showing is Showing.GROWING

    def is_there(self, sheet: Sheet) -> bool:
        """Whether there is a post to change; else it is to be made."""
        post = self._by_number.get(sheet.number)
        return post is not None and (post.gone or post.position is not None)

    async def intend(self, sheet: Sheet) -> None:
        """Commit that the sheet is about to be posted."""
        if sheet.number not in self._intended:
            await self._journal.intend(sheet.number)
            self._intended.add(sheet.number)

    async def create(self, sheet: Sheet, *, write_down: bool) -> None:
        """Post the sheet. Without `write_down`, closing the turn does that."""
        post = self._by_number.setdefault(sheet.number, _Post(sheet.number))
        if sheet.is_file:
            call = self._posts.create_file(sheet.number, words.REST_NAME, sheet.text)
        else:
            call = self._posts.create(sheet.number, sheet.text, sheet.showing)
        try:
            post.position = await self._while_ours(call)
        except (Throttled, PlatformForbidden):
            raise
        except BaseException:
            post.doubtful = True
            raise
        post.shown, post.says = (sheet.text, sheet.showing), sheet.says
        if write_down:
            await self._write_down(post)

    async def change(self, sheet: Sheet) -> None:
        """Let the post read as the sheet, unless it was deleted.

        Raises `Fixed` where that can't be: the post is taken away, to be made anew when the text is whole.
        """
        post = self._by_number[sheet.number]
        if post.position is None or post.gone:
            return
        try:
            await self._while_ours(self._posts.change(post.position, sheet.text, sheet.showing))
        except PostGone:
            post.gone = True
        except Fixed:
            await self._while_ours(self._posts.remove(post.position))
            post.position, post.shown, post.says, post.journaled = None, None, None, False
            raise
        post.shown, post.says = (sheet.text, sheet.showing), sheet.says

    async def remove(self, number: int) -> None:
        """Take a post away that the answer does not need."""
        post = self._by_number[number]
        if post.position is not None and not post.gone:
            await self._while_ours(self._posts.remove(post.position))
        del self._by_number[number]

    def superfluous(self, sheets: Sequence[Sheet]) -> list[int]:
        """Numbers of posts to remove: beyond the answer, or a file, which can't be changed."""
        needed = {s.number for s in sheets if not s.is_file or self.is_shown(s)}
        return sorted(post.number for post in self._by_number.values() if post.number not in needed)

    def parts(self, sheets: Sequence[Sheet]) -> tuple[Part, ...]:
        """Where each sheet is; without a position where somebody deleted it."""
        posts = ((sheet, self._by_number.get(sheet.number)) for sheet in sheets)
        return tuple(
            Part(sheet.number, post.position if post and not post.gone else None, sheet.end)
            for sheet, post in posts
        )

    def standing(self) -> tuple[str, tuple[Part, ...]]:
        """What people read of the reply now, and where; without what an earlier owner left."""
        text, parts = "", []
        for post in sorted(self._by_number.values(), key=lambda post: post.number):
            if post.position is not None and not post.gone and post.says is not None:
                text += post.says
                parts.append(Part(post.number, post.position, len(text)))
        return text, tuple(parts)

    async def _while_ours(self, call: Coroutine[Any, Any, T]) -> T:
        """Carry out a call that users can see, and cut it off when the turn stops being ours.

        A platform may hold a call back for longer than a lease; what lands after another owner has
        finished would undo the other's work.
        """
        loop, journal = asyncio.get_running_loop(), self._journal
        watch: asyncio.TimerHandle | None = None

        def look() -> None:
            nonlocal watch
            if left_s := journal.left_s():
                watch = loop.call_later(left_s, look)
            else:
                lost.reschedule(loop.time())

        try:
            journal.check()
            async with asyncio.timeout(None) as lost:
                look()
                return await call
        except TimeoutError:
            if lost.expired():
                raise LeaseLost("The lease ran out while a call was under way.") from None
            raise
        finally:
            call.close()
            if watch is not None:
                watch.cancel()

    def _positions(self) -> set[int]:
        return {post.position for post in self._by_number.values() if post.position is not None}

    def _floor(self, number: int) -> int:
        """The newest position of the parts before `number`: a reply's posts are in order."""
        before = (p.position for p in self._by_number.values() if p.number < number and p.position)
        return max(before, default=0)

    async def _write_down(self, post: _Post) -> None:
        if post.position is not None and not post.journaled:
            await self._journal.posted(post.number, post.position)
            post.journaled = True
