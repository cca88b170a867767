"""Buttons below a reply. Each carries what it is about, so that it works after any restart."""

from dataclasses import dataclass
from typing import Any

from adapters.posts import Showing
from bot.domain import Button

Payload = dict[str, Any]

PREFIX = "tf"
ROW, BUTTON = 1, 2
"""Component types."""
SECONDARY = 2
"""A grey button."""

_LABELS: dict[Button, Payload] = {
    Button.STOP: {"label": "Stop"},
    Button.AGAIN: {"label": "Try again"},
    Button.GOOD: {"emoji": {"name": "👍"}},
    Button.BAD: {"emoji": {"name": "👎"}},
}
_BELOW: dict[Showing, tuple[Button, ...]] = {
    Showing.GROWING: (Button.STOP,),
    Showing.EARLIER: (),
    Showing.DONE: (Button.GOOD, Button.BAD),
    Showing.STOPPED: (),
    Showing.FAILED: (Button.AGAIN,),
}


@dataclass(frozen=True, slots=True)
class Mark:
    """What a `custom_id` (at most 100 characters) says: `tf:again:<asked>:<thread>`."""

    button: Button
    asked: int
    thread: str
    """The fourth part of the session's key: in channels without threads nothing else tells it."""

    def __str__(self) -> str:
        return f"{PREFIX}:{self.button}:{self.asked}:{self.thread}"


def read(custom_id: str) -> Mark | None:
    """What a `custom_id` says; None if it is not one of ours."""
    prefix, *rest = custom_id.split(":")
    if prefix != PREFIX or len(rest) != 3 or rest[0] not in list(Button) or not rest[1].isdigit():
        return None
    return Mark(Button(rest[0]), int(rest[1]), rest[2])


def below(showing: Showing, asked: int, thread: str) -> list[Payload]:
    """The components of a post in that state."""
    row = [
        {
            "type": BUTTON,
            "style": SECONDARY,
            "custom_id": str(Mark(button, asked, thread)),
            **_LABELS[button],
        }
        for button in _BELOW[showing]
    ]
    return [{"type": ROW, "components": row}] if row else []


def mark_of(message: Payload) -> Mark | None:
    """What the buttons of a post say; None for a post without buttons of ours."""
    for row in message.get("components") or ():
        for component in row.get("components") or ():
            if mark := read(component.get("custom_id") or ""):
                return mark
    return None
