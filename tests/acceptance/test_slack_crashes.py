"""`kill -9` of a whole bot anywhere in a turn on Slack: the question is answered once, in place."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from tests.acceptance.slack_process import WAIT_S, World, world
from tests.fakes.openai import Script
from tests.fakes.slack.server import DM, Trap

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHORT = "All is well with the release, as far as I can tell."
LONG = " ".join(f"word{number}" for number in range(2_000))
"""Two posts of Slack's."""

Point = Callable[[World], Awaitable[str]]
"""Asks, and returns the question when the bot is where it is to be killed."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One world for all: who survived the last test is killed in the next one."""
    async with world(tmp_path_factory.mktemp("bot")) as made:
        made.slack.budgets.on = False
        made.openai.always = Script(text=SHORT)
        await made.start()
        yield made


async def as_soon_as_it_is_said(made: World) -> str:
    return made.ask("how is the release?")


async def before_it_is_acknowledged(made: World) -> str:
    return await held(made, made.slack.trap("users.info", carried_out=False))


async def before_the_models_first_word(made: World) -> str:
    made.openai.answers.append(Script(text=SHORT, hold_before=True))
    asked = made.ask("how is the release?")
    await made.openai.until(lambda server: server.holding == 1, WAIT_S)
    return asked


async def before_the_first_post(made: World) -> str:
    return await held(made, made.slack.trap("chat.postMessage", carried_out=False))


async def after_the_first_post_which_nobody_knows_of(made: World) -> str:
    return await held(made, made.slack.trap("chat.postMessage", carried_out=True))


async def in_the_middle_of_the_stream(made: World) -> str:
    made.openai.answers.append(Script(text=SHORT, hold_after=4))
    asked = made.ask("how is the release?")
    await made.slack.until(lambda: made.posts(asked), WAIT_S)
    return asked


async def before_the_last_edit(made: World) -> str:
    made.openai.answers.append(Script(text=SHORT, delay_s=0.05))
    return await held(made, made.slack.trap("chat.update", carried_out=False))


async def after_the_last_edit(made: World) -> str:
    made.openai.answers.append(Script(text=SHORT, delay_s=0.05))
    return await held(made, made.slack.trap("chat.update", carried_out=True))


async def between_two_parts(made: World) -> str:
    made.openai.answers += [Script(text=LONG), Script(text=LONG)]
    return await held(made, made.slack.trap("chat.postMessage", carried_out=False, skip=1))


async def after_the_second_part_which_nobody_knows_of(made: World) -> str:
    made.openai.answers += [Script(text=LONG), Script(text=LONG)]
    return await held(made, made.slack.trap("chat.postMessage", carried_out=True, skip=1))


async def after_everything(made: World) -> str:
    asked = made.ask("how is the release?")
    await made.answered(asked)
    return asked


async def held(made: World, trap: Trap) -> str:
    """Ask, and wait until the bot waits in the trap."""
    if trap.method == "users.info":
        user = f"U0NEW{len(made.slack.team.users)}"
        made.slack.team.users[user] = "Newcomer"
        made.slack.team.channels["C01"].members.add(user)
        asked = made.ask("how is the release?", user=user)
    else:
        asked = made.ask("how is the release?")
    await made.slack.until(lambda: trap.reached, WAIT_S)
    return asked


POINTS = [
    after_everything,
    as_soon_as_it_is_said,
    before_it_is_acknowledged,
    before_the_models_first_word,
    before_the_first_post,
    after_the_first_post_which_nobody_knows_of,
    in_the_middle_of_the_stream,
    before_the_last_edit,
    after_the_last_edit,
    between_two_parts,
    after_the_second_part_which_nobody_knows_of,
]


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.__name__)
async def test_killed(made: World, point: Point) -> None:
    asked = await point(made)
    await made.kill(made.running[0])
    await made.start()
    texts = await made.answered(asked)
    assert " ".join(part.strip() for part in texts) in (SHORT, LONG)
    # Whatever else the two processes had in mind would come before the next answer.
    made.slack.say("thanks", thread_ts=asked)
    assert (await made.answered(asked, 2))[:-1] == texts


async def in_the_middle_of_it(made: World) -> str:
    made.openai.answers.append(Script(text=SHORT, hold_after=4))
    root = asked_directly(made)
    await made.slack.until(lambda: made.posts(root, DM), WAIT_S)
    return root


async def when_it_began_and_nobody_knows_of_it(made: World) -> str:
    return await held_directly(made, made.slack.trap("chat.startStream", carried_out=True))


async def before_it_is_stopped(made: World) -> str:
    return await held_directly(made, made.slack.trap("chat.stopStream", carried_out=False))


async def after_it_was_stopped(made: World) -> str:
    return await held_directly(made, made.slack.trap("chat.stopStream", carried_out=True))


def asked_directly(made: World) -> str:
    """A question in a thread of Alice's direct messages; the thread."""
    root = made.slack.say("New chat", channel=DM, deliver=False, subtype="assistant_app_thread")
    made.slack.say("how is the release?", channel=DM, thread_ts=root)
    return root


async def held_directly(made: World, trap: Trap) -> str:
    """Ask, and wait until the bot waits in the trap."""
    made.openai.answers.append(Script(text=SHORT, delay_s=0.05))
    root = asked_directly(made)
    await made.slack.until(lambda: trap.reached, WAIT_S)
    return root


STREAMED = [
    in_the_middle_of_it,
    when_it_began_and_nobody_knows_of_it,
    before_it_is_stopped,
    after_it_was_stopped,
]


@pytest.mark.parametrize("point", STREAMED, ids=lambda point: point.__name__)
async def test_killed_in_a_native_stream(made: World, point: Point) -> None:
    root = await point(made)
    await made.kill(made.running[0])
    await made.start()
    assert await made.answered(root, channel=DM) == [SHORT]
    assert not any(stream.alive for stream in made.slack.team.streams.values())
