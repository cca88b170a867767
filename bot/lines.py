"""The archive as lines of JSON: one piece a line, the first says what the file is. Pure."""

import functools
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from bot.errors import ThreadflyError
from bot.sheets import Absence, Answered, Entry, Piece, Sheet

FORMAT: Final = 1
HEAD: Final = {"threadfly": "archive", "format": FORMAT}
_KINDS: Final[dict[str, type]] = {
    "absent": Absence,
    "session": Sheet,
    "message": Entry,
    "turn": Answered,
}
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}


class Unreadable(ThreadflyError):
    """A file is not what an export writes. The text says where, and quotes nothing."""


@functools.cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(_KINDS[name])


def head() -> str:
    """The first line."""
    return json.dumps(HEAD)


def line_of(piece: Piece) -> str:
    """A piece as one line; what has its default is left out."""
    name = _NAMES[type(piece)]
    told = _adapter(name).dump_python(piece, mode="json", exclude_defaults=True)
    return json.dumps({name: told}, ensure_ascii=False, separators=(",", ":"))


def pieces_of(lines: Iterable[str]) -> Iterator[Piece]:
    """What `lines` say. Raises `Unreadable`."""
    for number, line in enumerate(lines, 1):
        told = _object(line, number)
        if number == 1:
            _check_head(told)
        elif told:
            yield _piece(told, number)


def _object(line: str, number: int) -> dict[str, Any]:
    if not line.strip():
        return {}
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise Unreadable(f"line {number} is not a JSON object: the file may have been cut off")
    return told


def _check_head(told: dict[str, Any]) -> None:
    if told.get("threadfly") != HEAD["threadfly"]:
        raise Unreadable("this is no file that `threadfly export --format jsonl` wrote")
    if told.get("format") != FORMAT:
        raise Unreadable("this file was written by a newer Threadfly; import it with that release")


def _piece(told: dict[str, Any], number: int) -> Piece:
    name = next(iter(told))
    if name not in _KINDS or len(told) != 1:
        raise Unreadable(f"line {number} is none of {', '.join(_KINDS)}")
    try:
        piece: Piece = _adapter(name).validate_python(told[name])
    except ValidationError as error:
        where = ".".join(str(step) for step in error.errors()[0]["loc"])
        raise Unreadable(f"line {number} has a {name} whose {where} is missing or wrong") from None
    return piece
