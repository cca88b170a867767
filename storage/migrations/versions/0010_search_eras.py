"""The terms of buckets that were sealed in a row stand together: the index is made anew, in steps."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

Term = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def _renew(*before_term: sa.Column[int]) -> None:
    """Nothing of the old index is read any more; what is left of it is taken away behind everybody's back."""
    op.drop_table("search_terms")
    op.create_table(
        "search_terms",
        *before_term,
        sa.Column("term", Term, nullable=False),
        sa.Column("bucket", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("slots", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint(
            *(column.name for column in before_term), "term", "bucket", name=op.f("pk_search_terms")
        ),
        sqlite_with_rowid=False,
    )
    op.execute("DELETE FROM search_buckets")
    op.execute("DELETE FROM search_sealing")


def upgrade() -> None:
    """To this revision."""
    _renew(sa.Column("era", sa.Integer(), autoincrement=False, nullable=False))
    op.add_column("search_buckets", sa.Column("era", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("search_sealing", sa.Column("era", sa.Integer(), nullable=False, server_default="0"))
    op.execute("UPDATE search_backlog SET format = 4 WHERE NOT EXISTS (SELECT 1 FROM messages)")


def downgrade() -> None:
    """Back to one order of all terms."""
    _renew()
    op.drop_column("search_buckets", "era")
    op.drop_column("search_sealing", "era")
