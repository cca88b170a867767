"""What a message must hold to be found: words and phrases of a query, in terms of the index. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from storage.analyser import Pieces, chunks, composed, is_cjk, pairs_of
from storage.stemmer import stem

LONGEST_TYPO_WORD = 24
SHORTEST_TYPO_WORD = 4

_ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz",
    "αβγδεζηθικλμνξοπρσςτυφχψω",
    "абвгдежзиклмнопрстуфхцчшщъыьэюяіїєґ",
    "אבגדהוזחטיכךלמםנןסעפףצץקרשת",
    "ابتثجحخدذرزسشصضطظعغفقكلمنهويةىءپچژگ",
)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to satisfy a clause."""

    terms: frozenset[str]
    """All of them must be among the message's terms."""
    pattern: str = ""
    """Must occur in the message's stream as well; "" for no such need."""
    pairs: frozenset[str] = field(init=False)
    """Further terms that a bucket holds for every message with the pattern."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "pairs", pairs_of(self.pattern.split()))

    @property
    def sealed_terms(self) -> frozenset[str]:
        """All that a bucket holds for the messages that fit."""
        return self.terms | self.pairs


@dataclass(frozen=True, slots=True)
class Clause:
    """One thing that was asked for; a message must satisfy at least one of its ways."""

    ways: tuple[Way, ...]
    exact: str
    """Occurs in the stream of messages that hold it just as it was typed."""
    word: str = ""
    """The word, where a typo in it may be forgiven."""


def clauses_of(text: str) -> tuple[Clause, ...]:
    """One clause for each word of `text`, identifiers and CJK runs being words; none for mere punctuation."""
    seen = {_clause(chunk.pieces): None for chunk in chunks(composed(text)) if chunk.pieces.words}
    return tuple(seen)


def phrase_clause(text: str) -> Clause | None:
    """All words of `text` as written, one right after the other; None if it has none."""
    pieces = [chunk.pieces for chunk in chunks(composed(text))]
    words = [word for piece in pieces for word in piece.words]
    if not words:
        return None
    terms = frozenset(term for piece in pieces for term in _narrow_terms(piece))
    return Clause((Way(terms, _in_order(words)),), _in_order(words))


def _clause(pieces: Pieces) -> Clause:
    words = pieces.words
    if len(words) == 1:
        return Clause((Way(frozenset((stem(words[0]),))),), _in_order(words), _forgivable(words[0]))
    if not pieces.extras:
        return Clause((Way(_narrow_terms(pieces)),), _in_order(words))
    ways = [Way(_narrow_terms(pieces), _in_order(words))]
    if pieces.joined:
        ways.insert(0, Way(frozenset((stem(pieces.joined),))))
    return Clause(tuple(ways), f" {pieces.extras[-1]} ")


def _narrow_terms(pieces: Pieces) -> frozenset[str]:
    """Terms that every text with these words in a row has, without CJK characters that pairs cover."""
    stems = frozenset(stem(word) for word in pieces.words)
    pairs = frozenset(term for term in pieces.terms if len(term) == 2 and is_cjk(term[0]) and is_cjk(term[1]))
    covered = frozenset(character for pair in pairs for character in pair)
    return (stems - covered) | pairs


def _in_order(words: list[str] | tuple[str, ...]) -> str:
    return f" {' '.join(words)} "


def _forgivable(word: str) -> str:
    if SHORTEST_TYPO_WORD <= len(word) <= LONGEST_TYPO_WORD and word.isalpha() and not is_cjk(word):
        return word
    return ""


def neighbours(word: str) -> Iterator[str]:
    """Every word that is one typo away: a letter left out, added, changed, or two swapped."""
    letters = next((a for a in _ALPHABETS if word[0] in a), "".join(sorted(set(word))))
    for i in range(len(word) + 1):
        head, tail = word[:i], word[i:]
        yield from (head + letter + tail for letter in letters)
        if tail:
            yield head + tail[1:]
            yield from (head + letter + tail[1:] for letter in letters)
        if len(tail) > 1:
            yield head + tail[1] + tail[0] + tail[2:]
