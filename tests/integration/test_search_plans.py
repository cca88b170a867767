"""Searches on PostgreSQL read no table as a whole, though nobody told it yet what is in there."""

import random
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
import sqlalchemy as sa

from bot.finding import Place
from storage.database import Database
from storage.search.clauses import clauses_of, phrase_clause
from storage.search.find import find
from storage.search.index import Entry, index, unindex
from storage.search.sealing import Sealer
from storage.search.wanted import Wanted
from storage.search_tables import search_docs, search_tail, search_terms
from tests.databases import fresh_database, opened

T0 = datetime(2026, 1, 1, tzinfo=UTC)
HERE = Place("web", "w", "c")
BUCKETS, MESSAGES = 3, 1_000
GENERIC_AFTER = 5
"""Executions after which PostgreSQL may plan a statement once for all values."""
SYLLABLES = ["".join(pair) for pair in product("bdfgklmnprstvz", "aeiou")]
_WALKS = sa.text("SELECT relname, seq_scan FROM pg_stat_xact_user_tables WHERE relname LIKE 'search_%'")


def entries() -> list[Entry]:
    draw = random.Random(1)
    words = ["".join(draw.choices(SYLLABLES, k=4)) for _ in range(20_000)]
    return [
        Entry(n // 10, n, HERE, "U1", " ".join(draw.choices(words, k=20)), T0 + timedelta(minutes=n))
        for n in range(BUCKETS * MESSAGES)
    ]


@pytest.fixture
async def unknown(postgres_server: sa.URL) -> AsyncIterator[Database]:
    """An archive of which PostgreSQL has no statistics, as after a fast import."""
    async with opened(await fresh_database(postgres_server)) as database:
        for table in (search_docs, search_terms, search_tail):
            off = sa.text(f"ALTER TABLE {table.name} SET (autovacuum_enabled = false)")
            await database.write(lambda c, off=off: c.execute(off))  # type: ignore[misc]
        said = entries()
        for at in range(0, len(said), MESSAGES):
            some = said[at : at + MESSAGES]
            await database.write(lambda c, some=some: index(c, some))  # type: ignore[misc]
            await Sealer(database).seal(1)
        yield database


async def walked(database: Database, work: Callable[[sa.Connection, int], Any]) -> set[str]:
    """Tables of which `work` made PostgreSQL read every row, asked for as often as it takes to plan anew."""

    def watched(c: sa.Connection) -> set[str]:
        before = {row.relname: row.seq_scan for row in c.execute(_WALKS)}
        for n in range(2 * GENERIC_AFTER):
            work(c, n)
        return {row.relname for row in c.execute(_WALKS) if row.seq_scan > before.get(row.relname, 0)}

    return await database.write(watched)


LARGE = {search_docs.name, search_terms.name}
SEARCHES = {
    "a word that is there": "{}",
    "several": "{} {} {}",
    "a phrase": '"{} {}"',
    "a mistyped word": "{}x",
    "several mistyped words": "{}x {}x {}x",
}


async def test_searching_reads_no_large_table_whole(unknown: Database) -> None:
    said = entries()
    respelled: dict[str, bool] = {}

    def searched(c: sa.Connection, n: int) -> None:
        for search, written in SEARCHES.items():
            text = written.format(*said[n].text.split())
            phrase = phrase_clause(text) if '"' in text else None
            found = find(c, Wanted(frozenset({HERE}), (phrase,) if phrase else clauses_of(text)), T0)
            assert found.hits
            respelled[search] = found.respelled

    assert not LARGE & await walked(unknown, searched)
    assert respelled == {search: "mistyped" in search for search in SEARCHES}


async def test_neither_does_taking_a_message_out(unknown: Database) -> None:
    said = entries()

    def taken(c: sa.Connection, n: int) -> None:
        gone = said[n * 100]
        unindex(c, gone.session_id, gone.position, gone.text)

    assert not LARGE & await walked(unknown, taken)
