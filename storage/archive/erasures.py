"""What is still to be erased: written down in one transaction, worked off in many small ones."""

import asyncio
import time
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from bot.domain import NEWEST_EVER, Gone, SessionKey
from bot.forgetting import Aged, Batch, Erasure, Holding, Verdict
from storage.archive.erasing import EVERYBODY, erase_some, quell, said_by, tidy
from storage.archive.sources import NOBODY
from storage.archive.statements import (
    KEY_PARTS,
    LOCK_SESSION,
    LOCK_SESSION_BY_ID,
    OnConflict,
    key_is,
    key_of,
    key_values,
    lock_key,
)
from storage.database import Database
from storage.search_tables import search_docs, search_tail, search_terms
from storage.tables import (
    erasures,
    feedback,
    forgotten,
    gone,
    messages,
    parts,
    sessions,
    summaries,
    turn_sources,
    turns,
)

LOOKED_AT = 1_000
"""Sessions that one read looks at, most of which have nothing that goes."""
SETTLE_S, SETTLE_STEP_S = 60.0, 0.05
"""How long it is waited at most for transactions under way, which end within 30 s; how often it is looked."""
ANY: Final = ""
TOUCHED: Final = tuple(
    table.name
    for table in (
        messages,
        sessions,
        turns,
        parts,
        feedback,
        summaries,
        turn_sources,
        search_tail,
        search_docs,
        search_terms,
    )
)
"""What held something of what was erased."""

