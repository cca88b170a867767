"""The Web API of the fake Slack: one method of this class for each method of Slack's."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from adapters.slack.methods import METHODS
from tests.fakes.slack.rules import (
    MARKDOWN_LENGTH,
    Refused,
    check_arguments,
    check_blocks,
    check_content,
    check_view,
    pings,
)
from tests.fakes.slack.world import Channel, Json, Status, Stream, Team, new_id

if TYPE_CHECKING:
    from tests.fakes.slack.server import FakeSlack

STREAM_LIFE_S = 300.0
STATUS_LIFE_S = 120.0
MOST_PROMPTS = 4
LIMITED = {"conversations.history", "conversations.replies"}
LIMITED_A_MINUTE, LIMITED_PAGE = 1, 15
"""What Slack leaves to apps that are distributed outside of its Marketplace."""
TITLE_LENGTH = 255

CONTENT = {"chat.postMessage", "chat.update", "chat.postEphemeral"}
KINDS = {"public_channel": "channel", "private_channel": "group", "im": "im", "mpim": "mpim"}
"""What callers ask for, and what it is called in `Channel`."""


class WebApi:
    """Answers calls as Slack would, or raises `Refused`."""

    def __init__(self, slack: "FakeSlack") -> None:
        self._slack = slack
        self._methods: dict[str, Callable[[Team, Json], Awaitable[Json]]] = {
            "agents.sessions.setStatus": self._set_session,
            "assistant.threads.setStatus": self._set_status,
            "assistant.threads.setSuggestedPrompts": self._set_prompts,
            "assistant.threads.setTitle": self._set_title,
            "auth.teams.list": self._teams_list,
            "auth.test": self._auth_test,
            "bots.info": self._bot_info,
            "chat.appendStream": self._append_stream,
            "chat.delete": self._delete,
            "chat.postEphemeral": self._post_ephemeral,
            "chat.postMessage": self._post,
            "chat.startStream": self._start_stream,
            "chat.stopStream": self._stop_stream,
            "chat.update": self._update,
            "conversations.history": self._history,
            "conversations.info": self._channel_info,
            "conversations.open": self._open_direct,
            "conversations.list": self._list,
            "conversations.members": self._channel_members,
            "conversations.replies": lambda *given: self.answer_replies(*given),
            "files.completeUploadExternal": self._complete_upload,
            "files.getUploadURLExternal": self._upload_url,
            "files.info": self._file_info,
            "users.conversations": self._users_conversations,
            "users.info": self._user_info,
            "views.open": self._open_view,
            "users.list": self._users_list,
        }

    async def call(self, method: str, token: str, arguments: Json) -> Json:
        """Carry out one call."""
        slack = self._slack
        if method not in METHODS:
            slack.violations.append(f"{method} is not declared in adapters.slack.methods")
            raise Refused("unknown_method")
        if method in slack.unsupported:
            raise Refused(slack.unknown)
        check_arguments(method, arguments)
        if method == "apps.connections.open":
            return self._open_connection(token)
        if method == "apps.manifest.export":
            return self._export(token, arguments)
        if method == "oauth.v2.access":
            return self._oauth(arguments)
        channel = str(arguments.get("channel") or arguments.get("channel_id") or "")
        team = self._team(token, method)
        if team.enterprise:
            team = self._of_organisation(team, method, channel, str(arguments.get("team_id") or ""))
        per_minute = LIMITED_A_MINUTE if slack.limited and method in LIMITED else None
        slack.budgets.spend(method, team.id, channel, per_minute)
        if method in CONTENT:
            self._check(method, arguments)
        return await self._methods[method](team, arguments)

    def _check(self, method: str, arguments: Json) -> None:
        try:
            check_content(method, arguments)
        except Refused as refused:
            self._slack.violations.append(f"{method}: {refused.error}")
            raise
        self._note_pings(method, arguments)

    def _note_pings(self, method: str, arguments: Json) -> None:
        for ping in pings(arguments):
            self._slack.violations.append(f"{method} would ping {ping}")

    def _team(self, token: str, method: str) -> Team:
        for team in self._slack.teams.values():
            if team.bot_token == token and team.installed:
                missing = set(METHODS[method].scopes) - team.scopes
                if missing:
                    raise Refused(
                        "missing_scope",
                        needed=",".join(sorted(missing)),
                        provided=",".join(sorted(team.scopes)),
                    )
                return team
        raise Refused("invalid_auth" if token else "not_authed")

    def _of_organisation(self, one: Team, method: str, channel: str, named: str) -> Team:
        """The workspace that a call with an organisation's token is about."""
        teams = [t for t in self._slack.teams.values() if t.bot_token == one.bot_token]
        if method == "users.conversations":
            if named not in {t.id for t in teams}:
                raise Refused("missing_argument")
            return self._slack.teams[named]
        return next((t for t in teams if channel in t.channels), one)

    def _channel(self, team: Team, arguments: Json, key: str = "channel") -> Channel:
        channel = team.channels.get(str(arguments.get(key, "")))
        if channel is None or (channel.kind != "channel" and team.bot_user not in channel.members):
            raise Refused("channel_not_found")
        return channel

    def _joined(self, team: Team, arguments: Json, key: str = "channel") -> Channel:
        channel = self._channel(team, arguments, key)
        if team.bot_user not in channel.members:
            raise Refused("not_in_channel")
        return channel

    def _open_connection(self, token: str) -> Json:
        if token != self._slack.app_token:
            raise Refused("invalid_auth")
        if len(self._slack.deliveries.sockets) >= 10:
            raise Refused("too_many_websockets")
        ticket = new_id("ticket")
        self._slack.tickets.add(ticket)
        base = self._slack.url.replace("http", "ws", 1)
        return {"url": f"{base}/link/?ticket={ticket}&app_id={self._slack.app_id}"}

    def _export(self, token: str, arguments: Json) -> Json:
        """An app's settings, which only a token of its owner's may see."""
        if token.startswith(("xoxb-", "xapp-")):
            raise Refused("not_allowed_token_type")
        if token != self._slack.config_token:
            raise Refused("token_expired" if token.startswith("xoxe.xoxp-") else "invalid_auth")
        if arguments.get("app_id") != self._slack.app_id:
            raise Refused("app_not_found")
        return {"manifest": self._slack.manifest}

    def _oauth(self, arguments: Json) -> Json:
        team = self._slack.teams.get(self._slack.oauth_codes.pop(arguments.get("code", ""), ""))
        if team is None:
            raise Refused("invalid_code")
        if arguments.get("client_secret") != self._slack.client_secret:
            raise Refused("bad_client_secret")
        team.installed = True
        return {
            "access_token": team.bot_token,
            "token_type": "bot",
            "scope": ",".join(sorted(team.scopes)),
            "bot_user_id": team.bot_user,
            "app_id": self._slack.app_id,
            "team": None if team.enterprise else {"id": team.id, "name": team.id.lower()},
            "enterprise": {"id": team.enterprise, "name": "an organisation"} if team.enterprise else None,
            "is_enterprise_install": bool(team.enterprise),
            "authed_user": {"id": next(iter(team.users), "U1")},
        }

    async def _teams_list(self, team: Team, arguments: Json) -> Json:
        teams = [t for t in self._slack.teams.values() if t.bot_token == team.bot_token]
        start = int(arguments.get("cursor") or 0)
        page = [{"id": t.id, "name": t.id.lower()} for t in teams[start : start + self._slack.teams_page]]
        end = start + len(page)
        cursor = str(end) if end < len(teams) else ""
        return {"teams": page, "response_metadata": {"next_cursor": cursor}}

    async def _auth_test(self, team: Team, arguments: Json) -> Json:
        return {
            "url": f"https://{team.id.lower()}.slack.com/",
            "team": team.id.lower(),
            "user": "threadfly",
            "team_id": team.id,
            "user_id": team.bot_user,
            "bot_id": team.bot_id,
            "is_enterprise_install": bool(team.enterprise),
        } | ({"enterprise_id": team.enterprise, "team_id": team.enterprise} if team.enterprise else {})

    async def _bot_info(self, team: Team, arguments: Json) -> Json:
        if team.enterprise and not arguments.get("team_id"):
            raise Refused("missing_argument")
        if arguments.get("bot") != team.bot_id:
            raise Refused("bot_not_found")
        bot = {"id": team.bot_id, "deleted": False, "name": "threadfly", "user_id": team.bot_user}
        return {"bot": bot | {"app_id": self._slack.app_id}}

    # What the bot says.

    async def _post(self, team: Team, arguments: Json) -> Json:
        if arguments.get("channel") in team.users:  # a person: their direct messages
            opened = await self._open_direct(team, {"users": arguments["channel"]})
            arguments = arguments | {"channel": opened["channel"]["id"]}
        channel = self._joined(team, arguments)
        message = self._slack.own_message(team, arguments)
        thread_ts = arguments.get("thread_ts")
        if thread_ts:
            if thread_ts not in channel.messages:
                raise Refused("thread_not_found")
            message["thread_ts"] = thread_ts
        self._slack.keep(team, channel, message)
        return {"channel": channel.id, "ts": message["ts"], "message": self._slack.shown(message)}

    async def _update(self, team: Team, arguments: Json) -> Json:
        channel, message = self._own(team, arguments)
        stream = team.streams.get((channel.id, message["ts"]))
        if stream is not None and stream.alive:
            raise Refused("streaming_state_conflict")
        changes = {k: arguments[k] for k in ("text", "blocks", "metadata") if k in arguments}
        if "markdown_text" in arguments:
            changes = {"text": arguments["markdown_text"], "blocks": []}
        elif "text" in arguments and "blocks" not in arguments:
            changes["blocks"] = []
        self._slack.change(team, channel, message, changes)
        return {"channel": channel.id, "ts": message["ts"], "text": message["text"]}

    async def _delete(self, team: Team, arguments: Json) -> Json:
        channel, message = self._own(team, arguments, "cant_delete_message")
        self._slack.remove(team, channel, message["ts"])
        return {"channel": channel.id, "ts": message["ts"]}

    def _own(self, team: Team, arguments: Json, refusal: str = "cant_update_message") -> tuple[Channel, Json]:
        channel = self._joined(team, arguments)
        message = channel.messages.get(str(arguments.get("ts", "")))
        if message is None or message.get("subtype") == "tombstone":
            raise Refused("message_not_found")
        if message.get("user") != team.bot_user:
            raise Refused(refusal)
        return channel, message

    async def _post_ephemeral(self, team: Team, arguments: Json) -> Json:
        channel = self._joined(team, arguments)
        if arguments.get("user") not in channel.members:
            raise Refused("user_not_in_channel")
        thread = arguments.get("thread_ts")
        if thread and not any(m.get("thread_ts") == thread != ts for ts, m in channel.messages.items()):
            self._slack.violations.append("nobody sees what is ephemeral below a message without replies")
        await self._slack.note(team.ephemerals, dict(arguments))
        return {"message_ts": self._slack.clock.ts()}

    async def _open_view(self, team: Team, arguments: Json) -> Json:
        given = self._slack.triggers.pop(str(arguments.get("trigger_id") or ""), None)
        if given is None:
            raise Refused("invalid_trigger_id")
        at, user = given
        if time.monotonic() - at > self._slack.trigger_life_s:
            raise Refused("expired_trigger_id")
        view = arguments["view"]
        view = json.loads(view) if isinstance(view, str) else view
        check_view(view)
        self._slack.views.append((user, view))
        await self._slack.stirred()
        return {"view": view | {"id": new_id("V"), "team_id": team.id}}

    # Native streams.

    async def _start_stream(self, team: Team, arguments: Json) -> Json:
        channel = self._joined(team, arguments)
        if not arguments.get("thread_ts"):
            raise Refused("invalid_arguments")
        if arguments["thread_ts"] not in channel.messages:
            raise Refused("thread_not_found")
        if channel.kind != "im" and not arguments.get("recipient_user_id"):
            raise Refused("missing_recipient_user_id")
        if channel.kind != "im" and not arguments.get("recipient_team_id"):
            raise Refused("missing_recipient_team_id")
        if channel.kind != "im" and not str(arguments["recipient_team_id"]).startswith("T"):
            raise Refused("invalid_recipient_team_id")
        text = self._streamed("chat.startStream", arguments)
        message = self._slack.own_message(team, {"text": text}) | {"thread_ts": arguments["thread_ts"]}
        reader = str(arguments.get("recipient_user_id") or "")
        began = self._slack.clock.now()
        team.streams[channel.id, message["ts"]] = Stream(
            began, channel.id, message["ts"], reader=reader, opening=text
        )
        self._slack.keep(team, channel, message)
        return {"channel": channel.id, "ts": message["ts"]}

    def _streamed(self, method: str, arguments: Json) -> str:
        text = arguments.get("markdown_text") or ""
        text += "".join(
            c.get("text", "") for c in arguments.get("chunks") or [] if c["type"] == "markdown_text"
        )
        if len(text) > MARKDOWN_LENGTH:
            self._slack.violations.append(f"{method}: {len(text)} characters")
            raise Refused("msg_too_long")
        return text

    def _live(self, team: Team, arguments: Json) -> tuple[Channel, Json, Stream]:
        channel, message = self._own(team, arguments)
        stream = team.streams.get((channel.id, message["ts"]))
        if stream is not None and self._slack.clock.now() - stream.began > STREAM_LIFE_S:
            stream.alive = False
        if stream is None or not stream.alive:
            raise Refused("message_not_in_streaming_state")
        return channel, message, stream

    async def _append_stream(self, team: Team, arguments: Json) -> Json:
        channel, message, _ = self._live(team, arguments)
        text = self._streamed("chat.appendStream", arguments)
        if not text:
            raise Refused("no_text")
        message["text"] += text
        self._note_pings("chat.appendStream", {"text": message["text"]})
        await self._slack.stirred()
        return {"channel": channel.id, "ts": message["ts"]}

    async def _stop_stream(self, team: Team, arguments: Json) -> Json:
        channel, message, stream = self._live(team, arguments)
        text = message["text"] + self._streamed("chat.stopStream", arguments)
        check_blocks(arguments.get("blocks") or [])
        stream.alive = False
        if (session := (channel.id, message["thread_ts"])) in team.sessions:
            team.sessions[session] = arguments.get("session_status") or "active"
        changes: Json = {"text": text, "blocks": arguments.get("blocks") or []}
        if "metadata" in arguments:
            changes["metadata"] = arguments["metadata"]
        self._note_pings("chat.stopStream", changes)
        self._slack.change(team, channel, message, changes)
        return {"channel": channel.id, "ts": message["ts"]}

    # The agent view.

    async def _set_session(self, team: Team, arguments: Json) -> Json:
        channel = self._channel(team, arguments, "channel_id")
        if arguments["status"] not in {"active", "processing", "suspended", "closed"}:
            raise Refused("invalid_arguments")
        team.sessions[channel.id, str(arguments.get("thread_ts"))] = arguments["status"]
        await self._slack.stirred()
        return {"status": arguments["status"]}

    async def _set_status(self, team: Team, arguments: Json) -> Json:
        channel = self._channel(team, arguments, "channel_id")
        if not arguments.get("thread_ts"):
            raise Refused("invalid_thread_ts")
        self._slack.end_status(team, channel.id, str(arguments["thread_ts"]))
        if arguments["status"]:
            set_at = self._slack.clock.now()
            team.status[channel.id, str(arguments["thread_ts"])] = Status(arguments["status"], set_at)
        await self._slack.note(team.statuses, dict(arguments))
        return {}

    async def _set_title(self, team: Team, arguments: Json) -> Json:
        self._channel(team, arguments, "channel_id")
        if len(arguments["title"]) > TITLE_LENGTH:
            raise Refused("invalid_arguments")
        await self._slack.note(team.titles, dict(arguments))
        return {}

    async def _set_prompts(self, team: Team, arguments: Json) -> Json:
        self._channel(team, arguments, "channel_id")
        prompts = arguments["prompts"]
        if isinstance(prompts, str):
            prompts = json.loads(prompts)
        if not 1 <= len(prompts) <= MOST_PROMPTS or any(not p["title"] or not p["message"] for p in prompts):
            raise Refused("invalid_arguments")
        await self._slack.note(team.prompts, dict(arguments) | {"prompts": prompts})
        return {}

    # Reading.

    async def _history(self, team: Team, arguments: Json) -> Json:
        channel = self._joined(team, arguments)
        top = [
            self._parent(channel, m)
            for m in channel.messages.values()
            if m.get("thread_ts", m["ts"]) == m["ts"]
        ]
        found = [m for m in reversed(top) if self._between(m["ts"], arguments)]
        return self._page(team, found, arguments)

    def _parent(self, channel: Channel, message: Json) -> Json:
        replies = channel.replies(message["ts"])
        if not replies:
            return message
        latest = {"latest_reply": replies[-1]["ts"]} if self._slack.tells_latest_reply else {}
        return (
            message
            | latest
            | {
                "thread_ts": message["ts"],
                "reply_count": len(replies),
                "reply_users": sorted({m.get("user") or "" for m in replies})[:5],
            }
        )

    async def answer_replies(self, team: Team, arguments: Json) -> Json:
        channel = self._joined(team, arguments)
        parent = channel.messages.get(str(arguments.get("ts", "")))
        if parent is None:
            raise Refused("thread_not_found")
        replies = [m for m in channel.replies(parent["ts"]) if self._between(m["ts"], arguments)]
        limit = self._limit(arguments)
        start = int(arguments.get("cursor") or 0)
        page = replies[start : start + max(1, limit - 1)]
        end = start + len(page)
        answer: Json = {
            "messages": [self._told(m, arguments) for m in (self._parent(channel, parent), *page)]
        }
        answer["has_more"] = end < len(replies)
        if answer["has_more"]:
            answer["response_metadata"] = {"next_cursor": "0" if self._slack.circles else str(end)}
        return answer

    def _between(self, ts: str, arguments: Json) -> bool:
        oldest, latest = str(arguments.get("oldest") or "0"), str(arguments.get("latest") or "9999999999")
        if str(arguments.get("inclusive") or "").lower() in {"1", "true"}:
            return oldest <= ts <= latest
        return oldest < ts < latest

    def _limit(self, arguments: Json) -> int:
        limit = int(arguments.get("limit") or 100)
        if limit > 1000:
            raise Refused("invalid_limit")
        return min(limit, LIMITED_PAGE if self._slack.limited else self._slack.history_page)

    def _page(self, team: Team, found: list[Json], arguments: Json) -> Json:
        start = int(arguments.get("cursor") or 0)
        page = found[start : start + self._limit(arguments)]
        end = start + len(page)
        answer: Json = {"messages": [self._told(m, arguments) for m in page], "has_more": end < len(found)}
        if answer["has_more"]:
            answer["response_metadata"] = {"next_cursor": "0" if self._slack.circles else str(end)}
        return answer

    def _told(self, message: Json, arguments: Json) -> Json:
        wanted = str(arguments.get("include_all_metadata") or "").lower() in {"1", "true"}
        return message if wanted else {k: v for k, v in message.items() if k != "metadata"}

    async def _channel_info(self, team: Team, arguments: Json) -> Json:
        channel = self._channel(team, arguments)
        return {"channel": self._described(team, channel) | {"is_member": team.bot_user in channel.members}}

    def _described(self, team: Team, channel: Channel) -> Json:
        return {
            "id": channel.id,
            "name": channel.name,
            "is_channel": channel.kind == "channel",
            "is_group": channel.kind == "group",
            "is_im": channel.kind == "im",
            "is_mpim": channel.kind == "mpim",
            "is_private": channel.kind != "channel",
            "is_archived": channel.archived,
            "is_ext_shared": channel.shared,
            "is_shared": channel.shared,
        } | ({"user": min(channel.members - {team.bot_user})} if channel.kind == "im" else {})

    async def _open_direct(self, team: Team, arguments: Json) -> Json:
        """The direct message of the bot and one person, which is made when it is not there."""
        user = str(arguments.get("users", ""))
        if user not in team.users or user in team.departed:
            raise Refused("user_not_found" if user not in team.users else "user_disabled")
        members = {user, team.bot_user}
        found = next((c for c in team.channels.values() if c.kind == "im" and c.members == members), None)
        if found is None:
            found = self._slack.add_channel(team, Channel(new_id("D"), "", "im", members))
        return {"channel": {"id": found.id}, "no_op": True, "already_open": True}

    async def _list(self, team: Team, arguments: Json) -> Json:
        """All public ones, and of others those that the bot is in, which goes unsaid of direct messages."""
        wanted = {KINDS[t] for t in str(arguments.get("types") or "public_channel").split(",")}
        told = []
        for channel in team.channels.values():
            joined = team.bot_user in channel.members
            if channel.kind in wanted and (joined or channel.kind == "channel"):
                said = {} if channel.kind == "im" else {"is_member": joined}
                told.append(self._described(team, channel) | said)
        return {"channels": told}

    async def _users_conversations(self, team: Team, arguments: Json) -> Json:
        wanted = {KINDS[t] for t in str(arguments.get("types") or "public_channel").split(",")}
        both = {team.bot_user, str(arguments.get("user") or team.bot_user)}
        if not both <= set(team.users):
            raise Refused("user_not_found")
        mine = [c for c in team.channels.values() if c.kind in wanted and both <= c.members]
        if str(arguments.get("exclude_archived") or "").lower() in {"1", "true"}:
            mine = [c for c in mine if not c.archived]
        start, limit = int(arguments.get("cursor") or 0), int(arguments.get("limit") or 100)
        if limit > 999:
            raise Refused("invalid_limit")
        limit = min(limit, self._slack.channels_page)
        page = mine[start : start + limit]
        end = start + len(page)
        cursor = str(end) if end < len(mine) else ""
        return {
            "channels": [self._described(team, c) for c in page],
            "response_metadata": {"next_cursor": cursor},
        }

    async def _channel_members(self, team: Team, arguments: Json) -> Json:
        members = sorted(self._channel(team, arguments).members)
        page, cursor = self._slice(members, arguments)
        return {"members": page, "response_metadata": {"next_cursor": cursor}}

    async def _users_list(self, team: Team, arguments: Json) -> Json:
        page, cursor = self._slice(sorted(team.users), arguments)
        return {
            "members": [self._told_of(team, user)["user"] for user in page],
            "response_metadata": {"next_cursor": cursor},
        }

    def _slice(self, everything: list[str], arguments: Json) -> tuple[list[str], str]:
        start, limit = int(arguments.get("cursor") or 0), int(arguments.get("limit") or 100)
        page = everything[start : start + min(limit, self._slack.channels_page)]
        end = start + len(page)
        return page, str(end) if end < len(everything) else ""

    async def _user_info(self, team: Team, arguments: Json) -> Json:
        return self._told_of(team, str(arguments.get("user", "")))

    def _told_of(self, team: Team, user: str) -> Json:
        name = team.users.get(user)
        if name is None:
            raise Refused("user_not_found")
        profile = {"display_name": name, "real_name": f"{name} Example"}
        guest = team.guests.get(user, "")
        home = team.shared_users.get(user, team.id)
        return {
            "user": {
                "id": user,
                "team_id": home,
                "name": name.lower(),
                "deleted": user in team.departed,
                "tz": team.zone,
                "is_restricted": bool(guest),
                "is_ultra_restricted": guest == "is_ultra_restricted",
                "profile": profile,
            }
            | ({} if home == team.id else {"is_stranger": False})
            | self._slack.user_info.get(user, {})
        }

    # Files.

    async def _upload_url(self, team: Team, arguments: Json) -> Json:
        file = new_id("F")
        team.files[file] = {"id": file, "name": arguments["filename"], "size": int(arguments["length"])}
        return {"upload_url": f"{self._slack.url}/upload/{team.id}/{file}", "file_id": file}

    async def _complete_upload(self, team: Team, arguments: Json) -> Json:
        files = arguments["files"]
        if isinstance(files, str):
            files = json.loads(files)
        done = [team.files[f["id"]] | {"title": f.get("title", "")} for f in files]
        self._note_pings("files.completeUploadExternal", arguments)
        for file in done:
            if len(team.contents.get(file["id"], b"")) != file["size"]:
                raise Refused("file_not_found")
        if arguments.get("channel_id"):
            channel = self._joined(team, arguments, "channel_id")
            self._slack.share(
                team, channel, done, arguments.get("thread_ts"), arguments.get("initial_comment") or ""
            )
        return {"files": done}

    async def _file_info(self, team: Team, arguments: Json) -> Json:
        file = team.files.get(str(arguments.get("file", "")))
        if file is None:
            raise Refused("file_not_found")
        await asyncio.sleep(0)
        return {"file": file}


def parse(arguments: dict[str, Any]) -> Json:
    """Undo what forms and queries do to JSON values."""
    parsed: Json = {}
    for key, value in arguments.items():
        if key in {"blocks", "attachments", "metadata", "chunks"} and isinstance(value, str):
            parsed[key] = json.loads(value)
        else:
            parsed[key] = value
    return parsed
