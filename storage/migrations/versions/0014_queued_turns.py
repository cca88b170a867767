"""Indexes on parts of tables that SQLite takes, too: what waits, which replies go, which threads are closed.

It uses such an index only for a statement that holds its condition as it stands, and a column that is
true is written `= 1` there.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

PARTS = (
    ("ix_turns_forgotten", "turns", ["session_id", "reply_position"], "forgotten"),
    ("ix_sessions_closed", "sessions", ["platform", "workspace"], "closed"),
)


def upgrade() -> None:
    """To this revision."""
    _make_anew(" = 1")
    op.create_index(
        "ix_turns_queued",
        "turns",
        ["session_id", "asked_position"],
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    )


def downgrade() -> None:
    """Back to the archive that reads them all."""
    op.drop_index("ix_turns_queued", "turns")
    _make_anew("")


def _make_anew(true: str) -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    for name, table, columns, condition in PARTS:
        op.drop_index(name, table)
        op.create_index(name, table, columns, sqlite_where=sa.text(condition + true))
