"""Who may read what on Discord: what recall would show, against what Discord's rules say."""

import random
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import pytest

from adapters.discord import shelf
from adapters.discord.memberships import FRESH_S, Memberships
from adapters.discord.platform import DiscordPlatform
from adapters.discord.rest import Rest
from bot.domain import Author, SessionKey
from bot.finding import Known, Place, Readable
from tests.fakes.discord import FakeDiscord
from tests.fakes.discord.permissions import BITS
from tests.fakes.discord.world import PRIVATE_THREAD, VOICE
from tests.fakes.discord_bot import Core, connected

READS = ("view_channel", "read_message_history")


@pytest.fixture
async def fake() -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord(pace=100.0) as discord:
        yield discord
        assert discord.violations == []


@dataclass
class Everything(Known):
    """An archive with something from every channel, thread and direct message there is or was."""

    fake: FakeDiscord
    gone: list[tuple[str, str]] = field(default_factory=list)
    """Guild and channel of what is no longer there."""

    async def channels(self, platform: str, workspace: str) -> frozenset[str]:
        guild = 0 if workspace == "dm" else int(workspace)
        there = {str(c.id) for c in self.fake.channels.values() if c.guild == guild and not c.is_thread}
        return frozenset(there | {channel for where, channel in self.gone if where == workspace})

    async def closed_threads(self, platform: str, workspace: str) -> frozenset[tuple[str, str]]:
        return frozenset(
            (str(c.parent), str(c.id))
            for c in self.fake.channels.values()
            if c.kind == PRIVATE_THREAD and str(c.guild) == workspace
        )


async def readable(platform: DiscordPlatform, fake: FakeDiscord, person: int, at: int) -> Readable:
    """What somebody may read who asks in a channel, thread or direct message."""
    return await platform.places(Author(str(person), "Ann"), key_of(fake, at), Everything(fake))


def key_of(fake: FakeDiscord, place: int) -> SessionKey:
    where = fake.channels[place]
    if not where.guild:
        return SessionKey("discord", "dm", str(place), str(place))
    return SessionKey(
        "discord", str(where.guild), str(where.parent if where.is_thread else place), str(place)
    )


def ids(places: Iterable[Place]) -> set[int]:
    return {int(place.thread or place.channel) for place in places}


def by_the_rules(fake: FakeDiscord, person: int, guild: int) -> tuple[set[int], set[int]]:
    """Channels that everybody reads and this person too, and what else this person reads."""
    nobody = fake.person("nobody")
    if person not in fake.guilds[guild].members:
        return set(), set()
    places = [c for c in fake.channels.values() if c.guild == guild]
    mine = {c.id for c in places if reads(fake, person, c.id)}
    closed = {c.id for c in places if c.kind == PRIVATE_THREAD}
    channels = {c.id for c in places if not c.is_thread}
    everybody = {channel for channel in channels if reads(fake, nobody, channel)}
    return mine & everybody, mine & (channels | closed) - everybody


def reads(fake: FakeDiscord, person: int, place: int) -> bool:
    needed = (*READS, "connect") if fake.channels[place].kind == VOICE else READS
    return all(fake.can(person, place) & BITS[right] for right in needed)


async def heard_so_far(fake: FakeDiscord, core: Core, channel: int) -> None:
    """Wait until what was dispatched before now has reached the bot."""
    said = fake.say(fake.person("carl"), channel, f"<@{fake.bot.id}> tick")
    await core.wait(lambda: any(event.message.position == said for event in core.said))


def hidden_threads(fake: FakeDiscord, person: int, guild: int) -> set[int]:
    """Private threads that the bot can't ask about, in channels that the person reads."""
    return {
        c.id
        for c in fake.channels.values()
        if c.guild == guild and c.kind == PRIVATE_THREAD and not fake.can(fake.bot.id, c.id)
        if person in fake.guilds[guild].members and reads(fake, person, c.parent)
    }


