"""One model on one server, through langchain-openai. Heavy to import."""

import asyncio
import base64
import codecs
import time
from collections.abc import AsyncGenerator, Collection, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from itertools import groupby, takewhile
from typing import Any, cast

import httpx2
import openai
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_openai import ChatOpenAI

from bot.domain import Called, Delta, Finished, Picture, Prompt, PromptMessage, Role, Tool, Usage

from . import beside
from .beside import Beside
from .calling import BESIDE, Calls, exchanged, is_lasting, offered, refuses_tools, retold
from .dialects import is_count, named
from .failures import Cause, Failed
from .models import ModelSettings
from .templates import ordered, refused_order
from .thoughts import Thoughts
from .transport import MergingTransport
from .vendor import refused_parameter, translated

CONNECT_S = 10.0
MOST_QUIET_S = 600.0
"""The longest time without any text, however often the server says that it is still at work."""
NO_KEY = "none"
"""For servers that ask for no key: the client insists on one."""
UNSEEN = "[a picture, which you cannot see]"
TOOLS = "tools"
"""Among the parameters that a server does not know."""


def open_client(transport: MergingTransport) -> httpx2.AsyncClient:
    """The HTTP client that all models share. The transport looks after proxies itself."""
    return httpx2.AsyncClient(transport=transport, trust_env=False, follow_redirects=True)


class _NoSuchTool(Exception):
    """The model said nothing, and called nothing that it was offered, as small models do."""


class _Kept(ChatOpenAI):
    """Keeps what langchain-openai drops: the response's id, and what comes, or goes back, beside calls."""

    def _convert_chunk_to_generation_chunk(
        self, chunk: dict[str, Any], default_chunk_class: type, base_generation_info: dict[str, Any] | None
    ) -> ChatGenerationChunk | None:
        converted = super()._convert_chunk_to_generation_chunk(
            chunk, default_chunk_class, base_generation_info
        )
        if converted is not None and (converted.generation_info or {}).get("finish_reason"):
            converted.generation_info = {**(converted.generation_info or {}), "response_id": chunk.get("id")}
        if converted is not None and any(told := beside.of_event(chunk)):
            converted.message.additional_kwargs[BESIDE] = [told]
        return converted

    def _get_request_payload(self, input_: Any, *, stop: list[str] | None = None, **kwargs: Any) -> Any:
        payload = super()._get_request_payload(input_, stop=stop, **kwargs)
        for message, told in zip(self._convert_input(input_).to_messages(), payload["messages"], strict=True):
            if back := message.additional_kwargs.get(BESIDE):
                for fields, place in zip(back, [told, *told["tool_calls"]], strict=True):
                    place.update(fields)
        return payload


