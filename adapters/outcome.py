"""What a gesture comes to, for who made it: an answer, or a sentence that says why there is none."""

import logging
from collections.abc import Awaitable
from typing import TypeVar

from adapters.posts import Throttled
from bot.errors import ThreadflyError
from bot.words import SOMETHING_BROKE

log = logging.getLogger(__name__)

T = TypeVar("T")

WAIT = "I am asked to wait. Please try again in a minute."


async def outcome(answering: Awaitable[T]) -> T | str:
    """What comes of it. Whatever goes wrong: nobody is left looking at a button or at "thinking ..."."""
    try:
        return await answering
    except ThreadflyError as error:
        return str(error)
    except Throttled:
        return WAIT
    except Exception:
        log.exception("A gesture failed", extra={"event": "gesture_failed"})
        return SOMETHING_BROKE
