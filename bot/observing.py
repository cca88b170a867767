"""What the core tells whoever counts. Ours is `adapters/metrics.py`."""

from dataclasses import dataclass
from typing import Protocol

from bot.domain import Outcome, Usage


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """How one turn went."""

    platform: str
    model: str
    """The name that settings give it, not what its server calls itself."""
    outcome: Outcome
    usage: Usage
    seconds: float
    """From the claim to the end of the reply."""
    first_text_s: float | None
    """From asking the model until its first words came; None: there were none."""


class Observer(Protocol):
    """Counts what happens. Cheap, never raises, and is given neither texts nor people."""

    def turn_ended(self, end: TurnEnd) -> None:
        """A turn of this process came to its end."""

    def hot_read(self, hit: bool) -> None:
        """A window was asked for: from the hot store, or not."""

    def archived(self, platform: str, count: int) -> None:
        """`count` messages were committed."""

    def feedback(self, platform: str, good: bool) -> None:
        """Somebody judged an answer."""
