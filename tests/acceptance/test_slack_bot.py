"""A whole bot on Slack, from the first mention to a thread that it remembers after a restart."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from adapters.slack.markup import ts_of
from tests.acceptance.slack_process import WAIT_S, World, world
from tests.fakes.openai import Script
from tests.fakes.slack.server import ALICE, BOB, BOT, CONFIG_TOKEN, DM, OTHER_CHANNEL

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("bot")) as made:
        made.slack.budgets.on = False
        await made.start()
        yield made


def sent(made: World) -> str:
    """Everything that the model was sent last."""
    return "\n".join(str(message["content"]) for message in made.openai.requests[-1].messages)


async def test_a_conversation(made: World) -> None:
    asked = made.ask("my name is Joe")
    await made.answered(asked)
    made.slack.say("what is my name?", thread_ts=asked)
    assert len(await made.answered(asked, 2)) == 2
    assert "my name is Joe" in sent(made)
    assert "what is my name?" in sent(made)


async def test_it_remembers_after_a_restart(made: World) -> None:
    asked = made.ask("my name is Joe")
    await made.answered(asked)
    assert await made.stop(made.running[0]) == 0
    made.slack.say("what is my name?", thread_ts=asked)
    await made.start()
    assert len(await made.answered(asked, 2)) == 2
    assert "my name is Joe" in sent(made)


async def test_what_was_said_while_it_was_away_and_never_delivered_is_answered(made: World) -> None:
    first = made.ask("hello")
    await made.answered(first)
    assert await made.stop(made.running[0]) == 0
    asked = made.ask("is anybody there?", deliver=False)
    made.slack.say("and here?", thread_ts=first, deliver=False)
    await made.start()
    assert len(await made.answered(asked)) == 1
    assert len(await made.answered(first, 2)) == 2


async def test_what_was_edited_and_deleted_while_it_was_away_is_known(made: World) -> None:
    made.openai.answers += [Script(text="Fine.")] * 4
    ago = [ts_of(int((time.time() - n) * 1_000_000)) for n in (400, 300, 200)]
    asked = made.ask("the code word is plum", ts=ago[0])
    await made.answered(asked)
    gone = made.slack.say("I like cherries", thread_ts=asked, ts=ago[1])
    await made.answered(asked, 2)
    edited = made.slack.say("the day is monday", thread_ts=asked, ts=ago[2])
    await made.answered(asked, 3)
    assert await made.stop(made.running[0]) == 0
    made.slack.delete(gone, deliver=False)
    made.slack.edit(edited, "the day is friday", deliver=False)
    made.slack.say("what did I say?", thread_ts=asked, deliver=False)
    await made.start()
    assert len(await made.answered(asked, 4)) == 4
    assert [word for word in ("plum", "cherries", "monday", "friday") if word in sent(made)] == [
        "plum",
        "friday",
    ]


async def test_called_in_the_middle_of_a_thread_it_knows_what_was_said_before(made: World) -> None:
    start = made.slack.say("let us plan the trip")
    made.slack.say("I would go to Norway", thread_ts=start, user=BOB)
    made.ask("what did we say?", thread_ts=start)
    await made.answered(start)
    assert "let us plan the trip" in sent(made)
    assert "Norway" in sent(made)


async def test_people_talking_to_each_other_are_heard_and_left_alone(made: World) -> None:
    asked = made.ask("hello")
    await made.answered(asked)
    made.slack.say(f"<@{BOB}> the code word is plum", thread_ts=asked)
    made.slack.say("what is the code word?", thread_ts=asked)
    assert len(await made.answered(asked, 2)) == 2
    assert "plum" in sent(made)


async def test_an_edit_is_what_the_model_reads_and_a_deletion_what_it_does_not(made: World) -> None:
    made.openai.answers += [Script(text="Fine."), Script(text="Fine.")]
    asked = made.ask("the code word is plum")
    await made.answered(asked)
    gone = made.slack.say("forget me", thread_ts=asked)
    await made.answered(asked, 2)
    made.slack.edit(asked, f"<@{BOT}> the code word is pear")
    made.slack.delete(gone)
    await made.slack.deliveries.settled()
    made.slack.say("what is the code word?", thread_ts=asked)
    assert len(await made.answered(asked, 3)) == 3
    assert "pear" in sent(made)
    assert "plum" not in sent(made)
    assert "forget me" not in sent(made)


async def test_the_stop_button_ends_an_answer(made: World) -> None:
    made.openai.answers.append(Script(text="word " * 200, hold_after=100))
    asked = made.ask("tell me a long story")
    posts = await made.slack.until(lambda: made.posts(asked), WAIT_S)
    made.slack.press("threadfly_stop", ts=posts[0]["ts"])
    await made.slack.until(lambda: "Stopped" in made.texts(asked)[0], WAIT_S)
    made.openai.release()
    made.slack.say("go on", thread_ts=asked)
    assert len(await made.answered(asked)) == 2


async def test_slacks_own_stop_button_ends_an_answer_that_streams(made: World) -> None:
    made.openai.answers.append(Script(text="word " * 200, hold_after=100))
    root = made.slack.say("New chat", channel=DM, deliver=False, subtype="assistant_app_thread")
    made.slack.say("tell me a long story", channel=DM, thread_ts=root)
    await made.slack.until(lambda: made.posts(root, DM), WAIT_S)
    await made.slack.until(lambda: made.slack.team.sessions.get((DM, root)) == "processing", WAIT_S)
    made.slack.press_slacks_stop(root)
    await made.slack.until(lambda: "Stopped" in made.texts(root, DM)[0], WAIT_S)
    made.openai.release()
    await made.slack.until(lambda: made.slack.team.sessions[DM, root] == "active", WAIT_S)
    made.slack.say("go on", channel=DM, thread_ts=root)
    assert len(await made.answered(root, channel=DM)) == 2


async def test_an_answer_that_failed_is_tried_again_in_place(made: World) -> None:
    made.openai.answers.append(Script(status=400))
    asked = made.ask("will you fail?")
    await made.slack.until(lambda: "Try again" in str(made.posts(asked)), WAIT_S)
    (post,) = made.posts(asked)
    async with asyncio.timeout(WAIT_S):
        while "Try again" in str(made.posts(asked)):  # a press before the turn is closed asks for another
            await made.slack.press("threadfly_again", ts=post["ts"]).finished()
    assert len(await made.answered(asked)) == 1
    assert "will you fail?" in made.texts(asked)[0]


async def test_what_people_think_of_answers_is_shown_to_the_operator(made: World) -> None:
    asked = made.ask("hello")
    await made.answered(asked)
    told = len(made.slack.responses)
    await made.slack.press("threadfly_bad", ts=made.posts(asked)[0]["ts"]).finished()
    await made.slack.until(lambda: len(made.slack.responses) > told, WAIT_S)
    shown = (await made.says("stats")).splitlines()
    head = next(line for line in shown if "sessions" in line)
    row = next(line for line in shown if "slack" in line)
    assert [cell.strip() for cell in head.split("┃")][-2] == "👎"
    assert [cell.strip() for cell in row.split("│")][-2] == "1"


async def test_the_doctor_names_what_the_app_lacks(made: World) -> None:
    made.slack.manifest["settings"]["event_subscriptions"]["bot_events"].remove("message.groups")
    printed = await made.says("doctor", SLACK_CONFIG_TOKEN=CONFIG_TOKEN)
    assert "missing: event message.groups" in printed
    assert "threadfly manifest slack" in printed
    assert CONFIG_TOKEN not in printed


async def test_pause_and_resume(made: World) -> None:
    asked = made.ask("hello")
    await made.answered(asked)
    made.ask("pause", thread_ts=asked)
    await made.slack.until(lambda: len(made.posts(asked)) == 2, WAIT_S)
    made.slack.say("are you there?", thread_ts=asked)
    told = len(made.slack.responses)
    made.slack.shortcut("threadfly_resume", ts=asked)
    await made.slack.until(lambda: len(made.slack.responses) > told, WAIT_S)
    made.slack.say("and now?", thread_ts=asked)
    await made.slack.until(lambda: any("and now?" in text for text in made.texts(asked)), WAIT_S)
    assert not any("are you there?" in text for text in made.texts(asked)[1:2])


async def test_direct_messages_flat_and_in_a_thread(made: World) -> None:
    made.slack.say("my name is Joe", channel=DM)

    def flat() -> bool:
        return any("thread_ts" not in post for post in made.slack.team.authored(DM))

    await made.slack.until(flat, WAIT_S)
    root = made.slack.say("New chat", channel=DM, deliver=False, subtype="assistant_app_thread")
    made.openai.answers.append(Script(text="word " * 60, delay_s=0.02))
    made.slack.say("a story, please", channel=DM, thread_ts=root)
    (text,) = await made.answered(root, channel=DM)
    assert text.startswith("word word")
    methods = [method for method, _ in made.slack.calls]
    assert "chat.startStream" in methods
    assert "chat.stopStream" in methods


async def test_a_file_is_read_with_the_message(made: World) -> None:
    file = made.slack.hand("notes.txt", b"the code word is quince", "text/plain")
    asked = made.ask("what is in it?", files=[file], subtype="file_share")
    await made.answered(asked)
    assert "quince" in sent(made)


async def test_it_greets_a_channel_once(made: World) -> None:
    made.slack.invite()
    await made.slack.until(lambda: made.slack.team.authored(OTHER_CHANNEL), WAIT_S)
    asked = made.ask("hello", channel=OTHER_CHANNEL)
    await made.answered(asked, channel=OTHER_CHANNEL)
    assert len(made.slack.team.authored(OTHER_CHANNEL)) == 2


async def test_nobody_is_pinged_by_the_model(made: World) -> None:
    made.openai.answers.append(Script(text=f"<!channel> <@{ALICE}> @here <!subteam^S1> done"))
    asked = made.ask("ping everybody")
    (text,) = await made.answered(asked)
    assert text.endswith("done")
