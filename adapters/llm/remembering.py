"""How the offline model answers questions about what was said earlier, without any understanding. Pure."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from bot.domain import Call, PromptMessage, Role, Tool

_ASKED = re.compile(
    r"\b(?:decided?|agreed?|sa(?:y|id)|tal(?:k|ked)|discuss(?:ed)?|plan(?:ned)?|kn[eo]w|remember)\b"
    r"(?:\s+(?:about|on|for|of|regarding))\s+(?P<topic>[^?!.;\n]{2,80})",
    re.IGNORECASE,
)
_QUESTION = re.compile(r"[?？]|\b(?:what|who|when|where|why|how|which|did|do)\b", re.IGNORECASE)
_SMALL_WORDS = frozenset(
    re.findall(
        r"\w+",
        "the a an our my your this that these those we i you it is was were and or to in at on for last "
        "yesterday today ever before",
    )
)
MOST_WORDS = 4
QUOTE_CHARS = 160

FOUND = "I looked through what was said, as far as everybody here may read it. These fit:"
WHO = "I'm the offline model"
"""Begins what it says of itself in each answer."""
NOTHING = "I looked through what was said, as far as everybody here may read it, and found nothing that fits."


def topic_of(question: str) -> tuple[str, ...]:
    """The words that somebody asks about who asks what was said about something; none for other questions."""
    asked = _ASKED.search(question) if _QUESTION.search(question) else None
    words = re.findall(r"[\w'’-]+", asked["topic"]) if asked else []
    return tuple(word for word in words if word.lower() not in _SMALL_WORDS)[:MOST_WORDS]


def calls_for(said: Sequence[PromptMessage], tools: Sequence[Tool]) -> tuple[Call, ...]:
    """The search that answers the last of `said`, if it asks about something that nobody said before it."""
    question = said[-1].text if said and said[-1].role is Role.USER else ""
    words = topic_of(question)
    if not tools or not words or mentioned(said[:-1], words) is not None:
        return ()
    return (Call("call_1", tools[0].name, json.dumps({"words": " ".join(words)}, ensure_ascii=False)),)


def mentioned(said: Sequence[PromptMessage], words: Sequence[str]) -> PromptMessage | None:
    """The newest of what people said that holds all the words."""
    for each in reversed(said):
        text = each.text.lower()
        if each.role is Role.USER and all(word.lower() in text for word in words) and not topic_of(each.text):
            return each
    return None


def found_in(results: Sequence[str], words: Sequence[str]) -> str:
    """What searches for `words` gave, with links; "" where there was none."""
    if not results:
        return ""
    hits = [line for result in results for line in _hits(result, words)]
    return "\n".join([FOUND, "", *hits]) if hits else NOTHING


def _hits(result: str, words: Sequence[str]) -> Iterator[str]:
    """Of each conversation what somebody said who is not this model, where it holds the words."""
    try:
        told = json.loads(result)
    except ValueError:
        return
    for part in told.get("found", ()):
        lines = [line for line in part["said"] if WHO not in line["text"]]
        best = [line for line in lines if all(word.lower() in line["text"].lower() for word in words)]
        found = [line for line in part["said"] if line.get("found")]
        yield from (_as_line(part, line) for line in (best or found)[:1])


def _as_line(part: dict[str, Any], line: dict[str, Any]) -> str:
    where, text = part["where"], " ".join(line["text"].replace("`", "'").split())
    source = f"[{where}, {line['at']}]({line['link']})" if line["link"] else f"{where}, {line['at']}"
    quoted = text if len(text) <= QUOTE_CHARS else f"{text[:QUOTE_CHARS]}…"
    return f"- {source}, {line['by']}: “{quoted}”"
