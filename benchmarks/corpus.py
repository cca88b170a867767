"""Made-up messages whose words are as unevenly common as in real talk, the same in every run."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bot.finding import Place
from storage.search.index import Entry

WORDS = 40_000
CHANNELS = 1_000
MESSAGES_PER_SESSION = 10
_FIRST_HAN = 0x4E00
_HAN = 3_000
_CJK_SHARE = 0.05
_UNEVENNESS = 1.1
"""Of Zipf's law; 1.1 lets the 8,000 most common words make up 94 % of all talk, as they do in English."""
_START = datetime(2024, 1, 1, tzinfo=UTC)
_BETWEEN = timedelta(seconds=40)
_CONSONANTS, _VOWELS = "bcdfghjklmnprstvwz", "aeiou"


def vocabulary() -> list[str]:
    """Made-up words, the most common first; every tenth ends as English forms do."""
    syllables = ["".join(pair) for pair in itertools.product(_CONSONANTS, _VOWELS)]
    words = ("".join(parts) for n in (2, 3) for parts in itertools.product(syllables, repeat=n))
    drawn = random.Random(1).sample(list(itertools.islice(words, 4 * WORDS)), WORDS)
    endings = ("s", "ed", "ing")
    return [word + endings[n // 10 % 3] if n % 10 == 9 else word for n, word in enumerate(drawn)]


def _zipf(n: int) -> list[float]:
    return list(itertools.accumulate((rank + 3) ** -_UNEVENNESS for rank in range(n)))


@dataclass(frozen=True, slots=True)
class Corpus:
    """Messages, and what may be searched for in them."""

    words: list[str]

    def entries(self, number: int, seed: int = 7) -> Iterator[Entry]:
        """The first `number` messages; short questions and longer answers by turns."""
        draw = random.Random(seed)
        weights, han_weights = _zipf(WORDS), _zipf(_HAN)
        for n in range(number):
            session, place, sent_at = stamp(n)
            length = draw.randint(4, 20) if n % 2 == 0 else draw.randint(20, 90)
            if draw.random() < _CJK_SHARE:
                text = "".join(
                    chr(_FIRST_HAN + k) for k in draw.choices(range(_HAN), cum_weights=han_weights, k=length)
                )
            else:
                text = " ".join(draw.choices(self.words, cum_weights=weights, k=length))
            yield Entry(session, n, place, f"U{session % 500}", text, sent_at)


def stamp(n: int) -> tuple[int, Place, datetime]:
    """In which session, where and when the message number `n` was said."""
    session = n // (MESSAGES_PER_SESSION * 8) * 8 + n % 8
    return session, place_of(session * 7919 % CHANNELS), _START + n * _BETWEEN


def place_of(channel: int) -> Place:
    """One of the channels, all in one workspace."""
    return Place("bench", "T1", f"C{channel}")


def queries(corpus: Corpus, sample: list[str]) -> dict[str, list[str]]:
    """For each kind of search, texts to search for; `sample` are messages that are there."""
    draw = random.Random(11)
    han = [chr(_FIRST_HAN + n) for n in range(_HAN)]
    spoken = [text.split() for text in sample if text.isascii() and " " in text]
    starts = [(words, draw.randrange(len(words) - 1)) for words in draw.sample(spoken, 40)]
    return {
        "selective": draw.sample(corpus.words[8_000:16_000], 40),
        "middling": draw.sample(corpus.words[100:1_000], 40),
        "common": draw.sample(corpus.words[:20], 20) * 2,
        "two words": [
            f"{draw.choice(corpus.words[:100])} {draw.choice(corpus.words[:2_000])}" for _ in range(40)
        ],
        "phrase": ['"' + " ".join(words[at : at + 2]) + '"' for words, at in starts],
        "CJK": [f"{draw.choice(han[:50])}{draw.choice(han[:300])}" for _ in range(40)],
    }
