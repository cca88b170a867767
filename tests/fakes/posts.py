"""Posts in memory, as strict as a platform, and a journal that keeps the rules of one."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from adapters.posts import Limits, Posts, Showing, Throttled, Work
from bot.domain import Author, Part, SessionKey, Turn
from bot.errors import LeaseLost, PlatformError, PlatformForbidden, PlatformUnavailable, PostGone
from bot.ports import Journal

ASKED = 1_000


def turn(*parts: Part, taken_over: bool = False) -> Turn:
    """A turn that answers what was said at `ASKED`."""
    return Turn(
        id=1,
        session_id=1,
        key=SessionKey("fake", "w", "c", "t"),
        asked=(ASKED,),
        cut=ASKED,
        epoch=1,
        version=1,
        asker=Author("u1", "Ann"),
        parts=parts,
        taken_over=taken_over,
    )


@dataclass(slots=True)
class Post:
    """A post that people see, and all that it ever read."""

    text: str
    showing: Showing | None
    file: str = ""
    past: list[tuple[str, Showing | None]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was carried out."""

    name: str
    position: int
    text: str = ""
    showing: Showing | None = None


class FakeJournal(Journal):
    """Rows in memory. A post without an intent before it is a broken promise, and told as one."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self.intended = {1, *(part.number for part in turn.parts)}
        self.positions = {part.number: part.position for part in turn.parts if part.position}
        self.others: set[int] = set()
        """Positions that rows of other turns name."""
        self.lost = False
        self.checks = 0
        self.intents: list[int] = []

    @property
    def turn(self) -> Turn:
        return self._turn

    def check(self) -> None:
        self.checks += 1
        if self.lost:
            raise LeaseLost("somebody else has it")

    def left_s(self) -> float:
        return 0.0 if self.lost else 0.01

    async def intend(self, number: int) -> None:
        self.check()
        assert number not in self.intended, "intended twice"
        self.intended.add(number)
        self.intents.append(number)

    async def posted(self, number: int, position: int) -> None:
        self.check()
        assert number in self.intended
        self.positions[number] = position

    async def unclaimed(self, positions: Sequence[int]) -> frozenset[int]:
        return frozenset(positions) - self.others - set(self.positions.values())

    def taken_over(self) -> "FakeJournal":
        """The journal of whoever takes the turn over, and the end of this one."""
        self.lost = True
        parts = (Part(number, self.positions.get(number)) for number in sorted(self.intended))
        other = FakeJournal(
            replace(self._turn, parts=tuple(parts), taken_over=True, epoch=self._turn.epoch + 1)
        )
        other.others = self.others
        return other


class FakePosts(Posts):
    """A thread in which only the bot speaks. Refuses what a real platform refuses."""

    def __init__(self, journal: FakeJournal, length: int = 200, most_parts: int = 5) -> None:
        self.limits = Limits(post_length=length, most_parts=most_parts)
        self.journal = journal
        self.thread: dict[int, Post] = {}
        self.calls: list[Call] = []
        self.refusals: list[Exception] = []
        """Raised by the next calls, which are not carried out."""
        self.cuts: list[PlatformError] = []
        """Raised by the next calls after they were carried out."""
        self.hold: asyncio.Event | None = None
        """Calls wait for it before they are carried out."""
        self.waiting = asyncio.Event()
        """A call waits for `hold`."""
        self.files_allowed = True
        self.signs = 0
        self.works: list[Work] = []
        self.on_call: Callable[[], None] = lambda: None
        self._newest = ASKED
        self._under_way = False

    async def create(self, number: int, text: str, showing: Showing) -> int:
        assert number in self.journal.intended, "posted without an intent"
        return await self._call("create", None, text, showing)

    async def create_file(self, number: int, name: str, content: str) -> int:
        assert number in self.journal.intended, "posted without an intent"
        if not self.files_allowed:
            raise PlatformForbidden("no files here")
        return await self._call("create_file", None, content, None, name)

    async def change(self, position: int, text: str, showing: Showing) -> None:
        await self._call("change", position, text, showing)

    async def remove(self, position: int) -> None:
        await self._call("remove", position)

    async def ours(self) -> Sequence[int]:
        return sorted(self.thread)

    async def working(self, work: Work) -> None:
        self.signs += 1
        self.works.append(work)

    def shown(self) -> list[str]:
        """What people read, from top to bottom."""
        return [post.text for _, post in sorted(self.thread.items())]

    def states(self) -> list[Showing | None]:
        return [post.showing for _, post in sorted(self.thread.items())]

    def put(self, text: str) -> int:
        """A post of ours from before."""
        self._newest += 1
        self.thread[self._newest] = Post(text, Showing.GROWING)
        return self._newest

    async def _call(
        self, name: str, position: int | None, text: str = "", showing: Showing | None = None, file: str = ""
    ) -> int:
        assert not self.journal.lost, "called after the lease was lost"
        assert not self._under_way, "two calls at once"
        self._under_way = True
        try:
            await self._held()
            if self.refusals:
                raise self.refusals.pop(0)
            position = self._carry_out(name, position, text, showing, file)
        finally:
            self._under_way = False
        self.calls.append(Call(name, position, text, showing))
        self.on_call()
        if self.cuts:
            raise self.cuts.pop(0)
        return position

    async def _held(self) -> None:
        await asyncio.sleep(0)
        if self.hold:
            self.waiting.set()
            await self.hold.wait()

    def _carry_out(
        self, name: str, position: int | None, text: str, showing: Showing | None, file: str
    ) -> int:
        if name == "remove":
            assert position
            self.thread.pop(position, None)
            return position
        if not file:
            assert text.strip(), "an empty post"
            assert len(text) <= self.limits.post_length, "too long"
        if position is None:
            position = self._newest = self._newest + 1
            self.thread[position] = Post(text, showing, file)
        elif position not in self.thread:
            raise PostGone("deleted")
        post = self.thread[position]
        post.text, post.showing = text, showing
        post.past.append((text, showing))
        return position


def throttled(seconds: float = 5.0) -> Throttled:
    return Throttled(seconds)


def cut() -> PlatformUnavailable:
    return PlatformUnavailable("the connection was cut")
