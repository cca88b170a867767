"""What somebody asked for with a button is seen to by one process at a time, however many hear of it."""

import hashlib
import secrets
from typing import Any, Final

import sqlalchemy as sa

from storage.archive.statements import OnConflict
from storage.database import Database
from storage.tables import clock, gestures

_LAPSED: Final = sa.delete(gestures).where(gestures.c.lease_until < clock())
_TAKE: Final = OnConflict(
    lambda insert: (
        insert(gestures)
        .values(lease_until=clock() + sa.bindparam("for_s", type_=sa.Double))
        .on_conflict_do_nothing()
    )
)
_LET_GO: Final = sa.delete(gestures).where(
    gestures.c.id == sa.bindparam("gesture"), gestures.c.token == sa.bindparam("held")
)


class Gestures:
    """Implements `bot.sharing.Gestures`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, gesture: str, for_s: float) -> str:
        """What to let go of it with; "" while somebody else sees to it. It is free again after `for_s`."""
        values = {"id": _id(gesture), "token": secrets.token_hex(8), "for_s": for_s}
        return await self._database.write(lambda c: _take(c, values))

    async def let_go(self, gesture: str, token: str) -> None:
        """It is seen to, or not: whoever asks next may take it."""
        held = {"gesture": _id(gesture), "held": token}
        await self._database.write(lambda c: c.execute(_LET_GO, held).rowcount)


def _take(c: sa.Connection, values: dict[str, Any]) -> str:
    c.execute(_LAPSED)
    return str(values["token"]) if c.execute(_TAKE(c), values).rowcount else ""


def _id(gesture: str) -> str:
    """It names a person and what they saw; the row needs neither."""
    return hashlib.sha256(gesture.encode()).hexdigest()
