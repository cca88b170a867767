"""The command line, as a process of its own."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot import VERSION
from bot.domain import Addressed, Author, Message, Said, SessionKey
from storage.archive.claims import Claimant
from storage.archive.records import Records
from tests.databases import opened

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60
QUICK = {"THREADFLY__HTTP__PORT": "0", "THREADFLY__HOT__URL": "none"}
HEAVY = (
    "langchain_core",
    "langchain_openai",
    "openai",
    "discord",
    "slack_bolt",
    "sqlalchemy",
    "aiohttp",
    "pydantic",
)


def environment(**variables: str) -> dict[str, str]:
    return {**os.environ, **QUICK, "PYTHONPATH": str(ROOT), **variables}


def threadfly(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bot", *words],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


@contextmanager
def running(**variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`threadfly run` once it is ready, and the first line that it said."""
    with subprocess.Popen(
        [sys.executable, "-m", "bot", "run"],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline()
        finally:
            process.kill()


def test_help_names_the_commands() -> None:
    told = threadfly("--help")
    assert told.returncode == 0
    for command in ("run", "migrate", "doctor"):
        assert f" {command} " in told.stdout


def test_help_loads_nothing_heavy() -> None:
    code = "import sys, bot.cli; print(*sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True
    )
    assert not set(HEAVY) & set(told.stdout.split())


def test_run_is_ready_without_having_loaded_what_talks_to_a_model(folder: Path) -> None:
    code = (
        "import asyncio, sys\n"
        "from bot.bootstrap import open_bot\n"
        "from bot.settings import load_settings\n"
        "async def ready():\n"
        "    async with open_bot(load_settings()):\n"
        "        print(*sys.modules)\n"
        "asyncio.run(ready())\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True
    )
    assert not {"langchain_core", "langchain_openai", "openai"} & set(told.stdout.split())


def test_a_manifest_takes_no_address_that_slack_would_refuse() -> None:
    done = threadfly("manifest", "slack", "--url", "bot.example.com")
    assert done.returncode == 2
    assert "https://" in done.stderr


def test_it_tells_its_version() -> None:
    assert threadfly("--version").stdout == f"threadfly {VERSION}\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_runs_until_it_is_told_to_stop(number: signal.Signals, folder: Path) -> None:
    with running() as (process, said):
        assert said.startswith("Threadfly is ready")
        process.send_signal(number)
        assert process.wait(TIMEOUT_S) == 0
        assert process.stdout is not None
        assert process.stderr is not None
        assert "in a browser and mention @threadfly" in process.stdout.read()
        assert process.stderr.read() == ""


@pytest.mark.parametrize("command", ["run", "migrate", "doctor"])
def test_a_wrong_setting_is_one_line_and_exit_code_2(command: str, folder: Path) -> None:
    told = threadfly(command, THREADFLY__HOT__TTL="soon")
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr == (
        "threadfly: hot.ttl (from THREADFLY__HOT__TTL) is 'soon'; "
        "allowed: a time from 1 s, in seconds or like 90s, 15m, 1h, 2d\n"
    )


def test_the_option_names_another_file(folder: Path) -> None:
    told = threadfly("--config", "other.yaml", "run")
    assert (told.returncode, told.stderr) == (
        2,
        "threadfly: other.yaml can't be read: No such file or directory\n",
    )


