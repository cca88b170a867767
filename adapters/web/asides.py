"""What the bot posts outside of any reply: something that was found, and where a conversation goes on."""

from adapters.web.cast import Kind
from adapters.web.posts import ours
from adapters.web.room import MOST_BOT_CHARS, Room
from adapters.web.translate import DIRECT_THREAD, PLATFORM, WORKSPACE, root_of
from adapters.web.words import literal
from bot.domain import SessionKey
from bot.recall_words import moment
from bot.sharing import Opened, Quote
from bot.sharing_words import Sentence, shown_by


class Asides:
    """Posts them, once for each gesture. Raises `PlatformUnavailable`, `PlatformForbidden`."""

    def __init__(self, room: Room) -> None:
        self._room = room

    async def show(self, at: SessionKey, quote: Quote, gesture: str) -> int:
        """Show a message to everybody there; the position of that post."""
        with ours():
            post = await self._room.post_aside(at.channel, root_of(at), quoted(quote), gesture)
        return post.position

    async def open_thread(self, at: SessionKey, opening: Sentence, gesture: str) -> Opened:
        """A thread below a post of its own; direct messages are flat, and go on."""
        with ours():
            post = await self._room.post_aside(at.channel, None, as_markdown(opening), gesture)
        direct = self._room.cast.channels[at.channel].kind is Kind.DIRECT
        thread = DIRECT_THREAD if direct else str(post.position)
        return Opened(SessionKey(PLATFORM, WORKSPACE, at.channel, thread), post.position)

    async def leave_word(self, key: SessionKey, word: Sentence, gesture: str) -> int:
        """A word in a thread."""
        with ours():
            post = await self._room.post_aside(key.channel, root_of(key), as_markdown(word), gesture)
        return post.position


def as_markdown(sentence: Sentence) -> str:
    """A sentence as the room's Markdown."""
    return "".join(
        f"[{literal_piece(piece.text)}]({piece.link})" if piece.link else literal_piece(piece.text)
        for piece in sentence
    )


def literal_piece(text: str) -> str:
    """Like `literal`, with the spaces at both ends."""
    start, end = " " * text[:1].isspace(), " " * text[-1:].isspace()
    return f"{start}{literal(text)}{end}" if text.strip() else text


def quoted(quote: Quote) -> str:
    """A message as it is shown to everybody."""
    line = quote.line
    before, after = "… " if line.snippet.cut_before else "", " …" if line.snippet.cut_after else ""
    words = f"{before}{literal(line.snippet.text)}{after}"
    head = f"**{literal(line.author.name)}** · {literal(quote.where)} · {moment(line.sent_at, 'UTC')} UTC"
    link = f" · [open]({quote.link})" if quote.link else ""
    shown = f"> {head}{link}\n>\n> {words}\n\n{literal(shown_by(quote.by.name))}"
    return shown if len(shown) <= MOST_BOT_CHARS else f"{shown[: MOST_BOT_CHARS - 1]}…"
