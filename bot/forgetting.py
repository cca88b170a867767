"""The use case: what people want forgotten, and what a platform removed, is taken away for good.

Asking for it is one small transaction, after which nothing of it is answered or shown to a model any
more. Taking it away is many small ones: whoever crashes in between, some process goes on.
"""

import asyncio
import logging
import time
from collections.abc import Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol

from bot import words
from bot.commands import Command, Forget
from bot.domain import Gone, SessionKey
from bot.errors import StoreError
from bot.ports import HotContext

log = logging.getLogger(__name__)

LOOK_S = 60.0
"""How often it is looked for what others left behind."""
AGE_S = 3600.0
"""How often it is looked for what is too old."""
BREATH_S = 0.05
"""Between two steps: writers who wait go first."""
REST_S = 60.0
"""Between two times that the files are written anew: on SQLite nobody else writes meanwhile."""
AT_ONCE = 500
"""Erasures after which the files are scrubbed."""
MOST_FAILED = 20
"""Erasures that may fail in one go, and leave the turn to others: with more it is the archive that fails."""
SKEW = timedelta(minutes=1)
"""How far a platform's clock may be behind ours."""


class Verdict(StrEnum):
    """What becomes of the wish to have a thread forgotten."""

    BEGUN = "begun"
    NOTHING_THERE = "nothing_there"
    NOT_THEIRS = "not_theirs"
    """Somebody else started it."""


class Holding(NamedTuple):
    """What there is of somebody."""

    messages: int
    threads: int
    newest: datetime | None = None
    """When the newest of it was said."""


class Erasure(NamedTuple):
    """Something that is being erased."""

    id: int
    author: str
    """"": what anybody said."""
    upto: int
    buried: bool = True
    """Each message leaves a tombstone. Else only its session remembers up to where it was emptied."""
    before: datetime | None = None
    """Of an author, what was said up to then goes. None: whatever they said."""
    done: int = 0
    """Nothing of it is left in the sessions up to that id."""


class Batch(NamedTuple):
    """Some sessions with something that goes."""

    sessions: Sequence[int]
    upto: int
    """Sessions up to this id were looked at."""


class Aged(NamedTuple):
    """A session, and when the oldest of what is kept of it was said or asked."""

    id: int
    key: SessionKey
    oldest: datetime | None
    """None: there is nothing."""


class ErasureStore(Protocol):
    """Where it is written down what is to be erased, and where it is. Steps may be repeated."""

    async def lose(self, place: Gone) -> bool:
        """Let all of a place be erased, and nothing come from it again; whether there is anything."""

    async def forget_thread(self, key: SessionKey, upto: int | None, by: str | None) -> Verdict:
        """Let a thread up to `upto` (None: all there is) be erased, if `by` started it; None may anyway."""

    async def held_of(self, platform: str, workspace: str, author: str) -> Holding:
        """What there is of somebody in a workspace."""

    async def forget_person(
        self, platform: str, workspace: str, author: str, before: datetime
    ) -> Erasure | None:
        """Let what somebody said in a workspace be erased, and nothing from `before` come again.

        None: that was asked before.
        """

    async def next(self, passed: Collection[int]) -> Erasure | None:
        """The oldest that is not finished nor `passed`: wishes first, then what is merely too old."""

    async def settle(self) -> None:
        """Return once whoever writes now is done: they may not know of what was wished meanwhile."""

    async def batch(self, erasure: Erasure, after: int) -> Batch | None:
        """Some sessions that it concerns, after the one with that id; None if there is none left."""

    async def quell(self, erasure: Erasure, session_id: int) -> None:
        """Let what goes be answered and shown no more."""

    async def erase(self, erasure: Erasure, session_id: int) -> int:
        """Take some messages out of a session for good; how many."""

    async def tidy(self, erasure: Erasure, session_id: int) -> None:
        """Take away what else tells of what went."""

    async def advance(self, erasure: Erasure, upto: int) -> None:
        """Nothing of it is left in the sessions up to that id."""

    async def finish(self, erasure: Erasure) -> None:
        """Nothing of it is left anywhere."""

    async def scrub(self, *, thoroughly: bool) -> None:
        """Let the store's files hold no more of what was deleted; not thoroughly: what holds nobody up."""

    async def aged(self, after: int) -> Sequence[Aged]:
        """Some sessions after that id; none at the end."""

    async def age_out(self, session_id: int, before: datetime) -> None:
        """Let what was said in a session before then be erased."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long messages are kept: the narrowest place that is named decides. None: for ever."""

    default_s: float | None
    places: Mapping[str, float | None]
    """`platform:workspace` and `platform:workspace:channel`."""

    def of(self, key: SessionKey) -> float | None:
        """Seconds for messages of that session."""
        workspace = f"{key.platform}:{key.workspace}"
        for place in (f"{workspace}:{key.channel}", workspace):
            if place in self.places:
                return self.places[place]
        return self.default_s

    @property
    def off(self) -> bool:
        """Everything is kept for ever."""
        return self.default_s is None and not any(self.places.values())


