"""What the archive promises, on every database."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from bot.domain import (
    NEWEST_EVER,
    OURSELVES,
    Addressed,
    Answer,
    Attachment,
    Author,
    Block,
    Change,
    Deleted,
    Edited,
    History,
    Message,
    Outcome,
    Part,
    Receipt,
    Recorded,
    Reread,
    Said,
    SessionKey,
    Turn,
    Usage,
)
from bot.errors import LeaseLost
from storage.archive.claims import Claimant
from storage.archive.records import Records
from storage.archive.strays import StrayTombstones
from storage.archive.summaries import Summaries
from storage.archive.turns import Turns
from storage.archive.watermarks import SqlWatermarks
from storage.archive.windows import Windows
from storage.database import Database
from storage.tables import feedback, parts, sessions, tombstones, turns

KEY = SessionKey("web", "w", "c", "1")
ANN, JOE = Author("U1", "Ann"), Author("U2", "Joe")
T0 = datetime(2026, 1, 1, tzinfo=UTC)


def message(position: int, text: str = "", by: Author = ANN, edited: int | None = None) -> Message:
    at = T0 + timedelta(seconds=position)
    when = None if edited is None else T0 + timedelta(seconds=edited)
    return Message(position, by, text or f"text {position}", at, edited_at=when)


def said(
    position: int, addressed: Addressed = Addressed.MENTION, text: str = "", key: SessionKey = KEY
) -> Said:
    return Said(key, message(position, text), addressed)


@dataclass
class Archive:
    """The archive as one process uses it."""

    database: Database
    records: Records
    turns: Turns
    windows: Windows
    summaries: Summaries

    async def texts(self, session_id: int) -> list[str]:
        return [m.text for m in (await self.windows.newest(session_id, 1000)).messages]

    async def close(self, turn: Turn, position: int, text: str = "reply") -> Turn | None:
        posted = [Part(1, position, len(text))]
        return (await self.turns.close(turn, Answer(text), posted, T0)).next

    async def count(self, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
        query = sa.select(sa.func.count()).select_from(table).where(*where)
        return await self.database.read(lambda c: c.execute(query).scalar_one())


def archive_of(database: Database, owner: str = "me", lease_s: float = 60.0) -> Archive:
    me = Claimant(owner, lease_s)
    return Archive(
        database, Records(database, me), Turns(database, me), Windows(database), Summaries(database)
    )


@pytest.fixture
def archive(database: Database) -> Archive:
    return archive_of(database)


async def asked(archive: Archive, position: int = 1) -> tuple[Recorded, Turn]:
    recorded = await archive.records.record(said(position))
    assert recorded.turn is not None
    return recorded, recorded.turn


async def test_a_mention_makes_session_message_and_turn_at_once(archive: Archive) -> None:
    recorded = await archive.records.record(replace(said(1), opens_thread=True))
    assert recorded.receipt is Receipt.ANSWERING
    assert recorded.version == 1
    assert recorded.turn is not None
    assert (recorded.turn.asked, recorded.turn.cut, recorded.turn.epoch) == ((1,), 1, 1)
    assert recorded.turn.settings.complete_from == 0
    assert await archive.count(parts, parts.c.position.is_(None)) == 1


async def test_a_message_to_nobody_outside_of_a_session_is_not_kept(archive: Archive) -> None:
    assert (await archive.records.record(said(1, Addressed.THREAD))).receipt is Receipt.IGNORED
    assert (await archive.records.record(said(1, Addressed.ASIDE))).receipt is Receipt.IGNORED


async def test_every_redelivery_is_one_message_one_turn_and_one_version(archive: Archive) -> None:
    first, _ = await asked(archive)
    for _ in range(3):
        again = await archive.records.record(said(1))
        assert (again.receipt, again.version, again.fresh) == (Receipt.KEPT, 1, False)
    assert await archive.texts(first.session_id) == ["text 1"]


async def test_twenty_deliveries_at_once_are_one_turn(archive: Archive) -> None:
    receipts = await asyncio.gather(*(archive.records.record(said(1)) for _ in range(20)))
    assert sorted(r.receipt for r in receipts) == [Receipt.ANSWERING] + [Receipt.KEPT] * 19


async def test_a_mention_that_catching_up_had_kept_is_still_answered(archive: Archive) -> None:
    kept = await archive.records.record(replace(said(1), answer=False))
    assert kept.receipt is Receipt.KEPT
    live = await archive.records.record(said(1))
    assert live.receipt is Receipt.ANSWERING
    assert live.version == kept.version == 1


async def test_two_copies_of_one_gesture_are_one_message(archive: Archive) -> None:
    one = await archive.records.record(replace(said(1), gesture="g"))
    two = await archive.records.record(replace(said(2), gesture="g"))
    other_thread = replace(said(3, key=replace(KEY, thread="3")), gesture="g")
    three = await archive.records.record(other_thread)
    assert [one.receipt, two.receipt, three.receipt] == [Receipt.ANSWERING, Receipt.KEPT, Receipt.KEPT]
    assert await archive.texts(one.session_id) == ["text 1"]
    assert (await archive.records.record(said(4, Addressed.THREAD, key=other_thread.key))).receipt is (
        Receipt.IGNORED
    )


async def test_replies_in_a_thread_need_no_mention(archive: Archive) -> None:
    recorded, turn = await asked(archive)
    await archive.close(turn, 2)
    follow_up = await archive.records.record(said(3, Addressed.THREAD))
    assert follow_up.receipt is Receipt.ANSWERING
    assert follow_up.session_id == recorded.session_id


async def test_an_aside_is_kept_and_not_answered(archive: Archive) -> None:
    recorded, _ = await asked(archive)
    aside = await archive.records.record(said(2, Addressed.ASIDE))
    assert aside.receipt is Receipt.KEPT
    assert await archive.texts(recorded.session_id) == ["text 1", "text 2"]


async def test_while_paused_a_thread_is_kept_and_not_answered(archive: Archive) -> None:
    _, turn = await asked(archive)
    await archive.close(turn, 2)
    await archive.records.change(KEY, Change(paused=True))
    assert (await archive.records.record(said(3, Addressed.THREAD))).receipt is Receipt.KEPT
    await archive.records.change(KEY, Change(paused=False))
    assert (await archive.records.record(said(4, Addressed.THREAD))).receipt is Receipt.ANSWERING


async def test_what_comes_while_a_turn_runs_is_answered_together_by_the_next(archive: Archive) -> None:
    _, turn = await asked(archive)
    for position in (2, 3, 4):
        waiting = await archive.records.record(said(position, Addressed.THREAD))
        assert waiting.receipt is Receipt.QUEUED
    following = await archive.close(turn, 10)
    assert following is not None
    assert following.asked == (2, 3, 4)
    assert following.cut == 10, "it sees the reply that was given meanwhile"
    assert await archive.close(following, 11) is None
    assert (await archive.records.record(said(12, Addressed.THREAD))).receipt is Receipt.ANSWERING


async def test_other_sessions_are_not_held_up(archive: Archive) -> None:
    await asked(archive)
    other = await archive.records.record(said(2, key=replace(KEY, thread="2")))
    assert other.receipt is Receipt.ANSWERING


@pytest.mark.parametrize("part", ["platform", "workspace", "channel", "thread"])
async def test_all_four_parts_of_the_key_tell_sessions_apart(archive: Archive, part: str) -> None:
    one, _ = await asked(archive)
    other = await archive.records.record(said(1, key=replace(KEY, **{part: "other"})))
    assert other.session_id != one.session_id


async def test_the_same_text_twice_is_two_messages_in_order(archive: Archive) -> None:
    recorded, _ = await asked(archive)
    for position in (3, 2):
        await archive.records.record(said(position, Addressed.ASIDE, text="yes"))
    assert await archive.texts(recorded.session_id) == ["text 1", "yes", "yes"]


async def test_order_is_that_of_positions_not_of_arrival(archive: Archive) -> None:
    recorded, _ = await asked(archive, 5)
    for position in (9, 3, 7):
        await archive.records.record(said(position, Addressed.ASIDE))
    assert await archive.texts(recorded.session_id) == ["text 3", "text 5", "text 7", "text 9"]


async def test_a_window_is_the_newest_up_to_the_cut(archive: Archive) -> None:
    recorded, _ = await asked(archive)
    for position in range(2, 11):
        await archive.records.record(said(position, Addressed.ASIDE))
    window = await archive.windows.newest(recorded.session_id, 3, cut=8)
    assert [m.position for m in window.messages] == [6, 7, 8]
    assert not window.whole
    assert window.version == 10
    assert (await archive.windows.newest(recorded.session_id, 10)).whole


async def test_a_message_comes_back_as_it_went_in(archive: Archive) -> None:
    file = Attachment("a.png", "image/png", 12, "http://files/a")
    whole = replace(message(1, "täxt 😀"), attachments=(file,), author=Author("U9", "Zoë"))
    recorded = await archive.records.record(Said(KEY, whole, Addressed.DIRECT))
    assert (await archive.windows.newest(recorded.session_id, 5)).messages == (whole,)


async def test_new_begins_a_fresh_context_and_deletes_nothing(archive: Archive) -> None:
    recorded, turn = await asked(archive)
    await archive.close(turn, 2)
    new = await archive.records.record(said(3, text="new"), Change(fresh=True))
    assert new.version == 4, "no hot window that ends at version 2 may be appended to"
    assert new.turn is not None
    assert new.turn.settings.fresh_from == 3
    window = await archive.windows.newest(recorded.session_id, 10)
    assert (window.messages, window.whole) == ((), True)
    assert len(await archive.windows.between(recorded.session_id, 0, NEWEST_EVER, 10)) == 3


async def test_a_change_is_carried_out_once(archive: Archive) -> None:
    _, turn = await asked(archive)
    await archive.close(turn, 2)
    command = said(3, text="model small")
    await archive.records.record(command, Change(model="small"))
    await archive.records.change(KEY, Change(model="large"))
    await archive.records.record(command, Change(model="small"))
    changed = await archive.records.change(KEY, Change())
    assert changed is not None
    assert changed.settings.model == "large"


async def test_a_command_without_a_session_finds_none(archive: Archive) -> None:
    assert await archive.records.change(KEY, Change(paused=True)) is None


async def test_stop_reaches_the_running_turn_and_drops_what_waits(archive: Archive) -> None:
    _, turn = await asked(archive)
    await archive.records.record(said(2, Addressed.THREAD))
    stop = await archive.records.record(said(3, text="stop"), Change(stop=True))
    assert (stop.stopping, stop.turn) == (turn.id, None)
    assert await archive.turns.renew([turn.id]) == {turn.id: (1, True)}
    assert await archive.close(turn, 4) is None


async def test_an_edit_changes_text_and_version(archive: Archive) -> None:
    recorded, _ = await asked(archive)
    assert await archive.records.edit(Edited(KEY, message(1, "new", edited=5), Addressed.THREAD))
    window = await archive.windows.newest(recorded.session_id, 5)
    assert (window.messages[0].text, window.version) == ("new", 2)


async def test_an_edit_that_changes_nothing_raises_no_version(archive: Archive) -> None:
    recorded, _ = await asked(archive)
    assert not await archive.records.edit(Edited(KEY, message(1, edited=5), Addressed.THREAD))
    assert (await archive.windows.newest(recorded.session_id, 5)).version == 1


async def test_of_two_edits_the_later_one_wins_in_either_order(archive: Archive) -> None:
    recorded, _ = await asked(archive)
    await archive.records.edit(Edited(KEY, message(1, "later", edited=9), Addressed.THREAD))
    await archive.records.edit(Edited(KEY, message(1, "earlier", edited=5), Addressed.THREAD))
    assert await archive.texts(recorded.session_id) == ["later"]


async def test_our_own_posts_are_not_edited_by_their_echo(archive: Archive) -> None:
    recorded, turn = await asked(archive)
    await archive.close(turn, 2, "whole")
    echo = Edited(KEY, message(2, "who", by=OURSELVES, edited=3), Addressed.THREAD)
    assert not await archive.records.edit(echo)
    assert await archive.texts(recorded.session_id) == ["text 1", "whole"]


@pytest.mark.parametrize("joined", [True, False])
async def test_an_edit_that_comes_first_wins_and_the_message_is_answered(
    archive: Archive, joined: bool
) -> None:
    if joined:
        _, turn = await asked(archive)
        await archive.close(turn, 2)
    await archive.records.edit(Edited(KEY, message(5, "edited", edited=9), Addressed.MENTION))
    late = await archive.records.record(said(5))
    assert late.receipt is Receipt.ANSWERING
    assert (await archive.texts(late.session_id))[-1] == "edited"


@pytest.mark.parametrize("joined", [True, False])
async def test_a_deletion_that_comes_first_wins(archive: Archive, joined: bool) -> None:
    if joined:
        _, turn = await asked(archive)
        await archive.close(turn, 2)
    await archive.records.delete(Deleted(KEY, 5))
    late = await archive.records.record(said(5))
    assert late.receipt is not Receipt.ANSWERING
    assert await archive.count(turns, turns.c.asked_position == 5) == 0


async def test_a_deletion_whose_thread_nobody_knows_any_more_is_carried_out(archive: Archive) -> None:
    recorded, turn = await asked(archive)
    await archive.records.record(said(2, Addressed.ASIDE))
    await archive.close(turn, 3)
    elsewhere = replace(KEY, thread="2")
    assert await archive.records.delete(Deleted(replace(elsewhere, channel="another"), 2)) is None
    assert await archive.records.delete(Deleted(elsewhere, 2)) is not None
    assert await archive.records.delete(Deleted(elsewhere, 2)) is None
    assert await archive.records.delete(Deleted(elsewhere, 3)) is not None
    assert await archive.texts(recorded.session_id) == ["text 1"]


async def test_what_was_deleted_comes_back_by_no_way(archive: Archive) -> None:
    recorded, turn = await asked(archive)
    await archive.records.record(said(2, Addressed.ASIDE))
    assert await archive.records.delete(Deleted(KEY, 2))
    await archive.records.record(said(2))
    await archive.records.edit(Edited(KEY, message(2, "edited", edited=9), Addressed.MENTION))
    await archive.records.add_history(turn, History((message(2),), whole=True))
    assert await archive.texts(recorded.session_id) == ["text 1"]
    assert await archive.count(tombstones) == 1


async def test_a_question_deleted_while_it_waits_is_not_answered(archive: Archive) -> None:
    _, turn = await asked(archive)
    await archive.records.record(said(2, Addressed.THREAD))
    await archive.records.delete(Deleted(KEY, 2))
    assert await archive.close(turn, 3) is None
    assert (await archive.records.record(said(4, Addressed.THREAD))).receipt is Receipt.ANSWERING


async def test_history_is_archived_once_and_says_from_where_it_is_whole(archive: Archive) -> None:
    recorded, turn = await asked(archive, 10)
    history = History(tuple(message(p, by=JOE) for p in (7, 8, 9)), whole=False)
    assert await archive.records.add_history(turn, history) == 2
    assert await archive.records.add_history(turn, history) == 2
    assert await archive.texts(recorded.session_id) == ["text 7", "text 8", "text 9", "text 10"]
    changed = await archive.records.change(KEY, Change())
    assert changed is not None
    assert (changed.settings.complete_from, changed.settings.messages) == (7, 4)


async def test_closing_archives_the_reply_with_its_usage(archive: Archive) -> None:
    recorded, turn = await asked(archive)
    usage = Usage("m", 10, 5, 15, "resp-1", "fp-1", "stop", 120)
    closed = await archive.turns.close(
        turn, Answer("hello", note="a note", usage=usage), [Part(1, 2, 3), Part(2, 3, 5)], T0
    )
    assert closed.version == 2
    assert closed.reply == Message(2, OURSELVES, "hello", T0, note="a note")
    row = await archive.database.read(lambda c: c.execute(sa.select(turns)).one())
    assert (row.state, row.reply_position, row.total_tokens) == ("done", 2, 15)
    assert (row.response_id, row.system_fingerprint, row.finish_reason) == ("resp-1", "fp-1", "stop")
    assert await archive.count(parts, parts.c.position.in_([2, 3])) == 2
    assert (await archive.windows.newest(recorded.session_id, 5)).messages[-1] == closed.reply


async def test_a_turn_that_posted_nothing_is_closed_without_a_reply(archive: Archive) -> None:
    recorded, turn = await asked(archive)
    closed = await archive.turns.close(turn, Answer("", Outcome.FAILED), [], T0)
    assert (closed.version, closed.reply) == (1, None)
    assert await archive.texts(recorded.session_id) == ["text 1"]


async def test_nobody_takes_over_a_lease_that_holds(archive: Archive) -> None:
    await asked(archive)
    assert await archive_of(archive.database, "other").turns.take_over(["web"]) == []


async def test_a_lease_that_ran_out_is_taken_over_by_exactly_one(database: Database) -> None:
    dead = archive_of(database, "dead", lease_s=-1.0)
    _, turn = await asked(dead)
    others = [archive_of(database, f"other {n}") for n in range(5)]
    claims = await asyncio.gather(*(other.turns.take_over(["web"]) for other in others))
    taken = list(itertools.chain(*claims))
    assert [(t.id, t.epoch, t.taken_over, t.parts) for t in taken] == [(turn.id, 2, True, (Part(1),))]


async def test_turns_of_platforms_that_are_not_here_are_left_alone(database: Database) -> None:
    await asked(archive_of(database, "dead", lease_s=-1.0))
    assert await archive_of(database).turns.take_over(["slack"]) == []


Write = Callable[[Turns, Turn], Awaitable[object]]


@pytest.mark.parametrize(
    "write",
    [
        lambda store, turn: store.intend(turn, 2),
        lambda store, turn: store.posted(turn, 1, 7),
        lambda store, turn: store.close(turn, Answer("late"), [Part(1, 7, 4)], T0),
    ],
    ids=["intend", "posted", "close"],
)
async def test_an_owner_whose_turn_was_taken_over_writes_nothing_more(
    database: Database, write: Write
) -> None:
    dead = archive_of(database, "dead", lease_s=-1.0)
    recorded, turn = await asked(dead)
    other = archive_of(database, "other")
    (taken,) = await other.turns.take_over(["web"])
    with pytest.raises(LeaseLost):
        await write(dead.turns, turn)
    assert await dead.turns.renew([turn.id]) == {}
    await other.close(taken, 9)
    with pytest.raises(LeaseLost):
        await write(dead.turns, turn)
    assert await other.texts(recorded.session_id) == ["text 1", "reply"]


async def test_whoever_takes_over_learns_what_was_posted(database: Database) -> None:
    dead = archive_of(database, "dead", lease_s=-1.0)
    _, turn = await asked(dead)
    await dead.turns.posted(turn, 1, 5)
    await dead.turns.intend(turn, 2)
    (taken,) = await archive_of(database, "other").turns.take_over(["web"])
    assert taken.parts == (Part(1, 5), Part(2))


async def test_a_turn_taken_over_answers_the_same_messages(database: Database) -> None:
    dead = archive_of(database, "dead", lease_s=-1.0)
    _, turn = await asked(dead)
    for position in (2, 3):
        await dead.records.record(said(position, Addressed.THREAD))
    following = await dead.close(turn, 4)
    assert following is not None
    await dead.records.record(said(6, Addressed.ASIDE))
    (taken,) = await archive_of(database, "other").turns.take_over(["web"])
    assert (taken.asked, taken.cut) == (following.asked, following.cut) == ((2, 3), 4)


async def test_a_released_turn_waits_as_long_as_was_said(archive: Archive) -> None:
    _, turn = await asked(archive)
    await archive.turns.release(turn, 60)
    assert await archive.turns.take_over(["web"]) == []
    await archive.turns.release(turn, 0)
    assert [t.id for t in await archive.turns.take_over(["web"])] == [turn.id]


async def test_posts_that_rows_name_are_claimed(archive: Archive) -> None:
    _, turn = await asked(archive)
    await archive.turns.posted(turn, 1, 5)
    assert await archive.turns.unclaimed(turn, [5, 6]) == {6}


async def test_a_failed_turn_is_tried_again_in_place(archive: Archive) -> None:
    recorded, turn = await asked(archive)
    await archive.turns.close(turn, Answer("sorry", Outcome.FAILED), [Part(1, 2, 5)], T0)
    again = (await archive.turns.again(KEY, 1)).turn
    assert again is not None
    assert (again.id, again.parts) == (turn.id, (Part(1, 2, 5),))
    closed = await archive.turns.close(again, Answer("hello"), [Part(1, 2, 5)], T0)
    assert closed.reply is None, "nothing to append: the message was there"
    assert await archive.texts(recorded.session_id) == ["text 1", "hello"]
    assert await archive.turns.again(KEY, 1) == Recorded(Receipt.IGNORED)


async def test_a_second_try_waits_behind_the_turn_that_runs(archive: Archive) -> None:
    _, turn = await asked(archive)
    await archive.turns.close(turn, Answer("sorry", Outcome.FAILED), [Part(1, 2, 5)], T0)
    running = (await archive.records.record(said(3, Addressed.THREAD))).turn
    assert running is not None
    for _ in range(2):
        assert await archive.turns.again(KEY, 1) == Recorded(Receipt.QUEUED), "pressed twice it is the same"
    following = await archive.close(running, 4)
    assert following is not None
    assert (following.asked, following.parts) == ((1,), (Part(1, 2, 5),))


async def test_only_the_running_turn_is_stopped(archive: Archive) -> None:
    _, turn = await asked(archive)
    assert await archive.turns.stop(KEY, 2) is None
    assert await archive.turns.stop(KEY, 1) == turn.id
    await archive.close(turn, 5)
    assert await archive.turns.stop(KEY, 1) is None


async def test_the_last_opinion_of_a_person_counts(archive: Archive) -> None:
    await asked(archive)
    await archive.turns.judge(KEY, 1, JOE, good=True)
    await archive.turns.judge(KEY, 1, JOE, good=False)
    await archive.turns.judge(KEY, 1, ANN, good=True)
    await archive.turns.judge(KEY, 99, ANN, good=True)
    rows = await archive.database.read(
        lambda c: c.execute(sa.select(feedback.c.author_id, feedback.c.good)).all()
    )
    assert sorted(tuple(row) for row in rows) == [("U1", True), ("U2", False)]


async def test_deleting_a_reply_deletes_it_here(archive: Archive) -> None:
    recorded, turn = await asked(archive)
    await archive.close(turn, 2)
    assert await archive.records.delete(Deleted(KEY, 2))
    assert await archive.texts(recorded.session_id) == ["text 1"]


async def test_deleting_one_post_of_a_reply_takes_its_share_of_the_text(archive: Archive) -> None:
    recorded, turn = await asked(archive)
    posted = [Part(1, 10, 4), Part(2, 11, 8), Part(3, 12, 12)]
    await archive.turns.close(turn, Answer("one two three"[:12]), posted, T0)
    assert await archive.records.delete(Deleted(KEY, 11))
    assert await archive.texts(recorded.session_id) == ["text 1", "one three"[:4] + "thre"]
    assert await archive.records.delete(Deleted(KEY, 10))
    assert await archive.records.delete(Deleted(KEY, 12))
    assert await archive.texts(recorded.session_id) == ["text 1"]


def reread(there: set[int], *edited: Message, after: int = 0, upto: int = 100) -> Reread:
    return Reread(KEY, after, upto, frozenset(there), edited)


async def test_what_a_second_reading_does_not_show_was_deleted_for_good(archive: Archive) -> None:
    recorded, turn = await asked(archive)
    await archive.records.record(said(3, Addressed.ASIDE))
    await archive.close(turn, 2)
    assert await archive.records.reread(reread({1, 2}))
    assert await archive.texts(recorded.session_id) == ["text 1", "reply"]
    await archive.records.record(said(3))
    assert await archive.texts(recorded.session_id) == ["text 1", "reply"]
    assert (await archive.windows.newest(recorded.session_id, 5)).version == 4


async def test_a_second_reading_judges_nothing_outside_of_its_stretch(archive: Archive) -> None:
    recorded, _ = await asked(archive)
    for position in (2, 3, 4):
        await archive.records.record(said(position, Addressed.ASIDE))
    assert await archive.records.reread(reread(set(), after=1, upto=3))
    assert await archive.texts(recorded.session_id) == ["text 1", "text 4"]


async def test_a_second_reading_that_shows_the_same_changes_nothing(archive: Archive) -> None:
    recorded, turn = await asked(archive)
    await archive.turns.close(turn, Answer("one two"), [Part(1, 2, 3), Part(2, 4, 7)], T0)
    before = (await archive.windows.newest(recorded.session_id, 5)).version
    assert not await archive.records.reread(reread({1, 2, 3, 4}, message(3, "never ours", edited=9)))
    assert (await archive.windows.newest(recorded.session_id, 5)).version == before
    assert not await archive.records.reread(replace(reread(set()), key=replace(KEY, thread="none")))


async def test_a_second_reading_takes_the_posts_of_a_reply_one_by_one(archive: Archive) -> None:
    recorded, turn = await asked(archive)
    await archive.turns.close(turn, Answer("one two"), [Part(1, 2, 3), Part(2, 4, 7)], T0)
    assert await archive.records.reread(reread({1, 4}))
    assert await archive.texts(recorded.session_id) == ["text 1", " two"]
    assert await archive.count(tombstones) == 1
    assert not await archive.records.reread(reread({1, 4}))
    assert await archive.records.reread(reread({1}))
    assert await archive.texts(recorded.session_id) == ["text 1"]


async def test_a_second_reading_leaves_the_posts_of_a_running_turn_alone(archive: Archive) -> None:
    recorded, turn = await asked(archive)
    await archive.turns.posted(turn, 1, 2)
    assert not await archive.records.reread(reread({1}))
    await archive.close(turn, 2)
    assert await archive.texts(recorded.session_id) == ["text 1", "reply"]


async def test_a_second_reading_shows_edits_by_their_time(archive: Archive) -> None:
    recorded, _ = await asked(archive)
    assert await archive.records.reread(reread({1}, message(1, "new", edited=5)))
    assert not await archive.records.reread(reread({1}, message(1, "other names", edited=5)))
    assert not await archive.records.reread(reread({1}, message(1, "old", edited=4)))
    assert await archive.texts(recorded.session_id) == ["new"]
    assert await archive.count(turns) == 1


async def test_a_second_reading_voids_the_summaries_of_what_it_changes(archive: Archive) -> None:
    recorded, _ = await asked(archive)
    for position in (2, 3):
        await archive.records.record(said(position, Addressed.ASIDE))
    rows = [message(1), message(2), message(3)]
    assert await archive.summaries.put(recorded.session_id, Block(0, 0, 3, 3, "all three"), rows)
    await archive.records.reread(reread({1, 3}))
    (block,) = await archive.summaries.blocks(recorded.session_id, 0)
    assert block.text == ""


async def test_every_change_raises_the_version(archive: Archive) -> None:
    recorded, turn = await asked(archive)

    async def version() -> int:
        return (await archive.windows.newest(recorded.session_id, 5)).version

    seen = [await version()]
    await archive.records.record(said(2, Addressed.ASIDE))
    seen.append(await version())
    await archive.records.edit(Edited(KEY, message(2, "x", edited=9), Addressed.ASIDE))
    seen.append(await version())
    await archive.records.delete(Deleted(KEY, 2))
    seen.append(await version())
    await archive.records.add_history(turn, History((message(0, "past"),), whole=True))
    seen.append(await version())
    await archive.close(turn, 3)
    seen.append(await version())
    assert seen == [1, 2, 3, 4, 5, 6]


async def test_summary_blocks_tile_and_are_voided_by_changes_inside(archive: Archive) -> None:
    recorded, _ = await asked(archive)
    for position in range(2, 7):
        await archive.records.record(said(position, Addressed.ASIDE))
    one = await archive.windows.between(recorded.session_id, 0, 4, 10)
    two = await archive.windows.between(recorded.session_id, 3, 7, 10)
    assert await archive.summaries.put(recorded.session_id, Block(0, 0, 3, 3, "one"), one)
    assert await archive.summaries.put(recorded.session_id, Block(0, 3, 6, 3, "two"), two)
    await archive.records.delete(Deleted(KEY, 5))
    assert [b.text for b in await archive.summaries.blocks(recorded.session_id, 0)] == ["one", ""]
    assert not await archive.summaries.put(recorded.session_id, Block(0, 3, 6, 3, "stale"), two)
    left = await archive.windows.between(recorded.session_id, 3, 7, 10)
    assert await archive.summaries.put(recorded.session_id, Block(0, 3, 6, 2, "anew"), left)
    await archive.records.edit(Edited(KEY, message(1, "x", edited=9), Addressed.ASIDE))
    assert [b.text for b in await archive.summaries.blocks(recorded.session_id, 0)] == ["", "anew"]
    assert [b.text for b in await archive.summaries.blocks(recorded.session_id, 3)] == ["anew"]


async def test_merged_blocks_take_the_place_of_theirs_unless_one_changed(archive: Archive) -> None:
    recorded, _ = await asked(archive)
    for position in (2, 3, 4):
        await archive.records.record(said(position, Addressed.ASIDE))
    for after, last in ((0, 2), (2, 4)):
        inside = await archive.windows.between(recorded.session_id, after, last + 1, 10)
        assert await archive.summaries.put(
            recorded.session_id, Block(0, after, last, 2, f"to {last}"), inside
        )
    blocks = await archive.summaries.blocks(recorded.session_id, 0)
    await archive.records.edit(Edited(KEY, message(3, "x", edited=9), Addressed.ASIDE))
    assert not await archive.summaries.merge(recorded.session_id, Block(1, 0, 4, 4, "all"), blocks)
    left = await archive.windows.between(recorded.session_id, 2, 5, 10)
    await archive.summaries.put(recorded.session_id, Block(0, 2, 4, 2, "again"), left)
    blocks = await archive.summaries.blocks(recorded.session_id, 0)
    assert await archive.summaries.merge(recorded.session_id, Block(1, 0, 4, 4, "all"), blocks)
    assert [b.text for b in await archive.summaries.blocks(recorded.session_id, 0)] == ["all"]


async def test_a_watermark_never_moves_back(database: Database) -> None:
    marks = SqlWatermarks(database)
    for position in (5, 9, 7):
        await marks.advance("slack", "T1", "C1", position)
    await marks.advance("slack", "T2", "C1", 3)
    assert await marks.watermarks("slack", "T1") == {"C1": 9}


async def test_workspaces_that_have_a_watermark(database: Database) -> None:
    marks = SqlWatermarks(database)
    for platform, workspace, channel in (("slack", "T1", "C1"), ("slack", "T1", "C2"), ("discord", "7", "8")):
        await marks.advance(platform, workspace, channel, 1)
    assert await marks.workspaces("slack") == ["T1"]
    assert await marks.workspaces("web") == []


async def test_the_threads_of_a_channel_come_newest_first(database: Database, archive: Archive) -> None:
    for channel, thread, position in (("c", "1", 1), ("c", "2", 2), ("other", "3", 3)):
        key = replace(KEY, channel=channel, thread=thread)
        await archive.records.record(said(position, key=key))
    await archive.records.record(said(9, Addressed.THREAD, key=replace(KEY, thread="1")))
    marks = SqlWatermarks(database)
    assert list(await marks.threads("web", "w", "c", 5)) == ["1", "2"]
    assert list(await marks.threads("web", "w", "c", 1)) == ["1"]
    assert list(await marks.threads("web", "w2", "c", 5)) == []
    assert list(await marks.lately("web", "w", 5)) == [("c", "1"), ("other", "3"), ("c", "2")]
    assert list(await marks.lately("web", "w", 1)) == [("c", "1")]
    assert list(await marks.lately("web", "w2", 5)) == []


async def test_deletion_and_message_at_the_same_moment_leave_nothing(archive: Archive) -> None:
    for n in range(10):
        key = replace(KEY, thread=str(n), channel=f"c{n}")
        recorded, _ = await asyncio.gather(
            archive.records.record(said(n + 1, key=key)), archive.records.delete(Deleted(key, n + 1))
        )
        if recorded.session_id:
            assert await archive.texts(recorded.session_id) == []


async def test_a_deletion_that_is_told_twice_deletes_once(archive: Archive) -> None:
    recorded, turn = await asked(archive)
    await archive.turns.close(turn, Answer("one two"), [Part(1, 10, 4), Part(2, 11, 7)], T0)
    for _ in range(2):
        await archive.records.delete(Deleted(KEY, 10))
    assert await archive.texts(recorded.session_id) == ["text 1", "two"]


@pytest.mark.parametrize(("deleted", "left"), [(10, ["two three"]), (11, ["one three"]), (12, ["one two "])])
async def test_a_part_deleted_while_its_turn_runs_is_not_archived(
    archive: Archive, deleted: int, left: list[str]
) -> None:
    recorded, turn = await asked(archive)
    await archive.records.delete(Deleted(KEY, deleted))
    posted = [Part(1, 10, 4), Part(2, 11, 8), Part(3, 12, 13)]
    closed = await archive.turns.close(turn, Answer("one two three"), posted, T0)
    assert await archive.texts(recorded.session_id) == ["text 1", *left]
    assert closed.reply is not None
    assert closed.reply.position == (11 if deleted == 10 else 10)


async def test_a_part_that_its_platform_found_deleted_is_not_archived(archive: Archive) -> None:
    recorded, turn = await asked(archive)
    posted = [Part(1, None, 4), Part(2, 11, 8)]
    await archive.turns.close(turn, Answer("one two "), posted, T0)
    assert await archive.texts(recorded.session_id) == ["text 1", "two "]


async def test_a_reply_whose_posts_were_all_deleted_is_none(archive: Archive) -> None:
    recorded, turn = await asked(archive)
    await archive.records.delete(Deleted(KEY, 10))
    closed = await archive.turns.close(turn, Answer("one"), [Part(1, 10, 3)], T0)
    assert closed.reply is None
    assert await archive.texts(recorded.session_id) == ["text 1"]


async def test_what_a_merged_turn_had_merged_is_answered_too(archive: Archive) -> None:
    _, turn = await asked(archive)
    await archive.records.record(said(2, Addressed.THREAD))
    await archive.records.record(said(3, Addressed.THREAD))
    both = await archive.close(turn, 10)
    assert both is not None
    await archive.turns.close(both, Answer("sorry", Outcome.FAILED), [Part(1, 11, 5)], T0)
    running = (await archive.records.record(said(12, Addressed.THREAD))).turn
    assert running is not None
    await archive.turns.again(KEY, 3)
    await archive.records.record(said(13, Addressed.THREAD))
    following = await archive.close(running, 14)
    assert following is not None
    assert following.asked == (2, 3, 13)


async def test_a_command_is_told_to_whoever_answers_it(database: Database) -> None:
    dead = archive_of(database, "dead", lease_s=-1.0)
    recorded = await dead.records.record(said(1, text="new"), Change(fresh=True), "new")
    assert recorded.turn is not None
    (taken,) = await archive_of(database, "other").turns.take_over(["web"])
    assert recorded.turn.commands == taken.commands == ((1, "new"),)


async def test_only_owners_that_died_are_counted(database: Database) -> None:
    dying = archive_of(database, "dying", lease_s=-1.0)
    await asked(dying)
    (second,) = await dying.turns.take_over(["web"])
    await dying.turns.release(second, 0)
    (third,) = await dying.turns.take_over(["web"])
    assert (second.deaths, third.deaths, third.epoch) == (1, 1, 3)


async def test_deletions_that_were_never_ours_are_forgotten_after_days(archive: Archive) -> None:
    await asked(archive)
    await archive.records.delete(Deleted(KEY, 5))
    await archive.records.delete(Deleted(replace(KEY, thread="never ours"), 6))
    strays = StrayTombstones(archive.database)
    assert await strays.step(datetime.now(UTC)) == 0
    assert await strays.step(datetime.now(UTC) + timedelta(days=4)) == 1
    assert await archive.count(tombstones, tombstones.c.position == 5) == 1


async def test_no_id_of_a_session_is_given_out_twice(archive: Archive) -> None:
    first, _ = await asked(archive)
    await archive.database.write(lambda c: c.execute(sa.delete(sessions)).rowcount)
    second = await archive.records.record(said(1, key=replace(KEY, thread="2")))
    assert second.session_id > first.session_id
