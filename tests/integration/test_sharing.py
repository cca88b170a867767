"""Showing something found to everybody, and going on with a conversation: who may, and what is then known."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from bot import sharing_words as words
from bot.domain import (
    Addressed,
    Author,
    Background,
    Block,
    Button,
    Change,
    Continued,
    Deleted,
    Delta,
    Edited,
    Finished,
    History,
    Message,
    Pressed,
    Receipt,
    Said,
    SessionKey,
    Usage,
)
from bot.errors import ArchiveUnavailable, ModelUnavailable, PlatformUnavailable
from bot.finding import Place, Question
from bot.forgetting import Forgetting, Retention, Verdict
from bot.ports import HotContext
from bot.prompt import BACKGROUND_HEAD
from bot.sharing import Quote, Sharing
from bot.sharing_words import Sentence, as_text
from bot.sheets import Entry, Scope, Sheet
from storage.archive.carrying import Carrying
from storage.archive.continuing import Continuations
from storage.archive.erasures import Erasures
from storage.archive.gestures import Gestures
from storage.archive.passing import PassedOver
from storage.archive.statements import continued_of
from storage.database import Database
from storage.dragonfly import Dragonfly
from storage.hot import DragonflyContext, NoContext
from storage.search.finder import SqlFinder
from storage.tables import sessions
from tests.databases import opened
from tests.fakes.core import HeldModel, Process
from tests.fakes.hall import Hall
from tests.hot_servers import new_archive_id, raw_client, send

ANN, JOE = Author("U1", "Ann"), Author("U2", "Joe")
T0 = datetime(2026, 3, 2, 9, tzinfo=UTC)
GENERAL, OPS, SECRET = (Place("web", "w", name) for name in ("general", "ops", "secret"))
MINE = Place("web", "w", "dm-ann")
MOST = 100_000
"""Positions that the wall gives out are higher."""
DM = SessionKey("web", "w", "dm-ann", "main")


def key(channel: str = "general", thread: str = "1", workspace: str = "w") -> SessionKey:
    return SessionKey("web", workspace, channel, thread)


class Counted(Continuations):
    """Counts what is read of conversations that are gone on with."""

    reads = 0

    async def background(self, continued: Continued, most: int) -> Background:
        self.reads += 1
        return await super().background(continued, most)


class World:
    """A bot with its archive, on a platform with rules."""

    def __init__(self, db: Database, hall: Hall, hot: HotContext | None = None) -> None:
        self.db, self.hall = db, hall
        self.model = HeldModel()
        self.backgrounds = Counted(db)
        self.process = Process(db, hot or NoContext(), hall.wall, self.model, backgrounds=self.backgrounds)
        finder = SqlFinder(db)
        self.sharing = Sharing(finder, finder, PassedOver(db), Continuations(db), Gestures(db))
        self.sharing.serve({"web": hall})
        self.at = iter(range(10, MOST))

    async def say(
        self, text: str, at: SessionKey | None = None, by: Author = ANN, *, owed: bool = False
    ) -> int:
        """Somebody says something, and is answered if that is owed."""
        at = at or key()
        opened = at.thread.isdecimal() and int(at.thread) > MOST
        position = self.hall.wall.post(at, "") if opened else next(self.at)
        message = Message(position, by, text, T0 + timedelta(seconds=position))
        receipt = await self.process.service.handle(
            Said(at, message, Addressed.MENTION, opens_thread=True, answer=owed)
        )
        assert receipt is (Receipt.ANSWERING if owed else Receipt.KEPT)
        await self.process.settle()
        return position

    async def show(
        self, position: int, of: SessionKey, at: SessionKey, by: Author = ANN, gesture: str = "g"
    ) -> Sentence:
        return await self.sharing.show(Question(by, at, ""), of, position, gesture)

    async def go_on(self, of: SessionKey, at: SessionKey, by: Author = ANN, gesture: str = "g") -> Sentence:
        return await self.sharing.go_on(Question(by, at, ""), of, gesture)

    async def new(self) -> SessionKey:
        """The session that goes on from another, as it was opened last."""
        query = sa.select(sessions).where(sessions.c.continues != "").order_by(sessions.c.id.desc())
        row = await self.db.read(lambda c: c.execute(query).first())
        assert row is not None
        return SessionKey(row.platform, row.workspace, row.channel, row.thread)

    async def is_summed_up(self) -> list[str]:
        """The summaries of what was before, as a model would be told them."""
        continued = continued_of(await self.process.windows.facts(await self.new()))
        assert continued is not None
        return [block.text for block in (await self.backgrounds.background(continued, 0)).blocks]

    async def knows(self, at: SessionKey, by: Author = ANN) -> list[str]:
        """What the model is told of what was before, when something is asked there."""
        await self.say("and now?", at, by, owed=True)
        told = [each.text for each in self.model.prompts[-1].messages if each.background]
        return told[0].splitlines()[1:] if told and told[0].startswith(BACKGROUND_HEAD) else []


@pytest.fixture
def hall() -> Hall:
    return Hall(
        shared={GENERAL: "#general", OPS: "#ops"},
        private={SECRET: frozenset({"U1"}), MINE: frozenset({"U1"})},
        directs=frozenset({"dm-ann"}),
    )


@pytest.fixture
async def world(database: Database, hall: Hall) -> World:
    return World(database, hall)


def posts(world: World, at: SessionKey) -> list[str]:
    return [text for where, text in world.hall.wall.posts.values() if where == at and text]


def text(said: Quote | Sentence) -> str:
    assert not isinstance(said, Quote)
    return as_text(said)


# Showing to everybody.


async def test_what_is_shown_says_who_said_it_where_and_who_wanted_it_shown(world: World) -> None:
    position = await world.say("the login page is slow", key("ops"), JOE)
    offered = await world.sharing.offer(Question(ANN, key("general", "5"), ""), key("ops"), position)
    assert isinstance(offered, Quote)
    assert (offered.here, posts(world, key("general", "5"))) == ("#general", [])
    assert await world.show(position, key("ops"), key("general", "5")) == words.SHOWN
    assert posts(world, key("general", "5")) == [
        f"Joe in #ops: the login page is slow <link:ops/1/{position}> for Ann"
    ]


async def test_what_was_shown_is_never_archived_as_a_message(world: World) -> None:
    position = await world.say("plum", key("ops"))
    await world.show(position, key("ops"), key("general", "5"))
    (post,) = world.hall.done.values()
    shown = Message(post, Author("threadfly", "Threadfly"), "plum", T0)
    world.hall.wall.past = History((shown,), whole=True)
    asked = Message(post + 1, ANN, "hm?", T0)
    await world.process.service.handle(Said(key("general", "5"), asked, Addressed.MENTION))
    await world.process.settle()
    assert "plum" not in str(world.model.prompts[-1])


async def test_what_is_private_is_shown_in_its_own_place_and_nowhere_else(world: World) -> None:
    position = await world.say("the secret is plum", key("secret"))
    nothing = await world.show(12_345, key("ops"), key(), gesture="0")
    assert await world.show(position, key("secret"), key(), gesture="1") == nothing == words.NOT_TO_ALL
    assert await world.show(position, key("secret"), key(), JOE, gesture="2") == nothing
    assert world.hall.wall.posts == {}
    assert await world.show(position, key("secret"), key("secret", "2"), gesture="3") == words.SHOWN


async def test_who_lost_the_right_between_question_and_yes_shows_nothing(world: World) -> None:
    position = await world.say("the secret is plum", key("secret"))
    question = Question(ANN, key("secret", "2"), "")
    assert isinstance(await world.sharing.offer(question, key("secret"), position), Quote)
    world.hall.private[SECRET] = frozenset()
    assert await world.sharing.show(question, key("secret"), position, "g") == words.NOT_TO_ALL
    assert world.hall.wall.posts == {}


async def test_what_was_deleted_between_question_and_yes_is_not_shown(world: World) -> None:
    await world.say("before it")
    position = await world.say("plum")
    question = Question(ANN, key("ops"), "")
    assert isinstance(await world.sharing.offer(question, key(), position), Quote)
    await world.process.service.handle(Deleted(key(), position))
    assert await world.sharing.show(question, key(), position, "g") == words.NOT_TO_ALL


async def test_nothing_of_another_workspace_is_shown_or_gone_on_with(world: World) -> None:
    elsewhere = key(workspace="other")
    position = await world.say("plum", elsewhere)
    assert await world.show(position, elsewhere, key()) == words.NOT_TO_ALL
    assert await world.go_on(elsewhere, key(), gesture="2") == words.NOT_TO_ALL
    assert world.hall.wall.posts == {}


async def test_where_people_of_elsewhere_are_only_what_was_said_there_is_shown(world: World) -> None:
    position, own = await world.say("plum", key("ops")), await world.say("here", key("general"))
    world.hall.outsiders = frozenset({"general"})
    assert await world.show(position, key("ops"), key()) == words.NOT_TO_ALL
    assert await world.show(own, key(), key("general", "2"), gesture="2") == words.SHOWN


async def test_in_a_direct_message_there_is_nobody_to_show_it_to(world: World) -> None:
    position = await world.say("plum")
    assert await world.show(position, key(), DM) == words.NOBODY_ELSE


async def test_one_gesture_posts_once_and_where_the_bot_may_not_write_it_says_so(world: World) -> None:
    position = await world.say("plum")
    assert [await world.show(position, key(), key("ops")) for _ in range(2)] == [words.SHOWN] * 2
    assert len(world.hall.wall.posts) == 1
    world.hall.closed = frozenset({"ops"})
    assert await world.show(position, key(), key("ops"), gesture="2") == words.CANT_POST
    world.hall.closed = frozenset()
    assert await world.show(position, key(), key("ops"), gesture="2") == words.SHOWN


# Going on.


async def test_the_new_thread_knows_what_was_said_and_both_lead_to_each_other(world: World) -> None:
    await world.say("the cat is called Fred", key("ops"), JOE, owed=True)
    assert "It goes on" in text(await world.go_on(key("ops"), key("general", "5")))
    new = await world.new()
    assert new.channel == "general"
    assert posts(world, replace(new, thread="new")) == [
        "Ann goes on here with an earlier conversation from #ops (2 messages). "
        "I know what was said there until now: just go on."
    ]
    assert "Ann went on with this conversation over there." in posts(world, key("ops"))
    assert await world.knows(new) == ["Joe: the cat is called Fred", "Threadfly: answer 1"]
    assert "goes on here" not in str(world.model.prompts[-1].messages[-1])


async def test_people_go_on_there_without_mentioning_the_bot(world: World) -> None:
    await world.say("plum", key("ops"))
    await world.go_on(key("ops"), key())
    new = await world.new()
    message = Message(world.hall.wall.post(new, ""), JOE, "and?", T0)
    assert await world.process.service.handle(Said(new, message, Addressed.THREAD)) is Receipt.ANSWERING
    await world.process.settle()


@pytest.mark.parametrize("how", ["edited", "deleted", "forgotten thread", "forgotten person"])
async def test_what_changes_in_the_old_one_changes_the_next_prompt(world: World, how: str) -> None:
    kept = await world.say("the dog stays", key("ops"), ANN)
    position = await world.say("the cat is called Fred", key("ops"), JOE)
    await world.go_on(key("ops"), key())
    new = await world.new()
    assert "Joe: the cat is called Fred" in await world.knows(new)
    match how:
        case "edited":
            now = Message(position, JOE, "the cat is called Tom", T0, edited_at=datetime.now(UTC))
            await world.process.service.handle(Edited(key("ops"), now, Addressed.MENTION))
        case "deleted":
            await world.process.service.handle(Deleted(key("ops"), position))
        case "forgotten thread":
            await world.process.forgetting.forget_thread(key("ops"), kept + 1)
            await world.process.forgetting.work()
        case _:
            await world.process.forgetting.forget_person("web", "w", JOE.id, datetime.now(UTC))
            await world.process.forgetting.work()
    told = await world.knows(new)
    assert "Fred" not in str(told)
    assert "Tom" not in str(told), "who goes on may not read the old one any more"
    assert ("Ann: the dog stays" in told) is (how != "forgotten thread")


async def test_what_was_edited_before_is_told_as_it_read_then(world: World) -> None:
    position = await world.say("the cat is called Fred", key("ops"), JOE)
    now = Message(position, JOE, "the cat is called Tom", T0, edited_at=T0 + timedelta(days=1))
    await world.process.service.handle(Edited(key("ops"), now, Addressed.MENTION))
    await world.go_on(key("ops"), key())
    assert await world.knows(await world.new()) == ["Joe: the cat is called Tom"]


async def test_an_edit_without_a_time_counts_from_when_it_came(world: World) -> None:
    position = await world.say("the cat is called Fred", key("ops"), JOE)
    await world.go_on(key("ops"), key())
    now = Message(position, JOE, "the cat is called Tom", T0)
    await world.process.service.handle(Edited(key("ops"), now, Addressed.MENTION))
    assert await world.knows(await world.new()) == []


async def test_a_summary_is_told_unless_something_in_it_was_edited_since(world: World) -> None:
    told = ("plum", "pear")
    said = [Message(await world.say(each, key("ops"), JOE), JOE, each, T0) for each in told]
    first, second = (message.position for message in said)
    blocks = [Block(0, 0, first, 1, "of plums"), Block(0, first, second, 1, "of pears")]
    old = (await world.process.windows.facts(key("ops"))).id  # type: ignore[union-attr]
    for block, message in zip(blocks, said, strict=True):
        assert await world.process.summaries.put(old, block, [message])
    await world.go_on(key("ops"), key())
    assert await world.is_summed_up() == ["of plums", "of pears"]
    now = replace(said[1], text="a secret", edited_at=datetime.now(UTC) + timedelta(seconds=5))
    await world.process.service.handle(Edited(key("ops"), now, Addressed.MENTION))
    assert await world.process.summaries.put(old, replace(blocks[1], text="of a secret"), [now])
    assert await world.is_summed_up() == ["of plums"]


async def test_a_reply_that_was_tried_again_since_is_not_told(world: World) -> None:
    world.model.answer = lambda _: [Delta("I thi"), ModelUnavailable("no")]
    asked = await world.say("the cat?", key("ops"), owed=True)
    await world.go_on(key("ops"), key())
    new = await world.new()
    before = await world.knows(new)
    assert "Threadfly: I thi" in str(before)
    world.model.answer = lambda _: [Delta("a new secret"), Finished(Usage())]
    again = Pressed(key("ops"), asked, Button.AGAIN, ANN)
    assert await world.process.service.handle(again) is Receipt.ANSWERING
    await world.process.settle()
    assert await world.knows(new) == ["Ann: the cat?"]


async def test_of_a_reply_that_is_being_written_nothing_is_told(world: World) -> None:
    await world.say("before", key("ops"))
    world.model.open.clear()
    world.model.begins = "I thi"
    position = next(world.at)
    asked = Message(position, ANN, "the cat?", T0)
    await world.process.service.handle(Said(key("ops"), asked, Addressed.MENTION))
    await world.model.asked.wait()
    assert posts(world, key("ops")) == ["I thi"]
    meanwhile = Message(world.hall.wall.post(key("ops"), ""), JOE, "meanwhile", T0)
    await world.process.service.handle(Said(key("ops"), meanwhile, Addressed.ASIDE))
    await world.go_on(key("ops"), key())
    world.model.open.set()
    await world.process.settle()
    world.model.begins = ""
    assert await world.knows(await world.new()) == ["Ann: before", "Ann: the cat?"]


async def test_what_is_said_in_the_old_one_afterwards_is_not_told(world: World) -> None:
    await world.say("before", key("ops"))
    await world.go_on(key("ops"), key())
    await world.say("afterwards", key("ops"))
    assert await world.knows(await world.new()) == ["Ann: before"]


async def test_it_is_known_after_a_restart_by_another_process(database: Database, world: World) -> None:
    await world.say("plum", key("ops"))
    await world.go_on(key("ops"), key())
    again = World(database, world.hall)
    assert await again.knows(await world.new()) == ["Ann: plum"]


async def test_it_is_known_from_a_hot_window_and_after_flushall(
    database: Database, hall: Hall, hot_url: str
) -> None:
    server = Dragonfly(hot_url)
    hot = DragonflyContext(server, new_archive_id(), limit=100, ttl_s=60)
    try:
        world = World(database, hall, hot)
        position = await world.say("the cat is called Fred", key("ops"), JOE)
        await world.go_on(key("ops"), key())
        new = await world.new()
        for _ in range(2):
            assert await world.knows(new) == ["Joe: the cat is called Fred"]
        client = raw_client(hot_url)
        await send(client, "FLUSHALL")
        await client.aclose()
        assert await world.knows(new) == ["Joe: the cat is called Fred"]
        await world.process.service.handle(Deleted(key("ops"), position))
        assert await world.knows(new) == []
    finally:
        await server.aclose()


async def test_retention_of_the_old_one_leaves_the_new_one_without_it(
    database: Database, world: World
) -> None:
    await world.say("plum", key("ops"))
    await world.go_on(key("ops"), key())
    new = await world.new()
    kept = Forgetting(Erasures(database), NoContext(), Retention(3_600.0, {}), breath_s=0)
    await kept.age(datetime.now(UTC))
    await kept.work()
    assert await world.knows(new) == []


async def test_retention_of_the_new_one_leaves_it_what_the_old_one_keeps(
    database: Database, world: World
) -> None:
    await world.say("plum", key("ops"))
    await world.go_on(key("ops"), key())
    new = await world.new()
    await world.say("pear", new)
    kept = Forgetting(Erasures(database), NoContext(), Retention(3_600.0, {"web:w:ops": None}), breath_s=0)
    await kept.age(datetime.now(UTC))
    await kept.work()
    assert await world.knows(new) == ["Ann: plum"]


async def test_new_begins_without_it(world: World) -> None:
    await world.say("plum", key("ops"))
    await world.go_on(key("ops"), key())
    new = await world.new()
    await world.process.records.change(new, Change(fresh=True))
    assert await world.knows(new) == []


@pytest.mark.parametrize("since", [[], ["pear"]])
async def test_what_was_said_before_new_is_known_only_if_nothing_was_said_since(
    world: World, since: list[str]
) -> None:
    await world.say("plum", key("ops"))
    await world.process.records.change(key("ops"), Change(fresh=True))
    for each in since:
        await world.say(each, key("ops"))
    await world.go_on(key("ops"), key())
    assert await world.knows(await world.new()) == [f"Ann: {each}" for each in since or ["plum"]]


@pytest.mark.parametrize("said", [[], ["pear"]])
async def test_a_thread_that_was_forgotten_does_not_know_what_it_went_on_from(
    world: World, said: list[str]
) -> None:
    await world.say("plum", key("ops"))
    await world.go_on(key("ops"), key())
    new = await world.new()
    for each in said:
        await world.say(each, new)
    assert await world.process.forgetting.forget_thread(new) is Verdict.BEGUN
    await world.process.forgetting.work()
    assert await world.knows(new) == []


async def test_a_thread_that_goes_on_from_one_that_went_on_knows_both(world: World) -> None:
    await world.say("first", key("ops"))
    await world.go_on(key("ops"), key(), gesture="1")
    second = await world.new()
    await world.say("second", second)
    await world.go_on(second, key("ops"), gesture="2")
    third = await world.new()
    assert third.channel == "ops"
    assert await world.knows(third) == ["Ann: first", "Ann: second"]


async def test_in_a_direct_message_it_goes_on_right_there(world: World) -> None:
    await world.say("about tea", DM)
    await world.say("the secret is plum", key("secret"))
    assert "It goes on" in text(await world.go_on(key("secret"), DM))
    assert await world.knows(DM) == ["Ann: the secret is plum"]
    assert "about tea" not in str(world.model.prompts[-1])
    assert posts(world, key("secret")) == []


async def test_a_direct_message_that_goes_on_with_itself_knows_what_it_knew_before(world: World) -> None:
    await world.say("about tea", DM)
    for gesture in ("1", "2"):
        await world.go_on(DM, DM, gesture=gesture)
        assert "Ann: about tea" in await world.knows(DM)


async def test_private_things_go_on_where_they_are_or_in_a_direct_message(world: World) -> None:
    await world.say("plum", key("secret"))
    gone = await world.go_on(key("secret", "404"), key(), gesture="0")
    assert await world.go_on(key("secret"), key(), gesture="1") == gone == words.NOT_TO_ALL
    assert await world.go_on(key("secret"), DM, JOE, gesture="2") == words.NOT_TO_ALL
    assert world.hall.wall.posts == {}
    assert "It goes on" in text(await world.go_on(key("secret"), key("secret", "2"), gesture="3"))


async def test_no_word_is_left_where_others_may_not_know_of_the_new_thread(world: World) -> None:
    await world.say("plum", key("ops"))
    await world.go_on(key("ops"), key("secret", "2"))
    assert posts(world, key("ops")) == []


async def test_a_crash_between_post_and_record_posts_nothing_twice(world: World, database: Database) -> None:
    await world.say("plum", key("ops"))

    class Dying(Continuations):
        async def begin(self, key: SessionKey, post: int, old: SessionKey, by: Author) -> bool:
            raise ArchiveUnavailable("killed")

    finder = SqlFinder(database)
    killed = Sharing(finder, finder, PassedOver(database), Dying(database), Gestures(database))
    killed.serve({"web": world.hall})
    with pytest.raises(ArchiveUnavailable):
        await killed.go_on(Question(ANN, key(), ""), key("ops"), "g")
    assert "It goes on" in text(await world.go_on(key("ops"), key()))
    assert len(posts(world, key("general", "new"))) == 1
    assert await world.knows(await world.new()) == ["Ann: plum"]


async def test_one_process_at_a_time_sees_to_a_gesture(database: Database) -> None:
    one, other = Gestures(database), Gestures(database)
    taken = await one.take("g", 60)
    assert taken
    assert not await other.take("g", 60)
    assert await other.take("another", 60)
    await one.let_go("g", taken)
    assert await other.take("g", 60)


async def test_a_gesture_whose_process_died_is_free_again_and_not_for_its_ghost(database: Database) -> None:
    gestures = Gestures(database)
    dead = await gestures.take("g", -1)
    assert await gestures.take("g", 60)
    await gestures.let_go("g", dead)
    assert not await gestures.take("g", 60)


async def test_of_many_that_ask_at_once_one_gets_a_gesture(database: Database) -> None:
    taken = await asyncio.gather(*(Gestures(database).take("g", 60) for _ in range(20)))
    assert len([token for token in taken if token]) == 1


async def test_what_is_done_or_refused_is_let_go_of(world: World) -> None:
    position = await world.say("plum", key("ops"))
    await world.show(position, key("ops"), key(), gesture="done")
    await world.show(position, key("nowhere"), key(), gesture="refused")
    for gesture in ("done", "refused"):
        assert await Gestures(world.db).take(gesture, 60)


async def test_what_takes_too_long_is_given_up_and_free_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    position = await world.say("plum", key("ops"))
    monkeypatch.setattr("bot.sharing.WITHIN_S", 0.0)
    with pytest.raises(PlatformUnavailable, match="try again"):
        await world.show(position, key("ops"), key())
    monkeypatch.undo()
    assert await world.show(position, key("ops"), key()) == words.SHOWN


async def test_a_session_that_goes_on_from_nothing_reads_nothing_more(world: World) -> None:
    await world.say("plum", owed=True)
    await world.say("and?", owed=True)
    assert world.backgrounds.reads == 0


async def test_it_is_taken_out_and_in_with_the_archive(
    world: World, database: Database, tmp_path: object
) -> None:
    await world.say("plum", key("ops"))
    await world.go_on(key("ops"), key())
    new = await world.new()
    await world.say("here", new)
    carrying = Carrying(database)
    sheets = [piece async for piece in carrying.out(Scope("web", "w")) if isinstance(piece, Sheet)]
    (carried,) = [sheet for sheet in sheets if sheet.key == new]
    assert (carried.continues, carried.continues_upto) == (str(key("ops")), 10)
    assert carried.continues_at is not None
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/other.db") as other:
        said = Message(50, ANN, "x", T0)
        await Carrying(other).take_in(carried, [Entry(said)])
        query = sa.select(sessions.c.continues, sessions.c.continues_at)
        row = await other.read(lambda c: c.execute(query).one())
        assert tuple(row) == (str(key("ops")), carried.continues_at)
