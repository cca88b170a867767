"""How one message of a window is written in Dragonfly: a short JSON array.

    ["1^","00000000000000000012","00001792000000000001","2026-11-02T12:00:00+00:00","p","U1","Ann","Hi"]
      ||   version                 position               sent                        kind, id, name, text
      |+ "^": nothing of the context is older; ".": something may be
      +- format

The first three fields have a fixed width, so that scripts compare them as text: positions do not
fit into Lua's numbers. Only the last message of a write carries its version, those before it carry
zeros: a list that ends in the middle of a write shows no version that anybody asks for. Files, an
edit and a note follow only where there are any.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from bot.domain import Attachment, Author, Message, Speaker

FORMAT = "1"
WIDTH = 20
"""Digits of a version and of a position: enough for 64 bits."""
_TOO_LARGE = 10**WIDTH

_OLDER_MAY_EXIST = FORMAT + "."
_OLDEST = FORMAT + "^"
_MARKS = (_OLDER_MAY_EXIST, _OLDEST)
_PACKED_FIELDS = 4
_PLAIN_FIELDS = 8

_moment = datetime.fromisoformat  # five times as fast as counting from 1970

# A window's hundred messages are made by filling their slots: calling a frozen dataclass takes
# twice as long, which would be a third of a read.
_new = object.__new__
_set_position = vars(Message)["position"].__set__
_set_author = vars(Message)["author"].__set__
_set_text = vars(Message)["text"].__set__
_set_sent_at = vars(Message)["sent_at"].__set__
_set_attachments = vars(Message)["attachments"].__set__
_set_edited_at = vars(Message)["edited_at"].__set__
_set_note = vars(Message)["note"].__set__

_LETTER_OF = {Speaker.PERSON: "p", Speaker.BOT: "b", Speaker.OTHER_BOT: "o"}
_KIND_OF = {letter: kind for kind, letter in _LETTER_OF.items()}


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a stored window says."""

    messages: tuple[Message, ...]
    whole: bool


def digits(number: int) -> str:
    """`number` as text that compares as numbers do. Raises `ValueError` where it has no such text."""
    if not 0 <= number < _TOO_LARGE:
        raise ValueError(f"{number} does not fit into {WIDTH} digits")
    return f"{number:0{WIDTH}d}"


def encode(messages: Sequence[Message], version: int, *, whole: bool = False) -> list[bytes]:
    """Write `messages`, which bring a window to `version`.

    `whole`: nothing of the context is older than the first. Raises `ValueError` for a position
    or version outside of 0 .. 10**20 - 1, which no platform has.
    """
    nowhere, here = digits(0), digits(version)
    last = len(messages) - 1
    return [
        _encode_one(
            message,
            _OLDEST if whole and place == 0 else _OLDER_MAY_EXIST,
            here if place == last else nowhere,
        )
        for place, message in enumerate(messages)
    ]


def decode(stored: bytes) -> Decoded | None:
    """Read a JSON array of messages; None for anything that this release did not write."""
    try:
        rows = orjson.loads(stored)
        authors = _Authors()
        messages = tuple([_decode_one(row, authors) for row in rows])
        positions = [row[2] for row in rows]
        ascending = positions == sorted(set(positions))
        return Decoded(messages, rows[0][0] == _OLDEST) if ascending else None
    except (ValueError, TypeError, LookupError):
        return None


class _Authors(dict[tuple[str, str, str], Author]):
    """The authors of one window, each made once."""

    def __missing__(self, written: tuple[str, str, str]) -> Author:
        letter, author_id, name = written
        author = self[written] = Author(author_id, name, _KIND_OF[letter])
        return author


def _encode_one(message: Message, mark: str, version: str) -> bytes:
    head = [mark, version, digits(message.position)]
    body = _body(message)
    try:
        return orjson.dumps(head + body)
    except TypeError:
        return orjson.dumps([*head, _packed(body)])


def _body(message: Message) -> list[Any]:
    author = message.author
    body: list[Any] = [
        _written(message.sent_at),
        _LETTER_OF[author.kind],
        author.id,
        author.name,
        message.text,
    ]
    if message.attachments or message.edited_at is not None or message.note:
        body += [
            [[file.name, file.type, file.size, file.url] for file in message.attachments],
            None if message.edited_at is None else _written(message.edited_at),
            message.note,
        ]
    return body


def _decode_one(row: list[Any], authors: _Authors) -> Message:
    if len(row) == _PACKED_FIELDS:
        row = row[:-1] + _unpacked(row[-1])
    files: Sequence[Any] = ()
    edited_at, note = None, ""
    if len(row) == _PLAIN_FIELDS:
        mark, _, position, sent_at, letter, author_id, name, text = row
    else:
        mark, _, position, sent_at, letter, author_id, name, text, files, edited_at, note = row
    if mark not in _MARKS:
        raise ValueError("another format")
    message: Message = _new(Message)
    _set_position(message, int(position))
    _set_author(message, authors[letter, author_id, name])
    _set_text(message, text)
    _set_sent_at(message, _moment(sent_at))
    _set_attachments(message, tuple([Attachment(*file) for file in files]) if files else ())
    _set_edited_at(message, None if edited_at is None else _moment(edited_at))
    _set_note(message, note)
    return message


def _written(moment: datetime) -> str:
    return (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).isoformat()


def _packed(body: list[Any]) -> str:
    """What strict JSON can't hold (half of a surrogate pair, a huge number), as hexadecimal text."""
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass").hex()


def _unpacked(packed: str) -> list[Any]:
    body: list[Any] = json.loads(bytes.fromhex(packed).decode("utf-8", "surrogatepass"))
    return body
