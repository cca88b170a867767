"""What the buttons below an answer of recall carry. Pure.

Who presses is told by Slack, and the rights are theirs, whatever stands here. A value is a line of
JSON, and then the words as they were typed: in JSON they might get twice as long.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from adapters.slack.events import FLAT, PLATFORM
from bot.domain import SessionKey
from bot.finding import Bookmark, Side

PREFIX = "threadfly_recall_"
VALUE_LENGTH = 2_000
"""Characters that Slack takes in the value of a button."""
MOST_SKIPPED = 10_000
LAST_STAMP = 32_503_680_000_000_000
"""Microseconds until the year 3000."""

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a page answers, as its buttons carry it."""

    words: str
    thread: str
    """The thread in which it was asked."""
    bookmark: Bookmark | None = None


@dataclass(frozen=True, slots=True)
class Pick:
    """What somebody pressed: a page, or a part of a conversation (where `key` is set)."""

    asked: Asked | None
    """None: too long to be carried along."""
    thread: str
    channel: str = ""
    talk: str = ""
    side: Side | None = None


def place_of(payload: Json, workspace: str, thread: str) -> SessionKey:
    """Where a button was pressed, or a command typed: the channel as Slack tells it."""
    container, channel = payload.get("container") or {}, payload.get("channel") or {}
    where = container.get("channel_id") or channel.get("id") or payload.get("channel_id") or ""
    return SessionKey(PLATFORM, workspace, where, thread)


def button(label: str, name: str, value: str) -> dict[str, Any] | None:
    """None where what it would say is too long for Slack. `name` with its prefix."""
    if len(value.encode("utf-16-le")) // 2 > VALUE_LENGTH:
        return None
    text = {"type": "plain_text", "text": label}
    return {"type": "button", "action_id": name, "text": text, "value": value}


def page_value(asked: Asked) -> str:
    """Tells a page."""
    return _value({}, asked.thread, asked)


def read_value(key: SessionKey, side: Side, asked: Asked | None, thread: str) -> str:
    """Tells a part of a conversation."""
    value = {"c": key.channel, "t": key.thread, "p": side.position, "d": side.step}
    return _value(value, thread, asked)


def _value(told: Mapping[str, Any], thread: str, asked: Asked | None) -> str:
    mark = asked.bookmark if asked else None
    stamp = {"a": round(mark.as_of.timestamp() * 1_000_000), "s": mark.skip} if mark else {}
    head = json.dumps({**told, "h": thread, **stamp}, separators=(",", ":"))
    return head if asked is None else f"{head}\n{asked.words}"


def is_pressed(payload: Json) -> bool:
    """Whether it is a button of recall."""
    return any(map(_is_ours, payload.get("actions") or ()))


def _is_ours(action: Json) -> bool:
    return str(action.get("action_id") or "").startswith(PREFIX)


def pressed(payload: Json) -> Pick | None:
    """What a `block_actions` payload asks of recall; None if it is no button of recall, or a broken one."""
    for action in filter(_is_ours, payload.get("actions") or ()):
        return read_pick(action.get("value") or "")
    return None


def read_pick(value: str) -> Pick | None:
    """What a button carries; None if it is broken."""
    try:
        head, line_end, words = value.partition("\n")
        return _picked(json.loads(head), words if line_end else None)
    except (ValueError, KeyError, TypeError):
        return None


def _picked(value: Any, words: str | None) -> Pick:
    """Raises `ValueError`, `KeyError`, `TypeError`."""
    if not isinstance(value, dict):
        raise TypeError("no object")
    thread = _text(value.get("h", FLAT))
    asked = Asked(words, thread, _bookmark(value)) if words is not None else None
    if "p" in value:
        side = Side(_number(value["p"], LAST_STAMP), (-1, 0, 1)[int(value.get("d", 0)) + 1])
        return Pick(asked, thread, _text(value["c"]), _text(value["t"]), side)
    if asked is None:
        raise ValueError("neither a page nor a conversation")
    return Pick(asked, thread)


def _bookmark(value: Mapping[str, Any]) -> Bookmark | None:
    if "a" not in value:
        return None
    stamp = _number(value["a"], LAST_STAMP)
    return Bookmark(datetime.fromtimestamp(stamp / 1_000_000, UTC), _number(value.get("s", 0), MOST_SKIPPED))


def _number(value: Any, most: int) -> int:
    if not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError("no such number")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value
