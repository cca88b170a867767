"""URLs of PostgreSQL, as hosters and other tools write them."""

import pytest
import sqlalchemy as sa

from storage.address import address_of


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+asyncpg"])
def test_any_name_of_postgresql_is_taken(scheme: str) -> None:
    address = address_of(sa.make_url(f"{scheme}://joe:p%40ss@db.example:6432/archive"))
    assert address.url.drivername == "postgresql+asyncpg"
    assert (address.url.password, address.url.port) == ("p@ss", 6432)
    assert address.arguments == {}


def test_what_libpq_says_of_encryption_is_told_to_asyncpg() -> None:
    address = address_of(sa.make_url("postgresql://db/a?sslmode=verify-full&sslrootcert=/etc/ca%20.pem"))
    assert address.arguments == {"dsn": "postgresql://?sslmode=verify-full&sslrootcert=%2Fetc%2Fca+.pem"}
    assert address.url.query == {}


def test_what_libpq_alone_knows_is_left_out() -> None:
    url = "postgresql://db/a?channel_binding=require&connect_timeout=5&application_name=bot"
    assert address_of(sa.make_url(url)).arguments == {"dsn": "postgresql://?application_name=bot"}


def test_a_folder_of_sockets_stays() -> None:
    address = address_of(sa.make_url("postgresql://postgres@/a?host=/run/postgresql"))
    assert address.url.query == {"host": "/run/postgresql"}


def test_behind_a_pooler_no_prepared_statement_is_kept() -> None:
    address = address_of(sa.make_url("postgresql://db/a?pgbouncer=true"))
    assert address.pooled
    assert (
        address.arguments["statement_cache_size"] == address.arguments["prepared_statement_cache_size"] == 0
    )
    name = address.arguments["prepared_statement_name_func"]
    assert name() != name()


def test_a_file_of_sqlite_needs_nothing() -> None:
    assert address_of(sa.make_url("sqlite+aiosqlite:////tmp/a.db")).arguments == {}
