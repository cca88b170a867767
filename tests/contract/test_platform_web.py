"""The playground keeps the promises of platforms, with the real room behind it."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from adapters.web.ledger import Post
from adapters.web.news import News, Note
from adapters.web.platform import WebPlatform
from adapters.web.room import MOST_BOT_CHARS
from adapters.web.translate import root_of
from bot.domain import Author, Button, Said, SessionKey
from tests.contract.platform_contract import Heard, PlatformContract, Shown
from tests.fakes.playground import Marks, page_server

MOST_POSTS = 100


class PlaygroundHarness:
    """A room with people in it, one of whom speaks in #general."""

    post_length = MOST_BOT_CHARS

    def __init__(self, platform: WebPlatform, url: str, visitor: aiohttp.ClientSession) -> None:
        self.platform = platform
        self.heard = Heard()
        self.person = Author("ann", "Ann")
        self._room = platform.room
        self._url = url
        self._visitor = visitor
        self._notes: list[str] = []
        self._room.listen(self._hear)

    def _hear(self, news: News) -> None:
        if isinstance(news, Note) and news.to == self.person.id:
            self._notes.append(news.text)

    async def say(
        self, text: str, *, to_bot: bool = False, thread: SessionKey | None = None, file: bytes | None = None
    ) -> int:
        words = f"@threadfly {text}" if to_bot else text
        root = None if thread is None else root_of(thread)
        files: tuple[str, ...] = ()
        if file is not None:
            files = ((await self._room.upload("ann", "notes.txt", "text/plain", file)).id,)
        return (await self._room.say("ann", "general", root, words, files)).position

    async def edit(self, said: Said, text: str) -> None:
        await self._room.edit("ann", said.message.position, text)

    async def delete(self, said: Said) -> None:
        await self._room.delete("ann", said.message.position)

    async def press(self, key: SessionKey, position: int, button: Button) -> None:
        address = f"{self._url}/api/post/{position}/press?as=ann"
        async with self._visitor.post(address, json={"button": button.value}) as answer:
            assert answer.status == 200

    async def posts(self, key: SessionKey) -> list[Shown]:
        page = await self._room.page(key.channel, root_of(key), None, MOST_POSTS)
        return [await self._shown(post) for post in page if post.mark is not None and not post.deleted]

    async def _shown(self, post: Post) -> Shown:
        if not post.files:
            return Shown(post.position, post.text)
        content = await self._room.content(post.files[0].id)
        return Shown(post.position, (content or b"").decode(), post.files[0].name)

    async def kill(self, key: SessionKey, position: int) -> None:
        await self._room.delete("joe", position)

    def throttle(self, calls: int, retry_after_s: float) -> None:
        pytest.skip("the room takes as many calls as come")

    def cut(self) -> None:
        pytest.skip("there is no connection between the bot and the room: both are one process")

    async def pings(self) -> list[str]:
        return []  # the room notifies nobody, whatever a text says

    async def told(self) -> list[str]:
        return self._notes


class TestPlayground(PlatformContract):
    @pytest.fixture
    async def harness(self, tmp_path: Path) -> AsyncIterator[PlaygroundHarness]:
        platform = WebPlatform(tmp_path, Marks())
        async with page_server(platform) as server, aiohttp.ClientSession() as visitor:
            harness = PlaygroundHarness(platform, server.url, visitor)
            await platform.open(harness.heard.handle, harness.heard.take)
            yield harness
            await platform.quiet()
            await platform.close()
