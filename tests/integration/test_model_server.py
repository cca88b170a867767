"""Our models against an OpenAI server over a real socket, with the real langchain-openai."""

import asyncio
import base64
import json
import logging
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from email.utils import formatdate
from typing import Any

import pytest

from adapters.llm.chat import UNSEEN
from adapters.llm.loggers import VENDORS, quiet_loggers
from adapters.llm.models import ModelSettings
from adapters.llm.roster import Patience, Roster
from adapters.llm.templates import CUT
from bot.domain import Chunk, Delta, Finished, Picture, Prompt, PromptMessage, Restart, Role
from bot.errors import ModelError, ModelRefusedKey, ModelRefusedRequest, ModelUnavailable
from tests.fakes.openai import FakeOpenAI, Script

KEY = "sk-secret-key"
QUICK = Patience(backoff_s=0.001)


@pytest.fixture
async def server() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as server:
        yield server


@pytest.fixture
async def other() -> AsyncIterator[FakeOpenAI]:
    """Another server, for fallbacks."""
    async with FakeOpenAI(always=Script(text="I am the other.")) as server:
        yield server


@pytest.fixture
async def roster(server: FakeOpenAI) -> AsyncIterator[Roster]:
    roster = Roster([settings(server)], "small", patience=QUICK)
    yield roster
    await roster.close()


@pytest.fixture
async def pair(server: FakeOpenAI, other: FakeOpenAI) -> AsyncIterator[Roster]:
    """`small`, and `large` of the other server to fall back on."""
    models = [settings(server), settings(other, name="large", context_tokens=64_000)]
    roster = Roster(models, "small", ["large"], patience=QUICK)
    yield roster
    await roster.close()


def settings(server: FakeOpenAI, **changes: Any) -> ModelSettings:
    return ModelSettings(**{"name": "small", "base_url": server.url, "api_key": KEY, **changes})


def prompt(*texts: str, pictures: tuple[Picture, ...] = ()) -> Prompt:
    said = [PromptMessage(Role.USER, text) for text in texts or ("Joe: hello",)]
    said[-1] = PromptMessage(Role.USER, said[-1].text, pictures)
    return Prompt((PromptMessage(Role.SYSTEM, "Be kind."), *said), shown=1, left_out=0, first=1)


async def ask(roster: Roster, asked: Prompt | None = None, name: str = "") -> list[Chunk]:
    return [chunk async for chunk in roster.stream(asked or prompt(), name)]


def shown(chunks: list[Chunk]) -> str:
    """What the reader ends up with."""
    text = ""
    for chunk in chunks:
        text = "" if isinstance(chunk, Restart) else text + getattr(chunk, "text", "")
    return text


async def failure(roster: Roster) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await ask(roster)
    return caught.value


# What is sent


async def test_the_prompt_arrives_as_it_is(server: FakeOpenAI, roster: Roster) -> None:
    asked = Prompt(
        (
            PromptMessage(Role.SYSTEM, "Be kind."),
            PromptMessage(Role.SYSTEM, "It is Sunday."),
            PromptMessage(Role.USER, "Joe: hello"),
            PromptMessage(Role.ASSISTANT, "Hi!"),
            PromptMessage(Role.USER, "Ann: 日本語\x00"),
        ),
        shown=3,
        left_out=0,
        first=1,
    )
    await ask(roster, asked)
    [request] = server.requests
    assert request.messages == [
        {"role": "system", "content": "Be kind.\n\nIt is Sunday."},
        {"role": "user", "content": "Joe: hello"},
        {"role": "assistant", "content": "Hi!"},
        {"role": "user", "content": "Ann: 日本語\x00"},
    ]
    assert request.body["model"] == "small"
    assert request.key == KEY


async def test_only_what_is_set_is_sent(server: FakeOpenAI, roster: Roster) -> None:
    await ask(roster)
    assert server.requests[0].body.keys() == {"model", "messages", "stream", "stream_options"}


