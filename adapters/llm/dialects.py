"""Pure: what OpenAI-compatible servers write in a way of their own, as OpenAI would write it.

Its client and langchain-openai break on much of it, pass over errors that are told in other words, and warn
on standard error with what the model said.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from bot.cleaning import clean

_TEXT_PARTS = frozenset({"text", "output_text"})
_NAMES = frozenset({"id", "system_fingerprint"})
"""Which some servers number, or leave empty."""
MOST_NAME_CHARS = 200
"""Of an id, a fingerprint or a reason, which are archived."""
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
MOST_TOKENS = 2**31 - 1
"""What the archive's columns take."""


def spelled(event: dict[str, Any]) -> dict[str, Any]:
    """`event` as OpenAI would have written it; itself if it is so already."""
    if event.get("error"):
        return event
    if event.get("object") == "error":
        return as_error(event)
    changed = dict(event)
    choices = event.get("choices")
    if isinstance(choices, list):
        changed["choices"] = [_choice(choice) for choice in choices if isinstance(choice, dict)]
    for name in _NAMES & event.keys():
        changed[name] = named(event[name])
    if "usage" in event:
        changed["usage"] = _usage(event["usage"])
    return event if changed == event else changed


def as_error(event: object) -> dict[str, Any]:
    """An event that is an error without saying so where OpenAI does."""
    if isinstance(event, dict) and event.get("error"):
        return event
    return {"error": event if isinstance(event, dict) and event else {"message": "unknown"}}


def _choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    """With a delta: a server that does not stream sends the whole `message` instead, others nothing."""
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        whole = choice.get("message")
        delta = whole if isinstance(whole, dict) else {}
    changed = {**choice, "delta": _delta(delta)}
    if "finish_reason" in choice:
        changed["finish_reason"] = named(choice["finish_reason"])
    return changed


def named(value: object) -> str | None:
    """A name that the archive can keep; None for none."""
    if value is None:
        return None
    return clean(value if isinstance(value, str) else str(value))[:MOST_NAME_CHARS]


def _delta(delta: Mapping[str, Any]) -> dict[str, Any]:
    changed = dict(delta)
    if delta.get("role"):
        changed["role"] = "assistant"
    refusal = delta.get("refusal")
    if refusal is not None:
        del changed["refusal"]
    if not isinstance(delta.get("function_call"), dict | None):
        del changed["function_call"]
    content = delta.get("content")
    if content is not None and not isinstance(content, str):
        changed["content"] = _text(content)
    if refusal and isinstance(refusal, str):  # of all that is said, langchain-openai passes on the content
        changed["content"] = (changed.get("content") or "") + refusal
    if "tool_calls" in delta:
        calls = delta["tool_calls"]
        calls = [calls] if isinstance(calls, dict) else calls
        pieces = [piece for piece in calls if isinstance(piece, dict)] if isinstance(calls, list) else []
        changed["tool_calls"] = [_piece(piece) for piece in pieces]
    return changed


def _text(content: object) -> str:
    """The text of content that comes in parts; thoughts are no text."""
    parts = content if isinstance(content, list) else []
    return "".join(
        part["text"]
        for part in parts
        if isinstance(part, dict) and part.get("type") in _TEXT_PARTS and isinstance(part.get("text"), str)
    )


def _piece(piece: Mapping[str, Any]) -> dict[str, Any]:
    """A piece of a call: a name and arguments are text, an id too, a number is one or missing."""
    given = piece.get("function")
    function = dict(given) if isinstance(given, dict) else {}
    arguments = function.get("arguments")
    if isinstance(arguments, (dict, list)):
        function["arguments"] = orjson.dumps(arguments).decode()
    changed = {**piece, "function": function}
    if (id := piece.get("id")) is not None and not isinstance(id, str):
        changed["id"] = str(id)
    if (index := piece.get("index")) is not None and not isinstance(index, int):
        changed["index"] = int(index) if isinstance(index, str) and index.isdecimal() else None
    return changed


def _usage(usage: object) -> dict[str, int] | None:
    """None for counts that say nothing, which are not the same as none at all."""
    told = usage if isinstance(usage, dict) else {}
    counts = {name: int(told[name]) for name in _COUNTS if is_count(told.get(name))}
    return counts or None


def is_count(value: object) -> bool:
    """Whether the archive can keep it as a number of tokens."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and 0 <= value <= MOST_TOKENS  # type: ignore[operator]  # also no NaN
