"""Which of what is never archived still waits to be answered."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """To this revision."""
    op.add_column(
        "tombstones", sa.Column("unanswered", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    """Back to commands that are answered when they are first met, or never."""
    op.drop_column("tombstones", "unanswered")
