"""What is exported is imported as it was, and never what was taken away."""

import io
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot import carry
from bot.carry import read_in, scope_of, write_out
from bot.domain import (
    Addressed,
    Answer,
    Attachment,
    Author,
    Block,
    Change,
    Deleted,
    Edited,
    Gone,
    Message,
    Part,
    Said,
    SessionKey,
    Usage,
)
from bot.errors import ArchiveUnavailable, ThreadflyError
from bot.finding import Place
from bot.lines import Unreadable, head, line_of, pieces_of
from bot.printed import PRINTERS
from bot.sheets import Counted, Entry, Piece, Scope, Sheet
from storage.archive.carrying import PAGE, Carrying
from storage.archive.claims import Claimant
from storage.archive.erasures import Erasures
from storage.archive.records import Records
from storage.archive.summaries import Summaries
from storage.archive.turns import Turns
from storage.database import Database
from storage.search.clauses import clauses_of
from storage.search.find import find
from storage.search.wanted import Wanted
from storage.tables import forgotten, gone, messages, parts, sessions, tombstones, turns
from tests.databases import opened

KEY = SessionKey("web", "w", "c", "1")
OTHER = replace(KEY, thread="2")
ANN, JOE = Author("U1", "Ann"), Author("U2", "Joe")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
ALL = Scope("web", "w")
ME = Claimant("one", 60)


def said(position: int, text: str, by: Author = ANN, key: SessionKey = KEY) -> Said:
    sent_at = T0 + timedelta(seconds=position, microseconds=7)
    return Said(key, Message(position, by, text, sent_at), Addressed.MENTION, opens_thread=True)


def quiet(_: int) -> None:
    """Nobody watches the progress."""


async def lived(db: Database) -> None:
    """An archive in which everything happened that can."""
    records, closing = Records(db, ME), Turns(db, ME)
    file = Attachment("plan.pdf", "application/pdf", 7, "https://example.org/plan")
    first = said(1, "# Hello\n<b>\N{SNOWMAN} 日本</b>")
    first = replace(first, message=replace(first.message, attachments=(file,)), gesture="g")
    turn = (await records.record(first)).turn
    assert turn is not None
    await records.record(said(2, "and this", JOE))
    await records.record(said(3, "and that"))
    usage = Usage("m", 1, 2, 3, "r", "f", "stop", 4)
    answer = Answer("onetwo", note="Cut.", usage=usage)
    closed = await closing.close(turn, answer, [Part(1, 10, 3), Part(2, 11, 6)], T0)
    assert closed.next is not None
    await closing.close(closed.next, Answer("both"), [Part(1, 12, 4)], T0)
    edit = replace(said(2, "edited", JOE).message, edited_at=T0 + timedelta(days=1))
    await records.edit(Edited(KEY, edit, Addressed.THREAD))
    await records.change(KEY, Change(model="big", persona="pirate", fresh=True))
    await records.record(said(20, "deleted", key=OTHER))
    await records.record(said(21, "stays", key=OTHER))
    await records.delete(Deleted(OTHER, 20))
    await Erasures(db).lose(Gone("web", "w", "gone", None))
    await Erasures(db).forget_person("web", "w", "U9", T0)


async def rows(db: Database) -> dict[str, list[tuple[Any, ...]]]:
    """All that is carried, without ids and versions."""
    s, m, t, p = sessions.c, messages.c, turns.c, parts.c
    root = turns.alias()
    left_out = {"id", "version", "running_turn", "queued"}
    queries = {
        "sessions": sa.select(*(c for c in s if c.name not in left_out)).order_by(s.thread),
        "messages": sa.select(s.thread, *(c for c in m if c.name not in {"id", "session_id"}))
        .join_from(sessions, messages, s.id == m.session_id)
        .order_by(m.position),
        "turns": sa.select(
            s.thread, t.asked_position, t.asker_id, t.asker_name, t.command, root.c.asked_position,
            t.reply_position, t.created_at, t.finished_at, *(t[name] for name in Usage.__slots__),
        )
        .join_from(sessions, turns, s.id == t.session_id)
        .join(root, root.c.id == t.into_id, isouter=True)
        .where(t.asked_position != 20)  # nothing is left of that
        .order_by(t.asked_position),
        "parts": sa.select(t.asked_position, p.number, p.position, p.end)
        .join_from(turns, parts, t.id == p.turn_id)
        .where(p.position.is_not(None))
        .order_by(t.asked_position, p.number),
        "tombstones": sa.select(tombstones.c.channel, tombstones.c.position),
        "gone": sa.select(gone),
        "forgotten": sa.select(forgotten),
    }  # fmt: skip
    return {
        name: await db.read(lambda c, q=query: [tuple(row) for row in c.execute(q)])  # type: ignore[misc]
        for name, query in queries.items()
    }


async def exported(db: Database, form: str = "jsonl", scope: Scope = ALL) -> str:
    to = io.StringIO()
    await write_out(Carrying(db), scope, PRINTERS[form](), to, quiet)
    return to.getvalue()


