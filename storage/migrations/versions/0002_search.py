"""The search index, which messages it still lacks, and which threads have readers of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Term = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """To this revision."""
    op.add_column("sessions", sa.Column("closed", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index(
        "ix_sessions_closed",
        "sessions",
        ["platform", "workspace"],
        sqlite_where=sa.text("closed"),
        postgresql_where=sa.text("closed"),
    )
    op.create_table(
        "search_tail",
        sa.Column("id", Id, nullable=False),
        sa.Column("session_id", Id, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("platform", sa.String(), nullable=False),
        sa.Column("workspace", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("thread", sa.String(), nullable=False),
        sa.Column("author_id", sa.String(), nullable=False),
        sa.Column("sent_us", sa.BigInteger(), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_search_tail")),
        sa.UniqueConstraint("session_id", "position", name="uq_search_tail_place"),
    )
    op.create_table(
        "search_places",
        sa.Column("id", Id, nullable=False),
        sa.Column("platform", sa.String(), nullable=False),
        sa.Column("workspace", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("thread", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_search_places")),
        sa.UniqueConstraint("platform", "workspace", "channel", "thread", name="uq_search_places_key"),
    )
    op.create_table(
        "search_buckets",
        sa.Column("bucket", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("oldest_us", sa.BigInteger(), nullable=False),
        sa.Column("places", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", name=op.f("pk_search_buckets")),
    )
    op.create_table(
        "search_docs",
        sa.Column("spot", Id, autoincrement=False, nullable=False),
        sa.Column("session_id", Id, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("author_id", sa.String(), nullable=False),
        sa.Column("sent_us", sa.BigInteger(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("spot", name=op.f("pk_search_docs")),
        sa.UniqueConstraint("session_id", "position", name="uq_search_docs_place"),
    )
    op.create_table(
        "search_terms",
        sa.Column("term", Term, nullable=False),
        sa.Column("bucket", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("slots", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("term", "bucket", name=op.f("pk_search_terms")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "search_backlog",
        sa.Column("done_id", Id, autoincrement=False, nullable=False),
        sa.Column("last_id", Id, autoincrement=False, nullable=False),
    )
    op.execute("INSERT INTO search_backlog (done_id, last_id) SELECT 0, coalesce(max(id), 0) FROM messages")


def downgrade() -> None:
    """Back to the archive without search."""
    for table in (
        "search_backlog", "search_terms", "search_docs", "search_buckets", "search_places", "search_tail",
    ):  # fmt: skip
        op.drop_table(table)
    op.drop_index("ix_sessions_closed", "sessions")
    op.drop_column("sessions", "closed")
