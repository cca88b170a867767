"""Discord's REST API: calls that keep the rate limits, retry, and fail with our errors.

discord.py keeps the buckets, waits through 429 and repeats what ended in a 500. Not with its
gateway client's session, but with one of our own: so replies can be finished while the gateway
is being mended, or was closed.
"""

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import discord
from discord.http import HTTPClient, Route

from adapters.discord import addresses, leniency
from adapters.posts import Throttled
from bot.errors import PlatformForbidden, PlatformUnavailable, PostGone

log = logging.getLogger(__name__)

Payload = dict[str, Any]
"""JSON as Discord sends it."""

ANSWER_S = 30.0
"""One request's time; waiting for a rate limit comes on top."""
LONGEST_WAIT_S = 60.0
"""A rate limit that wants more is handed to the caller."""
TRIES = 4
"""After a cut connection. Every call here may be made twice without harm, unless it says `tries=1`."""
PAUSE_S = 0.25
"""Before the second try; doubled before each further one."""
SHORT_WAIT_S = 5.0
"""A rate limit that discord.py did not wait for itself is waited for here if it takes no longer."""
BANNED_WAIT_S = 60.0
"""Where a 429 does not say how long."""

COUNTED_S, MOST_REFUSALS = 600.0, 5_000
"""Discord bans an address for an hour or more after 10,000 refusals (401, 403, 429) in ten minutes."""
TOKEN_PAUSE_S = 60.0
"""After Discord refused the token, nothing is asked for so long."""

UNKNOWN_CHANNEL = 10003
INVALID_BODY = 50035
INVALID_WEBHOOK_TOKEN = 50027
"""A 401 that says nothing of the bot's own token: an interaction's has run out."""
TITLE_BLOCKED = 200001
THREAD_EXISTS = 160004
THREAD_ARCHIVED = 50083
SLOW_MODE = (20016, 20028, 20029)
"""The channel's slow mode, and its or the server's limit of writes: over in a while."""
ALREADY_ANSWERED = 40060
NOT_IMPLEMENTED = 501

APPLICATION = ("/oauth2/applications/@me", "/applications/@me")
"""Where the bot's application is told: Discord has both, others one of them or none."""

API_LOGGERS = ("client", "gateway", "http", "shard", "state", "webhook.async_")
"""Those of discord.py's loggers that would quote what people said."""


WRONG = "Discord refuses the bot's token: set DISCORD_TOKEN to the one of your app."


class Refused(PlatformForbidden):
    """Discord says no, and would again. `code` is Discord's own."""

    def __init__(self, sentence: str, code: int = 0) -> None:
        super().__init__(sentence)
        self.code = code


class Missing(PostGone):
    """Discord does not know it (any more). `code` is Discord's own; 0 where something else answered."""

    def __init__(self, sentence: str, code: int = 0) -> None:
        super().__init__(sentence)
        self.code = code


class TokenRefused(PlatformUnavailable):
    """The token was good once, and is refused now: what is owed waits for a good one."""


class Refusals:
    """Keeps refused calls from becoming so many that Discord bans the address."""

    def __init__(self) -> None:
        self._at: deque[float] = deque(maxlen=MOST_REFUSALS)
        self._closed_until = 0.0

    def check(self) -> None:
        """Raise `PlatformUnavailable` while nothing may be asked."""
        now = time.monotonic()
        if now < self._closed_until:
            raise PlatformUnavailable("Discord refused too much; it is asked again later")

    def count(self, error: Refused | Throttled | TokenRefused) -> None:
        """A call was refused."""
        now = time.monotonic()
        self._at.append(now)
        if isinstance(error, TokenRefused):
            self._closed_until = now + TOKEN_PAUSE_S
        elif len(self._at) == MOST_REFUSALS and self._at[0] > now - COUNTED_S:
            self._closed_until = self._at[0] + COUNTED_S
            log.error(
                "Discord refused %d calls within ten minutes: nothing is asked for a while.",
                MOST_REFUSALS,
                extra={"event": "too_many_refusals"},
            )


@contextmanager
def our_errors(doing: str) -> Iterator[None]:
    """discord.py's and aiohttp's errors as ours; what Discord says of them is not quoted."""
    try:
        yield
    except discord.LoginFailure as error:
        raise Refused(WRONG) from error
    except discord.RateLimited as error:
        raise Throttled(error.retry_after) from error
    except discord.NotFound as error:
        raise Missing(f"{doing}: not there any more (code {error.code})", error.code) from error
    except discord.HTTPException as error:
        raise _refusal(doing, error) from error
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise PlatformUnavailable(f"{doing}: Discord can't be reached ({type(error).__name__})") from error


