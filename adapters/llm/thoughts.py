"""Pure: thoughts that a server leaves at the beginning of an answer, between tags, are no part of it."""

import re
from collections.abc import Generator

OPENINGS = ("<think>", "<thinking>", "<thought>", "<reasoning>", "[THINK]")
OPENING = re.compile(rf"\s*({'|'.join(map(re.escape, OPENINGS))})")


class Thoughts:
    """Takes an answer's text as it comes, and gives back what is to be shown of it.

    LM Studio, llama.cpp and older versions of Ollama and vLLM leave thoughts there, and so does Gemini's
    compatible API; Magistral writes its tags in another way. Tags that come later are text like any other.
    """

    def __init__(self) -> None:
        self._reading = _reading()
        next(self._reading)

    def shown(self, text: str) -> str:
        """What is to be shown now that `text` came."""
        return self._reading.send(text)

    def rest(self) -> str:
        """At the end: what was held back and turned out to be no tag."""
        return self._reading.send(None)


def _reading() -> Generator[str, str | None, None]:
    """Takes texts, and None at the end."""
    held, found = "", None
    while found is None:
        text = yield ""
        held += text or ""
        found = OPENING.match(held)
        if found is None and (text is None or not _may_open(held)):
            yield from _as_it_comes(held)
            return
    held, closing = held[found.end() :], f"{found[1][0]}/{found[1][1:]}"
    while closing not in held:
        text = yield ""
        if text is None:
            yield ""
            return
        held = held[-len(closing) :] + text
    held = held.partition(closing)[2].lstrip()
    while not held:
        text = yield ""
        held = (text or "").lstrip()
    yield from _as_it_comes(held)


def _as_it_comes(held: str) -> Generator[str, str | None, None]:
    while True:
        held = (yield held) or ""


def _may_open(begun: str) -> bool:
    begun = begun.lstrip()
    return any(opening.startswith(begun) for opening in OPENINGS)
