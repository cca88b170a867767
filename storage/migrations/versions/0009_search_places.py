"""Sealed messages and their words know their places: the index is made anew, in steps, without being read."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """To this revision."""
    op.add_column("search_docs", sa.Column("place", Id, nullable=False, server_default="0"))
    op.execute("DELETE FROM search_buckets")
    op.execute("DELETE FROM search_sealing")
    op.execute("UPDATE search_backlog SET format = 3 WHERE NOT EXISTS (SELECT 1 FROM messages)")


def downgrade() -> None:
    """Back to places that are known bucket by bucket alone."""
    op.drop_column("search_docs", "place")
