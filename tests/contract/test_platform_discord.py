"""Discord keeps the promises of platforms, over the real discord.py and a fake Discord's sockets."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from adapters.discord.platform import DiscordPlatform
from bot.domain import Author, Button, Said, SessionKey
from tests.contract.platform_contract import Heard, PlatformContract, Shown
from tests.fakes.discord import FakeDiscord
from tests.fakes.discord_bot import Marks

LABELS = {Button.STOP: "Stop", Button.AGAIN: "Try again", Button.GOOD: "👍", Button.BAD: "👎"}


class DiscordHarness:
    """A guild with one channel, a person in it, and the bot."""

    post_length = 2_000

    def __init__(self, fake: FakeDiscord, platform: DiscordPlatform) -> None:
        self.fake = fake
        self.platform = platform
        self.heard = Heard()
        self.ann = fake.person("ann", "Ann")
        self.person = Author(str(self.ann), "Ann")
        self.channel = fake.channel(fake.guild(), "general")

    async def say(
        self, text: str, *, to_bot: bool = False, thread: SessionKey | None = None, file: bytes | None = None
    ) -> int:
        place = self._place(thread) if thread else self.channel
        content = f"<@{self.fake.bot.id}> {text}" if to_bot else text
        files = [("notes.txt", "text/plain", file)] if file is not None else []
        return self.fake.say(self.ann, place, content, files=files)

    def _place(self, key: SessionKey) -> int:
        return int(key.thread) if int(key.thread) in self.fake.channels else int(key.channel)

    def _place_of(self, said: Said) -> int:
        """The starter message of a thread lives in the channel."""
        in_channel = said.message.position in self.fake.channels[self.channel].messages
        return self.channel if in_channel else self._place(said.key)

    async def edit(self, said: Said, text: str) -> None:
        self.fake.edit(self._place_of(said), said.message.position, text)

    async def delete(self, said: Said) -> None:
        self.fake.delete(self._place_of(said), said.message.position)

    async def press(self, key: SessionKey, position: int, button: Button) -> None:
        self.fake.press(self.ann, self._place(key), position, LABELS[button])

    async def posts(self, key: SessionKey) -> list[Shown]:
        return [self._shown(post) for post in self.fake.messages(self._place(key), by_bot=True)]

    def _shown(self, post: dict[str, object]) -> Shown:
        files = post["attachments"]
        assert isinstance(files, list)
        if not files:
            return Shown(int(str(post["id"])), str(post["content"]))
        path = files[0]["url"].removeprefix(self.fake.files_base)
        return Shown(int(str(post["id"])), self.fake.files[path][1].decode(), files[0]["filename"])

    async def kill(self, key: SessionKey, position: int) -> None:
        self.fake.delete(self._place(key), position)

    def throttle(self, calls: int, retry_after_s: float) -> None:
        async def refuse() -> web.Response:
            return self.fake.rest.limited(retry_after_s)

        for _ in range(calls):
            self.fake.rest.faults.append(("POST messages", refuse))
            self.fake.rest.faults.append(("PATCH message", refuse))

    def cut(self) -> None:
        self.fake.rest.cut_after.append("POST messages")

    async def pings(self) -> list[str]:
        return self.fake.pings

    async def told(self) -> list[str]:
        return [post["content"] for post in self.fake.messages(self.fake.dm(self.ann), by_bot=True)]


class TestDiscord(PlatformContract):
    @pytest.fixture
    async def harness(self) -> AsyncIterator[DiscordHarness]:
        async with FakeDiscord(pace=100.0) as fake:
            platform = DiscordPlatform(
                fake.token, Marks(), api_url=fake.api_url, identify_pause_s=0.05, guild_ready_s=0.05
            )
            harness = DiscordHarness(fake, platform)
            await platform.open(harness.heard.handle, harness.heard.take)
            yield harness
            await platform.quiet()
            await platform.close()
            assert fake.violations == []
