"""What was said while nobody listened is read afterwards, kept, and answered if it is young enough."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.slack import catching_up
from adapters.slack.history import PAGE
from adapters.slack.markup import position_of, ts_of
from adapters.slack.platform import SlackPlatform
from bot.domain import Addressed, Edited, History, SessionKey, Speaker
from bot.errors import PlatformUnavailable
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.core import Marks, ScriptedCore
from tests.fakes.slack.server import BOB, BOT, CHANNEL, DM
from tests.integration.slack_stage import fake_slack, running

MINUTE = 60_000_000


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with fake_slack(scale=0.01) as slack:
        slack.budgets.on = False
        yield slack


@pytest.fixture
def core() -> ScriptedCore:
    return ScriptedCore()


def ago(minutes: float) -> str:
    return ts_of(int((time.time() - minutes * 60) * 1_000_000))


def mark(minutes: float) -> int:
    return position_of(ago(minutes))


async def test_a_missed_mention_is_answered(slack: FakeSlack, core: ScriptedCore) -> None:
    marks = Marks(C01=mark(60))
    ts = slack.say(f"<@{BOT}> anybody there?", deliver=False)
    async with running(slack, core, marks, catch_up=True):
        await slack.until(lambda: slack.thread(ts))
        await marks.moved.wait()
    assert marks.by_channel[CHANNEL] == position_of(ts)


async def test_an_old_one_is_kept_and_not_answered(slack: FakeSlack, core: ScriptedCore) -> None:
    ts = slack.say(f"<@{BOT}> anybody there?", deliver=False, ts=ago(16))
    async with running(slack, core, Marks(C01=mark(60)), catch_up=True):
        await core.until(core.said)
    (said,) = core.said()
    assert not said.answer
    assert said.message.position == position_of(ts)


async def test_the_value_is_the_same_as_the_event_would_have_been(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    marks = Marks(C01=mark(60))
    async with running(slack, core, marks, catch_up=True):
        await core.until_true(lambda: marks.moved.is_set() or True)
        slack.say(f"<@{BOT}> hello")
        await core.until(lambda: len(core.said()) >= 2)
    again = ScriptedCore()
    async with running(slack, again, Marks(C01=mark(60)), catch_up=True):
        await again.until(again.said)
    assert again.said()[0].read
    assert again.said()[0] == replace(core.said()[0], read=True)


async def test_replies_in_older_threads_are_found(slack: FakeSlack, core: ScriptedCore) -> None:
    parent = slack.say(f"<@{BOT}> long ago", deliver=False, ts=ago(600))
    slack.say("before", thread_ts=parent, deliver=False, ts=ago(500))
    reply = slack.say("and now?", thread_ts=parent, deliver=False, user=BOB, ts=ago(5))
    async with running(slack, core, Marks(C01=mark(60)), catch_up=True):
        await core.until(core.said)
    assert [said.message.position for said in core.said()] == [position_of(reply)]
    assert core.said()[0].addressed is Addressed.THREAD


async def test_replies_in_very_old_threads_are_found_where_the_bot_takes_part(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    days = 1_440
    start, gone = (slack.say("long ago", ts=ago(n * days), deliver=False) for n in (300, 200))
    marks = Marks(C01=mark(60))
    marks.known = ["main", gone, start]
    slack.team.channels[CHANNEL].messages.pop(gone)
    ts = slack.say(f"<@{BOT}> still there?", thread_ts=start, deliver=False)
    async with running(slack, core, marks, catch_up=True):
        await slack.until(lambda: slack.thread(start))
    assert [said.message.position for said in core.said()] == [position_of(ts)]


async def test_a_missed_mention_comes_before_the_replies_to_it(slack: FakeSlack, core: ScriptedCore) -> None:
    ts = slack.say(f"<@{BOT}> shall we?", deliver=False)
    reply = slack.say("Yes!", thread_ts=ts, deliver=False, user=BOB)
    async with running(slack, core, Marks(C01=mark(60)), catch_up=True):
        await core.until(lambda: len(core.said()) >= 2)
    assert [said.message.position for said in core.said()[:2]] == [position_of(ts), position_of(reply)]


async def test_edits_that_were_missed_are_told(slack: FakeSlack, core: ScriptedCore) -> None:
    ts = slack.say(f"<@{BOT}> one", deliver=False, ts=ago(90))
    slack.edit(ts, f"<@{BOT}> two", deliver=False)
    async with running(slack, core, Marks(C01=mark(60)), catch_up=True):
        await core.until(lambda: core.events)
    (edited,) = core.events
    assert isinstance(edited, Edited)
    assert edited.message.text == "two"


async def test_many_pages_are_read_to_the_watermark(
    slack: FakeSlack, core: ScriptedCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    slack.history_page = 3
    missed = [slack.say(f"<@{BOT}> {n}", deliver=False, ts=ago(50 - n)) for n in range(10)]
    marks = Marks(C01=mark(60))
    async with running(slack, core, marks, catch_up=True):
        await marks.moved.wait()
    assert sorted(said.message.position for said in core.said()) == [position_of(ts) for ts in missed]
    assert marks.by_channel[CHANNEL] == position_of(missed[-1])


async def test_the_watermark_stays_when_something_could_not_be_kept(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    slack.say(f"<@{BOT}> hello", deliver=False)
    marks, core.refusals = Marks(C01=mark(60)), 1
    before = dict(marks.by_channel)
    async with running(slack, core, marks, catch_up=True):
        await core.until_true(lambda: core.refusals == 0)
    assert marks.by_channel == before


async def test_a_live_event_moves_no_watermark(slack: FakeSlack, core: ScriptedCore) -> None:
    marks = Marks(C01=mark(60))
    async with running(slack, core, marks, catch_up=False):
        ts = slack.say(f"<@{BOT}> hello")
        await slack.until(lambda: slack.thread(ts))
    assert not marks.moved.is_set()


async def test_an_outage_is_caught_up_with(slack: FakeSlack, core: ScriptedCore) -> None:
    marks = Marks(C01=mark(60))
    slack.say("first", deliver=False)
    async with running(slack, core, marks, catch_up=True):
        await marks.moved.wait()
        await slack.until(lambda: len(slack.deliveries.sockets) == 2)
        slack.refusing = True
        await slack.deliveries.drop()
        ts = slack.say(f"<@{BOT}> anybody there?", deliver=False)
        slack.refusing = False
        await slack.until(lambda: slack.thread(ts))


async def test_flat_direct_messages_are_caught_up_with(slack: FakeSlack, core: ScriptedCore) -> None:
    slack.say("hello?", channel=DM, deliver=False)
    async with running(slack, core, catch_up=True):
        await slack.until(lambda: slack.team.authored(DM))
    assert core.said()[0].key.thread == "main"


async def test_a_limited_app_reads_at_its_pace(
    slack: FakeSlack, core: ScriptedCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    slack.limited = True
    slack.failures["conversations.history"] = ["429:0.05", "429:0.05"]
    ts = slack.say(f"<@{BOT}> hello", deliver=False)
    async with running(slack, core, Marks(C01=mark(60)), catch_up=True, history="limited"):
        await slack.until(lambda: slack.thread(ts))
    assert all(a.get("limit") in {"15", 15} for m, a in slack.calls if m == "conversations.history")


async def test_one_channel_that_fails_does_not_hold_up_the_others(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    slack.failures["conversations.history"] = ["channel_not_found"]
    slack.say(f"<@{BOT}> hello", deliver=False)
    slack.say("hello", channel=DM, deliver=False)
    async with running(slack, core, catch_up=True):
        await core.until(lambda: core.answered)
    assert len(core.answered) == 1


async def test_every_now_and_then_it_looks_where_something_was_said(
    slack: FakeSlack, core: ScriptedCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catching_up, "EVERY_S", 0.05)
    marks = Marks(C01=mark(60))
    async with running(slack, core, marks, catch_up=True):
        ts = slack.say(f"<@{BOT}> hello")
        await core.until_true(lambda: marks.by_channel[CHANNEL] >= position_of(ts))
        await slack.until(lambda: slack.thread(ts))


# What was said before the bot was called.


async def test_history_of_a_very_long_thread_is_its_end(
    slack: FakeSlack, core: ScriptedCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PAGE, "internal", 15)
    root = slack.say("root", deliver=False, ts=ago(1000))
    posted = [
        slack.say(f"reply {n}", thread_ts=root, deliver=False, ts=ago(999 - n * 0.5)) for n in range(1500)
    ]
    async with running(slack, core) as platform:
        last = slack.say(f"<@{BOT}> sum it up", thread_ts=root)
        await core.until(core.said)
        history = await platform.history(core.said()[0].key, position_of(last), 30)
    assert [m.position for m in history.messages] == [position_of(ts) for ts in posted[-30:]]
    assert not history.whole
    calls = [m for m, _ in slack.calls if m == "conversations.replies"]
    assert len(calls) < 20


async def test_history_over_pages_is_whole_and_without_doubles(slack: FakeSlack, core: ScriptedCore) -> None:
    slack.history_page = 7
    root = slack.say("root", deliver=False)
    for n in range(40):
        slack.say(f"reply {n}", thread_ts=root, deliver=False)
    async with running(slack, core) as platform:
        last = slack.say(f"<@{BOT}> sum it up", thread_ts=root)
        await core.until(core.said)
        key = core.said()[0].key
        whole = await platform.history(key, position_of(last), 50)
        end = await platform.history(key, position_of(last), 10)
    assert [m.text for m in whole.messages] == ["root", *(f"reply {n}" for n in range(40))]
    assert whole.whole
    assert [m.text for m in end.messages] == [f"reply {n}" for n in range(30, 40)]
    assert not end.whole


async def test_history_of_flat_talk_knows_whose_words_are_whose(slack: FakeSlack, core: ScriptedCore) -> None:
    async with running(slack, core) as platform:
        slack.say("one", channel=DM)
        await slack.until(lambda: slack.team.authored(DM))
        last = slack.say("two", channel=DM)
        await slack.until(lambda: len(slack.team.authored(DM)) == 2)
        history = await platform.history(core.said()[0].key, position_of(last), 10)
    told = [(m.author.kind, m.text) for m in history.messages]
    assert told == [(Speaker.PERSON, "one"), (Speaker.BOT, "You said: one")]
    assert history.whole


# Of an app that Slack lets read one page a minute, of 15 messages.


async def reread(platform: SlackPlatform, key: SessionKey, before: int, limit: int = 200) -> History:
    """What one turn after the other is told, until one is told something."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await platform.history(key, before, limit)
            except PlatformUnavailable:
                await asyncio.sleep(0.05)  # Slack alone knows when the minute is over


