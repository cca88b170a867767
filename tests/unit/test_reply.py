"""Writing a reply: what people see, in which order it is written down, and what survives a crash."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters import words
from adapters.pacing import Pace
from adapters.posts import Showing, Work
from adapters.reply import PATIENCE_S, WORKING_AFTER_S, WORKING_EVERY_S, PacedReply
from bot.domain import Answer, Outcome, Part
from bot.errors import LeaseLost, PlatformForbidden, PlatformUnavailable
from tests.fakes.clock import VirtualTime
from tests.fakes.posts import FakeJournal, FakePosts, cut, throttled, turn


class Scene:
    """A reply, the thread it is written in, and the time."""

    def __init__(self, journal: FakeJournal | None = None, posts: FakePosts | None = None) -> None:
        self.time = VirtualTime()
        self.journal = journal or FakeJournal(turn())
        self.posts = posts or FakePosts(self.journal)
        self.posts.journal = self.journal
        pace = Pace(clock=self.time.now, sleep=self.time.sleep)
        self.reply = PacedReply(self.posts, self.journal, pace)

    async def show(self, text: str, seconds: float = 5.0) -> None:
        await self.reply.show(text)
        await self.time.pass_(seconds)

    async def finish(self, text: str, outcome: Outcome = Outcome.DONE, note: str = "") -> tuple[Part, ...]:
        return await self.time.run(self.reply.finish(Answer(text, outcome, note)))

    def names(self) -> list[str]:
        return [call.name for call in self.posts.calls]


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """A fresh reply; afterwards no task is left."""
    yield Scene()
    assert_no_task_is_left()


def assert_no_task_is_left() -> None:
    assert not {task for task in asyncio.all_tasks() if "PacedReply" in repr(task)}


class TestGrowing:
    async def test_an_answer_that_is_whole_at_once_is_one_call(self, scene):
        await scene.reply.show("Hel")
        await scene.reply.show("Hello.")
        parts = await scene.finish("Hello.")
        assert scene.names() == ["create"]
        assert scene.posts.states() == [Showing.DONE]
        assert parts == (Part(1, 1_001, 6),)
        assert scene.journal.positions == {}

    async def test_first_words_come_at_once_and_the_newest_text_wins(self, scene):
        await scene.show("One", 0.05)
        assert scene.posts.shown() == ["One"]
        await scene.show("One two", 0.1)
        await scene.show("One two three", 0.1)
        assert scene.posts.shown() == ["One"]
        await scene.show("One two three four", 2.0)
        assert [call.text for call in scene.posts.calls] == ["One", "One two three four"]
        await scene.finish("One two three four five")
        assert scene.posts.shown() == ["One two three four five"]

    async def test_the_position_is_written_down_as_soon_as_it_is_known(self, scene):
        await scene.show("One")
        assert scene.journal.positions == {1: 1_001}
        await scene.finish("One.")

    async def test_text_may_be_replaced_by_something_else_and_shorter(self, scene):
        await scene.show("word " * 60)
        assert len(scene.posts.shown()) == 2
        await scene.show("Anew")
        assert scene.posts.shown()[0] == "Anew"
        parts = await scene.finish("Anew and whole.")
        assert scene.posts.shown() == ["Anew and whole."]
        assert [part.number for part in parts] == [1]

    async def test_a_full_part_is_changed_once_more_and_the_next_begins(self, scene):
        for count in range(10, 100, 10):
            await scene.show("word " * count)
        assert scene.posts.states()[:2] == [Showing.EARLIER, Showing.EARLIER]
        assert scene.posts.states()[-1] is Showing.GROWING
        first = [call for call in scene.posts.calls if call.position == 1_001]
        assert [call.showing for call in first].count(Showing.EARLIER) == 1
        assert scene.journal.intents == [2, 3]
        await scene.finish("word " * 90)
        assert scene.posts.states() == [Showing.EARLIER, Showing.EARLIER, Showing.DONE]

    async def test_an_open_block_of_code_is_shown_closed(self, scene):
        await scene.show("Look:\n```py\nprint(1)\n``")
        assert scene.posts.shown() == ["Look:\n```py\nprint(1)\n```"]
        await scene.finish("Look:\n```py\nprint(1)\n```")

    async def test_a_sign_of_work_until_the_first_post(self, scene):
        await scene.reply.open()
        await scene.time.pass_(WORKING_AFTER_S + WORKING_EVERY_S + 1)
        assert scene.posts.signs == 2
        await scene.show("Hello", 3 * WORKING_EVERY_S)
        assert scene.posts.signs == 2
        await scene.finish("Hello.")

    async def test_a_search_is_shown_at_once_and_as_long_as_there_is_no_text(self, scene):
        await scene.reply.open()
        await scene.time.pass_(WORKING_AFTER_S + 0.1)
        await scene.reply.searching()
        await scene.time.pass_(WORKING_EVERY_S + 1)
        assert scene.posts.works == [Work.THINKING, Work.SEARCHING, Work.SEARCHING]
        await scene.show("Hello", 1)
        await scene.reply.searching()
        await scene.time.pass_(3 * WORKING_EVERY_S)
        assert len(scene.posts.works) == 3
        await scene.finish("Hello.")


class TestFinishing:
    async def test_parts_say_where_in_the_text_they_end(self, scene):
        text = "word " * 60
        parts = await scene.finish(text)
        assert [part.end for part in parts] == [200, 300]
        assert scene.names() == ["create", "create"]

    async def test_all_posts_but_the_last_are_written_down_at_once(self, scene):
        parts = await scene.finish("word " * 100)
        assert scene.journal.positions == {1: parts[0].position, 2: parts[1].position}
        assert scene.journal.intents == [2, 3]

    async def test_a_note_stands_below_the_text(self, scene):
        await scene.finish("Hello.", note="Older messages were left out.")
        assert scene.posts.shown() == ["Hello.\n\n*Older messages were left out.*"]

    async def test_a_note_that_does_not_fit_takes_another_post(self, scene):
        await scene.finish("word " * 39 + "end", note="A note.")
        assert len(scene.posts.shown()) == 2
        assert scene.posts.shown()[1].endswith("*A note.*")

    @pytest.mark.parametrize(
        ("outcome", "sentence"),
        [
            (Outcome.DONE, words.NOTHING_TO_SAY),
            (Outcome.STOPPED, words.NOTHING_SAID_YET),
            (Outcome.FAILED, words.NO_ANSWER),
        ],
    )
    async def test_an_empty_answer_still_says_something(self, scene, outcome, sentence):
        await scene.finish(" \n", outcome)
        assert scene.posts.shown() == [sentence]

    @pytest.mark.parametrize(
        ("outcome", "showing"), [(Outcome.STOPPED, Showing.STOPPED), (Outcome.FAILED, Showing.FAILED)]
    )
    async def test_the_outcome_decides_the_state(self, scene, outcome, showing):
        await scene.show("Half")
        await scene.finish("Half", outcome)
        assert scene.posts.states() == [showing]

    async def test_the_rest_of_a_very_long_answer_is_a_file(self, scene):
        text = "".join(f"Sentence {n} of many. " for n in range(100))
        await scene.show(text)
        assert len(scene.posts.thread) == 5
        parts = await scene.finish(text, note="A note.")
        *posts, file = [post for _, post in sorted(scene.posts.thread.items())]
        assert file.file == words.REST_NAME
        assert words.REST_IS_ATTACHED in posts[-1].text
        assert posts[-1].text.endswith("*A note.*")
        assert posts[-1].showing is Showing.DONE
        assert text[parts[-2].end :].strip() == file.text.strip()
        assert parts[-1] == Part(6, max(scene.posts.thread), len(text))

    async def test_where_files_are_forbidden_the_rest_is_posted(self, scene):
        scene.posts.files_allowed = False
        text = "".join(f"Sentence {n} of many. " for n in range(100))
        parts = await scene.finish(text)
        assert "".join(scene.posts.shown()).replace(" ", "") == text.replace(" ", "")
        assert len(parts) == len(scene.posts.thread) > 5

    async def test_what_no_platform_takes_is_replaced_one_for_one(self, scene):
        parts = await scene.finish("a\x00b\ud800c")
        assert scene.posts.shown() == ["a\ufffdb\ufffdc"]
        assert parts[0].end == 5


class TestTrouble:
    async def test_a_throttled_edit_is_made_later(self, scene):
        await scene.show("One")
        scene.posts.refusals.append(throttled(30))
        await scene.show("One two", 20)
        assert scene.posts.shown() == ["One"]
        await scene.time.pass_(30)
        assert scene.posts.shown() == ["One two"]
        await scene.finish("One two")

    async def test_finish_waits_as_long_as_it_is_told(self, scene):
        scene.posts.refusals += [throttled(20), throttled(20)]
        await scene.finish("Hello.")
        assert scene.time.now() >= 40
        assert scene.posts.shown() == ["Hello."]

    async def test_failures_while_growing_lose_no_text(self, scene):
        scene.posts.refusals += [cut(), cut(), cut()]
        await scene.reply.show("One")
        await scene.reply.show("One two")
        await scene.finish("One two three")
        assert scene.posts.shown() == ["One two three"]

    async def test_a_post_whose_answer_was_cut_off_is_found_and_not_made_again(self, scene):
        scene.posts.cuts.append(cut())
        await scene.show("One", 30)
        await scene.finish("One two")
        assert scene.posts.shown() == ["One two"]
        assert scene.journal.positions == {1: 1_001}

    async def test_the_same_at_the_finish(self, scene):
        scene.posts.cuts.append(cut())
        parts = await scene.finish("word " * 60)
        assert len(scene.posts.thread) == len(parts) == 2

    async def test_a_platform_that_asks_for_no_wait_is_not_hammered(self, scene):
        scene.posts.refusals += [throttled(0.0)] * 10
        await scene.finish("Hello.")
        assert scene.time.now() > 0.9

    async def test_patience_ends(self, scene):
        scene.posts.refusals += [cut() for _ in range(1_000)]
        with pytest.raises(PlatformUnavailable):
            await scene.finish("Hello.")
        assert scene.time.now() <= PATIENCE_S + 30

    async def test_no_right_to_post_is_told_by_finish(self, scene):
        scene.posts.refusals += [PlatformForbidden("no"), PlatformForbidden("no")]
        await scene.show("One")
        with pytest.raises(PlatformForbidden):
            await scene.finish("One")

    async def test_a_post_that_somebody_deleted_stays_deleted(self, scene):
        await scene.show("word " * 60)
        del scene.posts.thread[1_002]
        await scene.show("word " * 70)
        parts = await scene.finish("word " * 90)
        assert [part.position is None for part in parts] == [False, True, False]
        assert len(scene.posts.thread) == 2

    async def test_when_every_post_was_deleted_nothing_is_said(self, scene):
        await scene.show("One")
        scene.posts.thread.clear()
        assert await scene.finish("One two") == (Part(1, None, 7),)
        assert scene.posts.shown() == []


class TestLosingTheLease:
    async def test_nothing_more_is_posted(self, scene):
        await scene.show("One")
        scene.journal.lost = True
        await scene.show("One two")
        with pytest.raises(LeaseLost):
            await scene.reply.show("One two three")
        with pytest.raises(LeaseLost):
            await scene.finish("One two three")
        assert scene.posts.shown() == ["One"]

    async def test_finish_alone_finds_out_too(self, scene):
        scene.journal.lost = True
        with pytest.raises(LeaseLost):
            await scene.finish("Hello.")
        assert scene.posts.shown() == []

    async def test_a_call_that_the_platform_holds_back_is_cut_off(self, scene):
        scene.posts.hold = asyncio.Event()
        finishing = asyncio.ensure_future(scene.reply.finish(Answer("Hello.")))
        await scene.posts.waiting.wait()
        await asyncio.sleep(0.03)  # the lease is renewed meanwhile: it is looked at again
        assert not finishing.done()
        scene.journal.lost = True
        async with asyncio.timeout(5):
            with pytest.raises(LeaseLost):
                await finishing
        scene.posts.hold.set()
        await scene.time.idle()
        assert scene.posts.shown() == []

    async def test_abandoning_waits_for_the_call_and_writes_its_post_down(self, scene):
        scene.posts.hold = asyncio.Event()
        await scene.reply.show("One")
        growing = asyncio.ensure_future(scene.time.pass_(0.05))
        await scene.posts.waiting.wait()
        leaving = asyncio.ensure_future(scene.reply.abandon())
        await scene.time.idle()
        assert not leaving.done()
        scene.posts.hold.set()
        await leaving
        await growing
        assert scene.journal.positions == {1: 1_001}

    async def test_abandoning_leaves_what_is_there(self, scene):
        await scene.reply.open()
        await scene.show("One")
        await scene.reply.show("One two")
        await scene.reply.abandon()
        await scene.reply.abandon()
        assert scene.posts.shown() == ["One"]


class TestTakingOver:
    @staticmethod
    def after(posts: FakePosts) -> Scene:
        return Scene(posts.journal.taken_over(), posts)

    async def test_known_posts_are_changed_in_place(self, scene):
        await scene.show("word " * 60)
        await scene.reply.abandon()
        other = self.after(scene.posts)
        parts = await other.finish("Short.")
        assert scene.posts.shown() == ["Short."]
        assert parts == (Part(1, 1_001, 6),)

    async def test_a_post_that_no_row_names_is_found(self, scene):
        scene.posts.put("half of an ans")
        other = self.after(scene.posts)
        await other.finish("A whole answer.")
        assert scene.posts.shown() == ["A whole answer."]
        assert other.names() == ["change"]
        assert other.journal.positions == {1: 1_001}

    async def test_a_later_part_is_found_by_being_newer_than_the_ones_before(self, scene):
        await scene.show("word " * 60)
        del scene.journal.positions[2]
        await scene.reply.abandon()
        other = self.after(scene.posts)
        parts = await other.finish("word " * 61)
        assert [part.position for part in parts] == [1_001, 1_002]

    async def test_posts_of_other_turns_are_left_alone(self, scene):
        scene.journal.others.add(scene.posts.put("another answer"))
        other = self.after(scene.posts)
        await other.finish("Mine.")
        assert scene.posts.shown() == ["another answer", "Mine."]

    async def test_what_is_not_found_is_posted(self, scene):
        other = self.after(scene.posts)
        await other.finish("Hello.")
        assert scene.posts.shown() == ["Hello."]

    async def test_what_people_read_does_not_shrink_while_the_answer_comes_again(self, scene):
        await scene.show("One two three")
        await scene.reply.abandon()
        other = self.after(scene.posts)
        await other.show("One")
        assert scene.posts.shown() == ["One two three"]
        await other.show("word " * 60)
        assert scene.posts.shown()[0].startswith("word word")
        await other.finish("One two three four")
        assert scene.posts.shown() == ["One two three four"]

    async def test_trying_again_replaces_the_failure_at_once(self):
        posts = FakePosts(FakeJournal(turn()))
        scene = Scene(FakeJournal(turn(Part(1, posts.put("Something went wrong."), 20))), posts)
        await scene.show("Now")
        assert posts.shown() == ["Now"]
        await scene.finish("Now it works.")
        assert posts.states() == [Showing.DONE]


@pytest.mark.parametrize("calls", range(1, 9))
@pytest.mark.parametrize("carried_out", [True, False])
async def test_a_crash_at_any_call_leaves_one_whole_reply_after_the_takeover(calls, carried_out):
    scene = Scene()
    text = "".join(f"Sentence {n} of many. " for n in range(30))

    async def answer() -> None:
        for end in range(0, len(text), 150):
            await scene.show(text[:end], 3)
        await scene.finish(text)

    made = 0

    def crash() -> None:
        nonlocal made
        made += 1
        if made == calls:
            scene.journal.lost = True
            if not carried_out:
                scene.posts.refusals.append(cut())

    scene.posts.on_call = crash
    try:
        await answer()
    except LeaseLost:
        await scene.reply.abandon()
    scene.posts.on_call = lambda: None
    scene.posts.refusals.clear()
    other = Scene(scene.journal.taken_over(), scene.posts)
    parts = await other.finish(text)
    assert "".join(scene.posts.shown()).replace(" ", "") == text.replace(" ", "")
    assert [part.position for part in parts] == sorted(scene.posts.thread)


@pytest.mark.parametrize("rounds", range(0, 40, 3))
async def test_cancelling_finish_anywhere_leaves_no_task(rounds):
    scene = Scene()
    await scene.reply.open()
    await scene.show("word " * 60)
    finishing = asyncio.ensure_future(scene.reply.finish(Answer("word " * 150)))
    for _ in range(rounds):
        await asyncio.sleep(0)
    finishing.cancel()
    await asyncio.wait({finishing})
    await scene.reply.abandon()
    await scene.time.idle()
    assert_no_task_is_left()
