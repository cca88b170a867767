"""A hot context whose server is in trouble costs one short wait, raises nothing, and heals by itself."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator

import pytest

from bot.errors import SettingsError
from storage.breaker import LONGEST_PAUSE_S
from storage.dragonfly import COMPLAINT_INTERVAL_S, CONNECTIONS, Away, Dragonfly
from storage.hot import DragonflyContext, Found
from tests.fakes.broken_redis import BrokenRedis, Mood, broken_redis
from tests.hot_servers import (
    messages,
    new_archive_id,
    raw_client,
    window_of,
)

SESSION = 7
WINDOW = window_of(messages(1, 3), 3)
TIMEOUT_S = 0.2


class Clock:
    """The breaker's clock, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(name="clock")
def clock_fixture() -> Clock:
    return Clock()


@pytest.fixture(name="server")
async def server_fixture(embedded_url: str) -> AsyncIterator[BrokenRedis]:
    async with broken_redis(embedded_url) as server:
        yield server


@pytest.fixture(name="hot")
async def hot_fixture(server: BrokenRedis, clock: Clock) -> AsyncIterator[DragonflyContext]:
    """A context whose window of `SESSION` is there, with a healthy server."""
    dragonfly = Dragonfly(server.url, timeout_s=TIMEOUT_S, clock=clock)
    context = DragonflyContext(dragonfly, new_archive_id())
    await context.seed(SESSION, WINDOW)
    assert (await context.look(SESSION, 3)).found is Found.HIT
    server.requests.clear()
    yield context
    await context.aclose()


async def misses(hot: DragonflyContext) -> None:
    """Every call ends without an error, and no read gives a window."""
    await hot.append(SESSION, 4, messages(4, 4))
    await hot.seed(SESSION, WINDOW)
    await hot.drop(SESSION)
    assert await hot.peek(SESSION) is None
    assert (await hot.look(SESSION, 3)).found is Found.AWAY


async def heals(hot: DragonflyContext, clock: Clock) -> None:
    clock.now += LONGEST_PAUSE_S
    await hot.drop(SESSION)
    await hot.seed(SESSION, WINDOW)
    assert (await hot.look(SESSION, 3)).window == WINDOW
    assert hot.ailing() == ""


@pytest.mark.parametrize("mood", [Mood.HANGS, Mood.CUTS, Mood.BABBLES])
async def test_a_server_that_breaks_is_asked_once_and_heals(
    hot: DragonflyContext, server: BrokenRedis, clock: Clock, mood: Mood
) -> None:
    server.mood = mood
    await misses(hot)

    assert len(server.requests) == 1
    assert hot.ailing() != ""
    server.mood = Mood.WELL
    await heals(hot, clock)


async def test_a_server_that_is_gone_is_missed_and_heals(
    hot: DragonflyContext, server: BrokenRedis, clock: Clock
) -> None:
    await server.stop()
    await misses(hot)
    assert "does not answer" in await hot.ping()

    await server.start()
    assert await hot.ping() == ""
    await heals(hot, clock)


async def test_a_server_that_hangs_from_the_first_is_missed_and_heals(
    hot: DragonflyContext, server: BrokenRedis, clock: Clock
) -> None:
    server.mood = Mood.DEAF
    await server.stop()
    await server.start()
    before = server.connections
    await misses(hot)

    assert server.connections == before + 1
    server.mood = Mood.WELL
    await heals(hot, clock)


async def test_a_server_that_was_never_there_is_a_miss(clock: Clock) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        url = f"redis://127.0.0.1:{taken.getsockname()[1]}"
        context = DragonflyContext(Dragonfly(url, clock=clock), new_archive_id())
        await misses(context)
    await context.aclose()


async def test_sixty_four_calls_share_one_wait(
    hot: DragonflyContext, server: BrokenRedis, clock: Clock
) -> None:
    server.mood = Mood.HANGS
    looks = await asyncio.gather(*(hot.look(session, 3) for session in range(64)))
    assert {look.found for look in looks} == {Found.AWAY}
    await server.deserted()
    asked = len(server.requests)
    assert 1 <= asked <= CONNECTIONS, "who has no connection yet does not try"

    await asyncio.gather(*(hot.look(session, 3) for session in range(64)))
    assert len(server.requests) == asked, "nobody asks before the pause is over"

    clock.now += LONGEST_PAUSE_S
    await asyncio.gather(*(hot.look(session, 3) for session in range(64)))
    await server.deserted()
    assert len(server.requests) == asked + 1, "one probe"

    server.mood = Mood.WELL
    await heals(hot, clock)


