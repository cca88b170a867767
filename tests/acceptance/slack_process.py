"""Whole bots on the fake Slack: `python -m bot run` in processes of their own, with a fake model."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.fakes.openai import FakeOpenAI
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.server import APP_TOKEN, BOT, BOT_TOKEN, CHANNEL, CONFIG_TOKEN

ROOT = Path(__file__).parents[2]
START_S = 60.0
"""A slow machine with many tests at once may take so long."""
WAIT_S = 60.0
LEASE_S = "2"
GOOD = "threadfly_good"


class World:
    """A Slack, a model, and the bots that run on them."""

    def __init__(self, slack: FakeSlack, openai: FakeOpenAI, folder: Path) -> None:
        self.slack = slack
        self.openai = openai
        self.folder = folder
        self.running: list[asyncio.subprocess.Process] = []
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the world

    async def start(self, *, connections: int = 2, **settings: str) -> asyncio.subprocess.Process:
        """A bot, once its connections are open."""
        before = self.slack.deliveries.opened
        process = await self._threadfly("run", stdout=self.log, **settings)
        self.running.append(process)
        await self.slack.until(lambda: self.slack.deliveries.opened >= before + connections, START_S)
        return process

    async def says(self, *words: str, **settings: str) -> str:
        """What a command prints, beside the bots that run."""
        process = await self._threadfly(*words, stdout=asyncio.subprocess.PIPE, **settings)
        printed, _ = await asyncio.wait_for(process.communicate(), WAIT_S)
        return printed.decode()

    async def _threadfly(self, *words: str, stdout: Any, **settings: str) -> asyncio.subprocess.Process:
        environment = {
            **os.environ,
            "SLACK_BOT_TOKEN": BOT_TOKEN,
            "SLACK_APP_TOKEN": APP_TOKEN,
            "OPENAI_API_KEY": "sk-fake",
            "OPENAI_BASE_URL": self.openai.url,
            "THREADFLY__SLACK__API_URL": self.slack.api_url,
            "THREADFLY__DATA_DIR": str(self.folder),
            "THREADFLY__HTTP__PORT": "0",
            "THREADFLY__HOT__URL": "none",
            "THREADFLY__TURNS__LEASE_S": LEASE_S,
            "THREADFLY__ACCESS__PER_USER": "none",
            **settings,
        }
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", *words, cwd=ROOT, env=environment, stdout=stdout, stderr=self.log
        )

    async def kill(self, process: asyncio.subprocess.Process) -> None:
        """`kill -9`, and nothing that was held back reaches it any more."""
        process.kill()
        await process.wait()
        self.running.remove(process)
        self.slack.release()
        self.openai.release()

    async def stop(self, process: asyncio.subprocess.Process) -> int:
        """SIGTERM; the exit code."""
        process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), WAIT_S)
        self.running.remove(process)
        return code

    def logged(self) -> str:
        """What the bots wrote so far."""
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def ask(self, text: str, **where: Any) -> str:
        """Alice mentions the bot; the message, which is also the thread when it opens one."""
        return self.slack.say(f"<@{BOT}> {text}", **where)

    def posts(self, thread: str, channel: str = CHANNEL) -> list[dict[str, Any]]:
        """The bot's posts there."""
        return self.slack.thread(thread, channel=channel)

    def texts(self, thread: str, channel: str = CHANNEL) -> list[str]:
        """What they read."""
        return [read(post) for post in self.posts(thread, channel)]

    async def answered(self, thread: str, number: int = 1, channel: str = CHANNEL) -> list[str]:
        """Wait until so many answers are whole; every text of the bot there."""

        def whole() -> bool:
            return sum(GOOD in str(post["blocks"]) for post in self.posts(thread, channel)) >= number

        await self.slack.until(whole, WAIT_S)
        return self.texts(thread, channel)


def read(post: dict[str, Any]) -> str:
    """What a person reads of a post."""
    markdown = "".join(block["text"] for block in post["blocks"] if block["type"] == "markdown")
    return markdown or str(post["text"])


@asynccontextmanager
async def world(folder: Path, *, scale: float = 0.02, **options: Any) -> AsyncIterator[World]:
    """Everything, and nothing left running at the end."""
    async with AsyncExitStack() as stack:
        slack = await FakeSlack(scale=scale, **options).start()
        stack.push_async_callback(slack.close)
        openai = await stack.enter_async_context(FakeOpenAI())
        made = World(slack, openai, folder)
        stack.callback(made.log.close)
        try:
            yield made
        finally:
            slack.release()
            openai.release()
            for process in made.running:
                process.kill()
                await process.wait()
        assert slack.violations == []
        logged = made.logged()
        assert not any(
            secret in logged for secret in (BOT_TOKEN, APP_TOKEN, CONFIG_TOKEN, "sk-fake", "ticket=")
        )
