"""What an answer's prompts are built of."""

from functools import partial

import pytest

from bot.answering import _Prompts
from bot.domain import Block, Prompt, Tool

BLOCK = Block(0, 0, 10, 10, "They chose Norway.", "small", 1)
TOOL = Tool("search", "Looks things up.", {})


def built(*, tight: bool, blocks: tuple[Block, ...], tools: tuple[Tool, ...], looked_up: object) -> Prompt:
    """A prompt that has room for everything, unless it is tight or something was looked up."""
    return Prompt((), shown=len(blocks), left_out=int(tight or bool(looked_up)), first=1, tools=tools)


class Summaries:
    """Counts how often they are read."""

    def __init__(self) -> None:
        self.reads = 0

    async def __call__(self) -> tuple[Block, ...]:
        self.reads += 1
        return (BLOCK,)


@pytest.mark.parametrize(
    ("whole", "tight", "reads"), [(True, False, 0), (True, True, 1), (False, False, 1), (False, True, 1)]
)
async def test_summaries_are_read_where_they_stand_in_for_something(
    whole: bool, tight: bool, reads: int
) -> None:
    summaries = Summaries()
    prompts = _Prompts(partial(built, tight=tight), summaries, whole=whole)
    shown = await prompts.build(())
    assert (summaries.reads, shown.shown) == (reads, reads)


async def test_they_are_read_once_what_was_looked_up_takes_the_room() -> None:
    summaries = Summaries()
    prompts = _Prompts(partial(built, tight=False), summaries, whole=True)
    await prompts.build((TOOL,))
    assert (summaries.reads, prompts.blocks) == (0, None)
    for _ in range(2):
        shown = await prompts.build((), ["found"])  # type: ignore[list-item]
    assert (summaries.reads, prompts.blocks, shown) == (1, (BLOCK,), prompts.last)
