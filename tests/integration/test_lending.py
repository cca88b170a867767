"""`archive.mode: distributed`: what was only read on a platform serves for an hour, and is given back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.carry import scope_of, write_out
from bot.core import retention
from bot.domain import (
    Addressed,
    Author,
    Block,
    Button,
    Edited,
    History,
    Message,
    Pressed,
    Receipt,
    Said,
    SessionKey,
)
from bot.errors import ModelUnavailable
from bot.finding import Page, Place, Question
from bot.lending import LENT_S, Returning
from bot.printed import Jsonl
from bot.settings import load_settings
from storage.archive.carrying import Carrying
from storage.archive.lending import Lending
from storage.database import Database
from storage.hot import NoContext
from storage.tables import messages, parts, sessions, turns
from tests.fakes.core import HeldModel, Process, Wall
from tests.fakes.library import Library

KEY = SessionKey("web", "w", "c", "1")
ANN = Author("U1", "Ann")
T0 = datetime.now(UTC) - timedelta(minutes=1)


def later() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=LENT_S + 60)


def message(position: int, text: str) -> Message:
    return Message(position, ANN, text, T0 + timedelta(microseconds=min(position, 10_000_000)))


def said(position: int, text: str, addressed: Addressed = Addressed.MENTION, *, read: bool = False) -> Said:
    return Said(KEY, message(position, text), addressed, read=read)


class Windows(NoContext):
    """Remembers which windows were dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.dropped: list[int] = []

    async def drop(self, session_id: int) -> None:
        self.dropped.append(session_id)


class World:
    """One process in distributed mode; when things are given back, it is an hour later."""

    def __init__(self, database: Database, lent_s: float | None = LENT_S) -> None:
        self.database, self.wall, self.model, self.hot = database, Wall(), HeldModel(), Windows()
        self.process = Process(database, self.hot, self.wall, self.model, lent_s=lent_s)
        self.process.recall.serve({"web": Library(shared={Place("web", "w", "c"): "#c"})})

    async def say(self, *all_said: Said) -> Receipt:
        for each in all_said:
            receipt = await self.process.service.handle(each)
            await self.process.settle()
        return receipt

    async def an_hour_later(self) -> int:
        return await Returning(Lending(self.database), self.hot, later).work()

    async def texts(self) -> list[str]:
        query = sa.select(messages.c.text).order_by(messages.c.position)
        return list(await self.database.read(lambda c: c.scalars(query).all()))

    async def found(self, words: str) -> int:
        page = await self.process.recall.ask(Question(ANN, KEY, words))
        return len(page.found) if isinstance(page, Page) else 0

    async def exported(self, folder: Path) -> str:
        scope = scope_of("", "web:w")
        assert scope is not None
        with (folder / "export").open("w", encoding="utf-8") as file:
            await write_out(Carrying(self.database), scope, Jsonl(), file, lambda _: None)
        return (folder / "export").read_text(encoding="utf-8")

    def shown(self) -> str:
        """What the model was shown last."""
        return "\n".join(each.text for each in self.model.prompts[-1].messages)


@pytest.fixture
async def world(database: Database) -> World:
    return World(database)


PAST = History((message(1, "the walrus plan"), message(2, "more of the walrus")), whole=True)


async def test_what_was_read_before_a_call_serves_for_an_hour_and_is_given_back(world: World) -> None:
    world.wall.past = PAST
    await world.say(said(3, "what is the plan?"))
    assert "the walrus plan" in world.shown()
    await world.say(said(4, "and then?", Addressed.THREAD))
    assert "the walrus plan" in world.shown()
    assert await world.an_hour_later() == 2
    assert await world.texts() == ["what is the plan?", "and then?", *world.wall.replies(KEY)]
    assert world.hot.dropped


async def test_who_asks_after_that_is_answered_from_a_new_reading(world: World) -> None:
    world.wall.past = PAST
    await world.say(said(3, "what is the plan?"))
    await world.an_hour_later()
    world.wall.past = replace(PAST, messages=(message(1, "the walrus plan, edited"),))
    await world.say(said(5, "again?", Addressed.THREAD))
    assert "the walrus plan, edited" in world.shown()
    assert "more of the walrus" not in world.shown()
    assert await world.an_hour_later() == 1


def second_post(c: sa.Connection) -> dict[str, int]:
    """A row for the second post of the first turn's reply."""
    turn = c.execute(sa.select(turns)).one()
    return {"turn_id": turn.id, "session_id": turn.session_id, "number": 2, "end": 99}


