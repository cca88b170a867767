"""What a turn says: commands are carried out, the rest is asked of the model."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

from bot import prompt, words
from bot.asking import Asking, Build
from bot.cleaning import clean, clean_message
from bot.commands import Offer, parse
from bot.domain import (
    Answer,
    Background,
    Block,
    Chunk,
    Delta,
    Finished,
    History,
    Message,
    Outcome,
    Prompt,
    PromptMessage,
    Restart,
    Said,
    Tool,
    Turn,
    Usage,
    Window,
)
from bot.errors import ModelError, PlatformError
from bot.files import take
from bot.ports import BackgroundStore, Handler, Platform, RecordStore, Reply, SummaryStore
from bot.prompt import Count
from bot.summary import Older
from bot.turns import Held
from bot.windows import WindowLoader

log = logging.getLogger(__name__)

LONGEST = 100_000
"""Characters of an answer: a model that runs wild ends here. One that is allowed more is given more room."""
LONGEST_TOKEN = 16
"""Characters; most have about four."""
LONGEST_S = 3600.0
"""How long an answer may take: a slow model on a small machine writes for half an hour."""
MOST_BEFORE = 50
"""Messages that are read of what a session goes on from; summaries tell the older ones."""


@dataclass(frozen=True, slots=True)
class Backfill:
    """Bounds on what is fetched when the bot is first called in the middle of a thread."""

    most: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Composed:
    """What a turn says, and what the model was shown for it."""

    answer: Answer
    first_text_s: float | None = None
    """From asking the model to its first words; None: there were none."""
    older: Older | None = None
    """What the prompt had no room for, if anything."""
    withdrawn: bool = False
    """All that was asked was deleted: `answer` is nobody's business any more."""


NOTHING_ASKED = Composed(Answer("", Outcome.DROPPED), withdrawn=True)


class Answerer:
    """Composes answers. Knows nothing of how they are posted, closed or taken over."""

    def __init__(
        self,
        *,
        records: RecordStore,
        windows: WindowLoader,
        summaries: SummaryStore,
        backgrounds: BackgroundStore,
        asking: Asking,
        count: Count,
        personas: Mapping[str, str],
        offer: Offer,
        backfill: Backfill,
    ) -> None:
        self._records = records
        self._windows = windows
        self._summaries = summaries
        self._backgrounds = backgrounds
        self._asking = asking
        self._count = count
        self._personas = personas
        self._offer = offer
        self._backfill = backfill
        self._handler: Handler | None = None

    def serve(self, handler: Handler) -> None:
        """`handler` takes what was said in a thread and had not been heard."""
        self._handler = handler

    async def compose(
        self, held: Held, platform: Platform, reply: Reply, news: Sequence[Message]
    ) -> Composed:
        """The answer to what `held.turn` was asked; `reply` shows it as it grows."""
        turn = held.turn
        said = "\n\n".join(
            words.after(command, self._offer, turn.settings)
            for _, text in turn.commands
            if (command := parse(text))
        )
        if len(turn.commands) == len(turn.asked):
            return Composed(Answer(said))
        if turn.settings.paused:
            return Composed(Answer("\n\n".join(filter(None, [said, words.PAUSED]))))
        window, remark = await self._window(turn, platform, news)
        window = await self._windows.with_questions(turn, window)
        if not any(message.position in turn.asked for message in window.messages):
            return NOTHING_ASKED
        composed = await self._ask(held, platform, reply, window, f"{said}\n\n" if said else "")
        if held.stopped and not await self._windows.is_asked(turn):
            return NOTHING_ASKED
        notes = " ".join(filter(None, [remark, composed.answer.note]))
        return replace(composed, answer=replace(composed.answer, note=notes))

    async def _window(self, turn: Turn, platform: Platform, news: Sequence[Message]) -> tuple[Window, str]:
        """The turn's window, and a remark if the thread's past could not be read whole."""
        if turn.settings.complete_from is not None:
            return await self._windows.load(turn, news), ""
        history = await self._history(turn, platform)
        if history is None or not await self._hear(history.later):
            return await self._windows.load(turn, news), words.HISTORY_UNREAD
        await self._records.add_history(turn, history)
        remark = "" if history.whole else words.history_cut(len(history.messages))
        return await self._windows.reload(turn), remark

    async def _hear(self, later: Sequence[Said]) -> bool:
        """Receive what people said after the question; whether that is all.

        Before the history is archived: until then the session does not count as whole, and whoever
        takes over asks again. What was heard already changes nothing; the rest waits for its turn.
        """
        for said in later:
            assert self._handler is not None, "served before the first turn"
            await self._handler(replace(said, read=True))
        return len(later) < self._backfill.most

    async def _history(self, turn: Turn, platform: Platform) -> History | None:
        try:
            async with asyncio.timeout(self._backfill.seconds):
                history = await platform.history(turn.key, min(turn.asked), self._backfill.most)
        except (PlatformError, TimeoutError) as error:
            log.warning(
                "What was said before could not be read: %s",
                type(error).__name__,
                extra={"event": "history.unread", "session": str(turn.key)},
            )
            return None
        return replace(history, messages=tuple(map(clean_message, history.messages)))

    async def _ask(self, held: Held, platform: Platform, reply: Reply, window: Window, lead: str) -> Composed:
        """Ask the model; its answer comes after `lead`."""
        turn = held.turn
        card = self._asking.card(turn.settings.model)
        background = await self._background(turn)
        files = await take(platform, window.messages, turn.asked, card.sees)
        base = partial(
            prompt.build,
            persona=self._personas.get(turn.settings.persona) or self._personas[self._offer.personas[0]],
            window=window,
            asked=turn.asked,
            files=files.taken,
            card=card,
            count=self._count,
            background=background,
        )
        summaries = partial(self._summaries.blocks, turn.session_id, turn.settings.fresh_from)
        prompts = _Prompts(base, summaries, whole=window.whole)
        shown = await prompts.build(self._asking.tools(turn.key, card))
        if held.stopped:
            composed = _Talk(lead).ended(Outcome.STOPPED, words.STOPPED)
        else:
            most = max(LONGEST, card.answer_tokens * LONGEST_TOKEN)
            composed = await self._stream(held, reply, shown, prompts.build, _Talk(lead, most))
        shown, blocks = prompts.last, prompts.blocks or ()
        is_cut = shown.left_out > 0 or not window.whole
        notes = [
            words.left_out(shown.shown, max(turn.settings.messages, len(window.messages)), bool(blocks))
            if is_cut
            else "",
            words.untaken(list(files.untaken)) if files.untaken else "",
            composed.answer.note,
        ]
        answer = replace(composed.answer, note=" ".join(filter(None, notes)))
        older = Older(shown.first, shown.shown, blocks) if is_cut and shown.first else None
        return replace(composed, answer=answer, older=older)

    async def _background(self, turn: Turn) -> Background | None:
        """What the session goes on from. Read anew each time: what is forgotten there is forgotten here."""
        continued = turn.settings.continues
        return await self._backgrounds.background(continued, MOST_BEFORE) if continued else None

    async def _stream(self, held: Held, reply: Reply, shown: Prompt, build: Build, talk: "_Talk") -> Composed:
        """Show the model's answer as it comes; a stop, a failure or no end of it ends it, with a word why."""
        try:
            async with asyncio.timeout(LONGEST_S) as until_stopped:
                held.on_stop = partial(_end, until_stopped)
                async with aclosing(self._asking.stream(held.turn, shown, build, reply)) as chunks:
                    async for chunk in chunks:
                        if talk.take(chunk):
                            await reply.show(talk.text)
                        if talk.full:
                            return talk.cut(words.TOO_LONG)
        except TimeoutError:
            if held.stopped:
                return talk.ended(Outcome.STOPPED, words.STOPPED)
            if until_stopped.expired():
                return talk.cut(words.TOO_SLOW)
            raise
        except ModelError as error:
            log.warning(
                "No model answered: %s",
                type(error).__name__,
                extra={"event": "model.failed", "session": str(held.turn.key), "turn": held.turn.id},
            )
            return talk.ended(Outcome.FAILED, words.apology(error))
        finally:
            held.on_stop = lambda: None
        return talk.whole()


