"""Writing the search index, as plain functions over a connection inside the archive's transactions."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from bot.finding import Place
from storage.analyser import analyse, fold
from storage.prepared import prepared
from storage.search.among import among
from storage.search.slots import SLOTS, bits_of, highest_first, pack, pack_places
from storage.search_tables import search_buckets, search_docs, search_places, search_tail, search_terms

LINK: Final = "!link"
FILE: Final = "!file"
"""Terms that no text has: what `has:` asks for."""
_LONGEST_NAME = 80
_MOST_NAMES = 6
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


_INSERT_TAIL: Final = sa.insert(search_tail).inline()
_INSERT_ONE: Final = prepared(_INSERT_TAIL)


def index(c: sa.Connection, entries: Sequence[Entry]) -> None:
    """Let `entries` be found from now on. A message that is there already must be unindexed first."""
    if entries:
        c.execute(_INSERT_TAIL, [_row_of(entry) for entry in entries])


def _row_of(entry: Entry) -> dict[str, Any]:
    made = findable(
        entry.position, entry.author_id, entry.author_name, entry.text, entry.sent_at, entry.has_file
    )
    return tail_row(entry.session_id, entry.place, made)


def index_made(c: sa.Connection, session_id: int, place: Place, made: Sequence[Findable]) -> None:
    """As `index`, for messages of one session that were analysed before."""
    if made:
        for each in made:
            _INSERT_ONE.run(c, tail_row(session_id, place, each))


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
    .returning(search_docs.c.spot, search_docs.c.author_id)
)


def unindex(c: sa.Connection, session_id: int, position: int, text: str, author_name: str = "") -> None:
    """Let a message be found no more, and leave none of its words behind.

    `text` and `author_name` are what it was indexed with. Does nothing when it is not there.
    """
    at = {"session": session_id, "place": position}
    if c.execute(_TAKE_TAIL, at).rowcount:
        return
    doc = c.execute(_TAKE_DOC, at).first()
    if doc is not None:
        terms = {*analyse(text).terms, *_traits(text, doc.author_id, author_name), FILE}
        _clear(c, doc.spot // SLOTS, doc.spot % SLOTS, sorted(terms))


def _clear(c: sa.Connection, bucket: int, slot: int, terms: Sequence[str]) -> None:
    held = search_terms.c
    rows = c.execute(
        sa.select(held.term, held.slots)
        .where(among(c, held.term, terms), held.bucket == bucket)
        .order_by(held.term)
        .with_for_update()
    ).all()
    for term, slots in rows:
        here = (held.term == term, held.bucket == bucket)
        left = bits_of(slots) & ~(1 << slot)
        if left:
            c.execute(sa.update(search_terms).where(*here).values(slots=pack([*highest_first(left)])))
        else:
            c.execute(sa.delete(search_terms).where(*here))


def seal(c: sa.Connection, least: int = SLOTS) -> bool:
    """Move one bucketful from the tail, oldest first, to where searching is cheap; whether one was full.

    To be called now and then, in a transaction of its own, until it returns False. Searches are
    right without it, and slower the longer it is not called.
    """
    if not worth_sealing(c, least):
        return False
    if c.dialect.name == "postgresql":  # two sealers would choose the same number for their buckets
        c.execute(sa.text("LOCK TABLE search_buckets IN EXCLUSIVE MODE"))
    rows = _taken_from_tail(c)
    if rows:
        _write_bucket(c, _free_bucket(c, rows[-1].sent_us), rows)
    return bool(rows)


def worth_sealing(c: sa.Connection, least: int = SLOTS) -> bool:
    """Whether at least so many messages wait in the tail."""
    waiting = sa.select(search_tail.c.session_id).limit(least).subquery()
    return (c.scalar(sa.select(sa.func.count()).select_from(waiting)) or 0) >= max(least, 1)


def _taken_from_tail(c: sa.Connection) -> list[Any]:
    """The oldest rows of the tail, which are nobody else's now, in the order of their time."""
    tail = search_tail.c
    order = (tail.sent_us, tail.session_id, tail.position)
    rows = c.execute(
        sa.select(search_tail).order_by(*order).limit(SLOTS).with_for_update(skip_locked=True)
    ).all()
    c.execute(sa.delete(search_tail).where(among(c, tail.id, [row.id for row in rows])))
    return list(rows)


