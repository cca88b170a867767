"""Searching: the same hits in the same order on every database, and never from another place."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.finding import Place
from bot.query import Query, Unclear, parse
from storage import prepared
from storage.database import Database
from storage.search.find import find
from storage.search.index import Entry, index, unindex
from storage.search.sealing import Sealer
from storage.search.wanted import MOST_MESSAGES, Found, Wanted, wanted_of
from storage.search_tables import (
    search_buckets,
    search_docs,
    search_places,
    search_sealing,
    search_tail,
    search_terms,
)
from storage.tables import metadata

SET = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data/search_set.jsonl").read_text("utf-8").splitlines()
]
MESSAGES = [line for line in SET if "message" in line]
QUERIES = [line for line in SET if "query" in line]
DAY_0 = datetime(2026, 10, 1, tzinfo=UTC)
NOW = DAY_0 + timedelta(days=40)
PLACES = {
    "open": Place("slack", "T1", "C1"),
    "private": Place("slack", "T1", "C1", "private"),
    "elsewhere": Place("slack", "T2", "C1"),
}
TABLES = [search_tail, search_places, search_buckets, search_docs, search_terms, search_sealing]
HERE = frozenset({PLACES["open"]})


@pytest.fixture
async def archive(database: Database) -> Database:
    await database.write(lambda c: metadata.create_all(c, TABLES))
    return database


def entries(messages: Sequence[dict[str, Any]] = MESSAGES) -> list[Entry]:
    return [
        Entry(
            m["session"],
            number,
            PLACES[m.get("place", "open")],
            m.get("author", "ann"),
            m["text"],
            DAY_0 + timedelta(days=m["day"], seconds=number),
            m.get("file", False),
        )
        for number, m in enumerate(messages, 1)
    ]


def wanted(text: str, places: frozenset[Place] = HERE, **more: Any) -> Wanted:
    query = parse(text, NOW)
    assert isinstance(query, Query)
    asked = wanted_of(query, places, frozenset(name.text for name in query.people))
    assert asked
    return replace(asked, **more)


async def search(archive: Database, asked: Wanted | str) -> Found:
    ask = wanted(asked) if isinstance(asked, str) else asked
    return await archive.read(lambda c: find(c, ask, NOW))


def names(found: Found) -> list[str]:
    return [MESSAGES[hit.position - 1]["message"] for hit in found.hits]


async def filled(archive: Database, *, sealed: str) -> None:
    """All messages of the set: in the tail, in buckets, or half of them in each."""
    await archive.write(lambda c: index(c, entries()))
    if sealed == "half":
        await archive.write(lambda c: [unindex(c, e.session_id, e.position, e.text) for e in entries()[::2]])
    if sealed != "none":
        await Sealer(archive).seal(1)
    if sealed == "half":
        await archive.write(lambda c: index(c, entries()[::2]))


@pytest.mark.parametrize("sealed", ["none", "half", "all"])
async def test_the_search_set_gives_the_expected_hits_in_order(archive: Database, sealed: str) -> None:
    await filled(archive, sealed=sealed)
    wrong = {}
    for line in QUERIES:
        found = await search(archive, line["query"])
        got, expected = names(found), line["expect"]
        if line.get("any_order"):
            got, expected = sorted(got), sorted(expected)
        if line.get("first"):
            assert got[0] == line["first"]
            got, expected = sorted(got), sorted(expected)
        if got != expected or found.respelled != line.get("respelled", found.respelled if not got else False):
            wrong[line["query"]] = names(found)
    assert wrong == {}


async def test_nothing_is_found_outside_the_places_that_may_be_read(archive: Database) -> None:
    await filled(archive, sealed="half")
    everywhere = await search(archive, wanted("login page", places=frozenset(PLACES.values())))
    assert {"secret", "other-workspace"} < set(names(everywhere))
    assert names(await search(archive, wanted("password", places=HERE))) == []
    assert names(await search(archive, wanted("password", places=frozenset({PLACES["private"]})))) == [
        "secret"
    ]
    assert names(await search(archive, wanted("login", places=frozenset()))) == []


async def test_places_whose_numbers_end_alike_are_told_apart(archive: Database) -> None:
    """Of a place's number the index keeps two bytes with each word, and more only with the message."""
    mine, alike = PLACES["open"], PLACES["private"]
    numbered = [{"id": 7, **mine._asdict()}, {"id": 7 + 2**16, **alike._asdict()}]
    await archive.write(lambda c: c.execute(sa.insert(search_places), numbered))
    said = [Entry(n, n, place, "ann", "zebra", DAY_0) for n, place in enumerate((mine, alike), 1)]
    await archive.write(lambda c: index(c, said))
    await Sealer(archive).seal(1)
    for n, place in enumerate((mine, alike), 1):
        found = await search(archive, wanted("zebra", places=frozenset({place})))
        assert [hit.session_id for hit in found.hits] == [n]


@pytest.mark.parametrize("sealed", ["none", "all"])
async def test_filters_narrow_the_hits(archive: Database, sealed: str) -> None:
    await filled(archive, sealed=sealed)
    assert names(await search(archive, "from:@bob")) == ["by-bob"]
    assert names(await search(archive, "report from:@ann")) == []
    assert names(await search(archive, "has:file")) == ["by-bob"]
    assert names(await search(archive, "login has:link")) == ["login-new"]
    assert names(await search(archive, "login after:2026-10-16")) == ["login-new", "login-apart"]
    assert names(await search(archive, "login before:2026-10-16")) == ["login-old", "login-forms"]
    assert names(await search(archive, "login on:2026-10-11")) == ["login-forms"]
    assert names(await search(archive, wanted("login", session_id=3))) == ["login-forms"]
    assert names(await search(archive, "login has:link after:2026-10-21 before:2026-10-22")) == ["login-new"]
    assert names(await search(archive, "login has:link before:2026-10-21")) == []
    assert names(await search(archive, "report from:@bob has:file after:2026-10-18 -login")) == ["by-bob"]
    assert names(await search(archive, "report has:file has:link")) == []
    assert names(await search(archive, 'has:link "docs.example.org" -redone')) == ["url"]