async def test_what_is_set_is_sent(server: FakeOpenAI) -> None:
    roster = Roster([settings(server, model="org/small-7b", temperature=0.0, answer_tokens=99)], "small")
    await ask(roster)
    await roster.close()
    body = server.requests[0].body
    assert (body["model"], body["temperature"], body["max_completion_tokens"]) == ("org/small-7b", 0.0, 99)


async def test_a_local_server_needs_no_key(server: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    roster = Roster([settings(server, api_key=None)], "small")
    assert isinstance((await ask(roster))[-1], Finished)
    await roster.close()
    assert "somebody" not in server.requests[0].key


async def test_a_proxy_that_the_environment_names_is_used(
    server: FakeOpenAI, other: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{other.port}")
    monkeypatch.setenv("no_proxy", "example.org")
    roster = Roster([settings(server)], "small")
    await ask(roster)
    await roster.close()
    assert (len(server.requests), len(other.requests)) == (0, 1)


async def test_a_proxy_of_a_kind_that_we_cannot_use(
    server: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "example.org")
    roster = Roster([settings(server)], "small", patience=QUICK)
    assert "can't reach" in str(await failure(roster))
    await roster.close()


@pytest.mark.parametrize("sees", [True, False])
async def test_pictures_go_to_models_that_see(server: FakeOpenAI, sees: bool) -> None:
    roster = Roster([settings(server, sees=sees)], "small")
    await ask(roster, prompt("Joe: look", pictures=(Picture("image/png", b"\x89PNG"),)))
    await roster.close()
    content = server.requests[0].messages[-1]["content"]
    if sees:
        url = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
        assert content == [
            {"type": "text", "text": "Joe: look"},
            {"type": "image_url", "image_url": {"url": url}},
        ]
    else:
        assert content == f"Joe: look\n{UNSEEN}"


@pytest.mark.parametrize(
    ("refused", "left"),
    [("stream_options", None), ("temperature", None), ("max_completion_tokens", "max_tokens")],
)
async def test_a_parameter_that_the_server_does_not_know_is_left_out_from_then_on(
    server: FakeOpenAI, refused: str, left: str | None
) -> None:
    server.always = Script(refuses=[refused])
    roster = Roster([settings(server, temperature=0.5, answer_tokens=50)], "small")
    for _ in range(2):
        assert isinstance((await ask(roster))[-1], Finished)
    await roster.close()
    assert [refused in request.body for request in server.requests] == [True, False, False]
    assert left is None or server.requests[-1].body[left] == 50


TALK = (
    PromptMessage(Role.SYSTEM, "Be kind."),
    PromptMessage(Role.ASSISTANT, "Blue."),
    PromptMessage(Role.USER, "Ann: why?"),
    PromptMessage(Role.USER, "Joe: yes, why?", (Picture("image/png", b"\x89PNG"),)),
    PromptMessage(Role.ASSISTANT, "It is calm."),
    PromptMessage(Role.ASSISTANT, "And kind."),
    PromptMessage(Role.USER, "Ann: thanks"),
    PromptMessage(Role.USER, "Joe: and now?"),
)


@pytest.mark.parametrize(
    ("template", "tries", "head"),
    [
        ("", 1, [("system", "Be kind."), ("assistant", "Blue."), ("user", "Ann: why?")]),
        ("mistral", 2, [("system", "Be kind."), ("user", CUT), ("assistant", "Blue.")]),
        ("gemma", 2, [("user", "Be kind."), ("assistant", "Blue.")]),
        ("oldest", 3, [("user", "Be kind."), ("assistant", "Blue.")]),
    ],
)
async def test_people_and_model_take_turns_where_the_template_demands_it(
    server: FakeOpenAI, template: str, tries: int, head: list[tuple[str, str]]
) -> None:
    server.always = Script(template=template)
    roster = Roster([settings(server, sees=True)], "small")
    for _ in range(2):
        assert isinstance((await ask(roster, Prompt(TALK, shown=7, left_out=0, first=1)))[-1], Finished)
    await roster.close()
    assert len(server.requests) == tries + 1  # it is known the second time
    sent = [(said["role"], said["content"]) for said in server.requests[-1].messages]
    assert sent[: len(head)] == head
    assert [content for _, content in sent][-1].endswith("Joe: and now?")
    if template:
        assert [part["type"] for part in sent[len(head)][1]] == ["text", "text", "image_url"]
        assert sent[-2:] == [
            ("assistant", "It is calm.\n\nAnd kind."),
            ("user", "Ann: thanks\n\nJoe: and now?"),
        ]


# What comes back


async def test_usage_is_what_the_server_said(roster: Roster) -> None:
    end = (await ask(roster))[-1]
    assert isinstance(end, Finished)
    assert (end.usage.response_id, end.usage.system_fingerprint) == ("chatcmpl-fake", "fp_fake")
    assert (end.usage.model, end.usage.finish_reason) == ("small", "stop")
    assert end.usage.total_tokens


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_why_an_answer_ended_is_told(server: FakeOpenAI, roster: Roster, reason: str) -> None:
    server.answers.append(Script(text="And then", finish_reason=reason))
    *_, end = await ask(roster)
    assert isinstance(end, Finished)
    assert end.usage.finish_reason == reason


async def test_a_server_that_counts_nothing_leaves_the_counts_open(
    server: FakeOpenAI, roster: Roster
) -> None:
    server.answers.append(Script(usage=False))
    *_, end = await ask(roster)
    assert isinstance(end, Finished)
    assert end.usage.total_tokens is None


async def test_the_first_words_pass_at_once_and_later_ones_together(server: FakeOpenAI) -> None:
    server.answers.append(Script(deltas=["Hello", "what", "a", "fine", "day"], hold_after=1))
    roster = Roster([settings(server)], "small", pace_s=0.05)
    async with aclosing(roster.stream(prompt(), "")) as chunks:
        assert await anext(chunks) == Delta("Hello")  # while the server holds back the rest
        server.release()
        rest = [chunk async for chunk in chunks]
    await roster.close()
    assert len(rest) == 2
    assert shown(rest) == "whatafineday"


async def test_a_character_that_was_cut_in_two_is_whole_again(server: FakeOpenAI, roster: Roster) -> None:
    server.answers.append(Script(deltas=["a \ud83d", "\ude00", " b \ud83d", "?"]))
    assert shown(await ask(roster)) == "a 😀 b \ufffd?"


async def test_thoughts_are_not_shown(server: FakeOpenAI, roster: Roster) -> None:
    server.answers.append(Script(reasoning=["Let me", " see"], text="42"))
    assert shown(await ask(roster)) == "42"


async def test_nor_are_thoughts_that_a_server_leaves_in_the_answer(
    server: FakeOpenAI, roster: Roster
) -> None:
    server.answers.append(Script(text="<think>\nLet me see\n</think>\n\n42", chunk_chars=3))
    assert shown(await ask(roster)) == "42"


async def test_an_answer_whose_connection_is_cut_after_its_end_is_whole(
    server: FakeOpenAI, roster: Roster
) -> None:
    server.answers.append(Script(deltas=["Now", " complete."], hold_after=1, unfinished_body=True))
    async with aclosing(roster.stream(prompt(), "")) as chunks:
        assert await anext(chunks) == Delta("Now")
        server.release()  # so that the end comes together with the cut
        assert shown([chunk async for chunk in chunks]) == " complete."
    assert len(server.requests) == 1


async def test_without_done_a_finish_reason_is_enough(server: FakeOpenAI, roster: Roster) -> None:
    server.answers.append(Script(text="Complete.", done=False))
    assert shown(await ask(roster)) == "Complete."
    assert len(server.requests) == 1


# What other servers write


def said(**changes: Any) -> dict[str, Any]:
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "small", **changes}


def choice(delta: Any, finish_reason: str | None = None) -> dict[str, Any]:
    return said(choices=[{"index": 0, "delta": delta, "finish_reason": finish_reason}])


def event(data: dict[str, Any] | str) -> str:
    return f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n"


HEL, LO, END, DONE = choice({"content": "Hel"}), choice({"content": "lo"}), choice({}, "stop"), "[DONE]"


@pytest.mark.parametrize(
    "packets",
    [
        pytest.param([event(HEL), "data: \n\n", event(LO), event(END)], id="an empty event keeps it alive"),
        pytest.param(["retry: 3000\n\n", event(HEL), event(LO), event(END)], id="when to connect again"),
        pytest.param([f"id: 1\nevent: message\n{event(HEL)}", event(LO), event(END)], id="numbered events"),
        pytest.param(["\ufeff" + event(HEL), event(LO), event(END)], id="a byte order mark"),
        pytest.param([event(HEL), event(said(choices=None)), event(LO), event(END)], id="no choices"),
        pytest.param(
            [event(HEL), event(LO), event(said(choices=[{"index": 0, "finish_reason": "stop"}]))],
            id="no delta at the end",
        ),
        pytest.param([event(HEL), event(LO), event(choice(None, "stop"))], id="an empty delta at the end"),
        pytest.param(
            [event(choice({"role": "user", "content": "Hel"})), event(LO), event(END)], id="another role"
        ),
        pytest.param(
            [
                event(
                    choice({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]})
                ),
                event(choice({"content": [{"type": "text", "text": "Hello"}]})),
                event(END),
            ],
            id="content in parts, as of Magistral",
        ),
        pytest.param(
            [
                json.dumps(
                    said(
                        choices=[
                            {"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
                        ]
                    )
                )
            ],
            id="not streamed at all",
        ),
        pytest.param(
            [
                event(choice({"role": "assistant", "content": None, "refusal": ""})),
                event(choice({"refusal": "Hel"})),
                event(choice({"content": "", "refusal": "lo"})),
                event(END),
            ],
            id="a refusal in OpenAI's field for one",
        ),
        pytest.param(
            [event(said(choices=[{"message": {"content": "Hello"}, "finish_reason": "stop"}]))],
            id="the whole message as one event",
        ),
    ],
)
async def test_answers_of_other_servers_are_understood(
    server: FakeOpenAI, roster: Roster, packets: list[str | bytes]
) -> None:
    server.answers.append(Script(packets=[*packets, *([] if packets[0][0] == "{" else [event(DONE)])]))
    chunks = await ask(roster)
    assert shown(chunks) == "Hello"
    assert isinstance(chunks[-1], Finished)
    assert chunks[-1].usage.finish_reason == "stop"
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "usage",
    [{}, {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None}],
    ids=["empty", "null"],
)
async def test_counts_that_say_nothing_are_no_counts(
    server: FakeOpenAI, roster: Roster, usage: dict[str, Any]
) -> None:
    server.answers.append(
        Script(packets=[event(HEL), event(END), event(said(choices=[], usage=usage)), event(DONE)])
    )
    end = (await ask(roster))[-1]
    assert isinstance(end, Finished)
    assert (end.usage.prompt_tokens, end.usage.total_tokens) == (None, None)