async def test_a_new_reading_does_not_repeat_what_the_bot_said(world: World) -> None:
    await world.say(said(3, "hello", read=True))
    (reply,) = (position for position, (key, _) in world.wall.posts.items() if key == KEY)
    (text,) = world.wall.replies(KEY)
    await world.an_hour_later()
    await world.database.write(
        lambda c: c.execute(sa.insert(parts), {**second_post(c), "position": reply + 1})
    )
    bot = Author("B", "Threadfly")
    ours = (Message(reply, bot, text, T0), Message(reply + 1, bot, "the rest of it", T0))
    world.wall.past = History((message(3, "hello"), *ours), whole=True)
    await world.say(said(reply + 5, "again?"))
    assert world.shown().count(text) == 1
    assert "the rest of it" not in world.shown()


async def test_what_was_read_is_found_by_nobody_and_in_no_export(world: World, tmp_path: Path) -> None:
    world.wall.past = PAST
    await world.say(said(3, "what is the giraffe?"), said(4, "a heron", Addressed.THREAD, read=True))
    for words, hits in (("walrus", 0), ("heron", 0), ("giraffe", 1)):
        assert await world.found(words) == hits
        assert (words in await world.exported(tmp_path)) == bool(hits)


async def test_what_the_platform_tells_by_itself_is_kept_whichever_came_first(world: World) -> None:
    await world.say(said(3, "a giraffe", read=True), said(3, "a giraffe"))
    await world.say(said(5, "a heron"), said(5, "a heron", read=True))
    assert await world.an_hour_later() == 0
    assert [await world.found(word) for word in ("giraffe", "heron")] == [1, 1]


async def test_what_was_missed_is_answered_once_though_it_is_given_back(world: World) -> None:
    assert await world.say(said(3, "a giraffe", read=True)) is Receipt.ANSWERING
    await world.an_hour_later()
    assert await world.texts() == world.wall.replies(KEY)
    for late in (said(3, "a giraffe", read=True), said(3, "a giraffe")):
        assert await world.say(late) is Receipt.KEPT
    assert len(world.wall.replies(KEY)) == 1
    assert await world.found("giraffe") == 1


async def test_it_leaves_no_title(world: World) -> None:
    await world.say(said(3, "a giraffe", read=True))
    await world.an_hour_later()
    rows = await world.database.read(lambda c: c.execute(sa.select(sessions)).all())
    assert rows
    assert "giraffe" not in str(rows)


async def test_edits_that_were_read_are_lent_and_those_that_were_told_are_kept(world: World) -> None:
    edited = Edited(KEY, replace(message(5, "a heron"), edited_at=later()), Addressed.THREAD)
    await world.say(said(3, "hello"))
    for text in ("a crane", "a heron"):
        read = replace(edited, message=replace(edited.message, text=text), read=True)
        await world.process.service.handle(read)
        assert (await world.found(text), text in await world.texts()) == (0, True)
    await world.process.service.handle(edited)
    assert (await world.found("heron"), await world.an_hour_later()) == (1, 0)
    newer = replace(edited.message, text="a stork", edited_at=later() + timedelta(seconds=1))
    await world.process.service.handle(replace(edited, message=newer, read=True))
    assert [await world.found(word) for word in ("heron", "stork")] == [0, 1]


async def test_nothing_is_given_back_under_a_running_answer(world: World) -> None:
    world.wall.past = PAST
    world.model.open.clear()
    await world.process.service.handle(said(3, "what is the plan?"))
    await world.model.asked.wait()
    assert await world.an_hour_later() == 0
    world.model.open.set()
    await world.process.settle()
    assert await world.an_hour_later() == 2


async def test_a_summary_tells_nothing_that_was_given_back(world: World) -> None:
    world.wall.past = PAST
    await world.say(said(3, "what is the plan?"))
    row = await world.process.windows.facts(KEY)
    assert row is not None
    block = Block(0, 0, 2, 2, "walruses plan", "held")
    assert await world.process.summaries.put(row.id, block, PAST.messages)
    await world.an_hour_later()
    assert [block.text for block in await world.process.summaries.blocks(row.id, 0)] == [""]


async def test_a_question_that_was_given_back_is_not_tried_again(world: World) -> None:
    world.model.answer = lambda _: [ModelUnavailable("away")]
    await world.say(said(3, "a giraffe", read=True))
    await world.an_hour_later()
    pressed = Pressed(KEY, 3, Button.AGAIN, ANN)
    assert await world.process.service.handle(pressed) is Receipt.IGNORED


async def test_in_internal_mode_all_of_it_is_kept(database: Database) -> None:
    world = World(database, lent_s=None)
    world.wall.past = PAST
    await world.say(said(3, "hello", read=True))
    assert (await world.an_hour_later(), await world.found("walrus")) == (0, 1)


def test_in_distributed_mode_messages_are_kept_for_ninety_days_unless_it_is_said_otherwise(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    assert retention(load_settings()).off
    monkeypatch.setenv("THREADFLY__ARCHIVE__MODE", "distributed")
    assert retention(load_settings()).of(KEY) == 90 * 86_400
    monkeypatch.setenv("THREADFLY__ARCHIVE__RETENTION__DEFAULT", "forever")
    assert retention(load_settings()).of(KEY) is None
