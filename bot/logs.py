"""What the log says: events of ours, each a sentence with fields, and never a text or a secret.

A line is written with the standard library: `log.info("the reply is whole", extra={"event":
"turn_done", "session": str(key), "position": ...})`; every other key of `extra` becomes a field too.
Libraries quote what they were given (Bolt the whole of an unhandled request), so of their lines
only the place is shown that they come from, and of any exception but ours only its type and path.
"""

import json
import logging
import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, TextIO

from bot.errors import ThreadflyError
from bot.redaction import Redactor

OURS = frozenset({"bot", "adapters", "storage"})
FIELDS_FIRST = ("event", "session", "position")
MOST_FRAMES = 12

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_COLOURS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31m", "DEBUG": "\x1b[2m"}
_PLAIN = "\x1b[0m"

Format = Literal["text", "json"]


def configure_logs(level: str, shape: Format, redactor: Redactor, stream: TextIO | None = None) -> None:
    """Let everything that is logged from now on go to `stream` (else standard error) in this shape.

    `level` is for our own events; libraries are heard from WARNING on whatever it says.
    """
    target = stream or sys.stderr
    handler = logging.StreamHandler(target)
    handler.setFormatter(JsonLines(redactor) if shape == "json" else TextLines(redactor, target.isatty()))
    logging.captureWarnings(capture=True)  # pydantic's quote what a model said
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in OURS:
        logging.getLogger(name).setLevel(level.upper())


class EventFormatter(logging.Formatter):
    """Turns a record into the fields of an event."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """Everything that may be said of `record`, the sentence under `text`."""
        sentence = record.getMessage() if _is_ours(record) else _place(record)
        told: dict[str, Any] = {"text": sentence, "logger": record.name, **_extras(record)}
        if record.exc_info and record.exc_info[1] is not None:
            told["error"] = describe(record.exc_info[1])
        return {key: self._clean(value) for key, value in told.items()}

    def _clean(self, value: object) -> object:
        if value is None or isinstance(value, bool | int | float):
            return value
        return _printable(self._redactor(str(value)))


class TextLines(EventFormatter):
    """A line for people: time, level, sentence, fields."""

    def __init__(self, redactor: Redactor, coloured: bool) -> None:
        super().__init__(redactor)
        self._coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        told = self.fields(record)
        sentence, _ = told.pop("text"), told.pop("logger")
        colour = _COLOURS.get(record.levelname, "") if self._coloured else ""
        when = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        words = " ".join(f"{key}={value}" for key, value in told.items())
        level = f"{colour}{record.levelname.lower():7}{_PLAIN if colour else ''}"
        return f"{when} {level} {sentence}{'  ' if words else ''}{words}"


class JsonLines(EventFormatter):
    """A line for machines: one JSON object. Times are in UTC."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        told = {"time": when, "level": record.levelname.lower(), **self.fields(record)}
        return json.dumps(told, ensure_ascii=False)


def describe(error: BaseException) -> str:
    """What an exception is and where it comes from; what it says only if it is one of ours."""
    return " <- ".join(_one(link) for link in _chain(error))


def _one(error: BaseException) -> str:
    said = f" ({error})" if isinstance(error, ThreadflyError) else ""
    return f"{type(error).__qualname__}{said}{_frames(error.__traceback__)}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _frames(trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)[-MOST_FRAMES:]
    return "".join(f" at {_short(frame.filename)}:{frame.lineno}" for frame in reversed(frames))


def _short(path: str) -> str:
    return "/".join(path.replace("\\", "/").split("/")[-2:])


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in OURS


def _place(record: logging.LogRecord) -> str:
    """Where a library's line comes from, and its pattern if the values were kept apart from it."""
    pattern = f": {record.msg}" if record.args and isinstance(record.msg, str) else ""
    return f"a line of {record.name} at {_short(record.pathname)}:{record.lineno}{pattern}"


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    if not _is_ours(record):
        return {}
    extras = {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
    first = {key: extras.pop(key) for key in FIELDS_FIRST if key in extras}
    return {**first, **extras}


def _printable(text: str) -> str:
    """`text` on one line, without what would move a terminal's cursor or break its encoding."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )
