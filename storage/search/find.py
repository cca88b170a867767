"""Searching the index: the newest messages that hold what was asked, then the most fitting of them first.

The database only says which messages hold a term; choosing and ranking is done here, so that every
database gives the same hits in the same order.
"""

from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from storage.search.buckets import search_sealed
from storage.search.index import microseconds
from storage.search.ranking import ranked
from storage.search.tail import search_tail_rows
from storage.search.typos import respelled
from storage.search.wanted import Candidate, Catch, Found, Wanted
from storage.search.wishes import any_waits, without_them


def find(c: sa.Connection, wanted: Wanted, now: datetime) -> Found:
    """The sessions with messages that fit, best first; words with a typo only if nothing fits as typed."""
    found = _find(c, wanted, now)
    if found.hits or not any(clause.word for clause in wanted.clauses):
        return found
    again = replace(wanted, clauses=respelled(c, wanted.clauses))
    if again.clauses == wanted.clauses:
        return found
    return replace(_find(c, again, now), respelled=True)


def _find(c: sa.Connection, wanted: Wanted, now: datetime) -> Found:
    candidates, whole = _candidates(c, wanted)
    marked = frozenset(term for clause in wanted.clauses for way in clause.ways for term in way.terms)
    left = [each for each in candidates if not wanted.is_seen(each)]
    as_of_us = max([microseconds(now), *(each.sent_us + 1 for each in left[:1])])
    return Found(tuple(ranked(left, as_of_us)), whole, marked, as_of_us)


def holds_any(c: sa.Connection, wanted: Wanted) -> bool:
    """Whether any message fits."""
    return bool(_candidates(c, wanted)[0])


def _candidates(c: sa.Connection, wanted: Wanted) -> tuple[list[Candidate], bool]:
    """What fits and may be shown, newest first, and whether that is all."""
    waits = any_waits(c)
    catch = Catch()
    search_tail_rows(c, wanted, catch)
    search_sealed(c, wanted, catch)
    candidates = catch.candidates()
    return without_them(c, candidates) if waits else candidates, catch.whole
