"""Taking away what was said, with every trace of it: plain functions over a connection.

Each is a small transaction of its own, and may be repeated. A session is first quelled (no answer to
what goes is begun or kept), then emptied some messages at a time, then tidied.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from bot.domain import NEWEST_EVER, SessionKey
from bot.forgetting import Erasure
from storage.archive.searchable import let_find_no_more
from storage.archive.sources import TO_BE_TRIED, unsaid_in, unsay
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
_STALE: Final = (
    sa.update(sessions).where(sessions.c.id == sa.bindparam("session")).values(version=sessions.c.version + 1)
)
"""No window that was made before is used any more."""
_LESS: Final = (
    sa.update(sessions)
    .where(sessions.c.id == sa.bindparam("session"))
    .values(version=sessions.c.version + 1, messages=sessions.c.messages - sa.bindparam("taken"))
)


def quell(c: sa.Connection, session_id: int, erasure: Erasure) -> None:
    """Let nothing of what goes be answered any more, nor shown to a model; mark the answers that go with it.

    Which answers these are is told by the questions' times: so it is settled before any question is erased.
    """
    session = c.execute(LOCK_SESSION_BY_ID, {"session": session_id}).first()
    if session is None:
        return
    if erasure.author == EVERYBODY:
        _raise_floor(c, session, erasure)
    else:
        c.execute(_STALE, {"session": session.id})
    mine = _concerned(session.id, erasure)
    here = sa.and_(turns.c.session_id == session.id, turns.c.forgotten)
    c.execute(sa.update(turns).where(mine).values(forgotten=True))
    for_mine = sa.select(turns.c.into_id).where(mine, turns.c.state == "merged")
    c.execute(
        sa.update(turns)
        .where(turns.c.session_id == session.id, turns.c.id.in_(for_mine))
        .values(forgotten=True)
    )
    c.execute(sa.update(turns).where(here, turns.c.state == "running").values(stop_asked=True))
    _drop(c, session, mine)
    _begin_anew(c, session, here)
    _void_summaries(c, session, erasure)
    if erasure.buried:
        unsay(c, turn_sources.c.session_id == session.id, _told(erasure, erasure.upto))


def _void_summaries(c: sa.Connection, session: Any, erasure: Erasure) -> None:
    """Let no summary tell of what goes."""
    inside = sa.and_(
        messages.c.session_id == summaries.c.session_id,
        messages.c.position > summaries.c.after,
        messages.c.position <= summaries.c.last,
        sa.or_(_said(erasure, erasure.upto), messages.c.position.in_(unsaid_in(session.id))),
    )
    told = sa.exists().where(inside).correlate(summaries)
    c.execute(sa.update(summaries).where(summaries.c.session_id == session.id, told).values(text=""))


def _raise_floor(c: sa.Connection, session: Any, erasure: Erasure) -> None:
    """Let the session begin after what goes: nothing older is shown to a model, or taken in.

    Nor what it goes on from, if that is wished and its present context began until then.
    """
    upto = erasure.upto
    anew = {"continues": ""} if erasure.buried and session.fresh_from <= upto else {}
    c.execute(
        sa.update(sessions)
        .where(sessions.c.id == session.id)
        .values(
            **anew,
            forgotten_upto=max(session.forgotten_upto, upto),
            fresh_from=max(session.fresh_from, upto),
            complete_from=session.complete_from or 0,
            version=session.version + 1,
        )
    )


def _drop(c: sa.Connection, session: Any, mine: sa.ColumnElement[bool]) -> None:
    """Let nothing of `mine` be answered, nor tried again."""
    dropped = {"state": "dropped", "finished_at": datetime.now(UTC)}
    c.execute(sa.update(turns).where(mine, turns.c.state == "failed").values(dropped))
    queued = c.execute(sa.update(turns).where(mine, turns.c.state == "queued").values(dropped)).rowcount
    if queued:
        c.execute(
            sa.update(sessions).where(sessions.c.id == session.id).values(queued=session.queued - queued)
        )


def _begin_anew(c: sa.Connection, session: Any, marked: sa.ColumnElement[bool]) -> None:
    """Take what they said so far from answers to others that may be tried again: what comes then is kept.

    No tombstone: the new answer is to stand where the old one stood.
    """
    tried = sa.and_(marked, turns.c.state.in_(TO_BE_TRIED))
    replies = sa.select(turns.c.reply_position).where(tried)
    here = sa.select(messages).where(messages.c.session_id == session.id)
    _take(c, session, c.execute(here.where(messages.c.position.in_(replies))).all())
    c.execute(sa.update(turns).where(tried).values(forgotten=False))


def _concerned(session_id: int, erasure: Erasure) -> sa.ColumnElement[bool]:
    """The turns of what goes."""
    if erasure.author == EVERYBODY:
        return sa.and_(turns.c.session_id == session_id, turns.c.asked_position <= erasure.upto)
    theirs = sa.and_(turns.c.session_id == session_id, turns.c.asker_id == erasure.author)
    if erasure.before is None:
        return theirs
    question = sa.exists().where(
        messages.c.session_id == turns.c.session_id, messages.c.position == turns.c.asked_position
    )
    newer = question.where(messages.c.sent_at > erasure.before).correlate(turns)
    gone = ~question.correlate(turns)
    return sa.and_(theirs, ~newer, sa.or_(~gone, turns.c.created_at <= erasure.before))


def erase_some(c: sa.Connection, session_id: int, erasure: Erasure) -> int:
    """Take some messages out of a session for good; how many, 0 when none is left.

    Of an author that is what they said; for everybody, whatever is not newer than
    `sessions.forgotten_upto`. Unless each is `buried`, only that keeps them from coming back. Then the
    answers go that are marked as forgotten, for whatever reason. What is buried lets answers elsewhere go
    that may quote it.
    """
    session = c.execute(LOCK_SESSION_BY_ID, {"session": session_id}).first()
    if session is None:
        return 0
    rows = _going(c, session, erasure)
    if rows:
        places = [row.position for row in rows]
        _bury(c, session, places, after=-1 if erasure.buried else session.forgotten_upto)
        _take(c, session, rows)
        if erasure.buried:
            unsay(c, turn_sources.c.session_id == session.id, turn_sources.c.position.in_(places))
    return len(rows)


def _going(c: sa.Connection, session: Any, erasure: Erasure) -> Sequence[Any]:
    some = sa.select(messages).where(messages.c.session_id == session.id)
    some = some.order_by(messages.c.position).limit(AT_ONCE)
    return (
        c.execute(some.where(_said(erasure, session.forgotten_upto))).all()
        or c.execute(some.where(messages.c.position.in_(unsaid_in(session.id)))).all()
    )


def _said(erasure: Erasure, upto: int) -> sa.ColumnElement[bool]:
    """The messages that go."""
    if erasure.author == EVERYBODY:
        return messages.c.position <= upto
    return said_by(erasure.author, erasure.before)


def said_by(author: str, before: datetime | None) -> sa.ColumnElement[bool]:
    """The messages of somebody, up to the time of their wish (None: all)."""
    theirs = messages.c.author_id == author
    return theirs if before is None else sa.and_(theirs, messages.c.sent_at <= before)


def _take(c: sa.Connection, session: Any, rows: Sequence[Any]) -> None:
    """Take the messages `rows` out of a session, the index and what summaries tell."""
    for row in rows:
        let_find_no_more(c, session.id, row)
        c.execute(VOID_SUMMARIES, {"session": session.id, "place": row.position, "upto": row.position})
    if rows:
        c.execute(_TAKE_MESSAGES, {"ids": [row.id for row in rows]})
        c.execute(_LESS, {"session": session.id, "taken": len(rows)})


def _bury(c: sa.Connection, session: Any, places: Sequence[int], after: int) -> None:
    """Leave a tombstone at each of `places`, and at each post of the replies there, beyond `after`."""
    posts = c.execute(_POSTS_OF, {"session": session.id, "places": list(places)}).scalars()
    bury(c, key_of(session), [place for place in {*places, *posts} if place > after])


def bury(c: sa.Connection, key: SessionKey, places: Sequence[int]) -> None:
    """Leave tombstones at `places`."""
    now = datetime.now(UTC)
    if places:
        c.execute(BURY(c), [tombstone_values(key, place, now, ours=True) for place in places])


def tidy(c: sa.Connection, session_id: int, erasure: Erasure) -> None:
    """Take away what else tells of what went: who asked, what they judged, titles, empty summaries.

    If it is `buried`, also answers elsewhere that may quote what was deleted here before, one by one.
    """
    session = c.execute(LOCK_SESSION_BY_ID, {"session": session_id}).first()
    if session is None:
        return
    if erasure.buried:
        unsay(c, turn_sources.c.session_id == session.id, _told(erasure, session.forgotten_upto))
    if erasure.author == EVERYBODY:
        _tidy_thread(c, session)
    else:
        _tidy_person(c, session, erasure)


def _told(erasure: Erasure, upto: int) -> sa.ColumnElement[bool]:
    """What of what goes was given to models. What is not there any more counts as said before."""
    if erasure.author == EVERYBODY:
        return turn_sources.c.position <= upto
    theirs = turn_sources.c.author_id == erasure.author
    if erasure.before is None:
        return theirs
    newer = sa.exists().where(
        messages.c.session_id == turn_sources.c.session_id,
        messages.c.position == turn_sources.c.position,
        messages.c.sent_at > erasure.before,
    )
    return sa.and_(theirs, ~newer.correlate(turn_sources))


def _tidy_thread(c: sa.Connection, session: Any) -> None:
    upto = session.forgotten_upto
    mine = sa.and_(turns.c.session_id == session.id, turns.c.asked_position <= upto)
    _take_turns(c, mine, upto)
    c.execute(sa.delete(summaries).where(summaries.c.session_id == session.id, summaries.c.last <= upto))
    c.execute(sa.update(turns).where(mine).values(asker_id="", asker_name="", command=""))
    nobody = {"started_by": ""} if upto == NEWEST_EVER else {}
    c.execute(sa.update(sessions).where(sessions.c.id == session.id).values(title="", **nobody))


def _tidy_person(c: sa.Connection, session: Any, erasure: Erasure) -> None:
    asked = sa.and_(turns.c.session_id == session.id, turns.c.asker_id == erasure.author, turns.c.forgotten)
    c.execute(sa.update(turns).where(asked).values(asker_id="", asker_name="", command=""))
    began = sa.and_(sessions.c.id == session.id, sessions.c.started_by == erasure.author)
    if erasure.before is not None:
        began = sa.and_(began, sessions.c.created_at <= erasure.before)
    c.execute(sa.update(sessions).where(began).values(started_by=""))


def _take_turns(c: sa.Connection, mine: sa.ColumnElement[bool], upto: int) -> None:
    """Take away turns, parts and opinions. A turn whose reply is newer stays: its posts are known as ours."""
    ended = turns.c.state.not_in(["running", "queued"])
    c.execute(sa.delete(feedback).where(feedback.c.turn_id.in_(sa.select(turns.c.id).where(mine))))
    c.execute(sa.delete(turns).where(mine, ended, sa.func.coalesce(turns.c.reply_position, 0) <= upto))
