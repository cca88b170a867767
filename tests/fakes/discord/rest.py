"""The REST API: routes, refusals, and the rules that the client must keep.

https://docs.discord.com/developers/reference
"""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import BodyPartReader, web

from tests.fakes.discord.gateway import Gateway
from tests.fakes.discord.limits import Limits
from tests.fakes.discord.permissions import BITS
from tests.fakes.discord.world import (
    ANNOUNCEMENT,
    DM,
    GROUP,
    HAS_THREAD,
    POSTS_ONLY,
    PRIVATE_THREAD,
    TEXT,
    VOICED,
    Channel,
    Interaction,
    Payload,
    World,
    iso,
)

MESSAGE_LENGTH = 2000
NONCE_LENGTH = 25
CUSTOM_ID_LENGTH = 100
EMBED_LENGTH = 4096
EMBEDS_LENGTH = 6000
"""Of all embeds of a message together."""
TOKEN_S = 900.0
"""How long the token of an interaction lives."""
COMMAND_NAME = re.compile(r"[-_'\w]{1,32}")
HISTORY_PAGE = 100
INTERACTION_ANSWER_S = 3.0


def _is_command(command: Payload) -> bool:
    """Whether Discord takes it."""
    name, described = command["name"], command.get("description", "")
    if command.get("type", 1) != 1:
        return 1 <= len(name) <= 32 and not described and not command.get("options")
    options = command.get("options", [])
    named = [command, *options]
    return (
        all(COMMAND_NAME.fullmatch(each["name"]) and each["name"] == each["name"].lower() for each in named)
        and all(1 <= len(each["description"]) <= 100 for each in named)
        and len(options) <= 25
        and all(len(option.get("choices") or ()) <= 25 for option in options)
        and all(not (option.get("choices") and option.get("autocomplete")) for option in options)
    )


def _texts(embed: Payload) -> list[str]:
    """Everything that counts in an embed."""
    parts = [embed.get("title"), embed.get("description"), (embed.get("footer") or {}).get("text")]
    parts += [field[name] for field in embed.get("fields") or [] for name in ("name", "value")]
    return [part for part in parts if part]


