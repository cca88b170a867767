"""Claiming a turn: what receiving, closing, taking over and trying again have in common.

All of it runs with the session's row locked, so there is one claim at a time in a session.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from bot.domain import Author, Part, ThreadSettings, Turn
from storage.archive.statements import OnConflict, key_of, settings_of
from storage.prepared import prepared
from storage.tables import QUEUED, clock, messages, parts, sessions, turns


class Claimant(NamedTuple):
    """The process that claims, and for how long a claim holds."""

    owner: str
    lease_s: float


_lease = clock() + sa.bindparam("lease_s", type_=sa.Double)

_INSERT_TURN: Final = OnConflict(
    lambda insert: (
        insert(turns)
        .values(
            session_id=sa.bindparam("session"),
            asked_position=sa.bindparam("asked"),
            asker_id=sa.bindparam("asker_id"),
            asker_name=sa.bindparam("asker_name"),
            state=sa.bindparam("state"),
            owner=sa.bindparam("owner"),
            lease_until=_lease,
            epoch=sa.bindparam("epoch"),
            cut=sa.bindparam("cut"),
            stop_asked=False,
            command=sa.bindparam("command"),
            deaths=0,
            created_at=sa.bindparam("now"),
            model="",
        )
        .on_conflict_do_nothing()
        .returning(turns.c.id)
    )
).prepared()
"""No row comes back when the question was taken up before."""

_left_by_the_dead = sa.and_(turns.c.state == "running", turns.c.owner != "")
"""Its owner neither closed it nor gave it back."""

_CLAIM: Final = prepared(
    sa.update(turns)
    .where(turns.c.id == sa.bindparam("turn"))
    .values(
        state="running",
        owner=sa.bindparam("new_owner"),
        lease_until=_lease,
        epoch=turns.c.epoch + 1,
        deaths=turns.c.deaths + sa.case((_left_by_the_dead, 1), else_=0),
        cut=sa.bindparam("new_cut"),
        stop_asked=sa.and_(turns.c.state == "running", turns.c.stop_asked),
        finished_at=None,
    )
    .returning(turns.c.epoch, turns.c.deaths, turns.c.stop_asked)
)

_INTEND_FIRST: Final = OnConflict(lambda insert: insert(parts).on_conflict_do_nothing()).prepared()

NEVER_RAN: Final = 0
"""The epoch of a turn that was queued and not claimed since: nobody has begun to answer it."""

_QUEUED: Final = prepared(
    sa.select(
        turns.c.id,
        turns.c.asked_position,
        turns.c.asker_id,
        turns.c.asker_name,
        turns.c.state,
        turns.c.epoch,
        turns.c.cut,
        turns.c.command,
    )
    .where(turns.c.session_id == sa.bindparam("session"), turns.c.state == QUEUED)
    .order_by(turns.c.asked_position)
)
_MERGE: Final = (
    sa.update(turns)
    .where(
        turns.c.session_id == sa.bindparam("session"),
        turns.c.state == QUEUED,
        turns.c.id != sa.bindparam("turn"),
    )
    .values(state="merged", into_id=sa.bindparam("turn"))
)
_of_merged = sa.select(turns.c.id).where(turns.c.into_id == sa.bindparam("turn"))
_MERGE_MERGED: Final = (
    sa.update(turns).where(turns.c.into_id.in_(_of_merged)).values(into_id=sa.bindparam("turn"))
)
"""What those answered that are merged now (they failed, and were to be tried again)."""
_ASKED: Final = prepared(
    sa.select(turns.c.asked_position, turns.c.command)
    .where(sa.or_(turns.c.id == sa.bindparam("turn"), turns.c.into_id == sa.bindparam("turn")))
    .order_by(turns.c.asked_position)
)
_ANY_THERE: Final = (
    sa.select(messages.c.id)
    .where(
        messages.c.session_id == sa.bindparam("session"),
        messages.c.position.in_(sa.bindparam("places", expanding=True)),
    )
    .limit(1)
)
_PARTS: Final = prepared(
    sa.select(parts).where(parts.c.turn_id == sa.bindparam("turn")).order_by(parts.c.number)
)
_TAKE: Final = prepared(
    sa.update(sessions)
    .where(sessions.c.id == sa.bindparam("session"))
    .values(running_turn=sa.bindparam("turn"), queued=sa.bindparam("waiting"))
)


class Ask(NamedTuple):
    """A message that wants an answer."""

    position: int
    by: Author
    at: datetime
    command: str = ""
    """The words of the command that it is."""


def take_up(c: sa.Connection, session: Any, ask: Ask, state: str, claimant: Claimant) -> int | None:
    """Make the turn of `ask` in the given state; its id, or None if it had been taken up before."""
    cut = max(ask.position, session.last_reply)
    made = _INSERT_TURN.first(
        c,
        {
            "session": session.id,
            "asked": ask.position,
            "asker_id": ask.by.id,
            "asker_name": ask.by.name,
            "state": state,
            "owner": claimant.owner,
            "lease_s": claimant.lease_s,
            "epoch": NEVER_RAN if state == "queued" else 1,
            "cut": cut,
            "command": ask.command,
            "now": ask.at,
        },
    )
    turn: int | None = made and made.id
    if turn is not None and state == "running":
        _intend_first(c, session.id, turn)
    return turn


def first_claim(session: Any, turn: int, ask: Ask, version: int, settings: ThreadSettings) -> Turn:
    """The value of a turn that `take_up` just made running."""
    return Turn(
        id=turn,
        session_id=session.id,
        key=key_of(session),
        asked=(ask.position,),
        cut=max(ask.position, session.last_reply),
        epoch=1,
        version=version,
        asker=ask.by,
        commands=_commands([(ask.position, ask.command)]),
        settings=settings,
    )


def claim_waiting(c: sa.Connection, session: Any, version: int, claimant: Claimant) -> Turn | None:
    """Claim the newest turn that waits in the session, which answers all others that wait too.

    The session is left with that as its running turn, or with none.
    """
    waiting = _QUEUED.all(c, {"session": session.id})
    newest = waiting[-1] if waiting else None
    if newest is None:
        _TAKE.run(c, {"session": session.id, "turn": None, "waiting": 0})
        return None
    if len(waiting) > 1:
        c.execute(_MERGE, {"session": session.id, "turn": newest.id})
        c.execute(_MERGE_MERGED, {"turn": newest.id})
    return claim(c, session, newest, version, claimant, alone=len(waiting) == 1)


def claim(
    c: sa.Connection, session: Any, row: Any, version: int, claimant: Claimant, *, alone: bool = False
) -> Turn:
    """Make the turn `row` run for `claimant`, under a new epoch.

    A turn that ran before keeps its cut: whoever goes on with a reply answers the same messages.
    `alone`: nothing was merged into it just now.
    """
    new = row.epoch == NEVER_RAN
    questions = [(row.asked_position, row.command)] if new and alone else _questions(c, row.id)
    asked = tuple(position for position, _ in questions)
    begun = () if new else tuple(Part(p.number, p.position, p.end) for p in _PARTS.all(c, {"turn": row.id}))
    cut = row.cut if begun else max(asked[-1], session.last_reply)
    claimed = _CLAIM.one(
        c, {"turn": row.id, "new_owner": claimant.owner, "lease_s": claimant.lease_s, "new_cut": cut}
    )
    if not begun:
        _intend_first(c, session.id, row.id)
    _TAKE.run(
        c,
        {"session": session.id, "turn": row.id, "waiting": 0 if row.state == "queued" else session.queued},
    )
    return Turn(
        id=row.id,
        session_id=session.id,
        key=key_of(session),
        asked=asked,
        cut=cut,
        epoch=claimed.epoch,
        deaths=claimed.deaths,
        stopping=claimed.stop_asked,
        version=version,
        asker=Author(row.asker_id, row.asker_name),
        commands=_commands(questions),
        parts=begun,
        taken_over=bool(begun),
        settings=settings_of(session),
    )


def _questions(c: sa.Connection, turn: int) -> list[tuple[int, str]]:
    return [tuple(question) for question in _ASKED.all(c, {"turn": turn})]


def stop_unasked(c: sa.Connection, session: Any, deleted: int) -> int | None:
    """Ask the running turn to stop if `deleted` was the last of its questions that was there; its id.

    Those that wait stay: they have questions of their own.
    """
    if session.running_turn is None:
        return None
    asked = [question.asked_position for question in _ASKED.all(c, {"turn": session.running_turn})]
    if deleted not in asked or c.execute(_ANY_THERE, {"session": session.id, "places": asked}).first():
        return None
    c.execute(_ASK_TO_STOP, {"turn": session.running_turn})
    return int(session.running_turn)


def _commands(questions: Iterable[tuple[int, str]]) -> tuple[tuple[int, str], ...]:
    return tuple((position, command) for position, command in questions if command)


def _intend_first(c: sa.Connection, session_id: int, turn: int) -> None:
    _INTEND_FIRST.run(
        c,
        {"turn_id": turn, "number": 1, "session_id": session_id, "position": None, "end": 0},
    )


_DROP_WAITING: Final = (
    sa.update(turns)
    .where(turns.c.session_id == sa.bindparam("session"), turns.c.state == QUEUED)
    .values(state="dropped", finished_at=sa.bindparam("now"))
)
_ASK_TO_STOP: Final = sa.update(turns).where(turns.c.id == sa.bindparam("turn")).values(stop_asked=True)


def ask_to_stop(c: sa.Connection, session: Any) -> None:
    """Ask the owner of the running turn to stop, and drop the turns that wait."""
    c.execute(_ASK_TO_STOP, {"turn": session.running_turn})
    if session.queued:
        c.execute(_DROP_WAITING, {"session": session.id, "now": datetime.now(UTC)})
        _TAKE.run(c, {"session": session.id, "turn": session.running_turn, "waiting": 0})
