"""A whole bot as a process of its own, with nothing but the playground, which is talked to over HTTP."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).parents[2]
WAIT_S = 60.0
"""A slow machine with many tests at once may take so long."""
POLL_S = 0.02
READY = re.compile(r"Open (http://\S+) in a browser")
ENDED = {"done", "failed", "stopped"}
"""What a whole reply is shown as."""
INHERITED = ("PATH", "HOME", "TMPDIR", "XDG_RUNTIME_DIR", "LD_LIBRARY_PATH")

Post = dict[str, Any]


class Bot:
    """`python -m bot run` in a folder, started as often as a test likes. Its log is one file."""

    def __init__(self, folder: Path, http: aiohttp.ClientSession, **settings: str) -> None:
        self.folder = folder
        self.settings = settings
        self.url = ""
        self.process: asyncio.subprocess.Process | None = None
        self._http = http
        self._log = folder / "bot.log"

    def log(self) -> str:
        """What every process wrote so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    async def start(self) -> None:
        """Start a process; returns once it says that it is ready."""
        before = len(self.log())
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bot",
                "run",
                cwd=self.folder,
                env={**inherited, "PYTHONPATH": str(ROOT), "THREADFLY__HTTP__PORT": "0", **self.settings},
                stdout=log,
                stderr=log,
            )
        self.url = await self._until(lambda: READY.search(self.log(), before))

    async def _until(self, ready: Callable[[], re.Match[str] | None]) -> str:
        assert self.process is not None
        async with asyncio.timeout(WAIT_S):
            while (found := ready()) is None:
                assert self.process.returncode is None, self.log()
                await asyncio.sleep(POLL_S)
        return found[1]

    async def kill(self) -> None:
        """`kill -9`."""
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def end(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), WAIT_S)

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request to the playground; the answer, whatever its status."""
        joint = "&" if "?" in path else "?"
        async with self._http.request(method, f"{self.url}{path}{joint}as=ann", json=body) as response:
            return await response.json()

    async def say(self, text: str, root: int | None = None, **more: Any) -> int:
        """Ann says something in #general; its position, which is also the thread that a mention opens."""
        said = await self.call("POST", "/api/posts/general", {"text": text, "root": root, **more})
        return int(said["post"]["position"])

    async def posts(self, root: int) -> list[Post]:
        """The posts of a thread, the first one too."""
        shown = await self.call("GET", f"/api/posts/general?root={root}")
        return list(shown["posts"])

    async def replies(self, root: int) -> list[Post]:
        """Those of the bot."""
        return [post for post in await self.posts(root) if post["author"] == "threadfly"]

    async def answered(self, root: int, count: int = 1) -> list[str]:
        """The bot's replies there, once there are `count` that are whole and none that grows."""
        replies = await self.until(root, lambda posts: _whole(posts, count))
        return [post["text"] for post in replies]

    async def until(self, root: int, happens: Callable[[list[Post]], bool]) -> list[Post]:
        """The bot's replies there, as soon as they are as `happens` wants them."""
        replies: list[Post] = []
        try:
            async with asyncio.timeout(WAIT_S):
                while not happens(replies := await self.replies(root)):  # noqa: ASYNC110 -- elsewhere
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise AssertionError(f"still {replies}\n{self.log()}") from None
        return replies


def _whole(posts: list[Post], count: int) -> bool:
    return len(posts) >= count and all(post["showing"] in ENDED for post in posts)


@asynccontextmanager
async def bot(folder: Path, **settings: str) -> AsyncIterator[Bot]:
    """A bot that runs, and does not at the end."""
    async with aiohttp.ClientSession() as http:
        made = Bot(folder, http, **settings)
        try:
            await made.start()
            yield made
        finally:
            if made.process is not None and made.process.returncode is None:
                await made.kill()