@pytest.mark.parametrize(
    ("count", "kept"),
    [(5, 5), (5.0, 5), (10**30, None), (-1, None), ("5", None), ([5], None), (True, None), (2**31, None)],
)
async def test_only_counts_that_can_be_kept_are_counts(
    server: FakeOpenAI, roster: Roster, count: Any, kept: int | None
) -> None:
    usage = {"prompt_tokens": count, "completion_tokens": count, "total_tokens": count}
    more = {"prompt_tokens_details": [1], "completion_tokens_details": "x"}
    end = event(said(choices=[], usage={**usage, **more}))
    server.answers.append(Script(packets=[event(HEL), event(END), end, event(DONE)]))
    told = (await ask(roster))[-1]
    assert isinstance(told, Finished)
    assert (told.usage.prompt_tokens, told.usage.total_tokens) == (kept, kept)


async def test_counts_of_which_one_is_missing_are_taken_as_far_as_they_go(
    server: FakeOpenAI, roster: Roster
) -> None:
    end = event(said(choices=[], usage={"prompt_tokens": 5, "completion_tokens": 10**30}))
    server.answers.append(Script(packets=[event(HEL), event(END), end, event(DONE)]))
    told = (await ask(roster))[-1]
    assert isinstance(told, Finished)
    assert (told.usage.prompt_tokens, told.usage.completion_tokens) == (5, 0)


