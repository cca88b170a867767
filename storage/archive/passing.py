"""Messages that are never archived: what they ask for is answered outside of the thread."""

import sqlalchemy as sa

from bot.domain import Deleted, SessionKey
from storage.archive.rewriting import remove
from storage.archive.sessions import is_buried
from storage.archive.statements import lock_key, mark_unanswered
from storage.database import Database


class PassedOver:
    """Implements `Passing`: a tombstone keeps what was never there from coming."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def pass_over(self, key: SessionKey, position: int, *, answered: bool = True) -> bool:
        """Keep that message out of the archive for good; whether it was not `answered` before.

        False: it is only met now, and may be answered when it comes again.
        """
        return await self._database.write(lambda c: _pass_over(c, key, position, answered=answered))


def _pass_over(c: sa.Connection, key: SessionKey, position: int, *, answered: bool) -> bool:
    lock_key(c, key)  # two processes that are told the same would both be the first
    if is_buried(c, key, position):
        return mark_unanswered(c, key, position, was=True, now=not answered)
    remove(c, Deleted(key, position))
    if not answered:
        mark_unanswered(c, key, position, was=False, now=True)
    return True