async def test_a_limited_app_reads_a_thread_of_a_page_whole_and_at_once(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    slack.limited = slack.budgets.on = True
    root = slack.say("root", deliver=False)
    for n in range(13):
        slack.say(f"reply {n}", thread_ts=root, deliver=False)
    async with running(slack, core, history="limited", backfill_s=0) as platform:
        last = slack.say(f"<@{BOT}> sum it up", thread_ts=root)
        await core.until(core.said)
        history = await platform.history(core.said()[0].key, position_of(last), 200)
    assert [m.text for m in history.messages] == ["root", *(f"reply {n}" for n in range(13))]
    assert history.whole


@pytest.mark.parametrize("pace", ["even", "busy at the end", "quiet at the end"])
async def test_a_limited_app_reads_the_end_of_a_longer_one_in_another_minute(
    slack: FakeSlack, core: ScriptedCore, pace: str
) -> None:
    slack.limited = slack.budgets.on = True
    at = {
        "even": lambda n: n,
        "busy at the end": lambda n: 60 - 60 / (n + 1),
        "quiet at the end": lambda n: n / 9,
    }
    root = slack.say("root", deliver=False, ts=ago(61))
    posted = [slack.say(f"{n}", thread_ts=root, deliver=False, ts=ago(60 - at[pace](n))) for n in range(50)]
    async with running(slack, core, history="limited", backfill_s=0) as platform:
        last = slack.say(f"<@{BOT}> sum it up", thread_ts=root)
        await core.until(core.said)
        key, before = core.said()[0].key, position_of(last)
        with pytest.raises(PlatformUnavailable):
            await platform.history(key, before, 200)
        asked_again = before + MINUTE
        history = await reread(platform, key, asked_again)
    assert 1 <= len(history.messages) <= 14
    assert [m.position for m in history.messages] == [
        position_of(ts) for ts in posted[-len(history.messages) :]
    ]
    assert not history.whole


async def test_a_limited_app_that_finds_a_thread_gone_is_told_of_nothing(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    slack.limited = slack.budgets.on = True
    root = slack.say("root", deliver=False)
    for n in range(40):
        slack.say(f"reply {n}", thread_ts=root, deliver=False)
    async with running(slack, core, history="limited", backfill_s=0) as platform:
        last = slack.say(f"<@{BOT}> sum it up", thread_ts=root)
        await core.until(core.said)
        key, before = core.said()[0].key, position_of(last)
        with pytest.raises(PlatformUnavailable):
            await platform.history(key, before, 200)
        slack.team.channels[CHANNEL].messages.clear()
        assert await reread(platform, key, before) == History((), whole=True)


async def test_a_limited_app_reads_the_newest_of_flat_talk(slack: FakeSlack, core: ScriptedCore) -> None:
    slack.limited = slack.budgets.on = True
    posted = [slack.say(f"{n}", channel=DM, deliver=False) for n in range(40)]
    async with running(slack, core, history="limited", backfill_s=0) as platform:
        last = slack.say("and now?", channel=DM)
        await core.until(core.said)
        history = await platform.history(core.said()[0].key, position_of(last), 200)
    assert [m.position for m in history.messages] == [position_of(ts) for ts in posted[-15:]]
    assert not history.whole


async def test_no_more_is_read_than_is_wanted(slack: FakeSlack, core: ScriptedCore) -> None:
    root = slack.say("root", deliver=False)
    async with running(slack, core) as platform:
        last = slack.say(f"<@{BOT}> sum it up", thread_ts=root)
        await core.until(core.said)
        history = await platform.history(core.said()[0].key, position_of(last), 0)
    assert history.messages == ()
    assert not history.whole
