"""What the model is shown is the newest of the archive, whatever happens to hot context and processes.

A state machine lets two processes over one archive and one hot server be talked to, held at any of
three points of their turns, killed, frozen and cancelled, while the hot server loses calls, keys and
everything, or comes back with old data. At every load, the window is compared with what a plain
query saw in the very transaction that made the version it may show.
"""

import asyncio
import itertools
import shutil
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from redis.asyncio import Redis

from bot.domain import (
    Addressed,
    Answer,
    Author,
    Button,
    Chunk,
    Deleted,
    Delta,
    Edited,
    Event,
    Finished,
    History,
    Message,
    Order,
    Part,
    Pressed,
    Prompt,
    Said,
    SessionKey,
    Turn,
    Usage,
    Window,
)
from bot.errors import ModelUnavailable
from bot.ports import HotContext, Journal, Reply
from bot.turns import monotonic
from bot.windows import WindowLoader
from storage import schema
from storage.database import Database, SqliteDatabase, T, Work
from storage.dragonfly import Dragonfly
from storage.hot import DragonflyContext
from tests.fakes.core import HeldModel, Process, Wall
from tests.hot_servers import new_archive_id, raw_client, send

LIMIT = 3
PEOPLE = (Author("U1", "Ann"), Author("U2", "Joe"))
KEYS = (SessionKey("web", "w", "c", "1"), SessionKey("web", "w", "c", "2"))
T0 = datetime(2026, 1, 1, tzinfo=UTC)
GAP = 10
"""Between two positions, so that something can turn up in between."""
FIRST = 1_000
ENDS = {"done", "failed", "merged"}
POINTS = ("opening", "model", "finishing", "closing")
"""Of a turn: it is claimed, its prompt is built, the model has spoken, the reply is posted."""
R = TypeVar("R")

KEY = st.sampled_from((KEYS[0], KEYS[0], KEYS[1]))
PROCESS = st.integers(0, 1)
PERSON = st.sampled_from(PEOPLE)
TEXT = st.sampled_from(["yes", "yes", "no", "What now?", "new"])


def _message(position: int, by: Author, text: str) -> Message:
    return Message(position, by, text, T0 + timedelta(seconds=position))


WRITTEN = st.builds(
    lambda key, by, text, addressed, late, opens: Said(key, _message(late, by, text), addressed, opens),
    KEY,
    PERSON,
    TEXT,
    st.sampled_from([Addressed.MENTION, Addressed.THREAD, Addressed.THREAD, Addressed.ASIDE]),
    st.sampled_from([0, 0, 0, 1, 2, 3]),
    st.booleans(),
)
"""In place of its position stands by how many messages it is late."""


class Line(NamedTuple):
    """A message as a plain query sees it."""

    position: int
    author: str
    kind: str
    text: str
    note: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A session at one version."""

    fresh_from: int
    lines: tuple[Line, ...]

    def window(self, cut: int) -> tuple[tuple[Line, ...], bool]:
        """What a turn with this cut must be shown, and whether that is all there is."""
        context = [line for line in self.lines if self.fresh_from < line.position <= cut]
        return tuple(context[-LIMIT:]), len(context) <= LIMIT


class Witness:
    """A database that looks at every session at the end of every transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.snapshots: dict[int, dict[int, Snapshot]] = {}
        self.newest: dict[int, int] = {}
        self.complaints: list[str] = []

    async def write(self, work: Work[T]) -> T:
        def witnessed(c: sa.Connection) -> T:
            result = work(c)
            self._look(c)
            return result

        return await self._database.write(witnessed)

    async def read(self, work: Work[T]) -> T:
        return await self._database.read(work)

    async def close(self) -> None:
        await self._database.close()

    def judge(self, turn: Turn, window: Window) -> None:
        """Complain unless `window` is right at a version from the claim's to the newest."""
        known = self.snapshots[turn.session_id]
        shown = tuple(map(_line, window.messages)), window.whole
        versions = [v for v in known if turn.version <= v <= self.newest[turn.session_id]]
        if not any(known[version].window(turn.cut) == shown for version in versions):
            expected = {version: known[version].window(turn.cut) for version in versions}
            self.complaints.append(f"{turn} was shown {shown}, and should have been: {expected}")

    def _look(self, c: sa.Connection) -> None:
        lines: dict[int, list[Line]] = {}
        for session, *line in c.exec_driver_sql(
            "SELECT session_id, position, author_name, kind, text, note FROM messages ORDER BY position"
        ):
            lines.setdefault(session, []).append(Line(*line))
        for session, version, fresh_from, count in c.exec_driver_sql(
            "SELECT id, version, fresh_from, messages FROM sessions"
        ):
            now = Snapshot(fresh_from, tuple(lines.get(session, ())))
            before = self.snapshots.setdefault(session, {}).setdefault(version, now)
            if before != now:
                self.complaints.append(f"version {version} of session {session}: {before}, then {now}")
            if count != len(now.lines):
                self.complaints.append(f"session {session} counts {count} messages, and has {len(now.lines)}")
            self.newest[session] = version


