"""What is to be erased, and what keeps it from coming back."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """To this revision."""
    op.add_column(
        "sessions", sa.Column("forgotten_upto", sa.BigInteger(), nullable=False, server_default="-1")
    )
    op.add_column("turns", sa.Column("forgotten", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "gone",
        sa.Column("platform", sa.String(), nullable=False),
        sa.Column("workspace", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("thread", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("platform", "workspace", "channel", "thread", name=op.f("pk_gone")),
    )
    op.create_table(
        "forgotten",
        sa.Column("platform", sa.String(), nullable=False),
        sa.Column("workspace", sa.String(), nullable=False),
        sa.Column("author_id", sa.String(), nullable=False),
        sa.Column("before", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("platform", "workspace", "author_id", name=op.f("pk_forgotten")),
    )
    op.create_table(
        "erasures",
        sa.Column("id", Id, nullable=False),
        sa.Column("platform", sa.String(), nullable=False),
        sa.Column("workspace", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("thread", sa.String(), nullable=False),
        sa.Column("author_id", sa.String(), nullable=False),
        sa.Column("upto", sa.BigInteger(), nullable=False),
        sa.Column("buried", sa.Boolean(), nullable=False),
        sa.Column("done", Id, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasures")),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    """Back to the archive that forgets single messages only."""
    for table in ("erasures", "forgotten", "gone"):
        op.drop_table(table)
    op.drop_column("turns", "forgotten")
    op.drop_column("sessions", "forgotten_upto")
