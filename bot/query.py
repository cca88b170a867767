"""Pure: what people type after `recall` -> what they look for, or a sentence that says what would work.

words "a phrase" -not -"nor this" from:@ann in:#ops after:2026-10-01 before:friday
on:yesterday has:link has:file here
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from bot import dates

LONGEST = 1000
"""Characters of a query."""
MOST_WORDS = 32
"""Words and phrases of a query together."""
_SHOWN = 40
"""Characters of a word that are repeated in a sentence."""


class Trait(StrEnum):
    """What `has:` can ask for."""

    LINK = "link"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Name:
    """A person or a channel, as it was typed."""

    text: str
    """Without @ or #; "" where only the id was given."""
    id: str = ""
    """The platform's id, where its own mention was typed; "" where `text` must be looked up."""


@dataclass(frozen=True, slots=True)
class Query:
    """What somebody looks for. Everything in it narrows the search; an empty one asks for nothing."""

    words: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    without_phrases: tuple[str, ...] = ()
    people: tuple[Name, ...] = ()
    """Said by one of these; `me` is the asker."""
    channels: tuple[Name, ...] = ()
    """Said in one of these."""
    after: datetime | None = None
    """Sent then or later, in UTC."""
    before: datetime | None = None
    """Sent earlier than this, in UTC."""
    traits: frozenset[Trait] = field(default_factory=frozenset)
    here: bool = False
    """In the thread, or else the channel, where it is asked."""

    @property
    def dated(self) -> bool:
        """Whether a date was typed, so that the answer must say in which zone it was read."""
        return self.after is not None or self.before is not None


@dataclass(frozen=True, slots=True)
class Unclear:
    """A query that was not understood."""

    sentence: str
    """For the asker: which word, and what would work."""


def parse(text: str, now: datetime) -> Query | Unclear:
    """What `text` asks for, to somebody whose clock shows `now` (aware, in their zone). Never raises."""
    if len(text) > LONGEST:
        return Unclear(
            f"That is too long to search for: {len(text):,} characters, and {LONGEST:,} are the most. "
            "A few words that were said will do."
        )
    query = Query()
    pieces = _joined(list(_pieces(_cleaned(text))), now)
    for piece in pieces:
        read = _with(query, piece, now)
        if isinstance(read, Unclear):
            return read
        query = read
    return _checked(query)


