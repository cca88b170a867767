"""What reading the context of a thread costs, by its length: ours, and LangChain's histories beside it.

All on the same Redis and on SQLite. Ours gives the newest 100 messages however long the thread is:
hot from Redis; cold from SQL, with seeding the hot context. LangChain's histories always give the whole
thread, through the synchronous clients that they have.
"""

import itertools
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from redis.asyncio import Redis

from benchmarks.measuring import Size, medians_ms
from benchmarks.stage import ANSWER, QUESTION, Nobody, open_redis
from bot.domain import NEWEST_EVER, OURSELVES, Author, SessionKey, Turn
from bot.windows import LastReads, WindowLoader
from storage import schema
from storage.archive.windows import Windows
from storage.database import Database, open_database
from storage.dragonfly import Dragonfly
from storage.hot import WINDOW_LIMIT, DragonflyContext
from storage.tables import messages, sessions

SHOWN = (
    "round_trip_ms",
    "hot_*_ms",
    "cold_*_ms",
    "langchain_redis_*_ms",
    "langchain_sql_*_ms",
    "hot_longest_to_100",
    "hot_longest_to_round_trip",
    "*_to_hot_at_1000",
)
LENGTHS = (10, 100, 1_000, 10_000, 100_000)
LANGCHAIN_UP_TO = 10_000
"""Past this, one read of a whole thread takes seconds."""
BATCH = 1_000
BEGAN = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
JOE = Author("U1", "Joe")

Read = Callable[[], Awaitable[object]]


async def measure(size: Size) -> dict[str, float]:
    """Medians in ms for each length, and the ratios that tell whether length matters."""
    lengths = size.pick(LENGTHS[:3], LENGTHS, LENGTHS)
    rounds = size.pick(5, 50, 200)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="threadfly-bench-")))
        url = await open_redis(folder, stack)
        ours = await _Ours.open(folder, url, stack)
        bare = Redis.from_url(url, protocol=2, driver_info=None)
        stack.push_async_callback(bare.aclose)
        reads = {length: await ours.reads(length) for length in lengths}
        hots = {f"hot_{length}": hot for length, (hot, _) in reads.items()}
        colds = {f"cold_{length}": cold for length, (_, cold) in reads.items()}
        times = await medians_ms(rounds, round_trip=bare.ping, **hots)
        times |= await medians_ms(rounds, **colds)
        for length in lengths:
            if length <= LANGCHAIN_UP_TO:
                few = max(3, rounds // max(1, length // 200))
                times |= await medians_ms(few, **_langchains(folder, url, length))
    results = {f"{name}_ms": ms for name, ms in times.items()}
    return results | _ratios(results, lengths[-1])


def _ratios(ms: dict[str, float], longest: int) -> dict[str, float]:
    return {
        "hot_longest_to_100": ms[f"hot_{longest}_ms"] / ms["hot_100_ms"],
        "hot_longest_to_round_trip": ms[f"hot_{longest}_ms"] / ms["round_trip_ms"],
        "langchain_redis_to_hot_at_1000": ms["langchain_redis_1000_ms"] / ms["hot_1000_ms"],
        "langchain_sql_to_hot_at_1000": ms["langchain_sql_1000_ms"] / ms["hot_1000_ms"],
    }


class _Ours:
    """Threads of any length in an archive."""

    def __init__(self, database: Database, hot: DragonflyContext) -> None:
        self._database = database
        self._hot = hot
        self._loader = WindowLoader(hot, Windows(database), WINDOW_LIMIT, Nobody(), LastReads())

    @classmethod
    async def open(cls, folder: Path, redis_url: str, stack: AsyncExitStack) -> "_Ours":
        database = open_database(f"sqlite+aiosqlite:///{folder}/archive.db")
        stack.push_async_callback(database.close)
        server = Dragonfly(redis_url)
        stack.push_async_callback(server.aclose)
        return cls(database, DragonflyContext(server, await schema.prepare(database)))

    async def reads(self, length: int) -> tuple[Read, Read]:
        """Reading a new thread of this length: hot, and cold."""
        turn = await self._thread(length)

        async def read() -> None:
            window = await self._loader.load(turn, ())
            assert len(window.messages) == min(length, WINDOW_LIMIT)

        async def from_sql() -> None:
            window = await self._loader.reload(turn)
            assert len(window.messages) == min(length, WINDOW_LIMIT)

        await read()
        assert await self._hot.read(turn.session_id, turn.version) is not None
        return read, from_sql

    async def _thread(self, length: int) -> Turn:
        key = SessionKey("web", "W1", "C1", f"of {length}")
        session_id = await self._database.write(lambda c: _add_session(c, key, length))
        rows = _rows(session_id, length)
        while batch := list(itertools.islice(rows, BATCH)):
            await self._database.write(lambda c, batch=batch: c.execute(sa.insert(messages), batch).rowcount)  # type: ignore[misc]
        return Turn(
            id=0,
            session_id=session_id,
            key=key,
            asked=(length,),
            cut=NEWEST_EVER,
            epoch=1,
            version=1,
            asker=JOE,
        )


def _add_session(c: sa.Connection, key: SessionKey, length: int) -> int:
    values = {
        "platform": key.platform,
        "workspace": key.workspace,
        "channel": key.channel,
        "thread": key.thread,
        "version": 1,
        "messages": length,
        "last_reply": length,
        "queued": 0,
        "joined": True,
        "paused": False,
        "model": "",
        "persona": "",
        "fresh_from": 0,
        "complete_from": 0,
        "title": "",
        "started_by": JOE.id,
        "created_at": BEGAN,
        "active_at": BEGAN,
    }
    made = c.execute(sa.insert(sessions).values(values).returning(sessions.c.id))
    return int(made.scalar_one())


def _rows(session_id: int, length: int) -> Iterator[dict[str, Any]]:
    """Questions and answers by turns."""
    for position in range(1, length + 1):
        author = JOE if position % 2 else OURSELVES
        yield {
            "session_id": session_id,
            "position": position,
            "author_id": author.id,
            "author_name": author.name,
            "kind": author.kind.value,
            "text": QUESTION if position % 2 else ANSWER,
            "note": "",
            "sent_at": BEGAN + timedelta(seconds=position),
        }


def _langchains(folder: Path, redis_url: str, length: int) -> dict[str, Read]:
    """Reading a thread of this length from LangChain's histories, by name."""
    from langchain_community.chat_message_histories import RedisChatMessageHistory, SQLChatMessageHistory
    from langchain_core.messages import AIMessage, HumanMessage

    thread = f"of {length}"
    said = [HumanMessage(QUESTION) if n % 2 else AIMessage(ANSWER) for n in range(1, length + 1)]
    histories = {
        "langchain_redis": RedisChatMessageHistory(thread, url=redis_url),
        "langchain_sql": SQLChatMessageHistory(thread, connection=f"sqlite:///{folder}/langchain.db"),
    }

    def reading(history: Any) -> Read:
        history.add_messages(said)

        async def read() -> None:
            assert len(history.messages) == length

        return read

    return {f"{name}_{length}": reading(history) for name, history in histories.items()}
