"""The Discord platform with a scripted core behind it, connected to the fake Discord."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from adapters.discord.platform import DiscordPlatform
from bot.domain import (
    Addressed,
    Answer,
    Author,
    Event,
    Order,
    Part,
    Receipt,
    Reread,
    Said,
    SessionKey,
    Turn,
)
from bot.errors import ArchiveUnavailable, MayNotAnswer, PlatformError
from bot.ports import Desk, Handler, Journal, Reply, Watermarks
from tests.fakes.discord import FakeDiscord
from tests.fakes.posts import FakeJournal

T = TypeVar("T")
WAIT_S = 10.0


class Marks(Watermarks):
    """Watermarks in memory; they outlive the platform that they are passed to."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], int] = {}
        self._moved = asyncio.Condition()
        self.sessions: list[tuple[str, str]] = []
        """Channel and thread of what is kept, the last active first."""

    async def watermarks(self, platform: str, workspace: str) -> Mapping[str, int]:
        assert platform == "discord"
        return {channel: at for (where, channel), at in self.kept.items() if where == workspace}

    async def workspaces(self, platform: str) -> Sequence[str]:
        assert platform == "discord"
        return sorted({where for where, _ in self.kept})

    async def advance(self, platform: str, workspace: str, channel: str, position: int) -> None:
        assert platform == "discord"
        self.kept[workspace, channel] = max(position, self.kept.get((workspace, channel), 0))
        async with self._moved:
            self._moved.notify_all()

    async def threads(self, platform: str, workspace: str, channel: str, most: int) -> Sequence[str]:
        return ()

    async def lately(self, platform: str, workspace: str, most: int) -> Sequence[tuple[str, str]]:
        return self.sessions[:most] if workspace != "dm" else ()

    async def reach(self, channel: int | str, position: int = 1) -> None:
        """Wait until a channel's watermark is there."""
        async with asyncio.timeout(WAIT_S), self._moved:
            while self.of(channel) < position:
                await self._moved.wait()

    def of(self, channel: int | str) -> int:
        """The watermark of a channel; 0 for none."""
        return next((at for (_, known), at in self.kept.items() if known == str(channel)), 0)


Script = Callable[["Core", Reply, Said], Awaitable[None]]


async def echo(_core: "Core", reply: Reply, said: Said) -> None:
    """Answer with what was said."""
    await reply.finish(Answer(f"You said: {said.message.text}"))


class Core(Handler, Desk):
    """Takes every event, and answers as the service would: mentions, direct messages, its own threads."""

    def __init__(self, script: Script | None = echo) -> None:
        self.script = script
        self.platform: DiscordPlatform | None = None
        self.events: list[Event] = []
        self.rereads: list[Event] = []
        """What was read again; kept apart, since it tells of nothing new."""
        self.orders: list[Order] = []
        self.unavailable = False
        self.breaks: Exception | None = None
        """Raised at whatever comes."""
        self.parts: dict[int, tuple[Part, ...]] = {}
        """By the position that was asked."""
        self.failures: list[PlatformError] = []
        self._sessions: set[SessionKey] = set()
        self._known: set[tuple[SessionKey, int]] = set()
        self._turns: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()

    async def __call__(self, event: Event | Order) -> Any:  # both doors in one
        if self.unavailable:
            raise ArchiveUnavailable("the archive is away")
        if self.breaks is not None:
            raise self.breaks
        if isinstance(event, Order):
            self.orders.append(event)
            return f"You asked for: {event.words}"
        (self.rereads if isinstance(event, Reread) else self.events).append(event)
        async with self._changed:
            self._changed.notify_all()
        return self._take(event) if isinstance(event, Said) else Receipt.KEPT

    def _take(self, said: Said) -> Receipt:
        wanted = said.addressed in {Addressed.MENTION, Addressed.DIRECT} or (
            said.key in self._sessions and said.addressed is Addressed.THREAD
        )
        known = (said.key, said.message.position)
        if wanted:
            self._sessions.add(said.key)
        if not (wanted and said.answer) or known in self._known or self.script is None:
            return Receipt.KEPT
        self._known.add(known)
        task = asyncio.create_task(self._answer(said))
        self._turns.add(task)
        task.add_done_callback(self._turns.discard)
        return Receipt.ANSWERING

    async def _answer(self, said: Said) -> None:
        assert self.platform is not None
        assert self.script is not None
        try:
            reply = await self.platform.open_reply(journal_of(said))
        except MayNotAnswer as refusal:
            await self.platform.tell(said.key, said.message.author, str(refusal))
            return
        try:
            await self.script(self, reply, said)
        except PlatformError as error:
            self.failures.append(error)
            await reply.abandon()
        async with self._changed:
            self._changed.notify_all()

    @property
    def said(self) -> list[Said]:
        """Everything that was said, as it came."""
        return [event for event in self.events if isinstance(event, Said)]

    async def wait(self, probe: Callable[[], T]) -> T:
        """The first true answer of `probe`, asked after every event and every answer."""
        async with asyncio.timeout(WAIT_S), self._changed:
            while not (found := probe()):
                await self._changed.wait()
            return found

    async def heard(self, number: int) -> list[Event]:
        """Wait until so many events came."""
        await self.wait(lambda: len(self.events) >= number)
        return self.events

    async def answered(self) -> None:
        """Wait until every answer that was begun has ended."""
        async with asyncio.timeout(WAIT_S):
            await asyncio.gather(*self._turns)

    async def end(self) -> None:
        """Let running answers end."""
        for task in list(self._turns):
            task.cancel()
        await asyncio.gather(*self._turns, return_exceptions=True)


def turn_of(key: SessionKey, *asked: int, parts: tuple[Part, ...] = (), taken_over: bool = False) -> Turn:
    """A turn that answers messages of a session."""
    return Turn(
        id=asked[-1],
        session_id=1,
        key=key,
        asked=asked,
        cut=asked[-1],
        epoch=1,
        version=1,
        asker=Author("1", "Ann"),
        parts=parts,
        taken_over=taken_over,
    )


def journal_of(said: Said) -> Journal:
    """The journal of a turn that answers one message."""
    return FakeJournal(turn_of(said.key, said.message.position))


@asynccontextmanager
async def connected(
    fake: FakeDiscord, core: Core, marks: Marks | None = None, **options: Any
) -> AsyncIterator[DiscordPlatform]:
    """A platform on the fake, opened and closed; quick where real time does not matter."""
    quick = {"identify_pause_s": 0.05, "guild_ready_s": 0.05, "token": fake.token, "api_url": fake.api_url}
    platform = DiscordPlatform(watermarks=marks or Marks(), **{**quick, **options})
    core.platform = platform
    try:
        await platform.open(core, core)
        yield platform
        await platform.quiet()
    finally:
        await core.end()
        await platform.quiet()
        await platform.close()
