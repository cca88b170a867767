"""The Web API for one workspace: one shared session, our own timeouts, errors and patience."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from adapters.jsons import dumps
from adapters.posts import Throttled
from adapters.slack import direct
from adapters.slack.errors import REVOKED, Refused, status_and_code, translated
from adapters.slack.methods import METHODS
from bot.errors import PlatformUnavailable

TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5, sock_read=20)
CONNECTIONS = 100
READ_ATTEMPTS = 3
READ_PAUSE_S = 0.5

BY_CHANNEL = frozenset({"chat.postMessage"})
"""Slack limits these by channel: one that is full holds no other one up."""

READS = frozenset(
    {
        "auth.teams.list",
        "conversations.history",
        "conversations.info",
        "conversations.list",
        "conversations.members",
        "conversations.replies",
        "files.info",
        "users.conversations",
        "users.info",
        "users.list",
    }
)
"""Slack takes these by GET and by POST. slack-sdk sends GET, and other servers that speak Slack's API know
only POST, as Slack's own SDK for Node sends it, or only GET."""
NO_SUCH_PLACE = frozenset({404, 405})

VENDOR = "adapters.slack.vendor"


class Unquoted(logging.Filter):
    """Lets through that slack-sdk or Bolt complained, and the kind of error, but no word of theirs."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record."""
        kind = record.exc_info[0] if record.exc_info else None
        if record.funcName == "__init__" and kind is None:
            return False  # Bolt looks into the environment by itself, and remarks that it found a token
        record.msg = "Bolt or slack-sdk complained in %s (%s)"
        record.args = (record.funcName, kind.__name__ if kind else "no error")
        record.exc_info = record.exc_text = record.stack_info = None
        record.event = "slack.vendor"
        return True


def vendor_log() -> logging.Logger:
    """The logger for slack-sdk and Bolt, whose own lines quote messages and answers."""
    logger = logging.getLogger(VENDOR)
    logger.setLevel(logging.WARNING)
    if not logger.filters:
        logger.addFilter(Unquoted())
    return logger


def new_session() -> aiohttp.ClientSession:
    """The session for everything that is sent to Slack. slack-sdk's own timeouts do not apply to it."""
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=45)
    return aiohttp.ClientSession(connector=connector, timeout=TIMEOUT, json_serialize=dumps)


def new_web_client(session: aiohttp.ClientSession, api_url: str, token: str | None = None) -> AsyncWebClient:
    """slack-sdk's client, which repeats nothing by itself: a broken call may have been carried out."""
    return AsyncWebClient(
        token=token, base_url=api_url, session=session, logger=vendor_log(), retry_handlers=[]
    )


class Client:
    """Calls the Web API of one workspace, by the names in `METHODS`."""

    def __init__(
        self,
        web: AsyncWebClient,
        workspace: str,
        *,
        on_revoked: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.workspace = workspace
        self._web = web
        self._on_revoked = on_revoked
        self._clock = clock
        self._not_before: dict[tuple[str, str], float] = {}
        """By method and, where Slack counts so, by channel."""
        self._by_get = False
        """This server takes no reads by POST."""
        self.revoked = False
        """Slack refused the token at the last call."""
        self._date = ""
        """When Slack answered last, by its own clock, as it says so."""

    @property
    def token(self) -> str:
        """The bot's token, for the download of files."""
        return self._web.token or ""

    async def call(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        """One call, once. Raises `Throttled`, `Unsettled`, `Refused`, `PostGone`, `PlatformUnavailable`."""
        assert method in METHODS, method
        place = (method, str(arguments.get("channel") or "") if method in BY_CHANNEL else "")
        wait = self._not_before.get(place, 0.0) - self._clock()
        if wait > 0:
            raise Throttled(wait)
        try:
            with translated(method):
                answer = await self._send(method, arguments)
        except Throttled as throttled:
            self._close(place, throttled.retry_after_s)
            raise
        except Refused as refused:
            if refused.code in REVOKED:
                self.revoked = True
                if self._on_revoked is not None:
                    self._on_revoked(self.workspace)
            raise
        self.revoked = False
        self._date = answer.headers.get("Date") or self._date
        data = answer.data
        return data if isinstance(data, dict) else {}

    async def _send(self, method: str, arguments: Mapping[str, Any]) -> AsyncSlackResponse:
        if method in direct.METHODS:
            return await direct.call(self._web, method, arguments)
        by_sdk = getattr(self._web, method.replace(".", "_"))
        if method in READS and not self._by_get:
            try:
                given = {name: value for name, value in arguments.items() if value is not None}
                return await self._web.api_call(method, data=given)
            except SlackApiError as exc:
                if status_and_code(exc.response) not in {(status, "") for status in NO_SUCH_PLACE}:
                    raise
            answer: AsyncSlackResponse = await by_sdk(**arguments)
            self._by_get = True
            return answer
        return await by_sdk(**arguments)  # type: ignore[no-any-return]

    def slacks_time(self) -> float:
        """Seconds since 1970, not ahead of Slack's clock: as of its last answer, where ours is ahead."""
        ours = time.time()
        try:
            return min(ours, parsedate_to_datetime(self._date).timestamp())
        except ValueError:
            return ours

    def _close(self, place: tuple[str, str], seconds: float) -> None:
        """Make no such call for so long; what is over by now is forgotten."""
        now = self._clock()
        self._not_before = {each: until for each, until in self._not_before.items() if until > now}
        self._not_before[place] = now + seconds

    async def read(self, method: str, *, until: float | None = None, **arguments: Any) -> Mapping[str, Any]:
        """A call that changes nothing, so it is repeated when it breaks, and waits when it must.

        `until`: the moment (of this client's clock) past which it won't wait. Raises
        `PlatformUnavailable`, `PlatformForbidden`.
        """
        broken = 0
        while True:
            try:
                return await self.call(method, **arguments)
            except Throttled as throttled:
                wait = throttled.retry_after_s
                if until is not None and self._clock() + wait > until:
                    raise PlatformUnavailable(
                        f"Slack's rate limit for {method} lasts too long."
                    ) from throttled
            except PlatformUnavailable:
                broken += 1
                if broken == READ_ATTEMPTS:
                    raise
                wait = READ_PAUSE_S * broken
            await asyncio.sleep(wait)
