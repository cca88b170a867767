"""What a text is found by: the one analyser behind recall, the same for every database.

Pure. A text becomes index terms (stems, CJK characters and pairs, emoji, identifiers joined) and a
stream (its words as written, folded, in order), in which exact words and phrases are looked up as
plain substrings. Neither holds anything but letters, digits, marks, emoji and the connectors of
identifiers, so no engine's syntax can occur in them.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from zlib import crc32

from storage.stemmer import stem

LONGEST_TEXT = 100_000
"""Characters; what comes after them is not found. The longest answer fits; Slack's posts have 40,000."""
_MOST_GROWN = 18
"""What one character may become without its compatibility form: `ﷺ` does."""
PAIRS = 512
"""Terms that all pairs of words share: a message of thirty words holds a thirtieth of them."""
LONGEST_WORD = 64
"""Characters; a longer word is known by its first ones."""
_LONGEST_WHOLE = 128
_REMEMBERED_CHUNKS = 8192
_LONGEST_REMEMBERED = 32

_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0711"
    "\u0730-\u074a\u07a6-\u07b0\u0900-\u0963\u0966-\u0dff\u0e31-\u0e4e\u0eb1-\u0ece\u0f71-\u0f84"
    "\u102b-\u103e\u17b4-\u17d3\u1ab0-\u1aff\u1dc0-\u1dff\u3099\u309a\ufe20-\ufe2f"
)
"""Marks inside words, which `re` does not count as word characters."""
_UNSEEN = "\u00ad\u200b-\u200d\u2060"
"""Soft hyphens and joiners: part of a word, and dropped from it."""
_PICTURE = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u25a0-\u27bf\u2934\u2935"
    "\u2b00-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001f1e5\U0001f200-\U0001f3fa\U0001f400-\U0001faff"
)
_SKIN = "\U0001f3fb-\U0001f3ff"
_ONE_EMOJI = f"[{_PICTURE}][\ufe0e\ufe0f{_SKIN}\U000e0020-\U000e007f]{{0,8}}"
_EMOJI = (
    f"[\U0001f1e6-\U0001f1ff]{{2}}|[0-9#*]\ufe0f?\u20e3|{_ONE_EMOJI}(?:\u200d{_ONE_EMOJI}){{0,7}}|[{_SKIN}]"
)
_WORD = rf"\w[\w{_MARKS}{_UNSEEN}]*"
_CONNECTOR = r"(?:://?/?|::|[-.:/\\@+#~'’_]|--|->)"
_LANGUAGE = r"\b[A-Za-z](?:\+\+|#)(?!\w)"
_CHUNK = re.compile(rf"{_EMOJI}|{_LANGUAGE}|/?{_WORD}(?:{_CONNECTOR}{_WORD})*")
_ASCII_CHUNK = re.compile(rf"{_LANGUAGE}|/?\w+(?:{_CONNECTOR}\w+)*", re.ASCII)
_EMOJI_CHUNK = re.compile(_EMOJI)

_CJK = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3041-\u30ff\u3105-\u312f"
    "\u3131-\u318f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff"
    "\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U0003347f"
)
"""Scripts whose words stand without spaces, or (Hangul) with endings grown on: known by pairs."""
_RUN = re.compile(rf"[{_CJK}]+|[^{_CJK}]+")
_IS_CJK = re.compile(rf"[{_CJK}]")
_NAME = re.compile(rf"(?:[^\W_]|[{_MARKS}{_UNSEEN}])+")
_UNSEEN_ONES = re.compile(f"[{_UNSEEN}]")
_SEPARATOR = re.compile(r"[\s|]")
_CONTRACTION = re.compile(r"['’](?:(s)|(t|re|ve|ll|d|m))$", re.IGNORECASE)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_VERSION = re.compile(r"[vV](?=[0-9]+\.[0-9])")
"""What stands before a version's number, or does not."""
_UNLIKE = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i"})


_PAIR_TERMS = [f"&{n}" for n in range(PAIRS)]
"""No text has such terms."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """What one chunk of text (a word, an identifier, a path, an emoji) is known by."""

    words: tuple[str, ...]
    """As written, folded; CJK one by one. They stand in the stream in this order."""
    extras: tuple[str, ...]
    """Other ways to write the chunk: the whole, without connectors, its humps."""
    terms: frozenset[str]
    """What the index holds for it."""
    joined: str = ""
    """The names of an identifier or a path without their connectors; "" for a single word and for numbers."""
    written: str = field(init=False)
    """The words in a row."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "written", " ".join(self.words))


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of text with its place in it."""

    start: int
    end: int
    pieces: Pieces


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a text is found by."""

    terms: frozenset[str]
    stream: str
    """` w1 w2 w3 | extra | extra `: a phrase of words is in the text if ` a b ` is in its stream."""


