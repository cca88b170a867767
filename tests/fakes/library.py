"""A platform whose rules are a table, to look things up on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.domain import Author, SessionKey
from bot.finding import Known, Place, Readable, Shelf


@dataclass
class Library(Shelf):
    """Everybody reads what is `shared`; `private` places name their readers."""

    shared: dict[Place, str] = field(default_factory=dict)
    private: dict[Place, frozenset[str]] = field(default_factory=dict)
    directs: frozenset[str] = frozenset()
    """Channels that are direct messages with the bot."""
    left_out: bool = False
    zone: str = ""
    outsiders: frozenset[str] = frozenset()
    """Channels in which people of another workspace are too."""
    half_open: frozenset[Place] = frozenset()
    """Shared, but not open to everybody who reads elsewhere."""

    async def places(self, asker: Author, at: SessionKey, known: Known) -> Readable:
        own: Mapping[Place, str] = {
            place: f"#{place.channel}" for place, readers in self.private.items() if asker.id in readers
        }
        direct, outsiders = at.channel in self.directs, at.channel in self.outsiders
        return Readable(self.shared, own, direct, self.left_out, self.zone, outsiders)

    async def open_to_readers_of(self, at: SessionKey, places: frozenset[Place]) -> frozenset[Place]:
        readers = next((who for place, who in self.private.items() if place.channel == at.channel), None)
        others = [place for place in places if place in self.private and place.channel != at.channel]
        shut = {place for place in others if readers is None or not readers <= self.private[place]}
        return places - shut - self.half_open

    async def link(self, key: SessionKey, position: int) -> str:
        return f"link:{key.channel}/{key.thread}/{position}"
