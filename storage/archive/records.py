"""Recording what was said, edited and deleted: the transaction that everything is decided in."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from bot.domain import (
    Addressed,
    Change,
    Changed,
    Deleted,
    Edited,
    History,
    Message,
    Receipt,
    Recorded,
    Said,
    SessionKey,
    Speaker,
    ThreadSettings,
    Turn,
)
from bot.errors import LeaseLost
from storage.archive.claims import Ask, Claimant, ask_to_stop, first_claim, take_up
from storage.archive.searchable import found_by, let_find, let_find_no_more, title_of
from storage.archive.statements import (
    BURY,
    LOCK_SESSION,
    LOCK_SESSION_BY_ID,
    VOID_SUMMARIES,
    OnConflict,
    attachments_to_json,
    insert_message,
    key_values,
    lock_key,
    message_of,
    settings_of,
    tombstone_values,
)
from storage.database import Database
from storage.search.index import Findable
from storage.tables import messages, parts, sessions, tombstones, turns

_INSERT_SESSION: Final = OnConflict(lambda insert: insert(sessions).on_conflict_do_nothing())
_COUNT: Final = (
    sa.update(sessions)
    .where(sessions.c.id == sa.bindparam("session"))
    .values(
        version=sessions.c.version + sa.bindparam("raised"),
        messages=sessions.c.messages + sa.bindparam("added"),
        running_turn=sa.bindparam("turn"),
        queued=sa.bindparam("waiting"),
        joined=sa.bindparam("joins"),
        active_at=sa.bindparam("now"),
    )
)
_RAISE: Final = (
    sa.update(sessions)
    .where(sessions.c.id == sa.bindparam("session"))
    .values(version=sessions.c.version + 1, messages=sessions.c.messages + sa.bindparam("added"))
)
_MESSAGE_AT: Final = sa.select(messages).where(
    messages.c.session_id == sa.bindparam("session"), messages.c.position == sa.bindparam("place")
)
_NEWEST_POSITION: Final = sa.select(sa.func.max(messages.c.position)).where(
    messages.c.session_id == sa.bindparam("session")
)
_BURIED_AT: Final = sa.select(tombstones.c.position).where(
    tombstones.c.platform == sa.bindparam("k_platform"),
    tombstones.c.workspace == sa.bindparam("k_workspace"),
    tombstones.c.channel == sa.bindparam("k_channel"),
    tombstones.c.position == sa.bindparam("place"),
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


class Records:
    """What was said, in SQL. One transaction a call; each may be repeated without harm."""

    def __init__(self, database: Database, claimant: Claimant) -> None:
        self._database = database
        self._claimant = claimant

    async def record(self, said: Said, change: Change | None = None) -> Recorded:
        """Keep what was said, carry out the `change` it commands, and claim its turn if it is owed one.

        Asked a second time for the same message it changes nothing, except that a message which
        was only kept before is taken up now.
        """
        found = found_by(said.message)
        return await self._database.write(
            lambda c: _record(c, said, found, change or Change(), self._claimant)
        )

    async def edit(self, edited: Edited) -> bool:
        """Let the archive say what the platform says now; whether anything changed."""
        found = found_by(edited.message)
        return await self._database.write(lambda c: _edit(c, edited, found))

    async def delete(self, deleted: Deleted) -> bool:
        """Remove the message, and let nothing bring it back; whether anything changed."""
        return await self._database.write(lambda c: _delete(c, deleted))

    async def add_history(self, turn: Turn, history: History) -> int:
        """Archive what was said before the bot was called; the session's version now.

        Raises `LeaseLost` when the turn is not ours any more.
        """
        found = [found_by(message) for message in history.messages]
        return await self._database.write(lambda c: _add_history(c, turn, history, found))

    async def change(self, key: SessionKey, change: Change) -> Changed | None:
        """Carry out `change` for a command that is no message; None if there is no such session."""
        return await self._database.write(lambda c: _change(c, key, change))


def _record(c: sa.Connection, said: Said, found: Findable, change: Change, claimant: Claimant) -> Recorded:
    outright = said.addressed in (Addressed.MENTION, Addressed.DIRECT)
    session = _lock(c, said, outright)
    if session is None:
        return Recorded(Receipt.IGNORED)
    added = insert_message(c, session, said.key, said.message, found, said.gesture)
    if not added and not session.version:
        _unmake(c, session.id)
        return Recorded(Receipt.KEPT)
    wanted = outright or (said.addressed is Addressed.THREAD and session.joined and not session.paused)
    owed = wanted and said.answer and (added or _is_there(c, session.id, said.message.position))
    ask = Ask(said.message.position, said.message.author, datetime.now(UTC))
    state = _state_for(session, change)
    turn = take_up(c, session, ask, state, claimant) if owed else None
    raised = added + (turn is not None and change.fresh)
    settings = settings_of(session)
    stopping = None
    if turn is not None:
        settings = _apply(c, session, change, ask.position, added)
        if change.stop and session.running_turn:
            ask_to_stop(c, session)
            stopping = session.running_turn
    if added or turn is not None:
        running = turn if state == "running" and turn is not None else session.running_turn
        waiting = 0 if stopping else session.queued + (state == "queued" and turn is not None)
        c.execute(
            _COUNT,
            {
                "session": session.id,
                "raised": raised,
                "added": added,
                "turn": running,
                "waiting": waiting,
                "joins": session.joined or outright,
                "now": ask.at,
            },
        )
    return Recorded(
        receipt=_receipt(turn, state),
        session_id=session.id,
        version=session.version + raised,
        fresh=added,
        turn=first_claim(session, turn, ask, session.version + raised, settings)
        if turn is not None and state == "running"
        else None,
        stopping=stopping,
    )


def _lock(c: sa.Connection, said: Said, outright: bool) -> Any:
    """The session's row, locked; made now if the bot was called outright; else None."""
    session = c.execute(LOCK_SESSION, key_values(said.key)).first()
    if session is not None or not outright:
        return session
    lock_key(c, said.key)
    if _buried(c, said.key, said.message.position):
        return None
    whole = 0 if said.opens_thread else None
    return _make(c, said.key, said.message, joined=True, complete_from=whole, closed=said.closed)


