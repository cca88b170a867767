"""Turns in SQL: renewed, closed, handed on, taken over. Every write checks the epoch."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from bot.domain import Answer, Author, Closed, Message, Outcome, Part, Receipt, Recorded, SessionKey, Turn
from bot.errors import LeaseLost, StoreError
from storage.archive.claims import Claimant, ask_to_stop, claim, claim_waiting
from storage.archive.erasing import bury
from storage.archive.lending import keep
from storage.archive.searchable import found_by, let_find, let_find_no_more
from storage.archive.sessions import buried_among, message_at
from storage.archive.standing import Standing
from storage.archive.statements import (
    LOCK_SESSION,
    SESSION,
    VOID_SUMMARIES,
    OnConflict,
    insert_message,
    key_values,
    message_of,
)
from storage.database import Database
from storage.prepared import prepared
from storage.search.index import Findable
from storage.tables import RUNNING, clock, feedback, messages, parts, sessions, turns

OVERDUE_AT_ONCE = 20
"""Most turns that one sweep takes over; the next sweep takes the rest."""

_ours = sa.and_(
    turns.c.id == sa.bindparam("turn"),
    turns.c.epoch == sa.bindparam("at_epoch"),
    turns.c.state == "running",
)
_is_ours = sa.select(turns.c.id).where(_ours)

_RENEW: Final = (
    sa.update(turns)
    .where(
        turns.c.id.in_(sa.bindparam("held", expanding=True)),
        turns.c.owner == sa.bindparam("mine"),
        turns.c.state == "running",
    )
    .values(lease_until=clock() + sa.bindparam("lease_s", type_=sa.Double))
    .returning(turns.c.id, turns.c.epoch, turns.c.stop_asked)
)
_RELEASE: Final = (
    sa.update(turns)
    .where(_ours)
    .values(owner="", lease_until=clock() + sa.bindparam("wait_s", type_=sa.Double))
)
"""Without an owner, so that whoever claims it next does not count a death."""
_here = sa.exists().where(
    sessions.c.id == turns.c.session_id, sessions.c.platform.in_(sa.bindparam("here", expanding=True))
)
_OVERDUE: Final = (
    sa.select(turns.c.id, turns.c.session_id)
    .where(turns.c.state == RUNNING, turns.c.lease_until < clock(), _here)
    .order_by(turns.c.lease_until)
    .limit(OVERDUE_AT_ONCE)
)
"""Not a join, which SQLite would begin at the sessions: every few seconds, all that there ever were."""
_STILL_OVERDUE: Final = (
    sa.select(turns)
    .where(turns.c.id == sa.bindparam("turn"), turns.c.state == "running", turns.c.lease_until < clock())
    .with_for_update()
)
"""Locked, so that the owner's renewal comes wholly before (and it is not overdue) or after (and fails)."""
_LOCK_FREE_SESSION: Final = (
    sa.select(sessions).where(sessions.c.id == sa.bindparam("session")).with_for_update(skip_locked=True)
)
_INTEND: Final = OnConflict(
    lambda insert: (
        insert(parts)
        .from_select(
            ["turn_id", "number", "session_id", "end"],
            sa.select(
                turns.c.id,
                sa.bindparam("nth", type_=sa.Integer),
                turns.c.session_id,
                sa.literal(0, type_=sa.Integer),
            ).where(_ours),
        )
        .on_conflict_do_nothing()
    )
)
_POSTED: Final = (
    sa.update(parts)
    .where(
        parts.c.turn_id == sa.bindparam("turn"),
        parts.c.number == sa.bindparam("nth"),
        sa.exists(_is_ours),
    )
    .values(position=sa.bindparam("place"))
)
_CLAIMED_POSITIONS: Final = sa.select(parts.c.position).where(
    parts.c.session_id == sa.bindparam("session"),
    parts.c.position.in_(sa.bindparam("places", expanding=True)),
)

