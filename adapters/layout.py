"""Lays a reply's text out over posts: what each is to read, and in what state. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adapters import words
from adapters.posts import Limits, Showing
from adapters.splitting import Piece, settled, split
from bot.domain import Answer, Outcome

LAST = {Outcome.DONE: Showing.DONE, Outcome.STOPPED: Showing.STOPPED, Outcome.FAILED: Showing.FAILED}
"""A dropped one is posted nowhere."""
INSTEAD_OF_NOTHING = {
    Outcome.DONE: words.NOTHING_TO_SAY,
    Outcome.STOPPED: words.NOTHING_SAID_YET,
    Outcome.FAILED: words.NO_ANSWER,
}


@dataclass(frozen=True, slots=True)
class Sheet:
    """What one post of a reply is to read."""

    number: int
    text: str
    showing: Showing
    end: int
    """Where in the reply's text it ends."""
    says: str = ""
    """Its share of the reply's text, as it is archived."""
    is_file: bool = False
    """`text` is the content of a file."""


class Layout:
    """Lays out one reply, again and again while it grows. Remembers the posts that are full."""

    def __init__(self, limits: Limits, small: Callable[[str], str]) -> None:
        """`small` marks a sentence as said beside the text (a note), in the platform's Markdown."""
        self._limits = limits
        self._small = small
        self._text = ""
        self._full: Sequence[Piece] = ()

    def growing(self, text: str) -> list[Sheet]:
        """The sheets while more text may come. None for white space."""
        text = settled(text)
        if not text.startswith(self._text):
            self._full = ()
        pieces = split(text, self._limits.post_length, self._limits.length, self._most + 1, self._full)
        self._text, self._full = text, pieces[:-1]
        if len(pieces) > self._most:
            tail = self._tail(words.REST_IS_COMING)
            pieces = self._shortened(text, pieces[: self._most], tail)[: self._most]
            return self._sheets(text, pieces, tail, Showing.GROWING)
        return self._sheets(text, pieces, "", Showing.GROWING)

    def whole(self, answer: Answer, *, files: bool = True) -> list[Sheet]:
        """The sheets of a complete answer, at least one; without `files` as many as it takes."""
        text, showing = answer.text, LAST[answer.outcome]
        if not text.strip():
            text = INSTEAD_OF_NOTHING[answer.outcome]
        most = self._most if files else None
        tail = self._tail(answer.note)
        enough = None if most is None else most + 1
        pieces = split(text, self._limits.post_length, self._limits.length, enough)
        if most is None or len(pieces) <= most:
            pieces = self._shortened(text, pieces, tail)
        if most is None or len(pieces) <= most:
            return self._sheets(text, pieces, tail, showing)
        tail = self._tail(words.REST_IS_ATTACHED, answer.note)
        pieces = self._shortened(text, pieces[:most], tail)[:most]
        return [*self._sheets(text, pieces, tail, showing), self._rest(text, pieces[-1])]

    @property
    def _most(self) -> int:
        return self._limits.most_parts

    def _tail(self, *sentences: str) -> str:
        longest = self._limits.post_length // 4
        return "".join(f"\n\n{self._small(sentence[:longest])}" for sentence in sentences if sentence)

    def _shortened(self, text: str, pieces: list[Piece], tail: str) -> list[Piece]:
        """The pieces, cut so that `tail` fits below the last."""
        limit, length = self._limits.post_length, self._limits.length
        if length(pieces[-1].shown + tail) <= limit:
            return pieces
        return split(text, limit - length(tail), length, after=pieces[:-1])

    def _sheets(self, text: str, pieces: Sequence[Piece], tail: str, last: Showing) -> list[Sheet]:
        shares = (text[piece.start : piece.end] for piece in pieces)
        return [
            Sheet(number, piece.shown + tail, last, piece.end, says)
            if number == len(pieces)
            else Sheet(number, piece.shown, Showing.EARLIER, piece.end, says)
            for number, (piece, says) in enumerate(zip(pieces, shares, strict=True), 1)
        ]

    def _rest(self, text: str, last: Piece) -> Sheet:
        opening = last.fence.opening if last.fence else ""
        content = opening + text[last.end :].strip("\r\n") + "\n"
        return Sheet(self._most + 1, content, Showing.EARLIER, len(text), text[last.end :], is_file=True)
