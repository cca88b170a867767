"""Servers that speak Slack's API, but less of it: emulators, proxies, workspaces on small plans."""

from collections.abc import AsyncIterator

import pytest

from adapters.slack.markup import position_of
from adapters.slack.methods import METHODS
from bot.domain import Answer, Part, Said
from bot.errors import PlatformUnavailable
from bot.ports import Reply
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.core import Log, Marks, ScriptedCore, turn_of
from tests.fakes.slack.server import ALICE, BOB, BOT, CHANNEL, DM, TEAM
from tests.fakes.slack.world import Json
from tests.integration.slack_stage import fake_slack, running
from tests.integration.test_slack_catching_up import ago, mark
from tests.integration.test_slack_replies import Growth, agent_thread, read

NEEDED = {"apps.connections.open", "auth.test", "chat.postMessage", "chat.update"}


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with fake_slack() as slack:
        slack.budgets.on = False
        yield slack


@pytest.fixture
def core() -> ScriptedCore:
    return ScriptedCore()


@pytest.mark.parametrize("unknown", ["unknown_method", "not_implemented", "404", "html"])
@pytest.mark.parametrize("channel", [CHANNEL, DM])
async def test_four_methods_are_enough_for_one_whole_answer(
    slack: FakeSlack, core: ScriptedCore, unknown: str, channel: str
) -> None:
    slack.unsupported, slack.unknown = set(METHODS) - NEEDED, unknown
    core.script = Growth(slack, "One", "One, two", channel=channel)
    async with running(slack, core, Marks(), streaming="native", catch_up=True):
        thread = agent_thread(slack) if channel == DM else slack.say("about something", deliver=False)
        slack.say(f"<@{BOT}> count", channel=channel, thread_ts=thread)
        await core.until(lambda: core.answered, timeout=20)
    assert [read(m) for m in slack.thread(thread, channel=channel)] == ["One, two"]
    assert not core.failures


@pytest.mark.parametrize("verb", ["GET", "POST"])
async def test_reading_takes_whichever_verb_the_server_knows(
    slack: FakeSlack, core: ScriptedCore, verb: str
) -> None:
    async with running(slack, core) as platform:
        thread = slack.say("let us go to Norway", user=BOB, deliver=False)
        slack.say(f"<@{BOT}> hello", thread_ts=thread)
        await core.until(lambda: core.answered)
        (said,) = core.said()
        slack.verbs = {verb}
        history = await platform.history(said.key, said.message.position, 10)
    assert [(m.text, m.author.name) for m in history.messages] == [("let us go to Norway", "Bob")]