async def test_nor_is_a_count_taken_of_an_event_with_half_a_character(
    server: FakeOpenAI, roster: Roster
) -> None:
    counts = {"prompt_tokens": 10**30, "completion_tokens": 1, "total_tokens": 10**30}
    end = event({**said(choices=[], usage=counts), "id": "\ud800"})
    server.answers.append(Script(packets=[event(HEL), event(END), end, event(DONE)]))
    told = (await ask(roster))[-1]
    assert isinstance(told, Finished)
    assert told.usage.total_tokens is None


@pytest.mark.parametrize("odd", ["\ud800\x00x", "x" * 10_000, {"a": 1}, ["x"], 7])
async def test_ids_and_reasons_are_short_text_that_every_store_takes(
    server: FakeOpenAI, roster: Roster, odd: Any
) -> None:
    last = {**choice({}, odd), "id": odd, "system_fingerprint": odd}
    server.answers.append(Script(packets=[event({**HEL, "id": odd}), event(last), event(DONE)]))
    told = (await ask(roster))[-1]
    assert isinstance(told, Finished)
    for name in (told.usage.response_id, told.usage.system_fingerprint, told.usage.finish_reason):
        assert isinstance(name, str)
        assert 0 < len(name) <= 200
        assert "\x00" not in name
        name.encode()


