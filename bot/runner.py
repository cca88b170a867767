"""Runs turns: one after the other in a session, any number of sessions at once.

Whatever happens to a turn here, its row says what is owed, and some process finds it.
"""

import asyncio
import logging
import traceback
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from bot import words
from bot.answering import Answerer, Composed
from bot.domain import Answer, Closed, Message, Outcome, Part, Turn
from bot.errors import (
    LeaseLost,
    MayNotAnswer,
    PlatformError,
    PlatformForbidden,
    StoreError,
    ThreadflyError,
)
from bot.observing import Observer, TurnEnd
from bot.ports import Handler, Platform, Reply, TurnStore
from bot.summary import Summariser
from bot.turns import Held, Keeper
from bot.windows import WindowLoader

log = logging.getLogger(__name__)

SWEEP_S = 3.0
"""How often turns are looked for that somebody left behind."""
MOST_DEATHS = 5
"""A turn that ended so many owners is closed with an apology, lest it end every one."""
LONGEST_WAIT_S = 300.0
"""How long a turn rests at most after it could not be finished."""


class Runner:
    """The turns that run in this process, and the chores that come of them."""

    def __init__(
        self,
        *,
        turns: TurnStore,
        windows: WindowLoader,
        answerer: Answerer,
        summariser: Summariser,
        keeper: Keeper,
        observer: Observer,
    ) -> None:
        self._turns = turns
        self._windows = windows
        self._answerer = answerer
        self._summariser = summariser
        self._keeper = keeper
        self._observer = observer
        self._platforms: Mapping[str, Platform] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._chores: set[asyncio.Task[None]] = set()
        self._summaries: set[asyncio.Task[None]] = set()
        self._ending = asyncio.Event()

    def serve(self, platforms: Mapping[str, Platform], handler: Handler) -> None:
        """Answer on these platforms, by name. `handler` takes what nobody had heard."""
        self._platforms = platforms
        self._answerer.serve(handler)

    def closing(self) -> bool:
        """Whether nothing new is begun any more."""
        return self._ending.is_set()

    def start(self, turn: Turn, claimed_at: float, news: Sequence[Message] = ()) -> None:
        """Run a turn whose claim began at `claimed_at` by the keeper's clock.

        `news` are the messages that raised the session to the turn's version.
        """
        held = self._keeper.take(turn, claimed_at)  # at once: it can be stopped before the task begins
        task = asyncio.create_task(self._run(held, news), name=f"turn {turn.id}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda _: self._keeper.let_go(held))

    def do_later(self, work: Coroutine[None, None, None]) -> None:
        """Do what somebody is to hear of, and what nobody here waits for."""
        self._begin(work, self._chores)

    def tasks(self) -> "list[asyncio.Task[None]]":
        """What goes on now: turns, chores and summaries."""
        return [*self._running, *self._chores, *self._summaries]

    def _begin(self, work: Coroutine[None, None, None], kept: "set[asyncio.Task[None]]") -> None:
        chore = asyncio.create_task(work)
        kept.add(chore)
        chore.add_done_callback(kept.discard)
        chore.add_done_callback(_tell_failure)

    async def _run(self, held: Held, news: Sequence[Message]) -> None:
        """Run a turn, and those that waited behind it in the session, one after the other."""
        while (done := await self._take(held, news)) is not None:
            following = done.closed.next
            if following is None:
                await self._windows.keep(held.turn, news, done.closed)
                return
            if self.closing():
                await self._hand_over(following)
                return
            news = (done.closed.reply,) if done.closed.reply else ()
            held = self._keeper.take(following, done.closing_at)

    async def _take(self, held: Held, news: Sequence[Message]) -> "_Done | None":
        """Answer a turn and close it; None if somebody else does, now or later."""
        turn = held.turn
        try:
            return await self._answer(held, news)
        except LeaseLost:
            log.info("A turn is somebody else's", extra=_of(turn, "turn.lost"))
        except (PlatformError, StoreError) as error:
            log.warning("A turn must wait: %s", error, extra=_of(turn, "turn.waits"))
            await self._leave(turn, _rest_s(turn))
        except asyncio.CancelledError:
            await self._hand_over(turn)
            raise
        except Exception as error:  # noqa: BLE001 - a bug is no reason to forget what is owed
            _tell_bug(error, turn)
            await self._leave(turn, _rest_s(turn))
        finally:
            self._keeper.let_go(held)
        return None

    async def _hand_over(self, turn: Turn) -> None:
        """Let another owner go on at once; done also when we are cancelled meanwhile."""
        leaving = asyncio.ensure_future(self._leave(turn, 0))
        try:
            await asyncio.shield(leaving)
        except asyncio.CancelledError:
            await leaving
            raise

    async def _leave(self, turn: Turn, wait_s: float) -> None:
        """Let another owner go on after `wait_s`; if even that can't be written, its lease runs out."""
        try:
            await self._turns.release(turn, wait_s)
        except StoreError:
            log.warning("A turn was left to its lease", extra=_of(turn, "turn.left"))

    async def _answer(self, held: Held, news: Sequence[Message]) -> "_Done":
        turn, began = held.turn, self._keeper.now()
        platform = self._platforms[turn.key.platform]
        try:
            reply = await platform.open_reply(held)
        except MayNotAnswer as refusal:
            return await self._decline(platform, turn, refusal)
        try:
            composed = await self._compose(held, platform, reply, news)
            at = datetime.now(UTC)
            answer, parts = await self._finish(platform, reply, composed, turn)
            closing_at = self._keeper.now()
            closed = await self._close(turn, answer, parts, at)
        except BaseException:
            await reply.abandon()
            raise
        self._afterwards(turn, composed, answer, closing_at - began)
        return _Done(closed, closing_at)

    async def _decline(self, platform: Platform, turn: Turn, refusal: MayNotAnswer) -> "_Done":
        """Tell the asker why there is no answer; the closed turn keeps anybody from telling it again."""
        log.info("No right to answer", extra=_of(turn, "reply.declined"))
        await platform.tell(turn.key, turn.asker, str(refusal))
        closing_at = self._keeper.now()
        return _Done(await self._close(turn, Answer("", Outcome.FAILED), (), datetime.now(UTC)), closing_at)

    async def _close(self, turn: Turn, answer: Answer, parts: Sequence[Part], at: datetime) -> Closed:
        """Close the turn; whoever is cancelled meanwhile hands over what was claimed with it."""
        closing = asyncio.ensure_future(self._turns.close(turn, answer, parts, at))
        try:
            return await asyncio.shield(closing)
        except asyncio.CancelledError:
            closed = await closing
            if closed.next is not None:
                await self._hand_over(closed.next)
            raise

    async def _compose(
        self, held: Held, platform: Platform, reply: Reply, news: Sequence[Message]
    ) -> Composed:
        if held.turn.deaths >= MOST_DEATHS:
            return Composed(Answer(words.TOO_OFTEN_FAILED, Outcome.FAILED))
        try:
            return await self._answerer.compose(held, platform, reply, news)
        except ThreadflyError:
            raise
        except Exception as error:  # noqa: BLE001 - a bug must not leave the asker in silence
            _tell_bug(error, held.turn)
            return Composed(Answer(words.SOMETHING_BROKE, Outcome.FAILED))

    async def _finish(
        self, platform: Platform, reply: Reply, composed: Composed, turn: Turn
    ) -> tuple[Answer, tuple[Part, ...]]:
        """Post the whole answer; what people read in the end.

        Where the bot may not post (any more), the turn ends with what stands, and its asker is told.
        """
        answer = composed.answer
        try:
            if composed.withdrawn:
                return await reply.withdraw(words.WITHDRAWN)
            return answer, await reply.finish(answer)
        except PlatformForbidden as error:
            log.warning("No right to answer: %s", error, extra=_of(turn, "reply.forbidden"))
            if not composed.withdrawn:
                self.do_later(platform.tell(turn.key, turn.asker, words.MAY_NOT_POST))
            text, parts = reply.standing()
            return replace(answer, text=text, outcome=Outcome.FAILED, note=words.CUT_OFF), parts

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
        older = composed.older
        if older and not self.closing() and self._summariser.is_due(turn, older):
            self._begin(self._summariser.look_after(turn, older), self._summaries)

    async def sweep(self) -> int:
        """Take over what others left behind; how many turns."""
        if self.closing():
            return 0
        claimed_at = self._keeper.now()
        taken = await self._turns.take_over(list(self._platforms))
        for turn in taken:
            if self.closing():
                await self._leave(turn, 0)
                continue
            log.info("A turn is taken over", extra=_of(turn, "turn.taken_over"))
            self.start(turn, claimed_at)
        return len(taken)

    async def sweeping(self) -> None:
        """Sweep now and for ever."""
        while True:
            try:
                while await self.sweep():
                    pass
            except Exception as error:  # noqa: BLE001 - without sweeping, what others left is never found
                log.warning(
                    "Could not look for left turns: %s", type(error).__name__, extra={"event": "sweep.failed"}
                )
            await asyncio.sleep(SWEEP_S)

    async def drain(self, grace_s: float) -> None:
        """Begin nothing more; let what runs end within `grace_s` seconds, and hand over the rest.

        What somebody is to hear was acknowledged, and comes from nobody else. Summaries are made again.
        """
        self._ending.set()
        await asyncio.sleep(0)  # a task that is cancelled before it began hands nothing over
        clock = asyncio.get_running_loop().time
        deadline = clock() + grace_s
        while (due := self._running | self._chores) and (left_s := deadline - clock()) > 0:
            await asyncio.wait(due, timeout=left_s)
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


def _of(turn: Turn, event: str) -> dict[str, object]:
    """What a log line says of a turn."""
    return {"event": event, "session": str(turn.key), "turn": turn.id, "position": turn.asked[-1]}


def _rest_s(turn: Turn) -> float:
    """How long a turn rests that could not be finished: longer each time."""
    return float(min(LONGEST_WAIT_S, SWEEP_S * 2**turn.epoch))


def _tell_failure(chore: "asyncio.Task[None]") -> None:
    if not chore.cancelled() and (error := chore.exception()):
        log.warning("A chore failed: %s", type(error).__name__, extra={"event": "chore.failed"})


def _tell_bug(error: Exception, turn: Turn) -> None:
    """Log where a turn broke; a traceback could quote messages."""
    log.error("A turn broke: %s at %s", type(error).__name__, _where(error), extra=_of(turn, "turn.broke"))


def _where(error: Exception) -> str:
    """The innermost line of a traceback, without what it quotes."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "nowhere"
