"""Edits and deletions: the archive says what the platform says now."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from bot.domain import Addressed, Deleted, Edited, Message, Removed, SessionKey, Speaker
from storage.archive.claims import stop_unasked
from storage.archive.lending import keep
from storage.archive.searchable import found_by, let_find, let_find_no_more
from storage.archive.sessions import is_buried, make_session, message_at, unmake_session
from storage.archive.statements import (
    BURY,
    LOCK_SESSION,
    VOID_SUMMARIES,
    attachments_to_json,
    insert_message,
    key_values,
    lock_key,
    mark_unanswered,
    message_of,
    tombstone_values,
)
from storage.search.index import Findable
from storage.tables import messages, parts, sessions, turns

_RAISE: Final = (
    sa.update(sessions)
    .where(sessions.c.id == sa.bindparam("session"))
    .values(version=sessions.c.version + 1, messages=sessions.c.messages + sa.bindparam("added"))
)
_REWRITE: Final = (
    sa.update(messages)
    .where(messages.c.id == sa.bindparam("message"))
    .values(
        text=sa.bindparam("new_text"),
        attachments=sa.bindparam("new_attachments", type_=sa.Text),
        edited_at=sa.bindparam("new_edited_at", type_=messages.c.edited_at.type),
    )
)
_has_message = sa.exists().where(
    messages.c.session_id == sessions.c.id, messages.c.position == sa.bindparam("place")
)
_has_post = sa.exists().where(parts.c.session_id == sessions.c.id, parts.c.position == sa.bindparam("place"))
_THREAD_WITH: Final = (
    sa.select(sessions.c.thread)
    .where(
        *(sessions.c[name] == sa.bindparam(f"k_{name}") for name in ("platform", "workspace", "channel")),
        sa.or_(_has_message, _has_post),
    )
    .limit(1)
)
_ERASE: Final = sa.delete(messages).where(messages.c.id == sa.bindparam("message"))
_DROP_ASKED: Final = (
    sa.update(turns)
    .where(
        turns.c.session_id == sa.bindparam("session"),
        turns.c.asked_position == sa.bindparam("place"),
        turns.c.state == "queued",
    )
    .values(state="dropped", finished_at=sa.bindparam("now"))
)
_ONE_LESS_WAITING: Final = (
    sa.update(sessions).where(sessions.c.id == sa.bindparam("session")).values(queued=sessions.c.queued - 1)
)
_PARTS_OF_REPLY_AT: Final = (
    sa.select(parts.c.turn_id, parts.c.number, parts.c.position, parts.c.end, turns.c.reply_position)
    .join(turns, turns.c.id == parts.c.turn_id)
    .where(
        parts.c.turn_id.in_(
            sa.select(parts.c.turn_id).where(
                parts.c.session_id == sa.bindparam("session"), parts.c.position == sa.bindparam("place")
            )
        ),
        turns.c.state != "running",
    )
    .order_by(parts.c.number)
)


def rewrite(c: sa.Connection, edited: Edited, found: Findable, lent_until: datetime | None = None) -> bool:
    """Let the message read as `edited`; whether that changed anything. One that comes first wins.

    `lent_until`: it was only read, and if it comes first, that is for how long it is kept.
    """
    new = edited.message
    session = c.execute(LOCK_SESSION, key_values(edited.key)).first()
    if session is None:
        if edited.addressed is not Addressed.MENTION:
            return False
        lock_key(c, edited.key)
        if is_buried(c, edited.key, new.position):
            return False
        first = new if lent_until is None else replace(new, text="")
        session = make_session(c, edited.key, first, joined=False, complete_from=None, closed=edited.closed)
    old = message_at(c, session.id, new.position)
    if old is None:
        added = insert_message(c, session, edited.key, new, found, lent_until=lent_until)
        if added:
            _changed_at(c, session.id, new.position, added=1)
        elif not session.version:
            unmake_session(c, session.id)
        return added
    kept = lent_until is None and keep(c, session.id, new.position)
    if not _supersedes(new, old):
        if kept:
            let_find(c, session, edited.key, found_by(message_of(old)))
        return False
    replace_text(c, session, edited.key, old, new, found, lent=not kept and old.lent_until is not None)
    return True


def replace_text(
    c: sa.Connection,
    session: Any,
    key: SessionKey,
    old: Any,
    new: Message,
    found: Findable,
    *,
    lent: bool = False,
) -> None:
    """Let the row `old` of `messages` read as `new`, everywhere. While it is `lent`, no search finds it.

    Its author stays who they were when they said it, in the index too, and by that it is taken out again.
    """
    c.execute(
        _REWRITE,
        {
            "message": old.id,
            "new_text": new.text,
            "new_attachments": attachments_to_json(new.attachments),
            "new_edited_at": new.edited_at or datetime.now(UTC),  # Slack tells none of what apps edit
        },
    )
    let_find_no_more(c, session.id, old)
    if not lent:
        by = message_of(old).author
        let_find(c, session, key, found if by == new.author else found_by(replace(new, author=by)))
    _changed_at(c, session.id, new.position)


def _supersedes(new: Message, old: Any) -> bool:
    """Whether an edit is news: not of our own post, not late, and not the same again."""
    if old.kind == Speaker.BOT.value:
        return False
    if old.edited_at is not None and new.edited_at is not None and new.edited_at < old.edited_at:
        return False
    return bool(new.text != old.text or attachments_to_json(new.attachments) != old.attachments)


def _changed_at(c: sa.Connection, session_id: int, position: int, added: int = 0) -> None:
    """Something at `position` is not what it was: a new version, and no summary that still tells the old."""
    c.execute(_RAISE, {"session": session_id, "added": added})
    c.execute(VOID_SUMMARIES, {"session": session_id, "place": position, "upto": position})


def thread_with(c: sa.Connection, place: Deleted) -> str | None:
    """The thread of the channel that has a message, or a post of ours, at a position; None if none has."""
    thread: str | None = c.execute(_THREAD_WITH, {**key_values(place.key), "place": place.position}).scalar()
    return thread


def remove(c: sa.Connection, deleted: Deleted, *, again: bool = False) -> Removed | None:
    """Take a message, or its share of a reply, away for good; None if it was not there.

    `again`: it is known to be there, though it was looked for in another session before.
    """
    session = c.execute(LOCK_SESSION, key_values(deleted.key)).first()
    if session is None:
        lock_key(c, deleted.key)
        session = c.execute(LOCK_SESSION, key_values(deleted.key)).first()
    now = datetime.now(UTC)
    buried = c.execute(
        BURY(c), tombstone_values(deleted.key, deleted.position, now, ours=session is not None)
    )
    if not buried.rowcount:
        mark_unanswered(c, deleted.key, deleted.position, was=True, now=False)
    if session is None or not (buried.rowcount or again):
        return None
    place = {"session": session.id, "place": deleted.position}
    reply = c.execute(_PARTS_OF_REPLY_AT, place).all()
    if reply:
        return Removed() if _cut_out(c, session, deleted, reply) else None
    message = message_at(c, session.id, deleted.position)
    if message is None:
        return None
    c.execute(_ERASE, {"message": message.id})
    let_find_no_more(c, session.id, message)
    _changed_at(c, session.id, deleted.position, added=-1)
    if c.execute(_DROP_ASKED, {**place, "now": now}).rowcount:
        c.execute(_ONE_LESS_WAITING, {"session": session.id})
    return Removed(stop_unasked(c, session, deleted.position))


def _cut_out(c: sa.Connection, session: Any, deleted: Deleted, reply: Sequence[Any]) -> bool:
    """A post of a reply is gone: so is its share of the text, and with the last one the reply."""
    gone = next(i for i, part in enumerate(reply) if part.position == deleted.position)
    start = reply[gone - 1].end if gone else 0
    length = max(0, reply[gone].end - start)
    message = message_at(c, session.id, reply[gone].reply_position)
    c.execute(
        sa.delete(parts).where(parts.c.turn_id == reply[gone].turn_id, parts.c.number == reply[gone].number)
    )
    c.execute(
        sa.update(parts)
        .where(parts.c.turn_id == reply[gone].turn_id, parts.c.number > reply[gone].number)
        .values(end=parts.c.end - length)
    )
    if message is None:
        return False
    text = message.text[:start] + message.text[start + length :]
    empty = len(reply) == 1 or not text.strip()
    if empty:
        c.execute(_ERASE, {"message": message.id})
    else:
        c.execute(sa.update(messages).where(messages.c.id == message.id).values(text=text))
    let_find_no_more(c, session.id, message)
    if not empty:
        let_find(c, session, deleted.key, found_by(replace(message_of(message), text=text)))
    _changed_at(c, session.id, message.position, added=-int(empty))
    return True