async def test_an_answer_that_comes_too_late_reaches_nobody(
    hot: DragonflyContext, server: BrokenRedis, clock: Clock
) -> None:
    other = window_of(messages(11, 12), 3)
    await hot.seed(8, other)
    server.mood = Mood.HANGS
    reading = asyncio.create_task(hot.read(8, 3))
    await server.heard(2)
    reading.cancel()
    await asyncio.wait([reading])
    assert reading.cancelled()

    server.mood = Mood.WELL
    assert await hot.read(SESSION, 3) == WINDOW, "a call that is cancelled says nothing of the server"
    assert await hot.read(8, 3) == other


async def test_an_answer_that_nobody_asked_for_reaches_nobody(
    hot: DragonflyContext, server: BrokenRedis
) -> None:
    server.blurt(b"+nonsense\r\n")
    await server.deserted()
    assert await hot.read(SESSION, 3) == WINDOW


async def test_an_answer_that_comes_twice_reaches_nobody_else(
    hot: DragonflyContext, server: BrokenRedis
) -> None:
    server.mood = Mood.STUTTERS
    assert await hot.read(SESSION, 3) == WINDOW
    server.mood = Mood.WELL
    assert await hot.read(8, 3) is None
    assert await hot.read(SESSION, 3) == WINDOW


async def test_a_cancelled_probe_does_not_block_the_next(
    hot: DragonflyContext, server: BrokenRedis, clock: Clock
) -> None:
    server.mood = Mood.HANGS
    await hot.read(SESSION, 3)
    clock.now += LONGEST_PAUSE_S
    probe = asyncio.create_task(hot.read(SESSION, 3))
    await server.heard(2)
    probe.cancel()
    await asyncio.wait([probe])

    server.mood = Mood.WELL
    assert await hot.read(SESSION, 3) == WINDOW


async def test_connections_to_a_machine_that_vanished_are_not_tried_one_by_one(
    hot: DragonflyContext, server: BrokenRedis, clock: Clock
) -> None:
    await asyncio.gather(*(hot.read(session, 3) for session in range(20)))
    assert server.connections > 1
    server.mood = Mood.HANGS
    await hot.read(SESSION, 3)

    await server.deserted()
    server.mood = Mood.WELL
    await heals(hot, clock)


async def test_a_busy_process_does_not_blame_the_server(hot: DragonflyContext, server: BrokenRedis) -> None:
    reading = asyncio.create_task(hot.look(SESSION, 3))
    await server.heard(1)
    loop = asyncio.get_running_loop()
    until = loop.time() + TIMEOUT_S + 0.2
    while loop.time() < until:
        pass

    assert (await reading).found in (Found.AWAY, Found.HIT)
    assert hot.ailing() == ""
    assert await hot.read(SESSION, 3) == WINDOW


@pytest.mark.parametrize(
    "error",
    [
        "LOADING Redis is loading the dataset in memory",
        "NOAUTH Authentication required.",
        "CLUSTERDOWN Hash slot not served",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    ],
)
async def test_a_server_that_is_not_ready_is_left_alone(
    hot: DragonflyContext, server: BrokenRedis, clock: Clock, error: str
) -> None:
    server.mood, server.error = Mood.REFUSES, error
    await misses(hot)

    assert len(server.requests) == 1
    server.mood = Mood.WELL
    await heals(hot, clock)


@pytest.mark.parametrize(
    "error",
    [
        "OOM command not allowed when used memory > 'maxmemory'.",
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "READONLY You can't write against a read only replica.",
        "NOPERM this user has no permissions to run the 'evalsha' command",
        "ERR Error running script: secret words",
        "BUSY Redis is busy running a script.",
    ],
)
async def test_a_refused_command_is_a_miss_and_no_outage(
    hot: DragonflyContext,
    server: BrokenRedis,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    error: str,
) -> None:
    server.mood, server.error = Mood.REFUSES, error
    for _ in range(3):
        await misses(hot)
    assert hot.ailing() == ""
    assert [record.message for record in caplog.records] == [
        "The hot context refuses a command; windows come from the archive."
    ]
    assert "secret" not in str([vars(record) for record in caplog.records])

    clock.now += COMPLAINT_INTERVAL_S
    await misses(hot)
    assert len(caplog.records) == 2

    server.mood = Mood.WELL
    await heals(hot, clock)


