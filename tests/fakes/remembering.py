"""The playground with a whole core behind it, over an archive of its own."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from adapters.web.platform import WebPlatform
from bot.recall import Recall
from bot.sharing import Sharing
from storage.archive.continuing import Continuations
from storage.archive.gestures import Gestures
from storage.archive.passing import PassedOver
from storage.hot import NoContext
from storage.search.finder import SqlFinder
from tests.databases import opened
from tests.fakes.core import Answering, HeldModel, Process, taking_from
from tests.fakes.playground import Marks, page_server


@dataclass(frozen=True, slots=True)
class Playground:
    """One that is being served."""

    url: str
    platform: WebPlatform
    process: Process
    model: HeldModel

    async def say(self, person: str, channel: str, text: str, root: int | None = None) -> int:
        """Post it, and wait until it was answered; its position."""
        post = await self.platform.room.say(person, channel, root, text)
        answered = post.root or post.position
        direct = channel.startswith("dm-")
        while True:
            page = await self.platform.room.page(channel, None if direct else answered, None, 50)
            if any(
                each.position > post.position and each.mark and each.mark.showing == "done" for each in page
            ):
                return post.position
            await self.process.settle()


@contextlib.asynccontextmanager
async def remembering(folder: Path, model: Answering | None = None) -> AsyncIterator[Playground]:
    """A playground whose bot answers, archives and recalls."""
    async with opened(f"sqlite+aiosqlite:///{folder}/archive.db") as database:
        finder = SqlFinder(database)
        recall, taker = Recall(finder, finder), taking_from(database)
        sharing = Sharing(finder, finder, PassedOver(database), Continuations(database), Gestures(database))
        platform = WebPlatform(folder, Marks(), recall=recall, taker=taker, sharing=sharing)
        sharing.serve({"web": platform})
        model = model or HeldModel()
        process = Process(database, NoContext(), platform, model)
        for each in (recall, process.recall):
            each.serve({"web": platform})
        for taking in (taker, process.taking):
            taking.serve({"web": platform})
        async with page_server(platform) as server:
            await platform.open(process.service.handle, process.service.order)
            try:
                yield Playground(server.url, platform, process, model)
            finally:
                await platform.quiet()
                await process.settle()
                await platform.close()