async def imported(db: Database, text: str) -> Counted:
    return await read_in(Carrying(db), pieces_of(text.splitlines()), quiet)


async def found(db: Database, word: str) -> list[int]:
    wanted = Wanted(frozenset({Place("web", "w", "c")}), clauses_of(word))
    return [hit.position for hit in (await db.read(lambda c: find(c, wanted, T0))).hits]


@pytest.fixture
async def second(tmp_path: Path) -> AsyncIterator[Database]:
    async with opened(f"sqlite+aiosqlite:///{tmp_path / 'second.db'}") as db:
        yield db


async def test_the_same_archive_comes_out(database: Database, second: Database) -> None:
    await lived(database)
    text = await exported(database)
    counted = await imported(second, text)
    assert counted == Counted(6, 0)
    assert await rows(second) == await rows(database)
    assert await exported(second) == text


async def test_it_can_be_put_back_into_where_it_came_from(database: Database, second: Database) -> None:
    await lived(second)
    assert await imported(database, await exported(second)) == Counted(6, 0)
    assert await rows(database) == await rows(second)


async def test_what_is_there_is_passed_over(database: Database) -> None:
    await lived(database)
    before, text = await rows(database), await exported(database)
    assert await imported(database, text) == Counted(0, 6)
    assert await rows(database) == before


class _Dying(Carrying):
    """Ends in the middle: after its nth transaction nothing is taken in any more."""

    def __init__(self, database: Database, nth: int) -> None:
        super().__init__(database)
        self.left = nth

    async def take_in(self, *a: Any) -> Counted:
        self.left -= 1
        if self.left < 0:
            raise ArchiveUnavailable("killed")
        return await super().take_in(*a)


async def test_an_import_that_was_interrupted_anywhere_is_begun_again(
    database: Database, second: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carry, "TOGETHER", 1)
    await lived(second)
    text, died = await exported(second), 0
    for nth in range(100):
        try:
            counted = await read_in(_Dying(database, nth), pieces_of(text.splitlines()), quiet)
        except ArchiveUnavailable:
            died += 1
        else:
            break
    assert (died, counted) == (10, Counted(0, 6))
    assert await rows(database) == await rows(second)
    assert await exported(database) == text


def sheet(key: SessionKey = KEY) -> Sheet:
    return Sheet(key, "title", ANN.id, T0, T0)


async def test_of_two_copies_in_a_file_one_is_taken_in(database: Database) -> None:
    one, other, same = (said(position, "plum").message for position in (1, 2, 1))
    entries = [Entry(one, "g"), Entry(other, "g"), Entry(same), Entry(said(3, "pear").message)]
    assert await Carrying(database).take_in(sheet(), entries) == Counted(2, 2)
    assert await found(database, "plum") == [1]


async def test_a_summary_of_a_stretch_into_which_something_comes_is_made_again(database: Database) -> None:
    here = [said(position, "plum").message for position in (1, 2, 5, 6)]
    await Carrying(database).take_in(sheet(), [Entry(message) for message in here])
    session = await database.read(lambda c: c.scalar(sa.select(sessions.c.id)))
    blocks = [Block(0, 0, 2, 2, "of one and two"), Block(0, 2, 6, 2, "of five and six")]
    for block, of in zip(blocks, (here[:2], here[2:]), strict=True):
        assert await Summaries(database).put(session, block, of)
    await Carrying(database).take_in(sheet(), [Entry(said(position, "pear").message) for position in (4, 9)])
    assert [block.text for block in await Summaries(database).blocks(session, 0)] == ["of one and two", ""]


async def test_sessions_are_taken_in_side_by_side_and_each_in_its_order(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carry, "TOGETHER", 2)
    under_way: list[str] = []
    most = 0

    class Watched(Carrying):
        async def take_in(self, sheet: Sheet, *a: Any) -> Counted:
            nonlocal most
            assert sheet.key.thread not in under_way
            under_way.append(sheet.key.thread)
            most = max(most, len(under_way))
            try:
                return await super().take_in(sheet, *a)
            finally:
                under_way.remove(sheet.key.thread)

    def pieces() -> Iterator[Piece]:
        for thread in range(1, 21):
            yield sheet(key := replace(KEY, thread=str(thread)))
            yield from (Entry(said(thread * 100 + each, "plum", key=key).message) for each in range(5))

    assert await read_in(Watched(database), pieces(), quiet) == Counted(100, 0)
    assert 1 < most <= carry.AT_ONCE
    assert under_way == []
    assert await read_in(Watched(database), pieces(), quiet) == Counted(0, 100)


async def test_what_was_deleted_or_forgotten_here_does_not_come_back(
    database: Database, second: Database
) -> None:
    await lived(database)
    text = await exported(database)
    await Records(second, ME).delete(Deleted(KEY, 3))
    await Erasures(second).forget_person("web", "w", JOE.id, T0 + timedelta(days=9))
    await imported(second, text)
    there = [row[1] for row in (await rows(second))["messages"]]
    assert there == [1, 10, 12, 21]


