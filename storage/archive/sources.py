"""Which messages a turn's model was given by its searches, and the answers that go when these do."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

import sqlalchemy as sa

from bot.domain import SessionKey, Turn
from bot.errors import LeaseLost
from bot.searching import Source
from storage.archive.shown import shown
from storage.archive.statements import KEY_PARTS, OnConflict, key_is, key_values
from storage.database import Database
from storage.tables import erasures, messages, sessions, turn_sources, turns

NOBODY: Final = " "
"""The author of an erasure that takes nothing but answers, because of what their models were given."""

AT_ONCE: Final = 1_000
"""Ids in one statement: PostgreSQL takes 32,767 parameters."""

TO_BE_TRIED: Final = ("queued", "failed")
"""States of turns that may be answered yet, perhaps not for the first time."""

_LOCK: Final = sa.select(sessions.c.id).where(key_is(sessions)).with_for_update(read=True, key_share=True)
"""Whoever erases there waits for us, or we for them: nothing goes between being looked for and named."""
_THERE: Final = sa.select(messages.c.session_id, messages.c.position, messages.c.author_id).where(
    messages.c.session_id == sa.bindparam("session"),
    messages.c.position.in_(sa.bindparam("places", expanding=True)),
    shown(),
)
_OURS: Final = (
    sa.select(turns.c.id)
    .where(
        turns.c.id == sa.bindparam("turn"),
        turns.c.epoch == sa.bindparam("at_epoch"),
        turns.c.state == "running",
    )
    .with_for_update(read=True, key_share=True)
)
_KEEP: Final = OnConflict(lambda insert: insert(turn_sources).on_conflict_do_nothing())


class Sources:
    """Implements `SourceStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def given(self, turn: Turn, sources: Sequence[Source]) -> bool:
        """Write down what the turn's model is about to be given; False: some of it is not there any more."""
        return await self._database.write(lambda c: _given(c, turn, sources))


def _given(c: sa.Connection, turn: Turn, sources: Sequence[Source]) -> bool:
    places: dict[SessionKey, set[int]] = {}
    for source in sources:
        places.setdefault(source.key, set()).add(source.position)
    there = [row for key in sorted(places, key=str) for row in _there(c, key, places[key])]
    if c.execute(_OURS, {"turn": turn.id, "at_epoch": turn.epoch}).first() is None:
        raise LeaseLost("The turn is somebody else's.")
    if len(there) < sum(map(len, places.values())):
        return False
    c.execute(_KEEP(c), [{"turn_id": turn.id, **row._mapping} for row in there])
    return True


def _there(c: sa.Connection, key: SessionKey, places: set[int]) -> Sequence[Any]:
    session = c.execute(_LOCK, key_values(key)).first()
    if session is None:
        return ()
    return c.execute(_THERE, {"session": session.id, "places": sorted(places)}).all()


def unsay(c: sa.Connection, *given: sa.ColumnElement[bool]) -> None:
    """Let the answers go whose models were given any of `given` (of `turn_sources`), wherever they stand.

    Those that are being written are stopped, and not kept. Those that wait for another try lose what they
    said so far. Their sessions are erased in steps of their own: only one is locked at a time.
    """
    named = sa.select(turn_sources.c.turn_id).where(*given)
    quoting = sa.select(turns.c.id, turns.c.session_id).where(turns.c.id.in_(named))
    rows = c.execute(quoting.order_by(turns.c.id).with_for_update(key_share=True)).all()
    for ids in _some(row.id for row in rows):
        c.execute(sa.update(turns).where(turns.c.id.in_(ids)).values(forgotten=True, stop_asked=True))
        c.execute(sa.delete(turn_sources).where(turn_sources.c.turn_id.in_(ids)))
    rest = {"author_id": NOBODY, "upto": 0, "buried": True, "done": 0}
    for ids in _some({row.session_id for row in rows}):
        where = sa.select(*(sessions.c[name] for name in KEY_PARTS)).where(sessions.c.id.in_(ids))
        c.execute(sa.insert(erasures), [{**row._mapping, **rest} for row in c.execute(where)])
    c.execute(sa.delete(turn_sources).where(*given))


def _some(ids: Iterable[int]) -> Iterator[list[int]]:
    """So many that every database takes them as parameters of one statement."""
    left = iter(ids)
    while some := list(islice(left, AT_ONCE)):
        yield some


def unsaid_in(session_id: Any) -> sa.Select[Any]:
    """Where replies of a session still stand whose turns are marked as forgotten.

    A turn that runs may have one: it is tried again. Those that wait for it are another matter (`quell`).
    """
    reply = messages.alias()
    stands = sa.and_(reply.c.session_id == turns.c.session_id, reply.c.position == turns.c.reply_position)
    return (
        sa.select(turns.c.reply_position)
        .join(reply, stands)
        .where(turns.c.session_id == session_id, turns.c.forgotten, turns.c.state.not_in(TO_BE_TRIED))
    )
