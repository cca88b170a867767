"""One Dragonfly (or any Redis-compatible server), asked within a time limit and behind a breaker.

One limit covers a whole call: waiting for a connection, connecting, sending, reading. A call that
is cut short leaves its connection closed, so that nobody is ever given the answer to another's question.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import resources
from ssl import SSLError
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import ConnectionPool, RedisCluster
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    ClusterError,
    MasterDownError,
    NoPermissionError,
    NoScriptError,
    RedisError,
    ResponseError,
)

from bot.deadlines import Deadlines
from bot.errors import SettingsError
from storage.breaker import Breaker
from storage.connections import Connections

log = logging.getLogger(__name__)

TIMEOUT_S = 0.5
"""Past this, a window from SQL is cheaper than waiting."""
CONNECTIONS = 32
"""To each node; more calls than this wait for one another."""
LATE_S = 0.1
"""When a time limit strikes this much too late, it was our own process that was busy."""
COMPLAINT_INTERVAL_S = 60.0
_CLUSTER_MARK = "+cluster"
_OPTIONS: dict[str, Any] = {
    "protocol": 2,  # spoken by every compatible server, and needs no handshake
    "driver_info": None,  # saves two commands for each connection
}


class Away(Exception):
    """The server gave no usable answer. Never leaves `storage`."""


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script, which servers know by its digest."""

    source: str
    sha: str


@cache
def load_script(name: str) -> Script:
    """The script in `lua/<name>.lua`."""
    source = resources.files("storage").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


