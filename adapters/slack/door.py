"""Slack's requests over HTTP, told from what anybody else sends to the same address.

Bolt reads and parses a request before it looks at the signature, and what it can't read becomes an error of
ours. So nothing that Slack did not sign reaches it; nor do events, of which Bolt refuses some whose wrapping
is odd, though what was said can be read.
https://docs.slack.dev/authentication/verifying-requests-from-slack/
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qs

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.signature import SignatureVerifier

from adapters.jsons import loads

TIMESTAMP, SIGNATURE = "X-Slack-Request-Timestamp", "X-Slack-Signature"
MOST_DIGITS = 12
"""Of a time in seconds: any more is none."""
READ_S = 30.0
"""How long a body may take to come in."""

RETRY = "X-Slack-Retry-Num"
"""The header with which Slack delivers again."""

Dispatch = Callable[[AsyncBoltRequest], Awaitable[BoltResponse]]

log = logging.getLogger(__name__)


class Events(Protocol):
    """Takes an event, and says how Slack is answered."""

    async def __call__(self, body: dict[str, Any], *, again: bool) -> BoltResponse:
        """`again`: Slack delivers it not for the first time."""


class Door:
    """What Slack posts to `/slack/events`."""

    def __init__(self, signing_secret: str, events: Events, dispatch: Dispatch) -> None:
        """`events` is given the events that Slack signed, `dispatch` all else."""
        self._signing_secret = signing_secret
        self._events = events
        self._dispatch = dispatch

    async def take(self, request: web.Request) -> web.Response:
        """Hand it on; what is not Slack's, or can't be read, is refused without a word."""
        try:
            async with asyncio.timeout(READ_S):
                body = (await request.read()).decode()
        except (UnicodeDecodeError, TimeoutError):
            return web.Response(status=HTTPStatus.BAD_REQUEST)
        if not self._is_signed(request, body):
            known = _checks_certificate(body)
            return web.Response(status=HTTPStatus.OK if known else HTTPStatus.UNAUTHORIZED)
        if (event := _event(body)) is not None:
            return await to_aiohttp_response(await self._events(event, again=RETRY in request.headers))
        try:
            received = AsyncBoltRequest(
                body=body,
                query=request.query_string,
                headers=request.headers,  # type: ignore[arg-type]  # a mapping will do
            )
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
            log.warning(
                "Slack sent what can't be read: %s", type(error).__name__, extra={"event": "slack.unreadable"}
            )
            return web.Response(status=HTTPStatus.BAD_REQUEST)
        return await to_aiohttp_response(await self._dispatch(received))

    def _is_signed(self, request: web.Request, body: str) -> bool:
        at, signature = request.headers.get(TIMESTAMP, ""), request.headers.get(SIGNATURE, "")
        if not (at.isdecimal() and len(at) <= MOST_DIGITS and signature.isascii()):
            return False
        return SignatureVerifier(self._signing_secret).is_valid(body, at, signature)


def _event(body: str) -> dict[str, Any] | None:
    """The event that a body holds; None if it holds something else."""
    if not body.startswith("{"):
        return None
    try:
        told = loads(body)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) and told.get("type") == "event_callback" else None


def _checks_certificate(body: str) -> bool:
    """Slack now and then only looks whether the address can be reached, and does not always sign that."""
    return parse_qs(body[:1_000]).get("ssl_check") == ["1"]
