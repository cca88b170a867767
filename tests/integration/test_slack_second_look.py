"""What was edited and deleted while nobody listened is learned when Slack is read again."""

import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.slack import catching_up, client
from adapters.slack.markup import position_of
from adapters.slack.stretches import SETTLED_S
from bot.domain import Reread
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.core import Marks, ScriptedCore
from tests.fakes.slack.server import BOB, BOT, CHANNEL, DM
from tests.integration.slack_stage import fake_slack, running
from tests.integration.test_slack_catching_up import ago, mark


@pytest.fixture
async def slack(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeSlack]:
    monkeypatch.setattr(catching_up, "SECOND_LOOKS_EVERY_S", 0.0)
    async with fake_slack(scale=0.01) as slack:
        slack.budgets.on = False
        yield slack


def thread_of(slack: FakeSlack, *minutes: float, channel: str = CHANNEL) -> tuple[str, list[str]]:
    """A thread that began two hours ago, with replies some minutes ago."""
    first = slack.say(f"<@{BOT}> hello", deliver=False, ts=ago(120), channel=channel)
    where: dict[str, Any] = {"thread_ts": first, "deliver": False, "user": BOB, "channel": channel}
    return first, [slack.say(f"{n} minutes ago", ts=ago(n), **where) for n in minutes]


async def reread(slack: FakeSlack, thread: str, *, known: bool = False) -> dict[str, Reread]:
    """What a bot that was away for an hour is told of threads, once it is told of this one."""
    core, marks = ScriptedCore(), Marks(C01=mark(60), D01=mark(60))
    marks.known = [thread] if known else []

    def told() -> dict[str, Reread]:
        return {event.key.thread: event for event in core.events if isinstance(event, Reread)}

    async with running(slack, core, marks, catch_up=True):
        await core.until(lambda: thread in told())
    return told()


async def test_a_reply_that_was_deleted_is_missing_where_something_new_was_said(slack: FakeSlack) -> None:
    first, (kept, gone, new) = thread_of(slack, 90, 80, 30)
    slack.delete(gone, deliver=False)
    told = (await reread(slack, first))[first]
    assert told.there == {position_of(ts) for ts in (first, kept, new)}
    assert told.after < position_of(gone) < told.upto


async def test_a_thread_without_news_is_read_again_after_an_outage(slack: FakeSlack) -> None:
    first, (kept, gone) = thread_of(slack, 90, 80)
    slack.delete(gone, deliver=False)
    told = (await reread(slack, first, known=True))[first]
    assert told.there == {position_of(first), position_of(kept)}
    assert told.after < position_of(gone) < told.upto


async def test_what_is_missed_in_another_outage_does_not_wait_for_second_looks(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catching_up, "SECOND_LOOKS_EVERY_S", 3600.0)
    first, _ = thread_of(slack, 90, 80)
    core, marks = ScriptedCore(), Marks(C01=mark(60))
    marks.known = [first]
    async with running(slack, core, marks, catch_up=True):
        slack.say(f"<@{BOT}> one", deliver=False)
        await slack.deliveries.drop()
        await core.until(lambda: len(core.answered) == 1)
        ts = slack.say(f"<@{BOT}> two", deliver=False)
        await slack.deliveries.drop()
        await slack.until(lambda: slack.thread(ts))


async def test_an_edit_of_an_earlier_reply_is_told_as_it_reads_now(slack: FakeSlack) -> None:
    first, (said, _) = thread_of(slack, 90, 30)
    slack.edit(said, "better words", deliver=False)
    (message,) = (await reread(slack, first))[first].edited
    assert (message.position, message.text) == (position_of(said), "better words")


async def test_flat_direct_messages_are_compared_too(slack: FakeSlack) -> None:
    kept, gone = (slack.say(f"{n}", deliver=False, ts=ago(n), channel=DM) for n in (90, 80))
    slack.delete(gone, channel=DM, deliver=False)
    told = (await reread(slack, "main"))["main"]
    assert told.there == {position_of(kept)}
    assert told.after < position_of(gone) < told.upto


async def test_of_a_first_message_that_was_deleted_only_the_tombstone_is_there(slack: FakeSlack) -> None:
    first, (reply,) = thread_of(slack, 90)
    slack.delete(first, deliver=False)
    assert (await reread(slack, first, known=True))[first].there == {position_of(reply)}


async def test_of_a_thread_that_was_deleted_whole_nothing_is_there(slack: FakeSlack) -> None:
    first, _ = thread_of(slack)
    slack.delete(first, deliver=False)
    told = (await reread(slack, first, known=True))[first]
    assert told.there == frozenset()
    assert told.after < position_of(first) < told.upto


async def test_what_is_young_is_not_judged(slack: FakeSlack) -> None:
    first, _ = thread_of(slack, 0.1)
    assert (await reread(slack, first))[first].upto < position_of(ago(SETTLED_S / 60 - 0.2))


async def test_a_clock_of_ours_that_is_ahead_judges_nothing_young(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = SimpleNamespace(time=lambda: time.time() + 600.0, monotonic=time.monotonic)
    monkeypatch.setattr(client, "time", ahead)
    first, _ = thread_of(slack, 0.1)
    assert (await reread(slack, first))[first].upto < position_of(ago(SETTLED_S / 60 - 0.2))


@pytest.mark.parametrize("trouble", ["not all shown", "hidden by the plan", "first message missing", "error"])
async def test_what_was_not_read_whole_is_not_judged(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    first, _ = thread_of(slack, 90, 30)
    slack.say("read after it", deliver=False, ts=ago(80), channel=DM)
    answer = slack.api.answer_replies

    async def troubled(*given: Any) -> dict[str, Any]:
        page = await answer(*given)
        if trouble == "not all shown":
            return page | {"has_more": True, "response_metadata": {}}
        if trouble == "hidden by the plan":
            return page | {"is_limited": True}
        return page | {"messages": [m for m in page["messages"] if m["ts"] != first]}

    if trouble == "error":
        slack.failures["conversations.replies"] = ["fatal_error"] * 9
    else:
        monkeypatch.setattr(slack.api, "answer_replies", troubled)
    assert set(await reread(slack, "main")) == {"main"}
