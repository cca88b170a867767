"""The use case: a message comes in, is written down, is answered from what its thread already said.

The steps are those of docs/architecture.md. Receiving is one transaction; answering is a task of
its own, which goes on with the turn that waited behind it. Whatever happens to it, the turn's row
says what is owed, and some process finds it.
"""

import asyncio
import logging
import traceback
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from bot import commands, words
from bot.answering import Answerer, Composed
from bot.cleaning import clean_author, clean_message
from bot.commands import Offer
from bot.domain import (
    Answer,
    Button,
    Closed,
    Deleted,
    Edited,
    Event,
    Message,
    Order,
    Outcome,
    Part,
    Pressed,
    Receipt,
    Said,
    Turn,
)
from bot.errors import (
    ArchiveUnavailable,
    LeaseLost,
    PlatformError,
    PlatformForbidden,
    StoreError,
    ThreadflyError,
)
from bot.gate import Gate
from bot.observing import Observer, TurnEnd
from bot.ports import HotContext, Platform, RecordStore, Reply, TurnStore
from bot.summary import Summariser
from bot.turns import Held, Keeper

log = logging.getLogger(__name__)

SWEEP_S = 3.0
"""How often turns are looked for that somebody left behind."""
MOST_CLAIMS = 25
"""A turn that so many owners did not finish is closed with an apology."""
LONGEST_WAIT_S = 300.0
"""How long a turn rests at most after its platform could not be reached."""


