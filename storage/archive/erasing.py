"""Taking away what was said, with every trace of it: plain functions over a connection.

Each is a small transaction of its own, and may be repeated. A session is first quelled (no answer to
what goes is begun or kept), then emptied some messages at a time, then tidied.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from bot.domain import NEWEST_EVER, SessionKey
from storage.archive.searchable import let_find_no_more
from storage.archive.sources import unsaid_in, unsay
from storage.archive.statements import (
    BURY,
    LOCK_SESSION_BY_ID,
    VOID_SUMMARIES,
    key_of,
    tombstone_values,
)
from storage.tables import feedback, messages, parts, sessions, summaries, turn_sources, turns

AT_ONCE = 10
"""Messages that go in one transaction: 70 ms with 40 words each, nearly all of it for the search index."""
EVERYBODY: Final = ""

_POSTS_OF: Final = (
    sa.select(parts.c.position)
    .join(turns, turns.c.id == parts.c.turn_id)
    .where(
        turns.c.session_id == sa.bindparam("session"),
        turns.c.reply_position.in_(sa.bindparam("places", expanding=True)),
        parts.c.position.is_not(None),
    )
)
_TAKE_MESSAGES: Final = sa.delete(messages).where(messages.c.id.in_(sa.bindparam("ids", expanding=True)))
_LESS: Final = (
    sa.update(sessions)
    .where(sessions.c.id == sa.bindparam("session"))
    .values(version=sessions.c.version + 1, messages=sessions.c.messages - sa.bindparam("taken"))
)


def quell(c: sa.Connection, session_id: int, author: str, upto: int) -> None:
    """Let nothing be answered any more that is about to go, nor shown to a model.

    With an `author`, that is what they asked; for everybody, what was asked up to `upto`.
    """
    session = c.execute(LOCK_SESSION_BY_ID, {"session": session_id}).first()
    if session is None:
        return
    if author == EVERYBODY:
        _raise_floor(c, session, upto)
    _stop_answers(c, session, author, upto)


def _raise_floor(c: sa.Connection, session: Any, upto: int) -> None:
    """Let the session begin after `upto`: nothing older is shown to a model, or taken in."""
    c.execute(
        sa.update(sessions)
        .where(sessions.c.id == session.id)
        .values(
            forgotten_upto=max(session.forgotten_upto, upto),
            fresh_from=max(session.fresh_from, upto),
            complete_from=session.complete_from or 0,
            version=session.version + 1,
        )
    )


def _stop_answers(c: sa.Connection, session: Any, author: str, upto: int) -> None:
    mine = _concerned(session.id, author, upto)
    for_mine = sa.select(turns.c.into_id).where(mine, turns.c.state == "merged")
    c.execute(
        sa.update(turns)
        .where(
            turns.c.session_id == session.id,
            turns.c.state == "running",
            sa.or_(mine, turns.c.id.in_(for_mine)),
        )
        .values(forgotten=True, stop_asked=True)
    )
    dropped = {"state": "dropped", "finished_at": datetime.now(UTC)}
    c.execute(sa.update(turns).where(mine, turns.c.state == "failed").values(dropped))
    queued = c.execute(sa.update(turns).where(mine, turns.c.state == "queued").values(dropped)).rowcount
    if queued:
        c.execute(
            sa.update(sessions).where(sessions.c.id == session.id).values(queued=session.queued - queued)
        )


def _concerned(session_id: int, author: str, upto: int) -> sa.ColumnElement[bool]:
    """The turns of what goes."""
    asked = turns.c.asked_position <= upto if author == EVERYBODY else turns.c.asker_id == author
    return sa.and_(turns.c.session_id == session_id, asked)


def erase_some(c: sa.Connection, session_id: int, author: str, *, bury: bool = True) -> int:
    """Take some messages out of a session for good; how many, 0 when none is left.

    Of an `author` that is what they said, and then what answered them; for everybody, whatever is not
    newer than `sessions.forgotten_upto`. Without `bury`, only that keeps them from coming back. For
    whomever, answers go too whose models were given what went elsewhere; with `bury`, what went here lets
    others go.
    """
    session = c.execute(LOCK_SESSION_BY_ID, {"session": session_id}).first()
    if session is None:
        return 0
    rows = _going(c, session, author)
    if rows:
        _bury(c, session, [row.position for row in rows], after=-1 if bury else session.forgotten_upto)
        for row in rows:
            let_find_no_more(c, session.id, row)
            place = row.position
            c.execute(VOID_SUMMARIES, {"session": session.id, "place": place, "upto": place})
        c.execute(_TAKE_MESSAGES, {"ids": [row.id for row in rows]})
        c.execute(_LESS, {"session": session.id, "taken": len(rows)})
        if bury:
            places = [row.position for row in rows]
            unsay(c, turn_sources.c.session_id == session.id, turn_sources.c.position.in_(places))
    return len(rows)


def _going(c: sa.Connection, session: Any, author: str) -> Sequence[Any]:
    upto = session.forgotten_upto
    said = messages.c.position <= upto if author == EVERYBODY else messages.c.author_id == author
    some = sa.select(messages).where(messages.c.session_id == session.id)
    some = some.order_by(messages.c.position).limit(AT_ONCE)
    return (
        c.execute(some.where(said)).all()
        or c.execute(some.where(messages.c.position.in_(_replies(session.id, author, upto)))).all()
        or c.execute(some.where(messages.c.position.in_(unsaid_in(session.id)))).all()
    )


def _replies(session_id: int, author: str, upto: int) -> sa.Select[Any]:
    """Where the answers to what goes stand, among them those that answered others too."""
    mine = sa.select(sa.func.coalesce(turns.c.into_id, turns.c.id)).where(
        _concerned(session_id, author, upto), turns.c.state != "running"
    )
    answered = turns.alias()
    return sa.select(answered.c.reply_position).where(
        answered.c.session_id == session_id, answered.c.id.in_(mine), answered.c.reply_position.is_not(None)
    )


def _bury(c: sa.Connection, session: Any, places: Sequence[int], after: int) -> None:
    """Leave a tombstone at each of `places`, and at each post of the replies there, beyond `after`."""
    posts = c.execute(_POSTS_OF, {"session": session.id, "places": list(places)}).scalars()
    bury(c, key_of(session), [place for place in {*places, *posts} if place > after])


def bury(c: sa.Connection, key: SessionKey, places: Sequence[int]) -> None:
    """Leave tombstones at `places`."""
    now = datetime.now(UTC)
    if places:
        c.execute(BURY(c), [tombstone_values(key, place, now, ours=True) for place in places])


def tidy(c: sa.Connection, session_id: int, author: str, *, bury: bool = True) -> None:
    """Take away what else tells of what went: who asked, what they judged, titles, empty summaries.

    With `bury` also answers elsewhere that may quote what was deleted here before, one by one.
    """
    session = c.execute(LOCK_SESSION_BY_ID, {"session": session_id}).first()
    if session is None:
        return
    upto = session.forgotten_upto
    mine = _concerned(session.id, author, upto)
    if bury:
        whose = turn_sources.c.position <= upto if author == EVERYBODY else turn_sources.c.author_id == author
        unsay(c, turn_sources.c.session_id == session.id, whose)
    if author == EVERYBODY:
        _take_turns(c, mine, upto)
        c.execute(sa.delete(summaries).where(summaries.c.session_id == session.id, summaries.c.last <= upto))
    c.execute(sa.update(turns).where(mine).values(asker_id="", asker_name="", command=""))
    started = sa.and_(sessions.c.id == session.id, sessions.c.started_by == author)
    if author != EVERYBODY:
        c.execute(sa.update(sessions).where(started).values(started_by=""))
    else:
        nobody = {"started_by": ""} if upto == NEWEST_EVER else {}
        c.execute(sa.update(sessions).where(sessions.c.id == session.id).values(title="", **nobody))


def _take_turns(c: sa.Connection, mine: sa.ColumnElement[bool], upto: int) -> None:
    """Take away turns, parts and opinions. A turn whose reply is newer stays: its posts are known as ours."""
    ended = turns.c.state.not_in(["running", "queued"])
    c.execute(sa.delete(feedback).where(feedback.c.turn_id.in_(sa.select(turns.c.id).where(mine))))
    c.execute(sa.delete(turns).where(mine, ended, sa.func.coalesce(turns.c.reply_position, 0) <= upto))
