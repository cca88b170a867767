"""When a session was gone on with: what was edited afterwards is not told where it goes on."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """To this revision. Nobody knows of those that are there: they count as gone on with now."""
    op.add_column("sessions", sa.Column("continues_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE sessions SET continues_at = CURRENT_TIMESTAMP WHERE continues <> ''")
    edited = sa.text("edited_at IS NOT NULL")
    op.create_index(
        "ix_messages_edited",
        "messages",
        ["session_id", "edited_at"],
        sqlite_where=edited,
        postgresql_where=edited,
    )


def downgrade() -> None:
    """Back to sessions that know what was edited since."""
    op.drop_index("ix_messages_edited", "messages")
    op.drop_column("sessions", "continues_at")
