"""The window in which one types what to look up, opened from the menu of a message. Pure.

Slash commands can't be used inside of threads. A window has to be opened within three seconds, with
the `trigger_id` of what was pressed, and tells what was typed into it as `view_submission`.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from adapters.slack import events
from adapters.slack.events import Me
from adapters.slack.tidying import tidied
from bot.domain import SessionKey

CALLBACK = "threadfly_recall_view"
BLOCK, ACTION = "words", "typed"
LENGTH = 1_000
"""Characters that may be typed."""
HINT = 'Words, "a phrase", -not, from:@ann in:#ops after:friday has:link here. Nothing: where you took part.'

LATE = "I was too slow to open a window for that. Try it once more, or mention me: `recall login page`."

Json = Mapping[str, Any]


class Asked(NamedTuple):
    """What was typed into a window, and where that was opened."""

    at: SessionKey
    words: str


def asking(body: Json, me: Me) -> dict[str, Any] | None:
    """The window for a message shortcut; None where it tells no message."""
    message, channel = body.get("message") or {}, (body.get("channel") or {}).get("id") or ""
    ts = message.get("ts") or body.get("message_ts") or ""
    if not channel or not ts:
        return None
    key = events.session_key(me, channel, ts, message.get("thread_ts"))
    typed = {
        "type": "plain_text_input",
        "action_id": ACTION,
        "max_length": LENGTH,
        "focus_on_load": True,
        "placeholder": _text("login page"),
    }
    words = {"label": _text("What was said?"), "hint": _text(HINT), "element": typed}
    return {
        "type": "modal",
        "callback_id": CALLBACK,
        "title": _text("Recall"),
        "submit": _text("Find"),
        "close": _text("Close"),
        "private_metadata": json.dumps({"c": key.channel, "t": key.thread}),
        "blocks": [
            {"type": "input", "block_id": BLOCK, "optional": True, **words},
            {"type": "context", "elements": [_text("Only you see what is found.")]},
        ],
    }


def submitted(body: Json, me: Me) -> Asked | None:
    """What was typed; None if it is no window of ours."""
    view = body.get("view") or {}
    if view.get("callback_id") != CALLBACK:
        return None
    try:
        told = json.loads(view.get("private_metadata") or "")
        channel, thread = str(told["c"]), str(told["t"])
    except (ValueError, KeyError, TypeError):
        return None
    block = tidied(((view.get("state") or {}).get("values") or {}).get(BLOCK))
    typed = tidied(block.get(ACTION)).get("value") or ""
    return Asked(SessionKey(events.PLATFORM, me.workspace, channel, thread), str(typed).strip())


def _text(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}
