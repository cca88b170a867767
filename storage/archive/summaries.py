"""Summary blocks: what stands in for messages that no longer fit into a prompt."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from bot.domain import Block, Message
from storage.archive.statements import LOCK_SESSION_BY_ID
from storage.database import Database
from storage.prepared import prepared
from storage.tables import messages, summaries

_BLOCKS: Final = prepared(
    sa.select(summaries)
    .where(
        summaries.c.session_id == sa.bindparam("session"),
        summaries.c.last > sa.bindparam("fresh_from", type_=sa.BigInteger),
    )
    .order_by(summaries.c.after)
)
_IN_RANGE: Final = (
    sa.select(messages.c.position, messages.c.text)
    .where(
        messages.c.session_id == sa.bindparam("session"),
        messages.c.position > sa.bindparam("after", type_=sa.BigInteger),
        messages.c.position <= sa.bindparam("last", type_=sa.BigInteger),
    )
    .order_by(messages.c.position)
)
_OVERLAPPING: Final = (
    sa.select(summaries)
    .where(
        summaries.c.session_id == sa.bindparam("session"),
        summaries.c.after < sa.bindparam("upto", type_=sa.BigInteger),
        summaries.c.last > sa.bindparam("from_", type_=sa.BigInteger),
    )
    .order_by(summaries.c.after)
)


class Summaries:
    """The summary blocks of sessions. They tile the session from where its context began."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def blocks(self, session_id: int, fresh_from: int) -> tuple[Block, ...]:
        """Those of the present context, ascending; their number grows with the logarithm of the thread."""
        values = {"session": session_id, "fresh_from": fresh_from}
        return await self._database.read(lambda c: tuple(_block(row) for row in _BLOCKS.all(c, values)))

    async def put(self, session_id: int, block: Block, made_from: Sequence[Message]) -> bool:
        """Keep a block made from messages, unless one of them changed meanwhile; whether it was kept.

        A void block that reaches further keeps the rest of its range, to be made later.
        """
        return await self._database.write(lambda c: _put(c, session_id, block, made_from))

    async def merge(self, session_id: int, block: Block, made_from: Sequence[Block]) -> bool:
        """Put `block` in the place of the blocks it was made from, unless one changed; whether kept."""
        return await self._database.write(lambda c: _merge(c, session_id, block, made_from))


def _put(c: sa.Connection, session_id: int, block: Block, made_from: Sequence[Message]) -> bool:
    version = c.execute(LOCK_SESSION_BY_ID, {"session": session_id}).one().version
    values = {"session": session_id, "after": block.after, "last": block.last}
    now = [(row.position, row.text) for row in c.execute(_IN_RANGE, values)]
    if now != [(message.position, message.text) for message in made_from]:
        return False
    there = _overlapping(c, session_id, block)
    if any(old.text or old.after != block.after for old in there):
        return False
    for old in there:
        _shorten(c, old, block.last)
    _insert(c, session_id, block, version)
    return True


def _shorten(c: sa.Connection, void: Any, last: int) -> None:
    """Take what is up to `last` out of a void block."""
    this = summaries.c.id == void.id
    if void.last > last:
        c.execute(sa.update(summaries).where(this).values(after=last, level=0))
    else:
        c.execute(sa.delete(summaries).where(this))


def _merge(c: sa.Connection, session_id: int, block: Block, made_from: Sequence[Block]) -> bool:
    version = c.execute(LOCK_SESSION_BY_ID, {"session": session_id}).one().version
    there = _overlapping(c, session_id, block)
    if [(old.after, old.text) for old in there] != [(old.after, old.text) for old in made_from]:
        return False
    c.execute(sa.delete(summaries).where(summaries.c.id.in_([old.id for old in there])))
    _insert(c, session_id, block, version)
    return True


def _overlapping(c: sa.Connection, session_id: int, block: Block) -> Sequence[Any]:
    return c.execute(_OVERLAPPING, {"session": session_id, "from_": block.after, "upto": block.last}).all()


def _insert(c: sa.Connection, session_id: int, block: Block, version: int) -> None:
    c.execute(
        sa.insert(summaries),
        {
            "session_id": session_id,
            "level": block.level,
            "after": block.after,
            "last": block.last,
            "messages": block.messages,
            "version": version,
            "text": block.text,
            "model": block.model,
            "made_at": datetime.now(UTC),
        },
    )


def _block(row: Any) -> Block:
    return Block(row.level, row.after, row.last, row.messages, row.text, row.model, row.version)
