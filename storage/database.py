"""Runs the archive's work, written once as plain functions over a SQLAlchemy connection.

A piece of work is a function of a connection and nothing else: it may be run again from the start
(after a deadlock, or when a neighbour in its group failed), so it changes nothing in memory.
"""

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import greenlet_spawn

from bot.errors import ArchiveCorrupt, ArchiveUnavailable, StoreError
from storage.address import Address, address_of
from storage.prepared import run_raw

log = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[sa.Connection], T]

POSTGRES_WAIT_S = 30.0
"""How long a connection, or a statement on it, may take: a server that went silent is found out."""
GROUP_LIMIT = 256
"""Most pieces of work that share one commit; bounds how long the first of them waits."""
BUSY_TIMEOUT_MS = 10_000
"""How long SQLite waits for another process's write."""
READERS = 2
SCRUBS = 5
"""How often SQLite's log is tried to be emptied; each try waits for readers as long as for a write."""
RETRIES = 4
"""How often work is run again that PostgreSQL gave up for another's sake."""
_SERIALIZATION, _DEADLOCK, _UNIQUE = "40001", "40P01", "23505"


class Database(Protocol):
    """Somewhere to run work. Raises `ArchiveUnavailable` or `ArchiveCorrupt` when it can't."""

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction; returns once that is durably committed."""

    async def read(self, work: Work[T]) -> T:
        """Run `work`, which only reads."""

    async def scrub(self, tables: Iterable[str], *, thoroughly: bool = True) -> None:
        """Let the files hold no more of what was deleted from `tables`, as far as the database can.

        Not `thoroughly`: only as far as that holds nobody up.
        """

    async def close(self) -> None:
        """Finish what was handed in, then let go."""


@contextlib.contextmanager
def our_errors() -> Iterator[None]:
    """The driver's errors as ours."""
    try:
        yield
    except exc.IntegrityError as error:
        raise _refused(error) from error
    except (OSError, exc.InterfaceError, exc.TimeoutError) as error:
        raise ArchiveUnavailable("The archive can't be reached. Is the database running?") from error
    except exc.DBAPIError as error:
        raise _translated(error) from error


_SENTENCES: Final = {
    "25006": "The archive's database can only be read: it is a standby. Let archive.url name the primary.",
    "28": "PostgreSQL does not let the user of archive.url in. Check name and password.",
    "3D000": "The database that archive.url names does not exist. Create it, then run `threadfly migrate`.",
    "42501": "The user of archive.url lacks a right in the database. Let it own the tables of the archive.",
    "42P01": "The archive's tables are not there. Run `threadfly migrate`.",
    "53100": "The disk of the archive is full. Make room; nothing that was kept is lost.",
    "53300": "PostgreSQL has no connection left for the archive. Raise its max_connections.",
    "57P": "PostgreSQL is stopping or starting. It will be tried again.",
}
"""By SQLSTATE, or how it begins."""


def _translated(error: exc.DBAPIError) -> StoreError:
    state = str(getattr(error.orig, "sqlstate", None) or "")
    if sentence := next((said for code, said in _SENTENCES.items() if state.startswith(code)), None):
        return ArchiveUnavailable(sentence)
    said = str(error.orig).lower()
    if "malformed" in said or "not a database" in said:
        return ArchiveCorrupt(
            "The archive's file is damaged or is no SQLite database. Put a backup in its place, or move it "
            "away to start with an empty archive."
        )
    if "full" in said:
        return ArchiveUnavailable(
            "The disk of the archive is full. Make room; nothing that was kept is lost."
        )
    if "readonly" in said or "unable to open" in said:
        return ArchiveUnavailable("The archive's file can't be written. Check the rights of the data folder.")
    return ArchiveUnavailable("The archive did not take part of the work. It will be tried again.")


def _refused(error: exc.IntegrityError) -> StoreError:
    """A bug of ours, or a race that was lost too often: nothing is kept, and whoever asked asks again."""
    rule, *_ = str(error.orig).splitlines()  # the lines after it may quote values, which are people's words
    return ArchiveUnavailable(f"The archive refused what would break a rule of its own: {rule}")


class _Job(NamedTuple):
    work: Work[Any]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]


