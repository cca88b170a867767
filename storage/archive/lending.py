"""What was only read on its platform is lent: it serves answers for a while, and is then given back.

Until then it is a message like any other, but that no search finds it and no export has it. Once the
platform tells it by itself, it is ours to keep. When it is given back, its session no longer counts as
looked at: whoever answers there next reads the platform anew.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from storage.archive.statements import LOCK_SESSION_BY_ID, VOID_SUMMARIES
from storage.database import Database
from storage.tables import messages, parts, sessions

AT_ONCE = 100
"""Messages that go in one transaction: no index has them."""
LOOKED_AT = 200
"""Messages of one read: it tells their sessions."""

_KEEP: Final = (
    sa.update(messages)
    .where(
        messages.c.session_id == sa.bindparam("session"),
        messages.c.position == sa.bindparam("place"),
        messages.c.lent_until.is_not(None),
    )
    .values(lent_until=None)
)
_at_rest = sa.exists().where(sessions.c.id == messages.c.session_id, sessions.c.running_turn.is_(None))
_DUE: Final = (
    sa.select(messages.c.session_id)
    .where(messages.c.lent_until <= sa.bindparam("now"), _at_rest)
    .order_by(messages.c.lent_until)
    .limit(LOOKED_AT)
)
"""Not a join with `distinct`, for which SQLite walks through all messages in the order of their sessions."""
_SOME: Final = (
    sa.select(messages.c.id, messages.c.position)
    .where(messages.c.session_id == sa.bindparam("session"), messages.c.lent_until <= sa.bindparam("now"))
    .order_by(messages.c.position)
    .limit(AT_ONCE)
)
_TAKE: Final = sa.delete(messages).where(messages.c.id.in_(sa.bindparam("ids", expanding=True)))
_LESS: Final = (
    sa.update(sessions)
    .where(sessions.c.id == sa.bindparam("session"))
    .values(
        version=sessions.c.version + 1,
        messages=sessions.c.messages - sa.bindparam("taken"),
        complete_from=None,
    )
)
_POSTS: Final = sa.select(parts.c.position).where(
    parts.c.session_id == sa.bindparam("session"),
    parts.c.position.in_(sa.bindparam("places", expanding=True)),
)


def keep(c: sa.Connection, session_id: int, position: int) -> bool:
    """The platform told the message: it is ours to keep. Whether it was only lent, and is to be indexed."""
    return bool(c.execute(_KEEP, {"session": session_id, "place": position}).rowcount)


def our_posts(c: sa.Connection, session_id: int, places: Sequence[int]) -> frozenset[int]:
    """Those of `places` where a part of a reply of ours stands, which is archived as one message."""
    found = c.execute(_POSTS, {"session": session_id, "places": list(places)})
    return frozenset(found.scalars())


class Lending:
    """Implements `LentStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self, now: datetime) -> Sequence[int]:
        """Some sessions with something to be given back; not those where a turn runs, which may need it."""
        return await self._database.read(
            lambda c: list(dict.fromkeys(c.execute(_DUE, {"now": now}).scalars()))
        )

    async def give_back(self, session_id: int, now: datetime) -> int:
        """Take some of what is due out of a session; how many messages, 0 when none is left."""
        return await self._database.write(lambda c: _give_back(c, session_id, now))


def _give_back(c: sa.Connection, session_id: int, now: datetime) -> int:
    session: Any = c.execute(LOCK_SESSION_BY_ID, {"session": session_id}).first()
    if session is None or session.running_turn is not None:
        return 0
    rows = c.execute(_SOME, {"session": session_id, "now": now}).all()
    if rows:
        bounds = {"session": session_id, "place": rows[0].position, "upto": rows[-1].position}
        c.execute(VOID_SUMMARIES, bounds)
        c.execute(_TAKE, {"ids": [row.id for row in rows]})
        c.execute(_LESS, {"session": session_id, "taken": len(rows)})
    return len(rows)
