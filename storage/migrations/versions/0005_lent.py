"""Messages that were only read on their platform, and are kept for a short time."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """To this revision."""
    op.add_column("messages", sa.Column("lent_until", sa.DateTime(timezone=True), nullable=True))
    lent = sa.text("lent_until IS NOT NULL")
    op.create_index("ix_messages_lent", "messages", ["lent_until"], sqlite_where=lent, postgresql_where=lent)


def downgrade() -> None:
    """Back to the archive that keeps whatever it was shown."""
    op.execute("DELETE FROM messages WHERE lent_until IS NOT NULL")
    op.drop_index("ix_messages_lent", "messages")
    op.drop_column("messages", "lent_until")