class Chat:
    """Asks one model, once for each `stream`."""

    def __init__(self, settings: ModelSettings, client: httpx2.AsyncClient) -> None:
        """No I/O. Key and address never come from the environment, where langchain-openai would look."""

        async def key() -> str:  # as a coroutine, so that no client for synchronous use is made beside ours
            return settings.api_key or NO_KEY

        self._settings = settings
        self._dropped: frozenset[str] = frozenset()
        self._model = _Kept(
            model=settings.id,
            base_url=settings.base_url,
            api_key=key,
            timeout=httpx2.Timeout(settings.timeout_s, connect=CONNECT_S),
            max_retries=0,
            http_async_client=client,
            openai_proxy=None,
            output_version="v0",
            stream_chunk_timeout=None,
            use_responses_api=False,
        )

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Delta | Called | Finished, None]:
        """One try at an answer. Raises `Failed`.

        Parameters that the server turns out not to know are left out from then on (Ollama and older
        vLLM refuse `stream_options`, Mistral `max_completion_tokens`, reasoning models `temperature`), and
        so are tools, which the model or its server may not have. Messages are put into the order that the
        model's template demands.
        """
        dropped, only_now = self._dropped, frozenset[str]()
        while True:
            parameters = self._parameters(dropped | only_now)
            tools = () if TOOLS in dropped | only_now or not self._settings.tools else prompt.tools
            with translated():
                try:
                    async with aclosing(self._ask(prompt, tools, parameters, dropped)) as chunks:
                        async for chunk in chunks:
                            self._dropped = dropped
                            yield chunk
                except _NoSuchTool:
                    only_now |= {TOOLS}
                except openai.APIStatusError as error:
                    name = (
                        refused_order(error, dropped)
                        or refused_parameter(error, set(parameters))
                        or beside.refused_field(str(error.body), self._goes_back(prompt) - dropped)
                    )
                    if name is not None:
                        dropped |= {name}
                    elif not tools or not refuses_tools(error):
                        raise
                    elif is_lasting(error) and not any(said.calls for said in prompt.messages):
                        dropped |= {TOOLS}
                    else:  # what called a tool knows tools
                        only_now |= {TOOLS}
                else:
                    return

    def _parameters(self, dropped: frozenset[str]) -> dict[str, Any]:
        limit = self._settings.answer_tokens
        spelled = "max_tokens" if "max_completion_tokens" in dropped else "max_completion_tokens"
        wanted = {
            "stream_options": {"include_usage": True},
            "temperature": self._settings.temperature,
            spelled: limit,
        }
        return {name: value for name, value in wanted.items() if value is not None and name not in dropped}

    async def _ask(
        self, prompt: Prompt, tools: Sequence[Tool], parameters: dict[str, Any], refused: Collection[str]
    ) -> AsyncGenerator[Delta | Called | Finished, None]:
        begun, calls, aside = time.monotonic(), Calls(), Beside(self._settings.name)
        messages = ordered(self._messages(prompt, refused, tools=bool(tools)), refused)
        join = codecs.getincrementaldecoder("utf-16-le")("replace").decode
        usage, thoughts, spoke = Usage(model=self._settings.name), Thoughts(), False
        async with aclosing(self._chunks(messages, tools, parameters)) as chunks:
            while (chunk := await _next(chunks)) is not None:
                usage = _with_news(usage, chunk)
                for told, extras in chunk.additional_kwargs.get(BESIDE, [({}, [])]):
                    aside.take(told)
                    calls.take(chunk.tool_call_chunks, extras)
                # Two halves of a surrogate pair may come in two events.
                if text := thoughts.shown(join(chunk.text.encode("utf-16-le", "surrogatepass"))):
                    spoke = spoke or not text.isspace()
                    yield Delta(text)
        if rest := thoughts.rest():
            yield Delta(rest)
        if usage.finish_reason == "error":
            raise Failed(Cause.BROKEN)
        if wanted := calls.whole(tools, aside):
            yield Called(wanted)
        elif calls.any and tools and not spoke:
            raise _NoSuchTool
        yield Finished(replace(usage, latency_ms=round((time.monotonic() - begun) * 1000)))

    def _messages(self, prompt: Prompt, refused: Collection[str], *, tools: bool) -> Iterator[BaseMessage]:
        """The prompt in langchain's words.

        The system messages at its head are one: many servers take no more.
        """
        rest, sees = list(prompt.messages), self._settings.sees
        system = list(takewhile(lambda said: said.role is Role.SYSTEM, rest))
        if system:
            yield SystemMessage("\n\n".join(_clean(said.text) for said in system))
        for is_exchange, group in groupby(rest[len(system) :], _is_exchange):
            if not is_exchange:
                yield from (_KINDS[said.role](content=_content(said, sees=sees)) for said in group)
                continue
            exchange = [replace(said, text=_clean(said.text)) for said in group]
            if tools:
                yield from (exchanged(said, self._settings.name, refused) for said in exchange)
            else:
                yield from retold(exchange)

    def _goes_back(self, prompt: Prompt) -> frozenset[str]:
        return beside.names_of(prompt.messages, self._settings.name)

    def _chunks(
        self, messages: list[BaseMessage], tools: Sequence[Tool], parameters: dict[str, Any]
    ) -> AsyncGenerator[AIMessageChunk, None]:
        usual = {
            name: parameters[name] for name in ("temperature", "max_completion_tokens") if name in parameters
        }
        # langchain-openai would spell this one in the newer way.
        older = {name: parameters[name] for name in ("max_tokens",) if name in parameters}
        model = self._model.bind_tools([*map(offered, tools)]) if tools else self._model
        stream = model.astream(
            messages, stream_usage="stream_options" in parameters, **usual, extra_body=older or None
        )
        return cast(AsyncGenerator[AIMessageChunk, None], stream)


async def _next(chunks: AsyncGenerator[AIMessageChunk, None]) -> AIMessageChunk | None:
    async with asyncio.timeout(MOST_QUIET_S):
        return await anext(chunks, None)


def _is_exchange(said: PromptMessage) -> bool:
    return said.role is Role.TOOL or bool(said.calls)


_KINDS: dict[Role, type[BaseMessage]] = {
    Role.SYSTEM: SystemMessage,
    Role.USER: HumanMessage,
    Role.ASSISTANT: AIMessage,
}


def _content(said: PromptMessage, *, sees: bool) -> str | list[str | dict[str, Any]]:
    if not said.pictures:
        return _clean(said.text)
    if not sees:
        return _clean("\n".join([said.text, *[UNSEEN] * len(said.pictures)]))
    return [{"type": "text", "text": _clean(said.text)}, *map(_picture, said.pictures)]


def _picture(picture: Picture) -> dict[str, Any]:
    data = base64.b64encode(picture.data).decode()
    return {"type": "image_url", "image_url": {"url": f"data:{picture.type};base64,{data}"}}


def _clean(text: str) -> str:
    """Without lone surrogates, which no request can carry."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _with_news(usage: Usage, chunk: AIMessageChunk) -> Usage:
    """What `chunk` adds: a finish reason and the ids come with the last text, counts with it or after it."""
    told = chunk.response_metadata
    if told.get("finish_reason"):
        usage = replace(
            usage,
            finish_reason=named(told["finish_reason"]),
            response_id=named(told.get("response_id")),
            system_fingerprint=named(told.get("system_fingerprint")),
        )
    counts = chunk.usage_metadata
    # An event with half a surrogate pair comes here as it is: `spelled` could not read it.
    if counts and all(
        map(is_count, (counts[name] for name in ("input_tokens", "output_tokens", "total_tokens")))
    ):
        usage = replace(
            usage,
            prompt_tokens=counts["input_tokens"],
            completion_tokens=counts["output_tokens"],
            total_tokens=counts["total_tokens"],
        )
    return usage
