"""The core wired over real stores, with a platform and a model that tests hold in their hands."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import UTC, datetime

from adapters.llm.offline import OfflineModel
from adapters.llm.roster import Roster
from bot.access import Access
from bot.answering import Answerer, Backfill
from bot.asking import Asking
from bot.catching_up import CatchingUp
from bot.commands import Offer
from bot.domain import (
    Answer,
    Attachment,
    Author,
    Chunk,
    Delta,
    Finished,
    History,
    ModelCard,
    Outcome,
    Part,
    Prompt,
    SessionKey,
    Turn,
    Usage,
)
from bot.forgetting import Forgetting
from bot.gate import Gate
from bot.lookups import Lookups
from bot.observing import TurnEnd
from bot.ports import Desk, Handler, HotContext, Journal, Platform, Reply
from bot.recall import Recall
from bot.runner import Runner
from bot.searching import Searcher
from bot.service import Service
from bot.summary import Summariser
from bot.taking import TakingOut
from bot.turns import Keeper, monotonic
from bot.windows import LastReads, WindowLoader
from storage.archive.carrying import Carrying
from storage.archive.claims import Claimant
from storage.archive.continuing import Continuations
from storage.archive.erasures import Erasures
from storage.archive.passing import PassedOver
from storage.archive.records import Records
from storage.archive.sources import Sources
from storage.archive.summaries import Summaries
from storage.archive.turns import Turns
from storage.archive.windows import Windows
from storage.database import Database
from storage.limits import RateLimits
from storage.search.finder import SqlFinder

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class Unobserved:
    """An `Observer` that looks away."""

    def turn_ended(self, end: TurnEnd) -> None: ...
    def hot_read(self, hit: bool) -> None: ...
    def archived(self, platform: str, count: int) -> None: ...
    def feedback(self, platform: str, good: bool) -> None: ...


class HeldModel:
    """A model whose answers begin when the test says so, and which keeps every prompt."""

    def __init__(self, context_tokens: int = 100_000, summarises: bool = False, tools: bool = True) -> None:
        self.prompts: list[Prompt] = []
        self.open = asyncio.Event()
        self.open.set()
        self.asked = asyncio.Event()
        self.begins = ""
        """Said before the test lets it go on."""
        self.answer: Callable[[Prompt], Sequence[Chunk | Exception]] = lambda prompt: [
            Delta(f"answer {len(prompt.messages) - 1}"),
            Finished(Usage(model="held", finish_reason="stop")),
        ]
        self._card = ModelCard("held", context_tokens, 100, sees=True, summarises=summarises, tools=tools)

    @property
    def names(self) -> tuple[str, ...]:
        return ("held",)

    def card(self, name: str) -> ModelCard:
        return self._card

    async def stream(self, prompt: Prompt, name: str) -> AsyncGenerator[Chunk, None]:
        self.prompts.append(prompt)
        if self.begins:
            yield Delta(self.begins)
        self.asked.set()
        await self.open.wait()
        for chunk in self.answer(prompt):
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk


Answering = HeldModel | OfflineModel | Roster


class Wall(Platform):
    """A platform that is a list of posts. It survives the processes that post on it."""

    name = "web"

    def __init__(self) -> None:
        self.posts: dict[int, tuple[SessionKey, str]] = {}
        self.told: list[str] = []
        self.searches = 0
        """How often it was shown that the bot looks through what was said."""
        self.past: History = History((), whole=True)
        self.files: dict[str, bytes] = {}
        self.trouble: Exception | None = None
        self.unreadable: Exception | None = None
        self.closed: Exception | None = None
        """What opening a reply raises."""
        self._positions = itertools.count(1_000_000)

    def post(self, key: SessionKey, text: str) -> int:
        """What the platform's server does."""
        position = next(self._positions)
        self.posts[position] = (key, text)
        return position

    def replies(self, key: SessionKey) -> list[str]:
        """What stands in a thread of ours."""
        return [text for where, text in self.posts.values() if where == key]

    async def open_reply(self, journal: Journal) -> Reply:
        if self.closed:
            raise self.closed
        return _Posting(self, journal)

    async def history(self, key: SessionKey, before: int, limit: int) -> History:
        if self.unreadable:
            raise self.unreadable
        return self.past

    async def fetch(self, attachment: Attachment, most: int) -> bytes | None:
        return self.files.get(attachment.url)

    async def tell(self, key: SessionKey, to: Author, text: str) -> None:
        self.told.append(text)

    async def open(self, handler: Handler, desk: Desk) -> None: ...
    async def quiet(self) -> None: ...
    async def close(self) -> None: ...

    def ailing(self) -> str:
        return ""