def _refusal(doing: str, error: discord.HTTPException) -> Exception:
    if error.status == 429:
        wait = error.response.headers.get("Retry-After", "")
        return Throttled(float(wait) if wait.replace(".", "", 1).isdigit() else BANNED_WAIT_S)
    if error.code in SLOW_MODE:
        return Throttled(SHORT_WAIT_S)
    if error.status >= 500 and error.status != NOT_IMPLEMENTED:
        return PlatformUnavailable(f"{doing}: Discord answers {error.status}")
    if error.status == 401 and error.code != INVALID_WEBHOOK_TOKEN:
        return TokenRefused("Discord refuses the bot's token now: set DISCORD_TOKEN, and restart.")
    return Refused(f"{doing}: Discord refuses it ({error.status}, code {error.code})", error.code)


def keep_quiet() -> None:
    """Keep discord.py's debug lines, which quote messages and tokens, and its tracebacks out of the log."""
    for name in API_LOGGERS:
        logger = logging.getLogger(f"discord.{name}")
        logger.setLevel(max(logging.INFO, logger.getEffectiveLevel()))
        logger.addFilter(_without_traceback)


def _without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = None
    return True


class Rest:
    """The API for one bot. Open it first; `me` is known from then on."""

    def __init__(self, token: str, api_url: str) -> None:
        self._token = token
        self._api_url = api_url
        self._http: HTTPClient | None = None
        self._refusals = Refusals()
        self.me = 0
        """The bot's own user id."""
        self.application = 0
        self.told_at: datetime | None = None
        """When Discord answered last, by its own clock, to the second."""
        self.about: Payload = {}
        """What is told of the application."""

    async def open(self) -> None:
        """Log in. Raises `PlatformForbidden` for a wrong token, `PlatformUnavailable`."""
        addresses.use_api(self._api_url)
        leniency.use()
        keep_quiet()
        http = HTTPClient(
            asyncio.get_running_loop(), max_ratelimit_timeout=LONGEST_WAIT_S, http_trace=self._clock()
        )
        try:
            with our_errors("logging in"):
                user = await http.static_login(_token(self._token))
        except BaseException:
            await http.close()
            raise
        self._http, self.me = http, int(user["id"])
        try:
            self.about = await self._about()
        except BaseException:
            await self.close()
            raise
        self.application = int(self.about["id"])

    def _clock(self) -> aiohttp.TraceConfig:
        """Watches the answers for the time that Discord has."""

        async def told(_session: Any, _context: Any, answered: aiohttp.TraceRequestEndParams) -> None:
            with suppress(KeyError, ValueError, TypeError):
                self.told_at = parsedate_to_datetime(answered.response.headers["Date"])

        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(told)
        return trace

    async def _about(self) -> Payload:
        """The application; where nobody tells, it has the bot's id, as every one made since 2016."""
        for path in APPLICATION:
            with suppress(PostGone, Refused):
                told = await self.call("GET", path)
                if isinstance(told, dict) and "id" in told:
                    return told
        return {"id": str(self.me)}

    async def close(self) -> None:
        """Let go of the connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def call(
        self,
        verb: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        file: tuple[str, bytes] | None = None,
        tries: int = TRIES,
        **ids: Any,
    ) -> Any:
        """Carry out one call, and return the JSON that came back.

        `ids` fill in `path`, and `channel_id`, `guild_id` and `webhook_id` choose the rate limit's
        bucket. Raises `Throttled`, `PostGone`, `PlatformForbidden`, `PlatformUnavailable`.
        """
        options: dict[str, Any] = {"timeout": aiohttp.ClientTimeout(total=ANSWER_S)}
        if query is not None:
            options["params"] = dict(query)
        if file is not None:
            options["form"] = _form(body, file)
        elif body is not None:
            options["json"] = body
        for attempt in range(1, tries + 1):
            if self._http is None:
                raise PlatformUnavailable("the connection to Discord is closed")
            self._refusals.check()
            try:
                with our_errors(f"{verb} {path}"):
                    return await self._http.request(Route(verb, path, **ids), **options)
            except Throttled as throttled:
                self._refusals.count(throttled)
                if attempt == tries or throttled.retry_after_s > SHORT_WAIT_S:
                    raise
                await asyncio.sleep(throttled.retry_after_s)
                continue
            except (Refused, TokenRefused) as error:
                self._refusals.count(error)
                raise
            except PlatformUnavailable:
                if attempt == tries:
                    raise
            await asyncio.sleep(PAUSE_S * 2 ** (attempt - 1))
        raise AssertionError("unreachable: the last try returns or raises")


def _token(given: str) -> str:
    """The token, if it can be sent at all: a half or a double paste may hold line breaks."""
    token = given.strip()
    if not (token.isascii() and token.isprintable()):
        raise Refused(WRONG)
    return token


def _form(body: Any, file: tuple[str, bytes]) -> list[Payload]:
    name, content = file
    return [
        {"name": "payload_json", "value": json.dumps(body)},
        {"name": "files[0]", "value": content, "filename": name, "content_type": "text/plain; charset=utf-8"},
    ]
