"""What discord.py demands of Discord, filled in where a server leaves it out.

discord.py ends its connection over a field that is missing, and reads no JSON that does not call itself
exactly `application/json`. Discord itself has cut fields before, and proxies and emulators send fewer.
Everything here works on what discord.py looks up at run time, as `addresses.py` does: for the whole process.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import aiohttp
import discord
import discord.client
import discord.http
import discord.shard
from discord.gateway import DiscordWebSocket, ReconnectWebSocket

from adapters.jsons import loads

log = logging.getLogger(__name__)

Payload = dict[str, Any]
Parser = Callable[[Any], None]

RETRY_S = 1.0
"""Where a 429 does not say how long."""
SESSION = ("READY", "RESUMED")
"""Without these there is no session: failing at them must end the connection."""
SESSION_S = 60.0
"""How long a gateway may take for one of these. One that never answers would never be asked again."""

USER: Payload = {"username": "", "discriminator": "0", "avatar": None}
MEMBER: Payload = {"roles": [], "flags": 0}
ROLE: Payload = {"name": ""}
CHANNEL: Payload = {"name": "", "position": 0, "bitrate": 64_000, "user_limit": 0}
THREAD: Payload = {"name": "", "owner_id": "0", "message_count": 0, "member_count": 0}
METADATA: Payload = {
    "archived": False,
    "auto_archive_duration": 1440,
    "archive_timestamp": "2015-01-01T00:00:00Z",
}
APPLICATION: Payload = {
    "name": "",
    "description": "",
    "icon": None,
    "verify_key": "",
    "flags": 0,
    "bot_public": False,
    "bot_require_code_grant": False,
}


class Socket(DiscordWebSocket):
    """A gateway connection whose READY may lack where to resume, and whose RESUMED may carry nothing.

    Where neither comes, the connection ends, and another one begins a session.
    """

    _due: float | None = None
    """By the loop's clock: until when an answer is waited for."""

    async def identify(self) -> None:
        await super().identify()
        self._wait_for_session()

    async def resume(self) -> None:
        await super().resume()
        self._wait_for_session()

    def _wait_for_session(self) -> None:
        self._due = asyncio.get_running_loop().time() + SESSION_S

    async def poll_event(self) -> None:
        if self._due is None:
            return await super().poll_event()
        try:
            async with asyncio.timeout_at(self._due) as waiting:
                await super().poll_event()
        except TimeoutError:
            if not waiting.expired():
                raise
            await self._give_up()

    async def _give_up(self) -> NoReturn:
        """As after an invalid session."""
        log.warning("The gateway does not answer; a new session is opened.", extra={"event": "no_session"})
        self.sequence = self.session_id = None
        self.gateway = self.DEFAULT_GATEWAY
        await self.close(code=1000)
        raise ReconnectWebSocket(self.shard_id, resume=False)

    async def received_message(self, msg: Any, /) -> None:
        if type(msg) is bytes:
            msg = self._decompressor.decompress(msg)
            if msg is None:
                return
        await super().received_message(self._completed(msg) if '"RE' in msg else msg)

    def _completed(self, text: str) -> str:
        message = loads(text)
        if message.get("t") not in SESSION:
            return text
        self._due = None
        data = message["d"] = message.get("d") or {}
        if message["t"] == "READY":
            message.setdefault("s", None)
            _fill(
                data, {"session_id": "", "guilds": [], "shard": [self.shard_id or 0, self.shard_count or 1]}
            )
            data["resume_gateway_url"] = data.get("resume_gateway_url") or str(self.gateway)
        return json.dumps(message)


async def json_or_text(response: aiohttp.ClientResponse) -> Any:
    """The body: read as JSON if it looks like it, whatever it is called. Raises `discord.RateLimited`.

    discord.py takes a 429 that came through no proxy of Discord's for a ban; with a `retry_after` it is none.
    """
    text = await response.text(encoding="utf-8")
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        body = loads(text)
    except ValueError:
        return text
    if response.status == 429 and isinstance(body, dict):
        body["retry_after"] = _seconds(body.get("retry_after"), response.headers.get("Retry-After"))
        if "Via" not in response.headers:
            raise discord.RateLimited(body["retry_after"])
    if isinstance(body, dict) and response.url.path.endswith("/users/@me"):
        user(body)
    return body


