"""Who is in the playground, and who may be where."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody made up, whom a visitor can speak as. The bot is one too."""

    id: str
    name: str
    about: str = ""


class Kind(StrEnum):
    """What sort of place a channel is."""

    PUBLIC = "public"
    PRIVATE = "private"
    DIRECT = "direct"
    """Between one person and the bot."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A place to talk in."""

    id: str
    name: str
    kind: Kind
    members: frozenset[str]
    """Ids of people. In a public channel everybody reads, member or not."""
    topic: str = ""


PEOPLE = (
    Person("ann", "Ann", "leads the product"),
    Person("joe", "Joe", "writes the code"),
    Person("mei", "Mei", "keeps it running"),
)
EVERYONE = frozenset(person.id for person in PEOPLE)
CHANNELS = (
    Channel("general", "general", Kind.PUBLIC, EVERYONE, "What everybody should know"),
    Channel("random", "random", Kind.PUBLIC, EVERYONE, "Everything else"),
    Channel("secret-plans", "secret-plans", Kind.PRIVATE, frozenset({"ann", "mei"}), "For Ann and Mei alone"),
)
BOT_ID = "threadfly"


@dataclass(frozen=True, slots=True)
class Cast:
    """The people, the channels, and a direct message with the bot for each person."""

    bot: Person
    people: Mapping[str, Person]
    channels: Mapping[str, Channel] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        bot_name: str = "threadfly",
        people: tuple[Person, ...] = PEOPLE,
        channels: tuple[Channel, ...] = CHANNELS,
    ) -> "Cast":
        bot = Person(BOT_ID, bot_name, "remembers")
        directs = tuple(
            Channel(f"dm-{person.id}", bot_name, Kind.DIRECT, frozenset({person.id}), "Just the two of you")
            for person in people
        )
        return cls(
            bot,
            MappingProxyType({person.id: person for person in people}),
            MappingProxyType({channel.id: channel for channel in (*channels, *directs)}),
        )

    def may_read(self, person: str, channel: str) -> bool:
        """Whether `person` can open `channel` at all; False also for those who do not exist."""
        place = self.channels.get(channel)
        if place is None or person not in self.people:
            return False
        return place.kind is Kind.PUBLIC or person in place.members

    def readable(self, person: str) -> tuple[Channel, ...]:
        """The channels that `person` can open, in their order."""
        return tuple(place for place in self.channels.values() if self.may_read(person, place.id))

    def name_of(self, author: str) -> str:
        """What to call an author; the id itself for somebody who has left the cast."""
        if author == self.bot.id:
            return self.bot.name
        person = self.people.get(author)
        return author if person is None else person.name
