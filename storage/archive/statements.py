"""What the archive's modules share: statements for both databases, rows to values."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from bot.domain import Attachment, Author, Continued, Message, SessionKey, Speaker, ThreadSettings
from storage.archive.searchable import let_find
from storage.prepared import Prepared, prepared
from storage.search.index import Findable
from storage.tables import forgotten, messages, sessions, summaries, tombstones


class OnConflict:
    """One INSERT ... ON CONFLICT, which SQLAlchemy spells for each database on its own.

    `build` gets the database's `insert`; call with a connection for the statement that fits it.
    """

    def __init__(self, build: Callable[[Any], sa.Executable]) -> None:
        self._spelled = {"sqlite": build(sqlite.insert), "postgresql": build(postgresql.insert)}

    def __call__(self, c: sa.Connection) -> sa.Executable:
        return self._spelled[c.dialect.name]

    def prepared(self) -> Prepared:
        """The same, for the hot path."""
        return Prepared(self._spelled.__getitem__)


def key_is(table: sa.Table) -> sa.ColumnElement[bool]:
    """The row of a session key, bound from `key_values`."""
    return sa.and_(*(table.c[name] == sa.bindparam(f"k_{name}") for name in KEY_PARTS))


KEY_PARTS: Final = ("platform", "workspace", "channel", "thread")


def key_values(key: SessionKey) -> dict[str, Any]:
    """Values for `key_is`."""
    return {
        "k_platform": key.platform,
        "k_workspace": key.workspace,
        "k_channel": key.channel,
        "k_thread": key.thread,
    }


SESSION: Final = [
    column for column in sessions.c if column.name not in {"title", "started_by", "created_at", "active_at"}
]
"""What deciding needs of a session; the rest is only for showing."""

LOCK_SESSION: Final = sa.select(*SESSION).where(key_is(sessions)).with_for_update()
"""One at a time changes a session; SQLite has one writer anyway."""
LOCK_SESSION_SOON: Final = prepared(LOCK_SESSION)
"""The same, for the hot path."""
LOCK_SESSION_BY_ID: Final = (
    sa.select(*SESSION).where(sessions.c.id == sa.bindparam("session")).with_for_update()
)

_MESSAGE_COLUMNS: Final = (
    "session_id",
    "position",
    "author_id",
    "author_name",
    "kind",
    "text",
    "note",
    "attachments",
    "gesture",
    "sent_at",
    "edited_at",
    "lent_until",
)

_buried = sa.exists().where(
    tombstones.c.platform == sa.bindparam("k_platform"),
    tombstones.c.workspace == sa.bindparam("k_workspace"),
    tombstones.c.channel == sa.bindparam("k_channel"),
    tombstones.c.position == sa.bindparam("position", type_=sa.BigInteger),
)

_forgotten = sa.exists().where(
    forgotten.c.platform == sa.bindparam("k_platform"),
    forgotten.c.workspace == sa.bindparam("k_workspace"),
    forgotten.c.author_id == sa.bindparam("author_id"),
    forgotten.c.before >= sa.bindparam("sent_at", type_=messages.c.sent_at.type),
)

_told = sa.exists().where(
    summaries.c.session_id == sa.bindparam("session_id"),
    summaries.c.after < sa.bindparam("position"),
    summaries.c.last >= sa.bindparam("position"),
    summaries.c.text != "",
)

_INSERT_MESSAGE: Final = OnConflict(
    lambda insert: (
        insert(messages)
        .from_select(
            _MESSAGE_COLUMNS,
            sa.select(*(sa.bindparam(name, type_=messages.c[name].type) for name in _MESSAGE_COLUMNS)).where(
                ~_buried, ~_forgotten
            ),
        )
        .on_conflict_do_nothing()
        .returning(_told.label("told"))
    )
).prepared()


def insert_message(
    c: sa.Connection,
    session: Any,
    key: SessionKey,
    message: Message,
    found: Findable,
    gesture: str = "",
    lent_until: datetime | None = None,
) -> bool:
    """Archive `message`, let it be found, and void what summaries told of its place; whether it is new.

    It is not if it is there already, under this position or gesture, or was deleted or forgotten before
    it came. One that is only lent (see `lending`) is not found.
    """
    if message.position <= session.forgotten_upto:
        return False
    values = message_values(session.id, message, key, gesture) | key_values(key)
    values["lent_until"] = lent_until
    inserted = _INSERT_MESSAGE.first(c, values)
    if inserted is None:
        return False
    if inserted.told:
        place = message.position
        c.execute(VOID_SUMMARIES, {"session": session.id, "place": place, "upto": place})
    if lent_until is None:
        let_find(c, session, key, found)
    return True


def message_values(session_id: int, message: Message, key: SessionKey, gesture: str) -> dict[str, Any]:
    """A row of `messages`."""
    return {
        "session_id": session_id,
        "position": message.position,
        "author_id": message.author.id,
        "author_name": message.author.name,
        "kind": message.author.kind.value,
        "text": message.text,
        "note": message.note,
        "attachments": attachments_to_json(message.attachments),
        "gesture": f"{key.platform}:{key.workspace}:{key.channel}:{gesture}" if gesture else None,
        "sent_at": message.sent_at,
        "edited_at": message.edited_at,
    }


def attachments_to_json(attachments: tuple[Attachment, ...]) -> str | None:
    """As kept in `messages.attachments`."""
    if not attachments:
        return None
    return orjson.dumps([[a.name, a.type, a.size, a.url] for a in attachments]).decode()


def message_of(row: Any) -> Message:
    """A row of `messages` as a value."""
    return Message(
        position=row.position,
        author=Author(row.author_id, row.author_name, Speaker(row.kind)),
        text=row.text,
        sent_at=row.sent_at,
        attachments=tuple(Attachment(*a) for a in orjson.loads(row.attachments)) if row.attachments else (),
        edited_at=row.edited_at,
        note=row.note,
    )


def key_of(row: Any) -> SessionKey:
    """The key of a row of `sessions`."""
    return SessionKey(row.platform, row.workspace, row.channel, row.thread)


def settings_of(row: Any) -> ThreadSettings:
    """The settings of a row of `sessions`."""
    return ThreadSettings(
        model=row.model,
        persona=row.persona,
        paused=row.paused,
        fresh_from=row.fresh_from,
        complete_from=row.complete_from,
        messages=row.messages,
        continues=continued_of(row) if row.continues else None,
    )


def continued_of(row: Any) -> Continued | None:
    """What the session with this row of `sessions` goes on from."""
    key = SessionKey(*row.continues.split(":")) if row.continues else None
    return None if key is None else Continued(key, row.continues_after, row.continues_upto, row.continues_at)


BURY: Final = OnConflict(lambda insert: insert(tombstones).on_conflict_do_nothing())


def tombstone_values(key: SessionKey, position: int, now: datetime, *, ours: bool) -> dict[str, Any]:
    """Values for `BURY`."""
    return {
        "platform": key.platform,
        "workspace": key.workspace,
        "channel": key.channel,
        "position": position,
        "made_at": now,
        "ours": ours,
    }


_MARK_UNANSWERED: Final = (
    sa.update(tombstones)
    .where(
        *(tombstones.c[name] == sa.bindparam(f"k_{name}") for name in KEY_PARTS if name in tombstones.c),
        tombstones.c.position == sa.bindparam("place", type_=sa.BigInteger),
        tombstones.c.unanswered == sa.bindparam("was"),
    )
    .values(unanswered=sa.bindparam("now"))
)


def mark_unanswered(c: sa.Connection, key: SessionKey, position: int, *, was: bool, now: bool) -> bool:
    """Change whether what stood there waits for an answer; False where that `was` not so."""
    values = {**key_values(key), "place": position, "was": was, "now": now}
    return bool(c.execute(_MARK_UNANSWERED, values).rowcount)


def lock_key(c: sa.Connection, key: SessionKey) -> None:
    """Keep others from making the session of `key` (or burying what it will hold) until the commit.

    Only needed while there is no row to lock; SQLite's one writer needs none.
    """
    if c.dialect.name == "postgresql":
        place = f"{key.platform}:{key.workspace}:{key.channel}"
        c.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(place, 0))))


VOID_SUMMARIES: Final = (
    sa.update(summaries)
    .where(
        summaries.c.session_id == sa.bindparam("session"),
        summaries.c.after < sa.bindparam("upto"),
        summaries.c.last >= sa.bindparam("place"),
    )
    .values(text="")
)
"""What summaries told of `place` to `upto` is void at once; they are made again off the user's path."""
