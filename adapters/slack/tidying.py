"""Payloads made sure of: what is of another kind than Slack documents counts as not there. Pure.

Slack itself leaves fields out, or fills in `null`; servers that speak its API, and files that people
import, know more ways. So every field that is read later is looked at once, at the door, and the
rest of a message is taken in whatever one field holds.
"""

import re
from collections.abc import Mapping
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
    if not isinstance(told, Mapping):
        return {}
    sure = ((name, _sure(name, value)) for name, value in told.items())
    return {name: value for name, value in sure if value is not None}


def _sure(name: str, value: Any) -> Any:
    if name in TIMES:
        text = _text(value)
        return text if text is not None and TIME.fullmatch(text) else None
    if name in TEXTS:
        return _text(value)
    if name in NUMBERS:
        return value if isinstance(value, int) and value >= 0 else None
    if name in OBJECTS:
        return tidied(value) or None
    if name in LISTS:
        return list(map(tidied, objects(value)))
    return value


def _text(value: Any) -> str | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None
