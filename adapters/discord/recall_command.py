"""`/recall` as Discord is told of it, and what is filled in there as the words of a question. Pure."""

import re
from typing import Any

from adapters.discord.places import ANNOUNCEMENT, FORUM, MEDIA, STAGE, TEXT, VOICE

Payload = dict[str, Any]

NAME = "recall"
ON_MESSAGE = "Recall"
"""The entry in the context menu of messages, which asks for the words in a window."""
WINDOW, FIELD = "tfr-window", "words"
TYPED = 1_000
"""Characters that may be typed there."""
STRING, BOOLEAN, USER, CHANNEL = 3, 5, 6, 7
"""Types of options."""
ROW, TEXT_INPUT, ONE_LINE = 1, 4, 1
"""Types of components, and a style of one."""
DATES = ("today", "yesterday", "2 days ago", "last week", "last month", "monday", "friday")
"""What is suggested where a date is asked for; others can be typed."""
_QUOTES = frozenset('"“”„‟«»＂')


def _option(name: str, type_: int, description: str, **more: Any) -> Payload:
    return {"name": name, "type": type_, "description": description, "required": False, **more}


OPTIONS = (
    _option("words", STRING, 'What to find: words, "a phrase", -not; nothing lists where you took part'),
    _option("from", USER, "Said by this person"),
    _option(
        "in",
        CHANNEL,
        "Said in this channel",
        channel_types=[TEXT, VOICE, ANNOUNCEMENT, STAGE, FORUM, MEDIA],
    ),
    _option("after", STRING, "Said then or later: 2026-10-01, friday, 2 days ago", autocomplete=True),
    _option("before", STRING, "Said earlier: 2026-10-01, friday, 2 days ago", autocomplete=True),
    _option(
        "has",
        STRING,
        "With a link, or with a file",
        choices=[{"name": "link", "value": "link"}, {"name": "file", "value": "file"}],
    ),
    _option("here", BOOLEAN, "Only in this thread or channel"),
)


def window() -> Payload:
    """What asks for the words."""
    field = {
        "type": TEXT_INPUT,
        "custom_id": FIELD,
        "style": ONE_LINE,
        "label": "What was said? Only you see what is found.",
        "placeholder": 'login page, "a phrase", from:ann in:#ops after:friday',
        "max_length": TYPED,
        "required": False,
    }
    return {
        "custom_id": WINDOW,
        "title": "Recall",
        "components": [{"type": ROW, "components": [field]}],
    }


def typed(data: Payload) -> str:
    """What was typed into the window: its field stands in a row, or below a label."""
    rows = data.get("components") or ()
    fields = [field for row in rows for field in (*(row.get("components") or ()), row.get("component") or {})]
    return next(
        (str(each.get("value") or "") for each in fields if each.get("custom_id") == FIELD), ""
    ).strip()


def words(data: Payload) -> str:
    """What was filled in, as it would be typed."""
    given = {option["name"]: option["value"] for option in (data.get("options") or ()) if "value" in option}
    parts = [_closed(str(given.get("words", "")).strip())]
    if "from" in given:
        parts.append(f"from:<@{given['from']}>")
    if "in" in given:
        parts.append(f"in:<#{given['in']}|{_name(data, str(given['in']))}>")
    if "has" in given:
        parts.append(f"has:{given['has']}")
    if given.get("here"):
        parts.append("in:here")
    parts += [f'{key}:"{_unquoted(str(given[key]))}"' for key in ("after", "before") if key in given]
    return " ".join(part for part in parts if part)


def _closed(text: str) -> str:
    """With its last phrase ended, which would else run on into what follows."""
    return text if sum(c in _QUOTES for c in text) % 2 == 0 else f'{text}"'


def _unquoted(text: str) -> str:
    return "".join(c for c in text if c not in _QUOTES).strip()


def _name(data: Payload, channel: str) -> str:
    channels = (data.get("resolved") or {}).get("channels") or {}
    found = channels.get(channel) or {}
    return re.sub(r"[<>|]", "", str(found.get("name") or ""))


def suggestions(data: Payload) -> list[str]:
    """What may be meant by the option that is being typed."""
    typed = next((str(o.get("value", "")) for o in (data.get("options") or ()) if o.get("focused")), "")
    typed = typed.strip().lower()
    return [date for date in DATES if typed in date]
