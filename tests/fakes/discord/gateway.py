"""The gateway: sessions that outlive their connections, and what is dispatched to them.

https://docs.discord.com/developers/events/gateway
"""

import asyncio
import json
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import zstandard
from aiohttp import WSCloseCode, WSMsgType, web

from tests.fakes.discord.permissions import BITS
from tests.fakes.discord.world import PRIVATE_THREAD, Payload, World

DISPATCH, HEARTBEAT, IDENTIFY, PRESENCE, RESUME, RECONNECT, INVALID, HELLO, ACK = 0, 1, 2, 3, 6, 7, 9, 10, 11

INTENT_GUILDS = 1 << 0
INTENT_MEMBERS = 1 << 1
INTENT_PRESENCES = 1 << 8
INTENT_GUILD_MESSAGES = 1 << 9
INTENT_DIRECT_MESSAGES = 1 << 12
INTENT_CONTENT = 1 << 15
MESSAGES = ("MESSAGE_CREATE", "MESSAGE_UPDATE", "MESSAGE_DELETE", "MESSAGE_DELETE_BULK")
ALWAYS = ("INTERACTION_CREATE", "READY", "RESUMED")

AUTHENTICATION_FAILED, INVALID_SHARD, DISALLOWED_INTENTS = 4004, 4010, 4014
SESSION_TIMED_OUT = 4009


def zlib_stream() -> Callable[[bytes], bytes]:
    """One zlib stream for the whole connection, flushed after each message."""
    stream = zlib.compressobj()
    return lambda data: stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)


def zstd_stream() -> Callable[[bytes], bytes]:
    """One zstd frame for the whole connection, a block flushed for each message."""
    stream = zstandard.ZstdCompressor().compressobj()
    return lambda data: stream.compress(data) + stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)


PACKERS: dict[str, Callable[[], Callable[[bytes], bytes] | None]] = {
    "": lambda: None,
    "zlib-stream": zlib_stream,
    "zstd-stream": zstd_stream,
}


def bare_user(user: Payload) -> Payload:
    """Who somebody is, and nothing else."""
    return {name: user[name] for name in ("id", "username", "bot") if name in user}


def bare_ready(ready: Payload) -> Payload:
    """No address to resume at, no shard, no application."""
    return {"v": 10, "user": bare_user(ready["user"]), "session_id": ready["session_id"], "guilds": []}


def bare_guild(guild: Payload) -> Payload:
    """Names of channels and roles; no members, rights or threads."""
    channels = [{name: c[name] for name in ("id", "type", "name")} for c in guild["channels"]]
    roles = [{"id": role["id"], "permissions": role["permissions"]} for role in guild["roles"]]
    return {"id": guild["id"], "name": guild["name"], "channels": channels, "roles": roles}


def bare_message(message: Payload) -> Payload:
    """What was said, by whom and where; whom it names can only be read in the text."""
    kept = ("id", "channel_id", "guild_id", "content", "timestamp", "type", "edited_timestamp")
    known = {name: message[name] for name in kept if name in message}
    return {**known, "author": bare_user(message["author"]), "mentions": []}


def bare_interaction(interaction: Payload) -> Payload:
    """Who did what where; not by which application, nor what the place is like."""
    kept = ("id", "type", "token", "data", "guild_id", "channel_id", "user", "message")
    known = {name: interaction[name] for name in kept if name in interaction}
    if member := interaction.get("member"):
        known["member"] = {"user": bare_user(member["user"]), "roles": member["roles"]}
    return known


BARE: dict[str, Callable[[Payload], Payload]] = {
    "READY": bare_ready,
    "GUILD_CREATE": bare_guild,
    "MESSAGE_CREATE": bare_message,
    "MESSAGE_UPDATE": bare_message,
    "INTERACTION_CREATE": bare_interaction,
}


@dataclass
class Session:
    """What survives a lost connection: everything dispatched, to be sent again on resume."""

    id: str
    intents: int
    shard: int
    shards: int
    sent: list[str] = field(default_factory=list)
    socket: "Socket | None" = None