_CLOSE_SESSION: Final = prepared(
    sa.update(sessions)
    .where(sessions.c.id == sa.bindparam("session"))
    .values(
        version=sessions.c.version + sa.bindparam("added"),
        messages=sessions.c.messages + sa.bindparam("added"),
        last_reply=sa.case(
            (
                sessions.c.last_reply < sa.bindparam("reply", type_=sa.BigInteger),
                sa.bindparam("reply", type_=sa.BigInteger),
            ),
            else_=sessions.c.last_reply,
        ),
        running_turn=None,
        active_at=sa.bindparam("now"),
    )
    .returning(*SESSION)
)
_CLOSE_TURN: Final = prepared(
    sa.update(turns)
    .where(_ours)
    .values(
        state=sa.bindparam("new_state"),
        finished_at=sa.bindparam("now"),
        reply_position=sa.bindparam("reply"),
        **{
            name: sa.bindparam(f"u_{name}")
            for name in (
                "model",
                "prompt_tokens",
                "completion_tokens",
                "total_tokens",
                "response_id",
                "system_fingerprint",
                "finish_reason",
                "latency_ms",
            )
        },
    )
    .returning(turns.c.forgotten)
)
_more_parts = sa.exists().where(parts.c.turn_id == sa.bindparam("turn"), parts.c.number > sa.bindparam("nth"))
_KEEP_PART: Final = OnConflict(
    lambda insert: (
        (
            kept := insert(parts).values(
                turn_id=sa.bindparam("turn"),
                number=sa.bindparam("nth"),
                session_id=sa.bindparam("session"),
                position=sa.bindparam("place"),
                end=sa.bindparam("upto"),
            )
        )
        .on_conflict_do_update(
            index_elements=["turn_id", "number"],
            set_={"position": kept.excluded.position, "end": kept.excluded.end},
        )
        .returning(_more_parts.label("more"))
    )
).prepared()
_TAKE_AWAY: Final = sa.delete(turns).where(turns.c.id == sa.bindparam("turn"))
"""A turn of which all was erased while it ran: erasing left it to be closed."""
_DROP_PARTS: Final = sa.delete(parts).where(
    parts.c.turn_id == sa.bindparam("turn"), parts.c.number > sa.bindparam("last")
)
_TURN_ASKED: Final = sa.select(turns).where(
    turns.c.session_id == sa.bindparam("session"), turns.c.asked_position == sa.bindparam("asked")
)


class Turns:
    """The turns of one process. Methods that write raise `LeaseLost` when the turn is not ours."""

    def __init__(self, database: Database, claimant: Claimant) -> None:
        self._database = database
        self._claimant = claimant

    async def renew(self, held: Sequence[int]) -> dict[int, tuple[int, bool]]:
        """Lengthen our leases on the turns `held`: id to (epoch, somebody asked it to stop).

        Turns that are missing from the answer are not ours any more.
        """
        values = {"held": list(held), "mine": self._claimant.owner, "lease_s": self._claimant.lease_s}
        rows = await self._database.write(lambda c: c.execute(_RENEW, values).all())
        return {row.id: (row.epoch, row.stop_asked) for row in rows}

    async def release(self, turn: Turn, wait_s: float) -> None:
        """Hand `turn` to whoever looks `wait_s` seconds from now. Does nothing if it is not ours."""
        values = {"turn": turn.id, "at_epoch": turn.epoch, "wait_s": wait_s - 0.001}
        await self._database.write(lambda c: c.execute(_RELEASE, values).rowcount)

    async def take_over(self, platforms: Sequence[str]) -> list[Turn]:
        """Claim turns on `platforms` whose owners let their leases run out, by the database's clock."""
        here = {"here": list(platforms)}
        overdue = await self._database.read(lambda c: c.execute(_OVERDUE, here).all())
        claimed: list[Turn] = []
        for row in overdue:
            try:
                turn = await self._database.write(lambda c, row=row: _take_over(c, row, self._claimant))  # type: ignore[misc]
            except StoreError:
                if not claimed:
                    raise
                break  # those that are claimed are to be run; the others are found again
            if turn is not None:
                claimed.append(turn)
        return claimed

    async def intend(self, turn: Turn, number: int) -> None:
        """Write that part `number` is about to be posted."""
        values = {"turn": turn.id, "at_epoch": turn.epoch, "nth": number}
        await self._database.write(lambda c: _intend(c, values))

    async def posted(self, turn: Turn, number: int, position: int) -> None:
        """Write the platform's id of part `number`."""
        values = {"turn": turn.id, "at_epoch": turn.epoch, "nth": number, "place": position}
        await self._database.write(lambda c: _require(c.execute(_POSTED, values).rowcount))

    async def unclaimed(self, turn: Turn, positions: Sequence[int]) -> frozenset[int]:
        """Those of `positions` that no part of the session names."""
        values = {"session": turn.session_id, "places": list(positions)}
        claimed = await self._database.read(lambda c: set(c.execute(_CLAIMED_POSITIONS, values).scalars()))
        return frozenset(positions) - claimed

    async def close(self, turn: Turn, answer: Answer, posted: Sequence[Part], at: datetime) -> Closed:
        """Archive the reply with its usage, close the turn, and claim the one that waits, in one transaction.

        `at`: when the reply's first part was posted. Parts that somebody deleted, and their share of the
        text, are not archived; where none is left, the turn is closed without a reply.
        """
        said = Standing.of(answer, posted, at)
        return await self._database.write(lambda c: _close(c, turn, answer, said, self._claimant))

    async def again(self, key: SessionKey, asked: int) -> Recorded:
        """Claim a turn that failed for another try, or queue it behind the one that runs.

        Pressed twice it is the same. Ignored where there is nothing to try again.
        """
        return await self._database.write(lambda c: _again(c, key, asked, self._claimant))

    async def stop(self, key: SessionKey, asked: int) -> int | None:
        """Ask for the running turn that answers `asked` to stop; its id, or None if it does not run."""
        return await self._database.write(lambda c: _stop(c, key, asked))

    async def judge(self, key: SessionKey, asked: int, by: Author, good: bool) -> None:
        """Keep what a person thinks of the reply to `asked`; the last opinion counts."""
        await self._database.write(lambda c: _judge(c, key, asked, by, good))


