"""Many messages and turns of one session at once, where each by itself takes a statement or more."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import sqlalchemy as sa

from bot.domain import Message, SessionKey, Usage
from bot.sheets import Answered, Entry
from storage.archive.searchable import let_find_many
from storage.archive.sessions import buried_among
from storage.archive.statements import KEY_PARTS, VOID_SUMMARIES, OnConflict, message_values
from storage.search.index import Findable
from storage.tables import forgotten, messages, parts, summaries, turns

_KEEP: Final = OnConflict(
    lambda insert: insert(messages).on_conflict_do_nothing().returning(messages.c.position)
)
_WISHES: Final = sa.select(forgotten.c.author_id, forgotten.c.before).where(
    *(forgotten.c[name] == sa.bindparam(f"k_{name}") for name in KEY_PARTS if name in forgotten.c),
    forgotten.c.author_id.in_(sa.bindparam("authors", expanding=True)),
)
_TOLD: Final = sa.select(summaries.c.after, summaries.c.last).where(
    summaries.c.session_id == sa.bindparam("session"),
    summaries.c.after < sa.bindparam("newest", type_=sa.BigInteger),
    summaries.c.last >= sa.bindparam("oldest", type_=sa.BigInteger),
    summaries.c.text != "",
)
_THERE: Final = sa.select(messages.c.position).where(
    messages.c.session_id == sa.bindparam("session"),
    messages.c.position.in_(sa.bindparam("places", expanding=True)),
)
_ROOTS: Final = sa.select(turns.c.asked_position, turns.c.id).where(
    turns.c.session_id == sa.bindparam("session"),
    turns.c.asked_position.in_(sa.bindparam("places", expanding=True)),
)
_KEEP_TURNS: Final = OnConflict(
    lambda insert: insert(turns).on_conflict_do_nothing().returning(turns.c.asked_position, turns.c.id)
)
_KEEP_PARTS: Final = OnConflict(lambda insert: insert(parts).on_conflict_do_nothing())


def insert_messages(
    c: sa.Connection, session: Any, key: SessionKey, entries: Sequence[Entry], found: Sequence[Findable]
) -> int:
    """As `insert_message` for each of `entries`, which are ours to keep; how many are new.

    Of several at one position the first is kept.
    """
    wanted = _wanted(c, session, key, [entry.message for entry in entries])
    rows = [
        message_values(session.id, entry.message, key, entry.gesture)
        for entry in entries
        if entry.message.position in wanted
    ]
    if not rows:
        return 0
    kept = frozenset(c.execute(_KEEP(c), rows).scalars())
    _void_summaries(c, session.id, kept)
    made = {each.position: each for each in reversed(found) if each.position in kept}
    let_find_many(c, session, key, list(made.values()))
    return len(kept)


def _wanted(c: sa.Connection, session: Any, key: SessionKey, said: Sequence[Message]) -> frozenset[int]:
    """Positions of what was neither deleted nor forgotten."""
    values = {f"k_{name}": getattr(key, name) for name in KEY_PARTS}
    authors = {message.author.id for message in said}
    wishes = {row.author_id: row.before for row in c.execute(_WISHES, {**values, "authors": list(authors)})}
    left = [
        message.position
        for message in said
        if message.position > session.forgotten_upto
        and not (message.author.id in wishes and message.sent_at <= wishes[message.author.id])
    ]
    return frozenset(left) - buried_among(c, key, left)


def _void_summaries(c: sa.Connection, session_id: int, kept: Collection[int]) -> None:
    """What was told of a stretch without these is void."""
    if not kept:
        return
    bounds = {"session": session_id, "oldest": min(kept), "newest": max(kept)}
    for block in c.execute(_TOLD, bounds).all():
        if any(block.after < position <= block.last for position in kept):
            c.execute(VOID_SUMMARIES, {"session": session_id, "place": block.last, "upto": block.last})


def insert_turns(c: sa.Connection, session_id: int, answered: Sequence[Answered]) -> None:
    """Keep the turns whose question or reply is there, unless they are known."""
    places = {place for each in answered for place in (each.asked, each.reply) if place is not None}
    if not places:
        return
    there = frozenset(c.execute(_THERE, {"session": session_id, "places": list(places)}).scalars())
    left = [each for each in answered if each.asked in there or each.reply in there]
    _keep(c, session_id, [each for each in left if each.into is None])
    _keep(c, session_id, [each for each in left if each.into is not None])


def _keep(c: sa.Connection, session_id: int, answered: Sequence[Answered]) -> None:
    if not answered:
        return
    into = {each.into for each in answered if each.into is not None}
    roots = dict(_pairs(c, _ROOTS, {"session": session_id, "places": list(into)})) if into else {}
    rows = [_turn_values(session_id, each, roots) for each in answered]
    made = dict(_pairs(c, _KEEP_TURNS(c), rows))
    posts = [
        {
            "turn_id": made[each.asked],
            "number": part.number,
            "session_id": session_id,
            "position": part.position,
            "end": part.end,
        }
        for each in answered
        if each.asked in made
        for part in each.parts
    ]
    if posts:
        c.execute(_KEEP_PARTS(c), posts)


def _pairs(c: sa.Connection, statement: sa.Executable, values: Any) -> Iterable[tuple[int, int]]:
    return ((position, id) for position, id in c.execute(statement, values))


def _turn_values(session_id: int, answered: Answered, roots: dict[int, int]) -> dict[str, Any]:
    return {
        "session_id": session_id,
        "asked_position": answered.asked,
        "asker_id": answered.asker.id,
        "asker_name": answered.asker.name,
        "state": answered.state,
        "into_id": roots.get(answered.into) if answered.into is not None else None,
        "owner": "",
        "lease_until": 0.0,
        "epoch": 1,
        "cut": answered.asked,
        "stop_asked": False,
        "command": answered.command,
        "deaths": 0,
        "created_at": answered.created_at,
        "finished_at": answered.finished_at,
        "reply_position": answered.reply,
        **{name: getattr(answered.usage, name) for name in Usage.__slots__},
    }
