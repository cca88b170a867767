"""What is remembered for a few seconds: by all processes together, or by each while the server is away."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage import memo
from storage.dragonfly import Dragonfly
from storage.embedded import EmbeddedServer
from storage.memo import Memos


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[tuple[Dragonfly, Dragonfly]]:
    embedded = EmbeddedServer(tmp_path)
    assert await embedded.open()
    both = Dragonfly(embedded.url), Dragonfly(embedded.url)
    yield both
    for server in both:
        await server.aclose()
    await embedded.close()


async def test_what_one_process_remembers_and_forgets_so_does_the_other(
    servers: tuple[Dragonfly, Dragonfly],
) -> None:
    one, two = (Memos(server, "a") for server in servers)
    await one.put("x", "wörd", 60)
    assert await two.get("x") == "wörd"
    await two.drop("x")
    assert await one.get("x") is None


async def test_the_server_forgets_by_itself(servers: tuple[Dragonfly, Dragonfly]) -> None:
    await Memos(servers[0], "a").put("x", "1", 55)
    (key,) = await servers[0].command("KEYS", "*")
    assert 50_000 < int(await servers[0].command("PTTL", key)) <= 55_000


async def test_two_archives_on_one_server_share_nothing(servers: tuple[Dragonfly, Dragonfly]) -> None:
    await Memos(servers[0], "a").put("x", "1", 60)
    assert await Memos(servers[1], "b").get("x") is None


async def test_without_its_server_a_process_remembers_by_itself(tmp_path: Path) -> None:
    server = Dragonfly(f"unix://{tmp_path}/nobody.sock")
    now = 100.0
    memos = Memos(server, "a", lambda: now)
    await memos.put("x", "1", 60)
    assert await memos.get("x") == "1"
    now += 60
    assert await memos.get("x") is None
    await memos.put("y", "2", 60)
    await memos.drop("y")
    assert await memos.get("y") is None
    await server.aclose()


async def test_what_it_remembers_by_itself_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memo, "MOST_ALONE", 2)
    memos = Memos(None, "a")
    for name in "xyz":
        await memos.put(name, name, 60)
    assert [await memos.get(name) for name in "xyz"] == [None, "y", "z"]
