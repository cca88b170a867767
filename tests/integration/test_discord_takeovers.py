"""Whoever takes a reply over on Discord finds its post, and takes no other post of the bot for it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from adapters.posts import Showing
from bot.domain import Answer, Said, Turn
from tests.fakes.discord import FakeDiscord
from tests.fakes.discord_bot import Core, connected, turn_of
from tests.fakes.posts import FakeJournal

HALF, WHOLE = "Half of the ans", "Half of the answer, and the rest."


@pytest.fixture
async def fake() -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord(pace=1_000.0) as discord:
        yield discord
        assert discord.violations == []


@dataclass
class Stage:
    """A question, and the owners of the turn that answers it."""

    fake: FakeDiscord
    core: Core
    said: Said

    async def die(self, showing: Showing = Showing.GROWING) -> int:
        """The first owner posts, and dies before its row is written; the post."""
        assert self.core.platform is not None
        reply = await self.core.platform.open_reply(FakeJournal(self._turn()))
        return await reply._posts.create(1, HALF, showing)  # type: ignore[attr-defined]

    async def take_over(self) -> int | None:
        """The second owner brings the whole answer; where it is. Discord remembers nonces for minutes."""
        assert self.core.platform is not None
        self.fake.nonces.clear()
        reply = await self.core.platform.open_reply(FakeJournal(self._turn(taken_over=True)))
        (part,) = await reply.finish(Answer(WHOLE))
        return part.position

    def _turn(self, *, taken_over: bool = False) -> Turn:
        turn = turn_of(self.said.key, self.said.message.position, taken_over=taken_over)
        return replace(turn, epoch=2 if taken_over else 1)

    def texts(self, channel: int) -> list[str]:
        return [post["content"] for post in self.fake.messages(channel, by_bot=True)]


@pytest.fixture
async def direct(fake: FakeDiscord) -> AsyncIterator[Stage]:
    ann, core = fake.person("ann"), Core(script=None)
    async with connected(fake, core):
        fake.say(ann, fake.dm(ann), "a question")
        await core.heard(1)
        yield Stage(fake, core, core.said[0])


async def test_a_sentence_for_one_person_is_not_taken_for_the_answer(
    fake: FakeDiscord, direct: Stage
) -> None:
    dm, platform = int(direct.said.key.thread), direct.core.platform
    assert platform is not None
    await platform.tell(direct.said.key, direct.said.message.author, "You are too fast for me.")
    assert await direct.die(Showing.STOPPED) == await direct.take_over()
    assert direct.texts(dm) == ["You are too fast for me.", WHOLE]


async def test_a_post_that_names_the_turn_is_preferred_to_one_that_names_none(
    fake: FakeDiscord, direct: Stage
) -> None:
    dm = int(direct.said.key.thread)
    fake.post(fake.bot.id, dm, "whatever an older bot said")
    assert await direct.die() == await direct.take_over()
    assert direct.texts(dm) == ["whatever an older bot said", WHOLE]
