"""Recording what was said, edited and deleted: the transaction that everything is decided in."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from bot.domain import (
    Addressed,
    Change,
    Changed,
    Deleted,
    Edited,
    History,
    Receipt,
    Recorded,
    Removed,
    Reread,
    Said,
    SessionKey,
    ThreadSettings,
    Turn,
)
from bot.errors import LeaseLost
from storage.archive.claims import Ask, Claimant, ask_to_stop, first_claim, take_up
from storage.archive.lending import keep, our_posts
from storage.archive.rereading import compare
from storage.archive.rewriting import remove, rewrite, thread_with
from storage.archive.searchable import found_by, let_find
from storage.archive.sessions import is_buried, make_session, message_at, unmake_session
from storage.archive.statements import (
    LOCK_SESSION,
    LOCK_SESSION_BY_ID,
    LOCK_SESSION_SOON,
    insert_message,
    key_values,
    lock_key,
    message_of,
    settings_of,
)
from storage.database import Database
from storage.prepared import prepared
from storage.search.index import Findable
from storage.tables import messages, sessions, turns

_COUNT: Final = prepared(
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
_NEWEST_POSITION: Final = sa.select(sa.func.max(messages.c.position)).where(
    messages.c.session_id == sa.bindparam("session")
)


class Records:
    """What was said, in SQL. One transaction a call; each may be repeated without harm."""

    def __init__(self, database: Database, claimant: Claimant, lent_s: float | None = None) -> None:
        """`lent_s`: for how long what was only read is kept; None: like everything else."""
        self._database = database
        self._claimant = claimant
        self._lent_s = lent_s

    def _until(self, read: bool) -> datetime | None:
        """Until when something is lent; None: it is ours to keep."""
        if not read or self._lent_s is None:
            return None
        return datetime.now(UTC) + timedelta(seconds=self._lent_s)

    async def record(self, said: Said, change: Change | None = None, command: str = "") -> Recorded:
        """Keep what was said, carry out the `change` it commands, and claim its turn if it is owed one.

        `command` are the words of the command that it is, for whoever answers it.

        Asked a second time for the same message it changes nothing, except that a message which
        was only kept before is taken up now.
        """
        found, until = found_by(said.message), self._until(said.read)
        return await self._database.write(
            lambda c: _record(c, said, found, change or Change(), command, self._claimant, until)
        )

    async def edit(self, edited: Edited) -> bool:
        """Let the archive say what the platform says now; whether anything changed."""
        found, until = found_by(edited.message), self._until(edited.read)
        return await self._database.write(lambda c: rewrite(c, edited, found, until))

    async def delete(self, deleted: Deleted) -> Removed | None:
        """Remove the message, and let nothing bring it back; None if that changed nothing.

        A turn that has nothing left to answer by it is dropped, or asked to stop if it runs. A platform
        may not know any more in which thread it was: then it is looked for in the whole channel.
        """
        removed = await self._database.write(lambda c: remove(c, deleted))
        if removed is not None:
            return removed
        thread = await self._database.read(lambda c: thread_with(c, deleted))
        if thread is None or thread == deleted.key.thread:
            return None
        there = replace(deleted, key=replace(deleted.key, thread=thread))
        return await self._database.write(lambda c: remove(c, there, again=True))

    async def reread(self, reread: Reread) -> bool:
        """Carry out the deletions and edits that a second reading shows; whether anything changed."""
        found = [found_by(message) for message in reread.edited]
        return await self._database.write(lambda c: compare(c, reread, found))

    async def add_history(self, turn: Turn, history: History) -> int:
        """Archive what was said before the bot was called; the session's version now.

        Raises `LeaseLost` when the turn is not ours any more.
        """
        found, until = [found_by(message) for message in history.messages], self._until(read=True)
        return await self._database.write(lambda c: _add_history(c, turn, history, found, until))

    async def change(self, key: SessionKey, change: Change) -> Changed | None:
        """Carry out `change` for a command that is no message; None if there is no such session."""
        return await self._database.write(lambda c: _change(c, key, change))


def _record(
    c: sa.Connection,
    said: Said,
    found: Findable,
    change: Change,
    command: str,
    claimant: Claimant,
    lent_until: datetime | None,
) -> Recorded:
    outright = said.addressed in (Addressed.MENTION, Addressed.DIRECT)
    session = _lock(c, said, outright, lent=lent_until is not None)
    if session is None:
        return Recorded(Receipt.IGNORED)
    added = insert_message(c, session, said.key, said.message, found, said.gesture, lent_until)
    if not added and lent_until is None and keep(c, session.id, said.message.position):
        kept = message_of(message_at(c, session.id, said.message.position))
        let_find(c, session, said.key, found if kept == said.message else found_by(kept))
    if not added and not session.version:
        unmake_session(c, session.id)
        return Recorded(Receipt.KEPT)
    wanted = outright or (said.addressed is Addressed.THREAD and session.joined and not session.paused)
    owed = wanted and said.answer and (added or _is_there(c, session.id, said.message.position))
    ask = Ask(said.message.position, said.message.author, datetime.now(UTC), command)
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
        _COUNT.run(
            c,
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


def _lock(c: sa.Connection, said: Said, outright: bool, *, lent: bool) -> Any:
    """The session's row, locked; made now if the bot was called outright; else None.

    What is only `lent` leaves no title.
    """
    session = LOCK_SESSION_SOON.first(c, key_values(said.key))
    if session is not None or not outright:
        return session
    lock_key(c, said.key)
    if is_buried(c, said.key, said.message.position):
        return None
    whole = 0 if said.opens_thread else None
    first = replace(said.message, text="") if lent else said.message
    return make_session(c, said.key, first, joined=True, complete_from=whole, closed=said.closed)


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
        values["continues"] = ""
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
        continues=None if change.fresh else now.continues,
    )


def _is_there(c: sa.Connection, session_id: int, position: int) -> bool:
    return message_at(c, session_id, position) is not None


def _add_history(
    c: sa.Connection,
    turn: Turn,
    history: History,
    found: Sequence[Findable],
    lent_until: datetime | None,
) -> int:
    session = c.execute(LOCK_SESSION_BY_ID, {"session": turn.session_id}).one()
    owned = sa.select(turns.c.id).where(
        turns.c.id == turn.id, turns.c.epoch == turn.epoch, turns.c.state == "running"
    )
    if c.execute(owned).first() is None:
        raise LeaseLost("The turn is somebody else's.")
    ours = our_posts(c, session.id, [message.position for message in history.messages])
    added = sum(
        insert_message(c, session, turn.key, message, found_of, lent_until=lent_until)
        for message, found_of in zip(history.messages, found, strict=True)
        if message.position not in ours
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
