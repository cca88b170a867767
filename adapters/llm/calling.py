"""Tools in langchain's words: what is offered, what was called, and what servers make of it. Pure, but heavy
to import."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import openai
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from bot.domain import Call, PromptMessage, Role, Tool

from . import beside
from .beside import Beside

MOST_CALLS = 16
"""Calls of one answer that are listened to: a model that runs wild could make thousands."""
LONGEST_CALL = 20_000
"""Characters of one call's arguments that are kept."""
REFUSALS = frozenset({400, 404, 422, 500, 501})
"""How servers refuse tools: Ollama and vLLM with 400, OpenRouter with 404, llama.cpp with 500."""
BESIDE = "threadfly_beside"
"""Where langchain's messages carry what it knows nothing of."""
FAILED_CALL = "tool_use_failed"
"""What some servers say when the model itself wrote a call that can't be read."""


def offered(tool: Tool) -> dict[str, Any]:
    """A tool as OpenAI's API takes it."""
    properties = {name: {"type": "string", "description": about} for name, about in tool.arguments.items()}
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    function = {"name": tool.name, "description": tool.about, "parameters": parameters}
    return {"type": "function", "function": function}


def refuses_tools(error: openai.APIStatusError) -> bool:
    """Whether the server, or the model behind it, knows no tools."""
    words = f"{error.message} {error.body}".lower()
    return error.status_code in REFUSALS and "tool" in words


def is_lasting(error: openai.APIStatusError) -> bool:
    """Whether it will refuse them the next time too."""
    return FAILED_CALL not in f"{error.code} {error.body}".lower()


def exchanged(said: PromptMessage, model: str, refused: Collection[str]) -> BaseMessage:
    """A message with calls, or with what one of them gave. What `model` sent beside them goes back, less what
    its server `refused`: as `BESIDE`, of the message and of each call."""
    if said.role is Role.TOOL:
        return ToolMessage(content=said.text, tool_call_id=said.call)
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.tool, "arguments": call.arguments}}
        for call in said.calls
    ]
    back = [beside.of_message(said.calls, model, refused)]
    back += [beside.of_call(call, model, refused) for call in said.calls]
    return AIMessage(content=said.text, additional_kwargs={"tool_calls": calls, BESIDE: back})


def retold(messages: Sequence[PromptMessage]) -> Iterator[BaseMessage]:
    """Calls and what they gave, for a model that is offered no tools: as what was said, and background."""
    found = [said.text for said in messages if said.role is Role.TOOL]
    said = [each.text for each in messages if each.calls and each.text]
    if said:
        yield AIMessage(content="\n\n".join(said))
    if found:
        yield HumanMessage(content="\n\n".join(found))


@dataclass(slots=True)
class _Growing:
    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    length: int = 0
    extra: object = None
    """What the server sent beside the call."""


class Calls:
    """Puts calls together from the pieces in which they are streamed.

    OpenAI numbers the calls and sends a name and an id with the first piece of each. Other servers send
    whole calls at once, all under one number or under none, repeat the id, or send none at all.
    """

    def __init__(self) -> None:
        self._growing: list[_Growing] = []
        self._at: dict[int | None, _Growing] = {}

    def take(self, pieces: Sequence[Mapping[str, Any]], extras: Sequence[object] = ()) -> None:
        """Some more pieces, as langchain's `tool_call_chunks`, and what the server sent beside each."""
        for piece, extra in zip_longest(pieces, extras[: len(pieces)]):
            call = self._take(piece)
            call.extra = call.extra if extra is None else extra

    def _take(self, piece: Mapping[str, Any]) -> _Growing:
        index, id, name = piece.get("index"), piece.get("id") or "", piece.get("name") or ""
        call = self._at.get(index)
        if call is None or (id and call.id and id != call.id) or (index is None and name and call.length):
            call = self._at[index] = _Growing()
            self._growing.append(call)
        call.id = call.id or id
        call.name = call.name or name
        text = piece.get("args") or ""
        if call.length < LONGEST_CALL:
            call.pieces.append(text)
            call.length += len(text)
        return call

    @property
    def any(self) -> bool:
        """Something was called, whether it was offered or not."""
        return bool(self._growing)

    def whole(self, offered: Sequence[Tool], told: Beside) -> tuple[Call, ...]:
        """The calls of tools that were offered, each with an id of its own and what was `told` beside."""
        names = {tool.name for tool in offered}
        calls: list[Call] = []
        for number, call in enumerate(self._growing[:MOST_CALLS], 1):
            taken = {each.id for each in calls}
            id = call.id if call.id and call.id not in taken else f"call_{number}"
            if call.name in names:
                back = told.told(call.extra, first=not calls)
                calls.append(Call(id, call.name, "".join(call.pieces)[:LONGEST_CALL], back))
        return tuple(calls)
