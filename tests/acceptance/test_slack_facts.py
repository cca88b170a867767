"""What Slack does, row by row, and what a whole bot makes of it: one process, the fake Slack, a fake model.

What Slack does, and where it is held, here and elsewhere:

- waits 3 s for an acknowledgement: `..._first_attempt`; a slow archive: `test_slack_receiving`
- delivers again, up to hours later, perhaps for the first time: `..._redelivery_...`
- tells of a mention twice, of one gesture with two `ts`: `..._one_mention_...`
- gives each `ts` once in a channel, not in a workspace: `..._same_ts_...`
- tells of edits, deletions, previews as messages: `..._changes_...`; payload by payload: `test_slack_events`;
  in odd shapes: `test_slack_odd_payloads`
- leaves a tombstone for a thread's first message: `..._tombstone_...`
- has ordinary messages with a subtype, and noise: `..._ordinary_subtypes_...`
- has no slash command in threads: `..._command_...`
- ends a `response_url` after 5 uses or 30 minutes: the fake does; `test_slack_receiving`
- refreshes and breaks sockets: `..._connections_...`
- signs what it sends over HTTP: `test_slack_receiving`, `test_slack_workspaces`
- limits each method: `..._429_...`; 200 threads in 10 workspaces under the tiers: `test_slack_workspaces`
- streams natively, until a stream dies: `..._stream_...`; its own Stop button: `test_slack_bot`;
  killed in a stream: `test_slack_crashes`
- shows a native stream growing to its reader alone: `..._everybody_...`, `..._grows_as_a_stream`
- clears a status after two minutes: `test_slack_replies`
- lets distributed apps read one page of 15 messages a minute: `test_slack_limited`
- tells an app's events to its owner alone: `test_slack_doctor`
- takes posts and edits of some length only: `..._long_answer_...`
- begins `replies` at the oldest, and hides them in `history`: `test_slack_bot`, `test_slack_second_look`
- has the agent view (prompts, titles, a status): `test_slack_receiving`, `test_slack_replies`
- brings people of other organisations: `..._other_organisations_...`, `test_slack_organisation`
- takes rights away, and lets people delete what grows: `..._may_not_write_...`, `..._somebody_deletes_...`
- is not the only server of its API: `test_slack_elsewhere`
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from adapters.slack.content import POST_LENGTH
from tests.acceptance.slack_process import GOOD, WAIT_S, World, read, world
from tests.fakes.openai import Script
from tests.fakes.slack.server import ALICE, BOB, BOT, CHANNEL, DM, OTHER_CHANNEL

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("bot")) as made:
        made.slack.budgets.on = False
        made.slack.team.channels[OTHER_CHANNEL].members.add(BOT)
        await made.start()
        yield made


async def only(made: World, thread: str, text: str, channel: str = CHANNEL) -> None:
    """The thread has one answer, and it is to `text`; another question shows that no second one comes."""
    (answer,) = await made.answered(thread, channel=channel)
    assert text in answer
    await made.slack.deliveries.settled()
    made.slack.say("and then?", thread_ts=thread, channel=channel)
    assert len(await made.answered(thread, 2, channel=channel)) == 2


async def test_429_is_waited_for_and_no_error_in_the_log(made: World) -> None:
    made.openai.answers.append(Script(text="word " * 80, delay_s=0.01))
    made.slack.failures["chat.update"] = ["429:0.2"] * 2
    asked = made.ask("a story, please")
    (answer,) = await made.answered(asked)
    assert answer.count("word") == 80
    assert " error " not in made.logged()


async def test_everything_is_acknowledged_at_the_first_attempt(made: World) -> None:
    told = len(made.slack.deliveries.log)
    await only(made, made.ask("hello"), "hello")
    await made.slack.deliveries.settled()
    assert [d.attempts for d in made.slack.deliveries.log[told:]] == [1] * len(
        made.slack.deliveries.log[told:]
    )


async def test_a_redelivery_is_answered_once_and_answered_if_it_is_all_that_comes(made: World) -> None:
    made.slack.deliveries.copies = (2, 4)
    await only(made, made.ask("told often"), "told often")
    made.slack.deliveries.copies = (1, 1)
    asked = made.ask("told late", deliver=False)
    made.slack.announce(made.slack.team.channels[CHANNEL].messages[asked], retry=3)
    await only(made, asked, "told late")


async def test_one_mention_is_one_answer_though_it_comes_as_two_events_or_with_two_ids(made: World) -> None:
    gesture = {"client_msg_id": "one-and-the-same"}
    first = made.ask("only once", **gesture)
    await made.answered(first)
    second = made.ask("only once", **gesture)
    await made.slack.deliveries.settled()
    await only(made, first, "only once")
    assert made.posts(second) == []


async def test_the_same_ts_in_two_channels_is_two_threads(made: World) -> None:
    ts = made.ask("in general")
    made.ask("in random", channel=OTHER_CHANNEL, ts=ts)
    assert "in general" in (await made.answered(ts))[0]
    assert "in random" in (await made.answered(ts, channel=OTHER_CHANNEL))[0]


async def test_changes_get_no_answer(made: World) -> None:
    asked = made.ask("see https://example.com")
    await made.answered(asked)
    reply = made.slack.say("more", thread_ts=asked)
    await made.answered(asked, 2)
    made.slack.unfurl(asked)
    made.slack.edit(reply, f"<@{BOT}> more of it")
    made.slack.edit(asked, f"<@{BOT}> see it")
    made.slack.delete(reply)
    await made.slack.deliveries.settled()
    made.slack.say("and then?", thread_ts=asked)
    assert len(await made.answered(asked, 3)) == 3


async def test_a_thread_goes_on_below_a_tombstone_without_what_was_deleted(made: World) -> None:
    made.openai.answers += [Script(text="Fine."), Script(text="Fine.")]
    asked = made.ask("the code word is plum")
    await made.answered(asked)
    made.slack.delete(asked)
    assert made.slack.team.channels[CHANNEL].messages[asked]["subtype"] == "tombstone"
    await made.slack.deliveries.settled()
    made.slack.say("what is the code word?", thread_ts=asked)
    assert len(await made.answered(asked, 2)) == 2
    shown = "\n".join(str(message["content"]) for message in made.openai.requests[-1].messages)
    assert "what is the code word?" in shown
    assert "plum" not in shown


async def test_ordinary_subtypes_are_answered_and_noise_is_not(made: World) -> None:
    asked = made.ask("hello")
    await made.answered(asked)
    made.slack.say("joined", thread_ts=asked, subtype="channel_join")
    for number, subtype in enumerate(("file_share", "thread_broadcast", "me_message"), 2):
        made.slack.say(f"by {subtype}", thread_ts=asked, user=BOB, subtype=subtype)
        assert f"by {subtype}" in (await made.answered(asked, number))[-1]
    assert not any("joined" in text for text in made.texts(asked))


async def test_a_command_is_answered_to_its_asker_alone(made: World) -> None:
    before = len(made.slack.team.channels[CHANNEL].messages)
    response = await made.slack.command("help").finished()
    assert response is not None
    assert response["response_type"] == "ephemeral"
    assert len(made.slack.team.channels[CHANNEL].messages) == before


async def test_connections_that_are_refreshed_or_break_lose_nothing(made: World) -> None:
    opened = made.slack.deliveries.opened
    await made.slack.deliveries.refresh()
    await made.slack.until(lambda: made.slack.deliveries.opened >= opened + 2, WAIT_S)
    await only(made, made.ask("after a refresh"), "after a refresh")
    await made.slack.deliveries.drop()
    asked = made.ask("into the void", deliver=False)
    assert "into the void" in (await made.answered(asked))[0]


async def test_a_stream_that_slack_ends_early_still_ends_whole(made: World) -> None:
    root = made.slack.say("New chat", channel=DM, deliver=False, subtype="assistant_app_thread")
    made.openai.answers.append(Script(text="word " * 80, hold_after=40))
    made.slack.say("a story, please", channel=DM, thread_ts=root)
    await made.slack.until(lambda: made.posts(root, DM), WAIT_S)
    for stream in made.slack.team.streams.values():
        stream.alive = False
    made.openai.release()
    (answer,) = await made.answered(root, channel=DM)
    assert answer.count("word") == 80


async def test_everybody_in_a_shared_thread_sees_an_answer_grow(made: World) -> None:
    made.openai.answers.append(Script(text="word " * 80, hold_after=40))
    asked = made.ask("a story, please", user=ALICE)

    def read_by(person: str) -> int:
        return sum(made.slack.seen(post, person).count("word") for post in made.posts(asked))

    first = await made.slack.until(lambda: read_by(BOB), WAIT_S)
    await made.slack.until(lambda: read_by(BOB) > first, WAIT_S)
    assert read_by(BOB) == read_by(ALICE) < 80
    made.openai.release()
    await made.answered(asked)
    assert read_by(BOB) == 80


async def test_in_a_direct_message_an_answer_grows_as_a_stream(made: World) -> None:
    root = made.slack.say("New chat", channel=DM, deliver=False, subtype="assistant_app_thread")
    made.openai.answers.append(Script(text="word " * 80, hold_after=40))
    made.slack.say("a story, please", channel=DM, thread_ts=root)
    (post,) = await made.slack.until(lambda: made.posts(root, DM), WAIT_S)
    first = made.slack.seen(post, ALICE, channel=DM).count("word")
    await made.slack.until(lambda: made.slack.seen(post, ALICE, channel=DM).count("word") > first, WAIT_S)
    assert made.slack.team.streams[DM, post["ts"]].alive
    made.openai.release()
    (answer,) = await made.answered(root, channel=DM)
    assert answer.count("word") == 80


async def test_a_long_answer_comes_whole_in_parts_that_slack_takes(made: World) -> None:
    words = [f"word{number}" for number in range(3_000)]
    made.openai.answers.append(Script(text=" ".join(words), chunk_chars=2_000))
    asked = made.ask("everything, please")
    parts = await made.answered(asked)
    assert len(parts) > 1
    assert all(len(part) <= POST_LENGTH for part in parts)
    assert " ".join(parts).split()[: len(words)] == words


async def test_people_of_other_organisations_are_answered_under_our_workspace(made: World) -> None:
    made.slack.team.shared_users["U0OLGA"] = "T99"
    made.slack.team.channels[CHANNEL].members |= {"U0OLGA", "W0GRACE"}
    for person in ("U0OLGA", "W0GRACE"):
        await only(made, made.ask(f"from {person}", user=person), f"from {person}")


async def test_where_it_may_not_write_for_a_while_the_next_question_is_answered_again(made: World) -> None:
    made.openai.answers.append(Script(text="word " * 200, hold_after=100))
    asked = made.ask("a long story, please")
    await made.slack.until(lambda: made.posts(asked), WAIT_S)
    made.slack.team.channels[CHANNEL].members.discard(BOT)
    called = len(made.slack.calls)
    made.openai.release()
    await made.slack.until(lambda: "chat.update" in [m for m, _ in made.slack.calls[called:]], WAIT_S)
    made.slack.team.channels[CHANNEL].members.add(BOT)
    made.slack.say("and now?", thread_ts=asked)
    assert "and now?" in (await made.answered(asked))[-1]


async def test_a_post_that_somebody_deletes_while_it_grows_stays_deleted(made: World) -> None:
    made.openai.answers.append(Script(text="word " * 200, hold_after=100))
    asked = made.ask("a long story, please", user=ALICE)
    posts = await made.slack.until(lambda: made.posts(asked), WAIT_S)
    made.slack.delete(posts[0]["ts"])
    made.openai.release()
    made.slack.say("and now?", thread_ts=asked)
    await made.slack.until(lambda: any("and now?" in read(p) for p in made.posts(asked)), WAIT_S)
    assert sum(GOOD in str(post["blocks"]) for post in made.posts(asked)) == 1