@pytest.mark.parametrize(
    "delta",
    [{"refusal": {"a": "secret"}}, {"function_call": "secret"}, {"tool_calls": [{"index": "secret"}]}],
)
async def test_no_warning_quotes_what_a_server_said(
    server: FakeOpenAI, roster: Roster, delta: dict[str, Any], recwarn: pytest.WarningsRecorder
) -> None:
    server.answers.append(
        Script(packets=[event(choice({"content": "Hello", **delta})), event(END), event(DONE)])
    )
    assert shown(await ask(roster)) == "Hello"
    assert [str(each.message) for each in recwarn if "secret" in str(each.message)] == []


async def test_an_answer_that_is_numbered_has_its_number_as_text(server: FakeOpenAI, roster: Roster) -> None:
    packets: list[str | bytes] = [event({**each, "id": 7}) for each in (HEL, END)]
    server.answers.append(Script(packets=[*packets, event(DONE)]))
    end = (await ask(roster))[-1]
    assert isinstance(end, Finished)
    assert end.usage.response_id == "7"


# What goes wrong on the way


BOOM = {"message": "boom", "type": "server_error", "code": 500}


@pytest.mark.parametrize(
    "broken",
    [
        Script(text="Half of an answer", cut_after=2),
        Script(text="Half of an answer", error_after=2),
        Script(text="Half of an answer", stop_after=2),
        Script(packets=[b'data: {"choices":[{"index":0,"delta":{"content":"Half"}}]}\n\n', b"data: {\n\n"]),
        Script(packets=[b"<html>no event stream</html>"]),
        Script(packets=[event(HEL), event({"object": "error", **BOOM}), event(DONE)]),
        Script(packets=[event(HEL), f"event: error\n{event(BOOM)}", event(DONE)]),
        Script(packets=[event(HEL), f"error: {json.dumps(BOOM)}\n\n", event(DONE)]),
        Script(packets=[json.dumps({"error": BOOM})]),
        Script(packets=[json.dumps({"detail": "no model"})]),
        Script(packets=[event(HEL)], content_type="text/plain"),
    ],
    ids=[
        "cut",
        "error event",
        "no end",
        "nonsense",
        "a web page",
        "an error of vLLM",
        "an event of type error",
        "an error of llama.cpp",
        "an error instead of events",
        "something else instead of events",
        "no end, and no event stream either",
    ],
)
async def test_a_stream_that_breaks_is_asked_again_and_never_left_half(
    server: FakeOpenAI, roster: Roster, broken: Script
) -> None:
    server.answers += [broken, Script(text="The whole answer.")]
    chunks = await ask(roster)
    assert shown(chunks) == "The whole answer."
    assert len(server.requests) == 2
    assert isinstance(chunks[-1], Finished)


