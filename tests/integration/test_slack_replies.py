"""How answers grow on Slack, and what becomes of them when Slack does not play along."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters import reply
from adapters.slack import streams
from adapters.slack.markup import position_of
from bot.domain import Answer, Outcome, Part, Said
from bot.ports import Reply
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.api import STATUS_LIFE_S
from tests.fakes.slack.core import Log, ScriptedCore, turn_of
from tests.fakes.slack.server import ALICE, BOT, CHANNEL, DM
from tests.fakes.slack.world import Json
from tests.integration.slack_stage import fake_slack, running
from tests.integration.test_slack_catching_up import ago


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with fake_slack() as slack:
        slack.budgets.on = False
        yield slack


@pytest.fixture
def core() -> ScriptedCore:
    return ScriptedCore()


def read(message: Json) -> str:
    """What a person reads of a post of the bot."""
    return message["text"] + "".join(
        b["text"] for b in message["blocks"] if b["type"] == "markdown" and not message["text"]
    )


def buttons(message: Json) -> list[str]:
    return [e["action_id"] for b in message["blocks"] if b["type"] == "actions" for e in b["elements"]]


def methods(slack: FakeSlack) -> list[str]:
    return [method for method, _ in slack.calls if method.startswith("chat.")]


def agent_thread(slack: FakeSlack) -> str:
    """A thread in Alice's direct messages."""
    return slack.say("New chat", channel=DM, deliver=False, subtype="assistant_app_thread")


class Growth:
    """A script that shows texts one by one, each once the one before can be seen."""

    def __init__(self, slack: FakeSlack, *texts: str, channel: str = CHANNEL, final: str = "") -> None:
        self.slack = slack
        self.texts = texts
        self.channel = channel
        self.final = final or texts[-1]
        self.go_on = asyncio.Event()
        """Waited for after the first text."""
        self.go_on.set()
        self.shown = 0

    async def __call__(self, reply: Reply, said: Said) -> Answer:
        for text in self.texts:
            await reply.show(text)
            await self.slack.until(
                lambda text=text: any(read(m) == text for m in self.slack.team.authored(self.channel))
            )
            self.shown += 1
            await self.slack.stirred()
            await self.go_on.wait()
        return Answer(self.final)


async def test_an_answer_that_is_whole_at_once_is_one_call(slack: FakeSlack, core: ScriptedCore) -> None:
    async with running(slack, core):
        ts = slack.say(f"<@{BOT}> hello")
        await slack.until(lambda: slack.thread(ts))
    assert methods(slack) == ["chat.postMessage"]
    assert buttons(slack.thread(ts)[0]) == ["threadfly_good", "threadfly_bad"]
    assert slack.thread(ts)[0]["metadata"]["event_type"] == "threadfly_part"


