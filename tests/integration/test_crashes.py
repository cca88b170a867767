"""A process may die, or be told to end, at every await between a question and its answer.

A first process is killed at its k-th call into archive, platform or model, before the call or right
after it, for every k there is. What it leaves behind is found by a second one. The reply writer is
the real one, over posts that outlive both.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa

from adapters import posts
from adapters.pacing import Pace
from adapters.posts import Limits, Posts, Showing
from adapters.reply import PacedReply
from bot.domain import (
    Addressed,
    Attachment,
    Author,
    Chunk,
    Delta,
    Finished,
    History,
    Prompt,
    Said,
    SessionKey,
    Turn,
    Usage,
)
from bot.errors import ArchiveUnavailable, PostGone
from bot.ports import Desk, Handler, Journal, Platform, Reply
from storage.database import Database, T, Work
from storage.hot import NoContext
from storage.tables import messages, sessions, turns
from tests.fakes.core import HeldModel, Process
from tests.integration.test_service import message

POST_LENGTH = 60
LONG = " ".join(f"rather-a-long-word-{number}" for number in range(8))
"""Three posts."""
SHORT = "Another owner says it in fewer words, and yet in two posts: more than sixty characters."
LEAST_CALLS = 30
"""A run has more than these, lest the test be about nothing."""
R = TypeVar("R")


class Killed(BaseException):
    """As after `kill -9`: no handler of ours acts on it."""


class Life:
    """Counts the calls of one process, and does something at one of them."""

    def __init__(self, last: int = 0, at_last: Callable[[], None] | None = None) -> None:
        self._calls = 0
        self._last = last
        self._at_last = at_last or self._die
        self.dead = False
        self.over = False
        """It was long enough for that."""

    def step(self) -> None:
        """One call begins, or has ended."""
        self._calls += 1
        if self._calls == self._last:
            self.over = True
            self._at_last()
        if self.dead:
            raise Killed

    def _die(self) -> None:
        self.dead = True

    async def around(self, call: Awaitable[R]) -> R:
        try:
            self.step()
        except Killed:
            if asyncio.iscoroutine(call):
                call.close()
            raise
        result = await call
        self.step()
        return result


class MortalDatabase:
    """A database whose process may die before a commit, and after it."""

    def __init__(self, database: Database, life: Life) -> None:
        self._database, self._life = database, life

    async def write(self, work: Work[T]) -> T:
        return await self._life.around(self._database.write(work))

    async def read(self, work: Work[T]) -> T:
        return await self._life.around(self._database.read(work))

    async def close(self) -> None: ...


class Room:
    """The posts that people see."""

    def __init__(self) -> None:
        self.posts: dict[int, tuple[str, str, Showing]] = {}
        self._newest = 1_000_000

    def post(self, thread: str, text: str, showing: Showing) -> int:
        self._newest += 1
        self.posts[self._newest] = (thread, text, showing)
        return self._newest

    def read(self, thread: str) -> list[str]:
        return [text for where, text, _ in self.posts.values() if where == thread]

    def growing(self, thread: str) -> int:
        return sum(where == thread and how is Showing.GROWING for where, _, how in self.posts.values())


class RoomPosts(Posts):
    """The posts of one reply. The platform knows neither turn nor part: rows alone tell them apart."""

    limits = Limits(post_length=POST_LENGTH)

    def __init__(self, room: Room, turn: Turn, life: Life) -> None:
        self._room, self._turn, self._life = room, turn, life

    async def create(self, number: int, text: str, showing: Showing) -> int:
        self._life.step()
        await asyncio.sleep(0)
        position = self._room.post(self._turn.key.thread, text, showing)
        self._life.step()
        return position

    async def change(self, position: int, text: str, showing: Showing) -> None:
        self._life.step()
        await asyncio.sleep(0)
        if position not in self._room.posts:
            raise PostGone("deleted")
        self._room.posts[position] = (self._turn.key.thread, text, showing)
        self._life.step()

    async def remove(self, position: int) -> None:
        self._life.step()
        self._room.posts.pop(position, None)
        self._life.step()

    async def create_file(self, number: int, name: str, content: str) -> int:
        raise AssertionError("no reply here is that long")

    async def ours(self) -> Sequence[int]:
        self._life.step()
        thread, asked = self._turn.key.thread, self._turn.asked[-1]
        return [at for at, (where, _, _) in self._room.posts.items() if where == thread and at > asked]

    async def working(self, work: posts.Work) -> None: ...


class RoomPlatform(Platform):
    """A platform with nothing but replies."""

    name = "web"

    def __init__(self, room: Room, life: Life) -> None:
        self._room, self._life = room, life

    async def open_reply(self, journal: Journal) -> Reply:
        self._life.step()
        pace = Pace(least_s=0.0, most_s=0.0, gather_s=0.0)
        reply = PacedReply(RoomPosts(self._room, journal.turn, self._life), journal, pace)
        await reply.open()
        return reply

    async def history(self, key: SessionKey, before: int, limit: int) -> History:
        found = History((message(before - 1, "before"),), whole=True)
        return await self._life.around(asyncio.sleep(0, found))

    async def fetch(self, attachment: Attachment, most: int) -> bytes | None:
        return None

    async def tell(self, key: SessionKey, to: Author, text: str) -> None: ...
    async def open(self, handler: Handler, desk: Desk) -> None: ...
    async def quiet(self) -> None: ...
    async def close(self) -> None: ...

    def ailing(self) -> str:
        return ""


class MortalModel(HeldModel):
    """Streams word by word, and waits in the middle of its first answer."""

    def __init__(self, text: str, life: Life) -> None:
        super().__init__()
        self._text, self._life = text, life
        self.middle, self.go_on = asyncio.Event(), asyncio.Event()

    async def stream(self, prompt: Prompt, name: str) -> AsyncGenerator[Chunk, None]:
        words = self._text.split(" ")
        for number, word in enumerate(words):
            self._life.step()
            yield Delta(word if number == 0 else f" {word}")
            if number == len(words) // 2:
                self.middle.set()
                await self.go_on.wait()
            for _ in range(3):
                await asyncio.sleep(0)
        yield Finished(Usage())


class Scene:
    """One thread: a question, and another while the first is being answered."""

    def __init__(self, database: Database, room: Room, thread: str) -> None:
        self.database, self.room = database, room
        self.key = SessionKey("web", "w", "c", thread)
        base = 1_000 * (int(thread) + 1)
        self.first = Said(self.key, message(base, "First?"), Addressed.MENTION)
        self.second = Said(self.key, message(base + 1, "Second?"), Addressed.THREAD)

    async def play(self, process: Process, model: "MortalModel") -> None:
        """A process hears both, as far as it lives."""
        await _as_far_as_it_goes(process.service.handle(self.first))
        if tasks := process.runner.tasks():
            middle = asyncio.ensure_future(model.middle.wait())
            await asyncio.wait([middle, *tasks], return_when=asyncio.FIRST_COMPLETED)
            middle.cancel()
        await _as_far_as_it_goes(process.service.handle(self.second))
        model.go_on.set()
        await process.settle()

    async def find(self) -> None:
        """Another process hears both again, and takes over what it finds."""
        life = Life()
        model = MortalModel(SHORT, life)
        model.go_on.set()
        process = self.process("two", life, model)
        for said in (self.first, self.second):
            await process.service.handle(said)
        await process.settle()
        while await process.runner.sweep():
            await process.settle()

    def process(self, owner: str, life: Life, model: MortalModel) -> Process:
        database = MortalDatabase(self.database, life)
        platform = RoomPlatform(self.room, life)
        return Process(database, NoContext(), platform, model, owner=owner)

    async def expire(self) -> None:
        overdue = sa.update(turns).where(turns.c.state == "running").values(lease_until=0)
        await self.database.write(lambda c: c.execute(overdue).rowcount)

    async def judge(self) -> None:
        """One reply for each turn, whole; no mention lost; what people see is what is archived."""
        here = sa.select(sessions.c.id).where(sessions.c.thread == self.key.thread).scalar_subquery()
        asked = sa.select(turns.c.asked_position, turns.c.state).where(turns.c.session_id == here)
        states = await self.database.read(lambda c: {row[0]: row[1] for row in c.execute(asked)})
        assert set(states) == {self.first.message.position, self.second.message.position}
        assert set(states.values()) <= {"done", "merged"}
        said = sa.select(messages.c.kind, messages.c.text).where(messages.c.session_id == here)
        in_order = said.order_by(messages.c.position)
        lines = await self.database.read(lambda c: [(row[0], row[1]) for row in c.execute(in_order)])
        archived = [text for kind, text in lines if kind == "bot"]
        assert len(archived) == list(states.values()).count("done")
        assert {*archived} <= {LONG, SHORT}
        assert sorted(text for kind, text in lines if kind == "person") == ["First?", "Second?", "before"]
        seen = self.room.read(self.key.thread)
        assert " ".join(seen) == " ".join(archived)
        assert self.room.growing(self.key.thread) == 0


async def _as_far_as_it_goes(call: Awaitable[object]) -> None:
    """A process that dies or ends meanwhile acknowledges nothing."""
    with contextlib.suppress(Killed, ArchiveUnavailable):
        await call


def _mind_the_living(loop: asyncio.AbstractEventLoop, what: dict[str, Any]) -> None:
    """Nobody asks what became of the tasks of a dead process."""
    if not isinstance(what.get("exception"), Killed):
        loop.default_exception_handler(what)


async def killed_at(scene: Scene, last: int) -> bool:
    """Whether the process lived long enough to be killed at that call."""
    asyncio.get_running_loop().set_exception_handler(_mind_the_living)
    life = Life(last)
    model = MortalModel(LONG, life)
    await scene.play(scene.process("one", life, model), model)
    await scene.expire()
    return life.over


async def ended_at(scene: Scene, last: int) -> bool:
    """Whether it lived long enough to be told to end at that call. It leaves no task behind."""
    ending: list[asyncio.Task[None]] = []
    life = Life(last, lambda: ending.append(asyncio.create_task(process.runner.drain(0.0))))
    model = MortalModel(LONG, life)
    process = scene.process("one", life, model)
    await scene.play(process, model)
    await asyncio.gather(*ending)
    assert process.runner.tasks() == []
    return life.over


@pytest.mark.parametrize("end", [killed_at, ended_at])
async def test_wherever_it_ends_each_question_is_answered_once_and_whole(
    database: Database, end: Callable[[Scene, int], Awaitable[bool]]
) -> None:
    room = Room()
    for last in itertools.count(1):
        scene = Scene(database, room, str(last))
        goes_on = await end(scene, last)
        await scene.find()
        try:
            await scene.judge()
        except AssertionError as error:
            error.add_note(f"at call {last}")
            raise
        if not goes_on:
            break
    assert last > LEAST_CALLS
