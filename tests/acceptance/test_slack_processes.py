"""Three bots on one PostgreSQL and one Redis: each question is answered once, in order, whoever hears it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import sqlalchemy as sa

from storage import schema
from storage.database import open_database
from storage.embedded import EmbeddedServer
from tests.acceptance.slack_process import WAIT_S, World, world
from tests.databases import fresh_database
from tests.fakes.openai import Script

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROCESSES = 3
THREADS = 12
TURNS = 3


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory, postgres_server: sa.URL) -> AsyncIterator[World]:
    folder: Path = tmp_path_factory.mktemp("bots")
    url = await fresh_database(postgres_server)
    database = open_database(url)
    await schema.migrate(database)
    await database.close()
    redis = EmbeddedServer(folder)
    assert await redis.open()
    settings = {
        "THREADFLY__ARCHIVE__URL": url.replace("postgresql+asyncpg", "postgresql"),
        "THREADFLY__HOT__URL": redis.url,
        "THREADFLY__ACCESS__PER_WORKSPACE": "none",
    }
    async with world(folder) as made:
        made.slack.budgets.on = False
        made.slack.deliveries.copies = (1, 4)
        for number in range(PROCESSES):
            await made.start(**settings, THREADFLY__DATA_DIR=str(folder / str(number)))
        assert len(made.slack.deliveries.sockets) == 2 * PROCESSES
        yield made
        for process in list(made.running):
            assert await made.stop(process) == 0
    await redis.close()


async def talk(made: World, number: int) -> str:
    """One thread, question after answer; its `ts`."""
    thread = made.ask(f"question {number}.1")
    for turn in range(2, TURNS + 1):
        await made.answered(thread, turn - 1)
        made.slack.say(f"question {number}.{turn}", thread_ts=thread)
    await made.answered(thread, TURNS)
    return thread


async def test_every_thread_is_answered_once_and_in_order(made: World) -> None:
    threads = await asyncio.gather(*(talk(made, number) for number in range(THREADS)))
    await made.slack.deliveries.settled()
    for number, thread in enumerate(threads):
        texts = made.texts(thread)
        assert len(texts) == TURNS
        for turn, text in enumerate(texts, 1):
            assert f"question {number}.{turn}" in text


async def test_a_slow_thread_holds_no_other_one_up(made: World) -> None:
    made.openai.answers.append(Script(text="At last.", when="slow", hold_before=True))
    slow = made.ask("be slow")
    await made.openai.until(lambda server: server.holding == 1, WAIT_S)
    quick = await asyncio.gather(*(talk(made, 100 + number) for number in range(3)))
    assert all(len(made.texts(thread)) == TURNS for thread in quick)
    assert made.texts(slow) == []
    made.openai.release()
    assert await made.answered(slow) == ["At last."]


async def test_questions_that_come_while_it_answers_are_answered_together(made: World) -> None:
    made.openai.answers.append(Script(text="First.", when="one", hold_before=True))
    thread = made.ask("one")
    await made.openai.until(lambda server: server.holding == 1, WAIT_S)
    made.slack.say("two", thread_ts=thread)
    made.slack.say("three", thread_ts=thread)
    await made.slack.deliveries.settled()
    made.openai.release()
    texts = await made.answered(thread, 2)
    assert texts[0] == "First."
    assert "three" in texts[1]
    assert len(texts) == 2


async def test_one_of_them_is_killed_and_another_finishes_its_answer(made: World) -> None:
    made.openai.answers.append(Script(text="A half answer that becomes whole.", when="halves", hold_after=3))
    thread = made.ask("no halves, please")
    await made.slack.until(lambda: made.posts(thread), WAIT_S)
    (half,) = made.posts(thread)
    made.openai.always = Script(text="A whole answer.")
    for process in list(made.running)[:-1]:
        await made.kill(process)
    texts = await made.answered(thread)
    assert len(texts) == 1
    assert made.posts(thread)[0]["ts"] == half["ts"]