@pytest.mark.parametrize("sealed", ["none", "all"])
async def test_what_is_unindexed_leaves_no_word_behind(archive: Database, sealed: str) -> None:
    await filled(archive, sealed=sealed)
    for entry in entries():
        await archive.write(lambda c, e=entry: unindex(c, e.session_id, e.position, e.text))  # type: ignore[misc]
    for table in (search_tail, search_docs, search_terms):
        assert await archive.read(lambda c, t=table: c.execute(sa.select(t)).all()) == []  # type: ignore[misc]


async def test_the_best_message_of_each_session_is_shown_and_the_others_counted(archive: Database) -> None:
    await filled(archive, sealed="all")
    (hit,) = (await search(archive, "zebra")).hits
    assert (hit.session_id, hit.others) == (27, 1)


@pytest.mark.parametrize("sealed", ["none", "all"])
async def test_a_common_word_gives_the_newest_and_says_that_there_are_more(
    archive: Database, sealed: str
) -> None:
    many = [
        Entry(n, n, PLACES["open"], "ann", "the same thing", DAY_0 + timedelta(seconds=n))
        for n in range(1, 3001)
    ]
    await archive.write(lambda c: index(c, many))
    if sealed == "all":
        await Sealer(archive).seal(1)
    found = await search(archive, "same")
    assert not found.whole
    assert [hit.position for hit in found.hits[:3]] == [3000, 2999, 2998]
    older = await search(archive, wanted("same", before=DAY_0 + timedelta(seconds=1001)))
    assert [hit.position for hit in older.hits[:2]] == [1000, 999]


@pytest.mark.parametrize(
    ("text", "fitting"),
    [
        ("same", 2000),
        ("", 2000),
        ('"the same"', 1000),
        ('same -"the same"', 1000),
        ("foo_bar", 1000),
        ("nothing", 0),
    ],
)
async def test_of_what_waits_to_be_sealed_only_what_may_be_needed_is_read(
    archive: Database, monkeypatch: pytest.MonkeyPatch, text: str, fitting: int
) -> None:
    """An import leaves any number of messages there, and most of them may be others' or in another order."""
    said = ["the same foo_bar", "same the foo x bar"]
    places = [PLACES["open"], PLACES["private"], PLACES["elsewhere"]]
    many = [
        Entry(1, n, places[n % 3], "ann", said[n % 2], DAY_0 + timedelta(seconds=n)) for n in range(1, 6001)
    ]
    await archive.write(lambda c: index(c, many))
    brought: list[int] = []

    def counted(cursor: Any) -> Any:
        rows = cursor.fetchall()
        brought.append(len(rows))
        return rows

    monkeypatch.setattr(prepared, "_fetched", counted)
    found = await search(archive, wanted(text, places=frozenset({PLACES["open"]})))
    assert max(brought) == min(fitting, MOST_MESSAGES + 1)
    assert found.whole is (fitting <= MOST_MESSAGES)
    assert sum(1 + hit.others for hit in found.hits) == min(fitting, MOST_MESSAGES)


@pytest.mark.parametrize(
    "text",
    [
        *("' OR 1=1 --", "a* NEAR(b c)", "%_\\ \x00 x", '""" nonsense', "' -- \\ & | !"),
        *("😀" * 300, "字" * 900, "x" * 1000),
    ],
)
async def test_hostile_words_are_only_words(archive: Database, text: str) -> None:
    await filled(archive, sealed="half")
    query = parse(text, NOW)
    assert isinstance(query, Query)
    ask = wanted_of(query, HERE, frozenset())
    assert ask is None or names(await search(archive, ask)) == []


def test_mere_punctuation_asks_for_nothing_that_could_be_found() -> None:
    query = parse("?!? ;--", NOW)
    assert isinstance(query, Query)
    assert wanted_of(query, HERE, frozenset()) is None


HOSTILE_PIECES = [
    *('"', "'", "-", "--", "*", "(", ")", "NEAR", "AND", "OR NOT", "\\", "%", "_", "|", ";", "/" * 30),
    *("\x00", "\x1b[0m", "\u200d", "\u202e", "\ud800", "e\u0301", "a" * 70, "字" * 40, "\U0001f469\u200d"),
    *("DROP TABLE messages", "from:", "from:@ann", "in:#", "has:link", "has:", "before:", "here", "login"),
]
HOSTILE = st.lists(st.one_of(st.sampled_from(HOSTILE_PIECES), st.text(max_size=20)), max_size=12)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=HOSTILE, spaced=st.booleans())
async def test_whatever_is_typed_gives_hits_or_a_sentence(
    archive: Database, pieces: list[str], spaced: bool
) -> None:
    if await archive.read(lambda c: c.execute(sa.select(search_tail.c.id)).first()) is None:
        await filled(archive, sealed="half")
    query = parse((" " if spaced else "").join(pieces), NOW)
    if isinstance(query, Query):
        ask = wanted_of(query, HERE, frozenset(name.text for name in query.people))
        if ask is not None:
            found = await archive.read(lambda c: find(c, ask, NOW))
            assert all(0 < hit.position <= len(MESSAGES) for hit in found.hits)
    else:
        assert query.sentence


def test_ten_thousand_characters_get_a_sentence() -> None:
    assert isinstance(parse("login " * 1_667, NOW), Unclear)
