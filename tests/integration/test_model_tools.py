"""Tools that models call, with the real langchain-openai against servers as they are met."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from adapters.llm.models import ModelSettings
from adapters.llm.roster import Patience, Roster
from bot.domain import Call, Called, Chunk, Delta, Finished, Prompt, PromptMessage, Restart, Role, Tool
from bot.errors import ModelRefusedRequest
from tests.fakes.openai import FakeOpenAI, Script

SEARCH = Tool("search", "Looks things up.", {"words": "What to look for."})
LOGIN = {"name": "search", "arguments": '{"words": "login page"}', "id": "call_a"}
LOGO = {"name": "search", "arguments": '{"words": "logo"}', "id": "call_b"}


@pytest.fixture
async def server() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as server:
        yield server


@pytest.fixture
async def roster(server: FakeOpenAI) -> AsyncIterator[Roster]:
    roster = Roster([settings(server)], "small", patience=Patience(backoff_s=0.001))
    yield roster
    await roster.close()


def settings(server: FakeOpenAI, **changes: Any) -> ModelSettings:
    return ModelSettings(**{"name": "small", "base_url": server.url, "api_key": "sk-key", **changes})


ASKED = Prompt(
    (PromptMessage(Role.SYSTEM, "Be kind."), PromptMessage(Role.USER, "Joe: what about the login page?")),
    shown=1,
    left_out=0,
    first=1,
    tools=(SEARCH,),
)
ANSWERED = replace(
    ASKED,
    messages=(
        *ASKED.messages,
        PromptMessage(Role.ASSISTANT, "", calls=(Call("call_a", "search", '{"words": "login"}'),)),
        PromptMessage(Role.TOOL, "Ann: it gets a blue button", call="call_a"),
    ),
)


async def ask(roster: Roster, asked: Prompt = ASKED) -> list[Chunk]:
    return [chunk async for chunk in roster.stream(asked, "")]


def calls(chunks: list[Chunk]) -> list[Call]:
    return [call for chunk in chunks if isinstance(chunk, Called) for call in chunk.calls]


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, Delta))


async def test_tools_are_offered_as_the_api_takes_them(server: FakeOpenAI, roster: Roster) -> None:
    await ask(roster)
    [offered] = server.requests[0].body["tools"]
    assert offered["type"] == "function"
    assert offered["function"]["name"] == "search"
    assert offered["function"]["description"] == "Looks things up."
    assert offered["function"]["parameters"]["properties"]["words"]["type"] == "string"
    assert offered["function"]["parameters"]["required"] == ["words"]


async def test_a_prompt_without_tools_offers_none(server: FakeOpenAI, roster: Roster) -> None:
    server.answers = [Script("hello", calls=[LOGIN])]
    assert calls(await ask(roster, replace(ASKED, tools=()))) == []
    assert "tools" not in server.requests[0].body


@pytest.mark.parametrize("chars", [1, 5, 1000])
async def test_a_call_is_put_together_from_its_pieces(server: FakeOpenAI, roster: Roster, chars: int) -> None:
    server.answers = [Script("", calls=[LOGIN], call_chars=chars)]
    chunks = await ask(roster)
    assert calls(chunks) == [Call("call_a", "search", '{"words": "login page"}')]
    assert isinstance(chunks[-1], Finished)
    assert chunks[-1].usage.finish_reason == "tool_calls"


async def test_several_calls_come_at_once(server: FakeOpenAI, roster: Roster) -> None:
    server.answers = [Script("", calls=[LOGIN, LOGO], call_chars=3)]
    assert [(call.id, call.arguments) for call in calls(await ask(roster))] == [
        ("call_a", '{"words": "login page"}'),
        ("call_b", '{"words": "logo"}'),
    ]


async def test_text_before_a_call_is_text(server: FakeOpenAI, roster: Roster) -> None:
    server.answers = [Script("Let me look.", calls=[LOGIN])]
    chunks = await ask(roster)
    assert text(chunks) == "Let me look."
    assert len(calls(chunks)) == 1


async def test_arguments_that_are_no_json_come_as_they_were_written(
    server: FakeOpenAI, roster: Roster
) -> None:
    server.answers = [Script("", calls=[{**LOGIN, "arguments": '{"words": "log'}])]
    assert calls(await ask(roster)) == [Call("call_a", "search", '{"words": "log')]


async def test_tools_that_were_not_offered_are_not_called(server: FakeOpenAI, roster: Roster) -> None:
    server.answers = [Script("", calls=[{"name": "delete_everything", "arguments": "{}"}, LOGO])]
    assert [call.tool for call in calls(await ask(roster))] == ["search"]


async def test_a_model_that_calls_only_what_there_is_not_is_asked_without_tools(
    server: FakeOpenAI, roster: Roster
) -> None:
    server.answers = [Script("", calls=[{"name": "recall", "arguments": "{}"}]), Script("Blue.")]
    chunks = await ask(roster)
    assert text(chunks) == "Blue."
    assert [isinstance(chunk, Finished) for chunk in chunks].count(True) == 1
    assert calls(await ask(roster)) == []
    assert ["tools" in request.body for request in server.requests] == [True, False, True]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        pytest.param(
            [
                {"index": 0, "id": "a", "function": {"name": "search", "arguments": '{"words": "x"}'}},
                {"index": 0, "id": "b", "function": {"name": "search", "arguments": '{"words": "y"}'}},
            ],
            [("a", '{"words": "x"}'), ("b", '{"words": "y"}')],
            id="all under one number, as Ollama did",
        ),
        pytest.param(
            [
                {"id": "a", "function": {"name": "search", "arguments": '{"words": "x"}'}},
                {"id": "b", "function": {"name": "search", "arguments": '{"words": "y"}'}},
            ],
            [("a", '{"words": "x"}'), ("b", '{"words": "y"}')],
            id="without numbers, as Gemini does",
        ),
        pytest.param(
            [
                {"index": 0, "function": {"name": "search", "arguments": '{"words": "x"}'}},
                {"index": 1, "id": "", "function": {"name": "search", "arguments": '{"words": "y"}'}},
            ],
            [("call_1", '{"words": "x"}'), ("call_2", '{"words": "y"}')],
            id="without ids",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "function": {"name": "search", "arguments": None}},
                {"index": 0, "id": "a", "function": {"name": "search", "arguments": '{"words"'}},
                {"index": 0, "id": "a", "function": {"name": "search", "arguments": ': "x"}'}},
            ],
            [("a", '{"words": "x"}')],
            id="id and name again in each piece",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "function": {"name": "search", "arguments": '{"words": '}},
                {"index": 1, "id": "b", "function": {"name": "search", "arguments": '{"words": '}},
                {"index": 0, "function": {"arguments": '"x"}'}},
                {"index": 1, "function": {"arguments": '"y"}'}},
            ],
            [("a", '{"words": "x"}'), ("b", '{"words": "y"}')],
            id="two that grow at the same time",
        ),
        pytest.param(
            [
                {"index": 0, "id": "a", "function": {"name": "search", "arguments": ""}},
                {"index": 0, "function": None},
                {"index": 0},
                {"index": 0, "function": {"arguments": '{"words": "x"}'}},
            ],
            [("a", '{"words": "x"}')],
            id="pieces without a function",
        ),
        pytest.param(
            [{"index": "0", "id": 7, "function": {"name": "search", "arguments": {"words": "x"}}}],
            [("7", '{"words":"x"}')],
            id="arguments that are no text, and a number for an id",
        ),
    ],
)
async def test_calls_of_other_servers_are_understood(
    server: FakeOpenAI, roster: Roster, pieces: list[dict[str, Any]], expected: list[tuple[str, str]]
) -> None:
    server.answers = [Script(packets=[*map(event, pieces), "data: [DONE]\n\n"])]
    assert [(call.id, call.arguments) for call in calls(await ask(roster))] == expected


async def test_a_call_that_stands_where_a_list_of_them_should_is_one(
    server: FakeOpenAI, roster: Roster
) -> None:
    """As text-generation-inference wrote it."""
    first = {"index": 0, "id": "a", "function": {"name": "search", "arguments": '{"words": '}}
    packets = [delta(tool_calls=first), delta(tool_calls={"index": 0, "function": {"arguments": '"x"}'}})]
    server.answers = [Script(packets=[*packets, DONE])]
    assert calls(await ask(roster)) == [Call("a", "search", '{"words": "x"}')]


def event(call: dict[str, Any]) -> str:
    choice = {"index": 0, "delta": {"role": "assistant", "tool_calls": [call]}, "finish_reason": None}
    frame = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "small"}
    return f"data: {json.dumps({**frame, 'choices': [choice]})}\n\n"


async def test_what_a_tool_gave_answers_its_call(server: FakeOpenAI, roster: Roster) -> None:
    await ask(roster, ANSWERED)
    assert server.requests[0].messages[2:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_a",
                    "type": "function",
                    "function": {"name": "search", "arguments": '{"words": "login"}'},
                }
            ],
        },
        {"role": "tool", "content": "Ann: it gets a blue button", "tool_call_id": "call_a"},
    ]


async def test_where_no_tools_are_offered_any_more_what_they_gave_is_background(
    server: FakeOpenAI, roster: Roster
) -> None:
    await ask(roster, replace(ANSWERED, tools=()))
    assert server.requests[0].messages[2:] == [{"role": "user", "content": "Ann: it gets a blue button"}]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "registry.ollama.ai/library/gemma:2b does not support tools"),
        (400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'),
        (404, "No endpoints found that support tool use."),
        (500, "tools param requires --jinja flag"),
        (422, "Extra inputs are not permitted: body.tools"),
    ],
)
async def test_a_server_that_refuses_tools_is_asked_without_them_from_then_on(
    server: FakeOpenAI, roster: Roster, status: int, message: str
) -> None:
    server.answers = [Script(status=status, message=message), Script("I answer."), Script("Again.")]
    assert text(await ask(roster)) == "I answer."
    assert text(await ask(roster)) == "Again."
    assert ["tools" in request.body for request in server.requests] == [True, False, False]


async def test_a_call_that_the_model_could_not_write_costs_the_tools_once(
    server: FakeOpenAI, roster: Roster
) -> None:
    failed = Script(status=400, code="tool_use_failed", message="Failed to call a function.")
    server.answers = [failed, Script("I answer."), Script("Again.")]
    assert text(await ask(roster)) == "I answer."
    await ask(roster)
    assert ["tools" in request.body for request in server.requests] == [True, False, True]


async def test_another_refusal_is_no_refusal_of_tools(server: FakeOpenAI, roster: Roster) -> None:
    server.always = Script(status=400, message="Your prompt is odd.")
    with pytest.raises(ModelRefusedRequest):
        await ask(roster)
    assert len(server.requests) == 1


async def test_a_model_that_is_set_to_have_no_tools_is_offered_none(server: FakeOpenAI) -> None:
    roster = Roster([settings(server, tools=False)], "small")
    assert not roster.card("small").tools
    await ask(roster)
    await roster.close()
    assert "tools" not in server.requests[0].body


async def test_a_call_in_a_stream_that_broke_is_void(server: FakeOpenAI, roster: Roster) -> None:
    broken = event({"index": 0, "id": "a", "function": {"name": "search", "arguments": '{"wor'}})
    server.answers = [Script("Let me", cut_after=1), Script(packets=[broken]), Script("All is well.")]
    chunks = await ask(roster)
    assert Restart() in chunks
    assert calls(chunks) == []
    assert text(chunks[chunks.index(Restart()) :]) == "All is well."


# What servers send beside calls, and refuse to go on without


SIGNED = {"google": {"thought_signature": "c2lnbmVk"}}
SEARCHES = {"name": "search", "arguments": '{"words": "x"}'}


def delta(**fields: Any) -> str:
    frame = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "small"}
    told = {"index": 0, "delta": fields, "finish_reason": None}
    return f"data: {json.dumps({**frame, 'choices': [told]})}\n\n"


DONE = "data: [DONE]\n\n"


async def taken_back(server: FakeOpenAI, roster: Roster, *packets: str, model: str = "") -> dict[str, Any]:
    """The assistant's message as it goes back to the server, once its calls are answered."""
    server.answers = [Script(packets=[*packets, DONE]), Script("Blue.")]
    called = tuple(calls(await ask(roster)))
    said = PromptMessage(Role.ASSISTANT, "", calls=called)
    answers = [PromptMessage(Role.TOOL, "Ann: blue", call=call.id) for call in called]
    prompt = replace(ASKED, messages=(*ASKED.messages, said, *answers))
    assert "".join([c.text async for c in roster.stream(prompt, model) if isinstance(c, Delta)]) == "Blue."
    return next(message for message in server.requests[-1].messages if message["role"] == "assistant")


