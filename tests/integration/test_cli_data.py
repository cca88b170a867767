"""Forgetting, purging, taking out and in, from the command line."""

import asyncio
import stat
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.domain import Addressed, Author, Message, Said, SessionKey
from storage.archive.claims import Claimant
from storage.archive.records import Records
from storage.tables import messages
from tests.databases import opened
from tests.integration.test_cli import threadfly

KEY = SessionKey("slack", "T1", "C1", "1700000000.000100")
NOW = datetime.now(UTC)
TEXTS = [("U1", "hello quetzal", 400), ("U2", "me too", 300), ("U1", "again", 1)]
"""Who, what, and how many days ago."""


async def _filled(url: str) -> None:
    async with opened(url) as db:
        for position, (by, text, days) in enumerate(TEXTS, 1):
            message = Message(position, Author(by, by), text, NOW - timedelta(days=days))
            said = Said(KEY, message, Addressed.MENTION)
            await Records(db, Claimant("one", 60)).record(replace(said, answer=False))


async def _texts(url: str) -> Sequence[str]:
    async with opened(url) as db:
        return await db.read(lambda c: c.scalars(sa.select(messages.c.text)).all())


@pytest.fixture
def url(folder: Path) -> str:
    (folder / "data").mkdir()
    where = f"sqlite+aiosqlite:///{folder / 'data' / 'threadfly.db'}"
    asyncio.run(_filled(where))
    return where


def left(url: str) -> Sequence[str]:
    return asyncio.run(_texts(url))


def test_a_person_is_forgotten(url: str, folder: Path) -> None:
    told = threadfly("forget", "--user", "slack:T1:U1", "--yes")
    assert (told.returncode, told.stdout) == (0, "2 messages are gone.\n")
    assert left(url) == ["me too"]
    assert b"quetzal" not in (folder / "data" / "threadfly.db").read_bytes()


def test_a_session_is_forgotten(url: str) -> None:
    assert threadfly("forget", "--session", str(KEY), "--yes").stdout == "3 messages are gone.\n"
    assert left(url) == []


def test_a_workspace_is_forgotten(url: str) -> None:
    assert threadfly("forget", "--workspace", "slack:T2", "--yes").stdout == "0 messages are gone.\n"
    assert threadfly("forget", "--workspace", "slack:T1", "--yes").stdout == "3 messages are gone.\n"
    assert left(url) == []


def test_it_asks_first(url: str) -> None:
    told = threadfly("forget", "--session", str(KEY))
    assert told.returncode == 1
    assert "Take away for good" in told.stdout
    assert len(left(url)) == 3


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--user", "U1"],
        ["--session", "a:b"],
        ["--workspace", "T1"],
        ["--user", "a:b:c", "--session", "a:b:c:d"],
    ],
)
def test_what_to_forget_must_be_clear(words: list[str], folder: Path) -> None:
    told = threadfly("forget", "--yes", *words)
    assert told.returncode == 2
    assert "choose one" in told.stderr


def test_what_is_too_old_is_purged(url: str, folder: Path) -> None:
    assert threadfly("purge").stdout == "0 messages are gone.\n"
    assert threadfly("purge", THREADFLY__ARCHIVE__RETENTION__DEFAULT="350d").stdout == "1 message is gone.\n"
    assert left(url) == ["me too", "again"]
    assert b"quetzal" not in (folder / "data" / "threadfly.db").read_bytes()


def test_what_was_taken_out_is_taken_in_again(url: str, folder: Path) -> None:
    told = threadfly("export", "--workspace", "slack:T1", "--output", "out.jsonl")
    assert (told.returncode, told.stdout, told.stderr) == (0, "3 messages are in out.jsonl.\n", "")
    assert stat.S_IMODE((folder / "out.jsonl").stat().st_mode) == 0o600
    there = threadfly("import", "out.jsonl")
    assert there.stdout == "0 messages were taken in, 3 were passed over.\n"
    elsewhere = threadfly("import", "out.jsonl", THREADFLY__DATA_DIR="other")
    assert elsewhere.stdout == "3 messages were taken in, 0 were passed over.\n"


def test_it_is_printed_where_no_file_is_named(url: str) -> None:
    told = threadfly("export", "--session", str(KEY), "--format", "markdown")
    assert told.stderr == ""
    assert "hello quetzal" in told.stdout


def test_a_file_that_can_not_be_read_is_said_to_be_so(folder: Path) -> None:
    assert "nothing.jsonl can't be read" in threadfly("import", "nothing.jsonl").stderr
    (folder / "some.txt").write_bytes(b"\xff\xfe")
    assert "is no text" in threadfly("import", "some.txt").stderr
