"""What a newcomer does: starts the bot in an empty folder, talks to it, and finds that it remembers."""

import asyncio
import os
import re
import signal
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.acceptance.browser import browser, context, page
from tests.acceptance.process import Bot, Post, bot
from tests.hot_servers import raw_client, send

__all__ = ["browser", "context", "page"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

QUICK_LEASE = {"THREADFLY__TURNS__LEASE_S": "1"}
STREAMED = 40
"""Characters after which an answer of the offline model is surely not whole."""


def begun(posts: list[Post]) -> bool:
    return bool(posts) and len(posts[-1]["text"]) >= STREAMED


async def test_it_goes_on_after_kill_9_with_its_memory(tmp_path: Path) -> None:
    async with bot(tmp_path, **QUICK_LEASE) as made:
        root = await made.say("@threadfly Hello")
        (first,) = await made.answered(root)
        assert "I see 1 message" in first
        await made.say("My name is Joe", root)
        await made.answered(root, 2)
        await made.kill()
        await made.start()
        await made.say("What is my name?", root)
        elsewhere = await made.say("@threadfly What is my name?")
        answers = await made.answered(root, 3)
        assert len(answers) == 3
        assert answers[-1].startswith("Your name is Joe.")
        assert "I see 5 messages" in answers[-1]
        (answer,) = await made.answered(elsewhere)
        assert answer.startswith("You have not told me"), "threads do not know each other"


async def test_killed_in_mid_sentence_it_finishes_in_place_and_answers_what_waited(tmp_path: Path) -> None:
    async with bot(tmp_path, THREADFLY__LOGS__LEVEL="debug", **QUICK_LEASE) as made:
        root = await made.say("@threadfly Show me code")
        (half,) = await made.until(root, begun)
        await made.say("My name is Joe, my word is sesame", root)
        await made.say("What is my name?", root)
        await made.kill()
        await made.start()
        await made.answered(root, 2)
        whole, answer = await made.replies(root)
        assert whole["position"] == half["position"]
        assert len(whole["text"]) > len(half["text"])
        assert answer["text"].startswith("Your name is Joe."), "what came meanwhile is answered together"
        assert await made.end() == 0
        assert "taken over" in made.log()
        assert "sesame" not in made.log()
        assert "Traceback" not in made.log()


async def test_told_to_end_it_finishes_what_it_writes(tmp_path: Path) -> None:
    async with bot(tmp_path) as made:
        root = await made.say("@threadfly Show me code")
        await made.until(root, begun)
        assert await made.end() == 0
        await made.start()
        (post,) = await made.replies(root)
        assert post["showing"] == "done"
        assert "taken over" not in made.log()


async def test_told_to_end_with_no_time_left_it_hands_over(tmp_path: Path) -> None:
    async with bot(tmp_path, THREADFLY__TURNS__GRACE_S="0", THREADFLY__TURNS__LEASE_S="600") as made:
        root = await made.say("@threadfly Show me code")
        (half,) = await made.until(root, begun)
        assert await made.end() == 0
        await made.start()
        (whole,) = await made.answered(root)
        assert len(whole) > len(half["text"])


async def test_the_hot_context_may_be_emptied_and_killed_between_messages(tmp_path: Path) -> None:
    async with bot(tmp_path) as made:
        root = await made.say("@threadfly My name is Joe")
        await made.answered(root)
        await flush(made)
        await made.say("What is my name?", root)
        answers = await made.answered(root, 2)
        assert answers[-1].startswith("Your name is Joe.")
        os.kill(int(hot_server(made)[0]), signal.SIGKILL)
        await made.say("What is my name?", root)
        answers = await made.answered(root, 3)
        assert answers[-1].startswith("Your name is Joe.")
        assert "I see 5 messages" in answers[-1]


def hot_server(made: Bot) -> tuple[str, str]:
    """The embedded server's process and its socket, as the log tells them."""
    found: list[tuple[str, str]] = re.findall(r"hot_embedded_started pid=(\d+) socket=(\S+)", made.log())
    return found[-1]


async def flush(made: Bot) -> None:
    client = raw_client(f"unix://{hot_server(made)[1]}")
    assert await send(client, "DBSIZE") > 0
    await send(client, "FLUSHALL")
    await client.aclose()


async def test_bad_input_is_taken_or_refused_with_a_sentence(tmp_path: Path) -> None:
    async with bot(tmp_path) as made:
        root = await made.say("@threadfly a\0b \ud800 c")
        (answer,) = await made.answered(root)
        assert "�" in answer
        assert "\0" not in answer
        shown = await made.call("GET", "/api/room")
        most = shown["limits"]["chars"]
        long = "@threadfly " + "word " * 40_000
        told = await made.call("POST", "/api/posts/general", {"text": long})
        if len(long) <= most:
            (answer,) = await made.answered(told["post"]["position"])
            assert "I see 1 message" in answer
        else:
            assert "characters" in told["sorry"]
        odd = {"text": "@threadfly hi", "nonce": "\ud800", "root": 10**30, "files": ["\ud800"]}
        assert "sorry" in await made.call("POST", "/api/posts/general", odd)
        bare = await made.say("@threadfly")
        (helped,) = await made.answered(bare)
        assert "mention me" in helped
        assert made.process is not None
        assert made.process.returncode is None


async def test_the_same_in_a_browser(page: Page, tmp_path: Path) -> None:
    async with bot(tmp_path, **QUICK_LEASE) as made:
        port = made.url.rpartition(":")[2]
        await page.goto(made.url)
        box = page.get_by_role("combobox", name="Message #general")
        await box.fill("@threadfly Hello")
        await page.keyboard.press("Enter")
        thread = page.locator("#thread .message")
        await expect(thread).to_have_count(2)
        await expect(thread.last).to_contain_text("I see 1 message")
        await expect(thread.last.get_by_role("button", name="Stop")).to_have_count(0)
        reply = page.get_by_role("combobox", name="Reply")
        await reply.fill("My name is Joe")
        await page.keyboard.press("Enter")
        await expect(thread).to_have_count(4)
        await expect(thread.last).to_contain_text("stand-in")
        await made.kill()
        made.settings["THREADFLY__HTTP__PORT"] = port
        await asyncio.gather(made.start(), reply.fill("What is my name?"))
        await page.keyboard.press("Enter")
        await expect(thread).to_have_count(6)
        await expect(thread.last).to_contain_text("Your name is Joe.")
