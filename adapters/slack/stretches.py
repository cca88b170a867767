"""A stretch of a conversation that was read again: what it shows, and whether all of it was shown."""

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.slack import events
from adapters.slack.events import Me
from adapters.slack.markup import position_of
from bot.domain import Message, Reread, SessionKey

SETTLED_S = 60.0
"""What is younger may be archived while it is read, so it is not judged."""

Json = Mapping[str, Any]


class Stretch:
    """Collects the pages of one reading, of a thread or of a channel's own messages."""

    def __init__(self, after: int, now: float) -> None:
        """`after`: the position that Slack was asked to begin behind.

        `now`: the time before the first page is read, by a clock that is not ahead of Slack's.
        """
        self.after = after
        self.upto = int((now - SETTLED_S) * 1_000_000)
        self.there: dict[int, Json] = {}
        """By position; what was deleted and left a tombstone is not there."""
        self.shown: set[int] = set()
        """With the tombstones."""
        self._whole = True

    def add(self, page: Json, messages: Sequence[Json]) -> None:
        """One more page, as Slack answered it, and its messages."""
        for message in messages:
            self.shown.add(position_of(message["ts"]))
            if message.get("subtype") != "tombstone":
                self.there[position_of(message["ts"])] = message
        more = bool(page.get("has_more")) and not (page.get("response_metadata") or {}).get("next_cursor")
        self._whole = self._whole and not more and not page.get("is_limited")

    def ends_at(self, position: int) -> None:
        """It was not read back to where it should begin: only from this message on."""
        self.after = max(self.after, position - 1)

    def lacks(self, position: int) -> bool:
        """Whether a message that would lie in it is not there."""
        return self._whole and self.after < position <= self.upto and position not in self.there

    def reread(self, key: SessionKey, me: Me, names: Mapping[str, str]) -> Reread | None:
        """What it says of a session; None if nothing, since not everything was shown."""
        if not self._whole or self.upto <= self.after:
            return None
        return Reread(key, self.after, self.upto, frozenset(self.there), self._edited(me, names))

    def _edited(self, me: Me, names: Mapping[str, str]) -> tuple[Message, ...]:
        spoken = (m for m in self.there.values() if m.get("edited") and not events.is_noise(m))
        return tuple(events.as_message(m, me, names) for m in spoken if not me.wrote(m))

    def names_wanted(self) -> frozenset[str]:
        """Ids in what was edited."""
        edited = (m for m in self.there.values() if m.get("edited"))
        return frozenset().union(*(events.unknown_names(m) for m in edited))
