"""A whole bot that is distributed outside of Slack's Marketplace: a page of history a minute, of 15 messages.

A minute of Slack's is three seconds here; an answer waits one for history, where it waits five of sixty.
"""

import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from adapters.slack.markup import ts_of
from bot import words
from tests.acceptance.slack_process import WAIT_S, World, world
from tests.fakes.slack.api import LIMITED
from tests.fakes.slack.server import BOB, BOT, CHANNEL, DM, OTHER_CHANNEL

pytestmark = pytest.mark.asyncio(loop_scope="module")

SETTINGS = {"THREADFLY__SLACK__HISTORY": "limited", "THREADFLY__BACKFILL__SECONDS": "1"}
OUT_OF_THE_WAY = {"THREADFLY__CATCH_UP__ENABLED": "false"}
"""Catching up at the start would read for some minutes, and answers would find nothing left to read."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("bot"), scale=0.05) as made:
        made.slack.limited = True
        made.slack.team.channels[OTHER_CHANNEL].members.add(BOT)
        await made.start(**SETTINGS, **OUT_OF_THE_WAY)
        yield made


def sent(made: World) -> str:
    """Everything that the model was sent last."""
    return "\n".join(str(message["content"]) for message in made.openai.requests[-1].messages)


def talk(made: World, replies: int) -> str:
    """People talk among themselves, in a thread, a reply a minute."""
    ago = [ts_of(int((time.time() - 60 * minutes) * 1_000_000)) for minutes in range(replies + 1, 0, -1)]
    root = made.slack.say("let us plan the trip", deliver=False, ts=ago[0])
    for number in range(replies):
        made.slack.say(f"idea {number} of many", thread_ts=root, user=BOB, deliver=False, ts=ago[number + 1])
    return root


async def asked(made: World, thread: str) -> str:
    """The answer to one more question there, a minute of Slack's after the last."""
    await made.slack.clock.sleep(60)
    before = len(made.texts(thread))
    made.ask("what did we say?", thread_ts=thread)
    return (await made.answered(thread, before + 1))[-1]


async def test_called_in_a_thread_of_a_page_it_knows_all_of_it(made: World) -> None:
    thread = talk(made, 13)
    assert "could" not in await asked(made, thread)
    assert "let us plan the trip" in sent(made)
    assert all(f"idea {number} of many" in sent(made) for number in range(13))


async def test_called_in_a_longer_one_it_answers_at_once_and_knows_its_end_a_minute_later(
    made: World,
) -> None:
    thread = talk(made, 40)
    assert words.HISTORY_UNREAD in await asked(made, thread)
    assert "could read only the newest" in await asked(made, thread)
    assert "idea 39 of many" in sent(made)
    assert "could" not in await asked(made, thread)
    assert "idea 39 of many" in sent(made)


async def test_what_was_missed_in_several_places_is_answered_once_and_at_slacks_pace(made: World) -> None:
    known = made.ask("hello")
    await made.answered(known)
    assert await made.stop(made.running[0]) == 0
    before = len(made.slack.calls)
    missed = [
        (made.ask(f"is anybody in {channel}?", channel=channel, deliver=False), channel)
        for channel in (CHANNEL, OTHER_CHANNEL)
    ]
    made.slack.say("and here?", thread_ts=known, deliver=False)
    made.slack.say("hello?", channel=DM, deliver=False)
    await made.start(**SETTINGS)
    for asked, channel in missed:
        assert len(await made.answered(asked, channel=channel)) == 1
    assert len(await made.answered(known, 2)) == 2
    await made.slack.until(lambda: made.slack.team.authored(DM), WAIT_S)
    assert all(int(each["limit"]) <= 15 for method, each in made.slack.calls[before:] if method in LIMITED)
    assert " error " not in made.logged()