def _make(
    c: sa.Connection,
    key: SessionKey,
    first: Message,
    *,
    joined: bool,
    complete_from: int | None,
    closed: bool,
) -> Any:
    c.execute(
        _INSERT_SESSION(c),
        {
            "platform": key.platform,
            "workspace": key.workspace,
            "channel": key.channel,
            "thread": key.thread,
            "version": 0,
            "messages": 0,
            "last_reply": 0,
            "queued": 0,
            "joined": joined,
            "paused": False,
            "model": "",
            "persona": "",
            "fresh_from": 0,
            "complete_from": complete_from,
            "title": title_of(first.text),
            "started_by": first.author.id,
            "created_at": first.sent_at,
            "active_at": first.sent_at,
            "closed": closed,
        },
    )
    return c.execute(LOCK_SESSION, key_values(key)).one()


def _unmake(c: sa.Connection, session_id: int) -> None:
    """Take back a session made for the second copy of one gesture, or for what was deleted meanwhile."""
    c.execute(sa.delete(sessions).where(sessions.c.id == session_id))


def _state_for(session: Any, change: Change) -> str:
    """How a question begins in this session: `running`, `queued`, or `done` for one that stops another."""
    if session.running_turn is None:
        return "running"
    return "done" if change.stop else "queued"


def _receipt(turn: int | None, state: str) -> Receipt:
    if turn is None or state == "done":
        return Receipt.KEPT
    return Receipt.ANSWERING if state == "running" else Receipt.QUEUED


def _apply(c: sa.Connection, session: Any, change: Change, position: int, added: int = 0) -> ThreadSettings:
    """Carry out what the command changes of the session; its settings from now on."""
    values: dict[str, Any] = {
        name: value for name in ("model", "persona", "paused") if (value := getattr(change, name)) is not None
    }
    if change.fresh:
        values["fresh_from"] = max(position, session.fresh_from)
    if values:
        c.execute(sa.update(sessions).where(sessions.c.id == session.id).values(values))
    now = settings_of(session)
    return ThreadSettings(
        model=values.get("model", now.model),
        persona=values.get("persona", now.persona),
        paused=values.get("paused", now.paused),
        fresh_from=values.get("fresh_from", now.fresh_from),
        complete_from=now.complete_from,
        messages=now.messages + added,
    )


def _is_there(c: sa.Connection, session_id: int, position: int) -> bool:
    return c.execute(_MESSAGE_AT, {"session": session_id, "place": position}).first() is not None