def _require(count: int) -> None:
    if not count:
        raise LeaseLost("The turn is somebody else's.")


def _intend(c: sa.Connection, values: dict[str, Any]) -> None:
    if not c.execute(_INTEND(c), values).rowcount:
        _require(len(c.execute(_is_ours, values).all()))


def _take_over(c: sa.Connection, overdue: Any, claimant: Claimant) -> Turn | None:
    session = c.execute(_LOCK_FREE_SESSION, {"session": overdue.session_id}).first()
    if session is None:
        return None
    row = c.execute(_STILL_OVERDUE, {"turn": overdue.id}).first()
    return claim(c, session, row, session.version, claimant) if row is not None else None


def _close(
    c: sa.Connection,
    turn: Turn,
    answer: Answer,
    said: Standing,
    claimant: Claimant,
) -> Closed:
    now = datetime.now(UTC)
    said = said.without(_buried(c, turn.key, said.parts))
    reply = said.reply
    added = int(bool(reply))
    session = _CLOSE_SESSION.one(
        c, {"session": turn.session_id, "added": added, "reply": reply.position if reply else 0, "now": now}
    )
    usage = answer.usage
    ended = _CLOSE_TURN.first(
        c,
        {
            "turn": turn.id,
            "at_epoch": turn.epoch,
            "new_state": answer.outcome.value,
            "now": now,
            "reply": reply.position if reply else None,
            **{f"u_{name}": getattr(usage, name) for name in usage.__slots__},
        },
    )
    if ended is None:
        raise LeaseLost("The turn is somebody else's.")
    if ended.forgotten:
        bury(c, turn.key, [part.position for part in said.parts if part.position is not None])
    appended = reply is not None and _archive_reply(
        c, session, turn, reply, said.found or found_by(reply), now, forgotten=ended.forgotten
    )
    _keep_parts(c, turn, said.parts)
    if ended.forgotten and _ends_at(turn, said.parts) <= session.forgotten_upto:
        c.execute(_TAKE_AWAY, {"turn": turn.id})
    waiting = claim_waiting(c, session, session.version, claimant) if session.queued else None
    return Closed(version=session.version, reply=reply if appended else None, next=waiting)


def _ends_at(turn: Turn, posted: Sequence[Part]) -> int:
    """The newest position of what a turn answers and posted."""
    return max(turn.asked[-1], *(part.position or 0 for part in posted), 0)


