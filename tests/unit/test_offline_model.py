"""The offline model says that it is one, and shows what it was shown."""

import json
from dataclasses import replace

import pytest

from adapters.llm.offline import QUOTE_CHARS, OfflineModel, answer
from bot.domain import Call, Called, Delta, Finished, Prompt, PromptMessage, Role, Tool


def prompt(*said: str) -> Prompt:
    """People's messages, and the bot's where one begins with `bot:`; after a system message."""
    messages = [PromptMessage(Role.SYSTEM, "Be kind.")]
    for each in said:
        role = Role.ASSISTANT if each.startswith("bot:") else Role.USER
        messages.append(PromptMessage(role, each.removeprefix("bot:").strip()))
    return Prompt(tuple(messages), shown=len(said), left_out=0, first=1)


@pytest.mark.parametrize(
    "asked", [prompt(), prompt("Joe: hello"), prompt("Joe: hello", "bot: hi", "Joe: write code")]
)
def test_every_answer_says_who_speaks_and_how_to_get_a_real_model(asked: Prompt) -> None:
    assert "offline model" in answer(asked)
    assert "OPENAI_API_KEY" in answer(asked)


def test_it_names_how_many_messages_it_sees_and_the_first_and_the_last() -> None:
    text = answer(prompt("Joe: hello", "bot: Hi Joe!", "Ann: and me?"))
    assert "I see 3 messages." in text
    assert "The first: “Joe: hello”." in text
    assert "The last: “Ann: and me?”." in text


def test_one_message_and_none_are_named_too() -> None:
    assert "I see 1 message: “Joe: hello”." in answer(prompt("Joe: hello"))
    assert "I see no messages." in answer(prompt())


def test_a_long_message_is_quoted_in_one_short_line_without_its_markdown() -> None:
    text = answer(prompt("Joe: ```\n" + "x" * 5000))
    quote = text.partition("“")[2].partition("”")[0]
    assert len(quote) == QUOTE_CHARS
    assert quote.startswith("Joe: ''' xx")
    assert quote.endswith("…")


@pytest.mark.parametrize("question", ["What is my name?", "what's my name", "who am I?"])
@pytest.mark.parametrize("told", ["My name is Joe.", "hi, my name's Joe!", "My name is Joe, by the way"])
def test_it_remembers_a_name(told: str, question: str) -> None:
    text = answer(prompt(f"joe_86: {told}", "bot: Hello.", f"joe_86: {question}"))
    assert "Your name is Joe." in text


def test_the_name_that_was_told_last_counts() -> None:
    assert "Your name is Jo." in answer(
        prompt("j: my name is Joe", "j: my name is Jo", "j: what is my name?")
    )


def test_the_name_of_somebody_else_is_not_the_askers() -> None:
    assert "not told me your name" in answer(prompt("Joe: My name is Joe.", "Ann: what is my name?"))


def test_what_it_does_not_see_it_does_not_know() -> None:
    assert "not told me your name" in answer(prompt("Joe: what is my name?"))


def test_code_is_shown_in_a_fence_that_is_closed() -> None:
    assert answer(prompt("Joe: show me some code")).count("```") == 2
    assert "```" not in answer(prompt("Joe: hello"))


async def test_it_streams_word_by_word_at_its_pace() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    asked = prompt("Joe: write code")
    chunks = [chunk async for chunk in OfflineModel(pace_s=0.5, sleep=sleep).stream(asked, "")]
    words = [chunk.text for chunk in chunks if isinstance(chunk, Delta)]
    assert "".join(words) == answer(asked)
    assert len(words) == len(answer(asked).split())
    assert waits == [0.5] * (len(words) - 1)


async def test_without_a_pace_the_answer_is_there_at_once() -> None:
    asked = prompt("Joe: hello")
    delta, finished = [chunk async for chunk in OfflineModel(pace_s=0).stream(asked, "")]
    assert delta == Delta(answer(asked))
    assert isinstance(finished, Finished)
    assert finished.usage.finish_reason == "stop"


SEARCH = Tool("search_archive", "Looks things up.", {"words": "What to look for."})
FOUND = {
    "where": "#ops",
    "said": [
        {"by": "Ann", "at": "3 May 2026, 10:00", "link": "#/ops/1/1", "text": "Which colour?"},
        {
            "by": "Joe",
            "at": "3 May 2026, 10:01",
            "link": "#/ops/1/2",
            "text": "the login page gets a\n`blue` button",
            "found": True,
        },
    ],
}


async def called(asked: Prompt) -> tuple[Call, ...]:
    chunks = [chunk async for chunk in OfflineModel(pace_s=0).stream(asked, "")]
    return next((chunk.calls for chunk in chunks if isinstance(chunk, Called)), ())


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("what did we decide about the login page?", "login page"),
        ("What was said about Kubernetes? Quickly please.", "Kubernetes"),
        ("did anybody talk about 日本語", "日本語"),
        ("remind me, who agreed on the budget for 2027?", "budget 2027"),
    ],
)
async def test_it_searches_for_what_somebody_asks_about(question: str, words: str) -> None:
    [call] = await called(replace(prompt(f"Joe: {question}"), tools=(SEARCH,)))
    assert (call.tool, json.loads(call.arguments)) == ("search_archive", {"words": words})


async def test_it_searches_for_nothing_else() -> None:
    for asked in ("hello", "what is my name?", "I said about the same", "let us talk"):
        assert not await called(replace(prompt(f"Joe: {asked}"), tools=(SEARCH,)))
    assert not await called(prompt("Joe: what did we decide about the login page?"))


async def test_it_does_not_search_for_what_it_sees() -> None:
    asked = prompt("Ann: the login page gets a button", "Joe: what did we decide about the login page?")
    assert not await called(replace(asked, tools=(SEARCH,)))
    assert "That was said here: “Ann: the login page gets a button”." in answer(asked)


def test_it_tells_what_it_found_with_its_source() -> None:
    asked = prompt("Joe: what did we decide about the login page?")
    result = PromptMessage(Role.TOOL, json.dumps({"found": [FOUND]}), call="call_1", background=True)
    text = answer(replace(asked, messages=(*asked.messages, result)))
    assert "- [#ops, 3 May 2026, 10:01](#/ops/1/2), Joe: “the login page gets a 'blue' button”" in text
    assert "Which colour" not in text


@pytest.mark.parametrize("result", ['{"found": []}', "A sentence.", "{"])
def test_it_says_when_it_found_nothing(result: str) -> None:
    asked = prompt("Joe: what did we decide about the login page?")
    found = PromptMessage(Role.TOOL, result, call="call_1", background=True)
    assert "found nothing that fits" in answer(replace(asked, messages=(*asked.messages, found)))