async def test_what_was_missed_is_found_where_only_all_channels_are_told(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    slack.unsupported = {"users.conversations"}
    ts = slack.say(f"<@{BOT}> anybody there?", deliver=False)
    async with running(slack, core, Marks(), catch_up=True):
        await slack.until(lambda: slack.thread(ts))
    assert {read["channel"] for method, read in slack.calls if method == "conversations.history"} <= {
        CHANNEL,
        DM,
    }


async def test_missed_replies_are_found_though_nothing_tells_when_they_came(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    slack.tells_latest_reply = False
    first = slack.say(f"<@{BOT}> hello", deliver=False, ts=ago(90))
    ts = slack.say("and while you were away?", thread_ts=first, deliver=False)
    async with running(slack, core, Marks(C01=mark(60)), catch_up=True):
        await core.until(core.said)
    assert [said.message.position for said in core.said()] == [position_of(ts)]


async def test_a_list_that_goes_in_circles_is_not_read_for_ever(slack: FakeSlack, core: ScriptedCore) -> None:
    slack.circles, slack.history_page = True, 2
    async with running(slack, core) as platform:
        thread = slack.say("let us go to Norway", user=BOB, deliver=False)
        for number in range(4):
            slack.say(f"or to Sweden, {number}", user=BOB, thread_ts=thread, deliver=False)
        slack.say(f"<@{BOT}> hello", thread_ts=thread)
        await core.until(lambda: core.answered)
        (said,) = core.said()
        with pytest.raises(PlatformUnavailable, match="again and again"):
            await platform.history(said.key, said.message.position, 10)
    asked = [method for method, _ in slack.calls if method == "conversations.replies"]
    assert len(asked) == 2


@pytest.mark.parametrize("digits", [0, 1, 3, 7, 9])
@pytest.mark.parametrize("channel", [CHANNEL, DM])
async def test_a_time_may_be_told_to_any_digit(
    slack: FakeSlack, core: ScriptedCore, channel: str, digits: int
) -> None:
    slack.clock.digits = digits
    core.script = Growth(slack, "One", "One, two", channel=channel, final="One, two, three")
    async with running(slack, core, streaming="native"):
        thread = agent_thread(slack) if channel == DM else slack.say("about something", deliver=False)
        slack.say(f"<@{BOT}> count", channel=channel, thread_ts=thread)
        await core.until(lambda: core.answered, timeout=20)
        slack.say("and again", channel=channel, thread_ts=thread)
        await core.until(lambda: len(core.answered) == 2, timeout=20)
    assert [read(m) for m in slack.thread(thread, channel=channel)] == ["One, two, three"] * 2
    assert {said.key.thread for said in core.said()} == {thread}
    assert not core.failures


@pytest.mark.parametrize("digits", [3, 7])
async def test_what_an_earlier_owner_posted_is_found_by_the_time_as_it_was_told(
    slack: FakeSlack, core: ScriptedCore, digits: int
) -> None:
    slack.clock.digits = digits
    async with running(slack, core) as platform:
        ts = slack.say(f"<@{BOT}> hello")
        await slack.until(lambda: slack.thread(ts))
        part = Part(1, position_of(slack.thread(ts)[0]["ts"]))
        log = Log(turn_of(core.said()[0], parts=(part,), taken_over=True))
        await (await platform.open_reply(log)).finish(Answer("Once more"))
    assert [read(m) for m in slack.thread(ts)] == ["Once more"]


async def test_what_was_deleted_under_an_earlier_owner_stays_deleted(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    async with running(slack, core) as platform:
        ts = slack.say(f"<@{BOT}> hello")
        await slack.until(lambda: slack.thread(ts))
        part = Part(1, position_of(slack.thread(ts)[0]["ts"]))
        slack.delete(slack.thread(ts)[0]["ts"])
        slack.failures["conversations.replies"] = ["thread_not_found"]
        log = Log(turn_of(core.said()[0], parts=(part,), taken_over=True))
        (told,) = await (await platform.open_reply(log)).finish(Answer("Once more"))
    assert told.position is None
    assert slack.thread(ts) == []


@pytest.mark.parametrize("channel", [CHANNEL, DM])
async def test_where_nothing_tells_which_post_it_became_it_is_posted_once(
    slack: FakeSlack, core: ScriptedCore, channel: str
) -> None:
    slack.curt = set(METHODS) - {"auth.test", "apps.connections.open", "chat.startStream"}
    slack.unsupported = {"chat.startStream"}
    core.script = Growth(slack, "One", channel=channel, final="One, two, three")
    async with running(slack, core, streaming="native"):
        thread = agent_thread(slack) if channel == DM else slack.say("about something", deliver=False)
        slack.say(f"<@{BOT}> count", channel=channel, thread_ts=thread)
        await core.until(lambda: core.answered, timeout=20)
    assert not core.failures
    assert len(slack.thread(thread, channel=channel)) == 1
    (*_, (_, shown)) = [call for call in slack.calls if call[0] == "chat.update"]
    assert "One, two, three" in str(shown["blocks"])


async def test_where_no_place_for_a_file_is_told_the_rest_is_posted(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    slack.curt = {"files.getUploadURLExternal", "files.completeUploadExternal"}
    long = "\n\n".join(f"Paragraph {number}: " + "word " * 200 for number in range(100))

    async def at_length(reply: Reply, said: Said) -> Answer:
        return Answer(long)

    core.script = at_length
    async with running(slack, core):
        ts = slack.say(f"<@{BOT}> tell me everything")
        await core.until(lambda: core.answered, timeout=20)
    assert not core.failures
    assert "Paragraph 0:" in read(slack.thread(ts)[0])


async def test_a_stream_that_is_not_told_of_is_a_post_instead(slack: FakeSlack, core: ScriptedCore) -> None:
    slack.curt = {"chat.startStream"}
    core.script = Growth(slack, "One", "One, two", channel=DM)
    async with running(slack, core, streaming="native"):
        thread = agent_thread(slack)
        slack.say("count", channel=DM, thread_ts=thread)
        await core.until(lambda: core.answered, timeout=20)
    assert read(slack.thread(thread, channel=DM)[-1]) == "One, two"


def bare(text: str, ts: str, **more: str) -> Json:
    """An event in the smallest wrapping that was seen: no authorizations, context, ids, bot or gesture."""
    event = {"type": "message", "user": ALICE, "text": text, "ts": ts, "channel": CHANNEL, **more}
    return {"type": "event_callback", "team_id": TEAM, "event": event}


async def test_a_bare_event_is_as_good_as_any(slack: FakeSlack, core: ScriptedCore) -> None:
    async with running(slack, core):
        ts = slack.say(f"<@{BOT}> hello", deliver=False)
        slack.deliveries.send("events_api", bare(f"<@{BOT}> hello", ts))
        await slack.until(lambda: slack.thread(ts))
        more = slack.say("and more", thread_ts=ts, deliver=False)
        slack.deliveries.send("events_api", bare("and more", more, thread_ts=ts))
        await slack.until(lambda: len(slack.thread(ts)) == 2)
    assert [said.key.workspace for said in core.said()] == [TEAM, TEAM]


async def test_its_own_post_without_a_bot_id_is_still_its_own(slack: FakeSlack, core: ScriptedCore) -> None:
    async with running(slack, core):
        ts = slack.say(f"<@{BOT}> hello", deliver=False)
        slack.deliveries.send("events_api", bare(f"<@{BOT}> hello", ts))
        await slack.until(lambda: slack.thread(ts))
        echo = bare("You said: hello", slack.thread(ts)[0]["ts"], thread_ts=ts, user=BOT)
        await slack.deliveries.send("events_api", echo).finished()
        await slack.deliveries.settled()
    assert len(core.said()) == 1


@pytest.mark.parametrize("event", [{}, {"type": "message"}, {"type": "message", "channel": CHANNEL}])
async def test_what_makes_no_sense_is_acknowledged_and_left(
    slack: FakeSlack, core: ScriptedCore, event: Json
) -> None:
    async with running(slack, core):
        odd = {"type": "event_callback", "team_id": TEAM, "event": event}
        delivered = slack.deliveries.send("events_api", odd)
        await delivered.finished()
    assert delivered.acknowledged
    assert core.events == []
