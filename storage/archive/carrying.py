"""Takes the archive out, and in again, some rows at a time."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from bot.domain import Author, Part, SessionKey, Usage
from bot.sheets import Absence, Answered, Counted, Entry, Piece, Scope, Sheet
from storage.archive.many import insert_messages, insert_turns
from storage.archive.searchable import found_by
from storage.archive.sessions import is_buried, make_session, unmake_session
from storage.archive.shown import shown
from storage.archive.statements import (
    BURY,
    KEY_PARTS,
    LOCK_SESSION,
    OnConflict,
    key_of,
    key_values,
    lock_key,
    message_of,
    tombstone_values,
)
from storage.database import Database
from storage.search.index import Findable
from storage.tables import forgotten, gone, messages, parts, sessions, tombstones, turns

PAGE = 500
"""Rows of one read."""
NOWHERE = -1
"""A position that no message has."""
_SETTINGS: Final = (
    *("closed", "joined", "paused", "model", "persona", "fresh_from", "complete_from"),
    *("continues", "continues_after", "continues_upto", "continues_at"),
)
_USAGE: Final = tuple(Usage.__slots__)
_OVER: Final = sa.case((turns.c.state.in_(["running", "queued"]), "dropped"), else_=turns.c.state)

_TELLS: Final = sa.exists().where(
    messages.c.session_id == turns.c.session_id,
    sa.or_(messages.c.position == turns.c.asked_position, messages.c.position == turns.c.reply_position),
    shown(),
)
"""A turn whose question and reply are both gone is of no use to anybody."""
_NAMELESS: Final = sa.or_(
    sessions.c.forgotten_upto > 0,
    sa.exists().where(
        forgotten.c.platform == sessions.c.platform,
        forgotten.c.workspace == sessions.c.workspace,
        forgotten.c.author_id == sessions.c.started_by,
        forgotten.c.before >= sessions.c.created_at,
    ),
)
"""A session whose title may quote what is to be forgotten."""
_GONE: Final = OnConflict(lambda insert: insert(gone).on_conflict_do_nothing())
_FORGOTTEN: Final = OnConflict(
    lambda insert: (asked := insert(forgotten)).on_conflict_do_update(
        index_elements=["platform", "workspace", "author_id"],
        set_={"before": asked.excluded.before},
        where=forgotten.c.before < asked.excluded.before,
    )
)


class Carrying:
    """Reads and writes pieces. What is read is of one moment a page, not of one moment in all."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self, scope: Scope) -> int:
        """How many messages there are."""
        query = sa.select(sa.func.sum(sessions.c.messages)).where(*_inside(sessions, scope))
        return await self._database.read(lambda c: c.scalar(query)) or 0

    async def knows(self, scope: Scope) -> bool:
        """Whether there is anything of it, if only that something must not come back."""
        tables = (sessions,) if scope.channel else (sessions, gone, forgotten, tombstones)
        there = sa.or_(*(sa.exists().where(*_inside(table, scope)) for table in tables))
        return bool(await self._database.read(lambda c: c.scalar(sa.select(there))))

    async def out(self, scope: Scope) -> AsyncIterator[Piece]:
        """Every piece of `scope`: of a workspace also what must not come back."""
        if not scope.channel:
            async for absence in self._absences(scope):
                yield absence
        after = 0
        while rows := await self._sessions(scope, after):
            for row in rows:
                yield _sheet(row)
                async for entry in self._entries(row):
                    yield entry
                async for answered in self._answered(row.id):
                    yield answered
            after = rows[-1].id

    async def _sessions(self, scope: Scope, after: int) -> Sequence[Any]:
        query = sa.select(sessions, _NAMELESS.label("nameless")).where(
            *_inside(sessions, scope), sessions.c.id > after, sessions.c.messages > 0
        )
        return await self._database.read(lambda c: c.execute(query.order_by(sessions.c.id).limit(PAGE)).all())

    async def _entries(self, session: Any) -> AsyncIterator[Entry]:
        prefix = f"{session.platform}:{session.workspace}:{session.channel}:"
        after = NOWHERE
        query = sa.select(messages).where(
            messages.c.session_id == session.id,
            messages.c.lent_until.is_(None),
            shown(),
        )
        query = query.order_by(messages.c.position).limit(PAGE)
        while True:
            some = query.where(messages.c.position > after)
            rows = await self._database.read(lambda c, some=some: c.execute(some).all())  # type: ignore[misc]
            for row in rows:
                yield Entry(message_of(row), (row.gesture or "").removeprefix(prefix))
            if len(rows) < PAGE:
                return
            after = rows[-1].position

    async def _answered(self, session_id: int) -> AsyncIterator[Answered]:
        """Those that answered for others come before those that they answered for."""
        root = turns.alias("root")
        query = (
            sa.select(turns, _OVER.label("over"), root.c.asked_position.label("root"))
            .join(root, root.c.id == turns.c.into_id, isouter=True)
            .where(turns.c.session_id == session_id, _TELLS)
        )
        for which in (turns.c.into_id.is_(None), turns.c.into_id.is_not(None)):
            after = NOWHERE
            while True:
                some = query.where(which, turns.c.asked_position > after)
                some = some.order_by(turns.c.asked_position).limit(PAGE)
                found = await self._database.read(lambda c, some=some: _with_parts(c, some))  # type: ignore[misc]
                for answered in found:
                    yield answered
                if len(found) < PAGE:
                    break
                after = found[-1].asked

    async def _absences(self, scope: Scope) -> AsyncIterator[Absence]:
        where = (scope.platform, scope.workspace)
        for row in await self._all(sa.select(gone).where(*_inside(gone, scope))):
            yield Absence(*where, row.channel, row.thread)
        for row in await self._all(sa.select(forgotten).where(*_inside(forgotten, scope))):
            yield Absence(*where, author=row.author_id, before=row.before)
        place = (tombstones.c.channel, tombstones.c.position)
        after = ("", NOWHERE)
        while True:
            query = sa.select(*place).where(
                *_inside(tombstones, scope), sa.tuple_(*place) > sa.tuple_(*after)
            )
            rows = await self._all(query.order_by(*place).limit(PAGE))
            for row in rows:
                yield Absence(*where, row.channel, position=row.position)
            if len(rows) < PAGE:
                return
            after = tuple(rows[-1])

    async def _all(self, query: sa.Select[Any]) -> Sequence[Any]:
        return await self._database.read(lambda c: c.execute(query).all())

    async def take_in(
        self, sheet: Sheet, entries: Sequence[Entry], answered: Sequence[Answered] = ()
    ) -> Counted:
        """Archive what is not there yet and may be, and let it be found. Nothing of it is answered.

        A session that is there keeps its own settings.
        """
        found = [found_by(entry.message) for entry in entries]
        return await self._database.write(lambda c: _take_in(c, sheet, entries, found, answered))

    async def keep_away(self, absences: Sequence[Absence]) -> None:
        """Take over what must not come back."""
        await self._database.write(lambda c: _keep_away(c, absences))