def _line(message: Message) -> Line:
    return Line(message.position, message.author.name, message.author.kind.value, message.text, message.note)


class JudgedLoader(WindowLoader):
    """Shows the witness each window before a turn gets it."""

    witness: Witness

    async def load(self, turn: Turn, news: Sequence[Message]) -> Window:
        window = await super().load(turn, news)
        self.witness.judge(turn, window)
        return window

    async def reload(self, turn: Turn) -> Window:
        window = await super().reload(turn)
        self.witness.judge(turn, window)
        return window


@dataclass
class Gate:
    """Where turns wait until it opens."""

    opened: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0


class Holding:
    """The points at which turns are held."""

    def __init__(self) -> None:
        self._gates: dict[str, Gate] = {}
        self.free = False
        """Whoever comes now is not held; who is held stays so."""
        self.changed = asyncio.Event()

    @property
    def waiting(self) -> int:
        return sum(gate.waiting for gate in self._gates.values())

    async def at(self, point: str) -> None:
        gate = self._gates.get(point)
        if gate is None or self.free:
            return
        gate.waiting += 1
        self.changed.set()
        try:
            await gate.opened.wait()
        finally:
            gate.waiting -= 1

    def close(self, point: str) -> None:
        self._gates.setdefault(point, Gate())

    def open(self, *points: str) -> None:
        for point in points:
            if gate := self._gates.pop(point, None):
                gate.opened.set()


class SlowModel(HeldModel):
    """Held before it answers; no two answers are the same, and some fail."""

    def __init__(self, holding: Holding) -> None:
        super().__init__()
        self._holding = holding
        self._answers = itertools.count(1)
        self.fails = False
        self.answer = self._answer

    def _answer(self, prompt: Prompt) -> Sequence[Chunk | Exception]:
        if self.fails:
            return [ModelUnavailable("overloaded")]
        return [Delta(f"answer {next(self._answers)}"), Finished(Usage())]

    async def stream(self, prompt: Prompt, name: str) -> Any:
        await self._holding.at("model")
        async for chunk in super().stream(prompt, name):
            yield chunk


class SlowWall(Wall):
    """Held when a reply is opened (the turn is claimed) and finished (the model has spoken)."""

    def __init__(self, holding: Holding, next_position: Callable[[], int]) -> None:
        super().__init__()
        self._holding = holding
        self._next_position = next_position
        self.pasts: dict[SessionKey, list[Message]] = {}

    def post(self, key: SessionKey, text: str) -> int:
        position = self._next_position()
        self.posts[position] = (key, text)
        return position

    async def open_reply(self, journal: Journal) -> Reply:
        await self._holding.at("opening")
        return _SlowReply(await super().open_reply(journal), self._holding)

    async def history(self, key: SessionKey, before: int, limit: int) -> History:
        return History(tuple(m for m in self.pasts.get(key, ()) if m.position < before), whole=True)


@dataclass
class _SlowReply(Reply):
    reply: Reply
    holding: Holding

    async def show(self, text: str) -> None:
        await self.reply.show(text)

    async def finish(self, answer: Answer) -> tuple[Part, ...]:
        await self.holding.at("finishing")
        parts = await self.reply.finish(answer)
        await self.holding.at("closing")
        return parts

    def standing(self) -> tuple[str, tuple[Part, ...]]:
        return self.reply.standing()

    async def withdraw(self, why: str) -> tuple[Answer, tuple[Part, ...]]:
        return await self.reply.withdraw(why)

    async def abandon(self) -> None:
        await self.reply.abandon()


