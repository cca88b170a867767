"""The places that anything is indexed from, each known by a number."""

from collections.abc import Iterable

import sqlalchemy as sa

from bot.finding import Place
from storage.search.among import among
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
    return frozenset(numbers.union(known_numbers(c, closed).values()))


def known_numbers(c: sa.Connection, places: Iterable[Place]) -> dict[Place, int]:
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
