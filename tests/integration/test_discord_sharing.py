"""What is done on Discord with something found: shown to all, gone on with; and the window for words."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.discord import found
from adapters.discord.platform import DiscordPlatform
from adapters.discord.posts import DiscordPosts
from bot.domain import SessionKey
from bot.recall import Recall
from bot.sharing import Sharing
from storage.archive.continuing import Continuations
from storage.archive.gestures import Gestures
from storage.archive.passing import PassedOver
from storage.hot import NoContext
from storage.search.finder import SqlFinder
from tests.databases import opened
from tests.fakes.core import HeldModel, Process
from tests.fakes.discord import FakeDiscord
from tests.fakes.discord_bot import Marks, turn_of
from tests.integration.test_discord_recall import READS, World

REFUSED = "not everybody who reads along here may open it"


class Stage(World):
    """As in the tests of recall, with a model whose prompts are seen."""

    model: HeldModel

    async def shown(self, person: int, channel: int, words: str) -> str:
        """Somebody finds something and reads around it; the token of that."""
        return await self.press(person, await self.recall(person, channel, words=words), "Read 1")

    def asides(self, channel: int) -> list[dict[str, Any]]:
        """What the bot posted outside of replies."""
        return [each for each in self.fake.messages(channel, by_bot=True) if found.is_aside(each)]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Stage]:
    async with (
        FakeDiscord(pace=100.0) as fake,
        opened(f"sqlite+aiosqlite:///{tmp_path}/archive.db") as database,
    ):
        guild = fake.guild()
        general, ops = fake.channel(guild, "general"), fake.channel(guild, "ops")
        ann, ben = fake.person("ann", "Ann"), fake.person("ben", "Ben")
        fake.guilds[guild].members |= {ann: [], ben: []}
        fake.deny(ops, READS, role=guild)
        fake.allow(ops, READS, user=ben)
        fake.allow(ops, READS, user=fake.bot.id)
        finder = SqlFinder(database)
        recall = Recall(finder, finder)
        sharing = Sharing(finder, finder, PassedOver(database), Continuations(database), Gestures(database))
        platform = DiscordPlatform(
            fake.token,
            Marks(),
            api_url=fake.api_url,
            identify_pause_s=0.05,
            guild_ready_s=0.05,
            recall=recall,
            sharing=sharing,
        )
        model = HeldModel()
        process = Process(database, NoContext(), platform, model)
        for each in (recall, process.recall):
            each.serve({"discord": platform})
        sharing.serve({"discord": platform})
        stage = Stage(fake, platform, process, guild, general, ops, ann, ben, set())
        stage.model = model
        try:
            await platform.open(process.service.handle, process.service.order)
            yield stage
            await platform.quiet()
            await process.settle()
        finally:
            await platform.close()
        assert fake.violations == []


# Showing to everybody.


async def test_it_asks_who_will_see_what_and_posts_only_after_a_yes(world: Stage) -> None:
    said = await world.ask(world.ann, world.general, "the **login** page @everyone")
    asking = await world.press(
        world.ben, await world.shown(world.ben, world.general, "login"), "Show in channel"
    )
    assert "Everybody who reads along in #general will see" in world.fake.answer(asking)
    assert world.asides(world.general) == []
    done = await world.press(world.ben, asking, "Show it to everybody")
    assert world.fake.answer(done) == "Everybody here can see it now."
    (post,) = world.asides(world.general)
    assert "**Ann**: " in post["content"]
    assert f"/{world.guild}/{world.general}/{said})" in post["content"]
    assert "-# Ben had this shown with recall" in post["content"]
    assert (post["mentions"], post["mention_everyone"]) == ([], False)


async def test_a_yes_that_comes_twice_posts_once(world: Stage) -> None:
    await world.ask(world.ann, world.general, "the login page")
    asking = await world.press(
        world.ben, await world.shown(world.ben, world.general, "login"), "Show in channel"
    )
    for _ in range(2):
        await world.press(world.ben, asking, "Show it to everybody")
    assert len(world.asides(world.general)) == 1


async def test_who_lost_the_right_between_question_and_yes_shows_nothing(world: Stage) -> None:
    await world.ask(world.ben, world.ops, "the login secret is plum")
    asking = await world.press(world.ben, await world.shown(world.ben, world.ops, "login"), "Show in channel")
    assert "plum" in world.fake.answer(asking)
    world.fake.deny(world.ops, READS, user=world.ben)
    done = await world.press(world.ben, asking, "Show it to everybody")
    assert REFUSED in world.fake.answer(done)
    assert world.asides(world.ops) == []


async def test_in_a_direct_message_nothing_is_offered_to_be_shown(world: Stage) -> None:
    await world.ask(world.ann, world.general, "the login page")
    shown = await world.shown(world.ann, world.fake.dm(world.ann), "login")
    assert "Show in channel" not in world.labels(shown)
    assert "Continue here" in world.labels(shown)


async def test_what_was_shown_is_never_taken_for_a_part_of_an_answer(world: Stage) -> None:
    thread = await world.ask(world.ann, world.general, "the login page")
    asking = await world.press(world.ann, await world.shown(world.ann, thread, "login"), "Show in channel")
    await world.press(world.ann, asking, "Show it to everybody")
    assert len(world.asides(thread)) == 1
    key = SessionKey("discord", str(world.guild), str(world.general), str(thread))
    platform = world.platform
    posts = DiscordPosts(platform._rest, platform._rooms, platform._places, turn_of(key, thread))
    ours = await posts.ours()
    assert int(world.asides(thread)[0]["id"]) not in ours


# Going on.


async def test_it_goes_on_in_a_new_thread_and_both_lead_to_each_other(world: Stage) -> None:
    old = await world.ask(world.ann, world.general, "the cat is called Fred")
    shown = await world.shown(world.ben, world.general, "cat")
    told = await world.press(world.ben, shown, "Continue here")
    (opening,) = world.asides(world.general)
    new = int(opening["id"])
    assert f"/{world.guild}/{world.general}/{new})" in world.fake.answer(told)
    assert "Ben goes on here with [an earlier conversation]" in opening["content"]
    assert world.fake.channels[new].parent == world.general
    (word,) = world.asides(old)
    assert f"/{world.guild}/{world.general}/{new})" in word["content"]
    world.fake.say(world.ben, new, "what is it called?")
    await world.fake.wait(lambda: "👍" in str(world.fake.messages(new, by_bot=True)))
    assert "Ann: the cat is called Fred" in str(world.model.prompts[-1])


async def test_an_archived_thread_is_not_woken_for_a_word(world: Stage) -> None:
    old = await world.ask(world.ann, world.general, "the cat is called Fred")
    shown = await world.shown(world.ben, world.general, "cat")
    world.fake.channels[old].archived = True
    await world.press(world.ben, shown, "Continue here")
    assert world.asides(old) == []
    assert len(world.asides(world.general)) == 1


async def test_what_is_private_goes_on_in_a_direct_message(world: Stage) -> None:
    await world.ask(world.ben, world.ops, "the cat is called Fred")
    dm = world.fake.dm(world.ben)
    told = await world.press(world.ben, await world.shown(world.ben, dm, "cat"), "Continue here")
    assert "It goes on" in world.fake.answer(told)
    world.fake.say(world.ben, dm, "what is it called?")
    await world.fake.wait(lambda: "👍" in str(world.fake.messages(dm, by_bot=True)))
    assert "Ben: the cat is called Fred" in str(world.model.prompts[-1])
    assert [each for each in world.fake.messages(world.ops, by_bot=True) if found.is_aside(each)] == []


async def test_without_the_right_to_open_threads_it_goes_on_by_reply(world: Stage) -> None:
    await world.ask(world.ann, world.general, "the cat is called Fred")
    shown = await world.shown(world.ben, world.general, "cat")
    world.fake.deny(world.general, ("create_public_threads",), user=world.fake.bot.id)
    await world.press(world.ben, shown, "Continue here")
    (opening,) = world.asides(world.general)
    world.fake.say(world.ben, world.general, "what is it called?", reply_to=int(opening["id"]))
    await world.fake.wait(lambda: len(world.model.prompts) == 2)
    assert "Ann: the cat is called Fred" in str(world.model.prompts[-1])
    await world.process.settle()


# The window.


async def test_from_the_menu_of_a_message_one_types_the_words_into_a_window(world: Stage) -> None:
    thread = await world.ask(world.ann, world.general, "the login page")
    opened = world.fake.menu(world.ben, world.general, "Recall", thread)
    await world.fake.wait(lambda: world.fake.interactions[opened].response is not None)
    token = world.fake.submit(world.ben, opened, " login ")
    await world.fake.wait(lambda: world.fake.answer(token))
    assert "the **login** page" in world.fake.answer(token)
    assert "Read 1" in world.labels(token)
    response = world.fake.interactions[token].response
    assert response is not None
    assert response["data"]["flags"] & 64
