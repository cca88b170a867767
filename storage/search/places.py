"""The places that anything is indexed from, each known by a number."""

from collections.abc import Iterable
from typing import Final

import sqlalchemy as sa

from bot.finding import Place
from storage.prepared import Prepared
from storage.search.among import among_named
from storage.search_tables import search_places


def give_numbers(c: sa.Connection, places: Iterable[Place]) -> dict[Place, int]:
    """The number of each place, given to it now if it had none."""
    wanted = set(places)
    numbers = known_numbers(c, wanted)
    for place in sorted(wanted - numbers.keys()):
        numbers[place] = c.scalar(sa.insert(search_places).returning(search_places.c.id), place._asdict())
    return numbers


def numbers_of(c: sa.Connection, places: Iterable[Place]) -> frozenset[int]:
    """The numbers of those of `places` that anything is indexed from."""
    numbers: set[int] = set()
    closed = []
    channels: dict[tuple[str, str], list[str]] = {}
    for place in places:
        if place.thread:
            closed.append(place)
        else:
            channels.setdefault(place[:2], []).append(place.channel)
    for (platform, workspace), names in channels.items():
        asked = {"platform": platform, "workspace": workspace, "channels": names}
        numbers.update(row.id for row in _OPEN.all(c, asked))
    return frozenset(numbers.union(known_numbers(c, closed).values()))


def known_numbers(c: sa.Connection, places: Iterable[Place]) -> dict[Place, int]:
    """The numbers of those of `places` that have one."""
    wanted = set(places)
    found: dict[Place, int] = {}
    for platform, workspace in sorted({place[:2] for place in wanted}):
        channels = sorted({place.channel for place in wanted if place[:2] == (platform, workspace)})
        threads = sorted({place.thread for place in wanted if place[:2] == (platform, workspace)})
        rows = _KNOWN.all(
            c, {"platform": platform, "workspace": workspace, "channels": channels, "threads": threads}
        )
        found.update((Place(*place), number) for number, *place in rows if tuple(place) in wanted)
    return found


_known = search_places.c
_here = (_known.platform == sa.bindparam("platform"), _known.workspace == sa.bindparam("workspace"))
_OPEN: Final = Prepared(
    lambda dialect: sa.select(_known.id).where(
        *_here, _known.thread == "", among_named(dialect, _known.channel, "channels")
    )
)
_KNOWN: Final = Prepared(
    lambda dialect: sa.select(
        _known.id, _known.platform, _known.workspace, _known.channel, _known.thread
    ).where(
        *_here,
        among_named(dialect, _known.channel, "channels"),
        among_named(dialect, _known.thread, "threads"),
    )
)
