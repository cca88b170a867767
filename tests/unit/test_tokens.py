"""Counting tokens errs on no alphabet by much."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.llm.tokens import count


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("a", 1), ("four", 1), ("fives", 2), ("日本語", 3), ("👋", 1), ("\ud83d", 1)],
)
def test_a_token_is_four_bytes(text: str, tokens: int) -> None:
    assert count(text) == tokens


@given(st.text(), st.text())
def test_parts_never_count_less_than_the_whole(one: str, other: str) -> None:
    assert count(one) + count(other) >= count(one + other) >= count(one)
