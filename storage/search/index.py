"""Writing the search index, as plain functions over a connection inside the archive's transactions."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from bot.finding import Place
from storage.analyser import analyse, fold, pairs_of, words_of
from storage.prepared import prepared
from storage.search import gate
from storage.search.among import among
from storage.search.slots import EVERY, SLOTS, held_among
from storage.search_tables import search_buckets, search_docs, search_sealing, search_tail, search_terms

LINK: Final = "!link"
FILE: Final = "!file"
"""Terms that no text has: what `has:` asks for."""
_LONGEST_NAME = 80
_MOST_NAMES = 6
OUTDATED: Final = 0
"""The place of messages in buckets of a format that can't be read any more, which are being taken away."""
_SPACE = re.compile(r"\s")
_A_LINK = re.compile(r"https?://\S")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Entry:
    """A message to be found."""

    session_id: int
    position: int
    place: Place
    author_id: str
    text: str
    sent_at: datetime
    has_file: bool = False
    author_name: str = ""


class Findable(NamedTuple):
    """A message as the index takes it: made before the transaction, which the analysis would hold up."""

    position: int
    author_id: str
    sent_us: int
    terms: str
    stream: str


def findable(
    position: int, author_id: str, author_name: str, text: str, sent_at: datetime, has_file: bool
) -> Findable:
    """What a message is found by. Pure."""
    analysis = analyse(text)
    terms = {*analysis.terms, *_traits(text, author_id, author_name)}
    if has_file:
        terms.add(FILE)
    return Findable(position, author_id, microseconds(sent_at), f" {' '.join(terms)} ", analysis.stream)


def author_term(author_id: str) -> str:
    """What the index holds for everything that this author said."""
    return f"@{_SPACE.sub('_', author_id)}"


def name_term(name: str) -> str:
    """What the index holds for everything that somebody of this name said."""
    return f"@@{'_'.join(fold(name).split())}"[:_LONGEST_NAME]


def _name_terms(name: str) -> set[str]:
    """A name is known whole, and by each of its words."""
    return {name_term(part) for part in (name, *name.split()[:_MOST_NAMES]) if part.strip()}


def microseconds(time: datetime) -> int:
    """Microseconds since 1970."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def time_of(us: int) -> datetime:
    """The time that many microseconds after 1970 began."""
    return _EPOCH + timedelta(microseconds=us)


_INSERT_TAIL: Final = sa.insert(search_tail).inline()
_INSERT_ONE: Final = prepared(_INSERT_TAIL)


def index(c: sa.Connection, entries: Sequence[Entry]) -> None:
    """Let `entries` be found from now on. A message that is there already must be unindexed first."""
    if entries:
        c.execute(_INSERT_TAIL, [row_of(entry) for entry in entries])


def row_of(entry: Entry) -> dict[str, Any]:
    """Its row of `search_tail`."""
    made = findable(
        entry.position, entry.author_id, entry.author_name, entry.text, entry.sent_at, entry.has_file
    )
    return tail_row(entry.session_id, entry.place, made)


def index_made(c: sa.Connection, session_id: int, place: Place, made: Sequence[Findable]) -> None:
    """As `index`, for messages of one session that were analysed before."""
    if made:
        for each in made:
            _INSERT_ONE.run(c, tail_row(session_id, place, each))


def index_many(c: sa.Connection, session_id: int, place: Place, made: Sequence[Findable]) -> None:
    """As `index_made`, in one statement."""
    if made:
        c.execute(_INSERT_TAIL, [tail_row(session_id, place, each) for each in made])


def tail_row(session_id: int, place: Place, made: Findable) -> dict[str, Any]:
    """A row of `search_tail`."""
    return {
        "session_id": session_id,
        "platform": place.platform,
        "workspace": place.workspace,
        "channel": place.channel,
        "thread": place.thread,
        **made._asdict(),
    }


def _traits(text: str, author_id: str, author_name: str) -> Iterator[str]:
    yield author_term(author_id)
    yield from _name_terms(author_name)
    if _A_LINK.search(text):
        yield LINK


_TAKE_TAIL: Final = sa.delete(search_tail).where(
    search_tail.c.session_id == sa.bindparam("session"), search_tail.c.position == sa.bindparam("place")
)
_TAKE_DOC: Final = (
    sa.delete(search_docs)
    .where(
        search_docs.c.session_id == sa.bindparam("session"), search_docs.c.position == sa.bindparam("place")
    )
    .returning(search_docs.c.spot, search_docs.c.author_id, search_docs.c.place)
)


_WARN_SEALER: Final = sa.update(search_sealing).values(lost=search_sealing.c.lost + 1)
"""Before anything else is locked; a message that is just being sealed is in the tail and a bucket."""


def unindex(c: sa.Connection, session_id: int, position: int, text: str, author_name: str = "") -> None:
    """Let a message be found no more, and leave none of its words behind.

    `text` and `author_name` are what it was indexed with. Does nothing when it is not there.
    """
    at = {"session": session_id, "place": position}
    gate.pass_by(c)
    c.execute(_WARN_SEALER)
    c.execute(_TAKE_TAIL, at)
    doc = c.execute(_TAKE_DOC, at).first()
    if doc is not None and doc.place != OUTDATED:
        made = analyse(text)
        terms = {*sealed_terms(made.terms, made.stream), *_traits(text, doc.author_id, author_name), FILE}
        _clear(c, doc.spot // SLOTS, doc.spot % SLOTS, sorted(terms))


def sealed_terms(terms: Iterable[str], stream: str) -> Iterator[str]:
    """What a bucket holds for a message with these terms and this stream, each once."""
    return chain(terms, pairs_of(words_of(stream)))


def _clear(c: sa.Connection, bucket: int, slot: int, terms: Sequence[str]) -> None:
    held = search_terms.c
    eras = sa.union_all(
        *(
            sa.select(table.c.era).where(table.c.bucket == bucket)
            for table in (search_buckets, search_sealing)
        )
    )
    rows = c.execute(
        sa.select(held.era, held.term, held.slots)
        .where(held.era.in_(eras), among(c, held.term, terms), held.bucket == bucket)
        .order_by(held.term)
        .with_for_update()
    ).all()
    left = [(era, term, held_among(slots, EVERY ^ (1 << slot))) for era, term, slots in rows]
    kept = [{"an_era": e, "a_term": t, "here": bucket, "held": held} for e, t, held in left if held]
    empty = [{"an_era": e, "a_term": t, "here": bucket} for e, t, held in left if not held]
    if kept:
        c.execute(_LESS, kept)
    if empty:
        c.execute(_NONE, empty)


_one_term = (
    search_terms.c.era == sa.bindparam("an_era"),
    search_terms.c.term == sa.bindparam("a_term"),
    search_terms.c.bucket == sa.bindparam("here"),
)
_LESS: Final = sa.update(search_terms).where(*_one_term).values(slots=sa.bindparam("held"))
_NONE: Final = sa.delete(search_terms).where(*_one_term)
"""Both for many rows at once: a long text has thousands of terms, and all who write wait meanwhile."""
