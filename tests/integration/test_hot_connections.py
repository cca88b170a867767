"""Connections that redis-py opened: what a server does meanwhile, and what comes when nobody listens."""

import asyncio
import gc
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as Disconnected

from bot.errors import SettingsError
from storage.connections import Connections
from storage.dragonfly import Away, Dragonfly

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Speaks as `serve` does, and knows how many are connected."""

    def __init__(self, serve: Serve) -> None:
        self.connected = 0
        self.port = 0
        self._serve = serve
        self._changed = asyncio.Condition()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._count(1)
        try:
            await self._serve(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()
            await self._count(-1)

    async def deserted(self) -> None:
        """Wait until nobody is connected."""
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(lambda: not self.connected)

    async def _count(self, more: int) -> None:
        async with self._changed:
            self.connected += more
            self._changed.notify_all()


@asynccontextmanager
async def serving(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(serve)
    listening = await asyncio.start_server(server, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield server


async def agree(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say OK to each piece of data."""
    while await reader.read(1 << 16):
        writer.write(b"+OK\r\n")


async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def hear_the_end(connection: AbstractConnection) -> None:
    assert connection._reader is not None
    with suppress(ConnectionResetError):
        assert await connection._reader.read() == b""


async def hear_a_word(connection: AbstractConnection) -> None:
    assert connection._reader is not None
    connection._reader.feed_data(b"-ERR max number of clients reached\r\n")


@pytest.mark.parametrize(
    ("serve", "before"),
    [(hang_up, hear_the_end), (agree, hear_a_word), (reset, hear_the_end)],
    ids=["ended", "spoke", "reset"],
)
async def test_what_a_server_did_before_it_was_asked_is_not_waited_for(
    serve: Serve, before: Callable[[AbstractConnection], Awaitable[None]]
) -> None:
    async with serving(serve) as server:
        connections = Connections(
            ConnectionPool(host="127.0.0.1", port=server.port, protocol=2, redis_connect_func=before)
        )
        async with asyncio.timeout(10):
            with pytest.raises(Disconnected):
                await connections.execute_command("PING")
        await server.deserted()


async def test_who_still_connects_when_all_is_closed_leaves_nothing_open() -> None:
    greeted, go_on = asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1 << 16)
        greeted.set()
        await go_on.wait()
        writer.write(b"+OK\r\n")
        await agree(reader, writer)

    async with serving(slow) as server:
        dragonfly = Dragonfly(f"redis://:secret@127.0.0.1:{server.port}", timeout_s=20)
        asking = asyncio.create_task(dragonfly.command("PING"))
        await greeted.wait()
        await dragonfly.aclose()
        go_on.set()
        with pytest.raises(Away):
            await asking
        await server.deserted()


async def test_commands_under_way_when_all_is_closed_fail_at_once() -> None:
    asked = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while await reader.read(1 << 16):
            asked.set()

    async with serving(hang) as server:
        dragonfly = Dragonfly(f"redis://127.0.0.1:{server.port}", timeout_s=60)
        asking = asyncio.create_task(dragonfly.command("PING"))
        await asked.wait()
        await dragonfly.aclose()
        async with asyncio.timeout(10):
            with pytest.raises(Away):
                await asking
        await server.deserted()


async def test_a_server_that_lets_nobody_in_is_left_with_no_connection() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1 << 16):
            writer.write(b"-NOAUTH Authentication required.\r\n")

    async with serving(refuse) as server:
        connections = Connections(
            ConnectionPool(host="127.0.0.1", port=server.port, driver_info=None, protocol=2)
        )
        with pytest.raises(AuthenticationError):
            await connections.execute_command("PING")
        await server.deserted()


