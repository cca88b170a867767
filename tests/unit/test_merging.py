"""Merging an event stream loses nothing, however it is cut into packets."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.llm.merging import MOST_EVENT_BYTES, EventTooLong, Merger

FRAME = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def event(delta: dict[str, Any], **choice: Any) -> dict[str, Any]:
    return {**FRAME, "choices": [{"index": 0, "delta": delta, "finish_reason": None, **choice}]}


def sse(*events: dict[str, Any] | str) -> bytes:
    return b"".join(
        b"data: " + (each if isinstance(each, str) else json.dumps(each)).encode() + b"\n\n"
        for each in events
    )


def merged(*packets: bytes) -> list[dict[str, Any] | str]:
    merger = Merger()
    return read(b"".join([*(merger.feed(packet) for packet in packets), merger.finish()]))


def deltas(*packets: bytes) -> list[dict[str, Any]]:
    return [each["choices"][0]["delta"] for each in merged(*packets) if isinstance(each, dict)]


def read(stream: bytes) -> list[dict[str, Any] | str]:
    """The events of a stream by the letter of the specification; slow and obvious."""
    events: list[dict[str, Any] | str] = []
    data: list[str] = []
    for line in stream.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and data:
            text = "\n".join(data)
            events.append(text if text == "[DONE]" else json.loads(text))
            data = []
    return events


def gist(events: Sequence[Any]) -> list[Any]:
    """What a reader makes of events: neighbouring texts, refusals too, are one, however they were cut."""
    gist: list[Any] = []
    for each in events:
        match each:
            case {"choices": [{"delta": {"refusal": str(refusal)}}]}:
                each = event({"content": refusal})
        match each:
            case {"choices": [{"delta": {**delta}, "finish_reason": None}]} if not each.get("usage") and (
                delta.keys() <= {"role", "content"} and isinstance(delta.get("content"), str)
            ):
                if gist and isinstance(gist[-1], str):
                    gist[-1] += str(delta["content"])
                else:
                    gist.append(delta["content"])
            case _:
                gist.append(each if isinstance(each, dict) else [each])
    return gist


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
plain = texts.map(lambda text: event({"content": text}))
others = st.sampled_from(
    [
        event({"role": "assistant", "content": ""}),
        event({}, finish_reason="stop"),
        event({"content": "last"}, finish_reason="length"),
        event({"content": None, "tool_calls": [{"index": 0, "function": {"arguments": "{"}}]}),
        event({"refusal": "I won't"}),
        event({"content": "sure"}, logprobs={"content": [{"token": "sure"}]}),
        {**event({"content": "counted"}), "usage": {"total_tokens": 3}},
        {**FRAME, "choices": [], "usage": {"total_tokens": 3}},
        {"error": {"message": "overloaded", "code": 502}},
        {**FRAME, "choices": []},
    ]
)


@st.composite
def written(draw: st.DrawFn) -> tuple[list[dict[str, Any]], bytes]:
    """Events, and a stream that holds them, written in any of the ways that are allowed."""
    events = draw(st.lists(plain | others, max_size=12))
    stream = b""
    for each in events:
        end = draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
        lines = json.dumps(each, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))
        space = draw(st.sampled_from([b"", b" "]))
        if draw(st.booleans()):
            stream += b": still here" + end + draw(st.sampled_from([b"", end]))
        stream += b"".join(b"data:" + space + line.encode() + end for line in lines.split("\n")) + end
    return events, stream


@given(written(), st.data())
def test_any_stream_in_any_packets_says_the_same(
    written: tuple[list[dict[str, Any]], bytes], data: st.DataObject
) -> None:
    events, stream = written
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=20)))
    packets = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert gist(merged(*packets)) == gist(events)


def test_texts_that_come_together_are_one_event() -> None:
    assert merged(sse(event({"content": "Hel"}), event({"content": "lo "}), event({"content": "Joe"}))) == [
        event({"content": "Hello Joe"})
    ]


def test_what_is_not_text_keeps_its_place_and_its_bytes() -> None:
    tool = b'data: {"choices":[{"index":0,"delta":{"tool_calls":[ ]   ,"function_call":{"name":"f"}}}]}\n\n'
    stream = sse(event({"content": "a"})) + tool + sse(event({"content": "b"}), "[DONE]")
    assert Merger().feed(stream) == stream


def test_every_delta_of_ollama_has_a_role_and_a_time_of_its_own() -> None:
    events = [
        {**event({"role": "assistant", "content": text}), "created": at} for at, text in enumerate("abc")
    ]
    assert merged(sse(*events)) == [{**event({"role": "assistant", "content": "abc"}), "created": 0}]


@pytest.mark.parametrize("apart", [{"id": "chatcmpl-2"}, {"model": "n"}, {"system_fingerprint": "fp"}])
def test_texts_of_different_answers_stay_apart(apart: dict[str, Any]) -> None:
    stream = sse(event({"content": "a"}), {**event({"content": "b"}), **apart})
    assert Merger().feed(stream) == stream


def test_texts_of_different_choices_stay_apart() -> None:
    stream = sse(event({"content": "a"}), event({"content": "b"}, index=1))
    assert Merger().feed(stream) == stream


def test_padding_and_the_remarks_of_a_filter_do_not_keep_texts_apart() -> None:
    padded = [
        {**event({"content": text}, content_filter_results={"hate": {"filtered": False}}), "obfuscation": pad}
        for text, pad in (("a", "xyz"), ("b", "q"))
    ]
    assert deltas(sse(*padded)) == [{"content": "ab"}]


def test_thoughts_are_merged_and_kept_apart_from_the_answer() -> None:
    thoughts = [event({"content": None, "reasoning_content": text}) for text in ("hm", "m")]
    answer = [event({"content": text}) for text in ("4", "2")]
    assert deltas(sse(*thoughts, *answer)) == [
        {"content": None, "reasoning_content": "hmm"},
        {"content": "42"},
    ]


def test_half_a_surrogate_pair_passes_untouched() -> None:
    stream = sse(event({"content": "\ud83d"}), event({"content": "\ude00"}))
    assert Merger().feed(stream) == stream


def test_only_comments_give_nothing() -> None:
    assert Merger().feed(b": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n") == b""


def test_an_event_is_passed_on_as_soon_as_it_is_complete() -> None:
    merger = Merger()
    first, second = sse(event({"content": "a"})), sse(event({"content": "b"}))
    assert merger.feed(first[:-1]) == b""
    assert merger.feed(first[-1:] + second[:9]) == first
    assert merger.feed(second[9:]) == second


@pytest.mark.parametrize(
    "last", [event({}, finish_reason="stop"), event({"content": "x"}, finish_reason="length"), "[DONE]"]
)
def test_a_finish_reason_or_done_ends_the_answer(last: dict[str, Any] | str) -> None:
    merger = Merger()
    merger.feed(sse(event({"content": "a"})))
    assert not merger.ended
    merger.feed(sse(last))
    assert merger.ended


def test_an_end_without_its_blank_line_counts() -> None:
    merger = Merger()
    merger.feed(b"data: [DONE]")
    assert not merger.ended
    assert merger.finish() == b"data: [DONE]\n\n"
    assert merger.ended


def test_half_an_event_at_the_end_is_no_end() -> None:
    merger = Merger()
    merger.feed(sse(event({}, finish_reason="stop"))[:-10])
    merger.finish()
    assert not merger.ended


@pytest.mark.parametrize("empty", [b"data:\n\n", b"retry: 10\n\n", b"id: 7\n\n", b": a\n: b\n\n"])
def test_an_event_without_data_is_none(empty: bytes) -> None:
    stream = sse(event({"content": "a"}), event({"content": "b"}))
    assert Merger().feed(stream[: len(stream) // 2] + empty) == stream[: len(stream) // 2]


@pytest.mark.parametrize("start", [b"", b" \n", b"\xef\xbb\xbf"])
def test_an_answer_that_comes_whole_is_one_event(start: bytes) -> None:
    whole = {"choices": [{"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]}
    body = start + json.dumps(whole, indent=1).replace("\n", "\n\n").encode()
    assert deltas(body[:9], body[9:]) == [{"role": "assistant", "content": "Hello"}]


def test_half_an_answer_that_should_come_whole_is_no_end() -> None:
    merger = Merger()
    merger.feed(b'{"choices": [{"message": {"content": "Hel')
    assert merger.finish() == b""
    assert not merger.ended


def test_an_event_without_end_is_refused() -> None:
    merger = Merger()
    assert merger.feed(b"x" * MOST_EVENT_BYTES) == b""
    with pytest.raises(EventTooLong):
        merger.feed(b"x")
