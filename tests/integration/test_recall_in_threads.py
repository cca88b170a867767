"""`recall` after a mention, and as a command: answered to who asked, and no part of the thread."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot import words
from bot.domain import (
    Addressed,
    Author,
    Deleted,
    Edited,
    History,
    Message,
    Order,
    Receipt,
    Role,
    Said,
    SessionKey,
)
from bot.errors import PlatformUnavailable
from bot.finding import Known, Page, Place, Question, Readable, Showing
from storage.database import Database
from storage.hot import NoContext
from storage.tables import messages
from tests.databases import opened
from tests.fakes.core import HeldModel, Process, Wall
from tests.fakes.library import Library

KEY = SessionKey("web", "w", "c", "1")
ANN, JOE = Author("U1", "Ann"), Author("U2", "Joe")
T0 = datetime(2026, 1, 1, tzinfo=UTC)


def said(position: int, text: str, addressed: Addressed = Addressed.MENTION, by: Author = ANN) -> Said:
    return Said(KEY, Message(position, by, text, T0 + timedelta(seconds=position)), addressed)


class Frame(Wall, Showing):
    """A wall that can show pages."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[tuple[Question, Page]] = []

    async def show_found(self, question: Question, page: Page) -> None:
        self.shown.append((question, page))


class World:
    """One process, whose platform everybody may read."""

    def __init__(self, database: Database, wall: Wall) -> None:
        self.database, self.wall, self.model = database, wall, HeldModel()
        self.process = Process(database, NoContext(), wall, self.model)
        self.library = Library(shared={Place("web", "w", "c"): "#c"})
        self.process.recall.serve({"web": self.library})

    async def say(self, *all_said: Said) -> list[Receipt]:
        receipts = [await self.process.service.handle(each) for each in all_said]
        await self.process.settle()
        return receipts

    async def archived(self) -> list[str]:
        rows = await self.database.read(
            lambda c: c.execute(sa.select(messages.c.text).order_by(messages.c.position)).all()
        )
        return [row.text for row in rows]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/archive.db") as database:
        yield World(database, Wall())


async def test_the_answer_is_for_who_asked_and_the_thread_goes_on_without_it(world: World) -> None:
    await world.say(said(1, "the login page is slow"))
    assert await world.say(said(2, "Recall  login")) == [Receipt.KEPT]
    (told,) = world.wall.told
    assert "the **login** page is slow" in told
    assert await world.archived() == ["the login page is slow", "answer 1"]
    await world.say(said(3, "go on", Addressed.THREAD))
    (*_, last) = world.model.prompts
    assert not any("Recall" in each.text for each in last.messages if each.role is Role.USER)
    assert len(world.wall.replies(KEY)) == 2


async def test_however_often_it_is_delivered_it_is_answered_once(world: World) -> None:
    await world.say(said(1, "tea"), said(2, "recall tea"), said(2, "recall tea"))
    await world.say(said(2, "recall tea"))
    assert len(world.wall.told) == 1


async def test_what_is_found_when_catching_up_is_not_answered_any_more(world: World) -> None:
    await world.say(replace(said(2, "recall tea"), answer=False))
    assert (world.wall.told, await world.archived()) == ([], [])


@pytest.mark.parametrize("text", ["recall tea", "catch up", "export", "forget me"])
async def test_what_catching_up_only_met_is_answered_once_when_it_is_delivered(
    database: Database, text: str
) -> None:
    world, met, delivered = World(database, Wall()), replace(said(2, text), answer=False), said(2, text)
    await world.say(said(1, "tea"), met, met)
    assert world.wall.told == []
    await world.say(delivered, delivered, met, delivered)
    assert len(world.wall.told) == 1
    assert text not in await world.archived()


async def test_what_was_deleted_before_it_is_delivered_is_not_answered(database: Database) -> None:
    world = World(database, Wall())
    await world.say(said(1, "tea"), replace(said(2, "recall tea"), answer=False))
    await world.process.service.handle(Deleted(KEY, 2))
    await world.say(said(2, "recall tea"))
    assert world.wall.told == []


async def test_neither_an_edit_nor_history_brings_the_question_into_the_thread(world: World) -> None:
    await world.say(said(2, "recall tea"))
    edited = replace(said(2, "recall coffee").message, edited_at=T0 + timedelta(days=1))
    await world.process.service.handle(Edited(KEY, edited, Addressed.MENTION))
    world.wall.past = History((said(2, "recall tea").message,), whole=True)
    await world.say(said(3, "hello"))
    assert await world.archived() == ["hello", "answer 1"]


async def test_only_who_speaks_to_the_bot_looks_something_up(world: World) -> None:
    await world.say(said(1, "hello"))
    await world.say(said(2, "recall that we meet at nine", Addressed.THREAD, JOE))
    assert world.wall.told == []
    assert "recall that we meet at nine" in await world.archived()


async def test_a_platform_that_can_shows_the_page_itself(tmp_path: Path) -> None:
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/archive.db") as database:
        wall = Frame()
        world = World(database, wall)
        await world.say(said(1, "tea"), said(5, "recall tea"))
        ((question, page),) = wall.shown
        assert (question.at, question.by.id, question.words) == (KEY, "U1", "tea")
        assert len(page.found) == 1
        await world.say(said(6, "recall before:whenever"))
        assert "before:whenever" in wall.told[0]


async def test_as_a_command_the_answer_is_a_text(world: World) -> None:
    await world.say(said(1, "the login page is slow"))
    text = await world.process.service.order(Order(KEY, JOE, "recall login"))
    assert "the **login** page is slow" in text
    assert "with you" in await world.process.service.order(Order(KEY, JOE, "/recall"))


async def test_a_platform_that_cannot_be_asked_gets_its_sentence_told(world: World) -> None:
    class Shut(Library):
        async def places(self, asker: Author, at: SessionKey, known: Known) -> Readable:
            raise PlatformUnavailable("The platform does not answer. Try again in a moment.")

    world.process.recall.serve({"web": Shut()})
    await world.say(said(2, "recall tea"))
    assert world.wall.told == ["The platform does not answer. Try again in a moment."]


async def test_help_names_it() -> None:
    assert "`recall WORDS`" in words.HELP
