"""Writes one reply: posts that grow at the platform's pace, and end whole."""

import asyncio
import contextlib
import logging
import random
import re
from collections.abc import Callable, Iterator

from adapters.layout import Layout, Sheet
from adapters.pacing import Pace
from adapters.posts import Fixed, Posts, Throttled, Work
from adapters.written import Written
from bot.domain import Answer, Outcome, Part
from bot.errors import LeaseLost, PlatformForbidden, PlatformUnavailable, StoreError
from bot.ports import Journal

log = logging.getLogger(__name__)

PATIENCE_S = 180.0
"""How long `finish` tries before it leaves the rest to a takeover."""
WORKING_AFTER_S = 0.4
"""An answer that is there sooner needs no sign of work before it."""
WORKING_EVERY_S = 8.0
"""Discord's typing sign lasts 10 s, the shortest of all."""
LAST_CALL_S = 5.0
"""How long `abandon` waits for a call that is under way, to write down what it made."""
LONGEST_BACKOFF_S = 10.0
LEAST_WAIT_S = 0.1
"""Between two tries, even where a platform asks for no wait at all."""

_UNSENDABLE = re.compile("[\x00\ud800-\udfff]")
"""Refused by platforms and by UTF-8. Replaced one for one, so that offsets stay right."""


def italic(sentence: str) -> str:
    """A sentence beside the text, where the platform has nothing better."""
    return f"*{sentence}*"


