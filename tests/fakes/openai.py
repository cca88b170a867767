"""A fake OpenAI server: `/v1/chat/completions` (streamed or not) and `/v1/models`, over a real socket.

Inside a test's own process::

    async with FakeOpenAI() as server:
        server.answers.append(Script(text="Hello Joe.", delay_s=0.01))
        ... ask server.url (which ends in /v1) ...
        assert server.requests[0].last_user_text == "hello"

As a process of its own, whose first line of output is its port::

    python -m tests.fakes.openai --port 0

and then over HTTP, with `Script`'s fields as JSON (`retry_after`, `text`, ... ; packets as strings):

    POST   /control/answers    [{"text": "..."}, {"status": 500}]   append to `answers`
    POST   /control/always     {"text": "..."}, or null             replace `always`
    POST   /control/release                                         let go of whatever holds
    GET    /control/state      open, holding, answered, disconnected, and every request
    DELETE /control/state      forget scripts and requests

Which script a request gets: the oldest of `answers` whose `when` occurs in the last user message (each
is used once), else `always`, else an echo that is computed from the request alone:
`I was sent 3 messages. The last one said: Joe: hello`.

Requests that OpenAI would refuse get its 400: no messages, unknown roles, content that is neither
text nor parts, `stream_options` without `stream`, calls that are not answered by the messages right after
them, answers to no call, tools without a name; a missing bearer token (or, where `keys` is
given, an unknown one) its 401; where `models` is given, an unknown model its 404.
"""

import argparse
import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web

ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
PART_TYPES = frozenset({"text", "image_url"})


@dataclass
class Script:
    """How one request is answered. Every field but `text` has the value of an ordinary, quick answer."""

    text: str | None = None
    """What the model says; None for the echo."""
    when: str = ""
    """Only for requests whose last user message holds this."""

    chunk_chars: int = 4
    """Characters in each delta of `text`."""
    deltas: list[str] | None = None
    """The deltas themselves, instead of `text` cut by `chunk_chars`."""
    reasoning: list[str] = field(default_factory=list)
    """Deltas of `reasoning_content` before the first delta of text."""
    delay_s: float = 0.0
    """Between the starts of two deltas, however long one takes to send."""
    first_delay_s: float = 0.0
    """Before the first delta; the headers are sent at once."""
    hold_before: bool = False
    """Wait for `release` before the headers."""
    hold_after: int | None = None
    """Wait for `release` after so many deltas."""
    cut_after: int | None = None
    """Cut the connection after so many deltas."""
    error_after: int | None = None
    """Send an error event after so many deltas, and end."""
    stop_after: int | None = None
    """End the body properly after so many deltas, with neither finish reason nor `[DONE]`."""

    calls: list[dict[str, str]] = field(default_factory=list)
    """Tools that are called after the text: `name`, `arguments` (a text), and perhaps an `id`. The finish
    reason is then `tool_calls`. Only a request that offers tools gets them."""
    call_chars: int = 6
    """Characters in each delta of a call's arguments."""

    finish_reason: str | None = "stop"
    usage: bool = True
    """Send a usage chunk if the request asked for one."""
    done: bool = True
    """Send `[DONE]`."""
    unfinished_body: bool = False
    """Close the connection after `[DONE]` without ending the chunked body, as some proxies do."""
    packets: list[str | bytes] | None = None
    """Send exactly these as the body of the stream, each in a write of its own, and nothing else."""
    content_type: str = "text/event-stream; charset=utf-8"

    status: int = 200
    """Anything else answers with an error in OpenAI's shape."""
    endless: bool = False
    """Of an error: its body never ends."""
    retry_after: str | None = None
    code: str | None = None
    """`error.code`; by default what OpenAI says with this status."""
    message: str | None = None
    """`error.message`; by default what OpenAI says with this status."""
    refuses: list[str] = field(default_factory=list)
    """Answer 400 to a request that has one of these parameters, naming it, as older servers do."""
    template: str = ""
    """The chat template of the model, whose complaints are answered as vLLM does. `mistral`: people and the
    model take turns, people first; `gemma`: that too, and no message of the system; `oldest`: such a message
    is out of turn."""


