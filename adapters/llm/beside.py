"""What servers send beside calls, and want back when the calls are answered. Pure.

A model that thinks before it calls a tool goes on from its thoughts, so servers send these in fields of
their own, and some refuse to go on without: Gemini 3 its `extra_content` at the call
(https://ai.google.dev/gemini-api/docs/thought-signatures), DeepSeek and Kimi `reasoning_content`, be it empty
(https://api-docs.deepseek.com/guides/thinking_mode), OpenRouter for some models `reasoning_details`
(https://openrouter.ai/docs/use-cases/reasoning-tokens). Each goes back as it came, and only to the model that
it came from: others refuse fields that they do not know.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bot.domain import Call, PromptMessage

THOUGHTS, DETAILS, EXTRA = "reasoning_content", "reasoning_details", "extra_content"
GROWING = frozenset({"text", "summary", "data", "signature"})
"""Fields of a detail that come in pieces."""
MOST_CHARS = 40_000
"""Of one field: longer thoughts go back cut, anything else not at all."""
_MODEL, _AT_CALL = "model", "call"

Json = Mapping[str, Any]


class Beside:
    """Gathers what comes beside the calls of one answer."""

    def __init__(self, model: str) -> None:
        """`model`: the name of the model that it comes from."""
        self._model = model
        self._thoughts: list[str] | None = None
        self._length = 0
        self._details: list[dict[str, Any]] = []

    def take(self, delta: Json) -> None:
        """A delta as the server wrote it."""
        if isinstance(thoughts := delta.get(THOUGHTS), str):
            self._thoughts = self._thoughts or []
            self._thoughts.append(thoughts[: MOST_CHARS - self._length])
            self._length += len(self._thoughts[-1])
        details = delta.get(DETAILS)
        for detail in details if isinstance(details, list) else ():
            if isinstance(detail, dict) and detail:
                self._detail(detail)

    def _detail(self, detail: dict[str, Any]) -> None:
        last = self._details[-1] if self._details else {}
        if not last or any(last.get(name) != detail.get(name) for name in ("type", "index")):
            self._details.append(dict(detail))
            return
        for name, value in detail.items():
            before = last.get(name)
            grows = name in GROWING and isinstance(before, str) and isinstance(value, str)
            if value is not None:
                last[name] = before + value if grows else value

    def told(self, at_call: object, *, first: bool) -> str:
        """What a call carries: what came with it and, on the `first`, what came with all of them. Else ""."""
        kept: dict[str, Any] = {}
        if first and self._thoughts is not None:
            kept[THOUGHTS] = "".join(self._thoughts)
        if first and self._details and _fits(self._details):
            kept[DETAILS] = self._details
        if isinstance(at_call, dict) and at_call and _fits(at_call):
            kept[_AT_CALL] = at_call
        return _dumped({_MODEL: self._model, **kept}) if kept else ""


def of_event(event: Json) -> tuple[Json, list[object]]:
    """What an event holds that `Beside` takes, and what came at each piece of a call in it."""
    choices = event.get("choices") or ()
    delta = (choices[0].get("delta") or {}) if choices else {}
    kept = {name: delta[name] for name in (THOUGHTS, DETAILS) if delta.get(name) is not None}
    return kept, [piece.get(EXTRA) for piece in delta.get("tool_calls") or ()]


def of_message(calls: Sequence[Call], model: str, refused: Collection[str]) -> dict[str, Any]:
    """The fields with which a message that holds these calls goes back to `model`."""
    kept = _kept(calls[0], model) if calls else {}
    return {name: kept[name] for name in (THOUGHTS, DETAILS) if name in kept and name not in refused}


def of_call(call: Call, model: str, refused: Collection[str]) -> dict[str, Any]:
    """The fields with which a call goes back to `model`."""
    kept = _kept(call, model)
    return {EXTRA: kept[_AT_CALL]} if _AT_CALL in kept and EXTRA not in refused else {}


def names_of(messages: Sequence[PromptMessage], model: str) -> frozenset[str]:
    """Which fields go back to `model` in these messages."""
    calls = [said.calls for said in messages if said.calls]
    names = {name for each in calls for name in of_message(each, model, ())}
    return frozenset(names | {name for each in calls for call in each for name in of_call(call, model, ())})


def refused_field(words: str, names: Collection[str]) -> str | None:
    """Which of the fields called `names` a server complains of, unless it misses one."""
    return (
        None if "missing" in words.lower() else next((name for name in sorted(names) if name in words), None)
    )


def _kept(call: Call, model: str) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(call.beside) if call.beside else {}
    return kept if kept.get(_MODEL) == model else {}


def _fits(value: object) -> bool:
    return len(_dumped(value)) <= MOST_CHARS


def _dumped(value: object) -> str:
    """As JSON, with whole characters where two halves came apart, and none that no request can carry."""
    told = json.dumps(value, ensure_ascii=False)
    return told.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
