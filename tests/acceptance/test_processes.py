"""Whole processes in trouble: what people read when the model fails, and an owner that was frozen."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import sqlalchemy as sa

from storage import schema
from storage.database import SqliteDatabase
from storage.tables import messages, turns
from tests.acceptance.frozen import LEASE_S, Ledger
from tests.acceptance.process import ROOT, WAIT_S, Bot, bot
from tests.fakes.openai import FakeOpenAI, Script

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def openai() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def made(openai: FakeOpenAI, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bot]:
    """A bot whose model is the fake server."""
    settings = {"OPENAI_BASE_URL": openai.url, "OPENAI_API_KEY": "sk-sesame"}
    async with bot(tmp_path_factory.mktemp("bot"), **settings) as made:
        yield made
        assert await made.end() == 0
        assert "sk-sesame" not in made.log()
        assert "Traceback" not in made.log()


async def ask(made: Bot, openai: FakeOpenAI, word: str, *scripts: Script) -> int:
    """Ask something with `word` in it, which the model answers with `scripts`, one after the other."""
    for script in scripts:
        script.when = word
        openai.answers.append(script)
    return await made.say(f"@threadfly please {word}")


async def test_an_answer_is_seen_to_grow(made: Bot, openai: FakeOpenAI) -> None:
    script = Script(text="The first half, and then the second half.", hold_after=5)
    root = await ask(made, openai, "grow", script)
    half = "The first half, and"
    (post,) = await made.until(root, lambda posts: [post["text"].strip() for post in posts] == [half])
    assert post["showing"] == "growing"
    openai.release()
    assert await made.answered(root) == ["The first half, and then the second half."]


async def test_a_slow_first_word_is_waited_for(made: Bot, openai: FakeOpenAI) -> None:
    root = await ask(made, openai, "ponder", Script(text="At last.", hold_before=True))
    await openai.until(lambda server: server.holding == 1)
    assert await made.replies(root) == []
    openai.release()
    assert await made.answered(root) == ["At last."]


async def test_too_many_requests_are_tried_again(made: Bot, openai: FakeOpenAI) -> None:
    busy = Script(status=429, retry_after="0")
    root = await ask(made, openai, "hurry", busy, Script(text="Here I am."))
    assert await made.answered(root) == ["Here I am."]


async def test_a_refused_key_is_told_with_what_to_do(made: Bot, openai: FakeOpenAI) -> None:
    root = await ask(made, openai, "enter", Script(status=401))
    (told,) = await made.answered(root)
    assert "key was refused" in told
    assert "whoever runs me" in told
    (post,) = await made.replies(root)
    assert post["showing"] == "failed"


async def test_a_server_that_fails_is_told_and_the_answer_can_be_had_again_in_place(
    made: Bot, openai: FakeOpenAI
) -> None:
    openai.always = Script(status=500, retry_after="0")
    root = await ask(made, openai, "again")
    (told,) = await made.answered(root)
    assert "does not answer" in told
    openai.always = Script(text="It works again.")
    (post,) = await made.replies(root)
    await made.call("POST", f"/api/post/{post['position']}/press", {"button": "again"})
    (now,) = await made.until(root, lambda posts: [p["showing"] for p in posts] == ["done"])
    assert (now["text"], now["position"]) == ("It works again.", post["position"])


async def test_a_stream_that_is_cut_half_way_is_never_left_half(made: Bot, openai: FakeOpenAI) -> None:
    whole = "A whole answer, from its first word to its last."
    root = await ask(made, openai, "cut", Script(text=whole, cut_after=5), Script(text=whole))
    assert await made.answered(root) == [whole]


async def test_a_frozen_owner_that_wakes_up_after_another_finished_does_no_harm(tmp_path: Path) -> None:
    archive = SqliteDatabase(tmp_path / "archive.db")
    await schema.migrate(archive)
    ledger = Ledger(tmp_path / "wall")
    async with running(tmp_path, "frozen", "ask") as frozen:
        await until_begun(ledger, "frozen")
        freeze(frozen, tmp_path / "archive.db")
        async with running(tmp_path, "awake", "sweep") as awake:
            await told(awake, "answered")
            before = ledger.entries()
            frozen.send_signal(signal.SIGCONT)
            await told(frozen, "rests")
    assert ledger.entries() == before
    (reply,) = ledger.posts().values()
    assert reply.startswith("awake says ")
    said = sa.select(messages.c.text).where(messages.c.kind == "bot")
    assert await archive.read(lambda c: list(c.execute(said).scalars())) == [reply]
    assert await archive.read(lambda c: list(c.execute(sa.select(turns.c.epoch)).scalars())) == [2]
    await archive.close()


def freeze(process: asyncio.subprocess.Process, archive: Path) -> None:
    """Stop the process, but not while it holds SQLite's one write lock, which nobody could take from it."""
    with contextlib.closing(sqlite3.connect(archive, timeout=0, isolation_level=None)) as other:
        while True:
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                process.send_signal(signal.SIGCONT)
            else:
                other.execute("ROLLBACK")
                return


@contextlib.asynccontextmanager
async def running(folder: Path, owner: str, task: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of `frozen.py`, which does not outlive the test."""
    words = ["-m", "tests.acceptance.frozen", str(folder), owner, task]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def told(process: asyncio.subprocess.Process, what: str) -> None:
    """Wait until the process says that."""
    assert process.stdout is not None
    async with asyncio.timeout(WAIT_S):
        while (line := await process.stdout.readline()) != f"{what}\n".encode():
            assert line, f"ended before it was {what}"


async def until_begun(ledger: Ledger, owner: str) -> None:
    """Wait until there is a half reply of that owner."""
    async with asyncio.timeout(WAIT_S):
        while not any(entry["text"].startswith(owner) for entry in ledger.entries()):  # noqa: ASYNC110 -- elsewhere
            await asyncio.sleep(LEASE_S / 100)