async def test_nothing_comes_into_a_place_that_is_gone(database: Database) -> None:
    await Erasures(database).lose(Gone("web", "w", "c", None))
    piece = '{"session":{"key":{"platform":"web","workspace":"w","channel":"c","thread":"1"},"title":"t",'
    piece += '"started_by":"U1","created_at":"2026-01-01T00:00:00Z","active_at":"2026-01-01T00:00:00Z"}}'
    entry = '{"message":{"message":{"position":1,"author":{"id":"U1","name":"A"},"text":"hi",'
    entry += '"sent_at":"2026-01-01T00:00:00Z"}}}'
    text = "\n".join(['{"threadfly":"archive","format":1}', piece, entry])
    assert await imported(database, text) == Counted(0, 1)
    assert (await rows(database))["sessions"] == []


async def test_imported_messages_are_found_and_raise_the_version(
    database: Database, second: Database
) -> None:
    await lived(database)
    text = await exported(database)
    await Records(second, ME).record(said(1, "already here"))
    version = sa.select(sessions.c.version).where(sessions.c.thread == "1")
    before = await second.read(lambda c: c.scalar(version))
    await imported(second, text)
    assert await second.read(lambda c: c.scalar(version)) == before + 1
    assert (await found(second, "edited"), await found(second, "stays")) == ([2], [21])


async def test_an_imported_question_is_not_answered(database: Database, second: Database) -> None:
    await lived(database)
    await imported(second, await exported(database))
    assert (await Records(second, ME).record(said(2, "edited", JOE))).turn is None


async def test_one_session_can_be_taken_out_alone(database: Database, second: Database) -> None:
    await lived(database)
    scope = scope_of(str(OTHER), "")
    assert scope is not None
    assert await imported(second, await exported(database, scope=scope)) == Counted(1, 0)


async def test_long_sessions_come_whole(database: Database, second: Database) -> None:
    for position in range(1, PAGE + 3):
        await Records(database, ME).record(replace(said(position, f"text {position}"), answer=False))
    assert await imported(second, await exported(database)) == Counted(PAGE + 2, 0)


@pytest.mark.parametrize("form", ["markdown", "html"])
async def test_people_read_who_said_what(database: Database, form: str) -> None:
    await lived(database)
    text = await exported(database, form)
    for part in ("Ann", "Joe", "edited", "plan.pdf", "Cut.", str(KEY), "2026-01-01 00:00 UTC"):
        assert part in text
    assert "deleted" not in text
    assert "<b>\N{SNOWMAN}" not in text
    assert {"markdown": "&lt;b>\N{SNOWMAN}", "html": "&lt;b&gt;\N{SNOWMAN}"}[form] in text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("hello", "line 1 is not a JSON object"),
        ('{"a": 1}', "no file that `threadfly export"),
        ('{"threadfly":"archive","format":9}', "newer Threadfly"),
        ('{"threadfly":"archive","format":1}\n{"x":1}', "line 2 is none of"),
        (
            '{"threadfly":"archive","format":1}\n{"message":{"gesture":"secret"}}',
            "line 2 has a message whose",
        ),
        ('{"threadfly":"archive","format":1}\n{"session":{"key":"sec', "line 2 is not a JSON object"),
    ],
)
async def test_a_file_that_is_none_is_refused_with_its_line(
    database: Database, text: str, sentence: str
) -> None:
    with pytest.raises(ThreadflyError, match=sentence) as caught:
        await imported(database, text)
    assert "secret" not in str(caught.value)


async def test_of_a_file_that_is_cut_off_the_beginning_is_taken_in(
    database: Database, second: Database
) -> None:
    await lived(database)
    text = await exported(database)
    lines = text.splitlines()
    middle = max(number for number, line in enumerate(lines) if line.startswith('{"message"'))
    cut = "\n".join([*lines[:middle], lines[middle][:20]])
    with pytest.raises(ThreadflyError, match="before it was taken in; mend the file"):
        await imported(second, cut)
    assert await imported(second, text) == Counted(1, 5)


@pytest.mark.parametrize("wrong", ["nonsense", "web:w:ops", "web:w::1", "web:w:ops:1:2"])
def test_a_session_that_goes_on_from_what_is_no_session_is_told(wrong: str) -> None:
    lines = [head(), line_of(replace(sheet(), continues=wrong))]
    with pytest.raises(Unreadable, match="line 2 has a session whose continues is missing or wrong"):
        list(pieces_of(lines))


@pytest.mark.parametrize("wrong", [("", ""), ("a:b:c:d", "a:b"), ("a:b:c", ""), ("", "a:b:c"), ("a:::", "")])
def test_what_is_to_be_taken_out_is_named_in_one_way(wrong: tuple[str, str]) -> None:
    assert scope_of(*wrong) is None
