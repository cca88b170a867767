"""What a PostgreSQL URL asks for, in the words of asyncpg.

Hosters and other tools hand out URLs for libpq (`sslmode=require`, `channel_binding=...`), whose names
SQLAlchemy's asyncpg dialect passes on as arguments that asyncpg does not have. asyncpg reads most of them
itself from a DSN, so they are given to it as one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode
from uuid import uuid4

import sqlalchemy as sa

POOLER: Final = "pgbouncer"
"""`?pgbouncer=true`: a pooler stands before the server, and gives a connection for one transaction only."""
_YES: Final = frozenset({"true", "1", "yes", "on"})
_OF_THE_DIALECT: Final = frozenset({"host", "port", "ssl", "prepared_statement_cache_size"})
_OF_LIBPQ_ALONE: Final = frozenset(
    {
        "channel_binding",
        "client_encoding",
        "connect_timeout",
        "fallback_application_name",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "require_auth",
        "sslcompression",
        "sslsni",
        "tcp_user_timeout",
    }
)
"""asyncpg would take them for settings of the server, which refuses what it does not know."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is, and how it is connected to."""

    url: sa.URL
    arguments: Mapping[str, Any]
    """For the driver's `connect`."""
    pooled: bool = False
    """Two statements outside of a transaction may meet two servers' connections."""


def address_of(url: sa.URL) -> Address:
    """The address that `url` names, whatever driver it was written for."""
    if url.get_backend_name() == "sqlite":
        return Address(url, {})
    query = {name: value for name, value in url.query.items() if name not in _OF_LIBPQ_ALONE}
    pooled = str(query.pop(POOLER, "")).lower() in _YES
    kept = {name: query.pop(name) for name in list(query) if name in _OF_THE_DIALECT}
    arguments: dict[str, Any] = {}
    if query:
        arguments["dsn"] = f"postgresql://?{urlencode(query, doseq=True)}"
    if pooled:
        arguments |= {
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": _new_name,
        }
    return Address(url.set(drivername="postgresql+asyncpg", query=kept), arguments, pooled)


def _new_name() -> str:
    """For a prepared statement: those of other clients may still be there on the pooler's connection."""
    return f"threadfly_{uuid4().hex}"
