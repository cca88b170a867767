"""JSON as platforms send and take it."""

import json
from typing import Any

import orjson


def loads(text: str | bytes) -> Any:
    """What `text` says. Raises `ValueError` for what is no JSON.

    What orjson refuses and others take (half of a surrogate pair, NaN) is read as Python reads it.
    """
    try:
        return orjson.loads(text)
    except ValueError:
        return json.loads(text)


def dumps(value: Any) -> str:
    """`value` as JSON.

    What orjson can't write (half of a surrogate pair, a huge number) is written as Python writes it.
    """
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(value)