async def test_the_signature_of_a_call_goes_back_with_it(server: FakeOpenAI, roster: Roster) -> None:
    """Gemini 3 refuses to go on without, https://ai.google.dev/gemini-api/docs/thought-signatures."""
    signed = {"id": "a", "type": "function", "function": SEARCHES, "extra_content": SIGNED}
    plain = {"id": "b", "type": "function", "function": SEARCHES}
    said = await taken_back(server, roster, delta(role="assistant", tool_calls=[signed, plain]))
    assert said["tool_calls"] == [signed, plain]


async def test_so_does_one_that_comes_in_a_piece_of_its_own(server: FakeOpenAI, roster: Roster) -> None:
    first = {"index": 0, "id": "a", "function": {"name": "search", "arguments": '{"words": '}}
    pieces = [first, {"index": 0, "function": {"arguments": '"x"}'}}, {"index": 0, "extra_content": SIGNED}]
    said = await taken_back(server, roster, *(delta(tool_calls=[piece]) for piece in pieces))
    assert said["tool_calls"] == [
        {"id": "a", "type": "function", "function": SEARCHES, "extra_content": SIGNED}
    ]


@pytest.mark.parametrize("thoughts", [["Let me", " look \ud83d", "\ude00."], [""]], ids=["some", "none"])
async def test_thoughts_before_a_call_go_back_with_it(
    server: FakeOpenAI, roster: Roster, thoughts: list[str]
) -> None:
    """DeepSeek and Kimi refuse to go on without the field, https://api-docs.deepseek.com/guides/thinking_mode."""
    packets = [delta(role="assistant", content=None, reasoning_content=each) for each in thoughts]
    call = {"index": 0, "id": "a", "function": SEARCHES}
    said = await taken_back(server, roster, *packets, delta(tool_calls=[call]))
    assert said["reasoning_content"] == ("Let me look 😀." if any(thoughts) else "")
    assert said["content"] is None