_QUOTES = str.maketrans(dict.fromkeys("“”„‟«»＂", '"'))
_PIECE = re.compile(
    r'(?P<minus>[-−](?![-−]))?(?:(?P<key>[A-Za-z]+):(?!//|:))?(?:"(?P<quoted>[^"]*)(?:"|$)|(?P<bare><[^<>]*>|[^\s"]+)?)'
)
_KEYS = {
    "from": "from", "by": "from", "in": "in", "has": "has", "on": "on", "during": "on",
    "after": "after", "since": "after", "before": "before", "until": "before",
}  # fmt: skip
_DATED = ("on", "after", "before")
_TRAITS = {
    "link": Trait.LINK, "links": Trait.LINK, "url": Trait.LINK, "file": Trait.FILE, "files": Trait.FILE,
    "attachment": Trait.FILE, "attachments": Trait.FILE,
}  # fmt: skip
_MENTION = re.compile(r"<[@#][!&]?(?P<id>\w+)(?:\|(?P<name>[^<>|]*))?>", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A word, a phrase or a `key:value`."""

    text: str
    key: str = ""
    quoted: bool = False
    negated: bool = False

    def __str__(self) -> str:
        text = self.text if len(self.text) <= _SHOWN else f"{self.text[:_SHOWN]}…"
        return f"{self.key}:{text}" if self.key else text


def _cleaned(text: str) -> str:
    """Without control characters and halves of surrogate pairs, and with one kind of quotes."""
    return "".join(
        " " if unicodedata.category(c) in {"Cc", "Zl", "Zp"} else c
        for c in text.translate(_QUOTES)
        if unicodedata.category(c) != "Cs"
    )


def _pieces(text: str) -> Iterator[_Piece]:
    for match in _PIECE.finditer(text):
        if not match[0].strip():
            continue
        key = _KEYS.get((match["key"] or "").lower(), "")
        value = match["quoted"] if match["quoted"] is not None else match["bare"] or ""
        if match["key"] and not key:
            value = f"{match['key']}:{value}"
        yield _Piece(value.strip(), key, match["quoted"] is not None, match["minus"] is not None)


def _joined(pieces: list[_Piece], now: datetime) -> Iterator[_Piece]:
    """Each filter with its value: the next word if there was a space, and all the words of a date."""
    at = 0
    while at < len(pieces):
        piece, at = pieces[at], at + 1
        if piece.key and not piece.text and not piece.quoted and at < len(pieces) and not pieces[at].key:
            piece, at = replace(piece, text=pieces[at].text), at + 1
        if piece.key in _DATED:
            more = _more_of_date(piece.text, pieces[at : at + dates.MOST_WORDS - 1], now)
            piece, at = replace(piece, text=" ".join((piece.text, *more))), at + len(more)
        yield piece


def _more_of_date(first: str, following: list[_Piece], now: datetime) -> list[str]:
    """As many of the words that follow as still make a date together with the first."""
    words = [piece.text for piece in following if not (piece.key or piece.quoted or piece.negated)]
    for many in range(len(words), 0, -1):
        if dates.span(" ".join((first, *words[:many])), now) is not None:
            return words[:many]
    return []


def _with(query: Query, piece: _Piece, now: datetime) -> Query | Unclear:
    """`query`, narrowed by one more piece."""
    if not piece.key:
        return _with_words(query, piece)
    if piece.negated:
        return Unclear(f"“-{piece}” can't be searched for: a minus goes before words and phrases only.")
    match piece.key:
        case "from":
            return _with_person(query, piece)
        case "in":
            return _with_channel(query, piece)
        case "has":
            return _with_trait(query, piece)
        case _:
            return _with_date(query, piece, now)


def _with_words(query: Query, piece: _Piece) -> Query:
    if not piece.text:
        return query
    if piece.text.lower() == "here" and not (piece.quoted or piece.negated):
        return replace(query, here=True)
    match piece.quoted, piece.negated:
        case True, True:
            return replace(query, without_phrases=(*query.without_phrases, piece.text))
        case True, False:
            return replace(query, phrases=(*query.phrases, piece.text))
        case False, True:
            return replace(query, without=(*query.without, piece.text))
        case _:
            return replace(query, words=(*query.words, piece.text))


def _with_person(query: Query, piece: _Piece) -> Query | Unclear:
    name = _name(piece.text, "@")
    if name is None:
        return Unclear(f"I don't know who is meant by “{piece}”. Try from:@ann, or from:me.")
    return replace(query, people=(*query.people, name))


def _with_channel(query: Query, piece: _Piece) -> Query | Unclear:
    if piece.text.lower() == "here" and not piece.quoted:
        return replace(query, here=True)
    name = _name(piece.text, "#")
    if name is None:
        return Unclear(f"I don't know which channel is meant by “{piece}”. Try in:#ops, or just: here.")
    return replace(query, channels=(*query.channels, name))


def _name(text: str, sign: str) -> Name | None:
    mention = _MENTION.fullmatch(text)
    if mention:
        return Name((mention["name"] or "").removeprefix(sign), mention["id"]) if text[1] == sign else None
    bare = text.removeprefix(sign).strip()
    return Name(bare) if any(c.isalnum() for c in bare) and not bare.startswith(("@", "#", "<")) else None


def _with_trait(query: Query, piece: _Piece) -> Query | Unclear:
    trait = _TRAITS.get(piece.text.lower())
    if trait is None:
        return Unclear(f"I don't understand “{piece}”. What works is has:link and has:file.")
    return replace(query, traits=query.traits | {trait})


def _with_date(query: Query, piece: _Piece, now: datetime) -> Query | Unclear:
    span = dates.span(piece.text, now)
    if span is None:
        return Unclear(f"I don't understand the date in “{piece}”. Try {dates.EXAMPLES}.")
    after = span.start if piece.key in {"after", "on"} else None
    before = {"before": span.start, "on": span.end}.get(piece.key)
    return replace(
        query,
        after=max((t for t in (query.after, after) if t is not None), default=None),
        before=min((t for t in (query.before, before) if t is not None), default=None),
    )


def _checked(query: Query) -> Query | Unclear:
    if query.after is not None and query.before is not None and query.after >= query.before:
        return Unclear(
            "Nothing can have been said then: the time that “after” names is not before the one of “before”. "
            "Swap them, or leave one out."
        )
    many = len(query.words) + len(query.phrases) + len(query.without) + len(query.without_phrases)
    if many > MOST_WORDS:
        return Unclear(f"That are {many} words, and {MOST_WORDS} are the most. The rarest ones will do.")
    return query
