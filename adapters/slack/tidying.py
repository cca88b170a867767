"""Payloads made sure of: what is of another kind than Slack documents counts as not there. Pure.

Slack itself leaves fields out, or fills in `null`; servers that speak its API, and files that people
import, know more ways. So every field that is read later is looked at once, at the door, and the
rest of a message is taken in whatever one field holds.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from adapters.slack.blocks import objects

TIMES = frozenset({"ts", "thread_ts", "event_ts", "deleted_ts", "latest_reply"})
TEXTS = frozenset(
    {
        *("type", "subtype", "channel", "channel_type", "user", "bot_id", "team", "user_team", "username"),
        *("text", "client_msg_id", "pretext", "title", "fallback", "tab", "parent_user_id"),
        *("id", "name", "mimetype", "mode", "url_private", "url_private_download", "event_type"),
    }
)
NUMBERS = frozenset({"size", "reply_count"})
OBJECTS = frozenset(
    {
        *("message", "previous_message", "edited", "bot_profile", "user_profile", "metadata"),
        *("event_payload", "assistant_thread"),
    }
)
LISTS = frozenset({"files", "attachments"})
"""Of objects. Blocks are as they came: they are read with care (`blocks.py`)."""
TIME = re.compile(r"\d{1,11}(?:\.\d{1,9})?")
"""More digits are no time that we can tell."""


def tidied(told: Any) -> dict[str, Any]:
    """An event, a message, or an object in one: without what is `null` or of a wrong kind."""
    if not isinstance(told, dict):
        return {}
    return {
        name: sure
        for name, value in told.items()
        if (sure := value if (look := _LOOKS.get(name)) is None else look(value)) is not None
    }


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _time(value: Any) -> str | None:
    text = _text(value)
    return text if text is not None and TIME.fullmatch(text) else None


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _object(value: Any) -> dict[str, Any] | None:
    return tidied(value) or None


def _list(value: Any) -> list[dict[str, Any]]:
    return list(map(tidied, objects(value)))


_LOOKS: Mapping[str, Callable[[Any], Any]] = {
    name: look
    for names, look in (
        (TIMES, _time),
        (TEXTS, _text),
        (NUMBERS, _number),
        (OBJECTS, _object),
        (LISTS, _list),
    )
    for name in names
}
"""How each field that is read later is looked at; all others are taken as they came."""


def gesture(told: Any) -> dict[str, Any]:
    """A press, a command, a shortcut, a window that was filled in, or an object in one: made sure of alike.

    `user` and `channel` are objects there, where they are ids in events.
    """
    if not isinstance(told, dict):
        return {}
    return {
        name: sure
        for name, value in told.items()
        if (sure := value if (look := _LOOKS_AT_GESTURES.get(name)) is None else look(value)) is not None
    }


def _gestures(value: Any) -> list[dict[str, Any]]:
    return list(map(gesture, objects(value)))


_LOOKS_AT_GESTURES: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("type", "command", "text", "callback_id", "action_id", "value", "response_url"), _text),
    **dict.fromkeys(("id", "name", "username", "user_id", "user_name", "team_id", "channel_id"), _text),
    **dict.fromkeys(("private_metadata", "trigger_id"), _text),
    **dict.fromkeys(("message_ts", "thread_ts"), _time),
    **dict.fromkeys(("user", "channel", "container", "view", "state", "values"), gesture),
    "message": tidied,
    "actions": _gestures,
}
