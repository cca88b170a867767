"""What of a reply still stands when its turn is closed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from bot.domain import OURSELVES, Answer, Message, Part
from storage.archive.searchable import found_by
from storage.search.index import Findable


@dataclass(frozen=True, slots=True)
class Standing:
    """The parts that people see, and the message that they make."""

    parts: tuple[Part, ...]
    reply: Message | None
    """None: nothing was posted, or all of it was deleted."""
    found: Findable | None = None
    """What it is found by, where that was worked out before the transaction."""

    @classmethod
    def of(cls, answer: Answer, posted: Sequence[Part], at: datetime) -> Self:
        """What stands of `answer` by what its platform told; parts without a position were deleted."""
        text, parts = _kept(answer.text, posted, ())
        if not parts:
            return cls((), None)
        reply = Message(_first(parts), OURSELVES, text, at, note=answer.note)
        return cls(parts, reply, found_by(reply))

    def without(self, buried: Collection[int]) -> "Standing":
        """What is left if the posts at `buried` were deleted too."""
        if not buried or self.reply is None:
            return self
        text, parts = _kept(self.reply.text, self.parts, buried)
        if not parts:
            return Standing((), None)
        return Standing(parts, replace(self.reply, position=_first(parts), text=text))


def _first(parts: Sequence[Part]) -> int:
    position = parts[0].position
    assert position is not None, "only parts with a position are kept"
    return position


def _kept(text: str, posted: Sequence[Part], buried: Collection[int]) -> tuple[str, tuple[Part, ...]]:
    """The text that the kept parts show, and those parts with their ends in it."""
    left = [part for part in posted if part.position is not None and part.position not in buried]
    if len(left) == len(posted):
        return text, tuple(left)
    shown, parts, start = "", [], 0
    for part in posted:
        if part in left:
            shown += text[start : part.end]
            parts.append(replace(part, end=len(shown)))
        start = part.end
    return shown, tuple(parts)
