"""Who may read what on Slack, asked of Slack itself, and where a reader finds a message.

Three calls judge everything, however many channels there are: who the asker is (`users.info`), which
conversations they share with the bot, and which the bot is in (`users.conversations`). What the bot
has left is looked at one by one (`conversations.info`), and within bounds. Answers are remembered for
less than 60 s, and dropped when an event tells that they are wrong.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

from adapters.cache import Cache
from adapters.posts import Throttled
from adapters.slack.audience import Audiences, is_member, is_ours, readers_name
from adapters.slack.errors import Refused
from adapters.slack.events import FLAT, PLATFORM, Me, is_direct
from adapters.slack.fresh import Fresh
from adapters.slack.joined import joined
from adapters.slack.markup import ts_of
from adapters.slack.workspaces import Installation, Workspaces
from bot.domain import Author, SessionKey
from bot.errors import PlatformError
from bot.finding import Known, Place, Readable
from bot.recent import Recent

PATIENCE_S = 8.0
"""Who asks waits no longer for Slack to say what they may read."""
MOST_LOOKED_AT = 20
"""Channels without the bot that are looked at for one question."""
ADDRESSES = 1_000
"""Workspaces whose address is remembered."""
DIRECT_NAME, GROUP_NAME = "direct messages", "a group message"

GONE = frozenset({"channel_not_found", "not_in_channel", "missing_scope", "team_access_not_granted"})
"""The bot is not told about such a channel: it is private and the bot was removed, or it is no more."""

PERSON_MOVED = frozenset({"member_joined_channel", "member_left_channel"})
"""Events that tell whose conversations are others now."""
CHANNELS_MOVED = frozenset(
    {"channel_left", "group_left", "channel_deleted", "group_deleted", "channel_unshared"}
)
LEAVING = frozenset({"channel_leave", "group_leave"})
"""Subtypes of messages, which come with those events or without."""
CONVERTED = frozenset({"channel_convert_to_private", "channel_convert_to_public"})
HEEDED = PERSON_MOVED | CHANNELS_MOVED | LEAVING | CONVERTED

log = logging.getLogger(__name__)

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Person:
    """An asker, as Slack told."""

    at: float
    """When it was asked, in seconds since 1970."""
    zone: str = ""
    member: bool = False
    """Belongs to the workspace, and is no guest: may open every public channel."""
    rooms: Mapping[str, str] = field(default_factory=dict)
    """Channels that they and the bot are in, with what they are called."""
    directs: tuple[str, ...] = ()
    """Their direct messages with the bot."""
    whole: bool = True
    """False: there may be more rooms. Not remembered."""


@dataclass(frozen=True, slots=True)
class Town:
    """The channels of a workspace, as Slack told."""

    at: float
    public: Mapping[str, str] = field(default_factory=dict)
    """With names."""
    closed: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    """Those that the bot is in: only of these Slack tells who else is."""
    own: tuple[str, ...] = ()
    """Those of them that no other workspace shares."""
    gone: tuple[str, ...] = ()
    """The bot is not told about them."""
    whole: bool = True

    @property
    def judged(self) -> frozenset[str]:
        """What needs no further look."""
        return frozenset((*self.public, *self.closed, *self.gone))


class SlackShelf:
    """Implements `Shelf`. Never raises: what can't be determined is left out."""

    def __init__(
        self,
        workspaces: Workspaces,
        cache: Cache,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`clock` is the one of the workspaces' clients."""
        self._workspaces = workspaces
        self._clock = clock
        self._fresh = Fresh(cache, now)
        self._audiences = Audiences(self._fresh)
        self._addresses: Recent[str, str] = Recent(ADDRESSES)

    async def places(self, asker: Author, at: SessionKey, known: Known) -> Readable:
        """What `asker` may read, who asks at `at`."""
        channels = await known.channels(PLATFORM, at.workspace)
        try:
            async with asyncio.timeout(PATIENCE_S):
                installation = await self._workspaces.get(at.workspace)
                person = await self._person(installation, asker.id, at.channel)
                town = await self._town(installation, channels)
        except (PlatformError, Throttled, TimeoutError) as exc:
            log.warning(
                "Could not find out who may read what: %s",
                type(exc).__name__,
                extra={"event": "slack.unjudged", "session": str(at)},
            )
            return Readable({}, {}, left_out=True)
        return readable(person, town, channels, at)

    async def open_to_readers_of(self, at: SessionKey, places: frozenset[Place]) -> frozenset[Place]:
        """All of them where only full members of the workspace read; else only the channel itself."""
        here = places & {_place(at, at.channel)}
        if places == here:
            return here
        try:
            async with asyncio.timeout(PATIENCE_S):
                installation = await self._workspaces.get(at.workspace)
                alike = await self._audiences.is_of_members(
                    partial(self._read, installation), at.workspace, installation.me.user, at.channel
                )
        except (PlatformError, Throttled, TimeoutError) as exc:
            log.warning(
                "Could not find out who reads there: %s",
                type(exc).__name__,
                extra={"event": "slack.unjudged", "session": str(at)},
            )
            return here
        return places if alike else here

    async def link(self, key: SessionKey, position: int) -> str:
        """The message's permalink; "" where the workspace's address is not known."""
        address = await self._address(key.workspace)
        if not address:
            return ""
        ts = ts_of(position)
        link = f"{address}/archives/{key.channel}/p{ts.replace('.', '')}"
        if key.thread in {FLAT, ts}:
            return link
        return f"{link}?thread_ts={key.thread}&cid={key.channel}"

    async def heed(self, event: Json, me: Me) -> None:
        """Forget at once what an event makes wrong. Never raises."""
        kind = event.get("subtype") if event.get("type") == "message" else event.get("type")
        if kind not in HEEDED:
            return
        if event.get("channel"):
            await self._fresh.drop(readers_name(me.workspace, str(event["channel"])))
        if kind in PERSON_MOVED | LEAVING and event.get("user") not in {None, me.user}:
            await self._fresh.drop(_person_name(me.workspace, event["user"]))
        else:
            await self._fresh.drop(_town_name(me.workspace))

    async def _address(self, workspace: str) -> str:
        address = self._addresses.get(workspace)
        if address is None:
            try:
                client = (await self._workspaces.get(workspace)).client
                answer = await client.read("auth.test", until=self._clock() + PATIENCE_S)
            except PlatformError:
                return ""
            address = str(answer.get("url") or "").rstrip("/")
            self._addresses.put(workspace, address)
        return address

    # The asker.

    async def _person(self, installation: Installation, user: str, here: str) -> Person:
        name, changes = _person_name(installation.me.workspace, user), self._fresh.changes
        person = _person_of(await self._fresh.get(name))
        if person is None:
            person = await self._asked_about(installation, user)
            if person.whole:
                await self._fresh.put(name, asdict(person), changes)
        if is_direct(here) and here not in person.directs and await self._is_theirs(installation, user, here):
            person = replace(person, directs=(*person.directs, here))
            if person.whole:
                await self._fresh.put(name, asdict(person), changes)
        return person

    async def _asked_about(self, installation: Installation, user: str) -> Person:
        at = self._fresh.now()
        told = (await self._read(installation, "users.info", user=user)).get("user") or {}
        if told.get("deleted"):
            return Person(at)
        member, ours = is_member(told, installation.me.workspace), is_ours(told, installation.me.workspace)
        try:
            shared, whole = await self._joined(installation, "public_channel,private_channel,mpim,im", user)
        except PlatformError:
            shared, whole = [], False
        rooms = {
            each["id"]: _name(each) for each in shared if not each.get("is_im") and (ours or _is_shared(each))
        }
        directs = tuple(each["id"] for each in shared if each.get("is_im") and each.get("user") == user)
        return Person(at, str(told.get("tz") or ""), member, rooms, directs, whole)

    async def _is_theirs(self, installation: Installation, user: str, channel: str) -> bool:
        """Whether this is their direct message with the bot, and not one with somebody else."""
        try:
            told = await self._read(installation, "conversations.info", channel=channel)
        except PlatformError:
            return False
        about = told.get("channel") or {}
        return bool(about.get("is_im")) and about.get("user") == user

    # The channels.

    async def _town(self, installation: Installation, known: Collection[str]) -> Town:
        name, changes = _town_name(installation.me.workspace), self._fresh.changes
        remembered = _town_of(await self._fresh.get(name))
        town = remembered or await self._surveyed(installation)
        strange = sorted(each for each in known if each not in town.judged and not is_direct(each))
        if strange:
            town = await self._looked_at(installation, town, strange[:MOST_LOOKED_AT])
        if town is not remembered:
            await self._fresh.put(name, asdict(town), changes)
        return town

    async def _surveyed(self, installation: Installation) -> Town:
        at = self._fresh.now()
        joined, whole = await self._joined(installation, "public_channel,private_channel,mpim")
        return Town(
            at,
            {each["id"]: _name(each) for each in joined if _is_public(each)},
            tuple(each["id"] for each in joined if "is_private" in each and not _is_public(each)),
            tuple(each["id"] for each in joined),
            tuple(each["id"] for each in joined if not _has_outsiders(each)),
            whole=whole,
        )

    async def _looked_at(self, installation: Installation, town: Town, channels: Collection[str]) -> Town:
        told = await asyncio.gather(*(self._kind(installation, each) for each in channels))
        found = dict(zip(channels, told, strict=True))
        public = {each: _name(about) for each, about in found.items() if about and _is_public(about)}
        closed = [each for each, about in found.items() if about and not _is_public(about)]
        gone = [each for each, about in found.items() if about == {}]
        return replace(
            town,
            public={**town.public, **public},
            closed=(*town.closed, *closed),
            gone=(*town.gone, *gone),
        )

    async def _kind(self, installation: Installation, channel: str) -> Json | None:
        """A channel as Slack tells it; {} if it tells nothing, None if that could not be found out."""
        try:
            answer = await self._read(installation, "conversations.info", channel=channel)
        except Refused as refused:
            return {} if refused.code in GONE else None
        except PlatformError:
            return None
        return answer.get("channel") or {}

    # What both need.

    async def _joined(
        self, installation: Installation, types: str, user: str | None = None
    ) -> tuple[list[Json], bool]:
        return await joined(partial(self._read, installation), types, user)

    async def _read(self, installation: Installation, method: str, **arguments: Any) -> Json:
        return await installation.client.read(method, until=self._clock() + PATIENCE_S, **arguments)


def readable(person: Person, town: Town, known: Collection[str], at: SessionKey) -> Readable:
    """The rule: full members read public channels, everybody else only where they are in."""
    rooms = {each for each in known if each in person.rooms}
    open_to_them = {each for each in known if each in town.public and (person.member or each in rooms)}
    channels = {each for each in known if not is_direct(each)}
    unjudged = channels - town.judged - rooms
    unlisted = set() if person.member else (channels & set(town.public)) - set(town.joined) - rooms
    unsure = not (person.whole and town.whole)
    return Readable(
        shared={_place(at, each): town.public[each] for each in open_to_them},
        private={_place(at, each): person.rooms[each] for each in rooms - set(town.public)}
        | {_place(at, each): DIRECT_NAME for each in person.directs},
        direct=at.channel in person.directs,
        outsiders=at.channel not in town.own,
        left_out=bool(unjudged or unlisted or channels & set(town.gone)) or unsure,
        zone=person.zone,
    )


def _place(at: SessionKey, channel: str) -> Place:
    return Place(PLATFORM, at.workspace, channel)


def _is_public(channel: Json) -> bool:
    """Private channels are channels too, so only what says that it is not private is public."""
    closed = channel.get("is_im") or channel.get("is_mpim") or channel.get("is_group")
    return channel.get("is_private") is False and not closed


def _is_shared(channel: Json) -> bool:
    return bool(channel.get("is_ext_shared") or channel.get("is_shared"))


def _has_outsiders(channel: Json) -> bool:
    """Whether people of another workspace may be there, of the same organisation too."""
    return _is_shared(channel) or bool(channel.get("is_org_shared"))


def _name(channel: Json) -> str:
    return GROUP_NAME if channel.get("is_mpim") else f"#{channel.get('name') or channel.get('id')}"


def _person_name(workspace: str, user: str) -> str:
    return f"{PLATFORM}:{workspace}:person:{user}"


def _town_name(workspace: str) -> str:
    return f"{PLATFORM}:{workspace}:town"


def _person_of(told: dict[str, Any]) -> Person | None:
    """None where nothing fitting is remembered, as when another release wrote it."""
    try:
        return Person(**{**told, "directs": tuple(told["directs"])})
    except (KeyError, TypeError):
        return None


def _town_of(told: dict[str, Any]) -> Town | None:
    try:
        return Town(**{**told, **{each: tuple(told[each]) for each in ("closed", "joined", "own", "gone")}})
    except (KeyError, TypeError):
        return None
