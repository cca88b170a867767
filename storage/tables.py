"""The archive's tables, the same on SQLite and PostgreSQL."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""SQLite numbers rows by itself only where the type is INTEGER."""


class UtcTime(sa.TypeDecorator[datetime]):
    """An aware time in UTC. SQLite keeps no zone, so it is taken off and put back."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: sa.Dialect) -> Callable[[datetime | None], Any] | None:
        """Into the database: UTC; on SQLite as SQLAlchemy itself writes it there, in a tenth of the time."""
        return _written_utc if dialect.name == "sqlite" else _in_utc

    def process_result_value(self, value: datetime | None, _dialect: sa.Dialect) -> datetime | None:
        """Out of the database: aware."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _in_utc(value: datetime | None) -> datetime | None:
    return None if value is None else value.astimezone(UTC)


def _written_utc(value: datetime | None) -> str | None:
    return (
        None if value is None else value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    )


RUNNING = sa.literal_column("'running'", sa.String)
QUEUED = sa.literal_column("'queued'", sa.String)
"""States as they stand in the conditions of indexes: SQLite takes such an index for no parameter."""


class clock(FunctionElement[float]):  # noqa: N801 - reads as the SQL function that it is
    """Now, by the database's own clock: seconds since 1970. Leases are judged by it alone."""

    type = sa.Double()
    inherit_cache = True