def _free_bucket(c: sa.Connection, newest_us: int) -> int:
    """The number of a new bucket: the time of its newest message in ms, or the next that is free."""
    bucket = search_buckets.c.bucket
    wanted = newest_us // 1000 + 1
    while c.scalar(sa.select(bucket).where(bucket == wanted)) is not None:
        wanted += 1
    return wanted


def _write_bucket(c: sa.Connection, bucket: int, rows: Sequence[Any]) -> None:
    places = _numbers_of(c, {_place_of(row) for row in rows})
    c.execute(
        sa.insert(search_buckets),
        {
            "bucket": bucket,
            "oldest_us": rows[0].sent_us,
            "places": pack_places(places[_place_of(row)] for row in rows),
        },
    )
    c.execute(sa.insert(search_docs), [_doc_row(bucket, slot, row) for slot, row in enumerate(rows)])
    _insert_terms(c, bucket, sorted(_slots_by_term(rows).items()))


def _insert_terms(c: sa.Connection, bucket: int, slots: Sequence[tuple[str, list[int]]]) -> None:
    """Thousands of rows at once, past what SQLAlchemy does for each."""
    if c.dialect.name == "postgresql":
        terms, packed = [term for term, _ in slots], [pack(held) for _, held in slots]
        c.exec_driver_sql(
            "INSERT INTO search_terms (term, bucket, slots) "
            "SELECT term, $1, slots FROM unnest($2::varchar[], $3::bytea[]) AS u (term, slots)",
            (bucket, terms, packed),
        )
    else:
        c.exec_driver_sql(
            "INSERT INTO search_terms (term, bucket, slots) VALUES (?, ?, ?)",
            [(term, bucket, pack(held)) for term, held in slots],
        )


def _doc_row(bucket: int, slot: int, row: Any) -> dict[str, Any]:
    return {
        "spot": bucket * SLOTS + slot,
        "session_id": row.session_id,
        "position": row.position,
        "author_id": row.author_id,
        "sent_us": row.sent_us,
        "stream": row.stream,
    }


def _slots_by_term(rows: Sequence[Any]) -> dict[str, list[int]]:
    slots: dict[str, list[int]] = {}
    for slot, row in enumerate(rows):
        for term in row.terms.split():
            slots.setdefault(term, []).append(slot)
    return slots


def _place_of(row: Any) -> Place:
    return Place(row.platform, row.workspace, row.channel, row.thread)


def _numbers_of(c: sa.Connection, places: set[Place]) -> dict[Place, int]:
    """The number of each place, given to it now if it had none."""
    numbers = _known_numbers(c, places)
    missing = [place for place in places if place not in numbers]
    for place in sorted(missing):
        numbers[place] = c.scalar(sa.insert(search_places).returning(search_places.c.id), place._asdict())
    return numbers


def numbers_of(c: sa.Connection, places: Iterable[Place]) -> frozenset[int]:
    """The numbers of those of `places` that anything is indexed from."""
    known = search_places.c
    numbers: set[int] = set()
    closed = []
    channels: dict[tuple[str, str], list[str]] = {}
    for place in places:
        if place.thread:
            closed.append(place)
        else:
            channels.setdefault(place[:2], []).append(place.channel)
    for (platform, workspace), names in channels.items():
        here = (known.platform == platform, known.workspace == workspace, known.thread == "")
        numbers.update(c.scalars(sa.select(known.id).where(*here, among(c, known.channel, names))))
    return frozenset(numbers.union(_known_numbers(c, closed).values()))


def _known_numbers(c: sa.Connection, places: Iterable[Place]) -> dict[Place, int]:
    """The numbers of those of `places` that have one."""
    wanted = set(places)
    known = search_places.c
    columns = (known.id, known.platform, known.workspace, known.channel, known.thread)
    found: dict[Place, int] = {}
    for platform, workspace in sorted({place[:2] for place in wanted}):
        channels = sorted({place.channel for place in wanted if place[:2] == (platform, workspace)})
        threads = sorted({place.thread for place in wanted if place[:2] == (platform, workspace)})
        here = (known.platform == platform, known.workspace == workspace)
        rows = c.execute(
            sa.select(*columns).where(
                *here, among(c, known.channel, channels), among(c, known.thread, threads)
            )
        )
        found.update((Place(*place), number) for number, *place in rows if tuple(place) in wanted)
    return found
