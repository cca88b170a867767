"""Windows read from SQL: what a hot context is seeded from, and what serves without one."""

from typing import Any, Final

import sqlalchemy as sa

from bot.domain import NEWEST_EVER, Message, SessionKey, Window
from storage.archive.shown import shown
from storage.archive.statements import key_is, key_values, message_of
from storage.database import Database
from storage.prepared import prepared
from storage.tables import messages, sessions

_NEWEST: Final = prepared(
    sa.select(sessions.c.version, messages)
    .join_from(
        sessions,
        messages,
        sa.and_(
            messages.c.session_id == sessions.c.id,
            messages.c.position > sessions.c.fresh_from,
            messages.c.position <= sa.bindparam("cut", type_=sa.BigInteger),
            shown(),
        ),
        isouter=True,
    )
    .where(sessions.c.id == sa.bindparam("session"))
    .order_by(messages.c.position.desc())
    .limit(sa.bindparam("most", type_=sa.Integer))
)
"""One statement, so that version and messages are of one moment."""

_BETWEEN: Final = (
    sa.select(messages)
    .where(
        messages.c.session_id == sa.bindparam("session"),
        messages.c.position > sa.bindparam("after", type_=sa.BigInteger),
        messages.c.position < sa.bindparam("before", type_=sa.BigInteger),
        shown(),
    )
    .order_by(messages.c.position)
    .limit(sa.bindparam("most", type_=sa.Integer))
)


class Windows:
    """Bounded reads of a session's messages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self, session_id: int, limit: int, cut: int = NEWEST_EVER) -> Window:
        """The newest `limit` messages up to `cut` of the session's present context."""
        values = {"session": session_id, "cut": cut, "most": limit + 1}
        return await self._database.read(lambda c: _window(_NEWEST.all(c, values), limit))

    async def between(self, session_id: int, after: int, before: int, limit: int) -> tuple[Message, ...]:
        """The oldest `limit` messages with `after < position < before`, ascending."""
        values = {"session": session_id, "after": after, "before": before, "most": limit}
        return await self._database.read(
            lambda c: tuple(message_of(row) for row in c.execute(_BETWEEN, values))
        )

    async def facts(self, key: SessionKey) -> Any | None:
        """The row of a session, for showing; None if there is none."""
        query = sa.select(sessions).where(key_is(sessions))
        return await self._database.read(lambda c: c.execute(query, key_values(key)).first())


def _window(rows: Any, limit: int) -> Window:
    said = [message_of(row) for row in rows[:limit] if row.position is not None]
    return Window(
        version=rows[0].version if rows else 0,
        messages=tuple(reversed(said)),
        whole=len(rows) <= limit,
    )
