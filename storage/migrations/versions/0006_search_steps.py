"""The index is filled in steps, and made anew when it has the format of another release."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "search_sealing",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("lease_until", sa.Double(), nullable=False),
        sa.Column("lost", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_search_sealing")),
    )
    op.add_column("search_backlog", sa.Column("format", sa.Integer(), nullable=False, server_default="1"))
    op.execute("UPDATE search_backlog SET format = 2 WHERE NOT EXISTS (SELECT 1 FROM messages)")


def downgrade() -> None:
    """Back to buckets that were filled at once; what was being filled is in both places."""
    op.drop_column("search_backlog", "format")
    op.drop_table("search_sealing")
