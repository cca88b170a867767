"""How Slack's lists go on, page by page."""

from collections.abc import Mapping
from typing import Any

from bot.errors import PlatformUnavailable


def following(page: Mapping[str, Any], cursor: str | None = None) -> str | None:
    """The cursor of the page after the one that `cursor` gave; None where that was the last.

    Raises `PlatformUnavailable` where a server gives the same page for ever, and never what is behind it.
    """
    after: str | None = (page.get("response_metadata") or {}).get("next_cursor") or None
    if after is not None and after == cursor:
        raise PlatformUnavailable("Slack gives the same page of a list again and again.")
    return after
