"""Which of the messages that fit come first: words as typed, in their order, rare ones, new ones. Pure."""

from collections import Counter
from collections.abc import Sequence
from math import log

from storage.search.wanted import Candidate, Hit

_HALF_FORGOTTEN_US = 30 * 86400 * 1_000_000
"""After a month recency counts half."""
_OTHER_FORM = 0.5
"""What another form of a word counts, where the word as typed counts 1."""
_IN_ORDER = 0.5
"""What it counts that all words stand in the order in which they were typed."""


def ranked(candidates: Sequence[Candidate], now_us: int) -> list[Hit]:
    """The best message of each session, best first; ties go to the newer one."""
    weights = _weights(candidates)
    ordered = sorted((_rank(candidate, weights, now_us) for candidate in candidates), reverse=True)
    fitting = Counter(candidate.session_id for candidate in candidates)
    best: dict[int, Hit] = {}
    for score, sent_us, position, back in ordered:
        session_id = -back
        if session_id not in best:
            best[session_id] = Hit(session_id, position, sent_us, score, fitting[session_id] - 1)
    return list(best.values())


def _rank(candidate: Candidate, weights: Sequence[float], now_us: int) -> tuple[float, int, int, int]:
    """The best has the greatest."""
    score = _score(candidate, weights, now_us)
    return score, candidate.sent_us, candidate.position, -candidate.session_id


def _weights(candidates: Sequence[Candidate]) -> list[float]:
    """For each clause, how much it tells: more, the fewer of the candidates hold it as typed."""
    if not candidates:
        return []
    exact = [sum(flags) for flags in zip(*(candidate.exact for candidate in candidates), strict=True)]
    return [log(2 + len(candidates) / (1 + many)) for many in exact]


def _score(candidate: Candidate, weights: Sequence[float], now_us: int) -> float:
    """Between 0 and 1 for its words, a half for their order, and up to 1 for being new."""
    words = sum(w if exact else w * _OTHER_FORM for w, exact in zip(weights, candidate.exact, strict=True))
    age = max(now_us - candidate.sent_us, 0)
    return (
        words / (sum(weights) or 1.0)
        + (_IN_ORDER if candidate.in_order else 0.0)
        + _HALF_FORGOTTEN_US / (_HALF_FORGOTTEN_US + age)
    )