async def test_what_was_shown_is_void_before_anything_new_comes(server: FakeOpenAI, roster: Roster) -> None:
    server.answers.append(Script(deltas=["Half", "more"], cut_after=1, hold_after=1))
    async with aclosing(roster.stream(prompt(), "")) as chunks:
        assert await anext(chunks) == Delta("Half")
        server.release()
        assert isinstance(await anext(chunks), Restart)


async def test_a_stream_that_breaks_each_time_is_given_up(server: FakeOpenAI, roster: Roster) -> None:
    server.always = Script(text="Half of an answer", cut_after=2)
    assert isinstance(await failure(roster), ModelUnavailable)
    assert len(server.requests) == QUICK.tries


@pytest.mark.parametrize("status", [429, 500, 502, 503, 529])
async def test_what_passes_is_tried_again(server: FakeOpenAI, roster: Roster, status: int) -> None:
    server.answers += [Script(status=status), Script(status=status), Script(text="At last.")]
    chunks = await ask(roster)
    assert shown(chunks) == "At last."
    assert not any(isinstance(chunk, Restart) for chunk in chunks)


@pytest.mark.parametrize("retry_after", ["7", formatdate(time.time() + 3600, usegmt=True)], ids=["s", "date"])
async def test_the_server_says_how_long_to_wait(server: FakeOpenAI, retry_after: str) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    server.answers += [Script(status=429, retry_after=retry_after), Script()]
    patience = Patience(within_s=4000, most_wait_s=4000)
    roster = Roster([settings(server)], "small", patience=patience, sleep=sleep)
    await ask(roster)
    await roster.close()
    [wait] = waits
    assert 7 <= wait <= 8 if retry_after == "7" else 3000 < wait <= 3601


@pytest.mark.parametrize(
    "retry_after",
    ["Mon, 01 Jan 99999 00:00:00 GMT", "1 Jan 99999999999999999999 00:00 GMT", "soon", "nan", "-1", ""],
)
async def test_a_wait_that_makes_no_sense_is_none(
    server: FakeOpenAI, roster: Roster, retry_after: str
) -> None:
    server.answers.append(Script(status=429, retry_after=retry_after))
    server.answers.append(Script(text="Here I am."))
    assert shown(await ask(roster)) == "Here I am."


async def test_a_wait_that_is_too_long_is_not_begun(server: FakeOpenAI, roster: Roster) -> None:
    server.always = Script(status=429, retry_after="3600")
    assert "try again" in str(await failure(roster))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("refusal", "kind", "words"),
    [
        (Script(status=401), ModelRefusedKey, "API key was refused"),
        (Script(status=403), ModelRefusedKey, "API key was refused"),
        (Script(status=404), ModelRefusedRequest, "isn't there"),
        (Script(status=400), ModelRefusedRequest, "didn't accept"),
        (
            Script(status=400, code="context_length_exceeded"),
            ModelRefusedRequest,
            "more than my model can take",
        ),
        (Script(status=400, code="content_filter"), ModelRefusedRequest, "content filter"),
        (Script(status=429, code="insufficient_quota"), ModelUnavailable, "run out of credit"),
        (Script(status=402), ModelUnavailable, "run out of credit"),
        (Script(error_after=0, code="context_length_exceeded"), ModelRefusedRequest, "more than my model"),
        (Script(error_after=0, code="401"), ModelRefusedKey, "API key was refused"),
    ],
)
async def test_what_stays_is_not_tried_again_and_has_a_sentence_of_its_own(
    server: FakeOpenAI, roster: Roster, refusal: Script, kind: type[ModelError], words: str
) -> None:
    server.always = refusal
    error = await failure(roster)
    assert type(error) is kind
    assert words in str(error)
    assert len(server.requests) == 1


