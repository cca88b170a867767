"""Summaries of long threads: they tile what is older than the prompt, stay few, and forget what is gone."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
import sqlalchemy as sa

from bot.domain import (
    Addressed,
    Author,
    Block,
    Chunk,
    Deleted,
    Delta,
    Edited,
    Finished,
    History,
    ModelCard,
    Prompt,
    Turn,
    Usage,
)
from bot.summary import (
    BLOCK_MESSAGES,
    KEPT_BLOCKS,
    LEAST_MESSAGES,
    MOST_STEPS,
    MOST_WAITING,
    Older,
    Summariser,
)
from storage.archive.claims import Claimant
from storage.archive.records import Records
from storage.archive.summaries import Summaries
from storage.archive.windows import Windows
from storage.database import Database
from storage.tables import summaries
from tests.fakes.core import HeldModel
from tests.integration.test_service import JOE, KEY, T0, message, said

LONG = 5_000


class Quoter(HeldModel):
    """Summarises by naming everything that it was shown, so that a test sees what a summary is made of."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        self._card = card

    async def stream(self, prompt: Prompt, name: str) -> AsyncGenerator[Chunk, None]:
        self.prompts.append(prompt)
        words = [word for word in prompt.messages[-1].text.split() if word.startswith("fact")]
        yield Delta(" ".join(words) or "nothing")
        yield Finished(Usage())


class Thread:
    """A thread with a past, and its summaries."""

    def __init__(self, database: Database, card: ModelCard) -> None:
        self._database = database
        self.records = Records(database, Claimant("one", 60.0))
        self.store = Summaries(database)
        self.model = Quoter(card)
        self.summariser = Summariser(self.store, Windows(database), self.model)
        self.turn: Turn | None = None

    async def begin(self, count: int) -> None:
        """`fact1` to `factN` were said before the bot was called."""
        recorded = await self.records.record(replace(said(10 * count + 10, "And?"), opens_thread=False))
        assert recorded.turn is not None
        self.turn = recorded.turn
        past = tuple(message(10 * number, f"fact{number}", JOE) for number in range(1, count + 1))
        await self.records.add_history(self.turn, History(past, whole=True))

    async def look_after(self, older: Older) -> int:
        """Let the summariser work; how many blocks it wrote."""
        assert self.turn is not None
        asked = len(self.model.prompts)
        await self.summariser.look_after(self.turn, older)
        return len(self.model.prompts) - asked

    async def finish(self, before: int) -> None:
        """Until it has nothing more to do."""
        while await self.look_after(Older(before)):
            pass

    async def blocks(self) -> Sequence[Block]:
        assert self.turn is not None
        return await self.store.blocks(self.turn.session_id, 0)

    async def told(self) -> list[str]:
        """Every fact in the summaries, in order."""
        return " ".join(block.text for block in await self.blocks()).split()


CARD = ModelCard("quoter", 100_000, 100, sees=False, summarises=True)


@pytest.fixture
async def thread(database: Database) -> Thread:
    return Thread(database, CARD)


def touch(blocks: Sequence[Block]) -> bool:
    return all(one.last == other.after for one, other in pairwise(blocks))


async def test_blocks_tile_what_is_older_than_the_prompt(thread: Thread) -> None:
    await thread.begin(100)
    await thread.finish(before=955)
    blocks = await thread.blocks()
    assert touch(blocks)
    assert blocks[0].after == 0
    assert await thread.told() == [f"fact{number}" for number in range(1, 96)]
    assert sum(block.messages for block in blocks) == 95


async def test_what_is_too_little_for_a_block_waits(thread: Thread) -> None:
    await thread.begin(100)
    await thread.finish(before=85)
    assert await thread.blocks() == ()


