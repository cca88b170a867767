"""The buttons below a reply, and what pressing one says."""

from collections.abc import Mapping
from typing import Any

from adapters.posts import Showing
from adapters.slack.events import PLATFORM, Me
from bot import words
from bot.domain import Author, Button, Pressed, Receipt, SessionKey

PREFIX = "threadfly_"

BELOW: Mapping[Showing, tuple[Button, ...]] = {
    Showing.GROWING: (Button.STOP,),
    Showing.EARLIER: (),
    Showing.DONE: (Button.GOOD, Button.BAD),
    Showing.STOPPED: (),
    Showing.FAILED: (Button.AGAIN,),
}

LABELS: Mapping[Button, str] = {
    Button.STOP: "Stop",
    Button.AGAIN: "Try again",
    Button.GOOD: "👍",
    Button.BAD: "👎",
}

SPOKEN: Mapping[Button, str] = {
    Button.STOP: "Stop this answer",
    Button.AGAIN: "Ask again",
    Button.GOOD: "This answer is good",
    Button.BAD: "This answer is bad",
}
"""For screen readers."""


THANKS = "Thank you, I have noted that."
TOO_LATE = "I am not writing that answer any more."
NOT_NOW = "I could not take that in just now. Please press it once more in a moment."
NOT_AGAIN = "I can't try that again just now. Press it once more in a moment, or simply ask again."


def heard(button: Button, receipt: Receipt) -> str:
    """What whoever pressed it is told alone; "" where they see it happen anyway."""
    if button in {Button.GOOD, Button.BAD}:
        return THANKS
    if button is Button.AGAIN and receipt is Receipt.QUEUED:
        return words.AGAIN_NEXT
    if receipt is not Receipt.IGNORED:
        return ""
    return TOO_LATE if button is Button.STOP else NOT_AGAIN


def block(showing: Showing, key: SessionKey, asked: int) -> list[dict[str, Any]]:
    """The block of buttons for a post in this state: one, or none."""
    value = f"{key.channel} {key.thread} {asked}"
    elements = [
        {
            "type": "button",
            "action_id": f"{PREFIX}{button}",
            "text": {"type": "plain_text", "text": LABELS[button], "emoji": True},
            "accessibility_label": SPOKEN[button],
            "value": value,
        }
        for button in BELOW[showing]
    ]
    return [{"type": "actions", "elements": elements}] if elements else []


def pressed(payload: Mapping[str, Any], me: Me, name: str) -> Pressed | None:
    """What a `block_actions` payload says; None if it is not about a button of ours.

    The session comes from the button's value, which only we write; the workspace from the installation.
    """
    for action in payload.get("actions") or ():
        parts = (action.get("value") or "").split(" ")
        try:
            button = Button((action.get("action_id") or "").removeprefix(PREFIX))
            channel, thread, asked = parts[0], parts[1], int(parts[2])
        except (ValueError, IndexError):
            continue
        user = payload.get("user") or {}
        key = SessionKey(PLATFORM, me.workspace, channel, thread)
        return Pressed(key, asked, button, Author(user.get("id", ""), name or user.get("username", "")))
    return None
