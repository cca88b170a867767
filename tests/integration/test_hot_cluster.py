"""Windows on a cluster of two nodes: redirections, scripts unknown to a node, a node that is gone."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage.dragonfly import Dragonfly
from storage.embedded import _executable_of_the_wheel
from storage.hot import DragonflyContext, Found
from storage.keys import Keys
from tests.hot_servers import messages, new_archive_id, raw_client, send, until, window_of

SLOTS = 16384


def free_port() -> int:
    """A port that is free, as is the one 10,000 above it, on which nodes talk to each other."""
    for _ in range(100):
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            if port + 10_000 < 65_536:
                try:
                    other.bind(("127.0.0.1", port + 10_000))
                except OSError:
                    continue
                return port
    raise OSError("no free port")


class Node:
    """One redis-server in cluster mode."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.client = raw_client(self.url, decode_responses=True)
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._folder.mkdir()
        self._process = await asyncio.create_subprocess_exec(
            str(_executable_of_the_wheel()),
            *("--port", str(self.port), "--bind", "127.0.0.1", "--cluster-enabled", "yes"),
            *("--dir", str(self._folder), "--save", "", "--cluster-require-full-coverage", "no"),
            *("--cluster-node-timeout", "1000"),
            stdout=asyncio.subprocess.DEVNULL,
        )
        await until(self.answers)

    async def answers(self) -> bool:
        try:
            return bool(await send(self.client, "PING"))
        except RedisError:
            return False

    async def stop(self) -> None:
        await self.client.aclose()
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def node(folder: Path) -> AsyncIterator[Node]:
    one = Node(folder)
    try:
        await one.start()
        yield one
    finally:
        await one.stop()


async def join(nodes: list[Node]) -> None:
    """Give each node its half of the slots, and wait until they know each other."""
    half = SLOTS // 2
    await send(nodes[0].client, "CLUSTER", "ADDSLOTS", *range(half))
    await send(nodes[1].client, "CLUSTER", "ADDSLOTS", *range(half, SLOTS))
    await send(nodes[1].client, "CLUSTER", "SET-CONFIG-EPOCH", 2)
    await send(nodes[0].client, "CLUSTER", "MEET", "127.0.0.1", nodes[1].port)

    async def all_know_all() -> bool:
        views = [str(await send(each.client, "CLUSTER", "INFO")) for each in nodes]
        return all("cluster_state:ok" in view and f"slots_ok:{SLOTS}" in view for view in views)

    await until(all_know_all)


@pytest.fixture(name="nodes")
async def nodes_fixture(tmp_path: Path) -> AsyncIterator[list[Node]]:
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(node(tmp_path / name)) for name in ("one", "two")]
        await join(nodes)
        yield nodes


async def sessions_of(client: Redis, archive_id: str) -> tuple[list[int], list[int]]:
    """Sessions whose windows live on the first node, and those on the second."""
    halves: tuple[list[int], list[int]] = ([], [])
    for session in range(1, 41):
        slot = await send(client, "CLUSTER", "KEYSLOT", Keys(archive_id).window(session, 100))
        halves[int(slot) >= SLOTS // 2].append(session)
    return halves


@pytest.mark.parametrize("by_scheme", [True, False])
async def test_windows_are_spread_and_a_lost_node_takes_only_its_own(
    nodes: list[Node], by_scheme: bool
) -> None:
    url = nodes[0].url.replace("redis://", "redis+cluster://") if by_scheme else nodes[0].url
    archive_id = new_archive_id()
    now = 0.0
    context = DragonflyContext(
        Dragonfly(url, cluster=not by_scheme, timeout_s=2, clock=lambda: now), archive_id
    )
    first, second = await sessions_of(nodes[0].client, archive_id)
    assert first
    assert second

    for session in first + second:
        await context.seed(session, window_of(messages(1, 3), 3))
    for session in first + second:
        assert await context.read(session, 4, messages(4, 4)) == window_of(messages(1, 4), 4)
    assert await send(nodes[0].client, "DBSIZE") == len(first)
    assert await send(nodes[1].client, "DBSIZE") == len(second)

    await nodes[1].stop()
    assert (await context.look(second[0], 4)).found is Found.AWAY
    assert context.ailing() != ""
    now += 100
    assert (await context.look(first[0], 4)).found is Found.HIT
    await context.aclose()


async def test_a_cluster_that_is_not_there_is_a_miss() -> None:
    context = DragonflyContext(Dragonfly(f"redis+cluster://127.0.0.1:{free_port()}"), new_archive_id())

    await context.seed(1, window_of(messages(1, 3), 3))
    assert (await context.look(1, 3)).found is Found.AWAY
    assert "does not answer" in await context.ping()
    await context.aclose()
