"""What every hot context promises: a window is whole, current, or a miss; and nothing raises."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis.asyncio import Redis

from bot.domain import Attachment, Author, Message, Window
from bot.ports import HotContext
from storage.dragonfly import Dragonfly, load_script
from storage.hot import DragonflyContext, Found, NoContext, ObservedHotContext
from storage.keys import Keys
from tests.hot_servers import (
    FIRST_POSITION,
    NOON,
    message,
    messages,
    new_archive_id,
    raw_client,
    send,
    until,
    window_of,
)

LIMIT = 10
TTL_S = 60.0
SESSION = 7


@pytest.fixture(name="archive_id")
def archive_id_fixture() -> str:
    return new_archive_id()


@pytest.fixture(name="hot")
async def hot_fixture(hot_url: str, archive_id: str) -> AsyncIterator[DragonflyContext]:
    context = DragonflyContext(Dragonfly(hot_url, timeout_s=5), archive_id, limit=LIMIT, ttl_s=TTL_S)
    yield context
    await context.aclose()


@pytest.fixture(name="raw")
async def raw_fixture(hot_url: str) -> AsyncIterator[Redis]:
    client = raw_client(hot_url)
    yield client
    await client.aclose()


@pytest.fixture(name="key")
def key_fixture(archive_id: str) -> str:
    return Keys(archive_id).window(SESSION, LIMIT)


@pytest.fixture(name="any_context", params=["none", "server"])
async def any_context_fixture(
    request: pytest.FixtureRequest, embedded_url: str
) -> AsyncIterator[ObservedHotContext]:
    context: ObservedHotContext = NoContext()
    if request.param == "server":
        context = DragonflyContext(Dragonfly(embedded_url, timeout_s=5), new_archive_id(), limit=LIMIT)
    yield context
    await context.aclose()


class TestEveryContext:
    """Also where there is none."""

    async def test_every_context_is_one(self, any_context: HotContext) -> None:
        assert await any_context.read(SESSION, 3) is None

    async def test_a_window_is_a_miss_or_what_was_seeded(self, any_context: HotContext) -> None:
        window = window_of(messages(1, 4), 4)
        await any_context.seed(SESSION, window)

        assert await any_context.read(SESSION, 4) in (None, window)
        assert await any_context.read(SESSION, 5) is None

    async def test_what_was_dropped_is_gone(self, any_context: HotContext) -> None:
        await any_context.seed(SESSION, window_of(messages(1, 4), 4))
        await any_context.drop(SESSION)

        assert await any_context.read(SESSION, 4) is None

    async def test_it_can_be_watched(self, any_context: ObservedHotContext) -> None:
        await any_context.append(SESSION, 2, messages(1, 1))
        look = await any_context.look(SESSION, 2)

        assert look.found in (Found.ABSENT, Found.AWAY)
        assert any_context.totals[look.found] == 1
        assert sum(any_context.totals.values()) == 1
        assert await any_context.peek(SESSION) is None
        assert await any_context.ping() == ""
        assert any_context.ailing() == ""


async def test_a_seeded_window_is_read_at_its_version(hot: DragonflyContext) -> None:
    window = window_of(messages(1, 5), 9)
    await hot.seed(SESSION, window)

    assert await hot.read(SESSION, 9) == window


@pytest.mark.parametrize("version", [0, 1, 8, 10, 2**63])
async def test_any_other_version_is_a_miss(hot: DragonflyContext, version: int) -> None:
    await hot.seed(SESSION, window_of(messages(1, 5), 9))

    assert (await hot.look(SESSION, version)).window is None
    assert await hot.read(SESSION, 9) is not None


async def test_everything_of_a_message_is_kept(hot: DragonflyContext) -> None:
    said = message(
        1,
        "NUL \x00, half a pair \ud800, 😀, \u2028",
        attachments=(Attachment("a.png", "image/png", 3, "https://example.org/a"),),
        edited_at=NOON,
        note="stopped",
    )
    await hot.seed(SESSION, window_of((said,), 1))

    window = await hot.read(SESSION, 1)
    assert window is not None
    assert window.messages == (said,)


async def test_news_come_with_the_read(hot: DragonflyContext) -> None:
    await hot.seed(SESSION, window_of(messages(1, 3), 3))

    assert await hot.read(SESSION, 4, messages(4, 4)) == window_of(messages(1, 4), 4)
    assert await hot.read(SESSION, 4) == window_of(messages(1, 4), 4)


async def test_an_append_brings_the_next_version(hot: DragonflyContext) -> None:
    await hot.seed(SESSION, window_of(messages(1, 3), 3))
    await hot.append(SESSION, 4, messages(4, 6))

    assert await hot.read(SESSION, 4) == window_of(messages(1, 6), 4)


class Dawdling(Dragonfly):
    """Sends what it is given, the next command only once `sent` says so."""

    def __init__(self, url: str) -> None:
        super().__init__(url, timeout_s=5)
        self.dawdles = False
        self.dawdling = asyncio.Event()
        self.sent = asyncio.Event()

    async def command(self, *command: str | bytes | int) -> Any:
        if self.dawdles:
            self.dawdles = False
            self.dawdling.set()
            await self.sent.wait()
        return await super().command(*command)


async def test_a_read_that_is_asked_for_after_an_append_does_not_overtake_it(
    hot_url: str, archive_id: str
) -> None:
    server = Dawdling(hot_url)
    hot = DragonflyContext(server, archive_id, limit=LIMIT, ttl_s=TTL_S)
    await hot.seed(SESSION, window_of(messages(1, 3), 3))
    server.dawdles = True
    appending = asyncio.create_task(hot.append(SESSION, 4, messages(4, 4)))
    await server.dawdling.wait()
    reading = asyncio.create_task(hot.read(SESSION, 5, messages(5, 5)))
    other = await hot.look(SESSION + 1, 1)
    assert await server.ping() == "", "whoever does not wait is done by now"
    server.sent.set()

    assert await reading == window_of(messages(1, 5), 5)
    assert other.found is Found.ABSENT, "other sessions go on"
    await appending
    await hot.aclose()


async def test_an_append_that_comes_twice_counts_once(hot: DragonflyContext) -> None:
    await hot.seed(SESSION, window_of(messages(1, 3), 3))
    for _ in range(2):
        await hot.append(SESSION, 4, messages(4, 4))

    assert await hot.read(SESSION, 4, messages(4, 4)) == window_of(messages(1, 4), 4)


async def test_the_same_text_twice_is_two_messages(hot: DragonflyContext) -> None:
    said = tuple(replace(message(number), text="yes", author=Author("U1", "Ann")) for number in (1, 2, 3))
    await hot.seed(SESSION, window_of(said[:2], 2))

    window = await hot.read(SESSION, 3, said[2:])
    assert window is not None
    assert window.messages == said


async def test_an_append_after_expiry_makes_no_window(hot: DragonflyContext, raw: Redis, key: str) -> None:
    await hot.seed(SESSION, window_of(messages(1, 5), 5))
    assert await raw.delete(key) == 1

    await hot.append(SESSION, 6, messages(6, 6))
    assert (await hot.look(SESSION, 6)).found is Found.ABSENT
    assert (await hot.look(SESSION, 7, messages(7, 7))).found is Found.ABSENT
    assert not await raw.exists(key)


@pytest.mark.parametrize("version", [3, 5])
async def test_an_append_onto_another_version_changes_nothing(hot: DragonflyContext, version: int) -> None:
    await hot.seed(SESSION, window_of(messages(1, 3), 3))
    await hot.append(SESSION, version, messages(4, 4))

    assert await hot.read(SESSION, 3) == window_of(messages(1, 3), 3)
    assert version == 3 or await hot.read(SESSION, version) is None


@pytest.mark.parametrize("numbers", [(3,), (2,), (1, 4), (5, 4), (4, 4)])
async def test_news_that_do_not_come_last_are_not_appended(
    hot: DragonflyContext, numbers: tuple[int, ...]
) -> None:
    await hot.seed(SESSION, window_of(messages(1, 3), 3))
    news = [message(number) for number in numbers]
    await hot.append(SESSION, 4, news)

    assert (await hot.look(SESSION, 4, news)).found is Found.STALE
    assert await hot.read(SESSION, 3) == window_of(messages(1, 3), 3)


@pytest.mark.parametrize("later", [1, 5])
async def test_a_reply_goes_before_what_was_said_while_it_was_written(
    hot: DragonflyContext, later: int
) -> None:
    said = messages(1, 4 + later)
    without = tuple(each for each in said if each != said[3])
    await hot.seed(SESSION, Window(7, without, whole=True))
    await hot.append(SESSION, 8, (said[3],))

    assert await hot.read(SESSION, 8) == Window(8, said, whole=True)
    assert await hot.read(SESSION, 7) is None
    assert await hot.read(SESSION, 9, messages(5 + later, 5 + later)) == Window(
        9, messages(1, 5 + later), whole=True
    )


async def test_one_that_belongs_far_back_leaves_the_window_stale(hot: DragonflyContext) -> None:
    said = messages(1, LIMIT + 2)
    await hot.seed(SESSION, Window(7, said[2:], whole=False))
    await hot.append(SESSION, 8, (said[1],))

    assert (await hot.look(SESSION, 8)).found is Found.STALE


async def test_positions_past_two_to_the_53_keep_their_order(hot: DragonflyContext) -> None:
    assert float(FIRST_POSITION + 1) == float(FIRST_POSITION + 2)
    await hot.seed(SESSION, window_of(messages(1, 1), 1))

    assert await hot.read(SESSION, 2, messages(2, 2)) == window_of(messages(1, 2), 2)


async def test_a_position_with_more_digits_comes_later(hot: DragonflyContext) -> None:
    early, late = (replace(message(1), position=position) for position in (999, 1000))
    await hot.seed(SESSION, Window(1, (early,), whole=True))

    assert await hot.read(SESSION, 2, (late,)) == Window(2, (early, late), whole=True)


async def test_a_window_that_lacks_its_own_news_is_stale(hot: DragonflyContext) -> None:
    """A restored backup counts versions again, with other messages."""
    await hot.seed(SESSION, window_of(messages(1, 3), 4))

    assert (await hot.look(SESSION, 4, messages(9, 9))).found is Found.STALE


async def test_appends_never_exceed_the_limit(hot: DragonflyContext, raw: Redis, key: str) -> None:
    await hot.seed(SESSION, window_of(messages(1, 8), 1, LIMIT))
    for version, first in ((2, 9), (3, 11), (4, 13)):
        window = await hot.read(SESSION, version, messages(first, first + 1))
        assert window == window_of(messages(1, first + 1), version, LIMIT)
    assert await raw.llen(key) == LIMIT


async def test_more_news_than_fit_leave_the_newest(hot: DragonflyContext) -> None:
    await hot.seed(SESSION, window_of(messages(1, 2), 1))

    assert await hot.read(SESSION, 2, messages(3, 40)) == window_of(messages(1, 40), 2, LIMIT)


async def test_ten_thousand_messages_are_bounded(hot: DragonflyContext, raw: Redis, key: str) -> None:
    said = messages(1, 10_000)
    await hot.seed(SESSION, Window(5, said, whole=True))

    assert await hot.read(SESSION, 5) == window_of(said, 5, LIMIT)
    assert await raw.llen(key) == LIMIT


async def test_a_large_window_goes_through_the_scripts(hot_url: str) -> None:
    context = DragonflyContext(Dragonfly(hot_url, timeout_s=20), new_archive_id(), limit=12_000)
    await context.seed(SESSION, window_of(messages(1, 9_000), 1, 12_000))
    news = messages(9_001, 13_000)

    assert await context.read(SESSION, 2, news) == window_of(messages(1, 13_000), 2, 12_000)
    await context.aclose()


async def test_exactly_the_limit_is_still_whole(hot: DragonflyContext) -> None:
    await hot.seed(SESSION, window_of(messages(1, LIMIT), 1, LIMIT))

    window = await hot.read(SESSION, 1)
    assert window is not None
    assert window.whole
    window = await hot.read(SESSION, 2, messages(LIMIT + 1, LIMIT + 1))
    assert window is not None
    assert not window.whole


async def test_a_short_window_that_is_not_whole_stays_so(hot: DragonflyContext) -> None:
    await hot.seed(SESSION, Window(1, messages(4, 5), whole=False))

    assert await hot.read(SESSION, 2, messages(6, 6)) == Window(2, messages(4, 6), whole=False)


async def test_an_empty_window_is_not_kept(hot: DragonflyContext, raw: Redis, key: str) -> None:
    await hot.seed(SESSION, Window(3, (), whole=True))

    assert not await raw.exists(key)


async def test_an_older_window_does_not_replace_a_newer(hot: DragonflyContext) -> None:
    await hot.seed(SESSION, window_of(messages(1, 5), 10))
    await hot.seed(SESSION, window_of(messages(1, 4), 9))

    assert await hot.read(SESSION, 10) == window_of(messages(1, 5), 10)


@pytest.mark.parametrize("version", [10, 11])
async def test_a_window_of_the_same_or_a_newer_version_replaces(hot: DragonflyContext, version: int) -> None:
    await hot.seed(SESSION, window_of(messages(1, 5), 10))
    other = window_of(messages(2, 4), version)
    await hot.seed(SESSION, other)

    assert await hot.read(SESSION, version) == other


async def test_what_cannot_be_written_is_a_miss(hot: DragonflyContext) -> None:
    impossible = replace(message(1), position=-5)
    await hot.seed(SESSION, Window(1, (impossible,), whole=True))
    assert (await hot.look(SESSION, 1)).found is Found.ABSENT

    await hot.seed(SESSION, window_of(messages(1, 1), 1))
    await hot.append(SESSION, 2, [impossible])
    assert (await hot.look(SESSION, 2, [impossible])).found is Found.STALE
    assert (await hot.look(SESSION, 10**20)).found is Found.STALE


async def test_sessions_do_not_meet(hot: DragonflyContext) -> None:
    await hot.seed(1, window_of(messages(1, 3), 3))
    await hot.seed(11, window_of(messages(4, 6), 3))
    await hot.drop(11)

    assert await hot.read(1, 3) == window_of(messages(1, 3), 3)
    assert await hot.read(11, 3) is None


async def test_archives_on_one_server_do_not_meet(hot: DragonflyContext, hot_url: str) -> None:
    other = DragonflyContext(Dragonfly(hot_url, timeout_s=5), new_archive_id(), limit=LIMIT)
    await hot.seed(SESSION, window_of(messages(1, 3), 3))

    assert await other.read(SESSION, 3) is None
    await other.drop(SESSION)
    assert await hot.read(SESSION, 3) is not None
    await other.aclose()


async def test_another_limit_does_not_see_a_cut_window(
    hot: DragonflyContext, hot_url: str, archive_id: str
) -> None:
    larger = DragonflyContext(Dragonfly(hot_url, timeout_s=5), archive_id, limit=2 * LIMIT)
    await hot.seed(SESSION, window_of(messages(1, 15), 15, LIMIT))

    assert await larger.read(SESSION, 15) is None
    await larger.aclose()


async def test_processes_of_one_archive_share_windows(
    hot: DragonflyContext, hot_url: str, archive_id: str
) -> None:
    other = DragonflyContext(Dragonfly(hot_url, timeout_s=5), archive_id, limit=LIMIT)
    await hot.seed(SESSION, window_of(messages(1, 3), 3))
    await other.append(SESSION, 4, messages(4, 4))

    assert await hot.read(SESSION, 4) == window_of(messages(1, 4), 4)
    await other.aclose()


async def test_every_use_renews_the_time_to_live(hot: DragonflyContext, raw: Redis, key: str) -> None:
    async def renewed() -> bool:
        left_ms: int = await raw.pttl(key)
        await raw.pexpire(key, 1000)
        return 1000 < left_ms <= TTL_S * 1000

    await hot.seed(SESSION, window_of(messages(1, 3), 3))
    assert await renewed()
    await hot.read(SESSION, 3)
    assert await renewed()
    await hot.append(SESSION, 4, messages(4, 4))
    assert await renewed()
    await hot.read(SESSION, 9)
    assert not await renewed(), "a stale window is not kept alive"


async def test_a_window_expires(hot_url: str) -> None:
    context = DragonflyContext(Dragonfly(hot_url, timeout_s=5), new_archive_id(), ttl_s=0.05)
    await context.seed(SESSION, window_of(messages(1, 3), 3))

    async def expired() -> bool:
        return await context.peek(SESSION) is None

    await until(expired)
    assert await context.read(SESSION, 3) is None
    await context.aclose()


async def test_a_look_from_aside_tells_and_changes_nothing(
    hot: DragonflyContext, raw: Redis, key: str
) -> None:
    await hot.seed(SESSION, window_of(messages(1, 3), 8))
    await raw.pexpire(key, 5000)

    state = await hot.peek(SESSION)
    assert state is not None
    assert (state.version, state.messages) == (8, 3)
    assert 0 < state.ttl_s <= 5
    assert await raw.pttl(key) <= 5000


@pytest.mark.parametrize("rest", [b"garbage", b'["1.","x","y"]', b'["2.","%020d","%020d",1]' % (3, 3), b"["])
async def test_what_this_release_cannot_read_is_a_miss_until_it_is_replaced(
    hot: DragonflyContext, raw: Redis, key: str, rest: bytes
) -> None:
    await raw.rpush(key, rest)

    assert (await hot.look(SESSION, 3, messages(3, 3))).found is Found.STALE
    assert await hot.peek(SESSION) is None
    await hot.seed(SESSION, window_of(messages(1, 3), 3))
    assert await hot.read(SESSION, 3) == window_of(messages(1, 3), 3)


async def test_a_window_with_a_broken_element_is_a_miss(hot: DragonflyContext, raw: Redis, key: str) -> None:
    await hot.seed(SESSION, window_of(messages(1, 3), 3))
    await raw.lset(key, 1, "broken")

    assert (await hot.look(SESSION, 3)).found is Found.STALE


async def test_a_write_that_was_not_finished_shows_no_version(
    hot: DragonflyContext, raw: Redis, key: str
) -> None:
    await hot.seed(SESSION, window_of(messages(1, 3), 3))
    await raw.rpop(key)

    for version in range(4):
        assert await hot.read(SESSION, version) is None
        assert await hot.read(SESSION, version, messages(3, 3)) is None


@pytest.mark.parametrize("command", ["SET {key} x", "HSET {key} field 1", "ZADD {key} 1 member"])
async def test_a_key_of_another_kind_is_a_miss_until_it_is_replaced(
    hot: DragonflyContext, raw: Redis, key: str, command: str
) -> None:
    await send(raw, *command.format(key=key).split())

    assert (await hot.look(SESSION, 3)).found is Found.ABSENT
    assert await hot.peek(SESSION) is None
    await hot.append(SESSION, 4, messages(4, 4))
    await hot.seed(SESSION, window_of(messages(1, 3), 3))
    assert await hot.read(SESSION, 3) == window_of(messages(1, 3), 3)


async def test_scripts_come_back_after_everything_was_forgotten(hot: DragonflyContext, raw: Redis) -> None:
    await hot.seed(SESSION, window_of(messages(1, 3), 3))
    await raw.flushall()
    await raw.script_flush()

    assert (await hot.look(SESSION, 3)).found is Found.ABSENT
    await hot.seed(SESSION, window_of(messages(1, 3), 3))
    assert await hot.read(SESSION, 3) is not None
    shas = [load_script(name).sha for name in ("read", "seed")]
    assert all(await raw.script_exists(*shas))


async def test_two_hundred_calls_at_once_are_all_answered(hot: DragonflyContext) -> None:
    await hot.seed(SESSION, window_of(messages(1, 3), 3))

    looks = await asyncio.gather(*(hot.look(SESSION, 3) for _ in range(200)))
    assert {look.found for look in looks} == {Found.HIT}
    assert hot.totals[Found.HIT] == 200


async def test_a_cancelled_call_leaves_nothing_for_the_next(hot: DragonflyContext) -> None:
    for session in range(40):
        await hot.seed(session, window_of(messages(session, session + 1), 2))

    async def read(session: int) -> None:
        window = await hot.read(session, 2)
        assert window is None or window.messages == messages(session, session + 1)

    for steps in range(12):
        tasks = [asyncio.create_task(read(session)) for session in range(40)]
        for _ in range(steps):
            await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert outcome is None or isinstance(outcome, asyncio.CancelledError), outcome
        for session in range(40):
            assert await hot.read(session, 2) == window_of(messages(session, session + 1), 2)


async def test_keys_of_one_session_share_a_hash_tag() -> None:
    keys = Keys("abc")

    assert keys.window(7, 100) == "threadfly:1:{abc:7}:w100"
    assert keys.window(7, 50).partition("}")[0] == keys.window(7, 100).partition("}")[0]
    assert keys.window(8, 100).partition("}")[0] != keys.window(7, 100).partition("}")[0]


@pytest.mark.parametrize("archive_id", ["", "a}b", "{", "a b", "x" * 65])
def test_an_archive_id_that_would_break_the_hash_tag_is_refused(archive_id: str) -> None:
    with pytest.raises(ValueError, match="archive id"):
        Keys(archive_id)


class Coherence(RuleBasedStateMachine):
    """Two processes on one archive, while the server forgets, and remembers what it had forgotten.

    `history` is the archive: what the session said at each version.
    """

    url = ""
    limit = 4

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.archive_id = new_archive_id()
        self.key = Keys(self.archive_id).window(SESSION, self.limit)
        self.history: list[tuple[Message, ...]] = [()]
        self.appends: list[tuple[int, tuple[Message, ...]]] = []
        self.dumps: list[bytes] = []
        self.next_number = 10
        self.raw = raw_client(self.url)
        self.contexts = [
            DragonflyContext(Dragonfly(self.url, timeout_s=5), self.archive_id, limit=self.limit)
            for _ in range(2)
        ]

    @property
    def version(self) -> int:
        return len(self.history) - 1

    def window(self, version: int) -> Window:
        return window_of(self.history[version], version, self.limit)

    def read(self, who: int, version: int, news: tuple[Message, ...] = ()) -> None:
        window = self.runner.run(self.contexts[who].read(SESSION, version, news))
        assert window is None or window == self.window(version)

    @rule(who=st.integers(0, 1), count=st.integers(1, 6), how=st.sampled_from(["read", "append", "lost"]))
    def say(self, who: int, count: int, how: str) -> None:
        news = messages(self.next_number, self.next_number + count - 1)
        self.next_number += count
        self.commit((*self.history[-1], *news), news)
        if how == "read":
            self.read(who, self.version, news)
        elif how == "append":
            self.runner.run(self.contexts[who].append(SESSION, self.version, news))

    @rule(who=st.integers(0, 1), place=st.integers(0, 100))
    def say_late(self, who: int, place: int) -> None:
        """A message arrives after newer ones."""
        known = {said.position for said in self.history[-1]}
        late = message(place % self.next_number)
        if late.position not in known:
            said = sorted((*self.history[-1], late), key=lambda each: each.position)
            self.commit(tuple(said), (late,))
            self.read(who, self.version, (late,))

    @precondition(lambda self: self.history[-1])
    @rule(place=st.integers(0, 100), deleted=st.booleans())
    def change(self, place: int, deleted: bool) -> None:
        said = list(self.history[-1])
        place %= len(said)
        if deleted:
            del said[place]
        else:
            said[place] = replace(said[place], text="edited", edited_at=NOON)
        self.commit(tuple(said), ())

    @rule(who=st.integers(0, 1), back=st.integers(0, 3))
    def seed(self, who: int, back: int) -> None:
        """Also by a process that read the archive a while ago."""
        version = max(0, self.version - back)
        self.runner.run(self.contexts[who].seed(SESSION, self.window(version)))

    @precondition(lambda self: self.appends)
    @rule(who=st.integers(0, 1), which=st.integers(0, 100))
    def append_late(self, who: int, which: int) -> None:
        version, news = self.appends[which % len(self.appends)]
        self.runner.run(self.contexts[who].append(SESSION, version, news))

    @rule(everything=st.booleans())
    def forget(self, everything: bool) -> None:
        self.runner.run(self.send("FLUSHALL") if everything else self.send("DEL", self.key))

    @rule()
    def remember(self) -> None:
        dump = self.runner.run(self.send("DUMP", self.key))
        if dump is not None:
            self.dumps.append(dump)

    @precondition(lambda self: self.dumps)
    @rule(which=st.integers(0, 100))
    def old_data_comes_back(self, which: int) -> None:
        dump = self.dumps[which % len(self.dumps)]
        self.runner.run(self.send("RESTORE", self.key, 0, dump, "REPLACE"))

    @rule(who=st.integers(0, 1), back=st.integers(0, 3))
    def read_some_version(self, who: int, back: int) -> None:
        self.read(who, max(0, self.version - back))

    @invariant()
    def nobody_sees_a_wrong_window(self) -> None:
        for who in range(2):
            self.read(who, self.version)

    async def send(self, *command: str | bytes | int) -> Any:
        return await send(self.raw, *command)

    def commit(self, said: tuple[Message, ...], news: tuple[Message, ...]) -> None:
        self.history.append(said)
        if news:
            self.appends.append((self.version, news))

    def teardown(self) -> None:
        async def close() -> None:
            await self.raw.aclose()
            for context in self.contexts:
                await context.aclose()

        self.runner.run(close())
        self.runner.close()


def test_a_window_is_exact_or_a_miss_whatever_happens(hot_url: str) -> None:
    machine = type("Coherence", (Coherence,), {"url": hot_url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
