"""Connections to one Redis-compatible server: redis-py's, without what its client does around a command.

Its client takes locks, looks for maintenance notices and counts for telemetry at each command, which
costs several times what sending and reading do.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from hiredis import pack_command
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection


class Connections:
    """Gives each command a connection of its own. How many there are at once is the caller's business.

    A connection that was cut short while it read, or broke, has closed itself; it connects again when
    it is used next.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        """`pool` knows how to make connections, and holds none."""
        self._make: Callable[[], AbstractConnection] = pool.make_connection
        self._idle: list[AbstractConnection] = []
        self._used: set[AbstractConnection] = set()

    async def execute_command(self, *command: Any) -> Any:
        """Send one command of texts, bytes and numbers; its answer. Raises redis-py's errors."""
        connection = self._idle.pop() if self._idle else self._make()
        self._used.add(connection)
        try:
            if connection.is_connected and await _is_spoilt(connection):
                await connection.disconnect(nowait=True)
            await connection.send_packed_command(pack_command(command))
            return await connection.read_response()
        finally:
            self._used.discard(connection)
            self._idle.append(connection)

    async def close_idle(self) -> None:
        """Let go of the connections that nobody uses now; whoever comes next has new ones made."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(each.disconnect() for each in idle), return_exceptions=True)

    async def aclose(self) -> None:
        """Let go of all. Commands under way fail."""
        await asyncio.gather(*(each.disconnect() for each in self._used), return_exceptions=True)
        await self.close_idle()


async def _is_spoilt(connection: AbstractConnection) -> bool:
    """Whether the server closed it meanwhile, or it holds what nobody asked for."""
    try:
        return await connection.can_read()
    except OSError:
        return True
