"""Connections to one Redis-compatible server: opened by redis-py, then asked without it.

redis-py opens them: TLS, unix sockets, passwords, the number of the database, whatever a URL may ask
for. What its client and its streams do around each command (locks, maintenance notices, telemetry,
timers) costs many times what sending and reading do.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Final

from hiredis import Reader, pack_command
from redis._parsers.base import BaseParser
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection, SSLConnection
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import InvalidResponse

_PART: Final = object()
"""What the reader gives while an answer is not whole."""


class Connections:
    """Gives each command a connection of its own. How many there are at once is the caller's business.

    A connection whose command was cut short, or that broke, is closed: nobody is ever given the answer
    to another's question.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        """`pool` knows how to make connections, and holds none."""
        self._make = _maker(pool)
        self._idle: list[_Line] = []
        self._used: set[_Line] = set()
        self._closed = False

    async def execute_command(self, *command: Any) -> Any:
        """Send one command of texts, bytes and numbers; its answer. Raises redis-py's errors."""
        line = next(iter(self._free()), None) or await _open(self._make())
        if self._closed:
            line.close()
            raise Disconnected("The connections were closed meanwhile.")
        self._used.add(line)
        try:
            return await line.ask(pack_command(command))
        finally:
            self._used.discard(line)
            if line.is_open:
                self._idle.append(line)

    def _free(self) -> Iterator["_Line"]:
        """Idle connections, without those that the server closed meanwhile."""
        while self._idle:
            line = self._idle.pop()
            if line.is_open:
                yield line

    def close_idle(self) -> None:
        """Let go of the connections that nobody uses now; whoever comes next has new ones made."""
        idle, self._idle = self._idle, []
        for line in idle:
            line.close()

    async def aclose(self) -> None:
        """Let go of all, for good. Commands under way fail, and so do those that still connect."""
        self._closed = True
        for line in self._used:
            line.close()
        self.close_idle()


def _maker(pool: ConnectionPool) -> Callable[[], AbstractConnection]:
    """Makes connections that share what TLS takes: reading a machine's authorities holds everything up for
    a tenth of a second, and redis-py does it for each connection.
    """
    first = pool.make_connection()  # type: ignore[no-untyped-call]

    def make() -> AbstractConnection:
        connection: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]
        if isinstance(connection, SSLConnection) and isinstance(first, SSLConnection):
            connection.ssl_context = first.ssl_context
        return connection

    return make


async def _open(connection: AbstractConnection) -> "_Line":
    """A connection that is ready for commands. What is cut short or fails leaves none behind."""
    try:
        await connection.connect()  # type: ignore[no-untyped-call]
    except BaseException:
        _let_go(connection)
        raise
    if _is_over(connection):
        _let_go(connection)
        raise Disconnected("The connection was closed.")
    return _Line(connection)


def _is_over(connection: AbstractConnection) -> bool:
    """Whether the server closed it, or spoke unasked (of too many clients, say), before we listened.

    redis-py's streams keep what they heard to themselves, and a connection open that the server ended.
    """
    heard, said = connection._reader, connection._writer
    if heard is None or said is None or said.is_closing():
        return True
    return bool(heard._eof or heard._buffer)  # type: ignore[attr-defined]  # nothing public tells at once


def _let_go(connection: AbstractConnection) -> None:
    """Close what redis-py opened, and keep it from complaining that nobody did."""
    connection._close()  # type: ignore[no-untyped-call]


class _Line(asyncio.Protocol):
    """One connection: a question at a time, and its answer."""

    def __init__(self, connection: AbstractConnection) -> None:
        """Takes over from redis-py's streams, which have read all that was sent until now."""
        writer = connection._writer
        assert writer is not None, "connected"
        self._opened_by = connection
        self._transport = writer.transport
        self._transport.set_protocol(self)
        self._reader = Reader(
            protocolError=InvalidResponse, replyError=BaseParser.parse_error, notEnoughData=_PART
        )
        self._asked: asyncio.Future[Any] | None = None

    @property
    def is_open(self) -> bool:
        """Whether it can be asked."""
        return not self._transport.is_closing()

    async def ask(self, packed: bytes) -> Any:
        """The answer. Raises what the server or the connection has to say instead."""
        self._asked = asyncio.get_running_loop().create_future()
        try:
            self._transport.write(packed)
            answer = await self._asked
        except BaseException:
            self.close()
            raise
        finally:
            self._asked = None
        if isinstance(answer, Disconnected):
            self.close()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def data_received(self, data: bytes) -> None:
        """Part of an answer; after what nobody asked for, no answer could be told from another."""
        asked = self._asked
        if asked is None or asked.done():
            self.close()
            return
        try:
            self._reader.feed(data)
            answer = self._reader.gets()
        except Exception as error:  # noqa: BLE001 - what is no Redis makes the reader raise what it likes
            asked.set_exception(error)
            return
        if answer is _PART:
            return
        asked.set_result(answer)
        if self._reader.has_data():
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The server, or we, closed it."""
        if self._asked is not None and not self._asked.done():
            self._asked.set_exception(Disconnected("The connection was closed.") if exc is None else exc)
        _let_go(self._opened_by)

    def close(self) -> None:
        """Let go of it, whatever is still to be sent or read."""
        self._transport.abort()
