"""A platform whose rules are a table, where something can be posted outside of any turn."""

from dataclasses import dataclass, field, replace

from bot.domain import SessionKey
from bot.errors import PlatformForbidden
from bot.sharing import Opened, Quote, Stage
from bot.sharing_words import Sentence, as_text
from tests.fakes.core import Wall
from tests.fakes.library import Library


@dataclass
class Hall(Library, Stage):
    """Posts on a wall. The same gesture gives the same post, as on platforms that can tell."""

    wall: Wall = field(default_factory=Wall)
    closed: frozenset[str] = frozenset()
    """Channels where the bot may not write."""
    done: dict[str, int] = field(default_factory=dict)

    def _post(self, key: SessionKey, text: str, gesture: str) -> int:
        if key.channel in self.closed:
            raise PlatformForbidden("not here")
        if gesture not in self.done:
            self.done[gesture] = self.wall.post(key, text)
        return self.done[gesture]

    async def show_to_all(self, at: SessionKey, quote: Quote, gesture: str) -> int:
        line = quote.line
        text = f"{line.author.name} in {quote.where}: {line.snippet.text} <{quote.link}> for {quote.by.name}"
        return self._post(at, text, gesture)

    async def open_thread(self, at: SessionKey, opening: Sentence, name: str, gesture: str) -> Opened:
        post = self._post(replace(at, thread="new"), as_text(opening), gesture)
        thread = at.thread if at.channel in self.directs else str(post)
        return Opened(replace(at, thread=thread), post)

    async def leave_word(self, key: SessionKey, word: Sentence, gesture: str) -> int | None:
        return self._post(key, as_text(word), gesture)
