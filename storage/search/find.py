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
from storage.search.wanted import Catch, Found, Wanted


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
    catch = _caught(c, wanted)
    marked = frozenset(term for clause in wanted.clauses for way in clause.ways for term in way.terms)
    candidates = [each for each in catch.candidates() if not wanted.is_seen(each)]
    return Found(tuple(ranked(candidates, microseconds(now))), catch.whole, marked)


def holds_any(c: sa.Connection, wanted: Wanted) -> bool:
    """Whether any message fits."""
    return bool(_caught(c, wanted).by_place)


def _caught(c: sa.Connection, wanted: Wanted) -> Catch:
    catch = Catch()
    search_tail_rows(c, wanted, catch)
    search_sealed(c, wanted, catch)
    return catch