def composed(text: str) -> str:
    """`text` in the form that offsets of chunks count in: looks the same, composed, not too long."""
    text = text[:LONGEST_TEXT]
    if text.isascii():
        return text
    if len(text) * _MOST_GROWN > 2 * LONGEST_TEXT and _grown(text) > 2 * LONGEST_TEXT:
        text = text[: LONGEST_TEXT // _MOST_GROWN]  # hardly a text: it would be worked at for seconds
    return unicodedata.normalize("NFC", text)


def _grown(text: str) -> int:
    """Characters that it has without compatibility forms."""
    return len(unicodedata.normalize("NFKC", text))


def chunks(text: str) -> Iterator[Chunk]:
    """The chunks of a composed text, in order."""
    for match in _pattern(text).finditer(text):
        yield Chunk(match.start(), match.end(), _taken_apart(match[0]))


def analyse(text: str) -> Analysis:
    """Everything that `text` is found by."""
    text = composed(text)
    pieces = [
        _remembered(chunk) if len(chunk) <= _LONGEST_REMEMBERED else _taken_apart(chunk)
        for chunk in _pattern(text).findall(text)
    ]
    words = " ".join([piece.written for piece in pieces if piece.written])
    extras = dict.fromkeys([extra for piece in pieces if piece.extras for extra in piece.extras])
    terms: frozenset[str] = frozenset().union(*[piece.terms for piece in pieces])
    return Analysis(terms, f" {' | '.join((words, *extras))} ")


def pairs_of(words: Sequence[str]) -> frozenset[str]:
    """Terms that tell which of `words`, of a stream, follow each other; other pairs have the same ones.

    CJK characters are left out, whose pairs are terms already.
    """
    sums = [0 if len(word) == 1 and not word.isascii() else crc32(word.encode()) for word in words]
    return frozenset({_PAIR_TERMS[(31 * a + b) % PAIRS] for a, b in pairwise(sums) if a or b})


def words_of(stream: str) -> list[str]:
    """The words of a stream, in order."""
    return stream.split(" | ", 1)[0].split()


def fold(text: str) -> str:
    """`text` without case, accents and compatibility forms."""
    if text.isascii():
        return text.lower()
    loose = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold()).translate(_UNLIKE)
    kept = "".join(c for c in loose if not _is_accent(c))
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", kept).casefold())


def is_cjk(text: str) -> bool:
    """Whether a character of `text` belongs to a script that is known by pairs."""
    return _IS_CJK.search(text) is not None


def _is_accent(character: str) -> bool:
    """Above, below or through a letter, and Hebrew and Arabic points; not Indic vowels nor dakuten."""
    combining = unicodedata.combining(character)
    return combining >= 200 or 10 <= combining <= 36 or combining == 1


def _pattern(text: str) -> re.Pattern[str]:
    """What finds the chunks of `text`: nine of ten texts need the small pattern only."""
    return _ASCII_CHUNK if text.isascii() else _CHUNK


@lru_cache(maxsize=_REMEMBERED_CHUNKS)
def _remembered(chunk: str) -> Pieces:
    return _taken_apart(chunk)


def _taken_apart(chunk: str) -> Pieces:
    if chunk[-1] in "+#":
        name = chunk.lower()
        return Pieces((name,), (name[0],), frozenset((name, name[0])))
    if _EMOJI_CHUNK.fullmatch(chunk):
        return _emoji(chunk)
    return _written(chunk)


def _emoji(chunk: str) -> Pieces:
    """Without variation and skin: 👍🏽 is found by 👍; one made of several also by each."""
    bare = re.sub(f"(?!^)[\ufe0e\ufe0f{_SKIN}]", "", chunk)
    single = tuple(bare.split("\u200d"))
    return Pieces((bare,), single if len(single) > 1 else (), frozenset((bare, *single)))


def _written(chunk: str) -> Pieces:
    plain = _CONTRACTION.sub(lambda m: m[2] or "", chunk)
    names = _NAME.findall(_VERSION.sub("", plain, 1) if _VERSION.match(plain) else plain)
    if len(names) == 1 and plain.isascii() and plain.islower():
        word = names[0][:LONGEST_WORD]
        return Pieces((word,), (), frozenset((stem(word),)))
    return _compound(plain, names)


def _compound(whole: str, names: list[str]) -> Pieces:
    folded = [part for name in names for part in _NAME.findall(fold(_UNSEEN_ONES.sub("", name)))]
    humps = [fold(hump) for name in names for hump in _humps(name)]
    words = tuple(word for name in folded for word in _words(name))
    terms = {term for name in folded for term in _terms(name)} | {stem(hump) for hump in humps}
    if len(folded) < 2 or len(names) < 2 or len(whole) > _LONGEST_WHOLE:
        return Pieces(words, tuple(humps), frozenset(terms))
    written = _SEPARATOR.sub("", fold(whole))
    if all(map(str.isdigit, folded)):  # 1.23 is not 12.3
        return Pieces(words, (written,), frozenset(terms))
    joined = "".join(folded)[:LONGEST_WORD]
    return Pieces(words, (*humps, joined, written), frozenset(terms | {stem(joined)}), joined)


def _humps(name: str) -> list[str]:
    """Foo and Bar of FooBar; nothing for a name without humps."""
    if not name.isascii() or name.islower() or len(name) > _LONGEST_WHOLE:
        return []
    humps = _HUMP.split(name)
    return humps if len(humps) > 1 else []


def _words(folded: str) -> Iterator[str]:
    for run in _RUN.findall(folded):
        if is_cjk(run):
            yield from run
        else:
            yield run[:LONGEST_WORD]


def _terms(folded: str) -> Iterator[str]:
    for run in _RUN.findall(folded):
        if is_cjk(run):
            yield from run
            yield from (run[i : i + 2] for i in range(len(run) - 1))
        else:
            yield stem(run[:LONGEST_WORD])
