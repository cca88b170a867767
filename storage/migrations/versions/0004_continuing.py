"""Sessions that go on from others."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_POSITIONS = ("continues_after", "continues_upto")


def upgrade() -> None:
    """To this revision."""
    op.add_column("sessions", sa.Column("continues", sa.String(), nullable=False, server_default=""))
    for name in _POSITIONS:
        op.add_column("sessions", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Back to sessions that all begin with nothing."""
    for name in ("continues", *_POSITIONS):
        op.drop_column("sessions", name)