class SqliteDatabase:
    """One SQLite file: one thread writes and groups what waits into one durable commit.

    A durable commit costs about what twenty rows do, so writers that come together share one, and
    each waits for it. Readers have connections of their own and see what was committed.
    """

    def __init__(self, path: Path) -> None:
        self._engine = sqlite_engine(path)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="archive-read")
        self._writer = threading.Thread(target=self._write_groups, name="archive-write", daemon=True)
        self._closed = False
        self._writing = threading.Lock()
        self._writer.start()

    async def write(self, work: Work[T]) -> T:
        """Run `work` with whoever else is waiting; returns once the group is on disk.

        Work whose caller was cancelled before its group began is not done: nobody would hear of it.
        """
        if self._closed:
            raise ArchiveUnavailable("The archive is closed.")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(work, loop, done))
        with our_errors():
            return await done

    async def read(self, work: Work[T]) -> T:
        """Run `work` on what is committed now."""
        if self._closed:
            raise ArchiveUnavailable("The archive is closed.")
        with our_errors():
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    async def scrub(self, tables: Iterable[str], *, thoroughly: bool = True) -> None:  # noqa: ARG002
        """Write the file anew, and empty its log.

        `secure_delete` overwrites what is deleted where it stands, and not the copies that stay in the
        gaps of pages when SQLite moves rows between them; only VACUUM leaves none (tried). Writers wait
        meanwhile, some seconds for a gigabyte. Somebody who reads all the while keeps the log from
        being emptied: then it is tried again a few times, and else left to the next time.
        """
        if self._closed:
            raise ArchiveUnavailable("The archive is closed.")
        with our_errors():
            await asyncio.get_running_loop().run_in_executor(self._readers, self._scrub, thoroughly)

    def _scrub(self, thoroughly: bool) -> None:
        connection = self._engine.raw_connection()
        try:
            cursor = connection.cursor()
            if thoroughly:
                with self._writing:
                    cursor.execute("VACUUM")
            for _ in range(SCRUBS):
                busy, _, _ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if not busy:
                    return
        except sqlite3.DatabaseError as error:
            raise ArchiveUnavailable("The archive's file could not be written anew.") from error
        finally:
            connection.close()

    async def close(self) -> None:
        """Commit what waits, then close the file."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._readers.shutdown)
        self._engine.dispose()

    def _read(self, work: Work[T]) -> T:
        with self._engine.connect() as c:
            return work(c)

    def _write_groups(self) -> None:
        connection: sa.Connection | None = None
        while group := self._next_group():
            if not (group := [job for job in group if not job.done.cancelled()]):
                continue
            try:
                if connection is None:
                    connection = self._engine.connect().execution_options(writes=True)
                with self._writing:
                    outcomes = _commit_together(connection, group)
            except Exception as error:  # noqa: BLE001 - whoever waits for the group gets it
                outcomes = [error] * len(group)
                _discard(connection)
                connection = None
            _tell(group, outcomes)
        _discard(connection)

    def _next_group(self) -> list[_Job]:
        """What waits now, in the order it came; empty when the end was reached."""
        job = self._jobs.get()
        group = []
        while job is not None:
            group.append(job)
            if len(group) == GROUP_LIMIT or self._jobs.empty():
                return group
            job = self._jobs.get()
        if group:
            self._jobs.put(None)
        return group


def _discard(connection: sa.Connection | None) -> None:
    if connection is not None:
        with contextlib.suppress(exc.SQLAlchemyError):
            connection.invalidate()
            connection.close()


def _commit_together(c: sa.Connection, group: list[_Job]) -> list[Any]:
    """The result of each job, or its exception. One bad job costs the others one more try."""
    try:
        with c.begin():
            return [job.work(c) for job in group]
    except Exception as error:
        if len(group) == 1 and not _is_lost(error):
            return [error]
        if _is_lost(error):
            raise
    return [outcome for job in group for outcome in _commit_together(c, [job])]


def _is_lost(error: Exception) -> bool:
    """Whether the connection itself, rather than one piece of work, is what failed."""
    return isinstance(error, exc.DBAPIError) and not isinstance(error, exc.IntegrityError)


def _tell(group: list[_Job], outcomes: list[Any]) -> None:
    """Wake everybody who waits, with one call into each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for job, outcome in zip(group, outcomes, strict=True):
        by_loop.setdefault(job.loop, []).append((job.done, outcome))
    for loop, pairs in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop is gone, and so is everybody in it
            loop.call_soon_threadsafe(_resolve, pairs)