def _buried(c: sa.Connection, key: SessionKey, posted: Sequence[Part]) -> frozenset[int]:
    """Positions of parts that were deleted while the turn ran. Of a single one, the insert itself knows."""
    positions = [part.position for part in posted if part.position is not None]
    return buried_among(c, key, positions) if len(positions) > 1 else frozenset()


def _archive_reply(
    c: sa.Connection,
    session: Any,
    turn: Turn,
    reply: Message,
    found: Findable,
    now: datetime,
    *,
    forgotten: bool,
) -> bool:
    """Whether it is new. One that is there (a second try, in place) is rewritten, unless it is to go.

    If it was read on the platform before, it stays under the name that it was read under, and is kept.
    """
    if insert_message(c, session, turn.key, reply, found):
        return True
    there = message_at(c, session.id, reply.position)
    if there is not None and not forgotten:
        keep(c, session.id, reply.position)
        changed = sa.update(messages).where(messages.c.id == there.id)
        c.execute(changed.values(text=reply.text, note=reply.note, edited_at=now))
        let_find_no_more(c, session.id, there)
        by = message_of(there).author
        let_find(c, session, turn.key, found if by == reply.author else found_by(replace(reply, author=by)))
        c.execute(VOID_SUMMARIES, {"session": session.id, "place": reply.position, "upto": reply.position})
    c.execute(sa.update(sessions).where(sessions.c.id == session.id).values(messages=sessions.c.messages - 1))
    return False


def _keep_parts(c: sa.Connection, turn: Turn, posted: Sequence[Part]) -> None:
    """Keep what was posted; what was only meant to be posted, and was not needed, is dropped."""
    more = not posted
    for part in posted:
        more = _KEEP_PART.one(
            c,
            {
                "turn": turn.id,
                "nth": part.number,
                "session": turn.session_id,
                "place": part.position,
                "upto": part.end,
            },
        ).more
    if more:
        c.execute(_DROP_PARTS, {"turn": turn.id, "last": posted[-1].number if posted else 0})


_UNDER_WAY: Final = {"queued": Receipt.QUEUED, "running": Receipt.ANSWERING}
"""A turn that is tried again already."""


def _again(c: sa.Connection, key: SessionKey, asked: int, claimant: Claimant) -> Recorded:
    session = c.execute(LOCK_SESSION, key_values(key)).first()
    row = session and c.execute(_TURN_ASKED, {"session": session.id, "asked": asked}).first()
    if session is None or row is None or row.forgotten:
        return Recorded(Receipt.IGNORED)
    if row.state != Outcome.FAILED.value:
        return Recorded(_UNDER_WAY.get(row.state, Receipt.IGNORED))
    if message_at(c, session.id, asked) is None:  # deleted meanwhile, or given back
        return Recorded(Receipt.IGNORED)
    if session.running_turn is None:
        return Recorded(Receipt.ANSWERING, turn=claim(c, session, row, session.version, claimant))
    c.execute(sa.update(turns).where(turns.c.id == row.id).values(state="queued"))
    c.execute(sa.update(sessions).where(sessions.c.id == session.id).values(queued=session.queued + 1))
    return Recorded(Receipt.QUEUED)


def _stop(c: sa.Connection, key: SessionKey, asked: int) -> int | None:
    session = c.execute(LOCK_SESSION, key_values(key)).first()
    row = session and c.execute(_TURN_ASKED, {"session": session.id, "asked": asked}).first()
    if session is None or row is None or session.running_turn != row.id:
        return None
    ask_to_stop(c, session)
    return int(row.id)


_JUDGE: Final = OnConflict(
    lambda insert: (judged := insert(feedback)).on_conflict_do_update(
        index_elements=["turn_id", "author_id"],
        set_={"good": judged.excluded.good, "given_at": judged.excluded.given_at},
    )
)


def _judge(c: sa.Connection, key: SessionKey, asked: int, by: Author, good: bool) -> None:
    session = c.execute(LOCK_SESSION, key_values(key)).first()
    row = session and c.execute(_TURN_ASKED, {"session": session.id, "asked": asked}).first()
    if row is not None:
        c.execute(
            _JUDGE(c),
            {"turn_id": row.id, "author_id": by.id, "good": good, "given_at": datetime.now(UTC)},
        )
