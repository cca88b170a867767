"""Messages that are never archived: what they ask for is answered outside of the thread."""

from typing import Final

import sqlalchemy as sa

from bot.domain import Deleted, SessionKey
from storage.archive.rewriting import remove
from storage.archive.sessions import is_buried
from storage.archive.statements import key_is, key_values, lock_key
from storage.database import Database
from storage.tables import sessions

_LOCK: Final = sa.select(sessions.c.id).where(key_is(sessions)).with_for_update()


class PassedOver:
    """Implements `Passing`: a tombstone keeps what was never there from coming."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def pass_over(self, key: SessionKey, position: int) -> bool:
        """Keep that message out of the archive for good; whether this is the first time."""
        return await self._database.write(lambda c: _pass_over(c, key, position))


def _pass_over(c: sa.Connection, key: SessionKey, position: int) -> bool:
    if c.execute(_LOCK, key_values(key)).first() is None:
        lock_key(c, key)
    if is_buried(c, key, position):
        return False
    remove(c, Deleted(key, position))
    return True
