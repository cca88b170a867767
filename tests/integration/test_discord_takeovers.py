"""Whoever takes a reply over on Discord finds its post, and takes no other post of the bot for it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from adapters.discord import buttons, rest
from adapters.posts import Showing
from bot.domain import Answer, Said, Turn
from bot.errors import PlatformUnavailable
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
        reply = await self.core.platform.open_reply(FakeJournal(self.turn()))
        return await reply._posts.create(1, HALF, showing)  # type: ignore[attr-defined]

    async def take_over(self) -> int | None:
        """The second owner brings the whole answer; where it is. Discord remembers nonces for minutes."""
        assert self.core.platform is not None
        self.fake.nonces.clear()
        reply = await self.core.platform.open_reply(FakeJournal(self.turn(taken_over=True)))
        (part,) = await reply.finish(Answer(WHOLE))
        return part.position

    def turn(self, *, taken_over: bool = False) -> Turn:
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


@pytest.mark.parametrize("showing", [Showing.GROWING, Showing.DONE])
async def test_a_try_of_which_nothing_is_known_is_made_again_under_its_nonce(
    fake: FakeDiscord, direct: Stage, monkeypatch: pytest.MonkeyPatch, showing: Showing
) -> None:
    """Carried out, though each answer was lost; and what history tells may lag behind."""
    monkeypatch.setattr(rest, "PAUSE_S", 0.0)
    dm, platform = int(direct.said.key.thread), direct.core.platform
    assert platform is not None
    posts = (await platform.open_reply(FakeJournal(direct.turn())))._posts  # type: ignore[attr-defined]
    fake.rest.cut_after += ["POST messages"] * rest.TRIES
    with pytest.raises(PlatformUnavailable):
        await posts.create(1, HALF, Showing.GROWING)
    await posts.create(1, HALF, showing)
    (post,) = fake.messages(dm, by_bot=True)
    assert post["components"] == buttons.below(showing, direct.said.message.position, str(dm))


@pytest.mark.parametrize("page", [100, 30])
async def test_a_post_is_found_behind_all_that_others_said(fake: FakeDiscord, page: int) -> None:
    """Where no thread can be opened; and a server may return fewer messages than it was asked for."""
    guild = fake.guild(bot_permissions=["view_channel", "send_messages", "read_message_history"])
    channel, ann, core = fake.channel(guild, "busy"), fake.person("ann"), Core(script=None)
    fake.rest.message_page = page
    async with connected(fake, core):
        fake.say(ann, channel, f"<@{fake.bot.id}> hi")
        await core.heard(1)
        for number in range(110):
            fake.say(ann, channel, f"chatter {number}", live=False)
        stage = Stage(fake, core, core.said[0])
        assert await stage.die() == await stage.take_over()
