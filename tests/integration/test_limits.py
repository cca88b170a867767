"""Rate limits over a real server, and without one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.dragonfly import Dragonfly
from storage.embedded import EmbeddedServer
from storage.limits import RateLimits


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    server = EmbeddedServer(tmp_path)
    assert await server.open()
    yield server
    await server.close()


async def tried(limits: RateLimits, times: int, user: str = "U1", workspace: str = "T1") -> list[bool]:
    return [await limits.wait_s("slack", workspace, user) == 0 for _ in range(times)]


async def test_a_person_may_ask_so_much_and_another_is_not_held_up() -> None:
    limits = RateLimits(None, "a", "3/hour", "none")
    assert await tried(limits, 5) == [True, True, True, False, False]
    assert await tried(limits, 1, user="U2") == [True]
    assert await tried(limits, 1, workspace="T2") == [True]


async def test_a_workspace_may_ask_so_much_together() -> None:
    limits = RateLimits(None, "a", "none", "2/hour")
    assert await tried(limits, 1, user="U1") + await tried(limits, 2, user="U2") == [True, True, False]


async def test_the_wait_is_what_is_left_of_the_window() -> None:
    limits = RateLimits(None, "a", "1/hour", "none")
    await tried(limits, 1)
    assert 0 < await limits.wait_s("slack", "T1", "U1") <= 3600


async def test_two_processes_count_together(embedded: EmbeddedServer) -> None:
    servers = [Dragonfly(embedded.url) for _ in range(2)]
    one, two = (RateLimits(server, "a", "3/hour", "none") for server in servers)
    assert await tried(one, 2) + await tried(two, 2) == [True, True, True, False]
    assert 0 < await two.wait_s("slack", "T1", "U1") <= 3600
    for server in servers:
        await server.aclose()


async def test_without_its_server_a_process_counts_by_itself(tmp_path: Path) -> None:
    server = Dragonfly(f"unix://{tmp_path}/nobody.sock")
    limits = RateLimits(server, "a", "2/hour", "none")
    assert await tried(limits, 3) == [True, True, False]
    await server.aclose()