async def test_so_do_the_details_of_thoughts_each_put_together_from_its_pieces(
    server: FakeOpenAI, roster: Roster
) -> None:
    """OpenRouter, https://openrouter.ai/docs/use-cases/reasoning-tokens."""
    text = {"type": "reasoning.text", "index": 0, "format": "unknown"}
    sealed = {"type": "reasoning.encrypted", "index": 1, "id": "a", "data": "c2Vh", "format": "unknown"}
    packets = [
        delta(reasoning="Let me", reasoning_details=[{**text, "text": "Let me"}]),
        delta(reasoning=" look.", reasoning_details=[{**text, "text": " look.", "signature": "s"}]),
        delta(reasoning_details=[sealed], tool_calls=[{"index": 0, "id": "a", "function": SEARCHES}]),
    ]
    said = await taken_back(server, roster, *packets)
    assert said["reasoning_details"] == [{**text, "text": "Let me look.", "signature": "s"}, sealed]
    assert "reasoning" not in said


async def test_what_one_server_sent_goes_to_no_other(server: FakeOpenAI) -> None:
    models = [settings(server), settings(server, name="large")]
    roster = Roster(models, "small", patience=Patience(backoff_s=0.001))
    call = {"id": "a", "type": "function", "function": SEARCHES, "extra_content": SIGNED}
    said = await taken_back(
        server, roster, delta(reasoning_content="Hm."), delta(tool_calls=[call]), model="large"
    )
    await roster.close()
    assert said == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "a", "type": "function", "function": SEARCHES}],
    }