async def test_in_a_channel_it_grows_by_edits_with_a_stop_button(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    core.script = growth = Growth(slack, "One", "One, two", final="One, two, three")
    async with running(slack, core):
        ts = slack.say(f"<@{BOT}> count")
        await slack.until(lambda: growth.shown == 1)
        assert buttons(slack.thread(ts)[0]) == ["threadfly_stop"]
        await slack.until(lambda: [read(m) for m in slack.thread(ts)] == ["One, two, three"])
    assert set(methods(slack)) == {"chat.postMessage", "chat.update"}
    assert buttons(slack.thread(ts)[0]) == ["threadfly_good", "threadfly_bad"]


async def test_in_the_agent_view_it_grows_as_a_stream(slack: FakeSlack, core: ScriptedCore) -> None:
    core.script = Growth(slack, "One", "One, two", channel=DM, final="One, two, three")
    async with running(slack, core):
        root = agent_thread(slack)
        slack.say("count", channel=DM, thread_ts=root)
        await slack.until(lambda: [read(m) for m in slack.thread(root, channel=DM)] == ["One, two, three"])
    assert methods(slack) == ["chat.startStream", "chat.appendStream", "chat.stopStream"]
    (post,) = slack.thread(root, channel=DM)
    assert buttons(post) == ["threadfly_good", "threadfly_bad"]
    assert post["metadata"]["event_payload"]["part"] == 1


async def test_a_stream_in_a_channel_names_its_reader(slack: FakeSlack, core: ScriptedCore) -> None:
    core.script = Growth(slack, "One", final="One, two")
    async with running(slack, core, streaming="native"):
        ts = slack.say(f"<@{BOT}> count")
        await slack.until(lambda: [read(m) for m in slack.thread(ts)] == ["One, two"])
    started = next(arguments for method, arguments in slack.calls if method == "chat.startStream")
    assert (started["recipient_user_id"], started["recipient_team_id"]) == (ALICE, "T01")


async def test_with_streaming_off_nothing_is_shown_before_the_end(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    async def script(reply: Reply, said: Said) -> Answer:
        await reply.show("One")
        await reply.show("One, two")
        return Answer("One, two, three")

    core.script = script
    async with running(slack, core, streaming="off"):
        ts = slack.say(f"<@{BOT}> count")
        await slack.until(lambda: slack.thread(ts))
    assert methods(slack) == ["chat.postMessage"]


@pytest.mark.parametrize("unknown", ["chat.startStream", "assistant.threads.setStatus"])
async def test_a_slack_without_streams_or_status_gets_edits(
    slack: FakeSlack, core: ScriptedCore, unknown: str
) -> None:
    slack.unsupported = {unknown}
    core.script = Growth(slack, "One", "One, two", channel=DM)
    async with running(slack, core):
        root = agent_thread(slack)
        slack.say("count", channel=DM, thread_ts=root)
        await slack.until(lambda: [read(m) for m in slack.thread(root, channel=DM)] == ["One, two"])
        slack.say("again", channel=DM, thread_ts=root)
        await slack.until(lambda: len(slack.thread(root, channel=DM)) == 2)
    assert [method for method, _ in slack.calls].count("chat.startStream") <= 2


async def test_a_stream_that_died_ends_with_the_whole_text_once(slack: FakeSlack, core: ScriptedCore) -> None:
    core.script = growth = Growth(slack, "One", "One, two", channel=DM, final="One, two, three")
    growth.go_on.clear()
    async with running(slack, core):
        root = agent_thread(slack)
        slack.say("count", channel=DM, thread_ts=root)
        await slack.until(lambda: growth.shown == 1)
        for stream in slack.team.streams.values():
            stream.alive = False
        growth.go_on.set()
        await slack.until(lambda: [read(m) for m in slack.thread(root, channel=DM)] == ["One, two, three"])
    assert core.failures == []


async def test_a_stream_is_left_before_slack_ends_it(
    slack: FakeSlack, core: ScriptedCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "LIFE_S", 0.0)
    core.script = Growth(slack, "One", "One, two", channel=DM)
    async with running(slack, core):
        root = agent_thread(slack)
        slack.say("count", channel=DM, thread_ts=root)
        await slack.until(lambda: "chat.update" in methods(slack))
        await slack.until(lambda: [read(m) for m in slack.thread(root, channel=DM)] == ["One, two"])
    assert methods(slack)[:3] == ["chat.startStream", "chat.stopStream", "chat.update"]


async def test_a_text_that_begins_anew_replaces_what_was_streamed(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    core.script = Growth(slack, "A wrong start", "Another", channel=DM, final="Another text")
    async with running(slack, core):
        root = agent_thread(slack)
        slack.say("count", channel=DM, thread_ts=root)
        await slack.until(lambda: [read(m) for m in slack.thread(root, channel=DM)] == ["Another text"])


async def test_code_that_is_still_open_streams_on(slack: FakeSlack, core: ScriptedCore) -> None:
    whole = "Look:\n\n```py\nprint(1)\nprint(2)\n```\nDone."

    async def script(reply: Reply, said: Said) -> Answer:
        for end in range(8, len(whole), 4):
            await reply.show(whole[:end])
            await asyncio.sleep(0)
        await slack.until(lambda: slack.team.authored(DM))
        return Answer(whole)

    core.script = script
    async with running(slack, core):
        root = agent_thread(slack)
        slack.say("code", channel=DM, thread_ts=root)
        await slack.until(lambda: [read(m) for m in slack.thread(root, channel=DM)] == [whole])
    assert "chat.update" not in methods(slack)


async def test_a_broken_append_does_not_double_the_text(slack: FakeSlack, core: ScriptedCore) -> None:
    slack.failures["chat.appendStream"] = ["cut"]
    core.script = Growth(slack, "One", "One, two", channel=DM, final="One, two, three")
    async with running(slack, core):
        root = agent_thread(slack)
        slack.say("count", channel=DM, thread_ts=root)
        await slack.until(lambda: [read(m) for m in slack.thread(root, channel=DM)] == ["One, two, three"])


async def test_blocks_that_slack_refuses_are_left_out(slack: FakeSlack, core: ScriptedCore) -> None:
    slack.failures["chat.postMessage"] = ["invalid_blocks"]
    async with running(slack, core):
        ts = slack.say(f"<@{BOT}> hello")
        await slack.until(lambda: slack.thread(ts))
    assert read(slack.thread(ts)[0]) == "You said: hello"


async def test_a_half_streamed_reply_is_finished_in_place_by_another_owner(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    never = asyncio.Event()

    async def dies(reply: Reply, said: Said) -> Answer:
        await reply.show("Half of")
        await never.wait()
        return Answer("")

    core.script = dies
    async with running(slack, core) as platform:
        root = agent_thread(slack)
        slack.say("count", channel=DM, thread_ts=root)
        await slack.until(lambda: slack.thread(root, channel=DM))
        (half,) = slack.thread(root, channel=DM)
        log = Log(turn_of(core.said()[0], parts=(Part(1),), taken_over=True))
        reply = await platform.open_reply(log)
        (part,) = await reply.finish(Answer("A whole answer"))
    assert part.position == position_of(half["ts"])
    assert [read(m) for m in slack.thread(root, channel=DM)] == ["A whole answer"]
    assert not any(stream.alive for stream in slack.team.streams.values())


async def test_the_greeting_and_other_turns_are_not_taken_for_ours(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    async with running(slack, core) as platform:
        ts = slack.say(f"<@{BOT}> one")
        await slack.until(lambda: slack.thread(ts))
        first = core.said()[0]
        slack.say("two", thread_ts=ts)
        await slack.until(lambda: len(slack.thread(ts)) == 2)
        log = Log(turn_of(first, parts=(Part(1),), taken_over=True))
        (part,) = await (await platform.open_reply(log)).finish(Answer("One again"))
    assert part.position == position_of(slack.thread(ts)[0]["ts"])
    assert [read(m) for m in slack.thread(ts)] == ["One again", "You said: two"]


async def test_flat_direct_messages_are_taken_over_too(slack: FakeSlack, core: ScriptedCore) -> None:
    async with running(slack, core) as platform:
        slack.say("one", channel=DM)
        await slack.until(lambda: slack.team.authored(DM))
        log = Log(turn_of(core.said()[0], parts=(Part(1),), taken_over=True))
        await (await platform.open_reply(log)).finish(Answer("One again"))
    assert [read(m) for m in slack.team.authored(DM)] == ["One again"]


async def test_a_failure_offers_to_try_again(slack: FakeSlack, core: ScriptedCore) -> None:
    async def fails(reply: Reply, said: Said) -> Answer:
        return Answer("I could not reach the model.", Outcome.FAILED)

    core.script = fails
    async with running(slack, core):
        ts = slack.say(f"<@{BOT}> hello")
        await slack.until(lambda: slack.thread(ts))
    assert buttons(slack.thread(ts)[0]) == ["threadfly_again"]


async def test_a_channel_where_we_are_not_is_a_sentence(slack: FakeSlack, core: ScriptedCore) -> None:
    async with running(slack, core):
        slack.team.channels[CHANNEL].members.discard(BOT)
        slack.say(f"<@{BOT}> hello")
        await core.until(lambda: core.failures)
    assert "Invite me" in str(core.failures[0])


async def test_ephemerals_fall_back_to_direct_messages(slack: FakeSlack, core: ScriptedCore) -> None:
    async with running(slack, core) as platform:
        slack.say(f"<@{BOT}> hello")
        await core.until(lambda: core.answered)
        said = core.said()[0]
        await platform.tell(said.key, said.message.author, "Between us")
        slack.failures["chat.postEphemeral"] = ["user_not_in_channel"]
        await platform.tell(said.key, said.message.author, "Between us two")
    assert [e["text"] for e in slack.team.ephemerals] == ["Between us"]
    assert [read(m) for m in slack.team.authored(DM)] == ["Between us two"]


# Stopping a native stream.


async def test_while_a_stream_grows_slack_shows_its_stop_button(slack: FakeSlack, core: ScriptedCore) -> None:
    core.script = growth = Growth(slack, "One", "One, two", channel=DM)
    growth.go_on.clear()
    async with running(slack, core):
        root = agent_thread(slack)
        slack.say("count", channel=DM, thread_ts=root)
        await slack.until(lambda: slack.team.sessions.get((DM, root)) == "processing")
        growth.go_on.set()
        await slack.until(lambda: slack.team.sessions[DM, root] == "active")
    assert [read(m) for m in slack.thread(root, channel=DM)] == ["One, two"]


async def test_slacks_stop_button_stops_the_thread_it_is_in(slack: FakeSlack, core: ScriptedCore) -> None:
    core.script = growth = Growth(slack, "One", "One, two", channel=DM)
    growth.go_on.clear()
    async with running(slack, core):
        root = agent_thread(slack)
        slack.say("count", channel=DM, thread_ts=root)
        await slack.until(lambda: slack.team.sessions.get((DM, root)) == "processing")
        await slack.until(lambda: slack.thread(root, channel=DM))
        assert await slack.press_slacks_stop(root).finished() is not None
        await core.until_true(lambda: core.orders)
        await slack.until(lambda: slack.team.sessions[DM, root] == "active")
        growth.go_on.set()
        await slack.until(lambda: [read(m) for m in slack.thread(root, channel=DM)] == ["One, two"])
    (order,) = core.orders
    assert (order.words, order.key.thread, order.by.id) == ("stop", root, ALICE)


async def test_a_stop_that_comes_late_stops_nothing_else(slack: FakeSlack, core: ScriptedCore) -> None:
    async with running(slack, core):
        root = agent_thread(slack)
        event = {"type": "agent_session_stopped", "channel": DM, "thread_ts": root, "user": ALICE}
        late = slack.event(event | {"event_ts": ago(1), "streaming_message_ts": []})
        assert await late.finished() is not None
    assert core.orders == []


async def test_an_answer_that_never_streamed_leaves_no_stop_button(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    async def slow(reply: Reply, said: Said) -> Answer:
        await slack.until(lambda: "processing" in slack.team.sessions.values())
        return Answer("Whole")

    core.script = slow
    async with running(slack, core):
        root = agent_thread(slack)
        slack.say("think", channel=DM, thread_ts=root)
        await slack.until(lambda: slack.thread(root, channel=DM))
    assert slack.team.sessions == {(DM, root): "active"}


@pytest.mark.parametrize("place", [CHANNEL, DM])
async def test_the_status_of_an_answer_that_takes_long_is_set_again_before_slack_clears_it(
    slack: FakeSlack, core: ScriptedCore, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Slack clears it after two minutes, which are two seconds here; it is set again every eight."""
    slack.clock.scale = 1 / 60
    monkeypatch.setattr(reply, "WORKING_EVERY_S", reply.WORKING_EVERY_S * slack.clock.scale)
    slack.unsupported = {"agents.sessions.setStatus"}
    shown: list[str] = []

    async def slow(reply: Reply, said: Said) -> Answer:
        thread = said.key.thread
        began = await slack.until(lambda: slack.team.statuses and slack.clock.now())
        await slack.until(lambda: slack.clock.now() - began > STATUS_LIFE_S)
        shown.append(slack.status(thread, channel=place))
        return Answer("Whole")

    core.script = slow
    async with running(slack, core):
        root = agent_thread(slack) if place == DM else None
        ts = slack.say(f"<@{BOT}> think", channel=place, thread_ts=root)
        await slack.until(lambda: slack.thread(root or ts, channel=place))
    assert "thinking" in shown[0]
    assert slack.team.lapsed == []
    assert slack.status(root or ts, channel=place) == ""


async def test_where_slack_has_no_sessions_the_status_says_how_to_stop(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    slack.unsupported = {"agents.sessions.setStatus"}

    async def slow(reply: Reply, said: Said) -> Answer:
        await slack.until(lambda: slack.team.statuses)
        return Answer("Whole")

    core.script = slow
    async with running(slack, core):
        root = agent_thread(slack)
        slack.say("think", channel=DM, thread_ts=root)
        await slack.until(lambda: slack.thread(root, channel=DM))
    assert "stop" in slack.team.statuses[0]["status"]
