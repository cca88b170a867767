"""Text from outside becomes what every store and model takes, and stays what it was otherwise."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.cleaning import NAME_LENGTH, clean, clean_message, plain_name
from bot.domain import Attachment, Author, Message

ANYTHING = st.text(st.characters(exclude_categories=[]))
"""With NUL and lone surrogates."""


@given(ANYTHING)
def test_what_is_clean_can_be_stored_and_sent(text: str) -> None:
    cleaned = clean(text)
    assert "\0" not in cleaned
    assert cleaned.encode().decode() == cleaned
    assert clean(cleaned) == cleaned


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_what_was_clean_stays_as_it_is(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\0b", "ab"),
        ("\0\ud800", "�"),
        ("x\ud83d\ude00y", "x😀y"),
        ("\ude00\ud83d", "��"),
        ("\ufeffa", "\ufeffa"),
    ],
)
def test_halves_of_a_character_are_joined_or_replaced(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@given(ANYTHING)
def test_every_text_of_a_message_is_cleaned(text: str) -> None:
    files = (Attachment(text, text, 1, text),)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    message = clean_message(Message(1, Author(text, text), text, at, files))
    author, (file,) = message.author, message.attachments
    assert {message.text, author.id, author.name, file.name, file.type, file.url} == {clean(text)}


@given(ANYTHING)
def test_a_plain_name_is_one_short_line_of_its_own(name: str) -> None:
    plain = plain_name(name)
    assert plain.isprintable()
    assert 0 < len(plain) <= NAME_LENGTH
    assert not set(plain) & set(":<>[]{}`#*_|\n")
    assert plain == plain.strip() or len(plain) == NAME_LENGTH


@pytest.mark.parametrize("name", ["Ann", "Zoë", "O'Brien", "李小龍", "Ann-Marie von Öttingen (she)"])
def test_an_ordinary_name_stays_as_it_is(name: str) -> None:
    assert plain_name(name) == name


@pytest.mark.parametrize("name", ["", " ", ":", "\u202e\u200b", "``"])
def test_nobody_is_without_a_name(name: str) -> None:
    assert plain_name(name) == "someone"