class Unreliable(HotContext):
    """A hot context whose server can be out of reach for a while."""

    def __init__(self, hot: DragonflyContext) -> None:
        self.hot = hot
        self.away = False

    async def read(self, session_id: int, version: int, news: Sequence[Message] = ()) -> Window | None:
        return None if self.away else await self.hot.read(session_id, version, news)

    async def append(self, session_id: int, version: int, news: Sequence[Message]) -> None:
        if not self.away:
            await self.hot.append(session_id, version, news)

    async def seed(self, session_id: int, window: Window) -> None:
        if not self.away:
            await self.hot.seed(session_id, window)

    async def drop(self, session_id: int) -> None:
        if not self.away:
            await self.hot.drop(session_id)


class Clock:
    """A process's own clock, which can be found to have gone on."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return monotonic() + self.ahead


@dataclass
class Member:
    """One process of the two."""

    process: Process
    hot: Unreliable
    clock: Clock
    owner: str


class Threads(RuleBasedStateMachine):
    """Two threads, two processes, one archive, one hot server."""

    archive: Path
    hot_url: str

    said = Bundle("said")
    """What somebody said, delivered or not."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._folder = self.archive.parent / new_archive_id()
        self._folder.mkdir()
        self._numbers = iter(range(1, 10_000))
        self._tick = FIRST
        self._archive_id = new_archive_id()
        self._owed: dict[tuple[SessionKey, int], str] = {}
        self._gone: set[tuple[SessionKey, int]] = set()
        self._kept_keys: dict[bytes, bytes] = {}
        self._run(self._open())

    def _run(self, work: Coroutine[Any, Any, R]) -> R:
        return self._runner.run(work)

    async def _open(self) -> None:
        path = self._folder / "archive.db"
        shutil.copy(self.archive, path)
        self._witness = Witness(SqliteDatabase(path))
        self._redis: Redis = raw_client(self.hot_url)
        self._holding = Holding()
        self._wall = SlowWall(self._holding, self._position)
        self._model = SlowModel(self._holding)
        self._members = [self._member(), self._member()]

    def _position(self) -> int:
        self._tick += GAP
        return self._tick

    def _member(self) -> Member:
        loader = type("Loader", (JudgedLoader,), {"witness": self._witness})
        server = Dragonfly(self.hot_url, timeout_s=5)
        hot = Unreliable(DragonflyContext(server, self._archive_id, limit=LIMIT))
        clock, owner = Clock(), f"process {next(self._numbers)}"
        process = Process(
            self._witness,
            hot,
            self._wall,
            self._model,
            owner=owner,
            limit=LIMIT,
            clock=clock,
            loader=loader,
        )
        return Member(process, hot, clock, owner)

    async def _idle(self) -> None:
        """Until whatever runs is held, or has ended."""
        while tasks := [task for member in self._members for task in member.process.runner.tasks()]:
            if len(tasks) == self._holding.waiting:
                return
            self._holding.changed.clear()
            waking = asyncio.ensure_future(self._holding.changed.wait())
            await asyncio.wait([*tasks, waking], return_when=asyncio.FIRST_COMPLETED)
            waking.cancel()

    async def _handle(self, event: Event, process: int) -> None:
        await self._members[process].process.service.handle(event)
        await self._idle()

    async def _expire(self, owner: str) -> None:
        """Let every lease of `owner` run out, by the database's clock."""
        statement = sa.text("UPDATE turns SET lease_until = 0 WHERE owner = :owner AND state = 'running'")
        await self._witness.write(lambda c: c.execute(statement, {"owner": owner}).rowcount)

    # What people do.

    @rule(target=said, written=WRITTEN)
    def write(self, written: Said) -> Said:
        """Something is said; it need not arrive yet, and may stand before what arrived."""
        return self._place(written)

    @rule(target=said, written=WRITTEN, process=PROCESS)
    def say(self, written: Said, process: int) -> Said:
        """Something is said, and arrives."""
        said = self._place(written)
        self._deliver(said, process)
        return said

    @rule(target=said, text=TEXT, by=PERSON, process=PROCESS)
    def go_on(self, text: str, by: Author, process: int) -> Said:
        """The first thread goes on: what most often happens."""
        said = self._place(Said(KEYS[0], _message(0, by, text), Addressed.THREAD))
        self._deliver(said, process)
        return said

    @rule(said=said, process=PROCESS)
    def deliver(self, said: Said, process: int) -> None:
        """For the first time, or again, in either process."""
        self._deliver(said, process)

    def _place(self, written: Said) -> Said:
        """`written`, at its place: its position so far says by how much it is late."""
        late = written.message.position
        position = self._position() - late * (2 * GAP + 1)
        message = replace(written.message, position=position, sent_at=T0 + timedelta(seconds=position))
        return replace(written, message=message)

    def _deliver(self, said: Said, process: int) -> None:
        self._run(self._handle(said, process))
        if said.addressed is Addressed.MENTION:
            self._owed[said.key, said.message.position] = said.message.text

    @rule(said=said, process=PROCESS, text=st.sampled_from(["well", "no"]))
    def edit(self, said: Said, process: int, text: str) -> None:
        message = replace(said.message, text=text, edited_at=T0 + timedelta(seconds=next(self._numbers)))
        self._run(self._handle(Edited(said.key, message, said.addressed), process))

    @rule(said=said, process=PROCESS)
    def delete(self, said: Said, process: int) -> None:
        self._gone.add((said.key, said.message.position))
        self._run(self._handle(Deleted(said.key, said.message.position), process))

    @rule(process=PROCESS, which=st.integers(0, 5))
    def delete_a_reply(self, process: int, which: int) -> None:
        """One that nobody is writing at just now."""
        replies = self._query(
            "SELECT reply_position FROM turns JOIN messages ON position = reply_position "
            "WHERE state IN ('done', 'failed') ORDER BY position"
        )
        if replies:
            (position,) = replies[which % len(replies)]
            key, _ = self._wall.posts.pop(position)
            self._run(self._handle(Deleted(key, position), process))

    @rule(said=said, process=PROCESS)
    def try_again(self, said: Said, process: int) -> None:
        """A button is pressed that only replies which failed have."""
        again = Pressed(said.key, said.message.position, Button.AGAIN, said.message.author)
        self._run(self._handle(again, process))

    @rule(fails=st.booleans())
    def change_the_model(self, fails: bool) -> None:
        self._model.fails = fails

    @rule(key=KEY, process=PROCESS)
    def begin_afresh_by_slash_command(self, key: SessionKey, process: int) -> None:
        self._run(self._members[process].process.service.order(Order(key, PEOPLE[0], "new")))

    @rule(key=KEY, count=st.integers(1, 7))
    def something_was_said_before(self, key: SessionKey, count: int) -> None:
        """Which the bot reads when it is first called there."""
        if key not in self._wall.pasts:
            self._wall.pasts[key] = [
                _message(self._position() - 3, PEOPLE[1], f"before {number}") for number in range(count)
            ]

    # What happens to processes.

    @rule(point=st.sampled_from(POINTS))
    def hold(self, point: str) -> None:
        self._holding.close(point)

    @rule(point=st.sampled_from(POINTS))
    def let_go(self, point: str) -> None:
        self._holding.open(point)
        self._run(self._idle())

    @rule(process=PROCESS, found=st.booleans())
    def kill(self, process: int, found: bool) -> None:
        """The process dies, and another starts in its place; its leases run out now or later."""
        self._run(self._kill(process, found))

    async def _kill(self, process: int, found: bool) -> None:
        dead = self._members[process]
        await dead.process.die()
        await dead.hot.hot.aclose()
        self._members[process] = self._member()
        if found:
            await self._expire(dead.owner)

    @rule(process=PROCESS, finished=st.booleans())
    def freeze(self, process: int, finished: bool) -> None:
        """The process was stopped past its leases; its turns were taken over, and perhaps finished."""
        self._run(self._freeze(process, finished))

    async def _freeze(self, process: int, finished: bool) -> None:
        frozen = self._members[process]
        frozen.clock.ahead += 1000.0
        await self._expire(frozen.owner)
        self._holding.free = finished
        await self._sweep(1 - process)
        self._holding.free = False

    @rule(process=PROCESS)
    def restart(self, process: int) -> None:
        """The process ends in order, and hands over what runs."""
        self._run(self._restart(process))

    async def _restart(self, process: int) -> None:
        ending = self._members[process]
        await ending.process.runner.drain(0.0)
        assert not ending.process.runner.tasks()
        await ending.hot.hot.aclose()
        self._members[process] = self._member()

    @rule(process=PROCESS)
    def sweep(self, process: int) -> None:
        self._run(self._sweep(process))

    async def _sweep(self, process: int) -> None:
        await self._members[process].process.runner.sweep()
        await self._idle()

    # What happens to the hot server.

    @rule(process=PROCESS, away=st.sampled_from([False, False, True]))
    def part(self, process: int, away: bool) -> None:
        self._members[process].hot.away = away

    @rule()
    def flush(self) -> None:
        self._run(send(self._redis, "FLUSHALL"))

    @rule(which=st.integers(0, 1))
    def evict(self, which: int) -> None:
        """One key goes, by eviction or because its time is up."""
        self._run(self._evict(which))

    async def _evict(self, which: int) -> None:
        keys = sorted(await send(self._redis, "KEYS", "*"))
        if keys:
            await send(self._redis, "DEL", keys[which % len(keys)])

    @rule()
    def back_up(self) -> None:
        self._run(self._back_up())

    async def _back_up(self) -> None:
        keys = await send(self._redis, "KEYS", "*")
        self._kept_keys = {key: await send(self._redis, "DUMP", key) for key in keys}

    @rule()
    def bring_back_old_data(self) -> None:
        self._run(self._bring_back())

    async def _bring_back(self) -> None:
        await send(self._redis, "FLUSHALL")
        for key, value in self._kept_keys.items():
            await send(self._redis, "RESTORE", key, 60_000, value)

    # What must be true.

    @invariant()
    def nobody_complains(self) -> None:
        assert self._witness.complaints == []

    def teardown(self) -> None:
        try:
            self._run(self._come_to_rest())
            self.nobody_complains()
            self._judge_the_end()
        finally:
            self._run(self._close())
            self._runner.close()
            shutil.rmtree(self._folder)

    async def _come_to_rest(self) -> None:
        self._holding.open(*POINTS)
        await self._idle()
        statement = sa.text("UPDATE turns SET lease_until = 0 WHERE state = 'running'")
        await self._witness.write(lambda c: c.execute(statement).rowcount)
        await self._sweep(0)

    def _judge_the_end(self) -> None:
        assert self._query("SELECT id FROM turns WHERE state IN ('running', 'queued')") == []
        assert self._query("SELECT id FROM sessions WHERE running_turn IS NOT NULL OR queued") == []
        taken_up = {(thread, asked): state for thread, asked, state in self._query(
            "SELECT thread, asked_position, state FROM turns JOIN sessions ON sessions.id = session_id"
        )}  # fmt: skip
        for (key, position), text in self._owed.items():
            state = taken_up.get((key.thread, position))
            deleted = (key, position) in self._gone
            assert state in (ENDS | {"dropped", None} if deleted else ENDS), text
        told = {position: (key.thread, text) for position, (key, text) in self._wall.posts.items()}
        archived = self._query(
            "SELECT position, thread, text FROM messages JOIN sessions ON sessions.id = session_id "
            "WHERE kind = 'bot'"
        )
        assert told == {position: (thread, text) for position, thread, text in archived}
        replies = self._query("SELECT reply_position FROM turns WHERE reply_position IS NOT NULL")
        assert len(replies) == len(set(replies)), "two turns share a reply"
        assert set(told) <= {position for (position,) in replies}

    def _query(self, query: str) -> list[tuple[Any, ...]]:
        return self._run(self._witness.read(lambda c: [tuple(row) for row in c.exec_driver_sql(query)]))

    async def _close(self) -> None:
        for member in self._members:
            await member.process.die()
            await member.hot.hot.aclose()
        await self._redis.aclose()
        await self._witness.close()


@pytest.fixture(name="empty_archive", scope="module")
def empty_archive_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive with its schema, to be copied."""
    path = tmp_path_factory.mktemp("archive") / "archive.db"

    async def make() -> None:
        database = SqliteDatabase(path)
        await schema.migrate(database)
        await database.close()

    asyncio.run(make())
    return path


def test_the_model_is_shown_the_newest_of_the_archive_whatever_happens(
    empty_archive: Path, embedded_url: str
) -> None:
    machine = type("Threads", (Threads,), {"archive": empty_archive, "hot_url": embedded_url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=100,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
