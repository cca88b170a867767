"""A small core for tests of the Slack island: it remembers what it is told, and answers by a script."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from adapters.slack.platform import SlackPlatform
from bot.domain import (
    Addressed,
    Answer,
    Author,
    Event,
    Order,
    Part,
    Pressed,
    Receipt,
    Said,
    SessionKey,
    Turn,
)
from bot.errors import ArchiveUnavailable
from bot.ports import Reply
from tests.fakes.posts import FakeJournal
from tests.fakes.slack.server import CHANNEL


class Marks:
    """Watermarks in memory."""

    def __init__(self, **channels: int) -> None:
        self.by_channel = dict(channels)
        self.known: list[str] = []
        """Threads that the archive has of `C01`."""
        self.moved = asyncio.Event()

    async def watermarks(self, platform: str, workspace: str) -> Mapping[str, int]:
        return dict(self.by_channel)

    async def threads(self, platform: str, workspace: str, channel: str, most: int) -> list[str]:
        return self.known[:most] if channel == CHANNEL else []

    async def advance(self, platform: str, workspace: str, channel: str, position: int) -> None:
        self.by_channel[channel] = max(position, self.by_channel.get(channel, 0))
        self.moved.set()


class Log(FakeJournal):
    """A journal in memory that tells when a position is written down."""

    def __init__(self, turn: Turn) -> None:
        super().__init__(turn)
        self.written = asyncio.Event()

    async def posted(self, number: int, position: int) -> None:
        await super().posted(number, position)
        self.written.set()


Script = Callable[[Reply, Said], Awaitable[Answer]]


async def echo(reply: Reply, said: Said) -> Answer:
    """Answer at once, with what was said."""
    return Answer(f"You said: {said.message.text}")


class ScriptedCore:
    """Takes events as the service would: one turn for each message that asks, however often it comes."""

    def __init__(self, script: Script = echo) -> None:
        self.platform: SlackPlatform | None = None
        self.script = script
        self.events: list[Event] = []
        self.orders: list[Order] = []
        self.answered: dict[tuple[SessionKey, int], tuple[Part, ...]] = {}
        self.failures: list[BaseException] = []
        self.down = False
        self.refusals = 0
        """How many events more it refuses to keep."""
        self.slow_s = 0.0
        self.order_answer = "done"
        self.pressing = Receipt.KEPT
        """What becomes of a button."""
        self._taken: set[tuple[SessionKey, int]] = set()
        self._taking_part: set[SessionKey] = set()
        self._turns: set[asyncio.Task[None]] = set()
        self._news = asyncio.Condition()

    async def __call__(self, event: Event) -> Receipt:
        if self.slow_s:
            await asyncio.sleep(self.slow_s)
        if self.down or self.refusals:
            self.refusals -= 1
            raise ArchiveUnavailable("the archive is away")
        self.events.append(event)
        await self._stir()
        if isinstance(event, Said):
            return self._said(event)
        return self.pressing if isinstance(event, Pressed) else Receipt.KEPT

    def _said(self, said: Said) -> Receipt:
        asks = said.addressed in {Addressed.MENTION, Addressed.DIRECT}
        asks = asks or (said.addressed is Addressed.THREAD and said.key in self._taking_part)
        if not asks:
            return Receipt.KEPT if said.key in self._taking_part else Receipt.IGNORED
        self._taking_part.add(said.key)
        key = (said.key, said.message.position)
        if not said.answer or key in self._taken:
            return Receipt.KEPT
        self._taken.add(key)
        task = asyncio.create_task(self._answer(said))
        self._turns.add(task)
        task.add_done_callback(self._turns.discard)
        return Receipt.ANSWERING

    async def desk(self, order: Order) -> str:
        self.orders.append(order)
        if self.slow_s:
            await asyncio.sleep(self.slow_s)
        return self.order_answer

    async def _answer(self, said: Said) -> None:
        try:
            await self.run(turn_of(said), said)
        except Exception as exc:  # noqa: BLE001  # a test looks at it
            self.failures.append(exc)
        await self._stir()

    async def run(self, turn: Turn, said: Said) -> Log:
        """Run one turn by the script."""
        assert self.platform is not None
        log = Log(turn)
        reply = await self.platform.open_reply(log)
        answer = await self.script(reply, said)
        parts = await reply.finish(answer)
        self.answered[said.key, said.message.position] = parts
        return log

    async def until(self, true: Callable[[], object], timeout: float = 10.0) -> None:
        """Wait until something holds that an event or a finished turn can bring about."""
        async with asyncio.timeout(timeout), self._news:
            while not true():
                await self._news.wait()

    async def until_true(self, true: Callable[[], object], timeout: float = 10.0) -> None:
        """Wait for something that nobody tells us of."""
        async with asyncio.timeout(timeout):
            while not true():  # noqa: ASYNC110  # there is nothing to wait for
                await asyncio.sleep(0.005)

    async def _stir(self) -> None:
        async with self._news:
            self._news.notify_all()

    def said(self) -> list[Said]:
        """The messages among what came in."""
        return [event for event in self.events if isinstance(event, Said)]

    def pressed(self) -> list[Pressed]:
        """The buttons among what came in."""
        return [event for event in self.events if isinstance(event, Pressed)]

    async def close(self) -> None:
        """End what is under way."""
        for task in list(self._turns):
            task.cancel()
        await asyncio.gather(*self._turns, return_exceptions=True)


def turn_of(said: Said, *, parts: tuple[Part, ...] = (), taken_over: bool = False) -> Turn:
    """The turn that answers one message."""
    position = said.message.position
    return Turn(
        id=1,
        session_id=1,
        key=said.key,
        asked=(position,),
        cut=position,
        epoch=1,
        version=1,
        asker=said.message.author,
        parts=parts,
        taken_over=taken_over,
    )


ALICE = Author("U0ALICE", "Alice")
