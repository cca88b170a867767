"""The codec of windows: what is written comes back exactly, and nothing else comes back at all."""

from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain import Attachment, Author, Message, Speaker
from storage.codec import FORMAT, WIDTH, decode, digits, encode

ANY_TEXT = st.text(st.characters())
"""Also NUL and halves of surrogate pairs."""
MOMENTS = st.datetimes(timezones=st.just(UTC))

AUTHORS = st.builds(Author, id=ANY_TEXT, name=ANY_TEXT, kind=st.sampled_from(Speaker))
ATTACHMENTS = st.builds(Attachment, name=ANY_TEXT, type=ANY_TEXT, size=st.integers(min_value=0), url=ANY_TEXT)
MESSAGES = st.builds(
    Message,
    position=st.integers(0, 10**WIDTH - 1),
    author=AUTHORS,
    text=ANY_TEXT,
    sent_at=MOMENTS,
    attachments=st.lists(ATTACHMENTS, max_size=3).map(tuple),
    edited_at=st.none() | MOMENTS,
    note=ANY_TEXT,
)
WINDOWS = st.lists(MESSAGES, min_size=1, max_size=8, unique_by=lambda message: message.position).map(
    lambda messages: sorted(messages, key=lambda message: message.position)
)

NOON = datetime(2026, 11, 2, 12, 0, 0, 123456, tzinfo=UTC)
HELLO = Message(1_792_000_000_000_001, Author("U1", "Ann"), "Hello", NOON)


def joined(elements: list[bytes]) -> bytes:
    return b"[" + b",".join(elements) + b"]"


@given(messages=WINDOWS, version=st.integers(0, 10**WIDTH - 1), whole=st.booleans())
def test_a_window_comes_back_exactly(messages: list[Message], version: int, whole: bool) -> None:
    decoded = decode(joined(encode(messages, version, whole=whole)))

    assert decoded is not None
    assert decoded.messages == tuple(messages)
    assert decoded.whole == whole


@pytest.mark.parametrize(
    "text", ["\x00", "\ud800", "\udc00 \ud83d", "\ud83d\ude00", "\u2028\u2029", "😀", '"\\', ""]
)
def test_awkward_text_comes_back_exactly(text: str) -> None:
    message = Message(1, Author(text, text), text, NOON, (Attachment(text, text, 1, text),), NOON, text)

    decoded = decode(joined(encode([message], 1)))

    assert decoded is not None
    assert decoded.messages == (message,)


def test_another_zone_comes_back_as_the_same_moment_in_utc() -> None:
    there = NOON.astimezone(timezone(timedelta(hours=5, minutes=45)))

    decoded = decode(joined(encode([Message(1, HELLO.author, "Hi", there)], 1)))

    assert decoded is not None
    assert decoded.messages[0].sent_at == NOON
    assert decoded.messages[0].sent_at.utcoffset() == timedelta(0)


@given(first=st.integers(0, 2**64), second=st.integers(0, 2**64))
def test_digits_compare_as_their_numbers(first: int, second: int) -> None:
    assert (digits(first) < digits(second)) == (first < second)
    assert len(digits(first)) == WIDTH


@pytest.mark.parametrize("number", [-1, 10**WIDTH])
def test_a_number_without_such_digits_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="digits"):
        digits(number)


def test_only_the_last_message_of_a_write_carries_its_version() -> None:
    later = Message(HELLO.position + 1, HELLO.author, "Again", NOON)

    versions = [orjson.loads(element)[1] for element in encode([HELLO, later], 7)]

    assert versions == [digits(0), digits(7)]


def test_a_message_without_extras_takes_no_room_for_them() -> None:
    assert len(orjson.loads(encode([HELLO], 1)[0])) == 8


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"[",
        b"[]",
        b"{}",
        b"null",
        b"[null]",
        b"[[]]",
        b"[[1]]",
        b'[["1."]]',
        b'["text"]',
        b"\xff\xfe",
        b"[" * 2000,
    ],
)
def test_what_is_no_window_is_nothing(stored: bytes) -> None:
    assert decode(stored) is None


@given(st.binary(max_size=200))
def test_noise_is_nothing(stored: bytes) -> None:
    assert decode(stored) is None


def test_what_another_release_wrote_is_nothing() -> None:
    other = chr(ord(FORMAT) + 1).encode()
    element = encode([HELLO], 1)[0].replace(b'["' + FORMAT.encode(), b'["' + other, 1)

    assert decode(joined([element])) is None


def test_one_foreign_element_makes_the_window_nothing() -> None:
    assert decode(joined([*encode([HELLO], 1), b'["9^","x"]'])) is None


@pytest.mark.parametrize("step", [0, -1])
def test_messages_out_of_order_are_nothing(step: int) -> None:
    other = Message(HELLO.position + step, HELLO.author, "Hello", NOON)

    assert decode(joined(encode([HELLO, other], 1))) is None


@pytest.mark.parametrize("sent", [10**30, "soon", None, 10**18])
def test_a_time_that_is_none_is_nothing(sent: object) -> None:
    element = orjson.loads(encode([HELLO], 1)[0])
    element[3] = sent if not isinstance(sent, int) or sent < 2**63 else str(sent)

    assert decode(joined([orjson.dumps(element)])) is None
