"""Looking the archive up for recall: hits with what stands around them, and parts of sessions."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import takewhile
from typing import Any, Final

import sqlalchemy as sa

from bot.domain import NEWEST_EVER, Message, SessionKey
from bot.finding import Excerpt, Hit, Hits, Line, Place, Search, Side, Talk, Unseen
from bot.query import Name
from storage.archive.searchable import place_of
from storage.archive.shown import shown
from storage.archive.statements import key_is, key_of, key_values, message_of
from storage.database import Database
from storage.prepared import prepared
from storage.search.find import find, holds_any
from storage.search.index import author_term, name_term, time_of
from storage.search.snippet import snippet
from storage.search.wanted import Hit as Best
from storage.search.wanted import Wanted, wanted_of
from storage.search.wishes import any_waits
from storage.tables import messages, sessions

SKEW = timedelta(minutes=1)
"""How far a platform's clock may be ahead of ours. What was found first tells how far it is."""
TITLE, AROUND, SPOKEN = 80, 120, 1_000
"""Most characters shown of a session's first message, of a hit's neighbours, of messages one reads on."""

_SESSION: Final = prepared(sa.select(sessions).where(key_is(sessions)))
_ID: Final = prepared(sa.select(sessions.c.id).where(key_is(sessions)))
_SESSION_BY_ID: Final = prepared(sa.select(sessions).where(sessions.c.id == sa.bindparam("session")))
_OF_SESSION: Final = sa.select(messages).where(messages.c.session_id == sa.bindparam("session"), shown())
_HOW_MANY: Final = prepared(
    sa.select(sa.func.count().label("many"))
    .select_from(messages)
    .where(messages.c.session_id == sa.bindparam("session"), shown())
)
"""What a session's row counts holds what is to be forgotten, until it is erased."""
_FIRST: Final = prepared(_OF_SESSION.order_by(messages.c.position).limit(1))
_UP_TO: Final = prepared(
    _OF_SESSION.where(messages.c.position <= sa.bindparam("place"))
    .order_by(messages.c.position.desc())
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_AFTER: Final = prepared(
    _OF_SESSION.where(messages.c.position > sa.bindparam("place"))
    .order_by(messages.c.position)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_CHANNELS: Final = sa.text(
    # One look into the key's index for each channel, however many sessions it has.
    "WITH RECURSIVE known (channel) AS ("
    " SELECT min(channel) FROM sessions WHERE platform = :platform AND workspace = :workspace"
    " UNION ALL SELECT (SELECT min(s.channel) FROM sessions s WHERE s.platform = :platform"
    " AND s.workspace = :workspace AND s.channel > known.channel) FROM known WHERE known.channel IS NOT NULL"
    ") SELECT channel FROM known WHERE channel IS NOT NULL"
)
_CLOSED: Final = sa.select(sessions.c.channel, sessions.c.thread).where(
    sessions.c.platform == sa.bindparam("platform"),
    sessions.c.workspace == sa.bindparam("workspace"),
    sessions.c.closed,
)


class SqlFinder:
    """Implements `Finder` and `Known` over the archive."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, search: Search, skip: int, most: int) -> Hits | None:
        """A page of the sessions with messages that fit, best first; None if there is nothing to look for."""
        return await self._database.read(lambda c: _found(c, search, skip, most))

    async def spoke(self, name: str, places: frozenset[Place]) -> bool:
        """Whether anybody of that name said anything there."""
        asked = Wanted(places, authors=frozenset((name_term(name),)))
        return await self._database.read(lambda c: holds_any(c, asked))

    async def excerpt(
        self, key: SessionKey, side: Side, places: frozenset[Place], most: int
    ) -> Excerpt | None:
        """`most` messages of a session; None if it is not there, or in none of `places`."""
        return await self._database.read(lambda c: _excerpt(c, key, side, places, most))

    async def unseen(self, key: SessionKey, by: str, places: frozenset[Place], most: int) -> Unseen | None:
        """What was said in a session since `by` last spoke; None if it is not there, or in no such place."""
        return await self._database.read(lambda c: _unseen(c, key, by, places, most))

    async def channels(self, platform: str, workspace: str) -> frozenset[str]:
        """Every channel of the workspace with a session."""
        asked = {"platform": platform, "workspace": workspace}
        return await self._database.read(lambda c: frozenset(c.execute(_CHANNELS, asked).scalars()))

    async def closed_threads(self, platform: str, workspace: str) -> frozenset[tuple[str, str]]:
        """Channel and thread of every session of the workspace that has readers of its own."""
        asked = {"platform": platform, "workspace": workspace}
        return await self._database.read(
            lambda c: frozenset((row[0], row[1]) for row in c.execute(_CLOSED, asked))
        )

    async def everywhere(self) -> frozenset[Place]:
        """Every place that anything was said in; for operators alone."""
        thread = sa.case((sessions.c.closed, sessions.c.thread), else_="")
        query = sa.select(sessions.c.platform, sessions.c.workspace, sessions.c.channel, thread).distinct()
        return await self._database.read(lambda c: frozenset(Place(*row) for row in c.execute(query)))


def _found(c: sa.Connection, search: Search, skip: int, most: int) -> Hits | None:
    asked = _wanted(c, search)
    if asked is None:
        return None
    found = find(c, asked, search.as_of)
    page = found.hits[skip : skip + most]
    shown = [_hit(c, hit, found.terms) for hit in page]
    as_of = time_of(found.as_of_us)
    return Hits(tuple(filter(None, shown)), len(found.hits), found.whole, as_of, found.respelled)


def _wanted(c: sa.Connection, search: Search) -> Wanted | None:
    query, places, session_id = search.query, search.places, None
    if query.here:
        session_id = _id_of(c, search.here)
        places = frozenset(place for place in places if _is_around(place, search.here))
    asked = wanted_of(query, places, frozenset(), session_id)
    if asked is None:
        return None
    until = search.as_of + SKEW if search.first else search.as_of
    return replace(
        asked,
        seen=_seen(c, search),
        authors=frozenset(_people(query.people, search.asker)),
        before=min(until, asked.before or until),
    )


def _seen(c: sa.Connection, search: Search) -> tuple[int, int] | None:
    if search.seen is None:
        return None
    here = _id_of(c, search.seen.key)
    return None if here is None else (here, search.seen.first)


def _id_of(c: sa.Connection, key: SessionKey) -> int | None:
    found = _ID.first(c, key_values(key))
    return None if found is None else found.id


def _is_around(place: Place, here: SessionKey) -> bool:
    return place[:3] == (here.platform, here.workspace, here.channel) and place.thread in {"", here.thread}


def _people(names: Iterable[Name], asker: str) -> Iterator[str]:
    """As terms of the index."""
    for name in names:
        if name.id:
            yield author_term(name.id)
        elif name.text.lower() == "me":
            yield author_term(asker)
        else:
            yield name_term(name.text)


def _hit(c: sa.Connection, hit: Best, terms: frozenset[str]) -> Hit | None:
    """None if the message went away since it was found, as it can where reads are not of one moment."""
    home = _SESSION_BY_ID.first(c, {"session": hit.session_id})
    at = {"session": hit.session_id, "place": hit.position}
    upto = _UP_TO.all(c, {**at, "most": 2})
    if home is None or not upto or upto[0].position != hit.position:
        return None
    after = _AFTER.first(c, {**at, "most": 1})
    return Hit(
        talk=_talk(c, home),
        line=_line(upto[0], terms),
        before=_line(upto[1], length=AROUND) if len(upto) > 1 else None,
        after=_line(after, length=AROUND) if after is not None else None,
        others=hit.others,
    )


def _talk(c: sa.Connection, home: Any) -> Talk:
    """The title is read from the first message as it is now: edited and deleted words show nowhere."""
    first = _FIRST.first(c, {"session": home.id})
    title = snippet(_said(message_of(first)), frozenset(), TITLE) if first is not None else None
    shown = f"{title.text}{'…' if title.cut_after else ''}" if title else ""
    key, position = key_of(home), first.position if first is not None else None
    many = _HOW_MANY.one(c, {"session": home.id}).many if any_waits(c) else home.messages
    return Talk(key, place_of(home, key), shown, home.active_at, many, position)


def _line(row: Any, terms: frozenset[str] = frozenset(), length: int = 240) -> Line:
    message = message_of(row)
    return Line(message.position, message.author, message.sent_at, snippet(_said(message), terms, length))


def _said(message: Message) -> str:
    """Its text, or what stands for one where it has none."""
    return message.text.strip() or ", ".join(file.name for file in message.attachments)


def _unseen(c: sa.Connection, key: SessionKey, by: str, places: frozenset[Place], most: int) -> Unseen | None:
    """Read from the end, and no further than is told: the cost is the same in a long thread."""
    home = _SESSION.first(c, key_values(key))
    if home is None or place_of(home, key) not in places:
        return None
    newest = _UP_TO.all(c, {"session": home.id, "place": NEWEST_EVER, "most": most + 1})
    since = list(takewhile(lambda row: message_of(row).author.id != by, newest))
    rows = since[:most][::-1]
    return Unseen(_talk(c, home), tuple(_line(row, length=SPOKEN) for row in rows), whole=len(since) <= most)


def _excerpt(
    c: sa.Connection, key: SessionKey, side: Side, places: frozenset[Place], most: int
) -> Excerpt | None:
    home = _SESSION.first(c, key_values(key))
    if home is None or place_of(home, key) not in places:
        return None
    before, after = {0: (most // 2 + 1, most - most // 2 - 1), -1: (most, 0), 1: (0, most)}[side.step]
    at = {"session": home.id, "place": side.position - (side.step == -1)}
    upto = _UP_TO.all(c, {**at, "most": before + 1})
    beyond = _AFTER.all(c, {**at, "most": after + 1})
    rows = [*reversed(upto[:before]), *beyond[:after]]
    return Excerpt(
        _talk(c, home),
        tuple(_line(row, length=SPOKEN) for row in rows),
        older=len(upto) > before,
        newer=len(beyond) > after,
    )
