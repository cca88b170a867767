"""What the index needs done behind everybody's back: sealing, and taking in what is older than it."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from bot.errors import StoreError
from storage.archive.searchable import found_by, place_of
from storage.archive.statements import key_of, message_of
from storage.database import Database
from storage.search.index import Findable, index_made, seal, unindex, worth_sealing
from storage.search_tables import search_backlog
from storage.tables import messages, sessions

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""How often it is looked whether there is something to do."""
BREATH_S = 0.05
"""Between two steps: writers who wait go first."""
STEP = 100
"""Messages of an older archive that are taken in together."""

_BACKLOG: Final = sa.select(search_backlog)
_NEXT: Final = (
    sa.select(messages)
    .where(messages.c.id > sa.bindparam("done"), messages.c.id <= sa.bindparam("last"))
    .order_by(messages.c.id)
    .limit(STEP)
)
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
        if await self._database.read(worth_sealing):
            return await self._database.write(seal)
        return await self._take_in()

    async def _take_in(self) -> bool:
        """Index some of the messages that were there before the index was."""
        row = await self._database.read(lambda c: c.execute(_BACKLOG).first())
        if row is None or row.done_id >= row.last_id:
            return False
        bounds = {"done": row.done_id, "last": row.last_id}
        older = await self._database.read(lambda c: c.execute(_NEXT, bounds).all())
        found = [found_by(message_of(message)) for message in older]
        upto = older[-1].id if older else row.last_id
        await self._database.write(lambda c: _take(c, row.done_id, upto, older, found))
        return True


_EVENT: Final = {"event": "search.unkept"}


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
