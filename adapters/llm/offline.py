"""A model without a server. It says so, and tells what it was shown, so that memory can be seen to work."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from bot.domain import Called, Chunk, Delta, Finished, ModelCard, Prompt, PromptMessage, Role, Usage

from .remembering import WHO, calls_for, found_in, mentioned, topic_of
from .tokens import count

NAME = "offline"
PACE_S = 0.03
"""Between two words, for people who watch."""
QUOTE_CHARS = 80
"""Of a message that is quoted."""
CONTEXT_TOKENS = 16_000
ANSWER_TOKENS = 1_000

NOTICE = (
    f"{WHO}, a stand-in that only shows what I remember; "
    "to talk with a real one, set `OPENAI_API_KEY` (or `OPENAI_BASE_URL`) and start me again."
)
CODE = """Here is a little code, to show how it looks:

```python
def greet(name: str) -> str:
    return f"Hello, {name}!"


print(greet("world"))
```"""

_TOLD_NAME = re.compile(r"\bmy name(?:'s|’s| is)\s+([^\s.,;:!?\"()]+)", re.IGNORECASE)
_ASKED_NAME = re.compile(r"\b(?:what(?:'s|’s| is| was) my name|who am i)\b", re.IGNORECASE)
_ASKED_CODE = re.compile(r"\bcode\b|```", re.IGNORECASE)
_SPEAKER = re.compile(r"^([^:\n]{1,80}): ")


class OfflineModel:
    """The `Model` port with no network. The same prompt always gets the same words."""

    def __init__(
        self, pace_s: float = PACE_S, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """`pace_s` between two words; 0 gives the answer at once."""
        self._pace_s = pace_s
        self._sleep = sleep

    @property
    def names(self) -> tuple[str, ...]:
        """What people can choose."""
        return (NAME,)

    def card(self, name: str) -> ModelCard:  # noqa: ARG002 - the port's
        """Its own card, whatever `name` is: there is no other."""
        return ModelCard(NAME, CONTEXT_TOKENS, ANSWER_TOKENS, sees=False, summarises=False, tools=True)

    async def stream(self, prompt: Prompt, name: str) -> AsyncGenerator[Chunk, None]:  # noqa: ARG002 - the port's
        """See the port. Never fails."""
        begun = time.monotonic()
        if calls := calls_for(_said(prompt), prompt.tools if not _found(prompt) else ()):
            yield Called(calls)
            yield Finished(_usage(prompt, calls[0].arguments, time.monotonic() - begun))
            return
        text = answer(prompt)
        for number, word in enumerate(_words(text) if self._pace_s else [text]):
            if number:
                await self._sleep(self._pace_s)
            yield Delta(word)
        yield Finished(_usage(prompt, text, time.monotonic() - begun))


def answer(prompt: Prompt) -> str:
    """What the offline model says to `prompt`."""
    said = _said(prompt)
    asked = next((each.text for each in reversed(said) if each.role is Role.USER), "")
    before = [
        PromptMessage(Role.USER, line)
        for each in prompt.messages
        if each.background and each.role is not Role.TOOL
        for line in each.text.splitlines()[1:]
    ]
    paragraphs = [
        _name_for([*before, *said], asked),
        found_in(_found(prompt), topic_of(asked)) or _said_here(said),
        CODE if _ASKED_CODE.search(asked) else "",
        " ".join(filter(None, [_seen(said), _known(before)])),
        NOTICE,
    ]
    return "\n\n".join(filter(None, paragraphs))


def _said(prompt: Prompt) -> list[PromptMessage]:
    """The conversation."""
    talk = (each for each in prompt.messages if each.role in {Role.USER, Role.ASSISTANT} and not each.calls)
    return [each for each in talk if not each.background]


def _found(prompt: Prompt) -> list[str]:
    """What it looked up for this answer."""
    return [each.text for each in prompt.messages if each.role is Role.TOOL]


def _said_here(said: Sequence[PromptMessage]) -> str:
    """What it was asked about, where somebody said it in this conversation."""
    words = topic_of(said[-1].text) if said else ()
    here = mentioned(said[:-1], words) if words else None
    return f"That was said here: {_quoted(here)}." if here else ""


def _seen(said: Sequence[PromptMessage]) -> str:
    """How many messages it sees, the first and the last of them."""
    if len(said) < 2:
        return f"I see 1 message: {_quoted(said[0])}." if said else "I see no messages."
    return f"I see {len(said)} messages. The first: {_quoted(said[0])}. The last: {_quoted(said[-1])}."


def _known(before: Sequence[PromptMessage]) -> str:
    """The last of what it was told of what came before; it begins with a heading, which is left out."""
    return f"I was told what came before; the last of it: {_quoted(before[-1])}." if before else ""


def _name_for(said: Sequence[PromptMessage], asked: str) -> str:
    """The name that the asker gave, if they ask for it; what somebody else gave is not theirs."""
    if not _ASKED_NAME.search(asked):
        return ""
    asker = _speaker(asked)
    for each in reversed(said):
        told = _TOLD_NAME.search(each.text) if each.role is Role.USER else None
        if told and _speaker(each.text) == asker:
            return f"Your name is {told[1]}."
    return "You have not told me your name in what I can see."


def _speaker(text: str) -> str:
    found = _SPEAKER.match(text)
    return found[1] if found else ""


def _quoted(said: PromptMessage) -> str:
    """The beginning of a message in one line, without what would be Markdown."""
    line = " ".join(said.text.replace("`", "'").split())
    return f"“{line if len(line) <= QUOTE_CHARS else line[: QUOTE_CHARS - 1] + '…'}”"


def _words(text: str) -> list[str]:
    """`text` in pieces that each end where a word does."""
    return re.findall(r"\s*\S+", text)


def _usage(prompt: Prompt, text: str, took_s: float) -> Usage:
    prompt_tokens = sum(count(said.text) for said in prompt.messages)
    completion_tokens = count(text)
    return Usage(
        model=NAME,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        total_tokens=prompt_tokens + completion_tokens,
        finish_reason="stop",
        latency_ms=round(took_s * 1000),
    )
