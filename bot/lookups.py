"""`recall` as people type it: after a mention, or as a command. Its answer is for who asked, alone."""

from bot.domain import Author, Said, SessionKey
from bot.errors import ThreadflyError
from bot.finding import Page, Passing, Question, Recaller, Showing
from bot.ports import Platform
from bot.recall_words import as_text


class Lookups:
    """Answers questions of recall outside of any turn: no model is asked, and nothing is archived."""

    def __init__(self, recall: Recaller, passing: Passing) -> None:
        self._recall = recall
        self._passing = passing

    async def takes_up(self, said: Said) -> bool:
        """Keep the message that asks out of the archive for good; whether it is to be answered now.

        So it is answered once, however often it is delivered. Who asks while we are killed asks again.
        """
        unanswered = await self._passing.pass_over(said.key, said.message.position, answered=said.answer)
        return unanswered and said.answer

    async def text(self, by: Author, at: SessionKey, words: str) -> str:
        """The answer as Markdown."""
        found = await self._found(Question(by, at, words))
        return found if isinstance(found, str) else as_text(found)

    async def tell(self, platform: Platform, by: Author, at: SessionKey, words: str) -> None:
        """Show the answer to who asked: as the platform can, else as a text."""
        question = Question(by, at, words)
        found = await self._found(question)
        if isinstance(found, Page) and isinstance(platform, Showing):
            await platform.show_found(question, found)
        else:
            await platform.tell(at, by, found if isinstance(found, str) else as_text(found))

    async def _found(self, question: Question) -> Page | str:
        try:
            return await self._recall.ask(question)
        except ThreadflyError as error:
            return str(error)
