"""What every `Model` promises."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from adapters.llm.models import ModelSettings
from adapters.llm.offline import OfflineModel
from adapters.llm.roster import Roster
from bot.domain import Chunk, Delta, Finished, Prompt, PromptMessage, Role
from bot.ports import Model
from tests.fakes.openai import FakeOpenAI

PROMPT = Prompt(
    (PromptMessage(Role.SYSTEM, "Be kind."), PromptMessage(Role.USER, "Joe: hello")),
    shown=1,
    left_out=0,
    first=1,
)


@pytest.fixture(params=["offline", "roster"])
async def model(request: pytest.FixtureRequest) -> AsyncIterator[Model]:
    if request.param == "offline":
        yield OfflineModel(pace_s=0)
        return
    async with FakeOpenAI() as server:
        roster = Roster([ModelSettings("small", base_url=server.url, api_key="k")], "small", pace_s=0)
        yield roster
        await roster.close()


async def answer(model: Model, prompt: Prompt = PROMPT) -> list[Chunk]:
    return [chunk async for chunk in model.stream(prompt, "")]


async def test_an_answer_is_text_and_then_one_end(model: Model) -> None:
    *texts, end = await answer(model)
    assert texts
    assert all(isinstance(each, Delta) and each.text for each in texts)
    assert isinstance(end, Finished)


async def test_the_end_says_what_was_used(model: Model) -> None:
    end = (await answer(model))[-1]
    assert isinstance(end, Finished)
    assert end.usage.model == model.card("").name
    assert end.usage.prompt_tokens
    assert end.usage.completion_tokens
    assert end.usage.total_tokens == end.usage.prompt_tokens + end.usage.completion_tokens
    assert end.usage.finish_reason == "stop"
    assert end.usage.latency_ms is not None


async def test_the_answer_comes_of_what_was_said(model: Model) -> None:
    texts = (await answer(model))[:-1]
    assert "Joe: hello" in "".join(each.text for each in texts if isinstance(each, Delta))


async def test_many_are_answered_at_once(model: Model) -> None:
    answers = await asyncio.gather(*(answer(model) for _ in range(20)))
    assert all(isinstance(each[-1], Finished) for each in answers)


async def test_a_reader_may_stop_reading(model: Model) -> None:
    async with aclosing(model.stream(PROMPT, "")) as chunks:
        await anext(chunks)
    assert isinstance((await answer(model))[-1], Finished)


async def test_the_card_leaves_room_for_prompt_and_answer(model: Model) -> None:
    card = model.card("")
    assert 0 < card.answer_tokens < card.context_tokens


async def test_a_name_that_is_not_configured_any_more_stands_for_the_default(model: Model) -> None:
    assert model.card("gone") == model.card("")
    assert isinstance([chunk async for chunk in model.stream(PROMPT, "gone")][-1], Finished)


@pytest.mark.parametrize("text", ["", "\x00", "\ud83d", "x" * 200_000, "日本語 👋"])
async def test_any_text_can_be_asked(model: Model, text: str) -> None:
    prompt = Prompt((PromptMessage(Role.USER, f"Joe: {text}"),), shown=1, left_out=0, first=1)
    assert isinstance((await answer(model, prompt))[-1], Finished)
