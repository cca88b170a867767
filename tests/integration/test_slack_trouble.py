"""What Slack refuses, limits, revokes and forgets, and what becomes of answers then."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace

import pytest

from adapters.slack import content
from adapters.slack.errors import FIXED, retry_after
from adapters.slack.markup import defused, position_of
from bot.domain import Answer, Author, Order, Part, Said
from bot.errors import ArchiveUnavailable, PlatformForbidden
from bot.ports import Reply
from bot.taking import PREFIX
from bot.words import SOMETHING_BROKE
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.core import Log, Marks, ScriptedCore, turn_of
from tests.fakes.slack.rules import LITERAL_PING, PING, check_content
from tests.fakes.slack.server import ALICE, BOB, BOT, CHANNEL, DM
from tests.fakes.slack.world import Channel
from tests.integration.slack_stage import fake_slack, running
from tests.integration.test_slack_replies import Growth, buttons, methods, read

PINGING = "<!channel> <!here|here> <!everyone> <!subteam^S1> <@U0ALICE> <@W1|x> @here @channel @Everyone"


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with fake_slack() as slack:
        slack.budgets.on = False
        yield slack


@pytest.fixture
def core() -> ScriptedCore:
    return ScriptedCore()


async def heard(slack: FakeSlack, core: ScriptedCore, text: str = "hello") -> Said:
    """A mention that was answered."""
    ts = slack.say(f"<@{BOT}> {text}")
    await slack.until(lambda: slack.thread(ts))
    await core.until(lambda: any(key.thread == ts for key, _ in core.answered))
    return next(said for said in core.said() if said.key.thread == ts)


# What Slack refuses.


@pytest.mark.parametrize(
    "code", ["not_in_channel", "channel_not_found", "is_archived", "restricted_action", "token_revoked"]
)
async def test_where_it_may_not_post_the_turn_ends(slack: FakeSlack, core: ScriptedCore, code: str) -> None:
    slack.failures["chat.postMessage"] = [code]
    async with running(slack, core):
        slack.say(f"<@{BOT}> hello")
        await core.until(lambda: core.failures)
        assert isinstance(core.failures[0], PlatformForbidden)
        ts = slack.say(f"<@{BOT}> and now?")
        await slack.until(lambda: slack.thread(ts))


async def test_a_revoked_token_is_no_readiness(slack: FakeSlack, core: ScriptedCore) -> None:
    async with running(slack, core) as platform:
        slack.failures["chat.postMessage"] = ["token_revoked"]
        slack.say(f"<@{BOT}> hello")
        await core.until(lambda: core.failures)
        assert "SLACK_BOT_TOKEN" in platform.ailing()
        await heard(slack, core, "and now?")
        assert platform.ailing() == ""


async def test_one_reader_whom_slack_refuses_costs_nobody_else_the_streams(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    slack.failures["chat.startStream"] = ["user_not_found"]
    core.script = Growth(slack, "One", "One, two")
    async with running(slack, core, streaming="native"):
        for _ in range(2):
            said = await heard(slack, core, "count")
            assert [read(m) for m in slack.thread(said.key.thread)] == ["One, two"]
            slack.team.channels[CHANNEL].messages.clear()
    assert [method for method in methods(slack) if method == "chat.startStream"] == ["chat.startStream"] * 2
    assert "chat.stopStream" in methods(slack)


async def test_a_post_that_can_not_be_deleted_says_nothing_twice(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    async with running(slack, core) as platform:
        said = await heard(slack, core)
        first = slack.thread(said.key.thread)[0]
        second = slack.say("what an earlier owner posted", user=BOT, thread_ts=said.key.thread, deliver=False)
        parts = (Part(1, position_of(first["ts"])), Part(2, position_of(second)))
        slack.failures["chat.delete"] = ["compliance_exports_prevent_deletion"]
        reply = await platform.open_reply(Log(turn_of(said, parts=parts, taken_over=True)))
        assert [part.number for part in await reply.finish(Answer("Short."))] == [1]
    assert [read(m) for m in slack.thread(said.key.thread)] == ["Short.", "…"]


@pytest.mark.parametrize("code", sorted(FIXED))
async def test_where_no_post_may_be_edited_the_whole_answer_is_posted_anew(
    slack: FakeSlack, core: ScriptedCore, code: str
) -> None:
    async def grow(reply: Reply, said: Said) -> Answer:
        await reply.show("It was")
        await slack.until(lambda: slack.thread(said.key.thread))
        return Answer("It was the best of times.")

    core.script = grow
    async with running(slack, core, streaming="edit"):
        slack.failures["chat.update"] = [code] * 9
        said = await heard(slack, core, "begin")
    (post,) = slack.thread(said.key.thread)
    assert read(post) == "It was the best of times."
    assert [part.position for part in next(iter(core.answered.values()))] == [position_of(post["ts"])]


# What Slack limits.


async def test_a_channel_that_is_full_holds_no_other_one_up(slack: FakeSlack, core: ScriptedCore) -> None:
    slack.add_channel(slack.team, Channel("C05", "quiet", "channel", {ALICE, BOT}))
    async with running(slack, core):
        slack.failures["chat.postMessage"] = ["429:30"]
        full = slack.say(f"<@{BOT}> hello")
        await core.until_true(lambda: not slack.failures["chat.postMessage"])
        quiet = slack.say(f"<@{BOT}> hello", channel="C05")
        await slack.until(lambda: slack.thread(quiet, channel="C05"))
        assert slack.thread(full) == []


async def test_who_is_told_something_is_told_once_slack_allows_it(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    async with running(slack, core) as platform:
        said = await heard(slack, core)
        slack.failures["chat.postEphemeral"] = ["429:0.05", "500"]
        await platform.tell(said.key, said.message.author, "Between us")
    assert [told["text"] for told in slack.team.ephemerals] == ["Between us"]


async def test_what_is_for_one_person_alone_is_never_told_to_all(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    async with running(slack, core) as platform:
        said = await heard(slack, core)
        slack.failures["chat.postEphemeral"] = ["user_not_in_channel"]
        slack.failures["chat.postMessage"] = ["messages_tab_disabled"]
        await platform.tell(said.key, said.message.author, "Between us")
    assert [read(m) for m in slack.team.authored(CHANNEL)] == ["You said: hello"]


async def test_what_is_told_alone_fits_into_one_post(slack: FakeSlack, core: ScriptedCore) -> None:
    core.order_answer = "word " * 10_000
    async with running(slack, core) as platform:
        said = await heard(slack, core)
        await platform.tell(said.key, said.message.author, core.order_answer)
        delivered = slack.command("recall word", channel=DM)
        await delivered.finished()
    assert delivered.response is not None
    for told in (slack.team.ephemerals[0], delivered.response):
        check_content("chat.postEphemeral", told)
        assert told["blocks"][0]["text"].endswith("…")


async def test_a_told_aside_is_not_taken_for_a_part_of_a_reply(slack: FakeSlack, core: ScriptedCore) -> None:
    async with running(slack, core) as platform:
        slack.say("hello", channel=DM)
        await core.until(lambda: core.answered)
        (said,) = core.said()
        slack.team.channels[DM].messages.popitem()
        slack.failures["chat.postEphemeral"] = ["user_not_in_channel"]
        await platform.tell(said.key, said.message.author, "Not so fast")
        await (await platform.open_reply(Log(turn_of(said, taken_over=True)))).finish(Answer("An answer"))
    assert [read(m) for m in slack.team.authored(DM)] == ["Not so fast", "An answer"]


async def test_an_exported_file_is_not_taken_for_a_part_of_a_reply(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    async with running(slack, core) as platform:
        slack.say("hello", channel=DM)
        await core.until(lambda: core.answered)
        (said,) = core.said()
        slack.team.channels[DM].messages.popitem()
        client = (await platform._workspaces.get(said.key.workspace)).client
        await platform._files.send(client, f"{PREFIX}-tea.md", b"# Tea", DM, "Here is Tea")
        await (await platform.open_reply(Log(turn_of(said, taken_over=True)))).finish(Answer("An answer"))
    assert [read(m) for m in slack.team.authored(DM)][-1] == "An answer"
    assert len(slack.team.authored(DM)) == 2


async def test_who_opened_a_thread_without_replies_is_told_beside_it(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    async with running(slack, core) as platform:
        slack.failures["chat.postMessage"] = ["restricted_action"]
        ts = slack.say(f"<@{BOT}> hello")
        await core.until(lambda: core.failures)
        (said,) = core.said()
        await platform.tell(said.key, said.message.author, "Not so fast")
        slack.say("I see", thread_ts=ts, user=BOB)
        await platform.tell(said.key, said.message.author, "Slower")
    assert [(e["text"], e.get("thread_ts")) for e in slack.team.ephemerals] == [
        ("Not so fast", None),
        ("Slower", ts),
    ]


async def test_a_command_that_breaks_unforeseen_is_answered(slack: FakeSlack, core: ScriptedCore) -> None:
    async def broken(order: Order) -> str:
        raise KeyError(order.words)

    core.desk = broken  # type: ignore[method-assign]
    async with running(slack, core):
        delivered = slack.command("pause", channel=DM)
        await delivered.finished()
    assert delivered.response is not None
    assert delivered.response["text"] == SOMETHING_BROKE


async def test_a_stream_that_may_not_be_stopped_yet_shows_the_whole_text_meanwhile(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    slack.failures["chat.stopStream"] = ["429:0.3"]
    core.script = Growth(slack, "One", final="One, two")
    async with running(slack, core, streaming="native"):
        said = await heard(slack, core, "count")
    assert methods(slack) == ["chat.startStream", "chat.stopStream", "chat.appendStream", "chat.stopStream"]
    (post,) = slack.thread(said.key.thread)
    assert (read(post), buttons(post)) == ("One, two", ["threadfly_good", "threadfly_bad"])


# What people press and type while the archive is away.


async def test_a_press_that_could_not_be_kept_is_told(slack: FakeSlack, core: ScriptedCore) -> None:
    async with running(slack, core):
        said = await heard(slack, core)
        core.down = True
        delivered = slack.press("threadfly_good", ts=slack.thread(said.key.thread)[0]["ts"])
        await slack.until(lambda: slack.responses)
    assert delivered.acknowledged
    assert "once more" in slack.responses[0][1]["text"]


async def test_a_command_that_could_not_be_carried_out_is_a_sentence(
    slack: FakeSlack, core: ScriptedCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(order: Order) -> str:
        raise ArchiveUnavailable("The archive is away.")

    monkeypatch.setattr(core, "desk", away)
    async with running(slack, core):
        delivered = slack.command("help")
        await delivered.finished()
    assert delivered.response is not None
    assert delivered.response["text"] == "The archive is away."


async def test_a_slow_name_and_a_slow_command_are_still_acknowledged_in_time(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    slack.hold["users.info"] = asyncio.Event()
    core.slow_s = 2.0
    async with running(slack, core):
        delivered = slack.command("help")
        await slack.until(lambda: slack.responses)
        slack.hold["users.info"].set()
    assert delivered.acknowledged
    assert slack.responses[0][1]["text"] == "done"


# What is odd.


async def test_frames_that_say_nothing_end_no_connection(slack: FakeSlack, core: ScriptedCore) -> None:
    async with running(slack, core):
        await slack.until(lambda: len(slack.deliveries.sockets) == 2)
        for socket in slack.deliveries.sockets:
            for frame in ("[]", "7", "null", "oops", '{"type": "hello"}', '{"envelope_id": "e1"}'):
                await socket.send_str(frame)
        await heard(slack, core)
        assert slack.deliveries.opened == 2


async def test_a_connection_too_many_is_tried_again_seldom(slack: FakeSlack, core: ScriptedCore) -> None:
    slack.deliveries.most_sockets = 1
    begun = time.monotonic()
    async with running(slack, core):
        await slack.until(lambda: slack.deliveries.refused == 4)
        assert time.monotonic() - begun > 0.7
        await heard(slack, core)


@pytest.mark.parametrize("told", ["0", "-1", "nan", "Wed, 21 Oct 2026 07:28:00 GMT", ""])
def test_a_limit_that_tells_no_time_is_waited_for_all_the_same(told: str) -> None:
    assert retry_after(SimpleNamespace(headers={"Retry-After": told})) >= 1


async def test_a_name_that_slack_does_not_tell_is_not_asked_for_with_each_message(
    slack: FakeSlack, core: ScriptedCore
) -> None:
    slack.team.channels[CHANNEL].members.add("U0GHOST")
    async with running(slack, core):
        for _ in range(3):
            ts = slack.say(f"<@{BOT}> boo", user="U0GHOST")
            await slack.until(lambda ts=ts: slack.thread(ts))
    assert [a["user"] for m, a in slack.calls if m == "users.info"].count("U0GHOST") == 1


async def test_a_very_long_message_is_heard_whole(slack: FakeSlack, core: ScriptedCore) -> None:
    text = "&lt;漢字&gt; " * 4_000
    blocks = [{"type": "rich_text", "elements": [{"type": "text", "text": "x" * 3_000}]}] * 400

    async def brief(reply: Reply, said: Said) -> Answer:
        return Answer("Long.")

    core.script = brief
    async with running(slack, core):
        ts = slack.say(f"<@{BOT}> {text}", blocks=blocks)
        await slack.until(lambda: slack.thread(ts))
    assert core.said()[0].message.text == ("<漢字> " * 4_000).strip()


@pytest.mark.parametrize("streaming", ["edit", "native"])
@pytest.mark.parametrize(
    "written",
    [
        "{}",
        "`{}`",
        "```\n{}\n```",
        "[{}]({})",
        "| a | b |\n|---|---|\n| {} | {} |",
        "<https://example.com|{}>",
        "# {}",
        "> {}",
        "**{}**",
    ],
)
async def test_nobody_is_pinged_whatever_it_is_written_in(
    slack: FakeSlack, core: ScriptedCore, written: str, streaming: str
) -> None:
    text = written.replace("{}", PINGING)

    async def script(reply: Reply, said: Said) -> Answer:
        for end in range(1, len(text), 7):
            await reply.show(text[:end])
            await asyncio.sleep(0)
        await slack.until(lambda: slack.thread(said.key.thread))
        return Answer(text)

    core.script = script
    async with running(slack, core, streaming=streaming):
        await heard(slack, core)
    sent = json.dumps([arguments for method, arguments in slack.calls if method.startswith("chat.")])
    assert not PING.search(sent)
    assert not LITERAL_PING.search(sent)


async def test_the_file_and_its_name_ping_nobody(slack: FakeSlack, core: ScriptedCore) -> None:
    async def script(reply: Reply, said: Said) -> Answer:
        return Answer(f"{PINGING} word " * 3_000)

    core.script = script
    async with running(slack, core):
        said = await heard(slack, core)
        posts = slack.thread(said.key.thread)
    assert len(posts) == content.LIMITS.most_parts + 1
    assert not PING.search(posts[-1]["files"][0]["name"] + posts[-1]["files"][0]["title"])


async def test_odd_names_are_told_as_they_are(slack: FakeSlack, core: ScriptedCore) -> None:
    name = "<!channel> *Bobby* `Tables` \u202e@here [x](y)"
    slack.team.users[ALICE] = name
    async with running(slack, core):
        said = await heard(slack, core, f"ask <@{ALICE}>")
    assert said.message.author == Author(ALICE, name)
    (post,) = slack.thread(said.key.thread)
    assert post["blocks"][0]["text"] == defused(f"You said: ask @{name}")


# Missed while away, with trouble.


async def test_a_channel_that_slack_could_not_tell_of_is_read_again(
    slack: FakeSlack, core: ScriptedCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.slack.catching_up.AGAIN_S", 0.01)
    monkeypatch.setattr("adapters.slack.client.READ_PAUSE_S", 0.0)
    slack.failures["conversations.history"] = ["500"] * 6
    ts = slack.say(f"<@{BOT}> hello", deliver=False)
    async with running(slack, core, Marks(), catch_up=True):
        await slack.until(lambda: slack.thread(ts))


async def test_who_is_read_late_is_not_too_late(
    slack: FakeSlack, core: ScriptedCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catching up with many channels may take longer than what may still be answered."""
    slack.hold["conversations.history"] = asyncio.Event()
    ts = slack.say(f"<@{BOT}> hello", deliver=False)
    async with running(slack, core, Marks(), catch_up=True, answer_within_s=0.3):
        await core.until_true(lambda: [m for m, _ in slack.calls if m == "conversations.history"])
        await asyncio.sleep(0.4)  # the time that is spent is what this is about
        slack.hold["conversations.history"].set()
        await slack.until(lambda: slack.thread(ts))


# An app that is removed in the middle of things.


async def test_a_turn_of_a_workspace_that_is_gone_ends(slack: FakeSlack, core: ScriptedCore) -> None:
    async with running(slack, core) as platform:
        said = await heard(slack, core)
        turn = replace(turn_of(said), key=replace(said.key, workspace="T0GONE"))
        reply = await platform.open_reply(Log(turn))
        await reply.show("One")
        with pytest.raises(PlatformForbidden, match="T0GONE"):
            await reply.finish(Answer("One"))
        await reply.abandon()


async def test_a_stream_whose_token_is_revoked_ends_the_turn(slack: FakeSlack, core: ScriptedCore) -> None:
    core.script = growth = Growth(slack, "One")
    growth.go_on.clear()
    async with running(slack, core):
        ts = slack.say(f"<@{BOT}> count")
        await slack.until(lambda: growth.shown == 1)
        slack.team.installed = False
        growth.final = "One, two"
        growth.go_on.set()
        await core.until(lambda: core.failures)
    assert isinstance(core.failures[0], PlatformForbidden)
    assert buttons(slack.thread(ts)[0]) == ["threadfly_stop"]