class Dragonfly:
    """A server that may be gone at any time: calls give an answer or raise `Away`, soon.

    A server that hangs costs those who wait for it just then one time limit; afterwards calls fail
    at once, until a probe is answered (see `Breaker`). One log line says that it is away, one that
    it is back.
    """

    def __init__(
        self,
        url: str,
        *,
        cluster: bool = False,
        timeout_s: float = TIMEOUT_S,
        connections: int = CONNECTIONS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`url`: `redis://`, `rediss://`, `unix://`; for a cluster `redis+cluster://`, `rediss+cluster://`.

        Nothing is sent before the first call. Raises `SettingsError` for a URL that is none.
        """
        self.name = _without_secrets(url)
        self._clock = clock
        self._breaker = Breaker(clock)
        self._away_since = 0.0
        self._complained_at = clock() - COMPLAINT_INTERVAL_S
        scheme, mark, rest = url.partition(_CLUSTER_MARK + "://")
        plain_url = f"{scheme}://{rest}" if mark else url
        try:
            asked: dict[str, Any] = dict(parse_url(plain_url))
            connections = _at_least_one(int(asked.get("max_connections", connections)))
            self._redis: Connections | RedisCluster
            if mark or cluster:
                self._redis = _cluster(plain_url, connections, timeout_s)
                self._limit_s = 2 * timeout_s
            else:
                self._redis = _node(asked)
                self._limit_s = timeout_s
        except (ValueError, TypeError, RedisError):
            raise SettingsError(
                f"hot.url: {self.name} can't be used. Allowed are redis://, rediss://, unix:///path "
                "and, for a cluster, redis+cluster:// and rediss+cluster://; behind a ? what redis-py knows."
            ) from None
        self._deadlines = Deadlines(self._limit_s)
        self._room = asyncio.Semaphore(connections)

    async def run(self, script: Script, keys: str | Sequence[str], *arguments: str | bytes | int) -> Any:
        """Run `script`, which may touch `keys` alone (of one hash tag). One round trip where it is known."""
        touched = [keys] if isinstance(keys, str) else keys
        rest = (len(touched), *touched, *arguments)
        try:
            return await self.command("EVALSHA", script.sha, *rest)
        except NoScriptError:
            pass
        return await self.command("EVAL", script.source, *rest)

    async def command(self, *command: str | bytes | int) -> Any:
        """Send one command. Raises `Away`; `NoScriptError` where it names an unknown script."""
        era = self._breaker.admit()
        if era is None:
            raise Away
        began = asyncio.get_running_loop().time()
        try:
            answer = await self._send(command, era)
        except Away:
            raise
        except asyncio.CancelledError:
            self._breaker.withdrawn(era)
            raise
        except (ClusterError, MasterDownError) as error:
            self._lost(era, error)
        except NoScriptError:
            self._answered(era)
            raise
        except ResponseError as error:
            self._answered(era)
            self._refused(error)
        except TimeoutError as error:
            if asyncio.get_running_loop().time() - began > self._limit_s + LATE_S:
                self._breaker.withdrawn(era)
            else:
                self._lost(era, error)
        except Exception as error:  # noqa: BLE001 -- whatever a broken server makes redis-py raise, it is away
            self._lost(era, error)
        else:
            self._answered(era)
            return answer
        raise Away

    async def ping(self) -> str:
        """Ask the server whether it is there, breaker or not: "" if so, else a sentence for operators."""
        try:
            await self._send(("PING",))
        except Exception as error:  # noqa: BLE001 -- every failure is the answer
            return f"The hot context at {self.name} {_why(error)}. Until then windows come from the archive."
        return ""

    def ailing(self) -> str:
        """One sentence while the server is away, else "". No I/O."""
        return f"the hot context at {self.name} is away" if self._breaker.is_open else ""

    async def aclose(self) -> None:
        """Let go of every connection. Never raises."""
        with suppress(RedisError, OSError, TimeoutError):
            await self._redis.aclose()
        if isinstance(self._redis, RedisCluster):
            # aclose() skips the nodes while their layout is in doubt.
            for kept in ("nodes_cache", "startup_nodes"):
                with suppress(RedisError, OSError, TimeoutError):
                    await self._redis.nodes_manager.aclose(kept)

    async def _send(self, command: tuple[str | bytes | int, ...], era: int | None = None) -> Any:
        async with self._deadlines.limit(), self._room:
            if era is not None and not self._breaker.holds(era):
                raise Away  # found out by those ahead in the queue
            return await self._redis.execute_command(*command)

    def _answered(self, era: int) -> None:
        if self._breaker.succeeded(era):
            log.info(
                "The hot context is back.",
                extra={
                    "event": "hot_back",
                    "server": self.name,
                    "away_s": round(self._clock() - self._away_since, 1),
                },
            )

    def _lost(self, era: int, error: Exception) -> None:
        if not self._breaker.failed(era):
            return
        self._away_since = self._clock()
        self._clear()
        log.warning(
            "The hot context is away; windows come from the archive until it is back.",
            extra={"event": "hot_away", "server": self.name, "error": type(error).__name__},
        )

    def _refused(self, error: Exception) -> None:
        """The server is there and says no (full, read-only, not ours): a line a minute is enough."""
        if self._clock() - self._complained_at < COMPLAINT_INTERVAL_S:
            return
        self._complained_at = self._clock()
        log.warning(
            "The hot context refuses a command; windows come from the archive.",
            extra={"event": "hot_refused", "server": self.name, "error": type(error).__name__},
        )

    def _clear(self) -> None:
        """Close idle connections: those to a machine that vanished would fail the next probes, one by one."""
        if isinstance(self._redis, Connections):
            self._redis.close_idle()


def _at_least_one(connections: int) -> int:
    """Raises `ValueError` for room that nobody would ever be let into: redis-py takes 0 for any number."""
    if connections < 1:
        raise ValueError(connections)
    return connections


def _node(asked: dict[str, Any]) -> Connections:
    """Connections to the server that a URL's options name. What it can't take is refused at once."""
    options = {
        "socket_timeout": None,
        "socket_connect_timeout": None,  # ours covers it, and knows when it was our process that was busy
        **asked,
        **_OPTIONS,  # with RESP3 a server may say more than answers
        "decode_responses": False,  # windows are bytes, whatever other users of the URL want
    }
    return Connections(ConnectionPool(**options))  # which makes one, and sends nothing yet


def _cluster(url: str, connections: int, timeout_s: float) -> RedisCluster:
    """A client that asks for the layout again when a node fails, which it learns by its own time limit."""
    return RedisCluster.from_url(
        url,
        max_connections=connections,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        **_OPTIONS,
    )


def _why(error: Exception) -> str:
    """What is wrong, and what to do. Some connections wrap what they met in an error of their own."""
    cause = error.__cause__ or error.__context__ or error
    if isinstance(cause, AuthenticationError | NoPermissionError):
        return "does not let us in: check the name and password in hot.url"
    if isinstance(cause, SSLError):
        return (
            "could not be spoken to with TLS: name its authority by ?ssl_ca_certs=/path in hot.url, "
            "or trust any by ?ssl_cert_reqs=none"
        )
    if isinstance(cause, ResponseError):
        return f"refuses us ({type(cause).__name__}): check hot.url, and the number of the database in it"
    return f"does not answer ({type(error).__name__}): start the server or change hot.url"


def _without_secrets(url: str) -> str:
    """Scheme, host and path of `url`: what may be shown."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "the URL"
    return f"{parts.scheme}://{host}{port}{parts.path}"
