"""Sessions that go on from others: how they begin, and what they know of what was before."""

from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from bot.domain import NEWEST_EVER, Author, Background, Block, Continued, Message, SessionKey
from storage.archive.sessions import make_session
from storage.archive.shown import shown
from storage.archive.statements import (
    LOCK_SESSION,
    continued_of,
    key_is,
    key_values,
    lock_key,
    message_of,
)
from storage.database import Database
from storage.tables import messages, parts, sessions, summaries

MOST_LINKS: Final = 3
"""Sessions that are read back from one to the next."""

ALL: Final = 0
"""Every position is newer."""

_AT: Final = sa.bindparam("at", type_=messages.c.edited_at.type)
_OLD: Final = sa.select(sessions).where(key_is(sessions))
_unfinished = (
    sa.select(sa.func.min(parts.c.position))
    .where(parts.c.turn_id == sa.bindparam("running"))
    .scalar_subquery()
)
_NEWEST_POSITION: Final = sa.select(sa.func.max(messages.c.position)).where(
    messages.c.session_id == sa.bindparam("session"),
    messages.c.position < sa.func.coalesce(_unfinished, sa.literal(NEWEST_EVER, sa.BigInteger)),
)
"""Before the reply that is still being written, whose end nobody has seen yet."""
_SAID: Final = (
    sa.select(messages)
    .where(
        messages.c.session_id == sa.bindparam("session"),
        messages.c.position > sa.bindparam("after", type_=sa.BigInteger),
        messages.c.position <= sa.bindparam("upto", type_=sa.BigInteger),
        sa.or_(messages.c.edited_at.is_(None), messages.c.edited_at <= _AT),
        shown(),
    )
    .order_by(messages.c.position.desc())
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_edited_since = sa.exists().where(
    messages.c.session_id == summaries.c.session_id,
    messages.c.edited_at > _AT,
    messages.c.position > summaries.c.after,
    messages.c.position <= summaries.c.last,
)
_SUMMED_UP: Final = (
    sa.select(summaries)
    .where(
        summaries.c.session_id == sa.bindparam("session"),
        summaries.c.last > sa.bindparam("after", type_=sa.BigInteger),
        summaries.c.last <= sa.bindparam("upto", type_=sa.BigInteger),
        summaries.c.after < sa.bindparam("shown", type_=sa.BigInteger),
        summaries.c.text != "",
        ~_edited_since,
    )
    .order_by(summaries.c.after)
)
_GO_ON: Final = (
    sa.update(sessions)
    .where(sessions.c.id == sa.bindparam("session"))
    .values(
        version=sessions.c.version + 1,
        joined=True,
        fresh_from=sa.bindparam("began", type_=sa.BigInteger),
        continues=sa.bindparam("old"),
        continues_after=sa.bindparam("old_after", type_=sa.BigInteger),
        continues_upto=sa.bindparam("old_upto", type_=sa.BigInteger),
        continues_at=sa.bindparam("now"),
    )
)


class Continuations:
    """Implements `bot.sharing.Continuations` and `bot.ports.BackgroundStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, key: SessionKey, post: int, old: SessionKey, by: Author) -> bool:
        """Let the session of `key` go on from what `old` holds now; False if that holds nothing.

        It begins afresh after our post there. Doing it again for the same post changes nothing.
        """
        return await self._database.write(lambda c: _begin(c, key, post, old, by))

    async def background(self, continued: Continued, most: int) -> Background:
        """What is there of what `continued` names, less what was edited since: at most so many messages."""
        return await self._database.read(lambda c: _background(c, continued, most))


def _begin(c: sa.Connection, key: SessionKey, post: int, old: SessionKey, by: Author) -> bool:
    before = c.execute(_OLD, key_values(old)).first()
    upto = _newest(c, before) if before is not None else None
    if before is None or upto is None:
        return False
    session = c.execute(LOCK_SESSION, key_values(key)).first()
    if session is None:
        lock_key(c, key)
        now = datetime.now(UTC)
        first = Message(post, by, "", now)
        session = make_session(c, key, first, joined=True, complete_from=0, closed=False)
    if session.fresh_from >= post:
        return True
    c.execute(
        _GO_ON,
        {
            "session": session.id,
            "began": post,
            "old": str(old),
            "old_after": _beginning(before, upto, itself=key == old),
            "old_upto": upto,
            "now": datetime.now(UTC),
        },
    )
    return True


def _beginning(old: Any, upto: int, *, itself: bool) -> int:
    """The position after which `old` is gone on with: its present context, unless nothing was said in it.

    A direct message that goes on with itself may mean anything that was said there, also before it went on
    the last time.
    """
    return ALL if itself or upto <= old.fresh_from else int(old.fresh_from)


def _newest(c: sa.Connection, session: Any) -> int | None:
    """The newest position of what can be gone on with; None if there is nothing."""
    values = {"session": session.id, "running": session.running_turn}
    newest: int | None = c.execute(_NEWEST_POSITION, values).scalar()
    return newest


def _background(c: sa.Connection, continued: Continued | None, most: int) -> Background:
    blocks: list[Block] = []
    said: list[Message] = []
    met: set[SessionKey] = set()
    while continued is not None and continued.key not in met and len(met) < MOST_LINKS:
        met.add(continued.key)
        row = c.execute(_OLD, key_values(continued.key)).first()
        if row is None:
            break
        newest, summed_up = _of(c, row, continued, most - len(said))
        said[:0], blocks[:0] = newest, summed_up
        continued = continued_of(row)
    return Background(tuple(blocks), tuple(said))


def _of(c: sa.Connection, session: Any, continued: Continued, most: int) -> tuple[list[Message], list[Block]]:
    """The newest messages of a session, and the summaries of what is older than those."""
    bounds = {"session": session.id, "after": continued.after, "upto": continued.upto, "at": continued.at}
    newest = [message_of(row) for row in c.execute(_SAID, {**bounds, "most": most})][::-1] if most else []
    shown = newest[0].position if newest else continued.upto
    rows = c.execute(_SUMMED_UP, {**bounds, "shown": shown})
    return newest, [
        Block(row.level, row.after, row.last, row.messages, row.text, row.model, row.version) for row in rows
    ]