def _seconds(*told: Any) -> float:
    for one in told:
        try:
            return max(0.0, float(one))
        except (TypeError, ValueError):
            continue
    return RETRY_S


def use() -> None:
    """Let every client of the process be lenient."""
    discord.http.json_or_text = json_or_text
    for module in (discord.client, discord.shard):
        setattr(module, DiscordWebSocket.__name__, Socket)


def parse_leniently(parsers: dict[str, Parser]) -> None:
    """Let a dispatch that discord.py cannot read be passed over, and not end the connection."""
    told: set[str] = set()
    for event, parse in list(parsers.items()):
        parsers[event] = _lenient(event, parse, told)


def _lenient(event: str, parse: Parser, told: set[str]) -> Parser:
    complete = _COMPLETE.get(event)

    def run(data: Any) -> None:
        try:
            if complete is not None:
                complete(data)
            parse(data)
        except Exception as error:
            if event in SESSION:
                raise
            _pass_over(event, error, told)

    return run


@contextmanager
def passing_over(what: str) -> Iterator[None]:
    """Pass over a single thing that cannot be read, so that it holds up no other."""
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        _pass_over(what, error, set())


def _pass_over(event: str, error: Exception, told: set[str]) -> None:
    level = logging.DEBUG if event in told else logging.WARNING
    told.add(event)
    kind = type(error).__name__
    log.log(level, "Discord sent what can't be read (%s).", kind, extra={"event": "unread", "of": event})


def user(data: Payload) -> Payload:
    """A user, with all that discord.py asks for."""
    return _fill(data, USER)


def application(data: Payload, owner: Payload) -> Payload:
    """An application, with all that discord.py asks for; `owner`: who owns it if it does not say."""
    whole = _fill({**data}, APPLICATION)
    whole["owner"] = user(whole.get("owner") or owner)
    return whole


def _fill(data: Payload, defaults: Payload) -> Payload:
    for name, value in defaults.items():
        if name not in data:
            data[name] = list(value) if isinstance(value, list) else value
    return data


def _ready(data: Payload) -> None:
    user(data["user"])
    if "application" in data:
        _fill(data["application"], {"flags": 0})


def _guild(data: Payload) -> None:
    for role in data.get("roles", ()):
        _fill(role, ROLE)
    for member in data.get("members", ()):
        user(_fill(member, MEMBER)["user"])
    _each(data.get("channels", ()), _channel)
    _each(data.get("threads", ()), _thread)


def _channel(data: Payload) -> None:
    _fill(data, CHANNEL)
    for overwrite in data.get("permission_overwrites") or ():
        overwrite["type"] = int(overwrite.get("type") or 0)


def _thread(data: Payload) -> None:
    _fill(data, THREAD)
    data["thread_metadata"] = _fill(data.get("thread_metadata") or {}, METADATA)


def _threads(data: Payload) -> None:
    _each(data.get("threads", ()), _thread)


def _role(data: Payload) -> None:
    _fill(data["role"], ROLE)


def _each(payloads: Iterable[Payload], complete: Callable[[Payload], None]) -> None:
    for payload in payloads:
        complete(payload)


_COMPLETE: dict[str, Callable[[Payload], None]] = {
    "READY": _ready,
    "GUILD_CREATE": _guild,
    "GUILD_UPDATE": _guild,
    "CHANNEL_CREATE": _channel,
    "CHANNEL_UPDATE": _channel,
    "THREAD_CREATE": _thread,
    "THREAD_UPDATE": _thread,
    "THREAD_LIST_SYNC": _threads,
    "GUILD_ROLE_CREATE": _role,
    "GUILD_ROLE_UPDATE": _role,
}
