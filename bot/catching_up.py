"""The use case: somebody asks what was said since they last spoke, in a thread or in all of theirs."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from bot.catching_up_words import INSTRUCTION, NOT_SUMMARISED, NOTHING_NEW, NOTHING_NEW_HERE, as_text
from bot.cleaning import clean, plain_name
from bot.domain import Author, Delta, Prompt, PromptMessage, Restart, Role, SessionKey
from bot.errors import ModelError, ThreadflyError
from bot.finding import Line, News, Question
from bot.ports import Model
from bot.recall import Recall

log = logging.getLogger(__name__)

MOST_TALKS = 5
"""Conversations that are told of."""
MOST_MESSAGES = 100
"""Of one conversation: the newest that one has not seen."""
LINE = 500
"""Most characters of a message that are summarised."""
SUMMARISE_S = 40.0
"""Who asks waits no longer for the model: Slack's and Discord's ways to answer last for minutes."""
WITHOUT_MODEL = 3
"""Messages that stand for a conversation where no model summarises; of each its first words."""
FIRST_WORDS = 120


@dataclass(frozen=True, slots=True)
class Told:
    """One conversation, and what was said in it meanwhile."""

    news: News
    link: str
    """To the first message that one has not seen."""
    summary: str


class CatchingUp:
    """Tells one person alone, with their rights at that moment, what they may be shown where they ask."""

    def __init__(self, recall: Recall, model: Model) -> None:
        self._recall = recall
        self._model = model

    async def text(self, by: Author, at: SessionKey) -> str:
        """The answer as Markdown. Never fails."""
        try:
            return await self._told(Question(by, at, ""))
        except ThreadflyError as error:
            return str(error)

    async def _told(self, question: Question) -> str:
        found = await self._recall.news(question, MOST_TALKS, MOST_MESSAGES)
        if isinstance(found, str):
            return found
        if not found.news:
            return NOTHING_NEW_HERE if found.here else NOTHING_NEW
        told = await asyncio.gather(*map(self._summed_up, found.news))
        summarised = all(was for _, was in told)
        return as_text([each for each, _ in told], here=found.here, note="" if summarised else NOT_SUMMARISED)

    async def _summed_up(self, news: News) -> tuple[Told, bool]:
        """A conversation with its summary, and whether a model made it; else it is some first words."""
        link = await self._recall.link(news.talk.key, news.lines[0].position)
        summary = await self._summary(news)
        return Told(news, link, summary or _first_words(news.lines)), bool(summary)

    async def _summary(self, news: News) -> str:
        """What the model makes of it; "" where it can't, or not in time."""
        card = self._model.card("")
        if not card.summarises:
            return ""
        room = (card.context_tokens - card.answer_tokens - len(INSTRUCTION)) // len(news.lines) - 1
        lines = "\n".join(_line(line)[: min(LINE, max(room, FIRST_WORDS))] for line in news.lines)
        prompt = Prompt(
            (PromptMessage(Role.SYSTEM, INSTRUCTION), PromptMessage(Role.USER, lines)),
            shown=len(news.lines),
            left_out=0,
            first=news.lines[0].position,
        )
        try:
            async with asyncio.timeout(SUMMARISE_S):
                return await self._answer(prompt)
        except (ModelError, TimeoutError) as error:
            log.warning(
                "Nothing was summarised: %s",
                type(error).__name__,
                extra={"event": "catch_up.unsummarised", "session": str(news.talk.key)},
            )
            return ""

    async def _answer(self, prompt: Prompt) -> str:
        text = ""
        async with aclosing(self._model.stream(prompt, "")) as chunks:
            async for chunk in chunks:
                if isinstance(chunk, Restart):
                    text = ""
                elif isinstance(chunk, Delta):
                    text += chunk.text
        return clean(text).strip()


def _line(line: Line) -> str:
    """On one line, so that nobody's text can pass for another speaker's."""
    return f"{plain_name(line.author.name)}: {line.snippet.text}"


def _first_words(lines: Sequence[Line]) -> str:
    newest = [_line(line) for line in lines[-WITHOUT_MODEL:]]
    return "\n".join(f"> {each if len(each) <= FIRST_WORDS else each[:FIRST_WORDS] + '…'}" for each in newest)
