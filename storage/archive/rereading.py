"""A second reading of a thread, held against the archive: what was deleted and edited meanwhile."""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from bot.domain import Deleted, Message, Reread, Speaker
from storage.archive.rewriting import remove, replace_text
from storage.archive.statements import LOCK_SESSION, key_values
from storage.search.index import Findable
from storage.tables import messages, parts, turns

_KEPT: Final = sa.select(messages).where(
    messages.c.session_id == sa.bindparam("session"),
    messages.c.position > sa.bindparam("after"),
    messages.c.position <= sa.bindparam("upto"),
)
_REPLIES: Final = sa.select(turns.c.reply_position).where(
    turns.c.session_id == sa.bindparam("session"),
    turns.c.reply_position > sa.bindparam("after"),
    turns.c.reply_position <= sa.bindparam("upto"),
)
"""A reply stands where its first post stood, which may be gone: its posts are in `parts`."""
_POSTS: Final = (
    sa.select(parts.c.position)
    .join(turns, turns.c.id == parts.c.turn_id)
    .where(
        parts.c.session_id == sa.bindparam("session"),
        parts.c.position > sa.bindparam("after"),
        parts.c.position <= sa.bindparam("upto"),
        turns.c.state != "running",
    )
)
"""What a running turn posts is its owner's to look after."""


def compare(c: sa.Connection, reread: Reread, found: Sequence[Findable]) -> bool:
    """Let the archive say what the platform holds of the stretch now; whether anything changed."""
    session = c.execute(LOCK_SESSION, key_values(reread.key)).first()
    if session is None:
        return False
    stretch = {"session": session.id, "after": reread.after, "upto": reread.upto}
    kept = {row.position: row for row in c.execute(_KEPT, stretch)}
    replies, posts = (set(c.execute(query, stretch).scalars()) for query in (_REPLIES, _POSTS))
    missing = ((kept.keys() - replies) | posts) - reread.there
    changed = [remove(c, Deleted(reread.key, position)) is not None for position in sorted(missing)]
    for message, found_by_it in zip(reread.edited, found, strict=True):
        old = kept.get(message.position)
        if old is not None and _is_newer(message, old):
            lent = old.lent_until is not None
            replace_text(c, session, reread.key, old, message, found_by_it, lent=lent)
            changed.append(True)
    return any(changed)


def _is_newer(message: Message, old: Any) -> bool:
    """Whether it was edited after what we keep; a name that is told otherwise now is no edit."""
    if old.kind == Speaker.BOT.value or message.edited_at is None:
        return False
    return old.edited_at is None or bool(message.edited_at > old.edited_at)
