"""The use case: a message comes in, is written down, and is answered from what its thread already said.

The steps are those of docs/architecture.md. Receiving is one transaction; answering is a task of
its own (`runner.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bot import commands, words
from bot.catching_up import CatchingUp
from bot.cleaning import clean_author, clean_message
from bot.commands import Command, Export, Offer
from bot.domain import (
    Answer,
    Author,
    Button,
    Change,
    Deleted,
    Edited,
    Event,
    Gone,
    Left,
    Message,
    Order,
    Outcome,
    Pressed,
    Receipt,
    Recorded,
    Reread,
    Said,
    SessionKey,
    Turn,
)
from bot.errors import ArchiveUnavailable
from bot.forgetting import Forgetting
from bot.gate import Gate
from bot.lookups import Lookups
from bot.observing import Observer
from bot.ports import HotContext, Platform, RecordStore, TurnStore
from bot.recent import Recent
from bot.runner import Runner
from bot.taking import TakingOut, Wish
from bot.turns import Keeper

LATE = timedelta(seconds=5)
"""What reaches us so long after it was said may have been answered by people meanwhile."""
PASSED_OVER = 1_000
"""Threads that are nobody's business yet: the last in which something was said."""


def utc_now() -> datetime:
    """The time of day."""
    return datetime.now(UTC)


