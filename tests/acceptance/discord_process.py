"""Whole bots on the fake Discord: `python -m bot run` in processes of their own, with a fake model."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.fakes.discord import FakeDiscord
from tests.fakes.openai import FakeOpenAI

ROOT = Path(__file__).parents[2]
START_S = 40.0
"""A slow machine with many tests at once may take so long."""
WAIT_S = 40.0
LEASE_S = "2"


class World:
    """A Discord, a model, and the bots that run on them."""

    def __init__(self, discord: FakeDiscord, openai: FakeOpenAI, folder: Path) -> None:
        self.discord = discord
        self.openai = openai
        self.folder = folder
        self.log = folder / "log"
        self.guild = discord.guild()
        self.channel = discord.channel(self.guild, "general")
        self.ann = discord.person("ann", "Ann")
        self.running: list[asyncio.subprocess.Process] = []

    async def start(self, **settings: str) -> asyncio.subprocess.Process:
        """A bot, once it is connected."""
        before = len(self.discord.gateway.identifies)
        environment = {
            **os.environ,
            "DISCORD_TOKEN": self.discord.token,
            "OPENAI_API_KEY": "sk-fake",
            "OPENAI_BASE_URL": self.openai.url,
            "THREADFLY__DISCORD__API_URL": self.discord.api_url,
            "THREADFLY__DATA_DIR": str(self.folder),
            "THREADFLY__HTTP__PORT": "0",
            "THREADFLY__HOT__URL": "none",
            "THREADFLY__TURNS__LEASE_S": LEASE_S,
            "THREADFLY__ACCESS__PER_USER": "none",
            **settings,
        }
        with self.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bot", "run", cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        self.running.append(process)
        await self.discord.wait(lambda: len(self.discord.gateway.identifies) > before, START_S)
        return process

    async def kill(self, process: asyncio.subprocess.Process) -> None:
        """`kill -9`, and nothing that was held back reaches it any more."""
        process.kill()
        await process.wait()
        self.running.remove(process)
        self.discord.rest.release()
        self.openai.release()

    async def stop(self, process: asyncio.subprocess.Process) -> int:
        """SIGTERM; the exit code."""
        process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), WAIT_S)
        self.running.remove(process)
        return code

    def logged(self) -> str:
        """What the bots wrote so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def ask(self, text: str, channel: int = 0) -> int:
        """Ann mentions the bot; the message, which is also the thread's id."""
        return self.discord.say(self.ann, channel or self.channel, f"<@{self.discord.bot.id}> {text}")

    def posts(self, thread: int) -> list[dict[str, Any]]:
        """The bot's posts there."""
        return self.discord.messages(thread, by_bot=True)

    def texts(self, thread: int) -> list[str]:
        """What they read."""
        return [post["content"] for post in self.posts(thread)]

    async def answered(self, thread: int, number: int = 1) -> list[str]:
        """Wait until so many answers are whole; every text of the bot there."""

        def whole() -> bool:
            return sum("👍" in str(post["components"]) for post in self.posts(thread)) >= number

        await self.discord.wait(whole, WAIT_S)
        return self.texts(thread)


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """Everything, and nothing left running at the end."""
    async with AsyncExitStack() as stack:
        discord = await stack.enter_async_context(FakeDiscord(pace=50.0))
        openai = await stack.enter_async_context(FakeOpenAI())
        made = World(discord, openai, folder)
        try:
            yield made
        finally:
            discord.rest.release()
            openai.release()
            for process in made.running:
                process.kill()
                await process.wait()
        assert discord.violations == []
        logged = made.logged()
        assert not any(secret in logged for secret in (discord.token, "sk-fake", "Traceback"))