@pytest.mark.parametrize(
    "odd",
    [
        {"reasoning_content": 7},
        {"reasoning_content": {"a": 1}},
        {"reasoning_details": "x"},
        {"reasoning_details": [None, 7, {}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x" * 100_000}]},
        {"tool_calls": [{"index": 0, "extra_content": "x" * 100_000}]},
        {"tool_calls": [{"index": 0, "extra_content": None}]},
    ],
)
async def test_what_makes_no_sense_beside_a_call_is_left_out(
    server: FakeOpenAI, roster: Roster, odd: dict[str, Any]
) -> None:
    call = {"index": 0, "id": "a", "function": SEARCHES}
    said = await taken_back(server, roster, delta(tool_calls=[call]), delta(**odd))
    assert said == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "a", "type": "function", "function": SEARCHES}],
    }


async def test_a_server_that_does_not_take_its_own_thoughts_back_is_not_given_them(
    server: FakeOpenAI, roster: Roster
) -> None:
    packets = [
        delta(reasoning_content="Hm."),
        delta(tool_calls=[{"index": 0, "id": "a", "function": SEARCHES}]),
    ]
    refusal = Script(status=400, message="property 'reasoning_content' is unsupported", when="login")
    server.answers = [Script(packets=[*packets, DONE]), refusal, Script("Blue.")]
    called = tuple(calls(await ask(roster)))
    said = PromptMessage(Role.ASSISTANT, "", calls=called)
    prompt = replace(ASKED, messages=(*ASKED.messages, said, PromptMessage(Role.TOOL, "blue", call="a")))
    assert text(await ask(roster, prompt)) == "Blue."
    assert ["reasoning_content" in str(each.messages) for each in server.requests] == [False, True, False]
    assert all("tools" in request.body for request in server.requests)


async def test_a_server_that_called_a_tool_and_does_not_go_on_is_offered_tools_the_next_time(
    server: FakeOpenAI, roster: Roster
) -> None:
    refusal = (
        "Missing `reasoning_content` field in the assistant message at message index 2: guides#tool-calls"
    )
    server.answers = [Script(status=400, message=refusal), Script("Blue."), Script("Again.")]
    assert text(await ask(roster, ANSWERED)) == "Blue."
    assert text(await ask(roster)) == "Again."
    assert ["tools" in request.body for request in server.requests] == [True, False, True]
