"""Moving messages from the tail into buckets, in steps so small that nobody who writes waits for one.

A message is found in the tail until the row of its bucket is there, and in the bucket from then on; while
it is in both, it is found once. So every step leaves the search right, and so does a process that dies
between two: whoever looks next goes on with what it left.
"""

import asyncio
import secrets
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from bot.errors import LeaseLost
from bot.finding import Place
from storage.database import Database, Work
from storage.search import gate
from storage.search.among import among
from storage.search.index import sealed_terms
from storage.search.places import give_numbers, known_numbers
from storage.search.slots import SLOTS, held_among, listed, pack, pack_places
from storage.search_tables import search_buckets, search_docs, search_places, search_sealing, search_tail
from storage.tables import clock

T = TypeVar("T")

MESSAGES_AT_ONCE = 512
TERMS_AT_ONCE = 2_048
PLACES_AT_ONCE = 64
"""Rows of one step: ten to twenty milliseconds of SQLite's writer."""
BUCKETS_IN_ERA = 16
"""More of them scatter what a bucket writes, fewer are more places for a search to look at."""
LEASE_S = 30.0
"""After this long without a step of whoever seals, another process goes on."""


class Sealer:
    """Seals one bucket after the other, one small transaction at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._owner = secrets.token_hex(6)
        self._ahead: deque[Callable[[], Awaitable[object]]] = deque()
        self._bucket = self._era = 0

    async def step(self, least: int = SLOTS) -> bool:
        """Do one thing if at least so many messages wait in the tail; whether there may be more to do."""
        if not self._ahead:
            return await self._begin(least)
        try:
            await self._ahead[0]()
        except LeaseLost:
            self._ahead.clear()
        except BaseException:
            self._ahead.clear()  # done or not, who knows: what is there tells how to go on
            raise
        else:
            self._ahead.popleft()
        return True

    async def seal(self, least: int = SLOTS) -> None:
        """Every step until fewer than `least` messages are left."""
        while await self.step(least):
            pass

    async def _begin(self, least: int) -> bool:
        """Go on with a bucket that somebody left, or with a new one; False if there is nothing to do."""
        left = await self._database.read(lambda c: c.execute(_SEALING).first())
        if left is not None:
            taken = await self._database.write(lambda c: c.execute(_TAKE_OVER, {"me": self._owner}).first())
            return taken is not None and self._will(taken, ())
        if not await self._database.read(lambda c: worth_sealing(c, least)):
            return False
        oldest = (await self._database.read(lambda c: c.execute(_OLDEST).all()))[:SLOTS]
        places = sorted({_place_of(row) for row in oldest})
        known = await self._database.read(lambda c: known_numbers(c, places))
        claimed = await self._database.write(lambda c: _claimed(c, oldest[-1].sent_us, self._owner))
        new = [place for place in places if place not in known]
        return claimed is not None and self._will(claimed, [row.id for row in oldest], new)

    def _will(self, claimed: Any, tail_ids: Sequence[int], new_places: Sequence[Place] = ()) -> bool:
        bucket = self._bucket = claimed.bucket
        self._era = claimed.era
        for new in _portions(new_places, PLACES_AT_ONCE):
            self._later(partial(give_numbers, places=new))
        for some in _portions(list(enumerate(tail_ids)), MESSAGES_AT_ONCE):
            self._later(partial(_add_docs, bucket=bucket, ids=some))
        self._ahead.append(self._fill)
        return True

    async def _fill(self) -> None:
        """Plan the rest, by what is in the bucket now."""
        bucket = self._bucket
        rows = await self._database.read(lambda c: c.execute(_ROWS, _bounds(bucket)).all())
        if rows and not await self._database.read(lambda c: _is_shown(c, bucket)):
            await self._will_show(bucket, rows)
        for gone in _portions([row.id for row in rows], MESSAGES_AT_ONCE):
            self._later(partial(_take_off, bucket=bucket, tail_ids=gone))
        self._later(lambda c: c.execute(sa.delete(search_sealing)))

    async def _will_show(self, bucket: int, rows: Sequence[Any]) -> None:
        places = {row.spot % SLOTS: row.place for row in rows}
        for some in _portions(await asyncio.to_thread(_packed, rows), TERMS_AT_ONCE):
            self._later(partial(_add_terms, era=self._era, bucket=bucket, terms=some))
        oldest = min(row.sent_us for row in rows)
        self._later(partial(_show, era=self._era, bucket=bucket, oldest_us=oldest, places=places))

    def _later(self, work: Work[object]) -> None:
        """Put `work` behind what is to be done; it is done if the bucket is ours then."""
        held = {"me": self._owner, "number": self._bucket}

        def held_work(c: sa.Connection) -> None:
            if not c.execute(_HOLD, held).rowcount:
                raise LeaseLost("Somebody else seals this bucket.")
            work(c)

        self._ahead.append(lambda: self._database.write(held_work))


_place = [search_tail.c[name] for name in ("platform", "workspace", "channel", "thread")]
_lease = clock() + LEASE_S
_SEALING: Final = sa.select(search_sealing)
_LOST: Final = sa.select(search_sealing.c.lost)
_TAKE_OVER: Final = (
    sa.update(search_sealing)
    .where(sa.or_(search_sealing.c.owner == sa.bindparam("me"), search_sealing.c.lease_until < clock()))
    .values(owner=sa.bindparam("me"), lease_until=_lease)
    .returning(search_sealing.c.bucket, search_sealing.c.era)
)
_HOLD: Final = (
    sa.update(search_sealing)
    .where(search_sealing.c.owner == sa.bindparam("me"), search_sealing.c.bucket == sa.bindparam("number"))
    .values(lease_until=_lease)
)
"""Locks the row, so that nothing is taken out of the index meanwhile."""
_CLAIM: Final = (
    sa.insert(search_sealing)
    .from_select(
        ["id", "bucket", "era", "owner", "lease_until", "lost"],
        sa.select(
            sa.literal(1),
            sa.bindparam("number", type_=sa.BigInteger),
            sa.select(sa.func.count() // sa.bindparam("in_era", type_=sa.Integer))
            .select_from(search_buckets)
            .scalar_subquery(),
            sa.bindparam("me", type_=sa.String),
            _lease,
            sa.literal(0),
        ).where(~sa.exists(sa.select(search_sealing.c.id))),
    )
    .returning(search_sealing.c.bucket, search_sealing.c.era)
)
_OLDEST: Final = (
    sa.select(search_tail.c.id, search_tail.c.sent_us, *_place)
    .order_by(search_tail.c.sent_us, search_tail.c.session_id, search_tail.c.position)
    .limit(SLOTS)
)
_ADD_DOC: Final = sa.insert(search_docs).from_select(
    ["spot", "session_id", "position", "author_id", "sent_us", "stream", "place"],
    sa.select(
        sa.bindparam("place", type_=sa.BigInteger),
        search_tail.c.session_id,
        search_tail.c.position,
        search_tail.c.author_id,
        search_tail.c.sent_us,
        search_tail.c.stream,
        search_places.c.id,
    )
    .join_from(search_tail, search_places, sa.and_(*(search_places.c[each.name] == each for each in _place)))
    .where(
        search_tail.c.id == sa.bindparam("tail_id"),
        search_tail.c.sent_us < sa.bindparam("end_us", type_=sa.BigInteger),
    ),
)
"""Not if another has got the id meanwhile that is newer than the bucket: SQLite gives ids out again."""
_in_bucket = sa.and_(search_docs.c.spot >= sa.bindparam("first"), search_docs.c.spot < sa.bindparam("end"))
_SPOTS: Final = sa.select(search_docs.c.spot).where(_in_bucket)
_ROWS: Final = (
    sa.select(
        search_docs.c.spot,
        search_docs.c.place,
        search_docs.c.sent_us,
        search_docs.c.stream,
        search_tail.c.id,
        search_tail.c.terms,
    )
    .join_from(
        search_docs,
        search_tail,
        sa.and_(
            search_tail.c.session_id == search_docs.c.session_id,
            search_tail.c.position == search_docs.c.position,
        ),
    )
    .where(_in_bucket)
    .order_by(search_docs.c.spot)
)


def worth_sealing(c: sa.Connection, least: int) -> bool:
    """Whether at least so many messages wait in the tail."""
    waiting = sa.select(search_tail.c.id).limit(least).subquery()
    return (c.scalar(sa.select(sa.func.count()).select_from(waiting)) or 0) >= max(least, 1)


def _bounds(bucket: int) -> dict[str, int]:
    return {"first": bucket * SLOTS, "end": (bucket + 1) * SLOTS}


def _portions(things: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    return (things[start : start + most] for start in range(0, len(things), most))


def _claimed(c: sa.Connection, newest_us: int, me: str) -> Any | None:
    """Era and number of a new bucket: the time of its newest message in ms, or the next that is free."""
    gate.close(c)
    number = newest_us // 1000 + 1
    while _is_shown(c, number):
        number += 1
    return c.execute(_CLAIM, {"number": number, "me": me, "in_era": BUCKETS_IN_ERA}).first()


def _is_shown(c: sa.Connection, bucket: int) -> bool:
    """Whether searches look into the bucket."""
    number = search_buckets.c.bucket
    return c.scalar(sa.select(number).where(number == bucket)) is not None


def _add_docs(c: sa.Connection, bucket: int, ids: Sequence[tuple[int, int]]) -> None:
    """Give each of the messages its slot; those that went meanwhile leave theirs empty."""
    first, end_us = bucket * SLOTS, bucket * 1000
    c.execute(
        _ADD_DOC, [{"place": first + slot, "tail_id": tail_id, "end_us": end_us} for slot, tail_id in ids]
    )


def _packed(rows: Sequence[Any]) -> list[tuple[str, bytes]]:
    """Every term with the slots of the messages that hold it. Pure."""
    slots: defaultdict[str, bytearray] = defaultdict(bytearray)  # not lists, which garbage is looked for in
    for row in rows:
        here = listed(row.spot % SLOTS, row.place)
        for term in sealed_terms(row.terms.split(), row.stream):
            slots[term] += here
    return [(term, pack(slots[term])) for term in sorted(slots)]


def _add_terms(c: sa.Connection, era: int, bucket: int, terms: Sequence[tuple[str, bytes]]) -> None:
    """Many rows at once, past what SQLAlchemy does for each. Those that are there are written anew."""
    kept = list(_still_held(c, bucket, terms) if c.scalar(_LOST) else terms)
    if c.dialect.name == "postgresql":
        c.exec_driver_sql(
            "INSERT INTO search_terms (era, term, bucket, slots) "
            "SELECT $1, term, $2, slots FROM unnest($3::varchar[], $4::bytea[]) AS u (term, slots) "
            "ON CONFLICT (era, term, bucket) DO UPDATE SET slots = excluded.slots",
            (era, bucket, [term for term, _ in kept], [slots for _, slots in kept]),
        )
    elif kept:
        c.exec_driver_sql(
            "INSERT OR REPLACE INTO search_terms (era, term, bucket, slots) VALUES (?, ?, ?, ?)",
            [(era, term, bucket, slots) for term, slots in kept],
        )


def _still_held(
    c: sa.Connection, bucket: int, terms: Sequence[tuple[str, bytes]]
) -> Iterator[tuple[str, bytes]]:
    """`terms` without messages that were taken out of the index since they were planned."""
    there = 0
    for spot in c.scalars(_SPOTS, _bounds(bucket)):
        there |= 1 << spot % SLOTS
    for term, slots in terms:
        if held := held_among(slots, there):
            yield term, held


def _show(c: sa.Connection, era: int, bucket: int, oldest_us: int, places: Mapping[int, int]) -> None:
    """Let searches look into the bucket from now on."""
    by_slot = (places.get(slot, 0) for slot in range(max(places) + 1))
    c.execute(
        sa.insert(search_buckets),
        {"bucket": bucket, "era": era, "oldest_us": oldest_us, "places": pack_places(by_slot)},
    )


def _take_off(c: sa.Connection, bucket: int, tail_ids: Sequence[int]) -> None:
    """Only what the bucket holds: what was edited since is in the tail alone, on SQLite with the same id."""
    held = sa.exists().where(
        search_docs.c.session_id == search_tail.c.session_id,
        search_docs.c.position == search_tail.c.position,
        _in_bucket,
    )
    c.execute(sa.delete(search_tail).where(among(c, search_tail.c.id, tail_ids), held), _bounds(bucket))


def _place_of(row: Any) -> Place:
    return Place(row.platform, row.workspace, row.channel, row.thread)