async def test_a_full_server_keeps_what_it_has_and_says_no(embedded_url: str) -> None:
    raw = raw_client(embedded_url)
    context = DragonflyContext(Dragonfly(embedded_url, timeout_s=5), new_archive_id())
    await context.seed(SESSION, WINDOW)
    await raw.config_set("maxmemory-policy", "noeviction")
    await raw.config_set("maxmemory", 1)
    try:
        assert await context.read(SESSION, 3) == WINDOW
        await context.append(SESSION, 4, messages(4, 4))
        assert (await context.look(SESSION, 4)).found is Found.STALE
        await context.seed(8, WINDOW)
        assert (await context.look(8, 3)).found is Found.ABSENT
    finally:
        await raw.config_set("maxmemory", 256 << 20)
        await raw.config_set("maxmemory-policy", "allkeys-lru")
        await raw.aclose()
    assert await context.read(SESSION, 4, messages(4, 4)) == window_of(messages(1, 4), 4)
    await context.aclose()


async def test_one_line_says_that_it_went_and_one_that_it_came(
    hot: DragonflyContext, server: BrokenRedis, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "storage")
    await server.stop()
    for _ in range(5):
        await misses(hot)
        clock.now += LONGEST_PAUSE_S
    await server.start()
    for _ in range(5):
        await hot.read(SESSION, 3)

    assert [vars(record)["event"] for record in caplog.records] == ["hot_away", "hot_back"]
    assert "secret" not in str([vars(record) for record in caplog.records])
    assert "message 1" not in str([vars(record) for record in caplog.records])
    assert "secret" not in await hot.ping()


async def test_each_call_is_one_round_trip(hot: DragonflyContext, server: BrokenRedis) -> None:
    await hot.read(SESSION, 3)
    await hot.read(SESSION, 4, messages(4, 4))
    await hot.append(SESSION, 5, messages(5, 5))
    await hot.seed(SESSION, window_of(messages(1, 6), 6))
    await hot.drop(SESSION)

    assert len(server.requests) == 5


@pytest.mark.parametrize("url", ["", "http://example.org", "redis://:secret@host:port", "redis://h?db=x"])
def test_a_url_that_is_none_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(SettingsError, match=r"hot\.url") as refused:
        Dragonfly(url)
    assert "secret" not in str(refused.value)


async def test_away_is_the_only_error_of_a_command(hot: DragonflyContext, server: BrokenRedis) -> None:
    dragonfly = Dragonfly(server.url, timeout_s=TIMEOUT_S)
    await server.stop()
    with pytest.raises(Away):
        await dragonfly.command("PING")
    await dragonfly.aclose()


@pytest.mark.parametrize(
    "options", ["decode_responses=true", "protocol=3", "db=0", "health_check_interval=5"]
)
async def test_what_a_url_asks_for_besides_does_no_harm(embedded_url: str, options: str) -> None:
    context = DragonflyContext(Dragonfly(f"{embedded_url}?{options}"), new_archive_id())
    try:
        await context.seed(SESSION, WINDOW)
        assert (await context.look(SESSION, 3)).window == WINDOW
    finally:
        await context.aclose()


def test_what_no_server_can_be_asked_is_refused_at_the_start() -> None:
    with pytest.raises(SettingsError, match=r"hot\.url.*behind a \?"):
        Dragonfly("redis://127.0.0.1:1/0?nonsense=1")


@pytest.mark.parametrize(
    ("url", "what_to_do"),
    [("{}?password=wrong", "check the name and password"), ("{}?db=9", "number of the database")],
)
async def test_operators_hear_what_to_change(embedded_url: str, url: str, what_to_do: str) -> None:
    dragonfly = Dragonfly(url.format(embedded_url))
    try:
        assert what_to_do in await dragonfly.ping()
    finally:
        await dragonfly.aclose()