class PacedReply:
    """A `Reply` over the `Posts` of any platform.

    One task writes while the reply grows, with one call at a time, always the newest text. `finish`
    ends it and brings the rest in. What somebody deletes meanwhile stays deleted: the reply goes on
    in its other posts, and `finish` tells that part without a position.
    """

    def __init__(
        self, posts: Posts, journal: Journal, pace: Pace, *, small: Callable[[str], str] = italic
    ) -> None:
        self._posts = posts
        self._journal = journal
        self._pace = pace
        self._layout = Layout(posts.limits, small)
        self._written = Written(posts, journal)
        self._text = ""
        self._told = 0
        self._news = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._sign: asyncio.Task[None] | None = None
        self._work = Work.THINKING
        self._calling = False
        self._signing = False
        self._ending = False
        self._lost: LeaseLost | None = None
        self._files = True

    async def open(self) -> None:
        """Show that the bot works on it, until the first post."""
        self._sign = asyncio.create_task(self._show_work(WORKING_AFTER_S))

    async def searching(self) -> None:
        self._raise_if_lost()
        self._work = Work.SEARCHING
        if self._ending or self._signing:  # a sign under way is followed by the other one
            return
        if self._sign is not None:
            self._sign.cancel()
        self._sign = asyncio.create_task(self._show_work(0))

    async def show(self, text: str) -> None:
        self._raise_if_lost()
        if self._ending:
            return
        self._text = text
        self._news.set()
        if self._writer is None:
            self._writer = asyncio.create_task(self._grow())

    async def finish(self, answer: Answer) -> tuple[Part, ...]:
        try:
            await self._end_growth()
            self._raise_if_lost()
            parts = await self._persist(
                Answer(_sendable(answer.text), answer.outcome, _sendable(answer.note), answer.usage)
            )
            await self._end_sign()
        except LeaseLost as lost:
            self._lost = lost
            raise
        finally:
            self._cancel()
        return parts

    def standing(self) -> tuple[str, tuple[Part, ...]]:
        return self._written.standing()

    async def withdraw(self, why: str) -> tuple[Answer, tuple[Part, ...]]:
        nothing = Answer("", Outcome.DROPPED)
        try:
            await self._end_growth()
            self._raise_if_lost()
            await self._written.settle()
        finally:
            self._cancel()
        if not self._written.any:
            return nothing, ()
        said, _ = self.standing()
        answer = Answer(said or why, Outcome.STOPPED, why if said else "")
        return answer, await self.finish(answer)

    async def abandon(self) -> None:
        try:
            async with asyncio.timeout(LAST_CALL_S):
                await self._end_growth()
                await self._end_sign()
        except TimeoutError:
            self._note("abandoned_in_a_call", None)
        finally:
            self._cancel()
        tasks = {task for task in (self._writer, self._sign) if task}
        if tasks:
            await asyncio.wait(tasks)

    async def _grow(self) -> None:
        """The writer: show what is new, when the pace allows, until the reply ends."""
        failures = 0
        while not self._ending:
            try:
                await self._news.wait()
                await self._pace.due(lambda: abs(len(self._text) - self._told))
                self._news.clear()
                await self._flush()
                failures = 0
            except LeaseLost as lost:
                self._lost = lost
                return
            except Throttled:
                self._news.set()
            except (PlatformForbidden, Fixed) as forbidden:
                self._note("growth_forbidden", forbidden)
                return
            except (PlatformUnavailable, StoreError) as failure:
                self._note("growth_failed", failure)
                self._news.set()
                failures += 1
                await self._pace.sleep(_backoff_s(failures))
            except Exception as surprise:  # noqa: BLE001  # the text is safe: `finish` brings it whole
                self._note("growth_broken", surprise)
                return

    async def _flush(self) -> None:
        """Bring every post up to the text of now; calls in order, the newest text in each."""
        with self._call():
            await self._written.settle()
        granted = False
        while not self._ending:
            sheets = self._layout.growing(_sendable(self._text))
            sheet = next((s for s in sheets if not self._written.is_enough(s)), None)
            if sheet is None:
                return
            if self._written.is_there(sheet) and not granted:
                await self._pace.edit(final=False)
                granted = True
                continue
            granted = False
            self._told = len(self._text)
            with self._call():
                await self._bring(sheet, write_down=True)
            if sheet.number == sheets[-1].number:
                return

    async def _bring(self, sheet: Sheet, *, write_down: bool) -> None:
        edit = self._written.is_there(sheet)
        try:
            if edit:
                await self._written.change(sheet)
            else:
                await self._written.intend(sheet)
                await self._written.create(sheet, write_down=write_down)
        except Throttled as throttled:
            self._pace.throttled(throttled.retry_after_s, edit=edit)
            raise
        self._pace.done()

    async def _persist(self, answer: Answer) -> tuple[Part, ...]:
        """Bring the whole answer in, however often it takes, until patience ends."""
        deadline = self._pace.now() + PATIENCE_S
        failures = 0
        while True:
            try:
                return await self._complete(answer)
            except Throttled as throttled:
                wait_s, reason = max(throttled.retry_after_s, LEAST_WAIT_S), str(throttled)
            except (PlatformUnavailable, StoreError) as failure:
                failures += 1
                wait_s, reason = _backoff_s(failures), str(failure)
                self._note("finish_failed", failure)
            if self._pace.now() + wait_s > deadline:
                raise PlatformUnavailable(f"The reply could not be posted whole: {reason}")
            await self._pace.sleep(wait_s)

    async def _complete(self, answer: Answer) -> tuple[Part, ...]:
        """Change what is there, take away what is too much, then post what is missing."""
        written = self._written
        await written.settle()
        sheets = self._layout.whole(answer, files=self._files)
        for sheet in sheets:
            if written.is_there(sheet) and not sheet.is_file and not written.is_shown(sheet):
                await self._pace.edit(final=True)
                with contextlib.suppress(Fixed):
                    await self._bring(sheet, write_down=True)
        for number in written.superfluous(sheets):
            await written.remove(number)
        missing = [sheet for sheet in sheets if not written.is_there(sheet)]
        for sheet in missing:
            try:
                await self._bring(sheet, write_down=sheet is not missing[-1])
            except PlatformForbidden:
                if not sheet.is_file:
                    raise
                self._files = False
                return await self._complete(answer)
        return written.parts(sheets)

    async def _show_work(self, after_s: float) -> None:
        if after_s:
            await self._pace.sleep(after_s)
        while not self._written.any and not self._ending:
            work = self._work
            self._signing = True
            await self._posts.working(work)
            self._signing = False
            if work is self._work:
                await self._pace.sleep(WORKING_EVERY_S)

    @contextlib.contextmanager
    def _call(self) -> Iterator[None]:
        """What must not be cut off, lest nobody knows what became of it."""
        self._calling = True
        try:
            yield
        finally:
            self._calling = False

    async def _end_growth(self) -> None:
        """Let the writer end: at once while it waits, after the call while it makes one."""
        self._ending = True
        if self._writer is None:
            return
        if self._calling:
            await asyncio.wait({self._writer})
        else:
            self._writer.cancel()

    async def _end_sign(self) -> None:
        """A sign under way is waited for: cutting it off would cost its connection."""
        if self._sign is None:
            return
        if self._signing:
            await asyncio.wait({self._sign}, timeout=LAST_CALL_S)
        else:
            self._sign.cancel()

    def _cancel(self) -> None:
        for task in (self._writer, self._sign):
            if task:
                task.cancel()

    def _raise_if_lost(self) -> None:
        if self._lost:
            raise self._lost

    def _note(self, event: str, error: Exception | None) -> None:
        """Log a failure by its kind alone: an error may quote what people said."""
        turn = self._journal.turn
        kind = type(error).__name__ if error else "none"
        about = {"session": str(turn.key), "position": turn.asked[-1]}
        log.warning(
            "A reply could not be written for now (%s).", kind, extra={"event": f"reply.{event}", **about}
        )


def _sendable(text: str) -> str:
    return _UNSENDABLE.sub("\ufffd", text)


def _backoff_s(failures: int) -> float:
    return random.uniform(0.75, 1.25) * min(LONGEST_BACKOFF_S, 0.5 * float(2 ** min(failures, 10)))
