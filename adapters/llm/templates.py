"""What chat templates refuse, and messages as they take them. Pure, but heavy to import.

A template turns messages into the text that a model reads. Those of Mistral and Gemma raise an error, which
vLLM, llama.cpp and LM Studio pass on, where two people speak after each other or an answer comes first; some
of them also where there is a message of the system.
"""

from collections.abc import Collection, Iterable

import openai
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

TURNS, SYSTEM = "turns", "system"
"""What a server is found not to take: messages out of turn, and those of the system."""
REFUSALS = frozenset({400, 422, 424, 500})
TURN_SIGNS = ("roles must alternate", "should alternate")
SYSTEM_SIGNS = (
    "system role not supported",
    "system role is not supported",
    "only user and assistant roles are supported",
)
CUT = "[What was said before is left out.]"


def refused_order(error: openai.APIStatusError, known: Collection[str]) -> str | None:
    """What the server does not take of the messages' order, if that is what it says, besides what is `known`.

    The oldest templates complain of turns where a message of the system stands.
    """
    words = f"{error.message} {error.body}".lower()
    if error.status_code not in REFUSALS:
        return None
    meant = [SYSTEM] if any(sign in words for sign in SYSTEM_SIGNS) else []
    meant += [TURNS, SYSTEM] if any(sign in words for sign in TURN_SIGNS) else []
    return next((each for each in meant if each not in known), None)


def ordered(messages: Iterable[BaseMessage], refused: Collection[str]) -> list[BaseMessage]:
    """The messages without what a server does not take."""
    said = list(messages)
    if SYSTEM in refused:
        said = [HumanMessage(each.content) if isinstance(each, SystemMessage) else each for each in said]
    return _in_turn(said) if {TURNS, SYSTEM} & set(refused) else said


def _in_turn(messages: Iterable[BaseMessage]) -> list[BaseMessage]:
    """What follows from the same side as one message, and people first."""
    said: list[BaseMessage] = []
    for each in messages:
        if said and _goes_on(said[-1], each):
            said[-1] = type(each)(_together(said[-1].content, each.content))
            continue
        if isinstance(each, AIMessage) and (not said or isinstance(said[-1], SystemMessage)):
            said.append(HumanMessage(CUT))
        said.append(each)
    return said


def _goes_on(before: BaseMessage, said: BaseMessage) -> bool:
    plain = not (before.additional_kwargs or said.additional_kwargs)  # calls stand there
    return plain and type(before) is type(said) and isinstance(said, HumanMessage | AIMessage)


Content = str | list[str | dict[str, object]]


def _together(one: Content, other: Content) -> Content:
    if isinstance(one, str) and isinstance(other, str):
        return f"{one}\n\n{other}"
    return [*_parts(one), *_parts(other)]


def _parts(content: Content) -> list[str | dict[str, object]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