async def test_of_a_refusal_that_has_no_end_a_beginning_is_read(server: FakeOpenAI, roster: Roster) -> None:
    server.always = Script(status=400, endless=True)
    async with asyncio.timeout(10):
        error = await failure(roster)
    assert "didn't accept" in str(error)
    await server.until(lambda server: server.disconnected == 1)


async def test_a_server_that_is_not_there(server: FakeOpenAI) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    models = [ModelSettings("small", base_url=f"http://127.0.0.1:{port}/v1")]
    roster = Roster(models, "small", patience=QUICK)
    assert "can't reach" in str(await failure(roster))
    await roster.close()


async def test_a_stall_is_a_timeout(server: FakeOpenAI) -> None:
    server.always = Script(text="Half of an answer", hold_after=2)
    roster = Roster([settings(server, timeout_s=0.2)], "small", patience=Patience(tries=1))
    assert "took too long" in str(await failure(roster))
    await server.until(lambda it: it.disconnected == 1)
    await roster.close()


async def test_a_server_that_never_answers_is_a_timeout(server: FakeOpenAI) -> None:
    server.always = Script(hold_before=True)
    roster = Roster([settings(server, timeout_s=0.2)], "small", patience=Patience(tries=1))
    assert "took too long" in str(await failure(roster))
    await roster.close()


async def test_a_slow_first_token_is_waited_for(server: FakeOpenAI, roster: Roster) -> None:
    server.answers.append(Script(text="Here.", hold_after=0))
    asking = asyncio.create_task(ask(roster))
    await server.until(lambda it: it.holding == 1)
    server.release()
    assert shown(await asking) == "Here."


# The next model


@pytest.mark.parametrize(
    "trouble",
    [Script(status=500), Script(status=401), Script(status=404), Script(text="Half of it", cut_after=1)],
)
async def test_the_next_model_answers_when_one_fails(
    server: FakeOpenAI, pair: Roster, trouble: Script
) -> None:
    server.always = trouble
    chunks = await ask(pair)
    assert shown(chunks) == "I am the other."
    end = chunks[-1]
    assert isinstance(end, Finished)
    assert end.usage.model == "large"


async def test_a_content_filter_is_not_got_round(server: FakeOpenAI, other: FakeOpenAI, pair: Roster) -> None:
    server.always = Script(status=400, code="content_filter")
    assert "content filter" in str(await failure(pair))
    assert not other.requests


async def test_when_all_fail_the_chosen_one_says_why(
    server: FakeOpenAI, other: FakeOpenAI, pair: Roster
) -> None:
    server.always, other.always = Script(status=503), Script(status=401)
    assert isinstance(await failure(pair), ModelUnavailable)


async def test_a_model_that_was_chosen_is_asked_first(other: FakeOpenAI, pair: Roster) -> None:
    assert pair.names == ("small", "large")
    assert shown(await ask(pair, name="large")) == "I am the other."


async def test_a_prompt_that_a_smaller_model_cannot_hold_is_not_handed_to_it(
    server: FakeOpenAI, other: FakeOpenAI, pair: Roster
) -> None:
    server.always = Script(status=500)
    with pytest.raises(ModelUnavailable):
        await ask(pair, prompt("x" * 4 * 64_000))
    assert not other.requests


async def test_a_cost_follows_the_prices(server: FakeOpenAI) -> None:
    priced = settings(server, prompt_price=2.0, completion_price=10.0)
    roster = Roster([priced], "small")
    *_, end = await ask(roster)
    await roster.close()
    assert isinstance(end, Finished)
    assert end.usage.prompt_tokens is not None
    assert end.usage.completion_tokens is not None
    assert roster.cost(end.usage) == pytest.approx(
        (2 * end.usage.prompt_tokens + 10 * end.usage.completion_tokens) / 1_000_000
    )