async def test_who_waits_for_room_does_not_ask_a_server_that_others_found_gone() -> None:
    asked = []

    async def vanish(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(1 << 16))

    async with serving(vanish) as server:
        dragonfly = Dragonfly(f"redis://127.0.0.1:{server.port}", timeout_s=20, connections=1)
        outcomes = await asyncio.gather(
            *(dragonfly.command("PING") for _ in range(3)), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [Away] * 3
        assert len(asked) == 1
        await dragonfly.aclose()


async def test_commands_that_are_cut_short_by_the_hundred_leave_nothing_open(
    recwarn: pytest.WarningsRecorder,
) -> None:
    """Wherever they are: waiting for room, connecting, in the handshake, asking."""
    async with serving(agree) as server:
        dragonfly = Dragonfly(f"redis://:secret@127.0.0.1:{server.port}/3", timeout_s=60, connections=8)
        for steps in range(40):
            asking = [asyncio.create_task(dragonfly.command("PING")) for _ in range(12)]
            for _ in range(steps):
                await asyncio.sleep(0)
            for each in asking:
                each.cancel()
            outcomes = await asyncio.gather(*asking, return_exceptions=True)
            assert all(
                outcome == b"OK" or isinstance(outcome, asyncio.CancelledError) for outcome in outcomes
            )
        assert await dragonfly.command("PING") == b"OK"
        await dragonfly.aclose()
        await server.deserted()
    gc.collect()
    assert [str(warning.message) for warning in recwarn if "unclosed" in str(warning.message)] == []


async def test_what_a_server_says_by_itself_is_nobodys_answer() -> None:
    """With RESP3 it may, and redis-py asks for that by default."""

    async def push(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        moving = b""
        while data := await reader.read(1 << 16):
            if b"HELLO" in data:
                moving = b">2\r\n+MOVING\r\n+elsewhere\r\n"
                writer.write(b"%1\r\n+proto\r\n:3\r\n")
            elif b"PING" in data:
                writer.write(moving + b"+mine\r\n")
            else:
                writer.write(b"+OK\r\n")

    async with serving(push) as server:
        dragonfly = Dragonfly(f"redis://127.0.0.1:{server.port}?protocol=3")
        assert await dragonfly.command("PING") == b"mine"
        await dragonfly.aclose()


async def test_a_process_that_was_busy_while_it_connected_does_not_blame_the_server() -> None:
    timeout_s = 0.1
    async with serving(agree) as server:
        dragonfly = Dragonfly(f"redis://127.0.0.1:{server.port}", timeout_s=timeout_s)
        asking = asyncio.create_task(dragonfly.command("PING"))
        await asyncio.sleep(0)
        until = time.monotonic() + timeout_s + 0.3
        while time.monotonic() < until:
            pass
        with suppress(Away):
            await asking
        assert dragonfly.ailing() == ""
        await dragonfly.aclose()


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
@pytest.mark.parametrize("most", ["0", "-1"])
def test_room_for_no_connection_is_refused_at_the_start(scheme: str, most: str) -> None:
    with pytest.raises(SettingsError, match=r"hot\.url"):
        Dragonfly(f"{scheme}://127.0.0.1:1?max_connections={most}")


def self_signed(folder: Path) -> ssl.SSLContext:
    """For a server that vouches for itself."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, SHA256())
    )
    pem = folder / "server.pem"
    pem.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate.public_bytes(Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


async def test_connections_share_what_tls_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[ssl.SSLContext] = []
    make = ssl.create_default_context
    monkeypatch.setattr(ssl, "create_default_context", lambda: made.append(make()) or made[-1])
    everybody = asyncio.Barrier(5)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        await everybody.wait()
        writer.write(b"+PONG\r\n")
        await reader.read()

    async with serving(answer, self_signed(tmp_path)) as server:
        dragonfly = Dragonfly(f"rediss://127.0.0.1:{server.port}?ssl_cert_reqs=none", timeout_s=10)
        answers = await asyncio.gather(*(dragonfly.command("PING") for _ in range(5)))
        await dragonfly.aclose()
    assert answers == [b"PONG"] * 5
    assert len(made) == 1
