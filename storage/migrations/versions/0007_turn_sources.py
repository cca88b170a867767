"""Which messages a turn's model was given by its searches."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "turn_sources",
        sa.Column("turn_id", Id, nullable=False),
        sa.Column("session_id", Id, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("author_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["turns.id"], name=op.f("fk_turn_sources_turn_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name=op.f("fk_turn_sources_session_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("turn_id", "session_id", "position", name=op.f("pk_turn_sources")),
    )
    op.create_index("ix_turn_sources_place", "turn_sources", ["session_id", "position"])


def downgrade() -> None:
    """Back to the archive that does not know what an answer was made from."""
    op.drop_index("ix_turn_sources_place", "turn_sources")
    op.drop_table("turn_sources")
