"""Making sessions, and what stands in the way of what was deleted."""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from bot.domain import Message, SessionKey
from storage.archive.searchable import title_of
from storage.archive.statements import LOCK_SESSION_SOON, SESSION, OnConflict, key_values
from storage.prepared import prepared
from storage.tables import gone, messages, sessions, tombstones

_INSERT_SESSION: Final = OnConflict(
    lambda insert: insert(sessions).on_conflict_do_nothing().returning(*SESSION)
).prepared()
_BURIED_AT: Final = prepared(
    sa.select(sa.literal(1)).where(
        sa.or_(
            sa.exists().where(
                tombstones.c.platform == sa.bindparam("k_platform"),
                tombstones.c.workspace == sa.bindparam("k_workspace"),
                tombstones.c.channel == sa.bindparam("k_channel"),
                tombstones.c.position == sa.bindparam("place", type_=sa.BigInteger),
            ),
            sa.exists().where(
                gone.c.platform == sa.bindparam("k_platform"),
                gone.c.workspace == sa.bindparam("k_workspace"),
                gone.c.channel == sa.bindparam("k_channel"),
                sa.or_(gone.c.thread == "", gone.c.thread == sa.bindparam("k_thread")),
            ),
        )
    )
)
_BURIED_AMONG: Final = sa.select(tombstones.c.position).where(
    tombstones.c.platform == sa.bindparam("k_platform"),
    tombstones.c.workspace == sa.bindparam("k_workspace"),
    tombstones.c.channel == sa.bindparam("k_channel"),
    tombstones.c.position.in_(sa.bindparam("places", expanding=True)),
)
_MESSAGE_AT: Final = sa.select(messages).where(
    messages.c.session_id == sa.bindparam("session"), messages.c.position == sa.bindparam("place")
)


def make_session(
    c: sa.Connection,
    key: SessionKey,
    first: Message,
    *,
    joined: bool,
    complete_from: int | None,
    closed: bool,
) -> Any:
    """The row of the session of `key`, made if it is not there, and locked."""
    made = _INSERT_SESSION.first(
        c,
        {
            "platform": key.platform,
            "workspace": key.workspace,
            "channel": key.channel,
            "thread": key.thread,
            "version": 0,
            "messages": 0,
            "last_reply": 0,
            "queued": 0,
            "joined": joined,
            "paused": False,
            "model": "",
            "persona": "",
            "fresh_from": 0,
            "complete_from": complete_from,
            "title": title_of(first.text),
            "started_by": first.author.id,
            "created_at": first.sent_at,
            "active_at": first.sent_at,
            "closed": closed,
        },
    )
    return made or LOCK_SESSION_SOON.one(c, key_values(key))


def unmake_session(c: sa.Connection, session_id: int) -> None:
    """Take back a session made for the second copy of one gesture, or for what was deleted meanwhile."""
    c.execute(sa.delete(sessions).where(sessions.c.id == session_id))


def is_buried(c: sa.Connection, key: SessionKey, position: int) -> bool:
    """Whether what stood there was deleted, by itself or with its thread or channel."""
    return _BURIED_AT.first(c, {**key_values(key), "place": position}) is not None


def buried_among(c: sa.Connection, key: SessionKey, positions: Sequence[int]) -> frozenset[int]:
    """Those of `positions` where something was deleted."""
    found = c.execute(_BURIED_AMONG, {**key_values(key), "places": list(positions)})
    return frozenset(found.scalars())


def message_at(c: sa.Connection, session_id: int, position: int) -> Any:
    """The row of the message there; None if there is none."""
    return c.execute(_MESSAGE_AT, {"session": session_id, "place": position}).first()
