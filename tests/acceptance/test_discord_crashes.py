"""`kill -9` of a whole bot anywhere in a turn on Discord: the question is answered once, in place."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from tests.acceptance.discord_process import WAIT_S, World, world
from tests.fakes.discord.rest import Hold
from tests.fakes.openai import Script

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHORT = "All is well with the release, as far as I can tell."
LONG = " ".join(f"word{number}" for number in range(450))
"""Two posts of Discord's."""

Point = Callable[[World], Awaitable[int]]
"""Asks, and returns the question when the bot is where it is to be killed."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One world for all: who survived the last test is killed in the next one."""
    async with world(tmp_path_factory.mktemp("bot")) as made:
        made.openai.always = Script(text=SHORT)
        await made.start()
        yield made


async def as_soon_as_it_is_said(made: World) -> int:
    return made.ask("how is the release?")


async def while_the_thread_is_asked_for(made: World) -> int:
    return await held(made, made.discord.rest.hold("POST threads", carried_out=False))


async def once_the_thread_is_there(made: World) -> int:
    return await held(made, made.discord.rest.hold("POST threads", carried_out=True))


async def before_the_models_first_word(made: World) -> int:
    made.openai.answers.append(Script(text=SHORT, hold_before=True))
    asked = made.ask("how is the release?")
    await made.openai.until(lambda server: server.holding == 1, WAIT_S)
    return asked


async def before_the_first_post(made: World) -> int:
    return await held(made, made.discord.rest.hold("POST messages", carried_out=False))


async def after_the_first_post_which_nobody_knows_of(made: World) -> int:
    return await held(made, made.discord.rest.hold("POST messages", carried_out=True))


async def in_the_middle_of_the_stream(made: World) -> int:
    made.openai.answers.append(Script(text=SHORT, hold_after=4))
    asked = made.ask("how is the release?")
    await made.discord.wait(lambda: made.posts(asked), WAIT_S)
    return asked


async def before_the_last_edit(made: World) -> int:
    made.openai.answers.append(Script(text=SHORT, delay_s=0.05))
    return await held(made, made.discord.rest.hold("PATCH message", carried_out=False))


async def after_the_last_edit(made: World) -> int:
    made.openai.answers.append(Script(text=SHORT, delay_s=0.05))
    return await held(made, made.discord.rest.hold("PATCH message", carried_out=True))


async def between_two_parts(made: World) -> int:
    made.openai.answers.append(Script(text=LONG))
    made.openai.answers.append(Script(text=LONG))
    return await held(made, made.discord.rest.hold("POST messages", carried_out=False, skip=1))


async def after_the_second_part_which_nobody_knows_of(made: World) -> int:
    made.openai.answers.append(Script(text=LONG))
    made.openai.answers.append(Script(text=LONG))
    return await held(made, made.discord.rest.hold("POST messages", carried_out=True, skip=1))


async def after_everything(made: World) -> int:
    asked = made.ask("how is the release?")
    await made.answered(asked)
    return asked


async def held(made: World, hold: Hold) -> int:
    """Ask, and wait until the bot waits at `hold`."""
    asked = made.ask("how is the release?")
    await made.discord.wait(lambda: hold.reached, WAIT_S)
    return asked


POINTS = [
    after_everything,
    as_soon_as_it_is_said,
    while_the_thread_is_asked_for,
    once_the_thread_is_there,
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
    made.discord.say(made.ann, asked, "thanks")
    assert (await made.answered(asked, 2))[:-1] == texts
    assert made.texts(made.channel) == []
