"""What the fake Discord holds, and what people do in it. No sockets here.

Every change tells `emit(event, payload, guild, channel)`, which the gateway turns into dispatches.
"""

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from tests.fakes.discord.permissions import ALL, BITS, EVERYONE, Overwrite, bits, compute

EPOCH_MS = 1_420_070_400_000
Payload = dict[str, Any]
T = TypeVar("T")

TEXT, DM, VOICE, GROUP, CATEGORY, ANNOUNCEMENT, STAGE, FORUM, MEDIA = 0, 1, 2, 3, 4, 5, 13, 15, 16
ANNOUNCEMENT_THREAD, PUBLIC_THREAD, PRIVATE_THREAD = 10, 11, 12
KINDS = {
    "text": TEXT,
    "voice": VOICE,
    "category": CATEGORY,
    "announcement": ANNOUNCEMENT,
    "stage": STAGE,
    "forum": FORUM,
    "media": MEDIA,
}
VOICED = (VOICE, STAGE)
POSTS_ONLY = (FORUM, MEDIA)
"""Channels that hold threads, and no messages of their own."""
DIRECT = (DM, GROUP)
THREADS = (ANNOUNCEMENT_THREAD, PUBLIC_THREAD, PRIVATE_THREAD)

DEFAULT, THREAD_CREATED, REPLY, SLASH, STARTER = 0, 18, 19, 20, 21
HAS_THREAD = 1 << 5


