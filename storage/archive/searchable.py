"""Keeps the search index in step with the messages: in their transactions, after their own rows."""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from bot.domain import Message, SessionKey
from bot.finding import Place
from storage.search.index import Findable, findable, index_made, index_many, unindex
from storage.tables import sessions

TITLE_LENGTH: Final = 80
"""Characters of the first message that make a title."""

_UNTITLE: Final = (
    sa.update(sessions)
    .where(sessions.c.id == sa.bindparam("session"), sessions.c.title == sa.bindparam("old_title"))
    .values(title="")
)


def found_by(message: Message) -> Findable:
    """What `message` is found by. To be called before the transaction: it takes longer than an insert."""
    return findable(
        message.position,
        message.author.id,
        message.author.name,
        message.text,
        message.sent_at,
        bool(message.attachments),
    )


def title_of(text: str) -> str:
    """What of the first message's text names its session."""
    return " ".join(text.split())[:TITLE_LENGTH]


def place_of(session: Any, key: SessionKey) -> Place:
    """Whose readers read the session with this row."""
    return Place(key.platform, key.workspace, key.channel, key.thread if session.closed else "")


def let_find(c: sa.Connection, session: Any, key: SessionKey, found: Findable) -> None:
    """Let a message be found from now on."""
    index_made(c, session.id, place_of(session, key), [found])


def let_find_many(c: sa.Connection, session: Any, key: SessionKey, found: Sequence[Findable]) -> None:
    """Let many messages of one session be found from now on."""
    index_many(c, session.id, place_of(session, key), found)


def let_find_no_more(c: sa.Connection, session_id: int, message: Any) -> None:
    """Leave nothing of what the row `message` says in the index, nor in the session's title."""
    unindex(c, session_id, message.position, message.text, message.author_name)
    c.execute(_UNTITLE, {"session": session_id, "old_title": title_of(message.text)})
