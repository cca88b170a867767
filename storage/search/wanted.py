"""What is searched for, and what a search gives: the values that the pieces of the search share."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from bot.finding import Place
from bot.query import Query, Trait
from storage.search.clauses import Clause, clauses_of, phrase_clause
from storage.search.index import FILE, LINK, author_term

ENOUGH_MESSAGES = 256
ENOUGH_SESSIONS = 40
"""Searching stops when it has so many messages in so many sessions: the newest."""
MOST_MESSAGES = 1024
"""Searching stops here however few sessions they are in."""
MOST_LOOKED_AT = 4096
"""Messages whose words are all there, but not in the order that was asked, are looked at so often."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is searched for. All of it must fit; with nothing but places, the newest messages do."""

    places: frozenset[Place]
    """Where the asker may read; nothing from anywhere else is shown or counted."""
    clauses: tuple[Clause, ...] = ()
    without: tuple[Clause, ...] = ()
    authors: frozenset[str] = frozenset()
    """Said by one of these, as terms; empty for anybody."""
    traits: frozenset[str] = frozenset()
    """`LINK`, `FILE`."""
    after: datetime | None = None
    """Sent then or later."""
    before: datetime | None = None
    """Sent earlier than this."""
    session_id: int | None = None
    """In this session alone; None for all."""
    seen: tuple[int, int] | None = None
    """Not in this session from this position on."""

    def is_seen(self, candidate: "Candidate") -> bool:
        """Whether it is left out though it fits."""
        if self.seen is None:
            return False
        return candidate.session_id == self.seen[0] and candidate.position >= self.seen[1]


_TERM_OF_TRAIT = {Trait.LINK: LINK, Trait.FILE: FILE}


def wanted_of(
    query: Query, places: frozenset[Place], authors: frozenset[str], session_id: int | None = None
) -> Wanted | None:
    """What `query` asks for; None if it holds nothing that can be looked for, such as mere punctuation.

    `places` are those that the asker may read, already cut down to the channels of the query, and
    `authors` the ids of its people; whoever calls looks both up.
    """
    clauses = (*clauses_of(" ".join(query.words)), *_phrases(query.phrases))
    if not clauses and (query.words or query.phrases):
        return None
    return Wanted(
        places,
        tuple(dict.fromkeys(clauses)),
        (*clauses_of(" ".join(query.without)), *_phrases(query.without_phrases)),
        frozenset(map(author_term, authors)),
        frozenset(_TERM_OF_TRAIT[trait] for trait in query.traits),
        query.after,
        query.before,
        session_id,
    )


def _phrases(texts: Iterable[str]) -> Iterator[Clause]:
    return (clause for clause in map(phrase_clause, texts) if clause is not None)


@dataclass(frozen=True, slots=True)
class Hit:
    """A message that fits, the best of its session."""

    session_id: int
    position: int
    sent_us: int
    score: float
    others: int
    """How many more of this session's messages fit, among those that were looked at."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search gave."""

    hits: tuple[Hit, ...]
    """At most one a session, best first."""
    whole: bool
    """False: older messages may fit too. Asking with `before` finds them."""
    terms: frozenset[str]
    """What is to be marked in the messages: terms of the analyser."""
    as_of_us: int
    """Before this all of it was sent, and by this it is ranked."""
    respelled: bool = False
    """Nothing fitted as typed; these hold words one typo away."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A message that fits, before it is ranked."""

    session_id: int
    position: int
    sent_us: int
    exact: tuple[bool, ...]
    """For each clause, whether the message holds it just as typed."""
    in_order: bool


@dataclass(slots=True)
class Catch:
    """What one search has found so far."""

    by_place: dict[tuple[int, int], Candidate] = field(default_factory=dict)
    sessions: set[int] = field(default_factory=set)
    looked_at: int = 0
    whole: bool = True

    def add(self, candidates: Iterable[Candidate]) -> None:
        """Each message once, however often it comes."""
        for candidate in candidates:
            self.by_place[candidate.session_id, candidate.position] = candidate
            self.sessions.add(candidate.session_id)

    def enough(self) -> bool:
        """Whether looking further is of no use to anybody."""
        many = len(self.by_place)
        return (
            many >= MOST_MESSAGES
            or self.looked_at >= MOST_LOOKED_AT
            or (many >= ENOUGH_MESSAGES and len(self.sessions) >= ENOUGH_SESSIONS)
        )

    def candidates(self) -> list[Candidate]:
        """The newest of them, newest first."""
        newest = sorted(self.by_place.values(), key=lambda x: (-x.sent_us, x.session_id, x.position))
        return newest[:MOST_MESSAGES]
