"""Recall over a real archive: what is found, in which words, and by whom."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.domain import (
    NEWEST_EVER,
    Addressed,
    Answer,
    Author,
    Deleted,
    Edited,
    History,
    Message,
    Part,
    Reread,
    Said,
    SessionKey,
)
from bot.finding import Excerpt, Page, Place, Question, Side
from bot.recall import PAGE, Recall
from bot.recall_words import DIRECT_SHOWS_MORE, LEFT_OUT, NOT_HERE, NOT_THERE, as_text
from storage.archive.claims import Claimant
from storage.archive.records import Records
from storage.archive.turns import Turns
from storage.database import Database
from storage.search.finder import SqlFinder
from tests.fakes.library import Library

ANN, JOE = Author("U1", "Ann Smith"), Author("U2", "Joe")
T0 = datetime(2026, 3, 2, 9, tzinfo=UTC)
NOW = T0 + timedelta(days=10)
DAY_S = 86_400
GENERAL, OPS = Place("web", "w", "general"), Place("web", "w", "ops")
SECRET, CLOSED = Place("web", "w", "secret"), Place("web", "w", "ops", "9")
MINE, YOURS = Place("web", "w", "dm-ann"), Place("web", "w", "dm-joe")


def key(channel: str = "general", thread: int | str = 1) -> SessionKey:
    return SessionKey("web", "w", channel, str(thread))


class World:
    """An archive, a platform with rules, and recall over both."""

    def __init__(self, db: Database) -> None:
        self.records = Records(db, Claimant("one", 60))
        self.turns = Turns(db, Claimant("one", 60))
        self.library = Library(
            shared={GENERAL: "#general", OPS: "#ops"},
            private={
                SECRET: frozenset({"U1"}),
                CLOSED: frozenset({"U1"}),
                MINE: frozenset({"U1"}),
                YOURS: frozenset({"U2"}),
            },
            directs=frozenset({"dm-ann", "dm-joe"}),
        )
        finder = SqlFinder(db)
        self.recall = Recall(finder, finder, lambda: NOW)
        self.recall.serve({"web": self.library})
        self._positions = iter(range(10, 10_000))

    async def say(
        self,
        text: str,
        at: SessionKey | None = None,
        by: Author = ANN,
        *,
        closed: bool = False,
        day: float = 0,
    ) -> Said:
        position = next(self._positions)
        message = Message(position, by, text, T0 + timedelta(days=day, seconds=position))
        said = Said(at or key(), message, Addressed.MENTION, answer=False, closed=closed)
        await self.records.record(said)
        return said

    async def ask(
        self, words: str, by: Author = ANN, at: SessionKey | None = None, zone: str = ""
    ) -> Page | str:
        return await self.recall.ask(Question(by, at or key("random", "main"), words, zone))

    async def page(self, words: str, by: Author = ANN, at: SessionKey | None = None) -> Page:
        page = await self.ask(words, by, at)
        assert isinstance(page, Page), page
        return page

    async def texts(self, words: str, by: Author = ANN, at: SessionKey | None = None) -> list[str]:
        return [shown.hit.line.snippet.text for shown in (await self.page(words, by, at)).found]


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    return World(database)


# Finding.


async def test_a_hit_shows_the_words_marked_and_what_stands_around_them(world: World) -> None:
    said = [await world.say(text) for text in ("lunch?", "the login page is slow", "yes it is", "bye")]
    (shown,) = (await world.page("login pages")).found
    assert [(each.text, each.marked) for each in shown.hit.line.snippet.stretches] == [
        ("the ", False),
        ("login", True),
        (" ", False),
        ("page", True),
        (" is slow", False),
    ]
    assert shown.hit.before
    assert shown.hit.after
    assert (shown.hit.before.snippet.text, shown.hit.after.snippet.text) == ("lunch?", "yes it is")
    assert (shown.where, shown.link) == ("#general", f"link:general/1/{said[1].message.position}")
    assert (shown.hit.talk.title, shown.hit.talk.messages) == ("lunch?", 4)


async def test_recall_alone_lists_where_the_asker_took_part_newest_first(world: World) -> None:
    await world.say("first", key(thread=1))
    await world.say("of others", key(thread=2), JOE)
    await world.say("second", key("ops", 3), day=1)
    await world.say("and joe", key(thread=1), JOE, day=2)
    page = await world.page("")
    assert [shown.hit.talk.title for shown in page.found] == ["second", "first"]
    assert page.lead == "2 conversations with you"


async def test_our_own_replies_and_what_was_said_before_are_found_too(world: World) -> None:
    said = await world.say("what is it called?")
    recorded = await world.records.record(replace(said, answer=True))
    assert recorded.turn
    earlier = Message(2, JOE, "the project is called Albatross", T0)
    await world.records.add_history(recorded.turn, History((earlier,), whole=True))
    await world.turns.close(recorded.turn, Answer("It is Albatross."), [Part(1, 5_000, 16)], T0)
    assert await world.texts("albatross from:threadfly") == ["It is Albatross."]
    assert await world.texts("albatross from:joe") == ["the project is called Albatross"]


async def test_edited_words_are_found_and_the_old_ones_are_not_nor_are_deleted_ones(world: World) -> None:
    first = await world.say("the lion sleeps")
    second = await world.say("the zebra runs")
    edited = replace(first.message, text="the tiger sleeps", edited_at=NOW)
    await world.records.edit(Edited(first.key, edited, Addressed.MENTION))
    await world.records.delete(Deleted(second.key, second.message.position))
    assert [await world.texts(word) for word in ("lion", "tiger", "zebra")] == [[], ["the tiger sleeps"], []]
    (shown,) = (await world.page("")).found
    assert shown.hit.talk.title == "the tiger sleeps"


async def test_what_a_second_reading_showed_as_edited_or_deleted_is_found_so(world: World) -> None:
    first = await world.say("the lion sleeps")
    edited = replace(first.message, text="the tiger sleeps", edited_at=NOW)
    await world.say("the zebra runs")
    there = frozenset({first.message.position})
    await world.records.reread(Reread(first.key, 0, NEWEST_EVER, there, (edited,)))
    assert [await world.texts(word) for word in ("lion", "tiger", "zebra")] == [[], ["the tiger sleeps"], []]


async def test_a_part_of_a_reply_that_is_gone_is_found_no_more(world: World) -> None:
    said = await world.say("tell me")
    turn = (await world.records.record(replace(said, answer=True))).turn
    assert turn
    parts = [Part(1, 5_000, 6), Part(2, 5_001, 12)]
    await world.turns.close(turn, Answer("zebra gnu..."), parts, T0)
    await world.records.delete(Deleted(said.key, 5_001))
    assert (await world.texts("zebra"), await world.texts("gnu")) == (["zebra"], [])


async def test_people_channels_dates_and_here_narrow_what_is_found(world: World) -> None:
    await world.say("tea in general", key(thread=1))
    await world.say("tea in ops", key("ops", 2), JOE, day=3)
    assert await world.texts("tea from:@joe") == ["tea in ops"]
    assert await world.texts("tea from:@ann") == ["tea in general"]
    assert await world.texts("tea from:me", JOE) == ["tea in ops"]
    assert await world.texts("tea in:#ops") == ["tea in ops"]
    assert await world.texts("tea after:2026-03-04") == ["tea in ops"]
    assert await world.texts("tea here", at=key(thread=1)) == ["tea in general"]
    assert await world.texts("tea here", at=key("ops", "main")) == ["tea in ops"]
    assert await world.texts("tea here", at=key("random", "main")) == []


async def test_words_that_are_not_understood_get_a_sentence(world: World) -> None:
    await world.say("tea")
    for words, told in {
        "tea from:@nobody": "nobody called “nobody”",
        "tea in:#nowhere": "no channel called “nowhere” here. Try in:#general.",
        "tea before:whenever": "before:whenever",
        "?!": "no word in that",
    }.items():
        answer = await world.ask(words)
        assert isinstance(answer, str)
        assert told in answer


async def test_a_typo_is_forgiven_and_said(world: World) -> None:
    await world.say("the deployment failed")
    page = await world.page("deploymnet")
    assert len(page.found) == 1
    assert "come close" in page.notes[0]


async def test_nothing_found_says_what_was_looked_for_and_where(world: World) -> None:
    page = await world.page("unicorn")
    assert (page.lead, page.found) == ("I found nothing for “unicorn”.", [])
    assert page.notes == ("I looked into what you can read here: #general, #ops.", DIRECT_SHOWS_MORE)


async def test_pages_follow_each_other_and_do_not_move_when_something_new_is_said(world: World) -> None:
    for n in range(PAGE + 2):
        await world.say(f"tea {n}", key(thread=n))
    first = await world.page("tea")
    assert (len(first.found), first.earlier, first.lead) == (PAGE, None, "7 conversations for “tea”")
    await world.say("tea again", key(thread=77), day=20)
    await world.say("tea at once", key(thread=78), day=10 + 10 / DAY_S)
    question = Question(ANN, key("random", "main"), "tea")
    second = await world.recall.ask(question, first.later)
    assert isinstance(second, Page)
    assert (len(second.found), second.later) == (2, None)
    texts = [shown.hit.line.snippet.text for page in (first, second) for shown in page.found]
    assert sorted(texts) == [f"tea {n}" for n in range(PAGE + 2)]
    assert await world.recall.ask(question, second.earlier) == first


async def test_pages_do_not_move_where_the_platforms_clock_is_ahead(world: World) -> None:
    for n in range(PAGE + 2):
        await world.say(f"tea {n}", key(thread=n), day=10 + 20 / DAY_S)
    question = Question(ANN, key("random", "main"), "tea")
    first = await world.page("tea")
    await world.say("tea again", key(thread=77), day=10 + 20 / DAY_S)
    assert first.lead == "7 conversations for “tea”"
    second = await world.recall.ask(question, first.later)
    assert isinstance(second, Page)
    texts = [shown.hit.line.snippet.text for page in (first, second) for shown in page.found]
    assert sorted(texts) == [f"tea {n}" for n in range(PAGE + 2)]


async def test_dates_are_read_in_the_askers_zone_and_the_answer_says_so(world: World) -> None:
    await world.say("tea")  # at 9:00 in UTC, 18:00 in Tokyo
    assert (await world.page("tea before:2026-03-02T10:00")).found
    world.library.zone = "Asia/Tokyo"
    page = await world.page("tea after:2026-03-02T17:00")
    assert (len(page.found), page.zone) == (1, "Asia/Tokyo")
    assert "I read dates in your time zone (Asia/Tokyo)." in page.notes
    assert not (await world.page("tea before:2026-03-02T10:00")).found
    world.library.zone = "Nowhere/At_all"
    assert (await world.page("tea before:2026-03-02T10:00")).zone == "UTC"


# Who may see what.


async def test_private_places_are_shown_to_their_readers_there_and_in_a_direct_message_only(
    world: World,
) -> None:
    await world.say("plan in secret", key("secret", 1))
    await world.say("plan in a closed thread", key("ops", 9), closed=True)
    await world.say("plan of ann", key("dm-ann", "main"))
    await world.say("plan of joe", key("dm-joe", "main"), JOE)
    assert await world.texts("plan", JOE) == []
    assert await world.texts("plan", ANN) == []
    assert await world.texts("plan", ANN, key("secret", "main")) == ["plan in secret"]
    assert await world.texts("plan", ANN, key("ops", 9)) == ["plan in a closed thread"]
    assert sorted(await world.texts("plan", ANN, key("dm-ann", "main"))) == [
        "plan in a closed thread",
        "plan in secret",
        "plan of ann",
    ]
    assert await world.texts("plan", JOE, key("dm-joe", "main")) == ["plan of joe"]
    assert await world.texts("plan", JOE, key("secret", "main")) == []


async def test_elsewhere_everybody_is_told_the_same_about_direct_messages(world: World) -> None:
    await world.say("plan", key("secret", 1))
    told = [(await world.page("plan", by)).notes for by in (ANN, JOE)]
    assert told[0] == told[1]
    assert DIRECT_SHOWS_MORE in told[0]
    assert DIRECT_SHOWS_MORE not in (await world.page("plan", ANN, key("dm-ann", "main"))).notes


async def test_a_name_that_was_only_heard_in_private_is_nobodys_to_others(world: World) -> None:
    await world.say("hello", key("secret", 1), Author("U9", "Zed"))
    assert "nobody called “zed”" in str(await world.ask("from:zed", JOE))
    assert "nobody called “zed”" in str(await world.ask("from:zed", ANN))
    assert (await world.page("from:zed", ANN, key("secret", "main"))).found


async def test_what_could_not_be_judged_is_left_out_and_that_is_said(world: World) -> None:
    world.library.left_out = True
    await world.say("tea")
    assert LEFT_OUT in (await world.page("tea")).notes


async def test_who_left_in_between_sees_no_second_page_and_opens_nothing(world: World) -> None:
    for n in range(PAGE + 1):
        await world.say(f"plan {n}", key("secret", n))
    question = Question(ANN, key("dm-ann", "main"), "plan")
    first = await world.recall.ask(question)
    assert isinstance(first, Page)
    opened = first.found[0].hit
    side = Side(opened.line.position)
    assert isinstance(await world.recall.look(question, opened.talk.key, side), Excerpt)
    world.library.private[SECRET] = frozenset()
    second = await world.recall.ask(question, first.later)
    assert isinstance(second, Page)
    assert (second.found, second.lead) == ([], "I found nothing for “plan”.")
    assert await world.recall.look(question, opened.talk.key, side) == NOT_THERE


async def test_a_platform_without_rules_shows_nothing(world: World) -> None:
    assert await world.ask("tea", at=SessionKey("other", "w", "c", "1")) == NOT_HERE


# Reading on.


async def test_a_conversation_is_read_on_in_both_directions(world: World) -> None:
    said = [await world.say(f"line {n}") for n in range(30)]
    question = Question(ANN, key(), "line")

    async def read(side: Side) -> Excerpt:
        excerpt = await world.recall.look(question, key(), side)
        assert isinstance(excerpt, Excerpt)
        return excerpt

    def numbers(excerpt: Excerpt) -> list[int]:
        return [int(line.snippet.text.split()[1]) for line in excerpt.lines]

    middle = await read(Side(said[15].message.position))
    assert (numbers(middle), middle.older, middle.newer) == ([*range(10, 20)], True, True)
    before = await read(Side(middle.lines[0].position, -1))
    assert (numbers(before), before.older, before.newer) == ([*range(10)], False, True)
    after = await read(Side(middle.lines[-1].position, 1))
    assert (numbers(after), after.older, after.newer) == ([*range(20, 30)], True, False)


# As a text.


async def test_as_a_text_a_page_has_marks_links_times_and_its_zone(world: World) -> None:
    await world.say("lunch?", by=JOE)
    said = await world.say("the *login* page")
    text = as_text(await world.page("page"))
    assert text == (
        "**1 conversation for “page”**\n\n"
        f"#general · 2 Mar 2026, 09:00 · [open](link:general/1/{said.message.position})\n"
        "> Joe: lunch?\n"
        "> Ann Smith: the *login* **page**\n\n"
        f"{DIRECT_SHOWS_MORE}\n"
        "Times are in UTC."
    )


async def test_as_a_text_a_page_fits_into_one_post(world: World) -> None:
    for n in range(PAGE + 1):
        await world.say("tea " * 200, key(thread=n))
    text = as_text(await world.page("tea"))
    assert len(text) < 2_000
    assert "There is more" in text


async def test_recall_alone_as_a_text_lists_title_place_time_size_and_link(world: World) -> None:
    await world.say("about the login page")
    said = await world.say("and more")
    lines = as_text(await world.page("")).splitlines()
    assert lines[2].startswith("#general · ")
    assert lines[2].endswith(f" · 2 messages · [open](link:general/1/{said.message.position})")
    assert lines[3] == "> about the login page"


async def test_what_is_read_around_a_hit_says_where_each_message_is(world: World) -> None:
    said = [await world.say(text) for text in ("one", "two")]
    part = await world.recall.look(Question(ANN, key(), ""), key(), Side(said[0].message.position))
    assert isinstance(part, Excerpt)
    assert part.links == tuple(f"link:general/1/{each.message.position}" for each in said)
