"""Which replies are not shown any more, found without reading a session's turns."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """To this revision."""
    op.create_index(
        "ix_turns_forgotten",
        "turns",
        ["session_id", "reply_position"],
        sqlite_where=sa.text("forgotten"),
        postgresql_where=sa.text("forgotten"),
    )


def downgrade() -> None:
    """Back to the archive that shows them until they are erased."""
    op.drop_index("ix_turns_forgotten", "turns")