def drawn_guild(fake: FakeDiscord, draw: random.Random) -> tuple[int, list[int]]:
    """A guild with roles, overwrites and private threads, and the people in it."""
    guild = fake.guild(f"guild {draw.random()}")
    people = [fake.person(f"person {number}") for number in range(5)]
    for person in people:
        fake.guilds[guild].members[person] = []
    roles = [
        fake.role(guild, f"role {number}", draw.sample(rights, draw.randint(0, 1)), draw.sample(people, 2))
        for number, rights in enumerate((list(READS), ["administrator"], ["manage_threads"]))
    ]
    for number in range(8):
        channel = fake.channel(guild, f"channel-{number}", draw.choice(["text", "text", "voice", "forum"]))
        for _ in range(draw.randint(0, 4)):
            change = draw.choice([fake.deny, fake.deny, fake.allow])
            rights = draw.sample([*READS, "connect"], draw.randint(1, 2))
            if draw.random() < 0.6:
                change(channel, rights, role=draw.choice([guild, *roles]))
            else:
                change(channel, rights, user=draw.choice(people))
        if fake.channels[channel].kind == 0:
            fake.thread(channel, "private", private=True, members=draw.sample(people, 2))
    return guild, people


@pytest.mark.parametrize("seed", range(6))
async def test_everybody_is_shown_what_discords_rules_let_them_read(fake: FakeDiscord, seed: int) -> None:
    draw = random.Random(seed)
    guild, people = drawn_guild(fake, draw)
    left = people.pop()
    fake.leave(guild, left)
    lobby = next(c.id for c in fake.channels.values() if c.guild == guild)
    async with connected(fake, Core()) as platform:
        for person in (*people, left, fake.guilds[guild].owner):
            shown = await readable(platform, fake, person, lobby)
            shared, private = by_the_rules(fake, person, guild)
            unseen = hidden_threads(fake, person, guild)
            assert ids(shown.shared) == shared
            assert ids(shown.private) == private - unseen
            assert shown.left_out == bool(unseen)


def readers(fake: FakeDiscord, guild: int, place: int) -> set[int]:
    """Everybody in the guild who reads there."""
    return {person for person in fake.guilds[guild].members if reads(fake, person, place)}


@pytest.mark.parametrize("seed", range(8))
async def test_what_is_said_to_all_comes_from_where_all_may_read(fake: FakeDiscord, seed: int) -> None:
    """Never from elsewhere; and from every channel whose rules keep nobody out."""
    draw = random.Random(seed)
    guild, _ = drawn_guild(fake, draw)
    roles = sorted(fake.guilds[guild].roles)
    for number in range(12):
        fake.guilds[guild].members[fake.person(f"more {number}")] = draw.sample(roles, 2)
    fake.channel(guild, "open")
    rooms = [c for c in fake.channels.values() if c.guild == guild]
    everywhere = frozenset(
        Place("discord", str(guild), str(c.parent if c.is_thread else c.id), str(c.id) if c.is_thread else "")
        for c in rooms
    )
    compared = 0
    async with connected(fake, Core()) as platform:
        for here in rooms:
            shown = ids(await platform.open_to_readers_of(key_of(fake, here.id), everywhere))
            audience = readers(fake, guild, here.id)
            for place in shown:
                assert audience <= readers(fake, guild, place), (here.id, place)
            compared += len(shown)
            assert here.id in shown
            assert max(c.id for c in rooms if not c.is_thread) in shown
    assert compared > len(rooms) * 2


async def test_a_channel_that_one_role_may_not_read_is_not_open_to_all(fake: FakeDiscord) -> None:
    guild = fake.guild("guild")
    lobby, wide, shut = (fake.channel(guild, name) for name in ("lobby", "wide", "shut"))
    guests = fake.role(guild, "guests", [], [])
    fake.deny(shut, ["view_channel"], role=guests)
    fake.allow(wide, ["view_channel"], role=guests)
    places = frozenset(Place("discord", str(guild), str(each)) for each in (lobby, wide, shut))
    async with connected(fake, Core()) as platform:
        assert ids(await platform.open_to_readers_of(key_of(fake, lobby), places)) == {lobby, wide}
        assert ids(await platform.open_to_readers_of(key_of(fake, shut), places)) == {lobby, wide, shut}