FOR_EVER = Retention(None, {})


class Forgetting:
    """Takes down what is to be forgotten, and sees to it."""

    def __init__(
        self,
        store: ErasureStore,
        hot: HotContext,
        retention: Retention = FOR_EVER,
        breath_s: float = BREATH_S,
    ) -> None:
        self._store = store
        self._hot = hot
        self._retention = retention
        self._breath_s = breath_s
        self._wanted = asyncio.Event()
        self._scrubbed_at = float("-inf")
        """When the files were last written anew, by this process's clock."""

    async def lose(self, place: Gone) -> bool:
        """A place is gone from its platform; whether anything was kept of it."""
        return self._soon(await self._store.lose(place))

    async def carry_out(
        self, command: Command, key: SessionKey, by: str, *, admin: bool, at: datetime, upto: int | None
    ) -> str:
        """Do what somebody asked at `at`, and the sentence for them. May be repeated.

        `upto`: the position at which it was asked; None where it was no message.
        """
        match command.name:
            case Forget.ME:
                held = await self._store.held_of(key.platform, key.workspace, by)
                return words.forget_you(held.messages, held.threads)
            case Forget.ME_YES:
                before = at if upto is not None else await self._heard_of(key, by, at)
                await self.forget_person(key.platform, key.workspace, by, before)
                return words.FORGETTING_YOU
            case Forget.THREAD:
                return _SENTENCES[await self.forget_thread(key, upto, None if admin else by)]
        return words.FORGET_HELP

    async def forget_thread(self, key: SessionKey, upto: int | None = None, by: str | None = None) -> Verdict:
        """Forget a thread up to `upto` (None: up to now), if `by` started it; None may anyway."""
        verdict = await self._store.forget_thread(key, upto, by)
        self._soon(verdict is Verdict.BEGUN)
        return verdict

    async def _heard_of(self, key: SessionKey, by: str, at: datetime) -> datetime:
        """Up to when to forget somebody who asked at `at` by our clock, which may be ahead of the platform's.

        All that was heard goes. What is heard from now on was said since, unless it is older than clocks
        may differ.
        """
        held = await self._store.held_of(key.platform, key.workspace, by)
        return max(at - SKEW, held.newest or at - SKEW)

    async def forget_person(self, platform: str, workspace: str, person: str, before: datetime) -> None:
        """Forget what somebody said in a workspace: once this returns, nothing of it is shown or answered."""
        erasure = await self._store.forget_person(platform, workspace, person, before)
        if self._soon(erasure is not None) and erasure is not None:
            await _tried(self._quell(erasure))

    async def _quell(self, erasure: Erasure) -> None:
        after = 0
        while (batch := await self._store.batch(erasure, after)) is not None:
            for session in batch.sessions:
                await self._store.quell(erasure, session)
                await self._hot.drop(session)
            after = batch.upto

    async def forget_workspace(self, platform: str, workspace: str) -> int:
        """Forget all that was said in a workspace up to now; how many threads."""
        after = threads = 0
        while some := await self._store.aged(after):
            for aged in some:
                if (aged.key.platform, aged.key.workspace) == (platform, workspace):
                    threads += await self.forget_thread(aged.key) is Verdict.BEGUN
            after = some[-1].id
        return threads

    def _soon(self, wanted: bool = True) -> bool:
        if wanted:
            self._wanted.set()
        return wanted

    async def working(self) -> None:
        """For ever: what was asked for here at once, what others left behind soon, what is old every hour."""
        await asyncio.gather(self._erasing(), self._aging())

    async def _erasing(self) -> None:
        while True:
            await _tried(self.work(rest_s=REST_S))
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._wanted.wait()
            except TimeoutError:
                continue
            self._wanted.clear()

    async def _aging(self) -> None:
        while not self._retention.off:
            await _tried(self.age(datetime.now(UTC)))
            await asyncio.sleep(AGE_S)

    async def work(self, *, thoroughly: bool = False, rest_s: float = 0.0) -> int:
        """Erase until nothing is left to be erased; how many messages went.

        What people and platforms want gone is scrubbed from the store's files too, what is merely old
        only if it is to be done `thoroughly`. `rest_s` lies between two such times: anybody may ask for
        them, as often as they like, and what was asked for meanwhile is done with the next.
        """
        taken = 0
        while done := await self._some():
            taken += sum(messages for _, messages in done)
            if anew := thoroughly or any(erasure.buried for erasure, _ in done):
                await asyncio.sleep(self._scrubbed_at + rest_s - time.monotonic())
            await self._scrub(anew)
            for erasure, messages in done:
                await self._store.finish(erasure)
                about = {"event": "erased", "erasure": erasure.id, "messages": messages}
                log.info("What was to be forgotten is gone", extra=about)
        return taken

    async def _scrub(self, thoroughly: bool) -> None:
        try:
            await self._store.scrub(thoroughly=thoroughly)
        except StoreError as error:
            log.warning(
                "What was erased may still be in gaps of the archive's files until `threadfly purge` "
                "can write them anew: %s",
                error,
                extra={"event": "unscrubbed"},
            )
        if thoroughly:
            self._scrubbed_at = time.monotonic()

    async def _some(self) -> list[tuple[Erasure, int]]:
        """Empty what some erasures name, and how many messages each took. One scrubbing does for all.

        One that fails waits for another time, and holds up no other.
        """
        done: list[tuple[Erasure, int]] = []
        failed: dict[int, StoreError] = {}
        while len(done) < AT_ONCE and len(failed) < MOST_FAILED:
            erasure = await self._store.next([*failed, *(erasure.id for erasure, _ in done)])
            if erasure is None:
                break
            try:
                done.append((erasure, await self._carry_through(erasure)))
            except StoreError as error:
                failed[erasure.id] = error
        if failed and not done:
            raise next(iter(failed.values()))
        return done

    async def _carry_through(self, erasure: Erasure) -> int:
        if erasure.buried:
            await self._store.settle()
        taken, after = 0, erasure.done
        while (batch := await self._store.batch(erasure, after)) is not None:
            for session in batch.sessions:
                taken += await self._empty(erasure, session)
            after = batch.upto
            await self._store.advance(erasure, after)
        return taken

    async def _empty(self, erasure: Erasure, session: int) -> int:
        await self._store.quell(erasure, session)
        await self._hot.drop(session)
        taken = 0
        while some := await self._store.erase(erasure, session):
            taken += some
            await asyncio.sleep(self._breath_s)
        await self._store.tidy(erasure, session)
        await self._hot.drop(session)
        return taken

    async def age(self, now: datetime) -> None:
        """Write down what is older than it may be kept."""
        after = 0
        while some := await self._store.aged(after):
            for aged in some:
                keep_s = self._retention.of(aged.key)
                before = None if keep_s is None else now - timedelta(seconds=keep_s)
                if before is not None and aged.oldest is not None and aged.oldest < before:
                    await self._store.age_out(aged.id, before)
                    self._soon()
            after = some[-1].id


_SENTENCES: Mapping[Verdict, str] = {
    Verdict.BEGUN: words.FORGETTING_THREAD,
    Verdict.NOTHING_THERE: words.NOTHING_TO_FORGET,
    Verdict.NOT_THEIRS: words.NOT_YOUR_THREAD,
}


async def _tried(work: Coroutine[None, None, object]) -> None:
    """Do it; what could not be done now is done another time."""
    try:
        await work
    except Exception as error:  # noqa: BLE001 - without this loop nothing would ever be forgotten again
        why = str(error) if isinstance(error, StoreError) else type(error).__name__
        log.warning("Forgetting goes on later: %s", why, extra={"event": "forgetting.waits"})