@compiles(clock, "sqlite")
def _clock_sqlite(_element: Any, _compiler: Any, **_kw: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(clock, "postgresql")
def _clock_postgresql(_element: Any, _compiler: Any, **_kw: Any) -> str:
    return "extract(epoch from clock_timestamp())::float8"


archive = sa.Table(
    "archive",
    metadata,
    sa.Column("id", sa.String, primary_key=True, comment="random; keeps two archives on one Dragonfly apart"),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("platform", sa.String, nullable=False),
    sa.Column("workspace", sa.String, nullable=False),
    sa.Column("channel", sa.String, nullable=False),
    sa.Column("thread", sa.String, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False, comment="raised by every change to its messages"),
    sa.Column("messages", sa.Integer, nullable=False, comment="how many it has now"),
    sa.Column("last_reply", sa.BigInteger, nullable=False, comment="position of our newest reply; 0: none"),
    sa.Column("running_turn", sa.BigInteger, comment="the one turn that runs"),
    sa.Column("queued", sa.Integer, nullable=False, comment="turns that wait behind it"),
    sa.Column("joined", sa.Boolean, nullable=False, comment="the bot was asked here, so it takes part"),
    sa.Column("paused", sa.Boolean, nullable=False),
    sa.Column("model", sa.String, nullable=False, comment="as chosen here; empty: the default"),
    sa.Column("persona", sa.String, nullable=False, comment="as chosen here; empty: the default"),
    sa.Column("fresh_from", sa.BigInteger, nullable=False, comment="windows show only what is newer"),
    sa.Column("complete_from", sa.BigInteger, comment="whole from here on; 0: from its start; null: unknown"),
    sa.Column("title", sa.String, nullable=False),
    sa.Column("started_by", sa.String, nullable=False, comment="author id of who first asked"),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("active_at", UtcTime, nullable=False),
    sa.Column(
        "closed", sa.Boolean, nullable=False, server_default=sa.false(), comment="has readers of its own"
    ),
    sa.Column(
        "forgotten_upto",
        sa.BigInteger,
        nullable=False,
        server_default="-1",
        comment="what was said up to this position is forgotten, and is never taken in again; -1: nothing",
    ),
    sa.Column(
        "continues",
        sa.String,
        nullable=False,
        server_default="",
        comment="key of the session that it goes on from; empty: none",
    ),
    sa.Column(
        "continues_after", sa.BigInteger, nullable=False, server_default="0", comment="it knows what is newer"
    ),
    sa.Column(
        "continues_upto", sa.BigInteger, nullable=False, server_default="0", comment="... and not beyond this"
    ),
    sa.Column("continues_at", UtcTime, comment="... and not as it was edited after this"),
    sa.UniqueConstraint("platform", "workspace", "channel", "thread", name="uq_sessions_key"),
    sa.Index(
        "ix_sessions_closed",
        "platform",
        "workspace",
        sqlite_where=sa.text("closed = 1"),
        postgresql_where=sa.text("closed"),
    ),
    sqlite_autoincrement=True,  # no id is given out twice: hot windows are kept by it
)

_session = sa.ForeignKey("sessions.id", ondelete="CASCADE")

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("id", Id, primary_key=True, comment="in the order of archiving"),
    sa.Column("session_id", Id, _session, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("author_id", sa.String, nullable=False),
    sa.Column("author_name", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False, comment="person, bot, other_bot"),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("note", sa.String, nullable=False, comment="shown below the text, not for the model"),
    sa.Column("attachments", sa.Text, comment="JSON: [[name, type, size, url], ...]"),
    sa.Column("gesture", sa.String, unique=True, comment="the sender's id of the act, with its channel"),
    sa.Column("sent_at", UtcTime, nullable=False),
    sa.Column("edited_at", UtcTime),
    sa.Column("lent_until", UtcTime, comment="only read, and given back then; null: ours to keep"),
    sa.UniqueConstraint("session_id", "position", name="uq_messages_place"),
    sa.Index(
        "ix_messages_lent",
        "lent_until",
        sqlite_where=sa.text("lent_until IS NOT NULL"),
        postgresql_where=sa.text("lent_until IS NOT NULL"),
    ),
    sa.Index(
        "ix_messages_edited",
        "session_id",
        "edited_at",
        sqlite_where=sa.text("edited_at IS NOT NULL"),
        postgresql_where=sa.text("edited_at IS NOT NULL"),
    ),
    sqlite_autoincrement=True,  # no id is given out twice: hot windows are kept by it
)

turns = sa.Table(
    "turns",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("session_id", Id, sa.ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    sa.Column("asked_position", sa.BigInteger, nullable=False),
    sa.Column("asker_id", sa.String, nullable=False),
    sa.Column("asker_name", sa.String, nullable=False),
    sa.Column(
        "state", sa.String, nullable=False, comment="queued, running, done, stopped, failed, merged, dropped"
    ),
    sa.Column("into_id", Id, comment="merged: the turn that answers this one too"),
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("lease_until", sa.Double, nullable=False, comment="seconds by the database's clock"),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("cut", sa.BigInteger, nullable=False, comment="newest position its window shows"),
    sa.Column("stop_asked", sa.Boolean, nullable=False),
    sa.Column("command", sa.String, nullable=False, comment="the command that the question is; else empty"),
    sa.Column("deaths", sa.Integer, nullable=False, comment="owners that ended without giving it back"),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("finished_at", UtcTime),
    sa.Column("reply_position", sa.BigInteger),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("prompt_tokens", sa.Integer),
    sa.Column("completion_tokens", sa.Integer),
    sa.Column("total_tokens", sa.Integer),
    sa.Column("response_id", sa.String),
    sa.Column("system_fingerprint", sa.String),
    sa.Column("finish_reason", sa.String),
    sa.Column("latency_ms", sa.Integer),
    sa.Column(
        "forgotten",
        sa.Boolean,
        nullable=False,
        server_default=sa.false(),
        comment="what it answers or was given is forgotten: its reply goes, or is never archived",
    ),
    sa.UniqueConstraint("session_id", "asked_position", name="uq_turns_asked"),
    sa.Index(
        "uq_turns_running",
        "session_id",
        unique=True,
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    ),
    sa.Index(
        "ix_turns_lease",
        "lease_until",
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    ),
    sa.Index(
        "ix_turns_queued",
        "session_id",
        "asked_position",
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    ),
    sa.Index("ix_turns_into_id", "into_id"),
    sa.Index(
        "ix_turns_forgotten",
        "session_id",
        "reply_position",
        sqlite_where=sa.text("forgotten = 1"),
        postgresql_where=sa.text("forgotten"),
    ),
    sqlite_autoincrement=True,  # no id is given out twice: hot windows are kept by it
)

parts = sa.Table(
    "parts",
    metadata,
    sa.Column("turn_id", Id, sa.ForeignKey("turns.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("session_id", Id, sa.ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    sa.Column("position", sa.BigInteger, comment="null: meant to be posted, and perhaps was"),
    sa.Column("end", sa.Integer, nullable=False, comment="where in the reply's text it ends"),
    sa.Index("ix_parts_place", "session_id", "position"),
)

turn_sources = sa.Table(
    "turn_sources",
    metadata,
    sa.Column("turn_id", Id, sa.ForeignKey("turns.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("session_id", Id, sa.ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("author_id", sa.String, nullable=False, comment="who said it, also once it is deleted"),
    sa.Index("ix_turn_sources_place", "session_id", "position"),
)
"""The messages that searches gave to a turn's model: its reply may quote them, and goes when they do."""

tombstones = sa.Table(
    "tombstones",
    metadata,
    sa.Column("platform", sa.String, primary_key=True),
    sa.Column("workspace", sa.String, primary_key=True),
    sa.Column("channel", sa.String, primary_key=True),
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("made_at", UtcTime, nullable=False),
    sa.Column("ours", sa.Boolean, nullable=False, comment="its thread is a session; else kept for days only"),
    sa.Column(
        "unanswered",
        sa.Boolean,
        nullable=False,
        server_default=sa.false(),
        comment="it asked for something, and was met but not answered",
    ),
)

feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column("turn_id", Id, sa.ForeignKey("turns.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("author_id", sa.String, primary_key=True),
    sa.Column("good", sa.Boolean, nullable=False),
    sa.Column("given_at", UtcTime, nullable=False),
)

summaries = sa.Table(
    "summaries",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("session_id", Id, sa.ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    sa.Column("level", sa.Integer, nullable=False, comment="0: of messages; n: of blocks of level n - 1"),
    sa.Column("after", sa.BigInteger, nullable=False, comment="covers the positions after this one"),
    sa.Column("last", sa.BigInteger, nullable=False, comment="up to and with this one"),
    sa.Column("messages", sa.Integer, nullable=False, comment="how many it covers"),
    sa.Column("version", sa.BigInteger, nullable=False, comment="session.version of what it was made from"),
    sa.Column("text", sa.Text, nullable=False, comment="empty: something in it changed, make it again"),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("made_at", UtcTime, nullable=False),
    sa.UniqueConstraint("session_id", "after", name="uq_summaries_block"),
)

gestures = sa.Table(
    "gestures",
    metadata,
    sa.Column("id", sa.String, primary_key=True, comment="a hash of who pressed what, where"),
    sa.Column("token", sa.String, nullable=False, comment="of whoever sees to it"),
    sa.Column("lease_until", sa.Double, nullable=False, comment="seconds by the database's clock"),
)
"""Buttons that a process is seeing to, outside of any turn. A row goes when that is done."""

watermarks = sa.Table(
    "watermarks",
    metadata,
    sa.Column("platform", sa.String, primary_key=True),
    sa.Column("workspace", sa.String, primary_key=True),
    sa.Column("channel", sa.String, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
)

gone = sa.Table(
    "gone",
    metadata,
    sa.Column("platform", sa.String, primary_key=True),
    sa.Column("workspace", sa.String, primary_key=True),
    sa.Column("channel", sa.String, primary_key=True),
    sa.Column("thread", sa.String, primary_key=True, comment="empty: the whole channel"),
)
"""Places that their platform removed: no session is made there any more."""

forgotten = sa.Table(
    "forgotten",
    metadata,
    sa.Column("platform", sa.String, primary_key=True),
    sa.Column("workspace", sa.String, primary_key=True),
    sa.Column("author_id", sa.String, primary_key=True),
    sa.Column("before", UtcTime, nullable=False, comment="nothing they said up to then is taken in again"),
)
"""People who asked to be forgotten. Looked at by every insert of a message."""

erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("platform", sa.String, nullable=False),
    sa.Column("workspace", sa.String, nullable=False),
    sa.Column("channel", sa.String, nullable=False, comment="empty: every channel"),
    sa.Column("thread", sa.String, nullable=False, comment="empty: every thread"),
    sa.Column(
        "author_id",
        sa.String,
        nullable=False,
        comment="empty: what anybody said; a space: only answers that quote what went",
    ),
    sa.Column("upto", sa.BigInteger, nullable=False, comment="newest position that goes"),
    sa.Column("buried", sa.Boolean, nullable=False, comment="each message leaves a tombstone"),
    sa.Column("done", Id, nullable=False, comment="of sessions.id: nothing is left up to here"),
    sqlite_autoincrement=True,
)
"""What is still to be erased, a small step at a time. A row goes when nothing of it is left."""