def _resolve(pairs: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for done, outcome in pairs:
        if done.done():
            continue
        if isinstance(outcome, Exception):
            done.set_exception(outcome)
        else:
            done.set_result(outcome)


def sqlite_engine(path: Path) -> sa.Engine:
    """An engine on the file at `path`, set up as every connection to an archive must be."""
    engine = sa.create_engine(
        f"sqlite:///{path}",
        poolclass=sa.QueuePool,
        pool_size=READERS + 1,
        max_overflow=0,
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000},
    )

    @sa.event.listens_for(engine, "connect")
    def _set_up(dbapi: sqlite3.Connection, _record: object) -> None:
        dbapi.isolation_level = None  # transactions begin where SQLAlchemy says, see below
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "secure_delete=ON",
            "journal_size_limit=67108864",
        ):
            dbapi.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(c: sa.Connection) -> None:
        begin = "BEGIN IMMEDIATE" if c.get_execution_options().get("writes") else "BEGIN"
        run_raw(c, begin, (), lambda _: None)

    return engine


class PostgresDatabase:
    """PostgreSQL through asyncpg; any number of processes share it."""

    def __init__(self, address: Address, pool_size: int = 10) -> None:
        self._engine: AsyncEngine = create_async_engine(
            address.url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POSTGRES_WAIT_S,
            connect_args={
                "timeout": POSTGRES_WAIT_S,
                "command_timeout": POSTGRES_WAIT_S,
                **address.arguments,
            },
        )
        # Each statement sees what was committed before it either way, so reading needs no BEGIN and COMMIT,
        # except behind a pooler, where preparing a statement and executing it must meet one connection.
        self._alone = self._engine.sync_engine.execution_options(isolation_level="AUTOCOMMIT")
        self._reading = self._engine.sync_engine if address.pooled else self._alone

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction, again when another's got in its way."""
        return await self._run(self._engine.sync_engine, work)

    async def read(self, work: Work[T]) -> T:
        """Run `work`; a connection that died while idle is replaced."""
        return await self._run(self._reading, work)

    async def _run(self, engine: sa.Engine, work: Work[T]) -> T:
        for attempt in range(1, RETRIES + 1):
            try:
                return await greenlet_spawn(_begun, engine, work)
            except exc.DBAPIError as error:
                if attempt == RETRIES or not _worth_repeating(error):
                    with our_errors():
                        raise
            except (OSError, exc.TimeoutError) as error:
                raise ArchiveUnavailable("The archive can't be reached. Is PostgreSQL running?") from error
        raise AssertionError("the last attempt returns or raises")

    async def scrub(self, tables: Iterable[str], *, thoroughly: bool = True) -> None:  # noqa: ARG002
        """Free the room of deleted rows, to be overwritten; where that takes too long, autovacuum does it."""
        for table in tables:
            try:
                await self._run(self._alone, lambda c, name=table: c.execute(sa.text(f"VACUUM {name}")))  # type: ignore[misc]
            except ArchiveUnavailable as error:
                log.warning("Deleted rows are left to autovacuum: %s", error, extra={"event": "unvacuumed"})

    async def close(self) -> None:
        """Close the pool."""
        await self._engine.dispose()
        await asyncio.sleep(0)  # lets the sockets' transports see that they are closed


def _begun(engine: sa.Engine, work: Work[T]) -> T:
    """All steps of a transaction in one greenlet, where `AsyncConnection` takes one for each."""
    with engine.begin() as c:
        return work(c)


def _worth_repeating(error: exc.DBAPIError) -> bool:
    """Whether the same work may succeed at once: a victim of locking, or of a connection found dead.

    A unique key that another transaction took first is seen by the second try.
    """
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) in (
        _SERIALIZATION,
        _DEADLOCK,
        _UNIQUE,
    )


def open_database(url: str) -> SqliteDatabase | PostgresDatabase:
    """The database at `url`: `sqlite+aiosqlite:///path`, or `postgresql+asyncpg://...`.

    Whatever driver a SQLite URL names, the file is written by our one thread.
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return SqliteDatabase(Path(parsed.database or ""))
    return PostgresDatabase(address_of(parsed))
