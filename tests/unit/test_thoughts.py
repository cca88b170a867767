"""Thoughts between tags at the beginning of an answer are not shown, however the text is cut."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.llm.thoughts import Thoughts


def shown(*texts: str) -> str:
    thoughts = Thoughts()
    return "".join([*map(thoughts.shown, texts), thoughts.rest()])


def cut(text: str, places: set[int]) -> list[str]:
    ends = sorted(place for place in places if place < len(text))
    return [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]


@pytest.mark.parametrize("tag", ["<think>", "<thinking>", "<thought>", "<reasoning>", "[THINK]"])
@pytest.mark.parametrize("inside", ["", "hm, </ think> or <think>?", "a\nb" * 100])
@given(places=st.sets(st.integers(1, 400)))
def test_what_stands_between_tags_at_the_beginning_is_not_shown(
    tag: str, inside: str, places: set[int]
) -> None:
    answer = "Blue. <think>is a tag</think>"
    assert shown(*cut(f"\n{tag}{inside}{tag[0]}/{tag[1:]}\n\n{answer}", places)) == answer


@given(st.text(st.sampled_from(" \n<>/think!"), max_size=30), st.sets(st.integers(1, 30)))
@example("<th", set())
@example("", set())
def test_any_other_text_is_shown_as_it_is(text: str, places: set[int]) -> None:
    if not text.lstrip().startswith(("<think>", "<thinking>")):
        assert shown(*cut(text, places)) == text


def test_thoughts_that_never_end_are_no_answer() -> None:
    assert shown("<think>hm", " and so on") == ""


def test_the_first_words_of_an_answer_are_not_held_back() -> None:
    assert Thoughts().shown("Bl") == "Bl"