def test_a_port_in_use_is_one_line_and_exit_code_1(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = threadfly("run", THREADFLY__HTTP__PORT=str(port))
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == (
        f"threadfly: port {port} on 127.0.0.1 is taken, perhaps by another Threadfly; "
        "set http.port to another one (0: any)\n"
    )


@pytest.mark.parametrize("command", ["run", "migrate"])
def test_a_data_folder_that_cannot_be_written_is_one_line_and_exit_code_1(command: str, folder: Path) -> None:
    (folder / "file").touch()
    told = threadfly(command, THREADFLY__DATA_DIR="file/data")
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == (
        f"threadfly: the data folder {folder}/file/data can't be written (Not a directory); "
        "set data_dir to a folder that can\n"
    )


@pytest.mark.parametrize("command", ["run", "migrate"])
def test_a_corrupt_archive_is_one_line_and_exit_code_1(command: str, folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "threadfly.db").write_bytes(b"this was an archive once" * 1000)
    told = threadfly(command)
    assert (told.returncode, told.stdout) == (1, "")
    (line,) = told.stderr.splitlines()
    assert line.startswith("threadfly: The archive's file is damaged")


def test_migrating_twice_does_nothing_the_second_time(folder: Path) -> None:
    assert threadfly("migrate").stdout.startswith("Migrated: ")
    assert threadfly("migrate").stdout == "The archive is up to date.\n"


def test_the_doctor_finds_a_fresh_folder_well(folder: Path) -> None:
    told = threadfly("doctor")
    assert told.returncode == 0
    for what in ("data folder", "http", "archive", "hot", "the offline model answers"):
        assert what in told.stdout


def test_the_doctor_says_what_fails_and_shows_no_password(folder: Path) -> None:
    told = threadfly("doctor", THREADFLY__HOT__URL="redis://bot:sesame@127.0.0.1:1")
    assert told.returncode == 1
    assert "fails" in told.stdout
    assert "set hot.url to where it runs" in " ".join(told.stdout.split())
    assert "sesame" not in told.stdout + told.stderr


def test_a_bug_is_told_by_its_place_alone(folder: Path) -> None:
    code = (
        "import bot.settings, bot.cli, sys\n"
        "def broken(config): raise RuntimeError('sesame')\n"
        "bot.settings.load_settings = broken\n"
        "sys.argv = ['threadfly', 'run']\n"
        "bot.cli.main()\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False
    )
    assert told.returncode == 1
    (line,) = told.stderr.splitlines()
    assert line.startswith("threadfly: this is a bug in Threadfly, please report it: RuntimeError at ")
    assert "sesame" not in line


def test_an_operator_looks_the_archive_up_as_somebody_or_in_everything(folder: Path) -> None:
    asyncio.run(_talked(folder))
    everything = threadfly("recall", "--all", "albatross")
    assert (everything.returncode, everything.stdout.count("albatross flies")) == (0, 2)
    assert "#secret-plans" in everything.stdout
    assert "2 conversations for “albatross”" in everything.stdout
    as_joe = threadfly("recall", "--as", "web:playground:joe", "albatross", "in:#general")
    assert "the albatross flies low" in as_joe.stdout
    assert "secret" not in threadfly("recall", "--as", "web:playground:joe", "albatross").stdout
    assert "secret" in threadfly("recall", "--as", "web:playground:mei", "albatross").stdout
    listed = threadfly("recall", "--all").stdout
    assert "2 conversations in the archive" in listed
    assert ("title" in listed, "web:playground:general:1000000" in listed) == (True, True)


async def _talked(folder: Path) -> None:
    """Two things were said, one of them in private."""
    (folder / "data").mkdir(mode=0o700)
    async with opened(f"sqlite+aiosqlite:///{folder}/data/threadfly.db") as database:
        records = Records(database, Claimant("one", 60))
        for position, channel, text in (
            (1_000_000, "general", "the albatross flies low"),
            (2_000_000, "secret-plans", "the albatross flies high"),
        ):
            key = SessionKey("web", "playground", channel, str(position))
            message = Message(position, Author("ann", "Ann"), text, datetime(2026, 3, 2, 9, tzinfo=UTC))
            await records.record(Said(key, message, Addressed.MENTION, answer=False))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "choose one"),
        (("--all", "--as", "web:playground:ann"), "choose one"),
        (("--as", "ann"), "three parts"),
        (("--as", "slack:T1:U1", "tea"), "Slack is off: set SLACK_BOT_TOKEN"),
        (("--as", "discord:1:2", "tea"), "Discord is off: set DISCORD_TOKEN"),
        (("--as", "matrix:T1:U1", "tea"), "no platform called 'matrix'"),
        (("--all", "before:whenever"), "before:whenever"),
    ],
)
def test_what_an_operator_can_not_ask_is_said(folder: Path, options: tuple[str, ...], told: str) -> None:
    asyncio.run(_talked(folder))
    done = threadfly("recall", *options)
    assert done.returncode != 0
    assert told in " ".join((done.stdout + done.stderr).replace("│", " ").split())
