"""Whatever is said where, and whoever asks where: never a line too many, and never one too few.

Worlds are drawn, and recall is compared with a slow, obvious reference that looks at every message.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from bot import words
from bot.commands import Export, Form
from bot.domain import Addressed, Author, Call, Deleted, Edited, Message, Said, SessionKey, Turn
from bot.finding import Bookmark, Excerpt, Known, Page, Place, Question, Readable, Side
from bot.forgetting import Forgetting
from bot.recall import PAGE, Recall
from bot.recall_words import NOT_THERE
from bot.searching import Searcher, Source
from bot.taking import Handing, Taken, Wish
from storage.archive.claims import Claimant
from storage.archive.erasures import Erasures
from storage.archive.records import Records
from storage.database import Database
from storage.hot import NoContext
from storage.search.finder import SqlFinder
from storage.search.sealing import Sealer
from storage.search.upkeep import Upkeep
from tests.fakes.core import taking_from

T0 = datetime(2026, 1, 1, tzinfo=UTC)
NOW = T0 + timedelta(days=100)
PEOPLE = [Author(f"U{n}", name) for n, name in enumerate(("Ann", "Joe", "Mei", "Zed"))]
WORDS = ["lion", "tiger", "zebra", "gnu"]
WORKSPACES = ["T1", "T2"]


@dataclass
class Town(Handing):
    """Who belongs to which workspace, and who is in which channel and closed thread, as of now."""

    members: dict[str, set[str]] = field(default_factory=dict)
    public: set[Place] = field(default_factory=set)
    readers: dict[Place, set[str]] = field(default_factory=dict)
    directs: set[tuple[str, str]] = field(default_factory=set)

    def may_read(self, person: str, place: Place) -> bool:
        """The rule, for one place at a time."""
        if person not in self.members[place.workspace]:
            return False
        if place.thread:
            return person in self.readers[place] and self.may_read(person, place._replace(thread=""))
        return place in self.public or person in self.readers[place]

    async def places(self, asker: Author, at: SessionKey, known: Known) -> Readable:
        places: dict[Place, str] = {}
        for channel in await known.channels("p", at.workspace):
            places[Place("p", at.workspace, channel)] = f"#{channel}"
        for channel, thread in await known.closed_threads("p", at.workspace):
            places[Place("p", at.workspace, channel, thread)] = f"#{channel}"
        own = {place: name for place, name in places.items() if self.may_read(asker.id, place)}
        return Readable(
            {place: name for place, name in own.items() if place in self.public},
            {place: name for place, name in own.items() if place not in self.public},
            direct=(at.workspace, at.channel) in self.directs,
        )

    async def open_to_readers_of(self, at: SessionKey, places: frozenset[Place]) -> frozenset[Place]:
        readers = [each.id for each in PEOPLE if self.may_read(each.id, self.home(at))]
        return frozenset(place for place in places if all(self.may_read(reader, place) for reader in readers))

    def home(self, at: SessionKey) -> Place:
        """Whose readers read what is said there."""
        closed = Place("p", at.workspace, at.channel, at.thread)
        return closed if closed in self.readers else closed._replace(thread="")

    async def link(self, key: SessionKey, position: int) -> str:
        return f"{key}/{position}"

    async def linked(self, link: str, at: SessionKey) -> Sequence[SessionKey]:
        return [SessionKey(*link.split("://")[1].split(":"))]

    async def hand(self, taken: Taken, wish: Wish) -> str:
        raise NotImplementedError


@dataclass
class Told:
    """One message as it stands."""

    key: SessionKey
    place: Place
    message: Message


class Unscrubbed(Erasures):
    """Leaves the files alone, which takes long, and which no question looks at."""

    async def scrub(self, *, thoroughly: bool) -> None: ...


class World:
    """A town with people who talk, and what recall makes of it."""

    def __init__(self, db: Database, seed: int) -> None:
        self.draw = random.Random(seed)
        self.database = db
        self.records = Records(db, Claimant("one", 60))
        self.town = Town()
        finder = SqlFinder(db)
        self.recall = Recall(finder, finder, lambda: NOW)
        self.recall.serve({"p": self.town})
        self.taking = taking_from(db)
        self.taking.serve({"p": self.town})
        self.forgetting = Forgetting(Unscrubbed(db), NoContext(), breath_s=0)
        self.told: dict[tuple[SessionKey, int], Told] = {}
        self._found_town()

    def _found_town(self) -> None:
        for workspace in WORKSPACES:
            self.town.members[workspace] = {p.id for p in PEOPLE if self.draw.random() < 0.8}
            for channel in ("C1", "C2", "C3"):
                place = Place("p", workspace, channel)
                if self.draw.random() < 0.5:
                    self.town.public.add(place)
                self.town.readers[place] = self._some_people()
                self.town.readers[place._replace(thread="9")] = self._some_people()
            for person in PEOPLE:
                self.town.readers[Place("p", workspace, f"D{person.id}")] = {person.id}
                self.town.directs.add((workspace, f"D{person.id}"))

    def _some_people(self) -> set[str]:
        return {person.id for person in PEOPLE if self.draw.random() < 0.5}

    def _somewhere(self) -> tuple[SessionKey, Place]:
        place = self.draw.choice(sorted(self.town.readers))
        thread = place.thread or str(self.draw.randrange(1, 5))
        return SessionKey("p", place.workspace, place.channel, thread), place

    async def live(self, steps: int) -> None:
        """People talk, edit, delete, forget, join and leave; the index is sealed now and then."""
        for step in range(steps):
            roll = self.draw.random()
            if roll < 0.75 or not self.told:
                await self._say(step)
            elif roll < 0.85:
                await self._edit(step)
            elif roll < 0.93:
                await self._delete()
            elif roll < 0.95:
                await self._forget(step)
            else:
                self._move()
            if self.draw.random() < 0.05:
                await Sealer(self.database).seal(1)
        assert not await Upkeep(self.database).step()

    def _text(self) -> str:
        return " ".join(self.draw.choices(WORDS, k=self.draw.randrange(1, 4)))

    async def _say(self, step: int) -> None:
        key, place = self._somewhere()
        by = self.draw.choice(PEOPLE)
        message = Message(1_000 + step, by, self._text(), T0 + timedelta(hours=step))
        closed = bool(place.thread)
        await self.records.record(Said(key, message, Addressed.MENTION, answer=False, closed=closed))
        self.told[key, message.position] = Told(key, place, message)

    async def _edit(self, step: int) -> None:
        one = self.draw.choice(list(self.told.values()))
        edited = replace(one.message, text=self._text(), edited_at=T0 + timedelta(hours=step))
        await self.records.edit(Edited(one.key, edited, Addressed.MENTION))
        one.message = edited

    async def _delete(self) -> None:
        one = self.draw.choice(list(self.told.values()))
        await self.records.delete(Deleted(one.key, one.message.position))
        del self.told[one.key, one.message.position]

    async def _forget(self, step: int) -> None:
        """Somebody, or a thread, is forgotten."""
        one = self.draw.choice(list(self.told.values()))
        key, by, now = one.key, one.message.author.id, T0 + timedelta(hours=step)
        if self.draw.random() < 0.5:
            await self.forgetting.forget_thread(key)
            self.told = {at: each for at, each in self.told.items() if each.key != key}
        else:
            await self.forgetting.forget_person("p", key.workspace, by, now)
            self.told = {
                at: each
                for at, each in self.told.items()
                if (each.key.workspace, each.message.author.id) != (key.workspace, by)
            }
        await self.forgetting.work()

    def _move(self) -> None:
        """Somebody joins or leaves a channel, a thread or a workspace, or a channel is opened or closed."""
        somebody = {self.draw.choice(PEOPLE).id}
        roll = self.draw.random()
        if roll < 0.6:
            readers = self.town.readers[self.draw.choice(sorted(self.town.readers))]
            readers ^= somebody
        elif roll < 0.8:
            members = self.town.members[self.draw.choice(WORKSPACES)]
            members ^= somebody
        else:
            channels = [
                each for each in sorted(self.town.readers) if each.channel[0] == "C" and not each.thread
            ]
            self.town.public ^= {self.draw.choice(channels)}

    # The reference.

    def thread(self, key: SessionKey) -> list[str]:
        """All that was said in it and still stands, in order."""
        said = [one.message for one in self.told.values() if one.key == key]
        return [message.text for message in sorted(said, key=lambda message: message.position)]

    def may_see(self, person: str, at: SessionKey, place: Place) -> bool:
        """Whether somebody who asks there may be shown something from that place."""
        if place.workspace != at.workspace or not self.town.may_read(person, place):
            return False
        if place in self.town.public or (at.workspace, at.channel) in self.town.directs:
            return True
        return place.channel == at.channel and place.thread in {"", at.thread}

    def expected(self, question: Question) -> dict[SessionKey, int]:
        """Sessions with messages that hold every word, and how many."""
        found: dict[SessionKey, int] = {}
        plain = [word for word in question.words.split() if ":" not in word]
        names = [word.removeprefix("from:@") for word in question.words.split() if word.startswith("from:")]
        for one in self.told.values():
            by = one.message.author
            fits = set(plain) <= set(one.message.text.split()) and all(by.name.lower() == n for n in names)
            mine = bool(question.words) or by == question.by
            if fits and mine and self.may_see(question.by.id, question.at, one.place):
                found[one.key] = found.get(one.key, 0) + 1
        return found

    def may_be_told(self, person: str, at: SessionKey, place: Place) -> bool:
        """Whether an answer to somebody, which all who are there read, may hold something from that place."""
        if not self.may_see(person, at, place):
            return False
        if (at.workspace, at.channel) in self.town.directs:
            return True
        readers = [each.id for each in PEOPLE if self.town.may_read(each.id, self.town.home(at))]
        return all(self.town.may_read(reader, place) for reader in readers)

    def expected_by_the_tool(self, question: Question, first: int) -> dict[SessionKey, list[str]]:
        """What messages hold every word, by session, but for what the model sees anyway."""
        found: dict[SessionKey, list[str]] = {}
        for one in self.told.values():
            fits = set(question.words.split()) <= set(one.message.text.split())
            seen = one.key == question.at and one.message.position >= first
            if fits and not seen and self.may_be_told(question.by.id, question.at, one.place):
                found.setdefault(one.key, []).append(one.message.text)
        return found

    def questions(self, number: int) -> Iterator[Question]:
        """People who ask for one or two words, for somebody, or for nothing, somewhere that they may be."""
        while number:
            by, (at, place) = self.draw.choice(PEOPLE), self._somewhere()
            if not self.town.may_read(by.id, place):
                continue
            number -= 1
            asked = self.draw.choices(WORDS, k=self.draw.randrange(3))
            if self.draw.random() < 0.2:
                asked.append(f"from:@{self.draw.choice(PEOPLE).name.lower()}")
            yield Question(by, at, " ".join(asked))

    async def pages(self, question: Question) -> list[Page]:
        """All of them, one after the other."""
        pages: list[Page] = []
        mark: Bookmark | None = None
        while not pages or mark is not None:
            page = await self.recall.ask(question, mark)
            if isinstance(page, str):
                assert "nobody called" in page
                return pages
            pages.append(page)
            mark = page.later
        return pages


@pytest.mark.parametrize("seed", range(4))
async def test_recall_shows_what_a_look_at_every_message_shows(database: Database, seed: int) -> None:
    world = World(database, seed)
    await world.live(200)
    for question in world.questions(40):
        expected = world.expected(question)
        pages = await world.pages(question)
        hits = [shown.hit for page in pages for shown in page.found]
        assert sorted((str(hit.talk.key), 1 + hit.others) for hit in hits) == sorted(
            (str(key), many) for key, many in expected.items()
        ), question
        for page in pages:
            assert page.lead.startswith(f"{len(expected)} " if expected else "I found nothing")
            assert len(page.found) == PAGE or page is pages[-1]
        for hit in hits:
            for line in filter(None, (hit.before, hit.line, hit.after)):
                assert line.snippet.text == world.told[hit.talk.key, line.position].message.text


@pytest.mark.parametrize("seed", range(2))
async def test_nobody_opens_a_conversation_that_they_may_not_be_shown(database: Database, seed: int) -> None:
    world = World(database, seed)
    await world.live(100)
    opened = 0
    for question in world.questions(40):
        one = world.draw.choice(list(world.told.values()))
        side = Side(one.message.position, world.draw.choice((-1, 0, 1)))
        answer = await world.recall.look(question, one.key, side)
        if world.may_see(question.by.id, question.at, one.place):
            assert isinstance(answer, Excerpt)
            opened += 1
            for line in answer.lines:
                assert line.snippet.text == world.told[one.key, line.position].message.text
        else:
            assert answer == NOT_THERE
    assert 0 < opened < 40


class Unheeded:
    """Does not keep what a model was given."""

    async def given(self, turn: Turn, sources: Sequence[Source]) -> bool:
        return True


@pytest.mark.parametrize("seed", range(4))
async def test_a_models_search_finds_what_all_who_read_the_answer_may_read(
    database: Database, seed: int
) -> None:
    world = World(database, seed)
    await world.live(200)
    searcher = Searcher(world.recall, lambda text: 0, Unheeded())
    some = 0
    for question in world.questions(60):
        if not question.words or ":" in question.words:
            continue
        first = world.draw.choice([0, 1_100, 5_000])
        turn = Turn(1, 1, question.at, (5_000,), 5_000, 1, 1, question.by)
        call = Call("1", "search_archive", json.dumps({"words": question.words}))
        told = json.loads(await searcher.search(turn, call, first, tokens=1))
        expected = world.expected_by_the_tool(question, first)
        found = [line for part in told["found"] for line in part["said"] if "found" in line]
        links = {line["link"].rpartition("/")[0] for line in found}
        assert links <= {str(key) for key in expected}
        assert len(links) == min(len(expected), PAGE)
        assert told["result"].startswith(f"{len(expected)} " if expected else "I found nothing")
        assert len(found) == len(links)
        assert {line["text"] for line in found} <= {text for each in expected.values() for text in each}
        around = {line["text"] for part in told["found"] for line in part["said"]}
        shown = [one for one in world.told.values() if str(one.key) in links]
        assert around <= {one.message.text for one in shown}
        some += len(links)
    assert some > 10


@pytest.mark.parametrize("seed", range(2))
async def test_what_somebody_takes_out_is_all_that_they_may_be_shown(database: Database, seed: int) -> None:
    world = World(database, seed)
    await world.live(100)
    given = 0
    for question in world.questions(60):
        one = world.draw.choice(list(world.told.values()))
        link = "x://" + ":".join((one.key.platform, one.key.workspace, one.key.channel, one.key.thread))
        taken = await world.taking.take(Wish(question.by, question.at, Export(Form.JSON, link)))
        if not world.may_see(question.by.id, question.at, one.place):
            assert taken == words.EXPORT_NOT_LINKED
            continue
        assert isinstance(taken, Taken)
        told = json.loads("".join([piece async for piece in taken.text()]))
        assert [message["text"] for message in told["messages"]] == world.thread(one.key)
        given += 1
    assert 0 < given < 60