class Refused(Exception):
    """An error as Discord answers it."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


UNKNOWN_CHANNEL = Refused(404, 10003, "Unknown Channel")
UNKNOWN_MESSAGE = Refused(404, 10008, "Unknown Message")
UNKNOWN_INTERACTION = Refused(404, 10062, "Unknown interaction")
MISSING_ACCESS = Refused(403, 50001, "Missing Access")
MISSING_PERMISSIONS = Refused(403, 50013, "Missing Permissions")
CANNOT_DM = Refused(403, 50007, "Cannot send messages to this user")
WINDOW, SUBMITTED = 9, 5
"""Types of a response and of an interaction."""
THREAD_ARCHIVED = Refused(400, 50083, "Thread is archived")
THREAD_LOCKED = Refused(403, 160005, "Thread is locked")
THREAD_EXISTS = Refused(400, 160004, "A thread has already been created for this message")


@dataclass
class Hold:
    """A call that waits, before it is carried out or before its answer is sent."""

    route: str
    carried_out: bool
    skip: int
    reached: bool = False
    release: asyncio.Event = field(default_factory=asyncio.Event)


class Rest:
    """Handlers of the routes that bots use."""

    def __init__(self, world: World, gateway: Gateway, limits: Limits, token: str) -> None:
        self.world, self.gateway, self.limits, self.token = world, gateway, limits, token
        self.calls: list[str] = []
        self.faults: list[tuple[str, Callable[[], Awaitable[web.Response | None]]]] = []
        self.cut_after: list[str] = []
        """Routes whose next call is carried out, and then its connection cut."""
        self._holds: list[Hold] = []
        self._waiting: set[asyncio.Event] = set()
        self.flags = 1 << 19
        self.absent: dict[str, int] = {}
        """Routes that are not there, and the status that says so."""
        self.bare = False
        """As small emulators answer: no proxy's header, no rate limits told, another Content-Type."""
        self.thread_page = 100
        """Most archived threads on one page."""
        self.message_page = HISTORY_PAGE
        """Most messages on one page; Discord's own number, but other servers may return fewer."""

    def routes(self) -> list[web.RouteDef]:
        """Every route below `/api/v10`."""
        base = "/api/v10"
        channel, message = base + "/channels/{channel}", base + "/channels/{channel}/messages/{message}"
        application = base + "/applications/{application}/commands"
        hook = base + "/webhooks/{application}/{token}"
        table: list[tuple[str, str, str, Callable[..., Any]]] = [
            ("GET", base + "/users/@me", "GET me", self.me),
            ("GET", base + "/oauth2/applications/@me", "GET application", self.application),
            ("GET", base + "/applications/@me", "GET application", self.application),
            ("GET", base + "/gateway", "GET gateway", self.get_gateway),
            ("GET", base + "/gateway/bot", "GET gateway", self.get_gateway),
            ("POST", base + "/users/@me/channels", "POST dm", self.open_dm),
            ("GET", base + "/users/@me/guilds", "GET guilds", self.my_guilds),
            ("GET", base + "/users/{user}", "GET user", self.get_user),
            ("POST", base + "/attachments/refresh-urls", "POST refresh", self.refresh),
            ("GET", base + "/guilds/{guild}", "GET guild", self.get_guild),
            ("GET", base + "/guilds/{guild}/channels", "GET guild channels", self.guild_channels),
            ("GET", base + "/guilds/{guild}/threads/active", "GET active", self.active_threads),
            ("GET", base + "/guilds/{guild}/members/{user}", "GET member", self.get_member),
            ("GET", channel, "GET channel", self.get_channel),
            ("PATCH", channel, "PATCH channel", self.patch_channel),
            ("GET", channel + "/messages", "GET messages", self.get_messages),
            ("POST", channel + "/messages", "POST messages", self.post_message),
            ("GET", message, "GET message", self.get_message),
            ("PATCH", message, "PATCH message", self.patch_message),
            ("DELETE", message, "DELETE message", self.delete_message),
            ("PUT", message + "/reactions/{emoji}/@me", "PUT reaction", self.react),
            ("POST", message + "/threads", "POST threads", self.start_thread),
            ("POST", channel + "/threads", "POST forum post", self.start_post),
            ("POST", channel + "/typing", "POST typing", self.start_typing),
            ("GET", channel + "/threads/archived/public", "GET archived", self.archived_threads),
            ("GET", channel + "/thread-members/{user}", "GET thread member", self.get_thread_member),
            ("GET", channel + "/users/@me/threads/archived/private", "GET own archived", self.own_archived),
            ("GET", application, "GET commands", self.get_commands),
            ("PUT", application, "PUT commands", self.put_commands),
            ("POST", base + "/interactions/{interaction}/{token}/callback", "POST callback", self.callback),
            ("POST", hook, "POST followup", self.followup),
            ("GET", hook + "/messages/@original", "GET original", self.get_original),
            ("PATCH", hook + "/messages/@original", "PATCH original", self.patch_original),
        ]
        files = [web.get("/attachments/{channel}/{file}/{name}", self.download)]
        return [web.route(verb, path, self._served(name, run)) for verb, path, name, run in table] + files

    def _served(
        self, route: str, run: Callable[..., Any]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            self.calls.append(route)
            self.world.touch()
            if route in self.absent:
                return web.Response(status=self.absent[route], text="Cannot do that here")
            for index, (where, fault) in enumerate(self.faults):
                if where == route:
                    del self.faults[index]
                    answer = await fault()
                    if answer is not None:
                        return answer
                    break
            if "interactions" not in request.path and "webhooks" not in request.path:
                if request.headers.get("Authorization") != f"Bot {self.token}":
                    return self._json({"message": "401: Unauthorized", "code": 0}, 401)
                wait = self.limits.take_global()
                if wait:
                    return self._limited(wait, {}, everywhere=True)
            major = request.match_info.get("channel", "")
            wait, headers = self.limits.take(route, major)
            if wait:
                return self._limited(wait, headers, everywhere=False)
            hold = self._hold(route)
            if hold is not None and not hold.carried_out:
                await self._wait(hold)
                if request.transport is None or request.transport.is_closing():
                    return web.Response(status=499)
            try:
                result = await run(request)
            except Refused as refused:
                return self._json({"message": refused.message, "code": refused.code}, refused.status, headers)
            if hold is not None and hold.carried_out:
                await self._wait(hold)
            if route in self.cut_after:
                self.cut_after.remove(route)
                assert request.transport is not None
                request.transport.abort()
            if result is None:
                return web.Response(status=204, headers=headers)
            return self._json(result, 200, headers)

        return serve

    def _json(self, body: Any, status: int, headers: dict[str, str] | None = None) -> web.Response:
        told = {"Content-Type": "application/json", "Via": "1.1 google", **(headers or {})}
        if self.bare:
            told = {"Content-Type": "application/json; charset=utf-8"}
        return web.Response(body=json.dumps(body).encode(), status=status, headers=told)

    def _limited(self, wait: float, headers: dict[str, str], *, everywhere: bool) -> web.Response:
        body = {"message": "You are being rate limited.", "retry_after": wait, "global": everywhere}
        extra = {"Retry-After": f"{wait:.3f}", **({"X-RateLimit-Global": "true"} if everywhere else {})}
        return self._json(body, 429, {**headers, **extra})

    def hold(self, route: str, *, carried_out: bool, skip: int = 0) -> "Hold":
        """Let a call of that route wait: the first, or after so many others."""
        hold = Hold(route, carried_out, skip)
        self._holds.append(hold)
        return hold

    def _hold(self, route: str) -> "Hold | None":
        for hold in self._holds:
            if hold.route == route:
                hold.skip -= 1
                if hold.skip < 0:
                    self._holds.remove(hold)
                    return hold
        return None

    async def _wait(self, hold: "Hold") -> None:
        hold.reached = True
        self.world.touch()
        self._waiting.add(hold.release)
        await hold.release.wait()

    def release(self) -> None:
        """Let go of every call that waits, and hold no other."""
        self._holds.clear()
        for event in self._waiting:
            event.set()
        self._waiting.clear()

    def limited(self, wait: float) -> web.Response:
        """A 429 that asks to wait so long."""
        return self._limited(wait, {}, everywhere=False)

    def refused(self, status: int, code: int) -> web.Response:
        """A refusal with one of Discord's codes."""
        return self._json({"message": "no", "code": code}, status)

    # ---- who and where

    async def me(self, _: web.Request) -> Payload:
        return {**self.world.bot.payload(), "verified": True, "mfa_enabled": False, "flags": 0}

    async def application(self, _: web.Request) -> Payload:
        flags = self.flags if self.gateway.content_intent else 0
        return {
            "id": str(self.world.bot.id),
            "name": "Threadfly",
            "icon": None,
            "description": "",
            "summary": "",
            "bot_public": True,
            "bot_require_code_grant": False,
            "verify_key": "",
            "flags": flags,
            "team": None,
            "owner": self.world.bot.payload(),
            "approximate_guild_count": len(self.world.guilds),
        }

    async def get_gateway(self, _: web.Request) -> Payload:
        used = len(self.gateway.identifies)
        if self.gateway.bare:
            return {"url": self.gateway.url.rstrip("/")}
        return {
            "url": self.gateway.url,
            "shards": self.gateway.shards,
            "session_start_limit": {
                "total": self.gateway.identify_budget,
                "remaining": max(0, self.gateway.identify_budget - used),
                "reset_after": 86_400_000,
                "max_concurrency": 1,
            },
        }

    async def my_guilds(self, _: web.Request) -> list[Payload]:
        return [
            {
                "id": str(guild.id),
                "name": guild.name,
                "owner": False,
                "permissions": str(self.world.guild_rights(guild.id, self.world.bot.id)),
            }
            for guild in self.world.guilds.values()
        ]

    async def get_user(self, request: web.Request) -> Payload:
        user = self.world.users.get(int(request.match_info["user"]))
        if user is None:
            raise Refused(404, 10013, "Unknown User")
        return user.payload()

    async def get_guild(self, request: web.Request) -> Payload:
        only_gateway = {"members", "threads", "presences", "voice_states", "stage_instances", "joined_at"}
        left_out = only_gateway | {"channels"}
        return {name: value for name, value in self._guild(request).items() if name not in left_out}

    async def guild_channels(self, request: web.Request) -> list[Payload]:
        """Every channel, threads not included, whether the bot sees it or not."""
        return list(self._guild(request)["channels"])

    def _guild(self, request: web.Request) -> Payload:
        guild = int(request.match_info["guild"])
        if guild not in self.world.guilds:
            raise Refused(404, 10004, "Unknown Guild")
        return self.world.guild_payload(guild)

    async def get_member(self, request: web.Request) -> Payload:
        guild, user = int(request.match_info["guild"]), int(request.match_info["user"])
        if user not in self.world.guilds[guild].members:
            raise Refused(404, 10007, "Unknown Member")
        return self.world.member_payload(guild, user)

    async def open_dm(self, request: web.Request) -> Payload:
        body = await request.json()
        return self.world.channel_payload(self.world.dm(int(body["recipient_id"])))

    def _place(self, request: web.Request, *needed: str) -> Channel:
        """The channel, if it is there and the bot has every right `needed` in it."""
        place = self.world.channels.get(int(request.match_info["channel"]))
        if place is None:
            raise UNKNOWN_CHANNEL
        rights = self.world.can(self.world.bot.id, place.id)
        if place.kind != DM:
            self.world.used_permissions |= {"view_channel", *needed}
        if not rights & BITS["view_channel"]:
            raise MISSING_ACCESS
        for name in needed:
            if not rights & BITS[name]:
                raise MISSING_PERMISSIONS
        return place

    def _message(self, request: web.Request, place: Channel) -> Payload:
        held = place.messages.get(int(request.match_info["message"]))
        if held is None:
            raise UNKNOWN_MESSAGE
        return held

    async def get_channel(self, request: web.Request) -> Payload:
        return self.world.channel_payload(self._place(request).id)

    async def patch_channel(self, request: web.Request) -> Payload:
        """All that bots without more rights can do: wake a thread that is not locked."""
        place = self._place(request, "send_messages_in_threads")
        body = await request.json()
        if set(body) != {"archived"} or body["archived"] or place.locked or not place.is_thread:
            raise MISSING_PERMISSIONS
        place.archived = False
        payload = self.world.channel_payload(place.id)
        self.world.emit("THREAD_UPDATE", payload, place.guild, place.id)
        return payload

    # ---- messages

    async def get_messages(self, request: web.Request) -> list[Payload]:
        place = self._place(request)
        limit = int(request.query.get("limit", 50))
        if not 1 <= limit <= HISTORY_PAGE:
            self.world.violation(f"asked for {limit} messages at once")
            raise Refused(400, 50035, "Invalid Form Body")
        if place.kind != DM:
            self.world.used_permissions.add("read_message_history")
            if place.kind in VOICED and not self.world.can(self.world.bot.id, place.id) & BITS["connect"]:
                self.world.violation("asked for the messages of a voice channel without the right to connect")
                raise MISSING_ACCESS
            if not self.world.can(self.world.bot.id, place.id) & BITS["read_message_history"]:
                return []
        limit, ids = min(limit, self.message_page), sorted(place.messages)
        if "after" in request.query:
            ids = [i for i in ids if i > int(request.query["after"])][:limit]
        elif "before" in request.query:
            ids = [i for i in ids if i < int(request.query["before"])][-limit:]
        else:
            ids = ids[-limit:]
        return [self._shown(place.messages[i]) for i in reversed(ids)]

    def _shown(self, message: Payload) -> Payload:
        shown = self.world.with_reference(message)
        return shown if self.gateway.content_intent else self.world.without_content(shown)

    async def get_message(self, request: web.Request) -> Payload:
        return self._shown(self._message(request, self._place(request, "read_message_history")))

    async def _body(self, request: web.Request) -> tuple[Payload, list[tuple[str, str, bytes]]]:
        if request.content_type != "multipart/form-data":
            return await request.json(), []
        body: Payload = {}
        files = []
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            data = await part.read(decode=False)
            if part.name == "payload_json":
                body = json.loads(data)
            else:
                files.append((part.filename or "file", "text/plain; charset=utf-8", bytes(data)))
        return body, files

    def _check_files(self, files: list[tuple[str, str, bytes]]) -> None:
        if sum(len(data) for _, _, data in files) > self.world.most_file_bytes:
            raise Refused(413, 40005, "Request entity too large")

    def _check(self, body: Payload, *, empty: bool) -> None:
        content = body.get("content") or ""
        if len(content) > MESSAGE_LENGTH:
            self.world.violation(f"a message of {len(content)} characters")
            raise Refused(400, 50035, "Invalid Form Body")
        described = [embed["description"] for embed in body.get("embeds") or []]
        if any(not 1 <= len(text) <= EMBED_LENGTH for text in described):
            self.world.violation(f"embeds of {[len(text) for text in described]} characters")
            raise Refused(400, 50035, "Invalid Form Body")
        if empty and not content.strip() and not described:
            self.world.violation("an empty message")
            raise Refused(400, 50006, "Cannot send an empty message")
        self._check_sizes(body)
        for row in body.get("components") or []:
            ids = [button.get("custom_id", "") for button in row["components"]]
            if len(ids) > 5 or len(set(ids)) < len(ids) or any(len(i) > CUSTOM_ID_LENGTH for i in ids):
                self.world.violation(f"buttons {ids}")
                raise Refused(400, 50035, "Invalid Form Body")

    def _check_sizes(self, body: Payload) -> None:
        """What a message may hold besides its content."""
        embeds, rows = body.get("embeds") or [], body.get("components") or []
        labels = [button.get("label") or "" for row in rows for button in row["components"]]
        whole = sum(len(text) for embed in embeds for text in _texts(embed))
        if (
            len(embeds) > 10
            or whole > EMBEDS_LENGTH
            or len(rows) > 5
            or any(len(text) > 80 for text in labels)
        ):
            self.world.violation(f"{len(embeds)} embeds of {whole} characters, {len(rows)} rows, {labels}")
            raise Refused(400, 50035, "Invalid Form Body")

    async def post_message(self, request: web.Request) -> Payload:
        channel = self.world.channels.get(int(request.match_info["channel"]))
        if channel is None:
            raise UNKNOWN_CHANNEL
        place = self._place(request, "send_messages_in_threads" if channel.is_thread else "send_messages")
        if place.kind == DM and self.world.closed_dms & set(place.recipients):
            raise CANNOT_DM
        if place.kind == GROUP:
            raise MISSING_ACCESS
        if place.kind in POSTS_ONLY:
            raise Refused(400, 50008, "Cannot send messages in a non-text channel")
        rights = self.world.can(self.world.bot.id, place.id)
        if place.locked and not rights & BITS["manage_threads"]:
            raise THREAD_LOCKED
        body, files = await self._body(request)
        if files:
            self._place(request, "attach_files")
            self._check_files(files)
        self._check(body, empty=not files)
        nonce = body.get("nonce")
        if nonce is not None:
            if len(str(nonce)) > NONCE_LENGTH:
                self.world.violation(f"a nonce of {len(str(nonce))} characters")
                raise Refused(400, 50035, "Invalid Form Body")
            earlier = self.world.nonces.get((place.id, str(nonce)))
            if body.get("enforce_nonce") and earlier is not None:
                return {**earlier, "nonce": nonce}
        reply_to = int((body.get("message_reference") or {}).get("message_id", 0))
        if reply_to:
            self._place(request, "read_message_history")
            if reply_to not in place.messages and body["message_reference"].get("fail_if_not_exists", True):
                raise Refused(400, 50035, "Unknown message")
        message = self.world.post(
            self.world.bot.id,
            place.id,
            body.get("content") or "",
            reply_to=reply_to,
            files=files,
            components=body.get("components") or (),
            parse=(body.get("allowed_mentions") or {}).get("parse", ())
            if "allowed_mentions" in body
            else None,
            flags=body.get("flags", 0),
            embeds=body.get("embeds") or (),
        )
        if nonce is not None:
            self.world.nonces[(place.id, str(nonce))] = message
        return message if nonce is None else {**message, "nonce": nonce}

    async def patch_message(self, request: web.Request) -> Payload:
        place = self._place(request)
        held = self._message(request, place)
        if held["author"]["id"] != str(self.world.bot.id):
            self.world.violation("edited somebody else's message")
            raise Refused(403, 50005, "Cannot edit a message authored by another user")
        if place.archived:
            raise THREAD_ARCHIVED
        body, files = await self._body(request)
        self._check({**held, **body}, empty=not (files or held["attachments"]))
        parse = (body.get("allowed_mentions") or {}).get("parse", ()) if "allowed_mentions" in body else None
        if "content" in body:
            held["content"] = body["content"]
            held |= self.world._mentions(
                body["content"], self.world.bot.id, None if parse is None else set(parse)
            )
        if "components" in body:
            held["components"] = body["components"]
        held["edited_timestamp"] = iso(time.time() * 1000)
        self.world.emit("MESSAGE_UPDATE", self.world.for_gateway(held), place.guild, place.id)
        return held

    async def delete_message(self, request: web.Request) -> None:
        place = self._place(request)
        held = self._message(request, place)
        if held["author"]["id"] != str(self.world.bot.id):
            self._place(request, "manage_messages")
        self.world.delete(place.id, int(held["id"]))

    async def react(self, request: web.Request) -> None:
        place = self._place(request, "add_reactions", "read_message_history")
        held = self._message(request, place)
        if place.locked or place.archived:
            raise THREAD_ARCHIVED
        held["reactions"].append(
            {
                "emoji": {"id": None, "name": request.match_info["emoji"]},
                "count": 1,
                "me": True,
                "count_details": {"burst": 0, "normal": 1},
                "me_burst": False,
                "burst_colors": [],
            }
        )
        self.world.touch()

    async def start_typing(self, request: web.Request) -> None:
        place = self.world.channels.get(int(request.match_info["channel"]))
        self._place(request, "send_messages_in_threads" if place and place.is_thread else "send_messages")
        self.world.typing.append(int(request.match_info["channel"]))
        self.world.touch()

    # ---- threads

    async def start_thread(self, request: web.Request) -> Payload:
        place = self._place(request, "create_public_threads")
        held = self._message(request, place)
        body = await request.json()
        if not 1 <= len(body.get("name", "")) <= 100:
            self.world.violation(f"a thread name of {len(body.get('name', ''))} characters")
            raise Refused(400, 50035, "Invalid Form Body")
        if place.kind not in (TEXT, ANNOUNCEMENT):
            raise Refused(400, 50024, "Cannot execute action on this channel type")
        if held["flags"] & HAS_THREAD:
            raise THREAD_EXISTS
        if body.get("auto_archive_duration", 1440) not in (60, 1440, 4320, 10080):
            raise Refused(400, 50035, "Invalid Form Body")
        return self.world.channel_payload(self.world.thread(place.id, body["name"], message=int(held["id"])))

    async def start_post(self, request: web.Request) -> Payload:
        """A post in a forum or media channel: a thread with its first message, of the same id."""
        place = self._place(request, "send_messages")
        body = await request.json()
        if place.kind not in POSTS_ONLY or "message" not in body or not 1 <= len(body["name"]) <= 100:
            raise Refused(400, 50035, "Invalid Form Body")
        first = body["message"]
        self._check(first, empty=True)
        thread = self.world.thread(place.id, body["name"])
        parse = first["allowed_mentions"]["parse"] if "allowed_mentions" in first else None
        flags = first.get("flags", 0)
        self.world.post(self.world.bot.id, thread, first["content"], parse=parse, flags=flags, own_id=thread)
        return self.world.channel_payload(thread)

    async def active_threads(self, request: web.Request) -> Payload:
        guild = int(request.match_info["guild"])
        return {"threads": self.world.guild_payload(guild)["threads"], "members": []}

    async def archived_threads(self, request: web.Request) -> Payload:
        """Public ones, the newest archived first; `before` is a time."""
        closed = sorted(self._archived(request, private=False), key=lambda c: -c.archived_ms)
        if "before" in request.query:
            before = datetime.fromisoformat(request.query["before"]).timestamp() * 1000
            closed = [c for c in closed if c.archived_ms < before]
        return self._thread_page(request, closed)

    async def own_archived(self, request: web.Request) -> Payload:
        """Private ones that the bot joined, the newest first; `before` is an id."""
        closed = sorted(self._archived(request, private=True), key=lambda c: -c.id)
        before = int(request.query.get("before", 2**63))
        return self._thread_page(request, [c for c in closed if c.id < before])

    def _archived(self, request: web.Request, *, private: bool) -> list[Channel]:
        place = self._place(request, "read_message_history")
        return [
            c
            for c in self.world.channels.values()
            if c.parent == place.id and c.is_thread and c.archived and (c.kind == PRIVATE_THREAD) is private
            if not private or self.world.bot.id in c.members
        ]

    def _thread_page(self, request: web.Request, threads: list[Channel]) -> Payload:
        shown = threads[: min(self.thread_page, int(request.query.get("limit", 50)))]
        payloads = [self.world.channel_payload(c.id) for c in shown]
        if self.bare:
            payloads = [
                {name: value for name, value in p.items() if name != "thread_metadata"} for p in payloads
            ]
            return {"threads": payloads}
        return {"threads": payloads, "members": [], "has_more": len(threads) > len(shown)}

    async def get_thread_member(self, request: web.Request) -> Payload:
        place, user = self._place(request), int(request.match_info["user"])
        if user not in place.members:
            raise Refused(404, 10007, "Unknown Member")
        return {"id": str(place.id), "user_id": str(user), "join_timestamp": iso(0), "flags": 0}

    # ---- application commands and interactions

    async def get_commands(self, _: web.Request) -> list[Payload]:
        return self.world.commands

    def _check_commands(self, commands: list[Payload]) -> None:
        """https://docs.discord.com/developers/interactions/application-commands"""
        wrong = [command["name"] for command in commands if not _is_command(command)]
        kinds = [command.get("type", 1) for command in commands]
        if wrong or kinds.count(1) > 100 or kinds.count(3) > 5:
            self.world.violation(f"commands that Discord refuses: {wrong}")
            raise Refused(400, 50035, "Invalid Form Body")

    async def put_commands(self, request: web.Request) -> list[Payload]:
        body = await request.json()
        self._check_commands(body)
        self.world.commands = [
            {
                "id": str(self.world.snowflake()),
                "application_id": str(self.world.bot.id),
                "version": str(self.world.snowflake()),
                "default_member_permissions": None,
                "dm_permission": True,
                "nsfw": False,
                "name_localizations": None,
                "description_localizations": None,
                "description": "",
                "type": 1,
                **command,
            }
            for command in body
        ]
        self.world.touch()
        return self.world.commands

    def _interaction(self, request: web.Request) -> Interaction:
        interaction = self.world.interactions.get(request.match_info["token"])
        if interaction is None:
            raise UNKNOWN_INTERACTION
        return interaction

    async def callback(self, request: web.Request) -> Payload | None:
        interaction = self._interaction(request)
        body, _ = await self._body(request)
        if time.monotonic() - interaction.made > INTERACTION_ANSWER_S:
            self.world.violation("an interaction was answered after 3 s")
            raise UNKNOWN_INTERACTION
        if interaction.response is not None:
            self.world.violation("an interaction was answered twice")
            raise Refused(400, 40060, "Interaction has already been acknowledged.")
        interaction.response = body
        if body["type"] == WINDOW:
            self._check_window(body["data"], interaction)
        if body["type"] == 4:
            self._check(body["data"], empty=True)
            interaction.message = {**body["data"], "id": str(self.world.snowflake())}
        self.world.touch()
        if request.query.get("with_response") in ("1", "true"):
            shown = {
                "id": str(interaction.id),
                "type": interaction.payload["type"],
                "response_message_ephemeral": bool((body.get("data") or {}).get("flags", 0) & 64),
            }
            return {"interaction": shown, "resource": {"type": body["type"]}}
        return None

    def _check_window(self, window: Payload, interaction: Interaction) -> None:
        fields = [each for row in window["components"] for each in row["components"]]
        lengths = [(window["title"], 45), (window["custom_id"], CUSTOM_ID_LENGTH)]
        for each in fields:
            lengths += [(each["label"], 45), (each.get("placeholder", ""), 100)]
        wrong = [text for text, most in lengths if len(text) > most]
        if wrong or not 1 <= len(fields) <= 5 or interaction.payload["type"] == SUBMITTED:
            self.world.violation(f"a window that Discord refuses: {wrong}")
            raise Refused(400, 50035, "Invalid Form Body")

    def _live(self, request: web.Request) -> Interaction:
        """The interaction, as long as its token lives."""
        interaction = self._interaction(request)
        if time.monotonic() - interaction.made > TOKEN_S:
            raise Refused(401, 50027, "Invalid Webhook Token")
        return interaction

    def _hook_message(
        self, interaction: Interaction, body: Payload, files: list[tuple[str, str, bytes]] | None = None
    ) -> Payload:
        self._check_files(files or [])
        self._check(body, empty=not files)
        if "allowed_mentions" not in body:
            self.world.violation("an interaction's message without allowed_mentions")
        return {
            "id": str(self.world.snowflake()),
            "type": 0,
            "channel_id": interaction.payload["channel_id"],
            "author": self.world.bot.payload(),
            "webhook_id": str(self.world.bot.id),
            "application_id": str(self.world.bot.id),
            "content": body.get("content", ""),
            "flags": body.get("flags", 0) | (interaction.response or {}).get("data", {}).get("flags", 0),
            "attachments": [
                self.world.attachment(int(interaction.payload["channel_id"]), *file) for file in files or ()
            ],
            "embeds": body.get("embeds") or [],
            "components": body.get("components") or [],
            "mentions": [],
            "mention_roles": [],
            "mention_everyone": False,
            "pinned": False,
            "tts": False,
            "timestamp": iso(time.time() * 1000),
            "edited_timestamp": None,
        }

    async def patch_original(self, request: web.Request) -> Payload:
        interaction = self._live(request)
        body, _ = await self._body(request)
        interaction.message = self._hook_message(interaction, body)
        self.world.touch()
        return interaction.message

    async def get_original(self, request: web.Request) -> Payload:
        message = self._interaction(request).message
        if message is None:
            raise UNKNOWN_MESSAGE
        return message

    async def followup(self, request: web.Request) -> Payload:
        interaction = self._live(request)
        body, files = await self._body(request)
        message = self._hook_message(interaction, body, files)
        interaction.followups.append(message)
        self.world.touch()
        return message

    # ---- files

    async def refresh(self, request: web.Request) -> Payload:
        """Sign links anew, which run out after a day."""
        links = (await request.json())["attachment_urls"]
        self.world.expired.clear()
        return {"refreshed_urls": [{"original": link, "refreshed": f"{link}?ex=1"} for link in links]}

    async def download(self, request: web.Request) -> web.Response:
        if request.path not in self.world.files or request.path in self.world.expired:
            return web.Response(status=404)
        kind, data = self.world.files[request.path]
        return web.Response(body=data, headers={"Content-Type": kind or "application/octet-stream"})
