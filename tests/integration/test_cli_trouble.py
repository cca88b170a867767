"""Commands in places where they can't do what they are told: one kind line, and an exit code."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from storage.schema import MADE_BY_NEWER
from tests.databases import opened
from tests.integration.test_cli import TIMEOUT_S, environment, threadfly

EXPORT = ("export", "--workspace", "web:playground")


async def _make(path: Path) -> None:
    async with opened(f"sqlite+aiosqlite:///{path}"):
        pass


@pytest.fixture
def archive(folder: Path) -> Path:
    """An archive with nothing in it."""
    (folder / "data").mkdir()
    path = folder / "data" / "threadfly.db"
    asyncio.run(_make(path))
    return path


def spoken_to(words: Sequence[str], stdout: int) -> tuple[int, str]:
    """Exit code and standard error of a command that writes to a file that is open already."""
    command = [sys.executable, "-m", "bot", *words]
    done = subprocess.run(
        command, env=environment(), stdout=stdout, stderr=subprocess.PIPE, timeout=TIMEOUT_S, check=False
    )
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize(
    "words",
    [
        EXPORT,
        ("stats",),
        ("purge",),
        ("recall", "--all"),
        ("forget", "--yes", "--user", "slack:T1:U1"),
    ],
)
def test_where_there_is_no_archive_none_is_made(words: Sequence[str], folder: Path) -> None:
    told = threadfly(*words)
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == (
        f"threadfly: There is no archive at {folder}/data/threadfly.db. "
        "Run this in the bot's folder, or name its settings with --config.\n"
    )
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("command", ["run", "migrate", "stats"])
def test_an_archive_of_a_newer_release_is_left_alone(command: str, archive: Path) -> None:
    _age(archive)
    told = threadfly(command)
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == f"threadfly: {MADE_BY_NEWER}\n"


def test_the_doctor_does_not_send_it_to_be_migrated(archive: Path) -> None:
    _age(archive)
    told = threadfly("doctor").stdout
    assert "newer Threadfly" in told
    assert "threadfly migrate" not in told


def _age(archive: Path) -> None:
    """Let a release that is to come have been here."""
    with closing(sqlite3.connect(archive)) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
        db.commit()


def test_a_reader_that_goes_away_is_no_trouble(archive: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert spoken_to(EXPORT, writing) == (1, "")
    finally:
        os.close(writing)


@pytest.mark.parametrize("words", [EXPORT, ("stats",)])
def test_a_full_disk_behind_standard_output_is_said_to_be_one(words: Sequence[str], archive: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        code, told = spoken_to(words, full)
    finally:
        os.close(full)
    assert code == 1
    assert "threadfly: what there is to say can't be written: No space left on device" in told
    assert "bug" not in told


def test_without_a_standard_output_nothing_is_said(archive: Path) -> None:
    command = [sys.executable, "-m", "bot", *EXPORT]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *command],
        env=environment(),
        stderr=subprocess.PIPE,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