async def test_another_guild_is_never_open_to_the_readers_of_a_channel(fake: FakeDiscord) -> None:
    one, other = fake.guild("one"), fake.guild("other")
    here, there = fake.channel(one, "lobby"), fake.channel(other, "lobby")
    places = frozenset((Place("discord", str(one), str(here)), Place("discord", str(other), str(there))))
    async with connected(fake, Core()) as platform:
        assert ids(await platform.open_to_readers_of(key_of(fake, here), places)) == {here}
        unknown = SessionKey("discord", str(one), "1", "1")
        assert not await platform.open_to_readers_of(unknown, places)


async def test_a_direct_message_looks_into_every_guild_that_is_shared(fake: FakeDiscord) -> None:
    draw = random.Random(1)
    (one, people), (other, _) = drawn_guild(fake, draw), drawn_guild(fake, draw)
    stranger = fake.guild("stranger")
    fake.channel(stranger, "general")
    ann, ben = people[:2]
    fake.guilds[other].members[ann] = []
    at, bens = fake.dm(ann), fake.dm(ben)
    async with connected(fake, Core()) as platform:
        shown = await readable(platform, fake, ann, at)
        wanted = [by_the_rules(fake, ann, guild) for guild in (one, other)]
        assert ids(shown.shared) == wanted[0][0] | wanted[1][0]
        hidden = hidden_threads(fake, ann, one) | hidden_threads(fake, ann, other)
        assert ids(shown.private) == (wanted[0][1] | wanted[1][1] | {at}) - hidden
        assert bens not in ids(shown.private)
        assert shown.direct
        assert shown.left_out == bool(hidden)
        assert {place.workspace for place in shown.shared} <= {str(one), str(other)}


async def test_a_right_that_is_taken_away_counts_at_once(fake: FakeDiscord) -> None:
    guild = fake.guild()
    channel, hall = fake.channel(guild, "ops"), fake.channel(guild, "hall")
    ann = fake.person("ann")
    helpers = fake.role(guild, "helpers", to=[ann])
    fake.deny(channel, READS, role=guild)
    fake.allow(channel, READS, role=helpers)
    core = Core(script=None)
    async with connected(fake, core) as platform:
        assert ids((await readable(platform, fake, ann, hall)).private) == {channel}
        calls = fake.rest.calls.count("GET member")
        fake.deny(channel, READS, role=helpers)
        await heard_so_far(fake, core, hall)
        assert ids((await readable(platform, fake, ann, hall)).private) == set()
        assert fake.rest.calls.count("GET member") == calls


async def test_what_nobody_tells_us_counts_after_a_minute(fake: FakeDiscord) -> None:
    """Who left a guild, lost a role or left a private thread: events that need the members intent."""
    guild = fake.guild()
    channel, ann = fake.channel(guild, "ops"), fake.person("ann")
    fake.guilds[guild].members[ann] = []
    thread = fake.thread(channel, "secret", private=True, members=[ann])
    rest, now = Rest(fake.token, fake.api_url), [100.0]
    await rest.open()
    memberships = Memberships(rest, lambda: now[0])
    try:
        assert await memberships.member(guild, ann) is not None
        assert await memberships.in_thread(thread, ann)
        fake.leave(guild, ann)
        fake.leave_thread(thread, ann)
        now[0] += FRESH_S - 1
        assert await memberships.member(guild, ann) is not None
        now[0] += 1
        assert await memberships.member(guild, ann) is None
        assert not await memberships.in_thread(thread, ann)
    finally:
        await rest.close()