def iso(ms: float) -> str:
    """Discord's way to write a time."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()


def said(message: Payload) -> list[str]:
    """What a message reads: its content and its embeds."""
    texts = [message.get("content"), *(embed.get("description") for embed in message.get("embeds", ()))]
    return [text for text in texts if text]


def made_ms(snowflake: int) -> int:
    """When an id was made."""
    return (snowflake >> 22) + EPOCH_MS


@dataclass
class User:
    id: int
    name: str
    display: str
    bot: bool = False

    def payload(self) -> Payload:
        return {
            "id": str(self.id),
            "username": self.name,
            "global_name": self.display,
            "discriminator": "0",
            "avatar": None,
            "bot": self.bot,
        }


@dataclass
class Role:
    id: int
    name: str
    permissions: int
    managed_for: int = 0

    def payload(self) -> Payload:
        tags = {"tags": {"bot_id": str(self.managed_for)}} if self.managed_for else {}
        return {
            "id": str(self.id),
            "name": self.name,
            "color": 0,
            "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
            "hoist": False,
            "position": 0,
            "permissions": str(self.permissions),
            "managed": bool(self.managed_for),
            "mentionable": True,
            "flags": 0,
            **tags,
        }


@dataclass
class Guild:
    id: int
    name: str
    owner: int
    roles: dict[int, Role] = field(default_factory=dict)
    members: dict[int, list[int]] = field(default_factory=dict)
    """Member to roles, without @everyone."""


@dataclass
class Channel:
    id: int
    kind: int
    name: str = ""
    guild: int = 0
    parent: int = 0
    owner: int = 0
    recipients: tuple[int, ...] = ()
    overwrites: dict[int, Overwrite] = field(default_factory=dict)
    messages: dict[int, Payload] = field(default_factory=dict)
    last: int = 0
    archived: bool = False
    locked: bool = False
    members: set[int] = field(default_factory=set)
    archive_minutes: int = 1440
    archived_ms: float = 0

    @property
    def is_thread(self) -> bool:
        return self.kind in THREADS


@dataclass
class Interaction:
    """One gesture of a person, and what the application made of it."""

    id: int
    token: str
    made: float
    payload: Payload
    response: Payload | None = None
    message: Payload | None = None
    """What the person sees: an ephemeral answer, or the original response."""
    followups: list[Payload] = field(default_factory=list)


class World:
    """State and gestures. Ids are integers; payloads are what the wire carries."""

    def __init__(self, emit: Callable[[str, Payload, int, int], None]) -> None:
        self._emit = emit
        self._sequence = 0
        self._last_ms = 0
        self.users: dict[int, User] = {}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self.interactions: dict[str, Interaction] = {}
        self.files: dict[str, tuple[str, bytes]] = {}
        self.expired: set[str] = set()
        """Paths of files whose links ran out."""
        self.commands: list[Payload] = []
        self.violations: list[str] = []
        self.pings: list[str] = []
        self.typing: list[int] = []
        self.used_permissions: set[str] = set()
        self.closed_dms: set[int] = set()
        self.most_file_bytes = 10 * 1024 * 1024
        """Of all files of a message, without boosts."""
        self.nonces: dict[tuple[int, str], Payload] = {}
        """What was sent under a nonce; also what was deleted since."""
        self.changed = asyncio.Condition()
        self._telling: set[asyncio.Task[None]] = set()
        self.files_base = ""
        self.content_intent = True
        self.own_thread_ids = False
        """As some emulators do: a thread does not have the id of the message it was opened from."""
        self.bot = User(self.snowflake(), "threadfly", "Threadfly", bot=True)
        self.users[self.bot.id] = self.bot

    def snowflake(self, ago_s: float = 0) -> int:
        """A new id, made `ago_s` seconds ago; ids without an age only grow."""
        ms = int(time.time() * 1000 - ago_s * 1000)
        if not ago_s:
            ms = self._last_ms = max(ms, self._last_ms)
        self._sequence = (self._sequence + 1) & 0x3FFFFF
        if not ago_s and self._sequence == 0:
            ms = self._last_ms = ms + 1
        return (ms - EPOCH_MS) << 22 | self._sequence

    def violation(self, sentence: str) -> None:
        """The client broke a rule."""
        self.violations.append(sentence)

    def emit(self, event: str, payload: Payload, guild: int = 0, channel: int = 0) -> None:
        """Tell the gateway, and whoever waits."""
        self._emit(event, payload, guild, channel)
        self.touch()

    def touch(self) -> None:
        """Wake whoever waits for a change."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        task = loop.create_task(self._tell())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def wait(self, probe: Callable[[], T], timeout: float = 10.0) -> T:
        """The first true answer of `probe`, asked again after every change."""
        async with asyncio.timeout(timeout), self.changed:
            while not (found := probe()):
                await self.changed.wait()
            return found

    # ---- places and people

    def guild(self, name: str = "Guild", bot_permissions: Sequence[str] | None = None, shard: int = 0) -> int:
        """A guild with the bot in it. `shard`: which shard of two its id falls on."""
        guild_id = self.snowflake()
        while (guild_id >> 22) % 2 != shard % 2:
            self._last_ms += 1
            guild_id = self.snowflake()
        owner = self.person(f"owner-of-{name}", "Owner")
        guild = Guild(guild_id, name, owner)
        guild.roles[guild_id] = Role(guild_id, "@everyone", EVERYONE)
        own = self.snowflake()
        guild.roles[own] = Role(
            own, "Threadfly", EVERYONE if bot_permissions is None else bits(bot_permissions), self.bot.id
        )
        if bot_permissions is not None:
            guild.roles[guild_id].permissions = BITS["view_channel"]
        guild.members = {owner: [], self.bot.id: [own]}
        self.guilds[guild_id] = guild
        self.emit("GUILD_CREATE", self.guild_payload(guild_id), guild_id)
        return guild_id

    def person(self, name: str, display: str = "", bot: bool = False) -> int:
        """Somebody; a member of every guild they speak in."""
        user = User(self.snowflake(), name, display or name.title(), bot)
        self.users[user.id] = user
        return user.id

    def role(self, guild: int, name: str, permissions: Sequence[str] = (), to: Sequence[int] = ()) -> int:
        """A role, given to some."""
        role = Role(self.snowflake(), name, bits(permissions))
        self.guilds[guild].roles[role.id] = role
        for user in to:
            self.guilds[guild].members.setdefault(user, []).append(role.id)
        self.emit("GUILD_ROLE_CREATE", {"guild_id": str(guild), "role": role.payload()}, guild)
        return role.id

    def own_role(self, guild: int) -> int:
        """The role that the bot's invitation made."""
        return next(r.id for r in self.guilds[guild].roles.values() if r.managed_for)

    def channel(self, guild: int, name: str, kind: str = "text", parent: int = 0) -> int:
        """A channel in a guild."""
        channel = Channel(self.snowflake(), KINDS[kind], name, guild, parent)
        self.channels[channel.id] = channel
        self.emit("CHANNEL_CREATE", self.channel_payload(channel.id), guild, channel.id)
        return channel.id

    def dm(self, person: int) -> int:
        """The direct-message channel of a person and the bot."""
        for channel in self.channels.values():
            if channel.kind == DM and person in channel.recipients:
                return channel.id
        channel = Channel(self.snowflake(), DM, recipients=(person,))
        self.channels[channel.id] = channel
        return channel.id

    def group(self, *people: int) -> int:
        """A direct message of several people: the bot is not among them."""
        channel = Channel(self.snowflake(), GROUP, recipients=people)
        self.channels[channel.id] = channel
        return channel.id

    def thread(
        self,
        channel: int,
        name: str,
        by: int = 0,
        message: int = 0,
        private: bool = False,
        members: Sequence[int] = (),
    ) -> int:
        """A thread, from a message or on its own."""
        parent = self.channels[channel]
        kind = PRIVATE_THREAD if private else PUBLIC_THREAD
        if parent.kind == ANNOUNCEMENT:
            kind = ANNOUNCEMENT_THREAD
        thread = Channel(
            (not self.own_thread_ids and message) or self.snowflake(),
            kind,
            name,
            parent.guild,
            channel,
            owner=by or self.bot.id,
        )
        thread.members = {*members, thread.owner}
        self.channels[thread.id] = thread
        if message:
            starter = parent.messages[message]
            starter["flags"] |= HAS_THREAD
            starter["thread"] = self.channel_payload(thread.id)
        if parent.kind in POSTS_ONLY:
            parent.last = thread.id
        self.emit(
            "THREAD_CREATE",
            {**self.channel_payload(thread.id), "newly_created": True},
            parent.guild,
            thread.id,
        )
        if message:
            self._mark_start(thread, parent.messages[message])
        return thread.id

    def _mark_start(self, thread: Channel, starter: Payload) -> None:
        """Put what stands for the starter message, which itself stays in the parent, into a thread."""
        marker: Payload = {
            **starter,
            "id": str(self.snowflake()),
            "channel_id": str(thread.id),
            "content": "",
            "attachments": [],
            "type": STARTER,
            "flags": 0,
            "message_reference": {
                "type": 0,
                "message_id": starter["id"],
                "channel_id": starter["channel_id"],
                "guild_id": str(thread.guild),
            },
        }
        marker.pop("thread", None)
        thread.messages[int(marker["id"])] = marker
        thread.last = int(marker["id"])
        self.emit("MESSAGE_CREATE", self.for_gateway(marker), thread.guild, thread.id)

    def archive(self, thread: int, locked: bool = False, ago_s: float = 0) -> None:
        """Close a thread."""
        channel = self.channels[thread]
        channel.archived, channel.locked = True, locked
        channel.archived_ms = time.time() * 1000 - ago_s * 1000
        self.emit("THREAD_UPDATE", self.channel_payload(thread), channel.guild, thread)

    def deny(self, channel: int, permissions: Sequence[str], user: int = 0, role: int = 0) -> None:
        """Take rights from the bot (or somebody, or a role) in a channel."""
        overwrite = self._overwrite(channel, user, role)
        overwrite.allow &= ~bits(permissions)
        overwrite.deny |= bits(permissions)
        self.emit("CHANNEL_UPDATE", self.channel_payload(channel), self.channels[channel].guild, channel)

    def allow(self, channel: int, permissions: Sequence[str], user: int = 0, role: int = 0) -> None:
        """Give rights, or give them back."""
        overwrite = self._overwrite(channel, user, role)
        overwrite.deny &= ~bits(permissions)
        overwrite.allow |= bits(permissions)
        self.emit("CHANNEL_UPDATE", self.channel_payload(channel), self.channels[channel].guild, channel)

    def _overwrite(self, channel: int, user: int, role: int) -> Overwrite:
        target = role or user or self.bot.id
        overwrite = Overwrite(target, is_member=not role)
        return self.channels[channel].overwrites.setdefault(target, overwrite)

    def delete_channel(self, channel: int) -> None:
        """Take a channel or thread away, with all that is in it."""
        gone = self.channels.pop(channel)
        if gone.is_thread:
            self.emit(
                "THREAD_DELETE",
                {
                    "id": str(gone.id),
                    "guild_id": str(gone.guild),
                    "parent_id": str(gone.parent),
                    "type": gone.kind,
                },
                gone.guild,
            )
            return
        for thread in [c.id for c in self.channels.values() if c.parent == channel and c.is_thread]:
            del self.channels[thread]
        payload = {"id": str(channel), "guild_id": str(gone.guild), "type": gone.kind, "name": gone.name}
        self.emit("CHANNEL_DELETE", {**payload, "position": 0, "permission_overwrites": []}, gone.guild)

    def leave(self, guild: int, user: int) -> None:
        """Somebody leaves; without the members intent nobody hears of it."""
        del self.guilds[guild].members[user]

    def leave_thread(self, thread: int, user: int) -> None:
        """Somebody leaves a thread; without the members intent nobody hears of it."""
        self.channels[thread].members.discard(user)

    def remove_guild(self, guild: int) -> None:
        """The bot is thrown out."""
        del self.guilds[guild]
        for channel in [c.id for c in self.channels.values() if c.guild == guild]:
            del self.channels[channel]
        self.emit("GUILD_DELETE", {"id": str(guild)}, guild)

    def can(self, user: int, channel: int) -> int:
        """Permissions of `user` in `channel`."""
        place = self.channels[channel]
        if place.kind in DIRECT:
            return ALL
        if place.kind == PRIVATE_THREAD and user not in place.members:
            rights = self.can(user, place.parent)
            return rights if rights & BITS["manage_threads"] else 0
        if place.is_thread:
            return self.can(user, place.parent)
        guild = self.guilds[place.guild]
        if guild.owner == user:
            return ALL
        base = self.guild_rights(guild.id, user)
        return compute(base, guild.id, guild.members.get(user, []), user, place.overwrites)

    def guild_rights(self, guild_id: int, user: int) -> int:
        """Permissions of `user` in the guild as a whole."""
        guild = self.guilds[guild_id]
        rights = guild.roles[guild.id].permissions
        for role in guild.members.get(user, []):
            rights |= guild.roles[role].permissions
        return rights

    # ---- payloads

    def channel_payload(self, channel_id: int) -> Payload:
        """A channel, as the wire carries it."""
        channel = self.channels[channel_id]
        payload: Payload = {"id": str(channel.id), "type": channel.kind, "flags": 0}
        payload["last_message_id"] = str(channel.last) if channel.last else None
        if channel.kind in DIRECT:
            payload["recipients"] = [self.users[user].payload() for user in channel.recipients]
            return payload
        payload |= {"name": channel.name, "guild_id": str(channel.guild), "position": 0, "nsfw": False}
        payload["parent_id"] = str(channel.parent) if channel.parent else None
        if channel.is_thread:
            payload |= {
                "owner_id": str(channel.owner),
                "message_count": len(channel.messages),
                "member_count": len(channel.members),
                "total_message_sent": len(channel.messages),
                "rate_limit_per_user": 0,
                "thread_metadata": {
                    "archived": channel.archived,
                    "locked": channel.locked,
                    "auto_archive_duration": channel.archive_minutes,
                    "archive_timestamp": iso(channel.archived_ms or made_ms(channel.id)),
                    "create_timestamp": iso(made_ms(channel.id)),
                },
            }
            if self.bot.id in channel.members:
                payload["member"] = {
                    "id": str(channel.id),
                    "user_id": str(self.bot.id),
                    "join_timestamp": iso(made_ms(channel.id)),
                    "flags": 0,
                }
            return payload
        payload["permission_overwrites"] = [
            {"id": str(o.target), "type": int(o.is_member), "allow": str(o.allow), "deny": str(o.deny)}
            for o in channel.overwrites.values()
        ]
        if channel.kind in VOICED:
            payload |= {"bitrate": 64000, "user_limit": 0, "rtc_region": None}
        if channel.kind in POSTS_ONLY:
            payload |= {"available_tags": [], "default_sort_order": None, "default_forum_layout": 0}
        return payload

    def member_payload(self, guild: int, user: int, *, with_user: bool = True) -> Payload:
        """A member, as the wire carries it."""
        payload: Payload = {
            "roles": [str(role) for role in self.guilds[guild].members.get(user, [])],
            "nick": None,
            "avatar": None,
            "joined_at": iso(made_ms(guild)),
            "premium_since": None,
            "deaf": False,
            "mute": False,
            "pending": False,
            "flags": 0,
        }
        if with_user:
            payload["user"] = self.users[user].payload()
        return payload

    def guild_payload(self, guild_id: int) -> Payload:
        """GUILD_CREATE: channels, the active threads that the bot may see, and the bot as a member."""
        guild = self.guilds[guild_id]
        inside = [c for c in self.channels.values() if c.guild == guild_id]
        return {
            "id": str(guild_id),
            "name": guild.name,
            "icon": None,
            "owner_id": str(guild.owner),
            "unavailable": False,
            "member_count": len(guild.members),
            "large": False,
            "joined_at": iso(made_ms(guild_id)),
            "roles": [role.payload() for role in guild.roles.values()],
            "emojis": [],
            "stickers": [],
            "features": [],
            "members": [self.member_payload(guild_id, self.bot.id)],
            "channels": [self.channel_payload(c.id) for c in inside if not c.is_thread],
            "threads": [
                self.channel_payload(c.id)
                for c in inside
                if c.is_thread and not c.archived and self.can(self.bot.id, c.id) & BITS["view_channel"]
            ],
            "presences": [],
            "voice_states": [],
            "stage_instances": [],
            "guild_scheduled_events": [],
            "soundboard_sounds": [],
            "verification_level": 0,
            "default_message_notifications": 0,
            "explicit_content_filter": 0,
            "mfa_level": 0,
            "nsfw_level": 0,
            "premium_tier": 0,
            "preferred_locale": "en-US",
            "afk_timeout": 300,
            "system_channel_flags": 0,
        }

    # ---- messages

    def say(
        self,
        person: int,
        channel: int,
        content: str,
        reply_to: int = 0,
        files: Sequence[tuple[str, str, bytes]] = (),
        ago_s: float = 0,
        live: bool = True,
    ) -> int:
        """Somebody says something; `files` are (name, type, content). Not `live`: no event."""
        place = self.channels[channel]
        if place.guild:
            self.guilds[place.guild].members.setdefault(person, [])
        message = self.post(person, channel, content, reply_to=reply_to, files=files, ago_s=ago_s, live=live)
        return int(message["id"])

    def post(
        self,
        author: int,
        channel: int,
        content: str,
        *,
        reply_to: int = 0,
        files: Sequence[tuple[str, str, bytes]] = (),
        components: Sequence[Payload] = (),
        parse: Iterable[str] | None = None,
        flags: int = 0,
        embeds: Sequence[Payload] = (),
        ago_s: float = 0,
        live: bool = True,
        own_id: int = 0,
    ) -> Payload:
        """Put a message into a channel, and say so on the gateway. `parse` None: every mention pings."""
        place = self.channels[channel]
        message_id = own_id or self.snowflake(ago_s)
        if place.archived:
            place.archived = False
            self.emit("THREAD_UPDATE", self.channel_payload(channel), place.guild, channel)
        message: Payload = {
            "id": str(message_id),
            "channel_id": str(channel),
            "author": self.users[author].payload(),
            "content": content,
            "timestamp": iso(made_ms(message_id)),
            "edited_timestamp": None,
            "tts": False,
            "attachments": [self.attachment(channel, name, kind, data) for name, kind, data in files],
            "embeds": list(embeds),
            "reactions": [],
            "pinned": False,
            "type": REPLY if reply_to else DEFAULT,
            "flags": flags,
            "components": list(components),
            **self._mentions(content, author, None if parse is None else set(parse)),
        }
        if reply_to:
            message["message_reference"] = {
                "type": 0,
                "message_id": str(reply_to),
                "channel_id": str(channel),
                **({"guild_id": str(place.guild)} if place.guild else {}),
            }
            target = place.messages.get(reply_to)
            if target is not None and author != self.bot.id:
                message["mentions"] = [*message["mentions"], target["author"]]
        place.messages[message_id] = message
        if ago_s:
            place.messages = dict(sorted(place.messages.items()))
        place.last = max(place.last, message_id)
        if place.is_thread:
            self._joins(place, {author, *(int(user["id"]) for user in message["mentions"])})
        if live:
            self.emit("MESSAGE_CREATE", self.for_gateway(message), place.guild, channel)
        else:
            self.touch()
        return message

    def _joins(self, thread: Channel, users: set[int]) -> None:
        """Who writes in a thread, or is mentioned there, becomes a member; the bot hears of itself."""
        fresh = users - thread.members
        thread.members |= fresh
        if self.bot.id in fresh:
            member = {"id": str(thread.id), "user_id": str(self.bot.id), "join_timestamp": iso(0), "flags": 0}
            payload = {"id": str(thread.id), "guild_id": str(thread.guild), "member_count": 1}
            payload |= {"added_members": [member], "removed_member_ids": []}
            self.emit("THREAD_MEMBERS_UPDATE", payload, thread.guild, thread.id)

    def attachment(self, channel: int, name: str, kind: str, data: bytes) -> Payload:
        file_id = self.snowflake()
        path = f"/attachments/{channel}/{file_id}/{name}"
        self.files[path] = (kind, data)
        url = f"{self.files_base}{path}"
        payload = {"id": str(file_id), "filename": name, "size": len(data), "url": url, "proxy_url": url}
        if kind:
            payload["content_type"] = kind
        return payload

    def _mentions(self, content: str, author: int, parse: set[str] | None) -> Payload:
        users = [int(i) for i in re.findall(r"<@!?(\d+)>", content) if int(i) in self.users]
        roles = re.findall(r"<@&(\d+)>", content)
        everyone = "@everyone" in content or "@here" in content
        if author == self.bot.id:
            allowed = {"users", "roles", "everyone"} if parse is None else parse
            pinged = [
                *(f"user {user}" for user in users if "users" in allowed),
                *(f"role {role}" for role in roles if "roles" in allowed),
                *(["everyone"] if everyone and "everyone" in allowed else []),
            ]
            self.pings += pinged
            if pinged:
                self.violation(f"the bot pinged {', '.join(pinged)}")
            everyone = everyone and "everyone" in allowed
        return {
            "mentions": [self.users[user].payload() for user in dict.fromkeys(users)],
            "mention_roles": list(dict.fromkeys(roles)),
            "mention_everyone": everyone,
        }

    def with_reference(self, message: Payload) -> Payload:
        """The message, and the one it replies to."""
        reference = message.get("message_reference")
        if reference is None:
            return message
        place = self.channels.get(int(reference["channel_id"]))
        target = place.messages.get(int(reference["message_id"])) if place else None
        return {**message, "referenced_message": target}

    def for_gateway(self, message: Payload) -> Payload:
        """The message as MESSAGE_CREATE carries it: with guild and member."""
        place = self.channels[int(message["channel_id"])]
        payload = self.with_reference(message)
        if not place.guild:
            return {**payload, "channel_type": place.kind}
        member = self.member_payload(place.guild, int(message["author"]["id"]), with_user=False)
        return {**payload, "guild_id": str(place.guild), "member": member, "channel_type": place.kind}

    def without_content(self, message: Payload) -> Payload:
        """What an application without the message-content intent is shown of it."""
        place = self.channels.get(int(message["channel_id"]))
        mine = message["author"]["id"] == str(self.bot.id)
        named = any(user["id"] == str(self.bot.id) for user in message["mentions"])
        if place is None or place.kind in DIRECT or mine or named:
            return message
        return {**message, "content": "", "attachments": [], "embeds": [], "components": []}

    def edit(self, channel: int, message: int, content: str) -> None:
        """The author changes the text."""
        held = self.channels[channel].messages[message]
        held["content"] = content
        held["edited_timestamp"] = iso(time.time() * 1000)
        held |= self._mentions(content, int(held["author"]["id"]), set())
        self.emit("MESSAGE_UPDATE", self.for_gateway(held), self.channels[channel].guild, channel)

    def unfurl(self, channel: int, message: int) -> None:
        """Discord adds an embed to a link: an update that is no edit."""
        held = self.channels[channel].messages[message]
        held["embeds"] = [{"type": "link", "title": "A page", "url": "https://example.org"}]
        self.emit("MESSAGE_UPDATE", self.for_gateway(held), self.channels[channel].guild, channel)

    def delete(self, channel: int, message: int) -> None:
        """A message is taken away."""
        place = self.channels[channel]
        place.messages.pop(message)
        payload: Payload = {"id": str(message), "channel_id": str(channel)}
        if place.guild:
            payload["guild_id"] = str(place.guild)
        self.emit("MESSAGE_DELETE", payload, place.guild, channel)

    def delete_many(self, channel: int, messages: Sequence[int]) -> None:
        """Messages are taken away at once."""
        place = self.channels[channel]
        for message in messages:
            place.messages.pop(message)
        payload = {
            "ids": [str(m) for m in messages],
            "channel_id": str(channel),
            "guild_id": str(place.guild),
        }
        self.emit("MESSAGE_DELETE_BULK", payload, place.guild, channel)

    def messages(self, channel: int, by_bot: bool | None = None) -> list[Payload]:
        """What was said in a channel, oldest first."""
        if channel not in self.channels:
            return []
        return [
            message
            for message in self.channels[channel].messages.values()
            if message["type"] in (DEFAULT, REPLY)
            if by_bot is None or (message["author"]["id"] == str(self.bot.id)) is by_bot
        ]

    # ---- interactions

    def _interaction(self, kind: int, person: int, channel: int, data: Payload, more: Payload) -> Interaction:
        place = self.channels[channel]
        made = Interaction(self.snowflake(), f"token-{self.snowflake()}", time.monotonic(), {})
        payload: Payload = {
            "id": str(made.id),
            "application_id": str(self.bot.id),
            "type": kind,
            "token": made.token,
            "version": 1,
            "data": data,
            "channel_id": str(channel),
            "channel": self.channel_payload(channel),
            "app_permissions": str(self.can(self.bot.id, channel)),
            "locale": "en-US",
            "entitlements": [],
            "authorizing_integration_owners": {"1": str(person)}
            if place.kind == GROUP
            else {"0": str(place.guild)},
            "context": 0 if place.guild else 2 if place.kind == GROUP else 1,
            "attachment_size_limit": 10_485_760,
            **more,
        }
        if place.guild:
            self.guilds[place.guild].members.setdefault(person, [])
            payload["guild_id"] = str(place.guild)
            payload["member"] = {
                **self.member_payload(place.guild, person),
                "permissions": str(self.can(person, channel)),
            }
        else:
            payload["user"] = self.users[person].payload()
        made.payload = payload
        self.interactions[made.token] = made
        self.emit("INTERACTION_CREATE", payload, place.guild, channel)
        return made

    def press(self, person: int, channel: int, message: int, label: str) -> str:
        """Somebody presses the button whose label or emoji is `label`; the interaction's token."""
        held = self.channels[channel].messages[message]
        buttons = [button for row in held["components"] for button in row["components"]]
        for button in buttons:
            if label in (button.get("label"), (button.get("emoji") or {}).get("name")):
                data = {"custom_id": button["custom_id"], "component_type": 2}
                return self._interaction(3, person, channel, data, {"message": held}).token
        raise LookupError(f"no button {label} on {message}: {buttons}")

    def press_shown(self, person: int, token: str, label: str) -> str:
        """Somebody presses a button of what an interaction showed them; the new interaction's token."""
        shown = self.interactions[token]
        assert shown.message is not None
        for row in shown.message["components"]:
            for button in row["components"]:
                if button.get("label") == label:
                    data = {"custom_id": button["custom_id"], "component_type": 2}
                    more = {"message": shown.message}
                    return self._interaction(3, person, int(shown.payload["channel_id"]), data, more).token
        raise LookupError(f"no button {label} on {shown.message['components']}")

    def typing_option(self, person: int, channel: int, name: str, option: str, typed: str) -> str:
        """Somebody types into an option that is completed; the interaction's token."""
        command = self._command(name, 1)
        given = [{"type": 3, "name": option, "value": typed, "focused": True}]
        data = {"id": command["id"], "name": name, "type": 1, "options": given}
        return self._interaction(4, person, channel, data, {}).token

    def slash(self, person: int, channel: int, name: str, options: dict[str, Any] | None = None) -> str:
        """Somebody uses a slash command; the interaction's token."""
        command = self._command(name, 1)
        kinds = {option["name"]: option["type"] for option in command["options"]}
        given = [{"type": kinds[key], "name": key, "value": value} for key, value in (options or {}).items()]
        channels = [int(option["value"]) for option in given if option["type"] == 7]
        resolved = {"channels": {str(each): self.channel_payload(each) for each in channels}}
        data = {"id": command["id"], "name": name, "type": 1, "options": given, "resolved": resolved}
        return self._interaction(2, person, channel, data, {}).token

    def menu(self, person: int, channel: int, name: str, message: int) -> str:
        """Somebody uses a context-menu entry on a message; the interaction's token."""
        command = self._command(name, 3)
        held = self.channels[channel].messages[message]
        data = {
            "id": command["id"],
            "name": name,
            "type": 3,
            "target_id": str(message),
            "resolved": {"messages": {str(message): held}},
        }
        return self._interaction(2, person, channel, data, {}).token

    def submit(self, person: int, token: str, typed: str) -> str:
        """Somebody fills in the one field of a window and submits it; the new interaction's token."""
        opened = self.interactions[token]
        assert opened.response is not None
        window = opened.response["data"]
        ((field,),) = (row["components"] for row in window["components"])
        filled = {"type": field["type"], "id": 2, "custom_id": field["custom_id"], "value": typed}
        rows = [{"type": 1, "id": 1, "components": [filled]}]
        data = {"custom_id": window["custom_id"], "components": rows}
        return self._interaction(5, person, int(opened.payload["channel_id"]), data, {}).token

    def _command(self, name: str, kind: int) -> Payload:
        for command in self.commands:
            if command["name"] == name and command.get("type", 1) == kind:
                return command
        raise LookupError(f"no command {name} among {[c['name'] for c in self.commands]}")

    def answer(self, token: str) -> str:
        """What the person was shown for an interaction, "" as long as there is nothing."""
        interaction = self.interactions[token]
        shown = [interaction.message, *interaction.followups]
        return "\n".join(text for m in shown if m for text in said(m))
