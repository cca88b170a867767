"""The archive's schema: whether it fits this release, and bringing it there."""

import contextlib
import secrets
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bot.errors import ArchiveOutdated
from storage.database import Database, SqliteDatabase
from storage.tables import archive

HERE = Path(__file__).parent / "migrations"
MADE_BY_NEWER = "The archive was made by a newer Threadfly. Run that release, or restore an older backup."
_LOCK = 0x7468_7265_6164  # "thread": two processes that migrate at once take turns


class Fit(StrEnum):
    """How the schema that is there stands to this release."""

    CURRENT = "current"
    OLD = "old"
    """Missing, or some revisions behind."""
    NEWER = "newer"
    """Made by a later release."""


async def fit(database: Database) -> Fit:
    """How the archive's schema stands to this release."""
    return await database.read(_fit)


async def migrate(database: Database) -> list[str]:
    """Bring the schema to this release; the revisions that were applied. Safe to run twice at once.

    Raises `ArchiveOutdated` for that of a later release.
    """
    return await database.write(_upgrade)


async def prepare(database: Database) -> str:
    """Make sure that the schema fits, and return the archive's id.

    SQLite is migrated on the spot. On PostgreSQL an old schema raises `ArchiveOutdated`, because
    other processes may be running on it.
    """
    state = await fit(database)
    if state is Fit.NEWER:
        raise ArchiveOutdated(MADE_BY_NEWER)
    if state is Fit.OLD:
        if not isinstance(database, SqliteDatabase):
            raise ArchiveOutdated("The archive's schema is older than this release. Run `threadfly migrate`.")
        await migrate(database)
    return await database.read(lambda c: str(c.execute(sa.select(archive.c.id)).scalar_one()))


async def check_writable(database: Database) -> None:
    """Raises `StoreError` where the archive can only be read: then nothing that is said could be kept."""
    nothing = sa.update(archive).where(sa.false()).values(id=archive.c.id)
    await database.write(lambda c: c.execute(nothing).rowcount)


def _config(c: sa.Connection) -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    config.attributes["connection"] = c
    return config


def _revisions() -> list[str]:
    """Every revision of this release, oldest first, without importing Alembic: file names tell."""
    return sorted(path.stem.split("_")[0] for path in (HERE / "versions").glob("[0-9]*.py"))


def _present(c: sa.Connection) -> str | None:
    if not sa.inspect(c).has_table("alembic_version"):
        return None
    return c.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def _fit(c: sa.Connection) -> Fit:
    present, known = _present(c), _revisions()
    if present == known[-1]:
        return Fit.CURRENT
    return Fit.OLD if present is None or present in known else Fit.NEWER


def _upgrade(c: sa.Connection) -> list[str]:
    from alembic import command

    with _alone(c):
        if _fit(c) is Fit.NEWER:
            raise ArchiveOutdated(MADE_BY_NEWER)
        before = _present(c)
        command.upgrade(_config(c), "head")
        if c.execute(sa.select(archive.c.id)).first() is None:
            c.execute(sa.insert(archive), {"id": secrets.token_hex(6)})
    known = _revisions()
    return known[known.index(before) + 1 :] if before in known else known


@contextlib.contextmanager
def _alone(c: sa.Connection) -> Iterator[None]:
    """SQLite's write lock is held already; PostgreSQL gets one that ends with the transaction."""
    if c.dialect.name == "postgresql":
        c.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    yield