async def test_events_that_come_make_it_forget_at_once(fake: FakeDiscord) -> None:
    guild = fake.guild()
    channel, ann = fake.channel(guild, "ops"), fake.person("ann")
    fake.guilds[guild].members[ann] = []
    thread = fake.thread(channel, "secret", private=True, members=[ann])
    core = Core(script=None)
    async with connected(fake, core) as platform:
        assert thread in ids((await readable(platform, fake, ann, thread)).private)
        fake.leave_thread(thread, ann)
        gone = {
            "id": str(thread),
            "guild_id": str(guild),
            "removed_member_ids": [str(ann)],
            "member_count": 1,
        }
        fake.gateway.raw("THREAD_MEMBERS_UPDATE", gone)
        await heard_so_far(fake, core, channel)
        assert thread not in ids((await readable(platform, fake, ann, thread)).private)


async def test_what_cannot_be_determined_is_left_out_and_told(fake: FakeDiscord) -> None:
    guild = fake.guild()
    channel, ann = fake.channel(guild, "ops"), fake.person("ann")
    fake.guilds[guild].members[ann] = []
    async with connected(fake, Core()) as platform:

        async def broken() -> object:
            return fake.rest.refused(403, 50001)

        fake.rest.faults.append(("GET member", broken))  # type: ignore[arg-type]  # any response will do
        shown = await readable(platform, fake, ann, channel)
        assert (ids(shown.shared), shown.left_out) == (set(), True)
        assert ids((await readable(platform, fake, ann, channel)).shared) == {channel}


async def test_while_nothing_is_heard_of_a_guild_nothing_of_it_is_shown(fake: FakeDiscord) -> None:
    guild = fake.guild()
    channel, ann = fake.channel(guild, "ops"), fake.person("ann")
    fake.guilds[guild].members[ann] = []
    async with connected(fake, Core()) as platform:
        await platform.quiet()
        shown = await readable(platform, fake, ann, channel)
        assert (ids(shown.shared), shown.left_out) == (set(), True)


async def test_looking_up_private_threads_is_capped(
    fake: FakeDiscord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "MOST_THREADS", 3)
    guild = fake.guild()
    channel, ann = fake.channel(guild, "ops"), fake.person("ann")
    fake.guilds[guild].members[ann] = []
    threads = [fake.thread(channel, f"t{n}", private=True, members=[ann]) for n in range(5)]
    async with connected(fake, Core()) as platform:
        shown = await readable(platform, fake, ann, threads[0])
        assert ids(shown.private) == {threads[0], threads[3], threads[4]}
        assert shown.left_out
        again = await readable(platform, fake, ann, threads[0])
        assert ids(again.private) == set(threads)


async def test_a_channel_that_is_gone_is_not_shown(fake: FakeDiscord) -> None:
    guild = fake.guild()
    channel, ann = fake.channel(guild, "ops"), fake.person("ann")
    fake.guilds[guild].members[ann] = []
    known = Everything(fake, gone=[(str(guild), "123456")])
    async with connected(fake, Core()) as platform:
        shown = await platform.places(Author(str(ann), "Ann"), key_of(fake, channel), known)
        assert ids(shown.shared) == {channel}


async def test_links_lead_to_the_message(fake: FakeDiscord) -> None:
    guild = fake.guild()
    channel, ann = fake.channel(guild, "ops"), fake.person("ann")
    asked, lone = fake.say(ann, channel, "hello"), fake.say(ann, channel, "by reply")
    thread = fake.thread(channel, "hello", message=asked)
    inside = fake.say(ann, thread, "inside")
    dm = fake.dm(ann)
    base = "https://discord.com/channels"
    async with connected(fake, Core()) as platform:

        async def link(place: int, message: int, thread: int) -> str:
            where = "dm" if place == dm else str(guild)
            return await platform.link(SessionKey("discord", where, str(place), str(thread)), message)

        assert await link(channel, inside, thread) == f"{base}/{guild}/{thread}/{inside}"
        assert await link(channel, asked, thread) == f"{base}/{guild}/{channel}/{asked}"
        assert await link(channel, lone, lone) == f"{base}/{guild}/{channel}/{lone}"
        assert await link(channel, lone + 1, lone) == f"{base}/{guild}/{channel}/{lone + 1}"
        assert await link(dm, 7, dm) == f"{base}/@me/{dm}/7"
