"""The slash command and the message shortcuts, as orders for the core.

A slash command can't be used inside a thread and names none. So in a channel it can only explain
itself; in a direct message it is about the flat talk there. For a thread there are the shortcuts in
the menu of a message, and words after a mention.
"""

from collections.abc import Mapping
from typing import Any

from adapters.slack import events
from adapters.slack.events import FLAT, PLATFORM, Me
from adapters.slack.markup import position_of
from adapters.slack.methods import CATCH_UP_COMMAND, EXPORT_COMMAND, SHORTCUTS
from bot.commands import CATCH_UP, EXPORT, exported, is_catch_up
from bot.domain import Author, Order, SessionKey

HELP = "help"
PLACELESS = frozenset({"", HELP, "forget", "forget me", "forget me yes"})
"""What is about no thread."""
NO_THREAD = (
    "I can't see from here which thread you mean: Slack has no slash commands inside threads. "
    "Mention me in the thread with the same words, or use the menu of one of its messages. "
    "For `export` the link to a message of the thread does as well: `export html https://...`."
)
SHORTCUT_PREFIX = "threadfly_"
STOPPED = "agent_session_stopped"
"""The event of Slack's own Stop button."""
STOPPED_WITHIN_S = 30.0
"""Delivered later than this it might stop the next answer."""


def command_order(payload: Mapping[str, Any], me: Me, name: str) -> Order | None:
    """The order that a slash command gives; None where it would need a thread."""
    words = (payload.get("text") or "").strip()
    if payload.get("command") == EXPORT_COMMAND:
        words = f"{EXPORT} {words}".strip()
    elif payload.get("command") == CATCH_UP_COMMAND:
        words = CATCH_UP
    channel = payload.get("channel_id") or ""
    if not events.is_direct(channel) and not _is_placeless(words):
        return None
    by = Author(payload.get("user_id") or "", name or payload.get("user_name") or "")
    key = SessionKey(PLATFORM, me.workspace, channel, FLAT)
    return Order(key, by, words or HELP, _groups(payload))


def _is_placeless(words: str) -> bool:
    export = exported(words)
    named = export is not None and bool(export.link)
    return named or is_catch_up(words) or " ".join(words.lower().split()) in PLACELESS


def shortcut_order(payload: Mapping[str, Any], me: Me, name: str) -> Order | None:
    """The order that a message shortcut gives, about the thread of that message; None if it is not ours."""
    callback = payload.get("callback_id") or ""
    if callback not in SHORTCUTS:
        return None
    message, user = payload.get("message") or {}, payload.get("user") or {}
    channel = (payload.get("channel") or {}).get("id") or ""
    ts = message.get("ts") or payload.get("message_ts") or ""
    key = events.session_key(me, channel, ts, message.get("thread_ts"))
    by = Author(user.get("id") or "", name or user.get("username") or "")
    return Order(key, by, callback.removeprefix(SHORTCUT_PREFIX), _groups(user))


def stop_order(event: Mapping[str, Any], me: Me, now: float) -> Order | None:
    """The order that Slack's own Stop button gives about a thread; None if it comes too late."""
    thread, channel = event.get("thread_ts") or "", event.get("channel") or ""
    pressed = event.get("event_ts") or ""
    if not thread or not channel or (pressed and now - position_of(pressed) / 1_000_000 > STOPPED_WITHIN_S):
        return None
    key = SessionKey(PLATFORM, me.workspace, channel, thread)
    user = event.get("user") or ""
    return Order(key, Author(user, user), "stop", None)


def _groups(told: Mapping[str, Any]) -> frozenset[str]:
    return frozenset({told["team_id"]}) if told.get("team_id") else frozenset()
