"""Long texts are found by their beginning: the index is made anew, in steps, unless it is empty."""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """To this revision."""
    op.execute("UPDATE search_backlog SET format = 5 WHERE NOT EXISTS (SELECT 1 FROM messages)")


def downgrade() -> None:
    """The release before sees by the format that it has to make the index anew."""