class Service:
    """Receives what platforms tell, and runs the turns that come of it."""

    def __init__(
        self,
        *,
        gate: Gate,
        records: RecordStore,
        turns: TurnStore,
        hot: HotContext,
        answerer: Answerer,
        summariser: Summariser,
        keeper: Keeper,
        offer: Offer,
        observer: Observer,
    ) -> None:
        self._gate = gate
        self._records = records
        self._turns = turns
        self._hot = hot
        self._answerer = answerer
        self._summariser = summariser
        self._keeper = keeper
        self._offer = offer
        self._observer = observer
        self._platforms: Mapping[str, Platform] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._chores: set[asyncio.Task[None]] = set()
        self._closing = False

    def serve(self, platforms: Mapping[str, Platform]) -> None:
        """Answer on these platforms, by name."""
        self._platforms = platforms

    async def handle(self, event: Event) -> Receipt:
        """The platforms' `Handler`: commit, then return."""
        if self._closing:
            raise ArchiveUnavailable(words.CLOSING)
        match event:
            case Said():
                return await self._receive(event)
            case Edited():
                message = clean_message(event.message)
                changed = await self._records.edit(replace(event, message=message))
            case Deleted():
                changed = await self._records.delete(event)
            case Pressed():
                return await self._press(event)
        return Receipt.KEPT if changed else Receipt.IGNORED

    async def order(self, order: Order) -> str:
        """The platforms' `Desk`: a command that is no message, answered to one person."""
        command = commands.parse(order.words)
        if command is None:
            return words.HELP
        changed = await self._records.change(order.key, commands.change(command, self._offer))
        if changed is None:
            return words.HELP if command.verb is commands.Verb.HELP else words.NO_SESSION
        if changed.stopping is not None:
            self._keeper.stop(changed.stopping)
            return words.STOPPING
        return words.after(command, self._offer, changed.settings)

    async def _receive(self, heard: Said) -> Receipt:
        said, refusal = await self._gate.admit(replace(heard, message=clean_message(heard.message)))
        if said is None:
            return Receipt.IGNORED
        change = commands.change(commands.parse_message(said.message), self._offer)
        claimed_at = self._keeper.now()
        recorded = await self._records.record(said, change)
        news = (said.message,) if recorded.fresh and not change.fresh else ()
        if refusal and recorded.receipt is not Receipt.IGNORED:
            self._tell(said, refusal)
        if recorded.fresh:
            self._observer.archived(said.key.platform, 1)
        if recorded.stopping is not None:
            self._keeper.stop(recorded.stopping)
        if recorded.turn is not None:
            self._start(recorded.turn, claimed_at, news)
        elif news:
            await self._hot.append(recorded.session_id, recorded.version, news)
        return recorded.receipt

    async def _press(self, pressed: Pressed) -> Receipt:
        claimed_at = self._keeper.now()
        match pressed.button:
            case Button.STOP:
                turn_id = await self._turns.stop(pressed.key, pressed.asked)
                if turn_id is None:
                    return Receipt.IGNORED
                self._keeper.stop(turn_id)
            case Button.AGAIN:
                turn = await self._turns.again(pressed.key, pressed.asked)
                if turn is None:
                    return Receipt.IGNORED
                self._start(turn, claimed_at, ())
                return Receipt.ANSWERING
            case Button.GOOD | Button.BAD:
                good = pressed.button is Button.GOOD
                await self._turns.judge(pressed.key, pressed.asked, clean_author(pressed.by), good)
                self._observer.feedback(pressed.key.platform, good)
        return Receipt.KEPT

    def _tell(self, said: Said, text: str) -> None:
        """Say something to whoever said this, alone; nobody waits for it."""
        platform = self._platforms[said.key.platform]
        self._do_later(platform.tell(said.key, said.message.author, text))

    def _do_later(self, work: Coroutine[None, None, None]) -> None:
        chore = asyncio.create_task(work)
        self._chores.add(chore)
        chore.add_done_callback(self._chore_ended)

    def _chore_ended(self, chore: "asyncio.Task[None]") -> None:
        self._chores.discard(chore)
        if not chore.cancelled() and (error := chore.exception()):
            log.warning("A chore failed: %s", type(error).__name__, extra={"event": "chore.failed"})

    def _start(self, turn: Turn, claimed_at: float, news: Sequence[Message]) -> None:
        task = asyncio.create_task(self._run(turn, claimed_at, news), name=f"turn {turn.id}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, turn: Turn, claimed_at: float, news: Sequence[Message]) -> None:
        """Run `turn`, and those that waited behind it in the session, one after the other."""
        following: Turn | None = turn
        while following is not None:
            done = await self._take(following, claimed_at, news)
            if done is None:
                return
            following, claimed_at = done.closed.next, done.closing_at
            news = (done.closed.reply,) if done.closed.reply else ()
            if following is None:
                await self._hot.append(turn.session_id, done.closed.version, news)
            elif self._closing:
                await self._leave(following, 0)
                return

    async def _take(self, turn: Turn, claimed_at: float, news: Sequence[Message]) -> "_Done | None":
        """Answer `turn` and close it; None if somebody else does, now or later."""
        with self._keeper.hold(turn, claimed_at) as held:
            try:
                return await self._answer(held, news)
            except LeaseLost:
                log.info("A turn is somebody else's", extra=_of(turn, "turn.lost"))
            except (PlatformError, StoreError) as error:
                log.warning("A turn must wait: %s", error, extra=_of(turn, "turn.waits"))
                await self._leave(turn, min(LONGEST_WAIT_S, SWEEP_S * 2**turn.epoch))
            except asyncio.CancelledError:
                await asyncio.shield(self._leave(turn, 0))
                raise
        return None

    async def _leave(self, turn: Turn, wait_s: float) -> None:
        """Let another owner go on after `wait_s`; if even that can't be written, its lease runs out."""
        try:
            await self._turns.release(turn, wait_s)
        except StoreError:
            log.warning("A turn was left to its lease", extra=_of(turn, "turn.left"))

    async def _answer(self, held: Held, news: Sequence[Message]) -> "_Done":
        turn, began = held.turn, self._keeper.now()
        platform = self._platforms[turn.key.platform]
        reply = await platform.open_reply(held)
        try:
            composed = await self._compose(held, platform, reply, news)
            at = datetime.now(UTC)
            answer, parts = await _finish(reply, composed.answer, turn)
            closing_at = self._keeper.now()
            closed = await self._turns.close(turn, answer, parts, at)
        except BaseException:
            await reply.abandon()
            raise
        self._afterwards(turn, composed, answer, closing_at - began)
        return _Done(closed, closing_at)

    async def _compose(
        self, held: Held, platform: Platform, reply: Reply, news: Sequence[Message]
    ) -> Composed:
        if held.turn.epoch > MOST_CLAIMS:
            return Composed(Answer(words.TOO_OFTEN_FAILED, Outcome.FAILED))
        try:
            return await self._answerer.compose(held, platform, reply, news)
        except ThreadflyError:
            raise
        except Exception as error:  # noqa: BLE001 - a bug must not leave the asker in silence
            log.error(  # noqa: TRY400 - a traceback can quote messages
                "A turn broke: %s at %s",
                type(error).__name__,
                _where(error),
                extra=_of(held.turn, "turn.broke"),
            )
            return Composed(Answer(words.SOMETHING_BROKE, Outcome.FAILED))

    def _afterwards(self, turn: Turn, composed: Composed, answer: Answer, seconds: float) -> None:
        """What nobody waits for: counting, and the summary of what the prompt had no room for."""
        self._observer.archived(turn.key.platform, 1)
        self._observer.turn_ended(
            TurnEnd(
                platform=turn.key.platform,
                model=answer.usage.model,
                outcome=answer.outcome,
                usage=answer.usage,
                seconds=seconds,
                first_text_s=composed.first_text_s,
            )
        )
        if composed.first_shown and not self._closing:
            self._do_later(self._summariser.look_after(turn, composed.first_shown))

    def tasks(self) -> "list[asyncio.Task[None]]":
        """What this service is doing now: turns, and chores that nobody waits for."""
        return [*self._running, *self._chores]

    async def sweep(self) -> None:
        """Take over what others left behind."""
        claimed_at = self._keeper.now()
        for turn in await self._turns.take_over(list(self._platforms)):
            log.info("A turn is taken over", extra=_of(turn, "turn.taken_over"))
            self._start(turn, claimed_at, ())

    async def sweeping(self) -> None:
        """Sweep now and for ever."""
        while True:
            try:
                await self.sweep()
            except StoreError as error:
                log.warning("Could not look for left turns: %s", error, extra={"event": "sweep.failed"})
            await asyncio.sleep(SWEEP_S)

    async def drain(self, grace_s: float) -> None:
        """Take in nothing more; let what runs end within `grace_s` seconds, and hand over the rest."""
        self._closing = True
        if self._running:
            await asyncio.wait(self._running, timeout=grace_s)
        left = self.tasks()
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _Done:
    """A turn of ours that is closed."""

    closed: Closed
    closing_at: float
    """When its closing began, by the keeper's clock: the next turn's lease counts from then."""


async def _finish(reply: Reply, answer: Answer, turn: Turn) -> tuple[Answer, tuple[Part, ...]]:
    """Post the whole answer. Where the bot may not post, the turn ends without a reply."""
    try:
        return answer, await reply.finish(answer)
    except PlatformForbidden as error:
        log.warning("No right to answer: %s", error, extra=_of(turn, "reply.forbidden"))
        return replace(answer, outcome=Outcome.FAILED), ()


def _of(turn: Turn, event: str) -> dict[str, object]:
    """What a log line says of a turn."""
    return {"event": event, "session": str(turn.key), "turn": turn.id, "position": turn.asked[-1]}


def _where(error: Exception) -> str:
    """The innermost line of a traceback, without what it quotes."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "nowhere"
