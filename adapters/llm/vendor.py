"""What the OpenAI client and langchain-openai raise, in our own words. Heavy to import."""

import email.utils
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import openai

from .failures import Cause, Failed

TOO_LONG_SIGNS = (
    "context_length_exceeded",
    "context length",
    "context window",
    "maximum context",
    "prompt is too long",
    "input tokens exceed",
    "too many tokens",
)
"""In the code or sentence with which servers (OpenAI, vLLM, llama.cpp, Ollama) refuse a long prompt."""
FILTER_SIGNS = ("content_filter", "content_policy", "content management policy", "safety system")
CREDIT_SIGNS = ("insufficient_quota", "billing", "insufficient credits", "payment")


@contextmanager
def translated() -> Iterator[None]:
    """Raises `Failed` for whatever goes wrong inside, but for cancellation and our own `Failed`.

    What the vendors' parsing raises for nonsense is written down nowhere, so that everything
    else counts as a broken answer. Their exceptions are not chained: a traceback would print what
    they quote.
    """
    try:
        yield
    except Failed:
        raise
    except openai.APITimeoutError:
        raise Failed(Cause.TIMEOUT) from None
    except openai.APIConnectionError as error:
        raise Failed(_cause_of_cut(error)) from None
    except openai.APIStatusError as error:
        cause = _cause(error.status_code, _words(error))
        raise Failed(cause, status=error.status_code, wait_s=_wait_s(error)) from None
    except openai.APIError as error:
        raise Failed(_cause_inside(error)) from None
    except TimeoutError:
        raise Failed(Cause.TIMEOUT) from None
    except Exception:  # noqa: BLE001 - see above
        raise Failed(Cause.BROKEN) from None


def refused_parameter(error: openai.APIStatusError, names: set[str]) -> str | None:
    """Which of the parameters called `names` the server does not know, if that is what it says.

    vLLM also names `max_completion_tokens` when prompt and answer together are too long: not meant here.
    """
    if error.status_code not in {400, 422} or _has(_words(error), TOO_LONG_SIGNS):
        return None
    return next((name for name in sorted(names) if error.param == name or name in str(error.body)), None)


def _words(error: openai.APIError) -> str:
    return f"{error.code} {error.type} {error.message} {error.body}".lower()


def _cause(status: int, words: str) -> Cause:
    match status:
        case 401 | 403:
            return Cause.FILTERED if _has(words, FILTER_SIGNS) else Cause.KEY
        case 402:
            return Cause.CREDIT
        case 404:
            return Cause.UNKNOWN_MODEL
        case 408 | 409 | 425:
            return Cause.FAULT
        case 413:
            return Cause.TOO_LONG
        case 429:
            return Cause.CREDIT if _has(words, CREDIT_SIGNS) else Cause.BUSY
        case _ if status >= 500:
            return Cause.FAULT
        case _ if _has(words, TOO_LONG_SIGNS):
            return Cause.TOO_LONG
        case _ if _has(words, FILTER_SIGNS):
            return Cause.FILTERED
        case _ if "model_not_found" in words:
            return Cause.UNKNOWN_MODEL
        case _ if "invalid_api_key" in words or "api key not valid" in words:
            return Cause.KEY
        case _:
            return Cause.REQUEST


def _cause_inside(error: openai.APIError) -> Cause:
    """For an error that came as an event of the stream: its code is a status, a word, or missing."""
    words = _words(error)
    if error.code and error.code.isdigit() and int(error.code) >= 400:
        return _cause(int(error.code), words)
    if _has(words, TOO_LONG_SIGNS):
        return Cause.TOO_LONG
    if _has(words, FILTER_SIGNS):
        return Cause.FILTERED
    if _has(words, CREDIT_SIGNS):
        return Cause.CREDIT
    return Cause.BROKEN


def _cause_of_cut(error: openai.APIConnectionError) -> Cause:
    """Never connected, or cut: `transport.py` raises `ReadError` for the latter only."""
    causes: list[str] = []
    link: BaseException | None = error
    while link is not None:
        causes.append(type(link).__name__)
        link = link.__cause__
    return Cause.BROKEN if {"ReadError", "RemoteProtocolError"} & set(causes) else Cause.UNREACHABLE


def _has(words: str, signs: tuple[str, ...]) -> bool:
    return any(sign in words for sign in signs)


def _wait_s(error: openai.APIStatusError) -> float | None:
    """`Retry-After` in seconds, which may be a number or a date."""
    headers = error.response.headers
    value = headers.get("retry-after", "")
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        if value:
            return max(0.0, float(value))
    except ValueError:
        return _until(value)
    return None


def _until(date: str) -> float | None:
    """Seconds until then; None for what is no date, or one that no calendar has."""
    with suppress(ValueError, OverflowError):
        if found := email.utils.parsedate_tz(date):
            return max(0.0, email.utils.mktime_tz(found) - time.time())
    return None
