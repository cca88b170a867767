"""What can be done with something found that others see, and the buttons for it. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from adapters.slack.picks import place_of, read_pick, read_value
from bot.domain import SessionKey
from bot.finding import Side
from bot.sharing_words import GO_ON, SHOW

PREFIX = "threadfly_share_"

Json = Mapping[str, Any]


class Verb(StrEnum):
    """What a button does."""

    OFFER = "offer"
    """Ask whether it shall be shown."""
    SHOW = "show"
    LEAVE = "leave"
    GO_ON = "go"


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody pressed."""

    verb: Verb
    key: SessionKey
    position: int
    at: SessionKey
    """Where it is shown, or gone on with."""
    gesture: str
    """The same when it is pressed twice."""


def sharing_buttons(
    key: SessionKey, position: int, thread: str, name: str, *, for_all: bool
) -> Iterator[dict[str, Any]]:
    """Below a hit. `thread`: where it was asked; `name` tells the buttons of one message apart."""
    value = read_value(key, Side(position), None, thread)
    offered = [(SHOW, Verb.OFFER)] if for_all else []
    for label, verb in (*offered, (GO_ON, Verb.GO_ON)):
        yield share_button(label, f"{verb}_{name}", value)


def is_pressed(payload: Json) -> bool:
    """Whether it is a button of these."""
    return any(map(_is_ours, payload.get("actions") or ()))


def _is_ours(action: Json) -> bool:
    return str(action.get("action_id") or "").startswith(PREFIX)


def pressed(payload: Json, workspace: str) -> Deed | None:
    """What a `block_actions` payload asks for; None if it is no button of these, or a broken one."""
    for action in filter(_is_ours, payload.get("actions") or ()):
        name = action["action_id"]
        pick = read_pick(action.get("value") or "")
        try:
            verb = Verb(name.removeprefix(PREFIX).partition("_")[0])
        except ValueError:
            return None
        if pick is None or pick.side is None:
            return None
        at = place_of(payload, workspace, pick.thread)
        key = SessionKey(at.platform, workspace, pick.channel, pick.talk)
        user, shown = (payload.get("user") or {}).get("id"), payload.get("container") or {}
        gesture = f"{user}:{shown.get('message_ts')}:{name}:{key}:{pick.side.position}"
        return Deed(verb, key, pick.side.position, at, gesture)
    return None


def share_button(label: str, name: str, value: str) -> dict[str, Any]:
    """One of these."""
    text = {"type": "plain_text", "text": label}
    return {"type": "button", "action_id": f"{PREFIX}{name}", "text": text, "value": value}