# Letting go


@pytest.mark.parametrize("held", [Script(hold_before=True), Script(text="Half of it", hold_after=1)])
async def test_cancelling_hangs_up(server: FakeOpenAI, roster: Roster, held: Script) -> None:
    server.answers.append(held)
    asking = asyncio.create_task(ask(roster))
    await server.until(lambda it: it.holding == 1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await server.until(lambda it: it.disconnected == 1)
    assert server.open == 0


async def test_a_reader_that_stops_reading_hangs_up(server: FakeOpenAI, roster: Roster) -> None:
    server.answers.append(Script(text="Half of it", hold_after=1))
    async with aclosing(roster.stream(prompt(), "")) as chunks:
        await anext(chunks)
    await server.until(lambda it: it.disconnected == 1)
    assert server.open == 0


async def test_cancelling_while_it_waits_for_another_try(server: FakeOpenAI) -> None:
    waiting = asyncio.Event()

    async def sleep(_: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    server.always = Script(status=500)
    roster = Roster([settings(server)], "small", sleep=sleep)
    asking = asyncio.create_task(ask(roster))
    await waiting.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await roster.close()
    assert len(server.requests) == 1


async def test_the_first_answer_can_be_cancelled_while_everything_warms_up(server: FakeOpenAI) -> None:
    roster = Roster([settings(server)], "small")
    first = asyncio.create_task(ask(roster))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert isinstance((await ask(roster))[-1], Finished)
    await roster.close()


async def test_connections_are_used_again(server: FakeOpenAI, roster: Roster) -> None:
    for _ in range(3):
        await ask(roster)
    assert server.connections == 1


# The log


async def test_neither_keys_nor_words_reach_a_log(
    server: FakeOpenAI, pair: Roster, caplog: pytest.LogCaptureFixture
) -> None:
    for name in VENDORS:
        caplog.set_level(logging.DEBUG, logger=name)  # and back again after the test
    quieted = quiet_loggers()
    caplog.set_level(logging.DEBUG)
    words = "the secret of the house"
    server.answers += [
        Script(status=429, message=f"no: {words}"),
        Script(text=words, error_after=1, message=f"no: {words}"),
        Script(status=401, message=f"Incorrect API key provided: {KEY}"),
    ]
    await ask(pair, prompt(f"Joe: {words}"))
    written = "\n".join(f"{each.getMessage()} {each.exc_text}" for each in caplog.records)
    assert "Model small gave no answer" in written
    assert words not in written
    assert KEY not in written
    assert not [each.name for each in caplog.records if each.name.split(".")[0] in quieted]


async def test_openai_stays_quiet_whatever_its_own_variable_says() -> None:
    code = """if True:
        import asyncio, logging
        from adapters.llm.models import ModelSettings
        from adapters.llm.roster import Roster
        asyncio.run(Roster([ModelSettings("small")], "small").warm())
        print(logging.getLogger("openai").isEnabledFor(logging.WARNING))
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, env={**os.environ, "OPENAI_LOG": "debug"}
    )
    written, _ = await process.communicate()
    assert written.split() == [b"False"]


async def test_an_error_carries_nothing_of_the_vendors(server: FakeOpenAI, roster: Roster) -> None:
    server.always = Script(status=401, message=f"Incorrect API key provided: {KEY}")
    error = await failure(roster)
    assert error.__cause__ is None
    assert error.__context__ is None


async def test_a_refused_key_is_an_error_for_the_operator(
    server: FakeOpenAI, pair: Roster, caplog: pytest.LogCaptureFixture
) -> None:
    server.always = Script(status=401)
    await ask(pair)
    [record] = [each for each in caplog.records if each.name == "adapters.llm.roster"]
    assert record.levelno == logging.ERROR
    assert record.__dict__["event"] == "model_failed"