class _Posting:
    """A reply of one post, which grows in place; what a predecessor posted is found by its row."""

    def __init__(self, wall: Wall, journal: Journal) -> None:
        self._wall = wall
        self._journal = journal
        self._position = journal.turn.parts[0].position if journal.turn.parts else None

    async def show(self, text: str) -> None:
        self._journal.check()
        if self._position is None:
            self._position = self._wall.post(self._journal.turn.key, text)
            await self._journal.posted(1, self._position)
        else:
            self._wall.posts[self._position] = (self._journal.turn.key, text)

    async def finish(self, answer: Answer) -> tuple[Part, ...]:
        if self._wall.trouble:
            raise self._wall.trouble
        await self.show(answer.text)
        assert self._position is not None
        return (Part(1, self._position, len(answer.text)),)

    def standing(self) -> tuple[str, tuple[Part, ...]]:
        if self._position is None:
            return "", ()
        text = self._wall.posts[self._position][1]
        return text, (Part(1, self._position, len(text)),)

    async def withdraw(self, why: str) -> tuple[Answer, tuple[Part, ...]]:
        text, _ = self.standing()
        answer = Answer(text or why, Outcome.STOPPED, why) if self._position else Answer("", Outcome.DROPPED)
        return answer, await self.finish(answer) if self._position else ()

    async def searching(self) -> None:
        self._wall.searches += 1

    async def abandon(self) -> None: ...


class MortalTurns(Turns):
    """Turns of a process that can die: the dead release nothing."""

    dead = False

    async def release(self, turn: Turn, wait_s: float) -> None:
        if not self.dead:
            await super().release(turn, wait_s)


def taking_from(database: Database) -> TakingOut:
    """Exports of that archive, as many as anybody wants."""
    finder, limits = SqlFinder(database), RateLimits(None, "a", "none", "none")
    return TakingOut(finder, finder, Carrying(database), Gate(Access(), limits).wait_s)


class Process:
    """One process of the bot: a service of its own over stores that others share."""

    def __init__(
        self,
        database: Database,
        hot: HotContext,
        wall: Platform,
        model: "Answering",
        *,
        owner: str = "one",
        limit: int = 100,
        lease_s: float = 60.0,
        clock: Callable[[], float] = monotonic,
        loader: type[WindowLoader] = WindowLoader,
        now: Callable[[], datetime] = lambda: LONG_AGO,
        backgrounds: Continuations | None = None,
        lent_s: float | None = None,
    ) -> None:
        """`now`: by default nothing is ever late. `lent_s`: in distributed mode."""
        claimant = Claimant(owner, lease_s)
        self.records, self.turns = Records(database, claimant, lent_s), MortalTurns(database, claimant)
        self.windows, self.summaries = Windows(database), Summaries(database)
        offer = Offer(models=("held", "other"), personas=("default", "pirate"))
        observer = Unobserved()
        self.keeper = Keeper(self.turns, lease_s, clock)
        finder = SqlFinder(database)
        self.recall = Recall(finder, finder)
        loading = loader(hot, self.windows, limit, observer, LastReads())
        self.runner = Runner(
            turns=self.turns,
            windows=loading,
            answerer=Answerer(
                records=self.records,
                windows=loading,
                summaries=self.summaries,
                backgrounds=backgrounds or Continuations(database),
                asking=Asking(
                    model, Searcher(self.recall, lambda text: len(text) // 4 + 1, Sources(database))
                ),
                count=lambda text: len(text) // 4 + 1,
                personas={"default": "You are Threadfly.", "pirate": "You are a pirate."},
                offer=offer,
                backfill=Backfill(50, 5.0),
            ),
            summariser=Summariser(self.summaries, self.windows, model),
            keeper=self.keeper,
            observer=observer,
        )
        self.forgetting = Forgetting(Erasures(database), hot, breath_s=0)
        self.taking = taking_from(database)
        self.service = Service(
            gate=Gate(Access(), RateLimits(None, "a", "none", "none")),
            records=self.records,
            turns=self.turns,
            hot=hot,
            keeper=self.keeper,
            runner=self.runner,
            lookups=Lookups(self.recall, PassedOver(database)),
            catching_up=CatchingUp(self.recall, model),
            forgetting=self.forgetting,
            taking=self.taking,
            offer=offer,
            observer=observer,
            now=now,
        )
        self.service.serve({wall.name: wall})

    async def settle(self) -> None:
        """Until every turn and chore of this process has ended."""
        while tasks := self.runner.tasks():
            await asyncio.wait(tasks)

    async def die(self) -> None:
        """End as `kill -9` does, as far as tasks can: nothing of what runs is handed over or written."""
        self.turns.dead = True
        for task in self.runner.tasks():
            task.cancel()
        await asyncio.gather(*self.runner.tasks(), return_exceptions=True)