class _Prompts:
    """The prompts of one answer. Summaries are read once there is something that they stand in for."""

    last: Prompt
    """As it was built last."""

    def __init__(
        self,
        base: Callable[..., Prompt],
        summaries: Callable[[], Awaitable[tuple[Block, ...]]],
        *,
        whole: bool,
    ) -> None:
        """`whole`: nothing is older than the window."""
        self._base = base
        self._summaries = summaries
        self._whole = whole
        self.blocks: tuple[Block, ...] | None = None
        """None: there was no need for them."""

    async def build(self, tools: Sequence[Tool], looked_up: Sequence[PromptMessage] = ()) -> Prompt:
        """See `asking.Build`."""
        if self._whole:
            self.last = self._base(blocks=(), tools=tools, looked_up=looked_up)
            if not self.last.left_out:
                return self.last
            self._whole = False
        if self.blocks is None:
            self.blocks = await self._summaries()
        self.last = self._base(blocks=self.blocks, tools=tools, looked_up=looked_up)
        return self.last


def _end(timeout: asyncio.Timeout) -> None:
    if not timeout.expired():
        timeout.reschedule(asyncio.get_running_loop().time())


class _Talk:
    """An answer while it streams."""

    def __init__(self, lead: str, most: int = LONGEST) -> None:
        """`most`: characters of what the model says."""
        self._lead = lead
        self._most = len(lead) + most
        self._began = time.monotonic()
        self._first_text_s: float | None = None
        self._usage = Usage()
        self.text = lead

    def take(self, chunk: Chunk) -> bool:
        """Add `chunk`; whether there is something new to show."""
        match chunk:
            case Delta(text):
                if self._first_text_s is None and text:
                    self._first_text_s = time.monotonic() - self._began
                self.text = (self.text + clean(text))[: self._most]
                return bool(self.text.strip())
            case Restart():
                self.text = self._lead
            case Finished(usage):
                self._usage = usage
        return False

    @property
    def full(self) -> bool:
        """There is no room for more."""
        return len(self.text) >= self._most

    def cut(self, why: str) -> Composed:
        """The model would go on: what was said is an answer, if there is any."""
        return self.ended(Outcome.DONE if self.text.strip() else Outcome.FAILED, why)

    def whole(self) -> Composed:
        """The model said all it wanted."""
        if not self.text.strip():
            return self.ended(Outcome.FAILED, words.NO_ANSWER)
        note = {"length": words.CUT_BY_LENGTH, "content_filter": words.FILTERED}.get(
            self._usage.finish_reason or "", ""
        )
        return Composed(Answer(self.text, note=note, usage=self._usage), self._first_text_s)

    def ended(self, outcome: Outcome, why: str) -> Composed:
        """It was cut short: what was said stays, and `why` stands below it, or alone."""
        said = self.text.strip()
        answer = Answer(said or why, outcome, note=why if said else "", usage=self._usage)
        return Composed(answer, self._first_text_s)
