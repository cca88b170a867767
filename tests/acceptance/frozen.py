"""A process of the core alone, on an archive and a wall that are files, so that several can share them.

    python -m tests.acceptance.frozen FOLDER OWNER ask      asks itself something, and answers slowly
    python -m tests.acceptance.frozen FOLDER OWNER sweep    answers what another process left behind

It says `rests` when nothing runs in it any more, and `answered` when it has closed a turn.
"""

import asyncio
import fcntl
import json
import sys
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

from adapters.pacing import Pace
from adapters.posts import Limits, Posts, Showing, Work
from adapters.reply import PacedReply
from bot.domain import Addressed, Chunk, Delta, Finished, Prompt, Said, SessionKey, Usage
from bot.ports import Journal, Reply
from storage.database import SqliteDatabase
from storage.hot import NoContext
from tests.fakes.core import HeldModel, Process, Wall
from tests.integration.test_service import message

LEASE_S = 2.0
WORDS = 400
PACE_S = 0.02
"""Between two words: the whole answer takes four times a lease."""
SWEEP_S = 0.1
KEY = SessionKey("web", "w", "c", "1")


class Ledger:
    """What was posted, one line each, in a file that processes share."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, text: str, position: int | None) -> int:
        with self._path.open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            position = position or 1_000_000 + sum(1 for _ in file)
            file.write(json.dumps({"position": position, "text": text}) + "\n")
        return position

    def entries(self) -> list[dict[str, Any]]:
        """Every post and every change, in order."""
        if not self._path.exists():
            return []
        lines = self._path.read_text(encoding="utf-8").split("\n")
        return [json.loads(line) for line in lines[:-1]]

    def posts(self) -> dict[int, str]:
        """What people read now."""
        return {entry["position"]: entry["text"] for entry in self.entries()}


class LedgerPosts(Posts):
    limits = Limits(post_length=100_000)

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def create(self, number: int, text: str, showing: Showing) -> int:
        return self._ledger.write(text, None)

    async def change(self, position: int, text: str, showing: Showing) -> None:
        self._ledger.write(text, position)

    async def remove(self, position: int) -> None:
        raise AssertionError("a reply here is one post")

    async def create_file(self, number: int, name: str, content: str) -> int:
        raise AssertionError("a reply here is one post")

    async def ours(self) -> Sequence[int]:
        return sorted(self._ledger.posts())

    async def working(self, work: Work) -> None: ...


class LedgerWall(Wall):
    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger

    async def open_reply(self, journal: Journal) -> Reply:
        reply = PacedReply(LedgerPosts(self._ledger), journal, Pace(least_s=PACE_S, most_s=PACE_S))
        await reply.open()
        return reply


class Talker(HeldModel):
    """Says who it is; the one that asks takes its time."""

    def __init__(self, owner: str, pace_s: float) -> None:
        super().__init__()
        self._owner, self._pace_s = owner, pace_s

    async def stream(self, prompt: Prompt, name: str) -> AsyncGenerator[Chunk, None]:
        yield Delta(f"{self._owner} says")
        for number in range(WORDS):
            await asyncio.sleep(self._pace_s)
            yield Delta(f" {number}")
        yield Finished(Usage())


async def main(folder: Path, owner: str, task: str) -> None:
    archive = SqliteDatabase(folder / "archive.db")
    wall = LedgerWall(Ledger(folder / "wall"))
    model = Talker(owner, PACE_S if task == "ask" else 0.0)
    process = Process(archive, NoContext(), wall, model, owner=owner, lease_s=LEASE_S)
    renewing = asyncio.create_task(process.keeper.renewing())
    if task == "ask":
        said = Said(KEY, message(1, "Who are you?"), Addressed.MENTION, opens_thread=True)
        await process.service.handle(said)
        await process.settle()
        print("rests", flush=True)
    else:
        while not await process.runner.sweep():  # noqa: ASYNC110 -- another process does it
            await asyncio.sleep(SWEEP_S)
        await process.settle()
        print("answered", flush=True)
    await renewing


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
