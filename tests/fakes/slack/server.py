"""The fake Slack itself: one aiohttp server, and the people who use it."""

import asyncio
import base64
import json
import time
from collections.abc import Callable
from typing import Any, Self

from aiohttp import web

from adapters.slack.manifest import manifest
from adapters.slack.methods import bot_scopes
from tests.fakes.slack.api import STATUS_LIFE_S, WebApi, parse
from tests.fakes.slack.delivery import Delivered, Deliveries
from tests.fakes.slack.responding import ResponseUrls, Source
from tests.fakes.slack.rules import Budgets, Limited, Refused, check_content, pings
from tests.fakes.slack.world import Channel, Clock, Json, Team, new_id

TEAM, BOT, CHANNEL, OTHER_CHANNEL, DM = "T01", "U0BOT", "C01", "C02", "D01"
ALICE, BOB, CAROL = "U0ALICE", "U0BOB", "U0CAROL"
APP_TOKEN, BOT_TOKEN = "xapp-1-fake-app-token", "xoxb-fake-bot-token"
CONFIG_TOKEN = "xoxe.xoxp-1-fake-config-token"


class FakeSlack:
    """Slack, with one team `T01` where Alice, Bob and the bot share `C01`, and Alice has the DM `D01`."""

    def __init__(self, *, scale: float = 1.0, seed: int = 7, echo: bool = True) -> None:
        self.clock = Clock(scale)
        self._news = asyncio.Condition()
        self.deliveries = Deliveries(self.clock, seed, self.stirred)
        self.budgets = Budgets(self.clock)
        self.violations: list[str] = []
        self.unsupported: set[str] = set()
        """Methods that this Slack does not know, as some workspaces and emulators don't."""
        self.unknown = "unknown_method"
        """What they are told then: an error, `404`, or `html`, a page with status 200."""
        self.verbs = {"GET", "POST"}
        """The others meet a 404, as emulators have it that know one of them."""
        self.curt: set[str] = set()
        """Methods that are answered with `ok` and nothing else, whatever becomes of the call."""
        self.calls: list[tuple[str, Json]] = []
        """Every call that reached us, in order, without tokens."""
        self.failures: dict[str, list[str]] = {}
        """Method to what its next calls meet: an error code, `cut` (carried out, then the connection
        breaks), `lost` (breaks first), `500`, or `429:seconds`."""
        self.hold: dict[str, asyncio.Event] = {}
        """Calls of a method wait until its event is set."""
        self.traps: list[Trap] = []
        self.app_id, self.app_token = "A01", APP_TOKEN
        self.config_token = CONFIG_TOKEN
        """Of somebody who owns the app."""
        self.manifest: Json = {"_metadata": {"major_version": 1, "minor_version": 1}} | manifest()
        """What the app was made from."""
        self.client_id, self.client_secret = "111.222", "fake-client-secret"
        self.oauth_codes: dict[str, str] = {}
        self.tickets: set[str] = set()
        self.teams: dict[str, Team] = {}
        self.history_page = 1000
        """Messages a page at most."""
        self.limited = False
        """The app is distributed outside of the Marketplace: histories are read one page a minute, of 15."""
        self.tells_latest_reply = True
        self.circles = False
        """What was said is told by its first page, again and again."""
        """Of a thread's first message in histories."""
        self.user_info: dict[str, Json] = {}
        """What `users.info` tells otherwise of somebody."""
        self.teams_page = 1000
        self.channels_page = 1000
        """Conversations a page at most."""
        self.refusing = False
        """Refuse new Socket Mode connections."""
        self.twins = True
        self.triggers: dict[str, tuple[float, str]] = {}
        """Trigger ids that were given out and not used yet: when, and to whom."""
        self.trigger_life_s = 3.0
        self.views: list[tuple[str, Json]] = []
        """Windows that were opened: for whom, and what is in them."""
        self._alone: dict[int, tuple[list[Json], str]] = {}
        self.responses: list[tuple[str, Json]] = []
        """What was sent to response URLs, and taken."""
        self.response_urls = ResponseUrls(self.clock.now)
        self.watchers: list[Callable[[Json], None]] = []
        """Told of every post of the bot, at once."""
        self.url = ""
        self.extra: list[web.AbstractRouteDef] = []
        """Routes beside Slack's own. Only before `start`."""
        self._echo = echo
        self.api = WebApi(self)
        self._runner: web.AppRunner | None = None
        team = self.add_team(TEAM, BOT_TOKEN, BOT)
        team.users = {ALICE: "Alice", BOB: "Bob", CAROL: "Carol", BOT: "Threadfly"}
        self.add_channel(team, Channel(CHANNEL, "general", "channel", {ALICE, BOB, BOT}))
        self.add_channel(team, Channel(OTHER_CHANNEL, "random", "channel", {ALICE, BOB}))
        self.add_channel(team, Channel(DM, "", "im", {ALICE, BOT}))

    # Life.

    async def start(self, port: int = 0) -> Self:
        """Listen on 127.0.0.1."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/api/{method}", self._call)
        app.router.add_get("/link/", self._link)
        app.router.add_post("/upload/{team}/{file}", self._upload)
        app.router.add_get("/files-pri/{team}-{file}/{name}", self._download)
        app.router.add_post("/response/{id}", self._response)
        app.add_routes(self.extra)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        bound = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{bound}"
        return self

    async def close(self) -> None:
        """Stop everything."""
        await self.deliveries.close()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def api_url(self) -> str:
        """What goes into `slack.api_url`."""
        return f"{self.url}/api/"

    def add_team(self, team: str, token: str, bot: str, *, installed: bool = True) -> Team:
        """Install the app in one more workspace."""
        self.teams[team] = Team(
            team, token, bot, f"B0{team}", set(bot_scopes()), {bot: "Threadfly"}, installed=installed
        )
        return self.teams[team]

    def add_channel(self, team: Team, channel: Channel) -> Channel:
        """Open one more conversation."""
        team.channels[channel.id] = channel
        return channel

    @property
    def team(self) -> Team:
        """The first team."""
        return self.teams[TEAM]

    # What people do.

    def say(
        self,
        text: str,
        *,
        user: str = ALICE,
        channel: str = CHANNEL,
        thread_ts: str | None = None,
        team: str = TEAM,
        deliver: bool = True,
        ts: str | None = None,
        **more: Any,
    ) -> str:
        """Somebody posts something; its `ts`. Without `deliver` no event tells of it."""
        where = self.teams[team].channels[channel]
        message: Json = {
            "type": "message",
            "user": user,
            "text": text,
            "ts": ts or self.clock.ts(),
            "client_msg_id": new_id("gesture-"),
            "team": self.teams[team].shared_users.get(user, team),
            **more,
        }
        if thread_ts:
            message["thread_ts"] = thread_ts
        self._insert(where, message)
        if deliver:
            self.announce(message, channel=channel, team=team)
        return str(message["ts"])

    def announce(
        self, message: Json, *, channel: str = CHANNEL, team: str = TEAM, retry: int = 0
    ) -> list[Delivered]:
        """Send the events of a message: two for a mention, in either order."""
        home = self.teams[team]
        where = home.channels[channel]
        base = {k: v for k, v in message.items() if k not in {"metadata", "client_msg_id"}}
        event = base | {"channel": channel, "event_ts": message["ts"], "channel_type": where.kind}
        if "client_msg_id" in message:
            event["client_msg_id"] = message["client_msg_id"]
        events = [event]
        if (
            f"<@{home.bot_user}" in message.get("text", "")
            and where.kind != "im"
            and message.get("user") != home.bot_user
        ):
            twin = {k: v for k, v in event.items() if k not in {"channel_type", "subtype"}} | {
                "type": "app_mention"
            }
            events = [event, twin] if self.twins else [event]
        self.deliveries.random.shuffle(events)
        return [self.event(e, team=team, retry=retry) for e in events]

    def event(self, event: Json, *, team: str = TEAM, retry: int = 0, **outer: Any) -> Delivered:
        """Deliver one event in its wrapping."""
        return self.deliveries.send("events_api", self.wrapped(event, team=team) | outer, retry=retry)

    def wrapped(self, event: Json, *, team: str = TEAM) -> Json:
        """An event as it is delivered."""
        home = self.teams[team]
        return {
            "token": "verification-token",
            "team_id": team,
            "context_team_id": team,
            "api_app_id": self.app_id,
            "event": event,
            "type": "event_callback",
            "event_id": new_id("Ev"),
            "event_time": int(float(event.get("event_ts") or "0")),
            "authorizations": [
                {
                    "enterprise_id": home.enterprise or None,
                    "team_id": None if home.enterprise else team,
                    "user_id": home.bot_user,
                    "is_bot": True,
                    "is_enterprise_install": bool(home.enterprise),
                }
            ],
            **({"enterprise_id": home.enterprise} if home.enterprise else {}),
            "is_ext_shared_channel": False,
            "event_context": new_id("4-"),
        }

    def edit(
        self, ts: str, text: str, *, channel: str = CHANNEL, team: str = TEAM, deliver: bool = True
    ) -> None:
        """Its author edits a message."""
        message = self.teams[team].channels[channel].messages[ts]
        before = dict(message)
        message |= {"text": text, "edited": {"user": message["user"], "ts": self.clock.ts()}}
        if deliver:
            self._changed(message, before, channel, team)

    def unfurl(self, ts: str, *, channel: str = CHANNEL, team: str = TEAM) -> None:
        """Slack adds the preview of a link: a change that nobody made."""
        message = self.teams[team].channels[channel].messages[ts]
        before = dict(message)
        message["attachments"] = [
            {"title": "A page", "from_url": "https://example.com", "text": "its preview"}
        ]
        self._changed(message, before, channel, team)

    def _changed(self, message: Json, before: Json, channel: str, team: str) -> None:
        ts = self.clock.ts()
        where = self.teams[team].channels[channel]
        self.event(
            {
                "type": "message",
                "subtype": "message_changed",
                "hidden": True,
                "message": {k: v for k, v in message.items() if k != "metadata"},
                "previous_message": {k: v for k, v in before.items() if k != "metadata"},
                "channel": channel,
                "ts": ts,
                "event_ts": ts,
                "channel_type": where.kind,
            },
            team=team,
        )

    def delete(self, ts: str, *, channel: str = CHANNEL, team: str = TEAM, deliver: bool = True) -> None:
        """Somebody deletes a message; a parent with replies leaves a tombstone."""
        self.remove(self.teams[team], self.teams[team].channels[channel], ts, deliver=deliver)

    def press(
        self, action: str, *, ts: str, user: str = ALICE, channel: str = CHANNEL, team: str = TEAM
    ) -> Delivered:
        """Somebody presses the button with this `action_id` below a post."""
        message = self.teams[team].channels[channel].messages[ts]
        for block in message.get("blocks", ()):
            for element in block.get("elements", ()) if block["type"] == "actions" else ():
                if element["action_id"] == action:
                    return self._interact(
                        {
                            "type": "block_actions",
                            "container": {"type": "message", "message_ts": ts, "channel_id": channel},
                            "channel": {"id": channel, "name": self.teams[team].channels[channel].name},
                            "message": self.shown(message),
                            "actions": [
                                {
                                    "action_id": action,
                                    "block_id": block.get("block_id", "b1"),
                                    "type": "button",
                                    "value": element.get("value", ""),
                                    "action_ts": self.clock.ts(),
                                }
                            ],
                        },
                        user,
                        team,
                    )
        raise LookupError(f"no button {action} below {ts}")

    def press_slacks_stop(
        self, thread_ts: str, *, user: str = ALICE, channel: str = DM, team: str = TEAM
    ) -> Delivered:
        """Somebody presses the Stop button that Slack shows while a session is processing."""
        home = self.teams[team]
        if home.sessions.get((channel, thread_ts)) != "processing":
            raise LookupError("Slack shows no Stop button there")
        replies = {m["ts"] for m in home.channels[channel].replies(thread_ts)}
        streaming = [s for s in home.streams.values() if s.alive and s.channel == channel and s.ts in replies]
        for stream in streaming:
            stream.alive = False
        return self.event(
            {
                "type": "agent_session_stopped",
                "channel": channel,
                "thread_ts": thread_ts,
                "streaming_message_ts": [stream.ts for stream in streaming],
                "user": user,
                "event_ts": self.clock.ts(),
            },
            team=team,
        )

    def press_alone(
        self,
        blocks: list[Json],
        action: str,
        *,
        user: str = ALICE,
        channel: str = CHANNEL,
        team: str = TEAM,
        **changed: str,
    ) -> Delivered:
        """Somebody presses a button of what is shown to them alone; of such a message Slack tells nothing."""
        elements = [e for b in blocks if b["type"] == "actions" for e in b["elements"]]
        pressed = next(e for e in elements if e["action_id"] == action)
        told = {"type": "button", "block_id": "b1", "action_ts": self.clock.ts()}
        return self._interact(
            {
                "type": "block_actions",
                "container": {
                    "type": "message",
                    "message_ts": self._shown_alone_at(blocks),
                    "channel_id": channel,
                    "is_ephemeral": True,
                },
                "channel": {"id": channel, "name": self.teams[team].channels[channel].name},
                "actions": [{"action_id": action, "value": pressed["value"], **told, **changed}],
            },
            user,
            team,
        )

    def _shown_alone_at(self, blocks: list[Json]) -> str:
        """The `ts` of an ephemeral message, the same however often it is pressed."""
        return self._alone.setdefault(id(blocks), (blocks, self.clock.ts()))[1]

    def submit(self, words: str, *, user: str = ALICE, team: str = TEAM) -> Delivered:
        """Somebody types into the one field of the window that was opened last, and submits it."""
        _, view = next(each for each in reversed(self.views) if each[0] == user)
        field = next(block for block in view["blocks"] if block["type"] == "input")
        typed = {"type": "plain_text_input", "value": words or None}
        state = {"values": {field["block_id"]: {field["element"]["action_id"]: typed}}}
        shown = {"id": new_id("V"), "team_id": team, "hash": "1.x", "state": state}
        payload = {"type": "view_submission", "view": view | shown, "response_urls": []}
        return self._interact(payload, user, team)

    def shortcut(
        self, callback_id: str, *, ts: str, user: str = ALICE, channel: str = CHANNEL, team: str = TEAM
    ) -> Delivered:
        """Somebody uses a message shortcut."""
        return self._interact(
            {
                "type": "message_action",
                "callback_id": callback_id,
                "message_ts": ts,
                "channel": {"id": channel, "name": self.teams[team].channels[channel].name},
                "message": self.shown(self.teams[team].channels[channel].messages[ts]),
            },
            user,
            team,
        )

    def _interact(self, payload: Json, user: str, team: str) -> Delivered:
        trigger = new_id("trigger-")
        self.triggers[trigger] = (time.monotonic(), user)
        payload |= {
            "user": {"id": user, "username": user.lower(), "name": user.lower(), "team_id": team},
            "team": {"id": team, "domain": team.lower()},
            "api_app_id": self.app_id,
            "token": "verification-token",
            "trigger_id": trigger,
            "is_enterprise_install": False,
            "enterprise": None,
        }
        if payload["type"] != "view_submission":
            below = payload["type"] == "block_actions" and payload.get("message")
            source = Source(team, payload["channel"]["id"], payload["message"]["ts"]) if below else None
            payload["response_url"] = self._response_url(source)
        return self.deliveries.send("interactive", payload)

    def _response_url(self, source: Source | None = None) -> str:
        return f"{self.url}/response/{self.response_urls.new(source)}"

    def command(
        self,
        text: str,
        *,
        command: str = "/threadfly",
        user: str = ALICE,
        channel: str = CHANNEL,
        team: str = TEAM,
    ) -> Delivered:
        """Somebody types a slash command."""
        return self.deliveries.send(
            "slash_commands",
            {
                "token": "verification-token",
                "team_id": team,
                "team_domain": team.lower(),
                "channel_id": channel,
                "channel_name": self.teams[team].channels[channel].name or "directmessage",
                "user_id": user,
                "user_name": user.lower(),
                "command": command,
                "text": text,
                "api_app_id": self.app_id,
                "is_enterprise_install": "false",
                "response_url": self._response_url(),
                "trigger_id": new_id("trigger-"),
            },
        )

    def invite(self, *, channel: str = OTHER_CHANNEL, team: str = TEAM) -> Delivered:
        """Somebody adds the bot to a channel."""
        home = self.teams[team]
        home.channels[channel].members.add(home.bot_user)
        return self.event(
            {
                "type": "member_joined_channel",
                "user": home.bot_user,
                "channel": channel,
                "channel_type": "C",
                "team": team,
                "inviter": ALICE,
                "event_ts": self.clock.ts(),
            },
            team=team,
        )

    def leave(self, user: str, *, channel: str = CHANNEL, team: str = TEAM) -> Delivered:
        """Somebody leaves a channel, or is removed."""
        where = self.teams[team].channels[channel]
        where.members.discard(user)
        kind = {"channel": "C", "group": "G"}[where.kind]
        event: Json = {"type": "member_left_channel", "user": user, "channel": channel, "channel_type": kind}
        return self.event(event | {"team": team, "event_ts": self.clock.ts()}, team=team)

    def join(self, user: str, *, channel: str = CHANNEL, team: str = TEAM) -> Delivered:
        """Somebody joins a channel, or is invited."""
        where = self.teams[team].channels[channel]
        where.members.add(user)
        kind = {"channel": "C", "group": "G"}[where.kind]
        event: Json = {"type": "member_joined_channel", "user": user, "channel": channel}
        event["channel_type"] = kind
        return self.event(event | {"team": team, "event_ts": self.clock.ts()}, team=team)

    def make_private(self, *, channel: str = CHANNEL, team: str = TEAM) -> Delivered:
        """A public channel becomes a private one."""
        self.teams[team].channels[channel].kind = "group"
        ts = self.clock.ts()
        subtype = "channel_convert_to_private"
        event: Json = {"type": "message", "subtype": subtype, "user": ALICE, "text": "made this private"}
        return self.event(event | {"channel": channel, "ts": ts, "event_ts": ts}, team=team)

    def hand(self, name: str, content: bytes, mimetype: str, *, team: str = TEAM) -> Json:
        """A file that somebody is about to share: goes into `say(files=[...])`."""
        home, file = self.teams[team], new_id("F")
        home.contents[file] = content
        home.files[file] = {
            "id": file,
            "name": name,
            "title": name,
            "mimetype": mimetype,
            "size": len(content),
            "mode": "hosted",
            "url_private": f"{self.url}/files-pri/{team}-{file}/{name}",
            "url_private_download": f"{self.url}/files-pri/{team}-{file}/{name}",
        }
        return home.files[file]

    # What there is to see.

    def thread(self, ts: str, *, channel: str = CHANNEL, team: str = TEAM) -> list[Json]:
        """The bot's own posts in a thread, ascending."""
        home = self.teams[team]
        return [m for m in home.channels[channel].replies(ts) if m.get("user") == home.bot_user]

    def seen(self, message: Json, by: str, *, channel: str = CHANNEL, team: str = TEAM) -> str:
        """What somebody reads of a post: a stream in a shared channel grows for its reader alone."""
        home = self.teams[team]
        stream = home.streams.get((channel, message["ts"]))
        if stream is None or not stream.alive or home.channels[channel].kind == "im" or by == stream.reader:
            markdown = "".join(b["text"] for b in message["blocks"] if b["type"] == "markdown")
            return markdown or str(message["text"])
        return stream.opening

    def status(self, thread_ts: str, *, channel: str = CHANNEL, team: str = TEAM) -> str:
        """What people read there of what the bot is at; "" if nothing any more."""
        shown = self.teams[team].status.get((channel, thread_ts))
        return shown.text if shown and self.clock.now() - shown.set_at <= STATUS_LIFE_S else ""

    def end_status(self, team: Team, channel: str, thread_ts: str) -> None:
        """Something comes in the place of a status; if that ran out before, it is noted."""
        if (channel, thread_ts) in team.status and not self.status(thread_ts, channel=channel, team=team.id):
            team.lapsed.append(thread_ts)
        team.status.pop((channel, thread_ts), None)

    async def until(self, true: Callable[[], Any], timeout: float = 10.0) -> Any:
        """Wait until something holds that a call to us can bring about."""
        async with asyncio.timeout(timeout), self._news:
            while not (result := true()):
                await self._news.wait()
            return result

    async def stirred(self) -> None:
        """Wake those who wait."""
        async with self._news:
            self._news.notify_all()

    async def note(self, where: list[Json], what: Json) -> None:
        """Keep something, and wake those who wait."""
        where.append(what)
        await self.stirred()

    # How messages come to be; used by the API too.

    def own_message(self, team: Team, arguments: Json) -> Json:
        """A message of the bot with this content, not kept yet."""
        message: Json = {
            "type": "message",
            "user": team.bot_user,
            "bot_id": team.bot_id,
            "app_id": self.app_id,
            "team": team.id,
            "text": arguments.get("text") or arguments.get("markdown_text") or "",
            "blocks": arguments.get("blocks") or [],
            "ts": self.clock.ts(),
        }
        if arguments.get("metadata"):
            message["metadata"] = arguments["metadata"]
        return message

    def shown(self, message: Json) -> Json:
        """As it is told in answers and interactions."""
        return dict(message)

    def keep(self, team: Team, channel: Channel, message: Json) -> None:
        """Put a message of the bot into its place, and tell of it as Slack does."""
        self._insert(channel, message)
        self.end_status(team, channel.id, str(message.get("thread_ts") or ""))
        for watcher in self.watchers:
            watcher(message)
        if self._echo:
            self.announce(message, channel=channel.id, team=team.id)
        self.deliveries.start(self.stirred())

    def change(self, team: Team, channel: Channel, message: Json, changes: Json) -> None:
        """Change a message of the bot, and tell of it."""
        before = dict(message)
        message |= changes
        if self._echo:
            self._changed(message, before, channel.id, team.id)
        self.deliveries.start(self.stirred())

    def remove(self, team: Team, channel: Channel, ts: str, *, deliver: bool = True) -> None:
        """Delete a message, and tell of it."""
        before = channel.messages.pop(ts)
        if channel.replies(ts):
            tombstone = {
                "type": "message",
                "subtype": "tombstone",
                "user": "USLACKBOT",
                "hidden": True,
                "ts": ts,
                "thread_ts": ts,
                "text": "This message was deleted.",
            }
            self._insert(channel, tombstone)
            if deliver:
                self._changed(tombstone, before, channel.id, team.id)
        elif deliver:
            event_ts = self.clock.ts()
            self.event(
                {
                    "type": "message",
                    "subtype": "message_deleted",
                    "hidden": True,
                    "channel": channel.id,
                    "channel_type": channel.kind,
                    "ts": event_ts,
                    "event_ts": event_ts,
                    "deleted_ts": ts,
                    "previous_message": {k: v for k, v in before.items() if k != "metadata"},
                },
                team=team.id,
            )
        self.deliveries.start(self.stirred())

    def share(
        self, team: Team, channel: Channel, files: list[Json], thread_ts: str | None, comment: str
    ) -> None:
        """The bot's upload appears as a message."""
        message = self.own_message(team, {"text": comment}) | {
            "subtype": "file_share",
            "files": files,
            "upload": True,
        }
        if thread_ts:
            message["thread_ts"] = thread_ts
        for file in files:
            kind = "public" if channel.kind == "channel" else "private"
            shares = {kind: {channel.id: [{"ts": message["ts"], "thread_ts": thread_ts}]}}
            team.files[file["id"]]["shares"] = shares
        self.keep(team, channel, message)

    def _insert(self, channel: Channel, message: Json) -> None:
        last = next(reversed(channel.messages), "")
        channel.messages[message["ts"]] = message
        if message["ts"] < last:
            channel.messages = dict(sorted(channel.messages.items()))

    # The server.

    async def _call(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        if request.method not in self.verbs or (method in self.unsupported and self.unknown == "404"):
            return web.json_response({"message": "Not Found"}, status=404)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if request.content_type == "application/json":
            arguments: Json = await request.json()
        else:
            arguments = dict(request.query) | dict(await request.post())
        arguments = parse(arguments)
        if token.startswith("Basic "):
            arguments["client_id"], _, arguments["client_secret"] = (
                base64.b64decode(token.removeprefix("Basic ")).decode().partition(":")
            )
        token = token or str(arguments.get("token", ""))
        arguments.pop("token", None)
        self.calls.append((method, arguments))
        await self.stirred()
        if method in self.hold:
            await self.hold[method].wait()
        fault = self.failures[method].pop(0) if self.failures.get(method) else ""
        if fault == "lost":
            return _cut(request)
        if method in self.unsupported and self.unknown == "html":
            return web.Response(text="<html>What is it that you want?</html>", content_type="text/html")
        if fault == "500":
            return web.Response(status=500, text="oops")
        if fault.startswith("429"):
            return _limited(float(fault.partition(":")[2] or 1))
        if fault and fault != "cut":
            return web.json_response({"ok": False, "error": fault})
        trap = self._sprung(method)
        try:
            if trap is not None and not trap.carried_out:
                await trap.wait()
            answer = {"ok": True} | await self.api.call(method, token, arguments)
            if trap is not None and trap.carried_out:
                await trap.wait()
        except Limited as limited:
            return _limited(limited.retry_after * self.clock.scale)
        except Refused as refused:
            if refused.error in {"invalid_arguments", "invalid_blocks"}:
                self.violations.append(f"{method}: {refused.error} {refused.more}")
            answer = {"ok": False, "error": refused.error} | refused.more
        if method in self.curt:
            answer = {"ok": True}
        if fault == "cut":
            return _cut(request)
        scopes = next((",".join(sorted(t.scopes)) for t in self.teams.values() if t.bot_token == token), "")
        return web.json_response(answer, headers={"x-oauth-scopes": scopes})

    def trap(self, method: str, *, carried_out: bool, skip: int = 0) -> "Trap":
        """Let one of the next calls of `method` wait: before it is carried out, or with its answer."""
        trap = Trap(method, carried_out, skip, self)
        self.traps.append(trap)
        return trap

    def release(self) -> None:
        """Let go of whatever waits in a trap."""
        for trap in self.traps:
            trap.released.set()
        self.traps.clear()

    def _sprung(self, method: str) -> "Trap | None":
        for trap in self.traps:
            if trap.method == method and not trap.reached:
                if trap.skip == 0:
                    return trap
                trap.skip -= 1
        return None

    async def _link(self, request: web.Request) -> web.StreamResponse:
        ticket = request.query.get("ticket", "")
        if self.refusing or ticket not in self.tickets:
            return web.Response(status=408 if self.refusing else 401)
        self.tickets.discard(ticket)
        socket = web.WebSocketResponse(heartbeat=None)
        await socket.prepare(request)
        await self.deliveries.serve(socket, self.app_id)
        return socket

    async def _upload(self, request: web.Request) -> web.Response:
        team = self.teams[request.match_info["team"]]
        if request.content_type.startswith("multipart/"):
            form = await request.post()
            field = next(iter(form.values()))
            content = field.file.read() if isinstance(field, web.FileField) else str(field).encode()
        else:
            content = await request.read()
        team.contents[request.match_info["file"]] = content
        return web.Response(text=f"OK - {len(content)}")

    async def _download(self, request: web.Request) -> web.Response:
        team = self.teams[request.match_info["team"]]
        if (
            request.headers.get("Authorization") != f"Bearer {team.bot_token}"
            or "files:read" not in team.scopes
        ):
            return web.Response(text="<html>Sign in to Slack</html>", content_type="text/html")
        file = request.match_info["file"]
        if file not in team.contents:
            return web.Response(status=404)
        mimetype = team.files[file].get("mimetype", "application/octet-stream")
        return web.Response(body=team.contents[file], content_type=mimetype)

    def check_answer(self, body: Json) -> None:
        """Complain of a message for one person that Slack would refuse, or that pings."""
        try:
            check_content("chat.postEphemeral", body)
        except Refused as refused:
            self.violations.append(f"an answer: {refused.error} {refused.more}")
        self.violations += [f"an answer would ping {ping}" for ping in pings(body)]

    async def _response(self, request: web.Request) -> web.Response:
        body = json.loads(await request.text())
        if not body.get("delete_original"):
            self.check_answer(body)
        id = request.match_info["id"]
        refusal, source = self.response_urls.use(id, body)
        if refusal == "used_url":
            self.violations.append("a response_url was used more often than it may be")
        if refusal:
            return web.json_response({"ok": False, "error": refusal}, status=404)
        self.responses.append((id, body))
        if source is not None:
            self._respond(source, body)
        await self.stirred()
        return web.json_response({"ok": True})

    def _respond(self, source: Source, body: Json) -> None:
        """An answer in the place of a post that everybody there sees; metadata is not kept by itself."""
        team = self.teams[source.team]
        channel = team.channels[source.channel]
        if body.get("delete_original"):
            self.remove(team, channel, source.ts)
        elif body.get("replace_original"):
            changes = {name: body.get(name) for name in ("text", "blocks", "metadata")}
            self.change(team, channel, channel.messages[source.ts], changes)


class Trap:
    """A call that waits. Whoever made it may be dead by the time it is let go."""

    def __init__(self, method: str, carried_out: bool, skip: int, slack: FakeSlack) -> None:
        self.method = method
        self.carried_out = carried_out
        self.skip = skip
        self.reached = False
        self.released = asyncio.Event()
        self._slack = slack

    async def wait(self) -> None:
        """In the place of the call."""
        self.reached = True
        await self._slack.stirred()
        await self.released.wait()
        if not self.carried_out:
            raise Refused("internal_error")


def _limited(retry_after: float) -> web.Response:
    headers = {"Retry-After": f"{retry_after:.3f}".rstrip("0").rstrip(".")}
    return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers=headers)


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
