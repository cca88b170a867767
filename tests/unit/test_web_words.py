"""What a person's text says to whom in the playground."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.web.cast import Cast
from adapters.web.words import clean, command, mentioned, names_bot, without_bot

CAST = Cast.of()


@pytest.mark.parametrize(
    ("text", "named", "rest"),
    [
        ("@threadfly hello", True, "hello"),
        ("@ThreadFly: hello", True, "hello"),
        ("hello @threadfly", True, "hello"),
        ("what does @threadfly know?", True, "what does know?"),
        ("@threadfly", True, ""),
        ("first\n@threadfly, second", True, "first\nsecond"),
        ("@threadflying is fun", False, "@threadflying is fun"),
        ("joe@threadfly.example", False, "joe@threadfly.example"),
        ("see `@threadfly help`", False, "see `@threadfly help`"),
        ("```\n@threadfly\n```", False, "```\n@threadfly\n```"),
        ("@threadfly what is `@threadfly`?", True, "what is `@threadfly`?"),
        ("https://x.example/@threadfly", False, "https://x.example/@threadfly"),
    ],
)
def test_a_mention_of_the_bot_is_found_and_taken_out(text: str, named: bool, rest: str) -> None:
    assert names_bot(text, CAST) is named
    assert without_bot(text, CAST) == rest


def test_a_mention_of_a_person_is_told_from_one_of_the_bot() -> None:
    assert mentioned("@Mei and @joe, ask @threadfly", CAST) == {"mei", "joe", "threadfly"}


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("/help", ("help", "")),
        ("/Model  large one", ("model", "large one")),
        ("/etc/hosts is broken", None),
        ("and/or", None),
        ("/ hello", None),
    ],
)
def test_a_command_is_a_word_after_a_slash(text: str, read: tuple[str, str] | None) -> None:
    assert command(text) == read


@given(st.text(alphabet=st.characters() | st.sampled_from(["\x00", "\ud800", "\udfff", "\r", "\n"])))
def test_cleaned_text_can_be_stored_and_is_stable(text: str) -> None:
    once = clean(text)
    once.encode()
    assert "\x00" not in once
    assert clean(once) == once