_GONE: Final = OnConflict(lambda insert: insert(gone).on_conflict_do_nothing())
_FORGET: Final = OnConflict(
    lambda insert: (asked := insert(forgotten)).on_conflict_do_update(
        index_elements=["platform", "workspace", "author_id"],
        set_={"before": asked.excluded.before},
        where=forgotten.c.before < asked.excluded.before,
    )
)
_IS_PLACED: Final = sa.and_(
    sessions.c.platform == sa.bindparam("platform"),
    sessions.c.workspace == sa.bindparam("workspace"),
)
_OF_WISH: Final = sa.and_(
    *(forgotten.c[name] == erasures.c[name] for name in ("platform", "workspace", "author_id"))
)
_NEXT: Final = (
    sa.select(erasures, forgotten.c.before)
    .join(forgotten, _OF_WISH, isouter=True)
    .where(erasures.c.id.not_in(sa.bindparam("passed", expanding=True)))
    .order_by(sa.case((erasures.c.buried, 0), else_=1), erasures.c.id)
    .limit(1)
)
_FIRST_UNBORN: Final = sa.text("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
_OLDEST_ALIVE: Final = sa.text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
"""Of transactions that write, on the whole PostgreSQL server."""
_STARTED_BY: Final = sa.select(sessions.c.id, sessions.c.started_by).where(key_is(sessions))


class Erasures:
    """Implements `ErasureStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lose(self, place: Gone) -> bool:
        """Let all of a place be erased, and nothing come from it again; whether there is anything."""
        return await self._database.write(lambda c: _lose(c, place))

    async def forget_thread(self, key: SessionKey, upto: int | None, by: str | None) -> Verdict:
        """Let what was said in a thread up to `upto` (None: up to now) be erased, if `by` started it.

        `by` None: somebody who may anyway.
        """
        return await self._database.write(lambda c: _forget_thread(c, key, upto, by))

    async def held_of(self, platform: str, workspace: str, author: str) -> Holding:
        """What there is of somebody in a workspace."""
        return await self._database.read(lambda c: _held_of(c, platform, workspace, author))

    async def forget_person(
        self, platform: str, workspace: str, author: str, before: datetime
    ) -> Erasure | None:
        """Let what somebody said in a workspace be erased, and nothing from `before` come again.

        None: that was asked before.
        """
        return await self._database.write(lambda c: _forget_person(c, platform, workspace, author, before))

    async def next(self, passed: Collection[int]) -> Erasure | None:
        """The oldest that is not finished nor `passed`: wishes first, then what is merely too old."""
        row = await self._database.read(lambda c: c.execute(_NEXT, {"passed": list(passed)}).first())
        if row is None:
            return None
        return Erasure(row.id, row.author_id, row.upto, row.buried, row.before, row.done)

    async def settle(self) -> None:
        """Return once whoever writes now is done: they may not know of what was wished meanwhile.

        What they write can't be seen before. SQLite's one writer is done when others see the wish.
        """
        horizon = await self._database.read(lambda c: _snapshot(c, _FIRST_UNBORN))
        patience = time.monotonic() + SETTLE_S
        while horizon is not None and time.monotonic() < patience:
            oldest = await self._database.read(lambda c: _snapshot(c, _OLDEST_ALIVE))
            if oldest is None or oldest >= horizon:
                break
            await asyncio.sleep(SETTLE_STEP_S)

    async def batch(self, erasure: Erasure, after: int) -> Batch | None:
        """Some sessions that it may concern, after the one with that id; None if there is none left."""
        return await self._database.read(lambda c: _batch(c, erasure, after))

    async def quell(self, erasure: Erasure, session_id: int) -> None:
        """Let what goes be answered and shown no more."""
        await self._database.write(lambda c: quell(c, session_id, erasure))

    async def erase(self, erasure: Erasure, session_id: int) -> int:
        """Take some messages out of a session for good; how many."""
        return await self._database.write(lambda c: erase_some(c, session_id, erasure))

    async def tidy(self, erasure: Erasure, session_id: int) -> None:
        """Take away what else tells of what went."""
        await self._database.write(lambda c: tidy(c, session_id, erasure))

    async def advance(self, erasure: Erasure, upto: int) -> None:
        """Nothing of it is left in the sessions up to that id."""
        moved = sa.update(erasures).where(erasures.c.id == erasure.id, erasures.c.done < upto)
        await self._database.write(lambda c: c.execute(moved.values(done=upto)).rowcount)

    async def finish(self, erasure: Erasure) -> None:
        """Nothing of it is left anywhere."""
        await self._database.write(lambda c: _finish(c, erasure))

    async def scrub(self, *, thoroughly: bool) -> None:
        """Let the database's files hold no more of what was deleted, as far as it can."""
        await self._database.scrub(TOUCHED, thoroughly=thoroughly)

    async def aged(self, after: int) -> Sequence[Aged]:
        """Some sessions after that id, with when the oldest of what is kept of each was said or asked."""
        return await self._database.read(lambda c: _aged(c, after))

    async def age_out(self, session_id: int, before: datetime) -> None:
        """Let what was said in a session before then be erased."""
        await self._database.write(lambda c: _age_out(c, session_id, before))


def _snapshot(c: sa.Connection, query: sa.TextClause) -> int | None:
    return c.execute(query).scalar_one() if c.dialect.name == "postgresql" else None


def _lose(c: sa.Connection, place: Gone) -> bool:
    thread = place.thread or ANY
    lock_key(c, SessionKey(place.platform, place.workspace, place.channel, thread))
    where = {"platform": place.platform, "workspace": place.workspace, "channel": place.channel}
    if not c.execute(_GONE(c), {**where, "thread": thread}).rowcount:
        return False
    here = [sessions.c[name] == value for name, value in where.items()]
    if thread:
        here.append(sessions.c.thread == thread)
    if c.execute(sa.select(sessions.c.id).where(*here).limit(1)).first() is None:
        return False
    _write_down(c, **where, thread=thread, upto=NEWEST_EVER)
    return True


def _write_down(c: sa.Connection, **values: Any) -> int:
    """The new row's id."""
    anything = {"channel": ANY, "thread": ANY, "author_id": EVERYBODY, "upto": 0, "done": 0, "buried": True}
    made = c.execute(sa.insert(erasures).returning(erasures.c.id), {**anything, **values})
    return int(made.scalar_one())


def _forget_thread(c: sa.Connection, key: SessionKey, upto: int | None, by: str | None) -> Verdict:
    session = c.execute(LOCK_SESSION, key_values(key)).first()
    if session is None:
        return Verdict.NOTHING_THERE
    started_by = c.execute(_STARTED_BY, key_values(key)).one().started_by
    if by is not None and by != started_by:
        return Verdict.NOT_THEIRS
    newest = max(_newest(c, session.id), session.fresh_from) if upto is None else upto
    if newest <= session.forgotten_upto:
        return Verdict.NOTHING_THERE
    quell(c, session.id, Erasure(0, EVERYBODY, newest))
    _write_down(c, **_place(key), upto=newest)
    return Verdict.BEGUN


def _newest(c: sa.Connection, session_id: int) -> int:
    """The newest position of a session that is known: of a message, or of a post of ours."""
    said = sa.select(sa.func.max(messages.c.position)).where(messages.c.session_id == session_id)
    posted = sa.select(sa.func.max(parts.c.position)).where(parts.c.session_id == session_id)
    return max(c.execute(said).scalar() or 0, c.execute(posted).scalar() or 0)


def _held_of(c: sa.Connection, platform: str, workspace: str, author: str) -> Holding:
    threads = sa.func.count(sa.distinct(messages.c.session_id))
    query = (
        sa.select(sa.func.count(), threads, sa.func.max(messages.c.sent_at))
        .join(sessions, sessions.c.id == messages.c.session_id)
        .where(_IS_PLACED, messages.c.author_id == author)
    )
    return Holding(*c.execute(query, {"platform": platform, "workspace": workspace}).one())


def _forget_person(
    c: sa.Connection, platform: str, workspace: str, author: str, before: datetime
) -> Erasure | None:
    who = {"platform": platform, "workspace": workspace, "author_id": author}
    if not c.execute(_FORGET(c), {**who, "before": before}).rowcount:
        return None
    return Erasure(_write_down(c, **who), author, 0, before=before)


def _batch(c: sa.Connection, erasure: Erasure, after: int) -> Batch | None:
    row = c.execute(sa.select(erasures).where(erasures.c.id == erasure.id)).first()
    if row is None:
        return None
    some = (
        sa.select(sessions.c.id)
        .where(_IS_PLACED, sessions.c.id > after)
        .order_by(sessions.c.id)
        .limit(LOOKED_AT)
    )
    for name in ("channel", "thread"):
        if value := getattr(row, name):
            some = some.where(sessions.c[name] == value)
    where = {"platform": row.platform, "workspace": row.workspace}
    looked_at = c.execute(some, where).scalars().all()
    if not looked_at:
        return None
    whole = erasure.author in (EVERYBODY, NOBODY)
    concerned = looked_at if whole else _spoken_in(c, looked_at, erasure)
    return Batch(tuple(concerned), looked_at[-1])


def _spoken_in(c: sa.Connection, looked_at: Sequence[int], erasure: Erasure) -> Sequence[int]:
    """Those of the sessions in which somebody said, asked or began something, or answers quote them."""
    author = erasure.author
    said = sa.exists().where(messages.c.session_id == sessions.c.id, said_by(author, erasure.before))
    asked = sa.exists().where(turns.c.session_id == sessions.c.id, turns.c.asker_id == author)
    given = sa.exists().where(turn_sources.c.session_id == sessions.c.id, turn_sources.c.author_id == author)
    query = sa.select(sessions.c.id).where(
        sessions.c.id.in_(looked_at), sa.or_(sessions.c.started_by == author, said, asked, given)
    )
    return c.execute(query.order_by(sessions.c.id)).scalars().all()


def _finish(c: sa.Connection, erasure: Erasure) -> None:
    row = c.execute(sa.select(erasures).where(erasures.c.id == erasure.id)).first()
    if row is None:
        return
    if row.author_id:
        where = {"platform": row.platform, "workspace": row.workspace}
        there = sa.select(turns.c.id).join(sessions, sessions.c.id == turns.c.session_id).where(_IS_PLACED)
        theirs = sa.delete(feedback).where(
            feedback.c.author_id == row.author_id, feedback.c.turn_id.in_(there)
        )
        if erasure.before is not None:
            theirs = theirs.where(feedback.c.given_at <= erasure.before)
        c.execute(theirs, where)
    c.execute(sa.delete(erasures).where(erasures.c.id == erasure.id))


def _aged(c: sa.Connection, after: int) -> Sequence[Aged]:
    said = _first(messages.c.sent_at, messages.c.position).where(messages.c.session_id == sessions.c.id)
    asked = _first(turns.c.created_at, turns.c.asked_position).where(turns.c.session_id == sessions.c.id)
    query = (
        sa.select(sessions, said.scalar_subquery().label("said"), asked.scalar_subquery().label("asked"))
        .where(sessions.c.id > after)
        .order_by(sessions.c.id)
        .limit(LOOKED_AT)
    )
    return [
        Aged(row.id, key_of(row), min(filter(None, (row.said, row.asked)), default=None))
        for row in c.execute(query)
    ]


def _first(time: sa.ColumnElement[datetime], position: sa.ColumnElement[int]) -> sa.Select[Any]:
    return sa.select(time).order_by(position).limit(1)


def _age_out(c: sa.Connection, session_id: int, before: datetime) -> None:
    session = c.execute(LOCK_SESSION_BY_ID, {"session": session_id}).first()
    if session is None:
        return
    newest = _newest_before(c, session_id, before)
    if newest > session.forgotten_upto:
        quell(c, session_id, Erasure(0, EVERYBODY, newest, buried=False))
        _write_down(c, **_place(key_of(session)), upto=newest, buried=False)


def _newest_before(c: sa.Connection, session_id: int, before: datetime) -> int:
    """The newest position of before: of a message, or of a turn whose messages were deleted one by one."""
    times = {
        messages.c.position: messages.c.sent_at,
        turns.c.asked_position: turns.c.created_at,
        turns.c.reply_position: turns.c.finished_at,
    }
    newest = (
        sa.select(sa.func.max(position)).where(position.table.c.session_id == session_id, time < before)
        for position, time in times.items()
    )
    return max(c.execute(query).scalar() or 0 for query in newest)


def _place(key: SessionKey) -> dict[str, str]:
    return {name: getattr(key, name) for name in KEY_PARTS}