class Socket:
    """One connection, compressed as its client asked."""

    def __init__(self, ws: web.WebSocketResponse, compress: str) -> None:
        self.ws = ws
        self._pack = PACKERS[compress]()
        self._outbox: asyncio.Queue[str] = asyncio.Queue()
        self.writer = asyncio.create_task(self._write())
        self.dropped = False
        """The end came from this side, which lets the session live."""
        self.dumb = False
        """A zombie: takes everything, answers nothing."""

    def send(self, text: str) -> None:
        """Queue one message; they leave in order."""
        if not self.dumb:
            self._outbox.put_nowait(text)

    async def _write(self) -> None:
        while True:
            text = await self._outbox.get()
            if self._pack is None:
                await self.ws.send_str(text)
            else:
                await self.ws.send_bytes(self._pack(text.encode()))

    async def close(self, code: int) -> None:
        """End the connection with a close code."""
        self.dropped = True
        self.writer.cancel()
        await self.ws.close(code=code)


class Gateway:
    """Every session, and the switches that tests turn."""

    def __init__(self, world: World, token: str) -> None:
        self.world = world
        self.token = token
        self.url = ""
        self.shards = 1
        self.heartbeat_ms = 41_250
        self.content_intent = True
        self.identify_budget = 1000
        self.identifies: list[float] = []
        self.resumes = 0
        self.heartbeats = 0
        self.sessions: dict[str, Session] = {}
        self.sockets: set[Socket] = set()
        self.closing = False
        self.refuse_resume = False
        self.deaf = 0
        """How many more times nothing is answered to identify or resume."""
        self.bare = False
        """As small emulators are: no compression, and no field that can be done without."""
        self.identify_every_s = 0.0
        """Discord's is 5 s for each of `max_concurrency`; tests would wait too long."""

    # ---- dispatching

    def dispatch(self, event: str, payload: Payload, guild: int, channel: int) -> None:
        """Send an event to every session that asked for it and may see it."""
        for session in self.sessions.values():
            if self._wants(session, event, payload, guild, channel):
                self._send(session, event, payload)

    def _wants(self, session: Session, event: str, payload: Payload, guild: int, channel: int) -> bool:
        if guild and (guild >> 22) % session.shards != session.shard:
            return False
        if not guild and session.shard:
            return False
        if event in ALWAYS:
            return True
        if event in MESSAGES:
            wanted = INTENT_GUILD_MESSAGES if guild else INTENT_DIRECT_MESSAGES
            return bool(session.intents & wanted) and self._sees(channel)
        if event.startswith("THREAD_") and channel in self.world.channels:
            place = self.world.channels[channel]
            member = self.world.bot.id in place.members
            return self._sees(channel) and (place.kind != PRIVATE_THREAD or member)
        return bool(session.intents & INTENT_GUILDS)

    def _sees(self, channel: int) -> bool:
        return channel not in self.world.channels or bool(
            self.world.can(self.world.bot.id, channel) & BITS["view_channel"]
        )

    def _send(self, session: Session, event: str, payload: Payload) -> None:
        if event in MESSAGES[:2] and not session.intents & INTENT_CONTENT:
            payload = self.world.without_content(payload)
        if self.bare:
            payload = BARE.get(event, lambda whole: whole)(payload)
        text = json.dumps({"op": DISPATCH, "t": event, "s": len(session.sent) + 1, "d": payload})
        session.sent.append(text)
        if session.socket is not None:
            session.socket.send(text)

    def raw(self, event: str, payload: Payload) -> None:
        """Dispatch something as it is, to everybody: malformed payloads, events of tomorrow."""
        for session in self.sessions.values():
            self._send(session, event, payload)

    # ---- connections

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """One client, from hello to its end."""
        if self.closing:
            return web.Response(status=503)
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        compress = request.query.get("compress", "")
        if request.query.get("v") != "10" or compress not in PACKERS:
            self.world.violation(f"a gateway connection asked for {request.query_string}")
            compress = ""
        if self.bare:
            compress = ""
        socket = Socket(ws, compress)
        self.sockets.add(socket)
        socket.send(json.dumps({"op": HELLO, "d": {"heartbeat_interval": self.heartbeat_ms}}))
        session: Session | None = None
        try:
            async for message in ws:
                if message.type is WSMsgType.TEXT:
                    session = await self._receive(socket, session, json.loads(message.data))
        finally:
            self.sockets.discard(socket)
            socket.writer.cancel()
            if session is not None and session.socket is socket:
                session.socket = None
                if not socket.dropped and ws.close_code in (WSCloseCode.OK, WSCloseCode.GOING_AWAY):
                    self.sessions.pop(session.id, None)
            self.world.touch()
        return ws

    async def _receive(self, socket: Socket, session: Session | None, message: Payload) -> Session | None:
        op, data = message["op"], message.get("d")
        if op == HEARTBEAT:
            self.heartbeats += 1
            socket.send(json.dumps({"op": ACK}))
            self.world.touch()
        elif op in (IDENTIFY, RESUME) and self.deaf:
            self.deaf -= 1
            self.world.touch()
        elif op == IDENTIFY:
            return await self._identify(socket, data)
        elif op == RESUME:
            return await self._resume(socket, data)
        elif op != PRESENCE:
            self.world.violation(f"the client sent op {op}")
        return session

    async def _identify(self, socket: Socket, data: Any) -> Session | None:
        now = time.monotonic()
        if self.identifies and now - self.identifies[-1] < self.identify_every_s:
            self.world.violation("identified faster than allowed")
        self.identifies.append(now)
        self.world.touch()
        if data["token"] != self.token:
            await socket.close(AUTHENTICATION_FAILED)
            return None
        intents = data["intents"]
        if (intents & INTENT_CONTENT and not self.content_intent) or intents & (
            INTENT_MEMBERS | INTENT_PRESENCES
        ):
            await socket.close(DISALLOWED_INTENTS)
            return None
        shard, shards = data.get("shard", [0, 1])
        if not 0 <= shard < shards:
            await socket.close(INVALID_SHARD)
            return None
        session = Session(f"session-{self.world.snowflake()}", intents, shard, shards, socket=socket)
        for other in [s for s in self.sessions.values() if (s.shard, s.shards) == (shard, shards)]:
            if other.socket is None:
                del self.sessions[other.id]
        self.sessions[session.id] = session
        self._send(session, "READY", self._ready(session))
        for guild in list(self.world.guilds):
            if (guild >> 22) % shards == shard:
                self._send(session, "GUILD_CREATE", self.world.guild_payload(guild))
        return session

    def _ready(self, session: Session) -> Payload:
        mine = [guild for guild in self.world.guilds if (guild >> 22) % session.shards == session.shard]
        return {
            "v": 10,
            "user": {**self.world.bot.payload(), "verified": True, "mfa_enabled": False, "flags": 0},
            "guilds": [{"id": str(guild), "unavailable": True} for guild in mine],
            "session_id": session.id,
            "resume_gateway_url": self.url,
            "shard": [session.shard, session.shards],
            "application": {"id": str(self.world.bot.id), "flags": 1 << 19},
            "private_channels": [],
            "user_settings": {},
            "relationships": [],
            "presences": [],
            "guild_join_requests": [],
            "geo_ordered_rtc_regions": [],
        }

    async def _resume(self, socket: Socket, data: Any) -> Session | None:
        session = self.sessions.get(data["session_id"])
        if session is None or self.refuse_resume or data["seq"] is None:
            socket.send(json.dumps({"op": INVALID, "d": False}))
            return None
        self.resumes += 1
        session.socket = socket
        for text in session.sent[data["seq"] :]:
            socket.send(text)
        self._send(session, "RESUMED", {"_trace": []})
        self.world.touch()
        return session

    # ---- what tests do to it

    async def drop(self, code: int = 4000) -> None:
        """Cut every connection; the sessions can be resumed."""
        for socket in list(self.sockets):
            await socket.close(code)

    async def cut(self) -> None:
        """Cut every connection without a word, as a dead network does."""
        for socket in list(self.sockets):
            socket.writer.cancel()
            transport = socket.ws._req.transport if socket.ws._req else None
            if transport is not None:
                transport.abort()

    def ask_reconnect(self) -> None:
        """Op 7: please reconnect and resume."""
        for socket in self.sockets:
            socket.send(json.dumps({"op": RECONNECT, "d": None}))

    def invalidate(self, resumable: bool = False) -> None:
        """Op 9: the session is void; unless `resumable`, everything of it is forgotten."""
        sockets = list(self.sockets)
        if not resumable:
            for session in self.sessions.values():
                session.socket = None
            self.sessions.clear()
        for socket in sockets:
            socket.send(json.dumps({"op": INVALID, "d": resumable}))

    def forget(self) -> None:
        """Every session runs out: the next resume is refused."""
        for session in self.sessions.values():
            session.socket = None
        self.sessions.clear()

    def zombify(self) -> None:
        """The connections stay open and go silent: no heartbeat is acknowledged."""
        for socket in self.sockets:
            socket.dumb = True
