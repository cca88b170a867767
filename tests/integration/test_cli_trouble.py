"""Commands in places where they can't do what they are told: one kind line, and an exit code."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.domain import Author, Message, SessionKey
from bot.sheets import Entry, Sheet
from storage.archive.carrying import Carrying
from storage.schema import MADE_BY_NEWER
from tests.databases import opened
from tests.integration.test_cli import TIMEOUT_S, environment, threadfly

EXPORT = ("export", "--workspace", "web:playground")


async def _make(path: Path) -> None:
    key, said = SessionKey("web", "playground", "general", "1"), datetime(2026, 1, 1, tzinfo=UTC)
    async with opened(f"sqlite+aiosqlite:///{path}") as database:
        message = Message(1, Author("ann", "Ann"), "hello", said)
        await Carrying(database).take_in(Sheet(key, "hello", "ann", said, said), [Entry(message)])


@pytest.fixture
def archive(folder: Path) -> Path:
    """An archive with one message in it."""
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


@pytest.mark.parametrize("what", ["--workspace", "--session"])
def test_an_export_of_what_nobody_knows_is_no_empty_file(what: str, archive: Path, folder: Path) -> None:
    name = "web:elsewhere" if what == "--workspace" else "web:playground:general:2"
    told = threadfly("export", what, name, "--output", "all.jsonl")
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.endswith(f"threadfly: There is nothing of {name} in the archive.\n")
    assert not (folder / "all.jsonl").exists()


def test_what_must_not_come_back_is_exported_though_nothing_else_is_left(archive: Path) -> None:
    with closing(sqlite3.connect(archive)) as db:
        db.execute("DELETE FROM messages")
        db.execute("DELETE FROM sessions")
        db.execute("INSERT INTO gone VALUES ('web', 'playground', 'general', '')")
        db.commit()
    assert '"channel":"general"' in threadfly(*EXPORT).stdout


def bound_by_rights(*words: str) -> subprocess.CompletedProcess[str]:
    """A command of somebody whom rights of files bind: of root only without its privilege."""
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    if drop and (not shutil.which("setpriv") or subprocess.run([*drop, "true"], check=False).returncode):
        pytest.skip("root is not bound by rights here")
    return subprocess.run(
        [*drop, sys.executable, "-m", "bot", *words],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


@pytest.mark.parametrize("what", ["folder", "file"])
@pytest.mark.parametrize("words", [("run",), ("forget", "--yes", "--user", "web:playground:ann")])
def test_what_can_not_be_written_ends_in_one_line(words: Sequence[str], what: str, archive: Path) -> None:
    place, rights = (archive.parent, 0o500) if what == "folder" else (archive, 0o400)
    before = place.stat().st_mode
    place.chmod(rights)
    try:
        told = bound_by_rights(*words)
    finally:
        place.chmod(before)
    (line,) = [line for line in told.stderr.splitlines() if line.startswith("threadfly: ")]
    assert "can't be written" in line
    assert (told.returncode, told.stdout) == (1, "")
    assert "Traceback" not in told.stderr


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


def test_a_platform_that_does_not_open_ends_the_start_with_what_to_do(folder: Path) -> None:
    nowhere = {"THREADFLY__SLACK__API_URL": "http://127.0.0.1:1/api/"}
    told = threadfly("run", SLACK_BOT_TOKEN="xoxb-1", SLACK_APP_TOKEN="xapp-1", **nowhere)
    assert told.returncode == 1
    assert told.stderr.splitlines()[-1] == (
        "threadfly: Slack can't be reached for auth.test. `threadfly doctor` tries it, and says what to do."
    )
