"""What the index needs done behind everybody's back: sealing, and taking in what is older than it.

An index of another format is taken away first, and the whole archive taken in again.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from bot.errors import StoreError
from storage.archive.searchable import found_by, place_of
from storage.archive.statements import key_of, message_of
from storage.database import Database
from storage.search.index import Findable, index_made, unindex
from storage.search.sealing import Sealer
from storage.search_tables import (
    FORMAT,
    search_backlog,
    search_buckets,
    search_docs,
    search_sealing,
    search_tail,
    search_terms,
)
from storage.tables import messages, sessions

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""How often it is looked whether there is something to do."""
BREATH_S = 0.01
"""Between two steps: writers who wait go first."""
STEP = 50
"""Messages of an older archive that are taken in together."""
TAKEN_AWAY = 500
"""Rows of an index of another format that are taken away together."""

_BACKLOG: Final = sa.select(search_backlog)
_NEXT: Final = (
    sa.select(messages)
    .where(
        messages.c.id > sa.bindparam("done"),
        messages.c.id <= sa.bindparam("last"),
        messages.c.lent_until.is_(None),
    )
    .order_by(messages.c.id)
    .limit(STEP)
)
"""Not what is lent: no search finds it, and it is given back without a look into the index."""
_ALIVE: Final = (
    sa.select(messages.c.id, messages.c.text)
    .where(messages.c.id > sa.bindparam("done"), messages.c.id <= sa.bindparam("upto"))
    .order_by(messages.c.id)
    .with_for_update()
)
_PROGRESS: Final = sa.update(search_backlog).values(done_id=sa.bindparam("upto"))


class Upkeep:
    """Small transactions of its own, one after the other."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sealer = Sealer(database)

    async def running(self) -> None:
        """Look now and for ever."""
        while True:
            busy = await self._tried()
            await asyncio.sleep(BREATH_S if busy else LOOK_S)

    async def _tried(self) -> bool:
        try:
            return await self.step()
        except StoreError as error:
            log.warning("The search index could not be looked after: %s", error, extra=_EVENT)
        return False

    async def step(self) -> bool:
        """Do one thing, if there is one; whether there may be more."""
        backlog = await self._database.read(lambda c: c.execute(_BACKLOG).first())
        if backlog is not None and backlog.format != FORMAT:
            await self._database.write(_take_away)
            return True
        return await self._sealer.step() or (backlog is not None and await self._take_in(backlog))

    async def _take_in(self, backlog: Any) -> bool:
        """Index some of the messages that were there before the index was."""
        if backlog.done_id >= backlog.last_id:
            return False
        bounds = {"done": backlog.done_id, "last": backlog.last_id}
        older = await self._database.read(lambda c: c.execute(_NEXT, bounds).all())
        found = [found_by(message_of(message)) for message in older]
        upto = older[-1].id if older else backlog.last_id
        await self._database.write(lambda c: _take(c, backlog.done_id, upto, older, found))
        return True


_EVENT: Final = {"event": "search.unkept"}


_OF_THE_INDEX: Final = (search_buckets, search_sealing, search_terms, search_docs, search_tail)
"""What searches begin with is taken away first."""


def _take_away(c: sa.Connection) -> None:
    """Remove some of an index of another format; when none is left, the whole archive is to be taken in."""
    if c.execute(_BACKLOG.with_for_update()).one().format != FORMAT and not _removed(c):
        last = sa.select(sa.func.coalesce(sa.func.max(messages.c.id), 0)).scalar_subquery()
        c.execute(sa.update(search_backlog).values(done_id=0, last_id=last, format=FORMAT))


def _removed(c: sa.Connection) -> bool:
    """Whether there may be more. PostgreSQL empties a table at once, SQLite overwrites every page of it."""
    if c.dialect.name == "postgresql":
        c.execute(sa.text(f"TRUNCATE {', '.join(table.name for table in _OF_THE_INDEX)}"))
        return False
    for table in _OF_THE_INDEX:
        key = table.primary_key.columns
        some = sa.select(*key).limit(TAKEN_AWAY)
        if c.execute(sa.delete(table).where(sa.tuple_(*key).in_(some))).rowcount:
            return True
    return False


def _take(c: sa.Connection, done: int, upto: int, older: Sequence[Any], found: Sequence[Findable]) -> None:
    """Index `older` as far as they still read as they did; an edit or deletion meanwhile did it itself."""
    if c.execute(_BACKLOG.with_for_update()).one().done_id != done:
        return
    alive = {row.id: row.text for row in c.execute(_ALIVE, {"done": done, "upto": upto})}
    homes = {home.id: home for home in c.execute(_homes(older))}
    for row, made in zip(older, found, strict=True):
        if alive.get(row.id) == row.text:
            home = homes[row.session_id]
            unindex(c, home.id, row.position, row.text, row.author_name)
            index_made(c, home.id, place_of(home, key_of(home)), [made])
    c.execute(_PROGRESS, {"upto": upto})


def _homes(older: Sequence[Any]) -> sa.Select[Any]:
    return sa.select(sessions).where(sessions.c.id.in_({row.session_id for row in older}))
