"""A server on the way to a real Redis, which can break in the ways that servers and networks do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum, auto
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Mood(Enum):
    """How the server treats what it is sent."""

    WELL = auto()
    HANGS = auto()
    """Takes connections, and answers no command."""
    DEAF = auto()
    """Takes connections, and answers nothing, not even the handshake."""
    CUTS = auto()
    """Sends half of each answer and closes the connection."""
    REFUSES = auto()
    """Answers each command with `error`."""
    STUTTERS = auto()
    """Says each answer twice."""
    BABBLES = auto()
    """Answers with what is not the protocol."""


class BrokenRedis:
    """Passes connections through to the Redis at `url` (a unix socket), as its mood allows."""

    def __init__(self, url: str) -> None:
        self.mood = Mood.WELL
        self.error = ""
        self.requests: list[bytes] = []
        """Every piece of data that came in: one for each command that was sent by itself."""
        self.connections = 0
        self.port = 0
        self._redis = Path(unquote(urlsplit(url).path))
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._heard = asyncio.Condition()

    @property
    def url(self) -> str:
        return f"redis://:secret@127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Vanish: refuse connections, and cut those that are there."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._open:
            task.cancel()
        if self._open:
            await asyncio.wait(self._open)

    def blurt(self, data: bytes) -> None:
        """Say something that nobody asked for."""
        for writer in self._writers:
            writer.write(data)

    async def heard(self, count: int) -> None:
        """Wait until `count` pieces of data have come in."""
        async with asyncio.timeout(20), self._heard:
            await self._heard.wait_for(lambda: len(self.requests) >= count)

    async def deserted(self) -> None:
        """Wait until no connection is left."""
        async with asyncio.timeout(20), self._heard:
            await self._heard.wait_for(lambda: not self._open)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self.connections += 1
        self._writers.add(writer)
        redis_reader, redis_writer = await asyncio.open_unix_connection(self._redis)
        answers = asyncio.create_task(self._pass_answers(redis_reader, writer))
        try:
            while data := await reader.read(1 << 20):
                await self._hear(data)
                self._treat(data, writer, redis_writer)
        except (asyncio.CancelledError, ConnectionError):
            pass
        finally:
            answers.cancel()
            await asyncio.wait([answers])
            redis_writer.close()
            writer.close()
            self._writers.discard(writer)
            self._open.discard(task)
            async with self._heard:
                self._heard.notify_all()

    async def _hear(self, data: bytes) -> None:
        if _is_handshake(data):
            return
        async with self._heard:
            self.requests.append(data)
            self._heard.notify_all()

    def _treat(self, data: bytes, writer: asyncio.StreamWriter, redis_writer: asyncio.StreamWriter) -> None:
        if self.mood is Mood.DEAF:
            return
        if _is_handshake(data):
            writer.write(b"+OK\r\n")
        elif self.mood is Mood.REFUSES:
            writer.write(f"-{self.error}\r\n".encode())
        elif self.mood is Mood.BABBLES:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        elif self.mood is not Mood.HANGS:
            redis_writer.write(data)

    async def _pass_answers(self, redis_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await redis_reader.read(1 << 20):
            if self.mood is Mood.CUTS:
                writer.write(data[: len(data) // 2])
                writer.close()
                return
            writer.write(data)
            if self.mood is Mood.STUTTERS:
                writer.write(data)


def _is_handshake(data: bytes) -> bool:
    return b"AUTH" in data[:20]


@asynccontextmanager
async def broken_redis(url: str) -> AsyncIterator[BrokenRedis]:
    """A server that runs, and is well to begin with."""
    server = BrokenRedis(url)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
