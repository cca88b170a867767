"""Words one typo away from what was typed, as far as the index knows them.

There is no list of all words to be kept, nor to forget from: every way to mistype a short word is a
few hundred look-ups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import sqlalchemy as sa

from storage.search.buckets import counts_of
from storage.search.clauses import Clause, Way, neighbours
from storage.search.slots import SLOTS
from storage.search_tables import search_tail
from storage.stemmer import stem

MOST_RESPELLINGS = 32
"""Words one typo away that are tried for one word."""


def respelled(c: sa.Connection, clauses: Sequence[Clause]) -> tuple[Clause, ...]:
    """The clauses, with words that the index knows one typo away as further ways."""
    near = {clause: {stem(word) for word in neighbours(clause.word)} for clause in clauses if clause.word}
    everything: set[str] = set().union(*near.values())
    counts = counts_of(c, everything)
    for term in _in_tail(c, everything):
        counts[term] = counts.get(term, 0) + 1
    return tuple(
        _respelled_clause(clause, {term: counts[term] for term in near[clause] & counts.keys()})
        if clause.word
        else clause
        for clause in clauses
    )


def _respelled_clause(clause: Clause, counts: Mapping[str, int]) -> Clause:
    known = {term for way in clause.ways for term in way.terms}
    nearest = sorted(counts.keys() - known, key=lambda t: (-counts[t], t))
    ways = tuple(Way(frozenset((term,))) for term in nearest[:MOST_RESPELLINGS])
    return replace(clause, ways=clause.ways + ways)


def _in_tail(c: sa.Connection, terms: set[str]) -> set[str]:
    found: set[str] = set()
    for text in c.scalars(_TAIL_TERMS):
        found |= terms.intersection(text.split())
    return found


_TAIL_TERMS: Final = sa.select(search_tail.c.terms).order_by(search_tail.c.sent_us.desc()).limit(2 * SLOTS)
