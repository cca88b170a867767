"""Asks the model, and lets it search the archive before it answers: a few times, and then no more."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

from bot import searching
from bot.domain import (
    Call,
    Called,
    Chunk,
    Delta,
    Finished,
    ModelCard,
    Prompt,
    PromptMessage,
    Restart,
    Role,
    SessionKey,
    Tool,
    Turn,
    Usage,
)
from bot.ports import Model, Reply
from bot.searching import SEARCH, Searcher

MOST_ROUNDS = 3
"""How often the model may search before it has to answer; several searches at once are one time."""
MOST_SEARCHES = 4
"""Searches of one answer that are carried out."""
MOST_CALLS = 2 * MOST_SEARCHES
"""Calls of one round that are answered, if only with a word that it is enough; a prompt has to hold them."""

Build = Callable[[Sequence[Tool], Sequence[PromptMessage]], Awaitable[Prompt]]
"""The prompt of a turn, with these tools, and with what was looked up so far."""


class Asking:
    """One model's answer as a stream, whatever it looks up on the way."""

    def __init__(self, model: Model, searcher: Searcher | None = None) -> None:
        """Without `searcher` no model can search."""
        self._model = model
        self._searcher = searcher

    def card(self, name: str) -> ModelCard:
        """See `Model.card`."""
        return self._model.card(name)

    def tools(self, key: SessionKey, card: ModelCard) -> Sequence[Tool]:
        """What is offered to a model that answers there."""
        searcher = self._searcher
        return (SEARCH,) if searcher is not None and card.tools and searcher.serves(key) else ()

    async def stream(
        self, turn: Turn, shown: Prompt, build: Build, reply: Reply
    ) -> AsyncGenerator[Chunk, None]:
        """The answer to `turn`, of which `shown` is the first prompt.

        As of `Model.stream`, with `Finished` after each time that the model spoke: its usage is of all
        of them together. A `Restart` voids only what was said since the last search; what stays comes again.
        """
        talk, looked_up, prompt = _Rounds(), list[PromptMessage](), shown
        while True:
            async with aclosing(self._model.stream(prompt, turn.settings.model)) as chunks:
                async for chunk in chunks:
                    for told in talk.take(chunk):
                        yield told
            if not talk.calls or not prompt.tools:
                return
            await reply.searching()
            looked_up += await self._look_up(turn, prompt, talk)
            for told in talk.go_on():
                yield told
            may_search = talk.rounds < MOST_ROUNDS and talk.searches < MOST_SEARCHES
            prompt = await build(prompt.tools if may_search else (), looked_up)

    async def _look_up(self, turn: Turn, prompt: Prompt, talk: "_Rounds") -> list[PromptMessage]:
        """What the model called, and what that gave. Of a flood of calls it hears of the first alone."""
        assert self._searcher is not None
        tokens = searching.room(self._model.card(turn.settings.model).context_tokens)
        called = talk.calls[:MOST_CALLS]
        allowed = called[: MOST_SEARCHES - talk.searches]
        talk.searches += len(allowed)
        found = await asyncio.gather(
            *(self._searcher.search(turn, call, prompt.first, tokens) for call in allowed)
        )
        found += [searching.ENOUGH] * (len(called) - len(allowed))
        calls = tuple(map(searching.told_again, called))
        answers = (
            PromptMessage(Role.TOOL, text, call=call.id, background=True)
            for call, text in zip(calls, found, strict=True)
        )
        return [PromptMessage(Role.ASSISTANT, talk.text, calls=calls), *answers]


class _Rounds:
    """What the model said and called, from search to search."""

    def __init__(self) -> None:
        self.rounds = 0
        self.searches = 0
        self.calls: tuple[Call, ...] = ()
        self.text = ""
        """Since the last search."""
        self._before = ""
        self._usage: Usage | None = None

    def take(self, chunk: Chunk) -> Sequence[Chunk]:
        """What is to be told of `chunk`."""
        match chunk:
            case Delta(text):
                self.text += text
                return (chunk,)
            case Restart():
                self.text, self.calls = "", ()
                return (chunk, Delta(self._before)) if self._before else (chunk,)
            case Called(calls):
                self.calls = calls
                return ()
            case Finished(usage):
                self._usage = usage if self._usage is None else _together(self._usage, usage)
                return (Finished(self._usage),)

    def go_on(self) -> Sequence[Chunk]:
        """The next round begins; what was said stands apart from what comes."""
        apart = "\n\n" if self.text.strip() else ""
        self._before += self.text + apart
        self.rounds, self.text, self.calls = self.rounds + 1, "", ()
        return (Delta(apart),) if apart else ()


def _together(one: Usage, next: Usage) -> Usage:
    """As of one answer: counts and times add up, the rest is the last one's."""
    return replace(
        next,
        prompt_tokens=_sum(one.prompt_tokens, next.prompt_tokens),
        completion_tokens=_sum(one.completion_tokens, next.completion_tokens),
        total_tokens=_sum(one.total_tokens, next.total_tokens),
        latency_ms=_sum(one.latency_ms, next.latency_ms),
    )


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None and other is None else (one or 0) + (other or 0)