@dataclass(frozen=True)
class Recorded:
    """A request as it came in."""

    body: dict[str, Any]
    key: str
    """The bearer token."""

    @property
    def messages(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = self.body.get("messages", [])
        return messages

    @property
    def last_user_text(self) -> str:
        return next((_text_of(said) for said in reversed(self.messages) if said.get("role") == "user"), "")


class FakeOpenAI:
    """The server. Everything public may be read and changed by the test at any time."""

    def __init__(
        self,
        *,
        port: int = 0,
        answers: list[Script] | None = None,
        always: Script | None = None,
        keys: frozenset[str] | None = None,
        models: frozenset[str] | None = None,
    ) -> None:
        """`keys` and `models`: the only ones accepted; None accepts any."""
        self.answers = answers or []
        self.always = always
        self.keys = keys
        self.models = models
        self.port = port
        self.requests: list[Recorded] = []
        self.open = 0
        """Requests that are being answered now."""
        self.holding = 0
        """Of those, the ones that wait for `release`."""
        self.answered = 0
        """Requests that were answered as their script says, errors and cuts included."""
        self.disconnected = 0
        """Requests whose client went away before the answer was complete."""
        self._peers: set[object] = set()
        self._released = asyncio.Event()
        self._changed = asyncio.Condition()
        self._stack = AsyncExitStack()

    @property
    def connections(self) -> int:
        """How many connections were used for asking up to now."""
        return len(self._peers)

    @property
    def url(self) -> str:
        """What a client takes for its base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._list_models)
        app.router.add_post("/control/{what}", self._control)
        app.router.add_get("/control/state", self._state)
        app.router.add_delete("/control/state", self._reset)
        # Handlers are cancelled when the client goes away, which is how a disconnect is seen.
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", self.port)
        await site.start()
        self.port = runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        await self._stack.aclose()

    def release(self) -> None:
        """Let every request that holds now go on."""
        self._released.set()
        self._released = asyncio.Event()

    async def until(self, condition: Callable[[Self], bool], timeout: float = 10.0) -> None:
        """Wait until `condition(server)` holds, looking whenever a request begins, holds or ends."""
        async with asyncio.timeout(timeout), self._changed:
            await self._changed.wait_for(lambda: condition(self))

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        self._peers.add(request.transport.get_extra_info("peername"))
        await self._count(open=1)
        try:
            response = await self._answer(request)
        except (asyncio.CancelledError, ConnectionError):
            await self._count(disconnected=1)
            raise
        else:
            await self._count(answered=1)
            return response
        finally:
            await self._count(open=-1)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        key = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        try:
            body = json.loads(await request.read())
        except ValueError:
            return _refusal(400, "We could not parse the JSON body of your request.")
        recorded = Recorded(body, key)
        self.requests.append(recorded)
        script = self._script_for(recorded)
        if refusal := self._refuse(recorded, script):
            return refusal
        if script.hold_before:
            await self._hold()
        if script.endless:
            return await _endless(request, script.status)
        if script.status != 200:
            return _refusal(script.status, script.message, script.code, script.retry_after)
        if not body.get("stream"):
            return web.json_response(_completion(recorded, script))
        return await self._stream(request, recorded, script)

    def _script_for(self, recorded: Recorded) -> Script:
        for index, script in enumerate(self.answers):
            if script.when in recorded.last_user_text:
                return self.answers.pop(index)
        return self.always or Script()

    def _refuse(self, recorded: Recorded, script: Script) -> web.Response | None:
        body = recorded.body
        if not recorded.key or (self.keys is not None and recorded.key not in self.keys):
            return _refusal(401, f"Incorrect API key provided: {recorded.key}.")
        if complaint := _malformed(body):
            return _refusal(400, complaint)
        if self.models is not None and body["model"] not in self.models:
            return _refusal(404, f"The model `{body['model']}` does not exist.")
        if complaint := _template_error(body["messages"], script.template):
            told = {"object": "error", "message": complaint, "type": "BadRequestError", "code": 400}
            return web.json_response(told, status=400)
        for name in script.refuses:
            if name in body:
                return _refusal(400, f"Unrecognized request argument supplied: {name}", param=name)
        return None

    async def _stream(self, request: web.Request, recorded: Recorded, script: Script) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": script.content_type})
        await response.prepare(request)
        if script.packets is not None:
            for packet in script.packets:
                await response.write(packet.encode() if isinstance(packet, str) else packet)
                await asyncio.sleep(0)
            return response
        async for event in self._events(recorded, script):
            if event is None:
                assert request.transport is not None
                request.transport.abort()
                return response
            await response.write(b"data: " + event + b"\n\n")
        if script.unfinished_body:
            assert request.transport is not None
            request.transport.close()
        return response

    async def _events(self, recorded: Recorded, script: Script) -> AsyncIterator[bytes | None]:
        """The data of each event; None where the connection is to be cut."""
        frame = _frame(recorded)
        yield _chunk(frame, {"role": "assistant", "content": "", "refusal": None})
        await asyncio.sleep(script.first_delay_s)
        started = time.monotonic()
        fields = [("reasoning_content", thought) for thought in script.reasoning]
        fields += [("content", delta) for delta in _deltas(recorded, script)]
        for number, (name, text) in enumerate(fields):
            if number == script.hold_after:
                await self._hold()
            if number == script.cut_after:
                yield None
                return
            if number == script.error_after:
                yield json.dumps(_error(500, script.message, script.code)).encode()
                return
            if number == script.stop_after:
                return
            if script.delay_s:
                await asyncio.sleep(max(0.0, started + number * script.delay_s - time.monotonic()))
            yield _chunk(frame, {name: text})
        if script.hold_after == len(fields):
            await self._hold()
        calls = script.calls if recorded.body.get("tools") else []
        for delta in _call_deltas(calls, script.call_chars):
            yield _chunk(frame, {"tool_calls": [delta]})
        if script.finish_reason is not None:
            yield _chunk(frame, {}, "tool_calls" if calls else script.finish_reason)
        if script.usage and (recorded.body.get("stream_options") or {}).get("include_usage"):
            yield json.dumps({**frame, "choices": [], "usage": _usage(recorded, len(fields))}).encode()
        if script.done:
            yield b"[DONE]"

    async def _hold(self) -> None:
        released = self._released
        await self._count(holding=1)
        try:
            await released.wait()
        finally:
            await self._count(holding=-1)

    async def _count(self, **changes: int) -> None:
        for name, change in changes.items():
            setattr(self, name, getattr(self, name) + change)
        async with self._changed:
            self._changed.notify_all()

    async def _list_models(self, request: web.Request) -> web.Response:
        key = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if not key or (self.keys is not None and key not in self.keys):
            return _refusal(401, f"Incorrect API key provided: {key}.")
        names = sorted(self.models or {"gpt-4o-mini"})
        return web.json_response(
            {"object": "list", "data": [{"id": name, "object": "model"} for name in names]}
        )

    async def _control(self, request: web.Request) -> web.Response:
        match request.match_info["what"]:
            case "answers":
                self.answers += [Script(**each) for each in await request.json()]
            case "always":
                given = await request.json()
                self.always = None if given is None else Script(**given)
            case "release":
                self.release()
            case unknown:
                raise web.HTTPNotFound(text=unknown)
        return web.json_response({})

    async def _state(self, _: web.Request) -> web.Response:
        counts = {name: getattr(self, name) for name in ("open", "holding", "answered", "disconnected")}
        return web.json_response({**counts, "requests": [asdict(each) for each in self.requests]})

    async def _reset(self, _: web.Request) -> web.Response:
        self.answers, self.always, self.requests = [], None, []
        return web.json_response({})


async def _endless(request: web.Request, status: int) -> web.StreamResponse:
    response = web.StreamResponse(status=status)
    await response.prepare(request)
    while True:
        await response.write(b" " * 65_536)
        await asyncio.sleep(0)


def _text_of(said: dict[str, Any]) -> str:
    content = said.get("content")
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _malformed(body: Any) -> str:
    """What OpenAI would complain about; "" for a request that is well-formed."""
    if not isinstance(body, dict) or not isinstance(body.get("model"), str) or not body["model"]:
        return "you must provide a model parameter"
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return "[] is too short - 'messages'"
    if "stream_options" in body and not body.get("stream"):
        return "The 'stream_options' parameter is only allowed when 'stream' is enabled."
    complaints = (*map(_malformed_message, messages), *map(_malformed_tool, body.get("tools") or ()))
    return next(filter(None, complaints), "") or _unanswered(messages)


def _template_error(messages: list[dict[str, Any]], template: str) -> str:
    """What a chat template raises; "" where it takes the messages."""
    if not template:
        return ""
    roles = [said["role"] for said in messages if said["role"] != "tool" and not said.get("tool_calls")]
    if roles[0] == "system":
        if template == "gemma":
            return "System role not supported"
        roles = roles if template == "oldest" else roles[1:]
    expected = ["user", "assistant"] * len(roles)
    if roles != expected[: len(roles)]:
        return "Conversation roles must alternate user/assistant/user/assistant/..."
    return ""


def _malformed_tool(tool: Any) -> str:
    function = tool.get("function") if isinstance(tool, dict) and tool.get("type") == "function" else None
    if not isinstance(function, dict) or not function.get("name"):
        return "Missing required parameter: 'tools[0].function.name'."
    parameters = function.get("parameters", {"type": "object"})
    return "" if parameters.get("type") == "object" else "Invalid schema for function."


def _unanswered(messages: list[dict[str, Any]]) -> str:
    """Each call must be answered by a tool message right after it, and no other tool message may be there."""
    open_calls: set[str] = set()
    for said in messages:
        if said["role"] == "tool":
            if said.get("tool_call_id") not in open_calls:
                return (
                    "messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
                )
            open_calls.remove(said["tool_call_id"])
            continue
        if open_calls:
            break
        open_calls = {call["id"] for call in said.get("tool_calls") or ()}
    if open_calls:
        return (
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each id."
        )
    return ""


def _malformed_message(said: Any) -> str:
    if not isinstance(said, dict) or said.get("role") not in ROLES:
        return f"Invalid value: {said!r}. Supported roles are: {sorted(ROLES)}"
    content = said.get("content")
    if isinstance(content, list):
        wrong = [part for part in content if not isinstance(part, dict) or part.get("type") not in PART_TYPES]
        return f"Invalid content part: {wrong[0]!r}" if wrong or not content else ""
    calls = said.get("tool_calls")
    if calls is not None and (not calls or said["role"] != "assistant"):
        return "Invalid 'tool_calls': empty array."
    for call in calls or ():
        if call.get("type") != "function" or not isinstance(call["function"].get("arguments"), str):
            return "Invalid type for 'tool_calls[0].function.arguments'."
    if not isinstance(content, str) and not calls:
        return "Invalid value for 'content': expected a string, got null."
    return ""


def _error(status: int, message: str | None, code: str | None, param: str | None = None) -> dict[str, Any]:
    usual = {
        400: ("invalid_request_error", None, "This request is invalid."),
        401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
        403: ("invalid_request_error", "unsupported_country", "You are not allowed to use this."),
        404: ("invalid_request_error", "model_not_found", "The model does not exist."),
        429: ("requests", "rate_limit_exceeded", "Rate limit reached."),
    }
    kind, usual_code, usual_message = usual.get(status, ("server_error", None, "The server had an error."))
    return {
        "error": {
            "message": message or usual_message,
            "type": kind,
            "param": param,
            "code": code or usual_code,
        }
    }


def _refusal(
    status: int,
    message: str | None = None,
    code: str | None = None,
    retry_after: str | None = None,
    param: str | None = None,
) -> web.Response:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return web.json_response(_error(status, message, code, param), status=status, headers=headers)


def _echo(recorded: Recorded) -> str:
    return f"I was sent {len(recorded.messages)} messages. The last one said: {recorded.last_user_text}"


def _deltas(recorded: Recorded, script: Script) -> list[str]:
    if script.deltas is not None:
        return script.deltas
    text = _echo(recorded) if script.text is None else script.text
    return [text[start : start + script.chunk_chars] for start in range(0, len(text), script.chunk_chars)]


def _call_deltas(calls: list[dict[str, str]], chars: int) -> Iterator[dict[str, Any]]:
    """As OpenAI streams them, one after the other: its name and id first, then its arguments in pieces."""
    for index, call in enumerate(calls):
        function = {"name": call["name"], "arguments": ""}
        yield {
            "index": index,
            "id": call.get("id") or f"call_{index}",
            "type": "function",
            "function": function,
        }
        text = call["arguments"]
        for start in range(0, len(text), chars):
            yield {"index": index, "function": {"arguments": text[start : start + chars]}}


def _frame(recorded: Recorded) -> dict[str, Any]:
    return {
        "id": "chatcmpl-fake",
        "object": "chat.completion.chunk",
        "created": 1_760_000_000,
        "model": recorded.body["model"],
        "system_fingerprint": "fp_fake",
    }


def _chunk(frame: dict[str, Any], delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return json.dumps({**frame, "choices": [choice], "usage": None}).encode()


def _usage(recorded: Recorded, completion_tokens: int) -> dict[str, int]:
    """Four characters are a token in the prompt, and each delta is one in the answer."""
    prompt_tokens = sum(len(_text_of(said)) for said in recorded.messages) // 4
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def _completion(recorded: Recorded, script: Script) -> dict[str, Any]:
    deltas = _deltas(recorded, script)
    message = {"role": "assistant", "content": "".join(deltas), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": script.finish_reason}
    frame = {**_frame(recorded), "object": "chat.completion"}
    return {**frame, "choices": [choice], "usage": _usage(recorded, len(deltas))}


async def serve(port: int) -> None:
    """Run until cancelled."""
    async with FakeOpenAI(port=port) as server:
        print(server.port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A fake OpenAI server.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(parser.parse_args().port))