def _buried(c: sa.Connection, key: SessionKey, position: int) -> bool:
    return c.execute(_BURIED_AT, {**key_values(key), "place": position}).first() is not None


def _edit(c: sa.Connection, edited: Edited, found: Findable) -> bool:
    new = edited.message
    session = c.execute(LOCK_SESSION, key_values(edited.key)).first()
    if session is None:
        if edited.addressed is not Addressed.MENTION:
            return False
        lock_key(c, edited.key)
        if _buried(c, edited.key, new.position):
            return False
        session = _make(c, edited.key, new, joined=False, complete_from=None, closed=edited.closed)
    old = c.execute(_MESSAGE_AT, {"session": session.id, "place": new.position}).first()
    if old is None:
        added = insert_message(c, session, edited.key, new, found)
        if added:
            _changed_at(c, session.id, new.position, added=1)
        return added
    if not _supersedes(new, old):
        return False
    c.execute(
        _REWRITE,
        {
            "message": old.id,
            "new_text": new.text,
            "new_attachments": attachments_to_json(new.attachments),
            "new_edited_at": new.edited_at,
        },
    )
    let_find_no_more(c, session.id, old)
    let_find(c, session, edited.key, found)
    _changed_at(c, session.id, new.position)
    return True


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


def _delete(c: sa.Connection, deleted: Deleted) -> bool:
    session = c.execute(LOCK_SESSION, key_values(deleted.key)).first()
    if session is None:
        lock_key(c, deleted.key)
        session = c.execute(LOCK_SESSION, key_values(deleted.key)).first()
    now = datetime.now(UTC)
    c.execute(BURY(c), tombstone_values(deleted.key, deleted.position, now))
    if session is None:
        return False
    place = {"session": session.id, "place": deleted.position}
    reply = c.execute(_PARTS_OF_REPLY_AT, place).all()
    if reply:
        return _cut_out(c, session, deleted, reply)
    message = c.execute(_MESSAGE_AT, place).first()
    if message is None:
        return False
    c.execute(_ERASE, {"message": message.id})
    let_find_no_more(c, session.id, message)
    _changed_at(c, session.id, deleted.position, added=-1)
    if c.execute(_DROP_ASKED, {**place, "now": now}).rowcount:
        c.execute(_ONE_LESS_WAITING, {"session": session.id})
    return True


def _cut_out(c: sa.Connection, session: Any, deleted: Deleted, reply: Sequence[Any]) -> bool:
    """A post of a reply is gone: so is its share of the text, and with the last one the reply."""
    gone = next(i for i, part in enumerate(reply) if part.position == deleted.position)
    start = reply[gone - 1].end if gone else 0
    length = max(0, reply[gone].end - start)
    home = {"session": session.id, "place": reply[0].reply_position}
    message = c.execute(_MESSAGE_AT, home).first()
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


def _add_history(c: sa.Connection, turn: Turn, history: History, found: Sequence[Findable]) -> int:
    session = c.execute(LOCK_SESSION_BY_ID, {"session": turn.session_id}).one()
    owned = sa.select(turns.c.id).where(
        turns.c.id == turn.id, turns.c.epoch == turn.epoch, turns.c.state == "running"
    )
    if c.execute(owned).first() is None:
        raise LeaseLost("The turn is somebody else's.")
    added = sum(
        insert_message(c, session, turn.key, message, found_of)
        for message, found_of in zip(history.messages, found, strict=True)
    )
    oldest = history.messages[0].position if history.messages else min(turn.asked)
    c.execute(
        sa.update(sessions)
        .where(sessions.c.id == session.id)
        .values(
            complete_from=0 if history.whole else oldest,
            version=session.version + bool(added),
            messages=session.messages + added,
        )
    )
    version: int = session.version + bool(added)
    return version


def _change(c: sa.Connection, key: SessionKey, change: Change) -> Changed | None:
    session = c.execute(LOCK_SESSION, key_values(key)).first()
    if session is None:
        return None
    newest = c.execute(_NEWEST_POSITION, {"session": session.id}).scalar() or 0
    settings = _apply(c, session, change, newest)
    if change.fresh:
        c.execute(_RAISE, {"session": session.id, "added": 0})
    stopping = session.running_turn if change.stop else None
    if stopping is not None:
        ask_to_stop(c, session)
    return Changed(settings, stopping)