class Service:
    """Receives what platforms tell: the one door to the core."""

    def __init__(
        self,
        *,
        gate: Gate,
        records: RecordStore,
        turns: TurnStore,
        hot: HotContext,
        keeper: Keeper,
        runner: Runner,
        lookups: Lookups,
        catching_up: CatchingUp,
        forgetting: Forgetting,
        taking: TakingOut,
        offer: Offer,
        observer: Observer,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._gate = gate
        self._records = records
        self._turns = turns
        self._hot = hot
        self._keeper = keeper
        self._runner = runner
        self._lookups = lookups
        self._catching_up = catching_up
        self._forgetting = forgetting
        self._taking = taking
        self._offer = offer
        self._observer = observer
        self._now = now
        self._platforms: Mapping[str, Platform] = {}
        self._passed_over: Recent[SessionKey, None] = Recent(PASSED_OVER)

    def serve(self, platforms: Mapping[str, Platform]) -> None:
        """Answer on these platforms, by name."""
        self._platforms = platforms
        self._runner.serve(platforms, self.handle)

    async def handle(self, event: Event) -> Receipt:
        """The platforms' `Handler`: commit, then return."""
        if self._runner.closing():
            raise ArchiveUnavailable(words.CLOSING)
        match event:
            case Said():
                return await self._receive(self._as_it_came(event))
            case Edited():
                edited = replace(event, message=clean_message(event.message))
                changed = await self._records.edit(self._gate.edited(edited))
            case Deleted():
                removed = await self._records.delete(event)
                if removed is not None and removed.stopping is not None:
                    self._keeper.stop(removed.stopping)
                changed = removed is not None
            case Reread():
                edited_now = tuple(map(clean_message, event.edited))
                changed = await self._records.reread(replace(event, edited=edited_now))
            case Gone():
                changed = await self._forgetting.lose(event)
            case Left():
                changed = self._keeper.stop_all(event.platform, event.workspace) > 0
            case Pressed():
                return await self._press(event)
        return Receipt.KEPT if changed else Receipt.IGNORED

    async def order(self, order: Order) -> str:
        """The platforms' `Desk`: a command that is no message, answered to one person."""
        if (lookup := commands.recalled(order.words)) is not None:
            allowed = self._gate.may(order.by, order.groups)
            return await self._lookups.text(order.by, order.key, lookup) if allowed else words.NOT_FOR_YOU
        if commands.is_catch_up(order.words):
            allowed = self._gate.may(order.by, order.groups)
            return await self._caught_up(order.by, order.key) if allowed else words.NOT_FOR_YOU
        if (export := commands.exported(order.words)) is not None:
            wish, allowed = Wish(order.by, order.key, export), self._gate.may(order.by, order.groups)
            return await self._taking.hand(wish) if allowed else words.NOT_FOR_YOU
        command = commands.parse(order.words)
        if command is None or command.verb is commands.Verb.HELP:
            return words.HELP
        if command.verb is commands.Verb.FORGET:
            return await self._forget(command, order.key, order.by, datetime.now(UTC))
        if not self._gate.may(order.by, order.groups):
            return words.NOT_FOR_YOU
        changed = await self._records.change(order.key, commands.change(command, self._offer))
        if changed is None:
            return words.NO_SESSION
        if changed.stopping is not None:
            self._keeper.stop(changed.stopping)
            return words.STOPPING
        return words.after(command, self._offer, changed.settings)

    def _as_it_came(self, said: Said) -> Said:
        """Cleaned. With what comes late, its thread may hold more: replies that were nobody's business yet.

        They are then looked for on the platform, as what was said before a first call is. So are those
        that overtook it on their way to this process, even if they are still being looked up.
        """
        late = said.again or said.key in self._passed_over or self._now() - said.message.sent_at > LATE
        message, opens_thread = clean_message(said.message), said.opens_thread and not late
        if message is said.message and opens_thread == said.opens_thread:
            return said
        return replace(said, message=message, opens_thread=opens_thread)

    async def _receive(self, heard: Said) -> Receipt:
        said = self._gate.admit(heard)
        if said is None:
            return Receipt.IGNORED
        if self._gate.refuses(heard, said):
            self._tell(said.key, said.message.author, words.NOT_FOR_YOU)
        if (lookup := commands.lookup(said)) is not None:
            return await self._look_up(said, lookup)
        if commands.catches_up(said):
            return await self._catch_up(said)
        if (export := commands.taken_out(said)) is not None:
            return await self._take_out(said, export)
        command = commands.heard(said)
        if command is not None and command.verb is commands.Verb.FORGET:
            return await self._asked_to_forget(said, command)
        change = commands.change(command, self._offer)
        claimed_at = self._keeper.now()
        recorded = await self._record(said, change, command)
        news = (said.message,) if recorded.fresh and not change.fresh else ()
        if recorded.fresh:
            self._observer.archived(said.key.platform, 1)
        if recorded.stopping is not None:
            self._keeper.stop(recorded.stopping)
        if recorded.turn is not None:
            return await self._answer(recorded.turn, claimed_at, news)
        if news:  # at once: the turn that answers it may begin any moment, and reads behind this
            await self._hot.append(recorded.session_id, recorded.version, news)
        if recorded.receipt is Receipt.QUEUED:
            await self._gate.wait_s(said.key, said.message.author)
        return recorded.receipt

    async def _record(self, said: Said, change: Change, command: Command | None) -> Recorded:
        """Record it; what is said in a thread of nobody's business is remembered to have been passed over."""
        if not said.opens_thread:
            self._passed_over.put(said.key, None)
        recorded = await self._records.record(said, change, command.words if command else "")
        if recorded.receipt is not Receipt.IGNORED:
            self._passed_over.drop(said.key)
        return recorded

    async def _look_up(self, said: Said, lookup: str) -> Receipt:
        """Answer who asked, alone; the thread goes on as if nothing had been said."""
        key, message = said.key, said.message
        if await self._lookups.takes_up(said):
            answering = self._lookups.tell(self._platforms[key.platform], message.author, key, lookup)
            self._runner.do_later(answering)
        return Receipt.KEPT

    async def _catch_up(self, said: Said) -> Receipt:
        """Tell who asked, alone, what was said meanwhile. What asks for it is not kept."""
        if await self._lookups.takes_up(said):
            self._runner.do_later(self._tell_news(said.message.author, said.key))
        return Receipt.KEPT

    async def _tell_news(self, by: Author, key: SessionKey) -> None:
        await self._platforms[key.platform].tell(key, by, await self._caught_up(by, key))

    async def _caught_up(self, by: Author, key: SessionKey) -> str:
        """It asks the model, so it counts as an answer."""
        wait_s = await self._gate.wait_s(key, by)
        return words.too_fast_unkept(wait_s) if wait_s > 0 else await self._catching_up.text(by, key)

    async def _take_out(self, said: Said, export: Export) -> Receipt:
        """Give the thread to who asked, alone. What asks for it is not kept."""
        if await self._lookups.takes_up(said):
            self._runner.do_later(self._hand(Wish(said.message.author, said.key, export)))
        return Receipt.KEPT

    async def _hand(self, wish: Wish) -> None:
        if told := await self._taking.hand(wish):
            await self._platforms[wish.at.platform].tell(wish.at, wish.by, told)

    async def _asked_to_forget(self, said: Said, command: Command) -> Receipt:
        """Forget, and tell who asked, alone. What asks for it is not kept."""
        key, message = said.key, said.message
        told = await self._forget(command, key, message.author, message.sent_at, message.position)
        if await self._lookups.takes_up(said):
            self._runner.do_later(self._platforms[key.platform].tell(key, message.author, told))
        return Receipt.KEPT

    async def _forget(
        self, command: Command, key: SessionKey, by: Author, at: datetime, upto: int | None = None
    ) -> str:
        """Everybody may, also who gets no answers."""
        admin = self._gate.is_admin(by)
        return await self._forgetting.carry_out(command, key, by.id, admin=admin, at=at, upto=upto)

    async def _answer(self, turn: Turn, claimed_at: float, news: Sequence[Message]) -> Receipt:
        """Run a new turn, unless its asker has had as many answers as are allowed."""
        wait_s = await self._gate.wait_s(turn.key, turn.asker)
        if wait_s == 0:
            self._runner.start(turn, claimed_at, news)
            return Receipt.ANSWERING
        self._tell(turn.key, turn.asker, words.too_fast(wait_s))
        refused = Answer("", Outcome.FAILED)
        began = self._keeper.now()
        closed = await self._turns.close(turn, refused, (), datetime.now(UTC))
        if closed.next is not None:
            self._runner.start(closed.next, began)
        return Receipt.KEPT

    async def _press(self, pressed: Pressed) -> Receipt:
        if not self._gate.may(pressed.by, pressed.groups):
            self._tell(pressed.key, pressed.by, words.NOT_FOR_YOU)
            return Receipt.IGNORED
        match pressed.button:
            case Button.STOP:
                turn_id = await self._turns.stop(pressed.key, pressed.asked)
                if turn_id is None:
                    return Receipt.IGNORED
                self._keeper.stop(turn_id)
            case Button.AGAIN:
                return await self._try_again(pressed)
            case Button.GOOD | Button.BAD:
                good = pressed.button is Button.GOOD
                await self._turns.judge(pressed.key, pressed.asked, clean_author(pressed.by), good)
                self._observer.feedback(pressed.key.platform, good)
        return Receipt.KEPT

    async def _try_again(self, pressed: Pressed) -> Receipt:
        wait_s = await self._gate.wait_s(pressed.key, pressed.by)
        if wait_s > 0:
            self._tell(pressed.key, pressed.by, words.too_fast(wait_s))
            return Receipt.IGNORED
        claimed_at = self._keeper.now()
        again = await self._turns.again(pressed.key, pressed.asked)
        if again.turn is not None:
            self._runner.start(again.turn, claimed_at)
        return again.receipt

    def _tell(self, key: SessionKey, to: Author, text: str) -> None:
        """Say to one person, alone and not too often, why there is no answer; nobody waits for it."""
        if self._gate.worth_telling(key, to):
            self._runner.do_later(self._platforms[key.platform].tell(key, to, text))