def _inside(table: sa.Table, scope: Scope) -> list[sa.ColumnElement[bool]]:
    return [
        table.c[name] == value
        for name, value in zip(KEY_PARTS, scope, strict=True)
        if value and name in table.c
    ]


def _sheet(row: Any) -> Sheet:
    named = {name: getattr(row, name) for name in Sheet.__slots__ if name != "key"}
    return Sheet(key=key_of(row), **named | ({"title": ""} if row.nameless else {}))


def _with_parts(c: sa.Connection, query: sa.Select[Any]) -> list[Answered]:
    rows = c.execute(query).all()
    posts: dict[int, list[Part]] = {}
    held = sa.select(parts).where(parts.c.turn_id.in_([row.id for row in rows]))
    for part in c.execute(held.order_by(parts.c.turn_id, parts.c.number)):
        posts.setdefault(part.turn_id, []).append(Part(part.number, part.position, part.end))
    return [
        Answered(
            asked=row.asked_position,
            asker=Author(row.asker_id, row.asker_name),
            state=row.over,
            into=row.root,
            command=row.command,
            reply=row.reply_position,
            parts=tuple(posts.get(row.id, ())),
            created_at=row.created_at,
            finished_at=row.finished_at,
            usage=Usage(**{name: getattr(row, name) for name in _USAGE}),
        )
        for row in rows
    ]


def _take_in(
    c: sa.Connection,
    sheet: Sheet,
    entries: Sequence[Entry],
    found: Sequence[Findable],
    answered: Sequence[Answered],
) -> Counted:
    key = sheet.key
    session = c.execute(LOCK_SESSION, key_values(key)).first()
    if session is None:
        if not entries:
            return Counted(0, 0)
        session = _make(c, sheet, entries[0])
    if session is None:
        return Counted(0, len(entries))
    added = insert_messages(c, session, key, entries, found)
    if not added and not session.version:
        unmake_session(c, session.id)
        return Counted(0, len(entries))
    insert_turns(c, session.id, answered)
    if added:
        c.execute(
            sa.update(sessions)
            .where(sessions.c.id == session.id)
            .values(
                version=session.version + 1,
                messages=session.messages + added,
                last_reply=max(session.last_reply, sheet.last_reply),
            )
        )
    return Counted(added, len(entries) - added)


def _make(c: sa.Connection, sheet: Sheet, first: Entry) -> Any | None:
    """The session's row, made anew with the sheet's settings; None if its place is gone."""
    lock_key(c, sheet.key)
    if is_buried(c, sheet.key, NOWHERE):
        return None
    made = make_session(
        c,
        sheet.key,
        replace(first.message, text=sheet.title),
        joined=sheet.joined,
        complete_from=sheet.complete_from,
        closed=sheet.closed,
    )
    if not made.version:
        values = {name: getattr(sheet, name) for name in _SETTINGS}
        values |= {"started_by": sheet.started_by, "forgotten_upto": sheet.forgotten_upto}
        values |= {"created_at": sheet.created_at, "active_at": sheet.active_at}
        if sheet.continues:
            values["continues_at"] = sheet.continues_at or datetime.now(UTC)
        c.execute(sa.update(sessions).where(sessions.c.id == made.id).values(values))
    return c.execute(LOCK_SESSION, key_values(sheet.key)).one()


def _keep_away(c: sa.Connection, absences: Sequence[Absence]) -> None:
    now = datetime.now(UTC)
    for absence in absences:
        where = {"platform": absence.platform, "workspace": absence.workspace}
        if absence.author:
            c.execute(_FORGOTTEN(c), {**where, "author_id": absence.author, "before": absence.before})
        elif absence.position is not None:
            key = SessionKey(absence.platform, absence.workspace, absence.channel, "")
            c.execute(BURY(c), tombstone_values(key, absence.position, now, ours=True))
        else:
            c.execute(_GONE(c), {**where, "channel": absence.channel, "thread": absence.thread})
