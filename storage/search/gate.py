"""Whoever begins a bucket waits for those who are just taking messages out of the index, and they for it.

Who takes one out warns whoever seals, by the row of the bucket that is being filled. A bucket that is begun
at the same time has no row yet which they could see, and who begins it finds what they took out still there
until they commit: so deleted words would get into it. SQLite has one writer, and no such moment.
"""

from typing import Final

import sqlalchemy as sa

_GATE: Final = 0x7365_616C  # "seal"
_PASS: Final = sa.select(sa.func.pg_advisory_xact_lock_shared(_GATE))
_CLOSE: Final = sa.select(sa.func.pg_advisory_xact_lock(_GATE))


def pass_by(c: sa.Connection) -> None:
    """Let no bucket be begun until this transaction ends; any number do so together."""
    if c.dialect.name == "postgresql":
        c.execute(_PASS)


def close(c: sa.Connection) -> None:
    """Return once nobody has passed whose transaction goes on; let nobody pass until this one ends."""
    if c.dialect.name == "postgresql":
        c.execute(_CLOSE)