async def test_five_thousand_messages_become_a_few_blocks_in_bounded_steps(thread: Thread) -> None:
    await thread.begin(LONG)
    rounds = 0
    while made := await thread.look_after(Older(10 * LONG)):
        assert made <= MOST_STEPS
        rounds += 1
    assert rounds >= LONG / BLOCK_MESSAGES / MOST_STEPS
    blocks = await thread.blocks()
    assert touch(blocks)
    assert sum(block.messages for block in blocks) == LONG - 1
    assert len(blocks) <= 3 * KEPT_BLOCKS
    assert max(block.level for block in blocks) > 1
    assert [block.level for block in blocks] == sorted((block.level for block in blocks), reverse=True)


async def test_an_edit_makes_its_block_again_and_no_other(thread: Thread) -> None:
    await thread.begin(120)
    await thread.finish(before=1_200)
    before = await thread.blocks()
    await thread.records.edit(
        Edited(KEY, replace(message(500, "factEdited", JOE), edited_at=T0), Addressed.THREAD)
    )
    assert "fact50" not in await thread.told()
    await thread.finish(before=1_200)
    told, after = await thread.told(), await thread.blocks()
    assert "factEdited" in told
    assert len(told) == 119
    assert [block for block in before if block not in after] == [before[1]]


async def test_what_was_deleted_is_in_no_block_not_even_for_a_moment(thread: Thread) -> None:
    await thread.begin(LONG // 4)
    await thread.finish(before=10 * LONG // 4)
    assert "fact7" in " ".join(await thread.told()).split()
    await thread.records.delete(Deleted(KEY, 70))
    assert "fact7" not in await thread.told()
    await thread.finish(before=10 * LONG // 4)
    assert "fact7" not in await thread.told()
    assert "fact8" in await thread.told()
    assert touch(await thread.blocks())


async def test_a_block_of_which_all_was_deleted_tells_nothing(thread: Thread) -> None:
    await thread.begin(100)
    await thread.finish(before=1_000)
    for number in range(1, BLOCK_MESSAGES + 1):
        await thread.records.delete(Deleted(KEY, 10 * number))
    await thread.finish(before=1_000)
    assert [word for word in await thread.told() if word.startswith("fact")] == [
        f"fact{number}" for number in range(BLOCK_MESSAGES + 1, 100)
    ]
    assert touch(await thread.blocks())


async def test_what_turns_up_in_a_merged_block_is_summarised_and_merging_goes_on(thread: Thread) -> None:
    """A merged block that is made again leaves small ones before large ones; those must not end merging."""
    count = 1_000
    await thread.begin(count)
    for seen in range(0, 4_000, 100):
        await thread.finish(before=seen)
    late = replace(message(15, "factLate", JOE), edited_at=T0)
    await thread.records.edit(Edited(KEY, late, Addressed.THREAD))
    for seen in range(4_000, 10 * count + 1, 100):
        await thread.finish(before=seen)
    blocks = await thread.blocks()
    assert touch(blocks)
    assert "factLate" in await thread.told()
    assert sum(block.messages for block in blocks) == count
    assert len(blocks) <= 2 * KEPT_BLOCKS


async def test_the_number_of_blocks_stays_small_whatever_is_edited(thread: Thread) -> None:
    count = LONG // 4
    await thread.begin(count)
    for seen in range(0, 10 * count, 400):
        await thread.finish(before=seen)
        place = max(10, seen // 3 // 10 * 10)
        edited_at = T0.replace(year=2027, microsecond=seen)
        changed = replace(message(place, f"fact{seen}edited", JOE), edited_at=edited_at)
        await thread.records.edit(Edited(KEY, changed, Addressed.THREAD))
        await thread.finish(before=seen)
        blocks = await thread.blocks()
        assert touch(blocks)
        assert len(blocks) <= 3 * KEPT_BLOCKS, f"at {seen}"


async def test_a_summary_of_what_changed_while_it_was_written_is_thrown_away(thread: Thread) -> None:
    await thread.begin(100)
    stream = thread.model.stream

    async def slow(prompt: Prompt, name: str) -> AsyncGenerator[Chunk, None]:
        await thread.records.delete(Deleted(KEY, 70))
        async for chunk in stream(prompt, name):
            yield chunk

    thread.model.stream = slow  # type: ignore[method-assign]  # what changes is what the model takes its time for
    await thread.look_after(Older(1_000))
    assert await thread.blocks() == ()


async def test_two_at_once_write_no_block_twice(thread: Thread, database: Database) -> None:
    await thread.begin(100)
    other = Summariser(thread.store, Windows(database), thread.model)
    assert thread.turn is not None
    await thread.summariser.look_after(thread.turn, Older(1_000))
    await other.look_after(thread.turn, Older(1_000))
    rows = sa.select(sa.func.count()).select_from(summaries)
    assert await database.read(lambda c: c.execute(rows).scalar_one()) == len(await thread.blocks())
    assert await thread.told() == [f"fact{number}" for number in range(1, 100)]


async def test_a_small_model_is_never_shown_more_than_it_takes(database: Database) -> None:
    card = replace(CARD, context_tokens=4_000)
    thread = Thread(database, card)
    recorded = await thread.records.record(replace(said(100_000, "And?"), opens_thread=False))
    assert recorded.turn is not None
    thread.turn = recorded.turn
    past = tuple(message(10 * n, "long " * 1_000, Author("U3", "Mei")) for n in range(1, 100))
    await thread.records.add_history(recorded.turn, History(past, whole=True))
    await thread.finish(before=1_000)
    assert thread.model.prompts
    for prompt in thread.model.prompts:
        assert sum(len(each.text) for each in prompt.messages) <= card.context_tokens


async def test_a_look_that_found_too_few_is_not_repeated_before_there_can_be_enough(thread: Thread) -> None:
    await thread.begin(100)
    turn, summariser = thread.turn, thread.summariser
    assert turn is not None
    older = Older(before=60, shown=95)
    assert summariser.is_due(turn, older)
    assert await thread.look_after(older) == 0
    assert not summariser.is_due(turn, older)
    more = LEAST_MESSAGES - 5
    assert not summariser.is_due(replace(turn, version=turn.version + more - 1), older)
    assert summariser.is_due(replace(turn, version=turn.version + more), older)
    assert summariser.is_due(turn, replace(older, shown=older.shown - more))  # a long message took their room


async def test_what_changed_in_a_summary_is_looked_after_at_once(thread: Thread) -> None:
    await thread.begin(100)
    await thread.look_after(Older(before=460))
    turn, blocks = thread.turn, await thread.blocks()
    assert turn is not None
    assert len(blocks) == 1
    assert not thread.summariser.is_due(turn, Older(460, blocks=blocks))
    await thread.records.delete(Deleted(KEY, 70))
    assert thread.summariser.is_due(turn, Older(460, blocks=await thread.blocks()))


class Slow(Summaries):
    """Nothing can be read yet."""

    def __init__(self) -> None:
        self.asked = 0
        self.open = asyncio.Event()

    async def blocks(self, session_id: int, fresh_from: int) -> tuple[Block, ...]:
        self.asked += 1
        await self.open.wait()
        return ()


async def test_sessions_that_wait_for_their_summaries_do_not_pile_up(
    database: Database, thread: Thread
) -> None:
    recorded = await thread.records.record(said(1))
    assert recorded.turn is not None
    store = Slow()
    summariser = Summariser(store, Windows(database), thread.model)
    waiting = [
        asyncio.create_task(summariser.look_after(replace(recorded.turn, session_id=number), Older(1)))
        for number in range(MOST_WAITING + 1)
    ]
    done, _ = await asyncio.wait(waiting, timeout=20, return_when=asyncio.FIRST_COMPLETED)
    assert done == {waiting[-1]}
    store.open.set()
    await asyncio.gather(*waiting)
    assert store.asked == MOST_WAITING
