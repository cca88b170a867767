"""A conversation on Slack, over real sockets, with the real slack-bolt and slack-sdk."""

from collections.abc import AsyncIterator

import pytest

from bot.domain import Addressed, Said
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.core import ScriptedCore
from tests.fakes.slack.server import ALICE, BOB, BOT, CHANNEL, DM
from tests.integration.slack_stage import fake_slack, running


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with fake_slack() as slack:
        yield slack


@pytest.fixture
def core() -> ScriptedCore:
    return ScriptedCore()


async def test_a_mention_is_answered_once_in_its_thread(slack: FakeSlack, core: ScriptedCore) -> None:
    async with running(slack, core):
        ts = slack.say(f"<@{BOT}> what is up?")
        await slack.until(lambda: slack.thread(ts))
        await slack.deliveries.settled()
    assert [post["text"] for post in slack.thread(ts)] == ["You said: what is up?"]
    assert core.failures == []


async def test_the_twins_of_a_mention_are_one_message(slack: FakeSlack, core: ScriptedCore) -> None:
    async with running(slack, core):
        slack.say(f"<@{BOT}> hello")
        await core.until(lambda: core.answered)
        await slack.deliveries.settled()
    (said,) = core.said()
    assert said.addressed is Addressed.MENTION
    assert said.opens_thread
    assert said.message.author.name == "Alice"
    assert all(delivered.acknowledged for delivered in slack.deliveries.log)


async def test_a_twin_is_not_acknowledged_for_one_that_was_not_kept(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    slack.deliveries.redeliver_after = ()
    slack.deliveries.ack_s = 0.5
    core.slow_s, core.refusals = 0.1, 1
    async with running(slack, core):
        slack.say(f"<@{BOT}> hello")
        await slack.deliveries.settled()
        await core.until(lambda: core.answered)
    first, second, *_ = slack.deliveries.log
    assert first.acknowledged != second.acknowledged


async def test_a_redelivery_of_what_was_only_kept_is_asked_again(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    async with running(slack, core):
        ts = slack.say(f"<@{BOT}> hello")
        await core.until(lambda: core.answered)
        slack.announce(slack.team.channels[CHANNEL].messages[ts])
        said = slack.say(f"<@{BOB}> look", thread_ts=ts)
        await core.until(lambda: len(core.said()) == 2)
        slack.announce(slack.team.channels[CHANNEL].messages[said])
        await core.until(lambda: len(core.said()) == 3)
    assert [s.addressed for s in core.said()] == [Addressed.MENTION, Addressed.ASIDE, Addressed.ASIDE]


async def test_replies_in_a_thread_need_no_mention(slack: FakeSlack, core: ScriptedCore) -> None:
    async with running(slack, core):
        ts = slack.say(f"<@{BOT}> hello")
        await slack.until(lambda: len(slack.thread(ts)) == 1)
        slack.say("and now?", thread_ts=ts, user=BOB)
        await slack.until(lambda: len(slack.thread(ts)) == 2)
    assert slack.thread(ts)[1]["text"] == "You said: and now?"


async def test_a_direct_message_is_answered_flat(slack: FakeSlack, core: ScriptedCore) -> None:
    async with running(slack, core):
        slack.say("hi", channel=DM)
        await slack.until(lambda: slack.team.authored(DM))
    (answer,) = slack.team.authored(DM)
    assert "thread_ts" not in answer
    assert core.said()[0].key.thread == "main"


async def test_what_people_say_to_each_other_is_kept_as_an_aside(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    async with running(slack, core):
        ts = slack.say(f"<@{BOT}> hello")
        await slack.until(lambda: len(slack.thread(ts)) == 1)
        slack.say(f"<@{BOB}> what do you think?", thread_ts=ts, user=ALICE)
        await core.until(lambda: any(said.addressed is Addressed.ASIDE for said in core.said()))
        await slack.deliveries.settled()
    assert len(slack.thread(ts)) == 1
    assert core.said()[-1].message.text == "@Bob what do you think?"


async def test_talk_in_a_channel_is_not_our_business(slack: FakeSlack, core: ScriptedCore) -> None:
    async with running(slack, core):
        slack.say("lunch?")
        await slack.deliveries.settled()
    assert core.events == []
    assert all(delivered.acknowledged for delivered in slack.deliveries.log)


async def test_an_event_is_not_acknowledged_before_it_is_kept(slack: FakeSlack, core: ScriptedCore) -> None:
    slack.deliveries.redeliver_after = (0.0,)
    core.down = True
    async with running(slack, core):
        slack.say(f"<@{BOT}> hello")
        slack.deliveries.ack_s = 0.2
        await slack.deliveries.settled()
        assert not any(delivered.acknowledged for delivered in slack.deliveries.log)
        assert [delivered.attempts for delivered in slack.deliveries.log] == [2, 2]


async def test_a_redelivery_after_the_archive_was_away_is_answered(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    slack.deliveries.ack_s = 0.2
    core.refusals = 2
    async with running(slack, core):
        ts = slack.say(f"<@{BOT}> hello")
        await slack.until(lambda: slack.thread(ts))
        await slack.deliveries.settled()
    assert len(slack.thread(ts)) == 1
    assert isinstance(core.events[0], Said)
    assert core.said()[0].key.channel == CHANNEL
