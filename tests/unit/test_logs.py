"""The log: events with fields, and never a text or a secret."""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from bot.errors import ModelUnavailable
from bot.logs import OURS, Format, configure_logs
from bot.redaction import Redactor, without_password

SECRET = "xoxb-open-sesame"


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Put back what `configure_logs` changes for the whole process."""
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in OURS)]
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    yield
    logging.captureWarnings(capture=False)
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


def log_to(shape: Format, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    configure_logs(level, shape, Redactor([SECRET]), stream)
    return stream


def only_line(stream: io.StringIO) -> dict[str, Any]:
    (line,) = stream.getvalue().splitlines()
    told: dict[str, Any] = json.loads(line)
    return told


def test_an_event_is_one_json_object_with_its_fields() -> None:
    stream = log_to("json")
    logging.getLogger("bot.service").info(
        "the reply is whole",
        extra={"event": "turn_done", "session": "web:w:c:1", "position": 7, "part": None},
    )
    told = only_line(stream)
    assert told.pop("time").endswith("+00:00")
    assert told == {
        "level": "info",
        "text": "the reply is whole",
        "logger": "bot.service",
        "event": "turn_done",
        "session": "web:w:c:1",
        "position": 7,
        "part": None,
    }


def test_on_a_terminal_it_is_a_sentence_and_its_fields() -> None:
    stream = log_to("text")
    logging.getLogger("bot.service").warning("%s is away", "hot", extra={"event": "hot_away", "wait_s": 2})
    assert stream.getvalue().endswith(" warning hot is away  event=hot_away wait_s=2\n")


def test_the_level_is_for_our_events_alone() -> None:
    stream = log_to("json", "debug")
    logging.getLogger("storage.hot").debug("a miss", extra={"event": "hot_miss"})
    logging.getLogger("discord.http").debug("POST with sesame")
    logging.getLogger("openai").info("sesame")
    assert only_line(stream)["event"] == "hot_miss"


@pytest.mark.parametrize("level", ["debug", "error"])
def test_below_the_level_nothing_is_said(level: str) -> None:
    stream = log_to("json", level)
    logging.getLogger("bot").warning("x", extra={"event": "x"})
    assert bool(stream.getvalue()) == (level == "debug")


def test_of_a_librarys_line_only_its_place_is_shown() -> None:
    stream = log_to("json", "debug")
    logging.getLogger("slack_bolt.AsyncApp").warning("Unhandled request ({'text': 'sesame'})")
    logging.getLogger("discord.gateway").warning("Shard %s said %s", 1, "sesame", extra={"body": "sesame"})
    assert "sesame" not in stream.getvalue()
    assert "slack_bolt.AsyncApp at unit/test_logs.py:" in stream.getvalue()
    assert "Shard %s said %s" in stream.getvalue()


def test_of_an_exception_only_type_and_path_are_shown_and_the_sentence_of_ours() -> None:
    stream = log_to("json")

    def vendor() -> None:
        raise RuntimeError("sesame")

    def ask() -> None:
        try:
            vendor()
        except RuntimeError as error:
            raise ModelUnavailable("the model is away") from error

    try:
        ask()
    except ModelUnavailable:
        logging.getLogger("bot").exception("no answer", extra={"event": "turn_failed"})
    told = only_line(stream)["error"]
    assert told.startswith("ModelUnavailable (the model is away) at unit/test_logs.py:")
    assert " <- RuntimeError at unit/test_logs.py:" in told
    assert "sesame" not in told


def test_exceptions_that_cause_each_other_are_told_once() -> None:
    first, second = RuntimeError(), ValueError()
    first.__cause__, second.__cause__ = second, first
    stream = log_to("json")
    logging.getLogger("bot").error("a circle", exc_info=first)
    assert only_line(stream)["error"] == "RuntimeError <- ValueError"


@pytest.mark.parametrize("shape", ["text", "json"])
def test_a_secret_that_slips_in_is_hidden(shape: Format) -> None:
    stream = log_to(shape)
    url = "redis://bot:open-sesame@host:6379"
    logging.getLogger("bot").info("with %s", SECRET, extra={"event": "x", "url": url, "list": [SECRET]})
    assert "sesame" not in stream.getvalue()
    assert "redis://bot:***@host:6379" in stream.getvalue()


@pytest.mark.parametrize("shape", ["text", "json"])
def test_an_event_stays_on_its_line_and_moves_no_cursor(shape: Format) -> None:
    stream = log_to(shape)
    logging.getLogger("bot").info("a\nb\r\x1b[2J\ud800", extra={"event": "x\ny"})
    (line,) = stream.getvalue().splitlines()
    assert not any(letter in line for letter in "\r\x1b\ud800")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:p@h", "redis://:***@h"),
        ("postgresql://u:p@ss/w:ord@h/d", "postgresql://u:***@h/d"),
        ("postgresql://h/d?user=u&password=p&x=1", "postgresql://h/d?user=u&password=***&x=1"),
        ("http://h:80/path", "http://h:80/path"),
        ("see redis://u:p@h and http://h:1/", "see redis://u:***@h and http://h:1/"),
    ],
)
def test_the_password_of_an_address_is_hidden(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_what_is_too_short_to_be_a_secret_hides_no_words() -> None:
    assert Redactor(["", "a", "ab"])("a cab") == "a cab"


def test_a_warning_of_a_library_quotes_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    stream = log_to("json")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("input_value='what a model said'", UserWarning, stacklevel=1)
    assert only_line(stream)["logger"] == "py.warnings"
    assert "said" not in stream.getvalue() + capsys.readouterr().err
