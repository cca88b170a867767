"""Slack's errors as ours: one place where a code or a broken connection gets its meaning."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError

from adapters.posts import Throttled
from bot.errors import PlatformForbidden, PlatformUnavailable, PostGone

GONE = frozenset({"message_not_found"})
FIXED = frozenset({"cant_update_message", "edit_window_closed"})
"""The post is there, and stays as it is."""
BROKEN = frozenset(
    {"internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"}
)
"""Slack says of these that the call may have been carried out in part."""
REVOKED = frozenset(
    {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "org_login_required"}
)
"""The token is good no more."""
UNKNOWN = frozenset({"unknown_method", "not_implemented", "method_deprecated"})
"""Not every server that speaks Slack's API, nor every plan of Slack's, has every method."""
NOT_THERE = frozenset({404, 405, 501})
"""Statuses that mean the same, where no code comes with them."""
RETRY_AFTER_S = 10.0
"""For a 429 that does not say when."""
LEAST_S = 1.0
"""For one that says "now"."""


class Unsettled(PlatformUnavailable):
    """The call broke, and Slack may have carried it out: look before doing it again."""


class Refused(PlatformForbidden):
    """Slack understood the call and refused it; `code` is its word for why."""

    def __init__(self, method: str, code: str) -> None:
        super().__init__(f"Slack refused {method}: {code}.{HINTS.get(code, '')}")
        self.code = code


HINTS = {
    "not_in_channel": " Invite me to the channel.",
    "channel_not_found": " Invite me to the channel, or check that it exists.",
    "missing_scope": " `threadfly doctor` names the scopes that are missing.",
    "is_archived": " The channel is archived.",
    "invalid_auth": " Check the token.",
    "token_revoked": " Install the app again.",
    "account_inactive": " Install the app again.",
}


@contextmanager
def translated(method: str) -> Iterator[None]:
    """Turn whatever slack-sdk and aiohttp raise into `Throttled` or one of our errors."""
    try:
        yield
    except SlackApiError as exc:
        raise _meaning(method, exc) from exc
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as exc:
        raise PlatformUnavailable(f"Slack can't be reached for {method}.") from exc
    except (aiohttp.ClientError, TimeoutError, OSError, SlackClientError) as exc:
        raise Unsettled(f"The connection to Slack broke during {method}.") from exc


def _meaning(method: str, exc: SlackApiError) -> Exception:
    status, code = status_and_code(exc.response)
    if status == 429 or code in {"ratelimited", "rate_limited"}:
        return Throttled(retry_after(exc.response))
    if not code and (status in NOT_THERE or (status < 500 and _is_page(exc.response))):
        return Refused(method, "unknown_method")
    if status >= 500 or code in BROKEN or not code:
        return Unsettled(f"Slack failed at {method}: {code or status}.")
    if code in GONE:
        return PostGone(f"Slack has no post to change: {code}.")
    return Refused(method, code)


def status_and_code(response: Any) -> tuple[int, str]:
    """Status and error of an answer, which slack-sdk gives in three shapes."""
    status: Any = getattr(response, "status_code", None) or getattr(response, "status", 200)
    data = getattr(response, "data", response)
    code = data.get("error") if isinstance(data, dict) else None
    return int(status), code if isinstance(code, str) else ""


def _is_page(response: Any) -> bool:
    """Whether a page for browsers came: what answers so carried nothing out."""
    headers = getattr(response, "headers", None) or {}
    return str(headers.get("Content-Type", "")).startswith("text/html")


def retry_after(response: Any) -> float:
    """Seconds that Slack asks us to wait. None at all would be asked again at once, for ever."""
    headers = getattr(response, "headers", None) or {}
    try:
        seconds = float(headers.get("Retry-After", RETRY_AFTER_S))
    except ValueError:
        return RETRY_AFTER_S
    return seconds if seconds > 0 else LEAST_S
