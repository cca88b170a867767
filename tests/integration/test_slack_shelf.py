"""Who may read what on Slack: drawn workspaces against the plain rule, and what becomes of it in time."""

import random
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import pytest

from adapters.slack.client import new_session
from adapters.slack.shelf import SlackShelf
from adapters.slack.workspaces import OneWorkspace
from bot.domain import Author, SessionKey
from bot.finding import Known, Place, Readable
from storage.memo import Memos
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.core import ScriptedCore
from tests.fakes.slack.server import ALICE, BOB, BOT, BOT_TOKEN, CHANNEL, DM, OTHER_CHANNEL, TEAM
from tests.fakes.slack.world import Channel
from tests.integration.slack_stage import fake_slack, running

GUEST, SINGLE, STRANGER, LEFT = "U0GUEST", "U0SINGLE", "U0STRANGER", "U0LEFT"
PEOPLE = [ALICE, BOB, GUEST, SINGLE, STRANGER, LEFT]
PRIVATE = "C0PRIVATE"


class ManualClock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Archive(Known):
    """Holds something of these channels."""

    def __init__(self, channels: Collection[str]) -> None:
        self._channels = frozenset(channels)

    async def channels(self, platform: str, workspace: str) -> frozenset[str]:
        return self._channels if (platform, workspace) == ("slack", TEAM) else frozenset()

    async def closed_threads(self, platform: str, workspace: str) -> frozenset[tuple[str, str]]:
        return frozenset()


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with fake_slack() as slack:
        slack.budgets.on = False
        slack.team.users |= {GUEST: "Guest", SINGLE: "Single", STRANGER: "Stranger", LEFT: "Left"}
        slack.team.guests = {GUEST: "is_restricted", SINGLE: "is_ultra_restricted"}
        slack.team.shared_users = {STRANGER: "T0ELSEWHERE"}
        slack.team.departed = {LEFT}
        slack.add_channel(slack.team, Channel(PRIVATE, "plans", "group", {ALICE, BOT}))
        yield slack


@asynccontextmanager
async def shelf_on(slack: FakeSlack, clock: ManualClock) -> AsyncIterator[SlackShelf]:
    session = new_session()
    workspace = OneWorkspace(session, slack.api_url, BOT_TOKEN)
    await workspace.open()
    try:
        yield SlackShelf(workspace, Memos(None, "a", clock), now=clock)
    finally:
        await session.close()


async def asked(shelf: SlackShelf, slack: FakeSlack, user: str = ALICE, at: str = CHANNEL) -> Readable:
    key = SessionKey("slack", TEAM, at, "main")
    return await shelf.places(Author(user, user), key, Archive(slack.team.channels))


def channels(*found: Collection[Place]) -> set[str]:
    return {place.channel for places in found for place in places}


def draw(slack: FakeSlack, dice: random.Random) -> None:
    """Some channels of each kind, with and without the bot."""
    team = slack.team
    team.channels.clear()
    for number in range(dice.randint(4, 14)):
        kind = dice.choice(["channel", "group", "mpim"])
        shared = dice.random() < 0.3
        there = {person for person in PEOPLE if dice.random() < 0.4 and person != LEFT}
        there |= {BOT} if dice.random() < 0.8 else set()
        archived = dice.random() < 0.2
        slack.add_channel(
            team, Channel(f"C{number}", f"room-{number}", kind, there, shared=shared, archived=archived)
        )
    for number, person in enumerate(PEOPLE):
        slack.add_channel(team, Channel(f"D{number}", "", "im", {person, BOT}))


def may_read(slack: FakeSlack, user: str, channel: Channel) -> bool:
    """The rule, for one channel at a time, by somebody who sees everything."""
    if user in slack.team.departed:
        return False
    if user in slack.team.shared_users and not channel.shared:
        return False
    outsider = user in slack.team.guests or user in slack.team.shared_users
    return user in channel.members or (channel.kind == "channel" and not outsider)


def can_tell(slack: FakeSlack, user: str, channel: Channel) -> bool:
    """Whether Slack tells the bot who may read there."""
    return BOT in channel.members or (channel.kind == "channel" and may_read(slack, ALICE, channel))


@pytest.mark.parametrize("seed", range(25))
async def test_whoever_asks_is_shown_what_they_may_read_and_nothing_else(slack: FakeSlack, seed: int) -> None:
    dice = random.Random(seed)
    draw(slack, dice)
    slack.channels_page = dice.choice([2, 5, 1000])
    async with shelf_on(slack, ManualClock()) as shelf:
        for user in PEOPLE:
            at = f"D{PEOPLE.index(user)}"
            found = await asked(shelf, slack, user, at)
            rooms = [c for c in slack.team.channels.values() if c.kind != "im"]
            outsider = user in {GUEST, SINGLE, STRANGER, LEFT}
            known = {c.id for c in rooms if BOT in c.members or (c.kind == "channel" and not outsider)}
            right = {c.id for c in rooms if may_read(slack, user, c)}
            assert channels(found.shared, found.private) - {at} == right & known
            public = {c.id for c in rooms if c.kind == "channel"}
            assert channels(found.shared) <= public
            assert not channels(found.private) & public
            if user != LEFT:
                assert found.left_out == bool({c.id for c in rooms} - known)
                assert found.direct
                assert at in channels(found.private)


async def open_to_readers(shelf: SlackShelf, slack: FakeSlack, at: str = CHANNEL) -> set[str]:
    """Where something may come from that is said in a channel to all."""
    places = frozenset(Place("slack", TEAM, channel) for channel in slack.team.channels)
    return channels(await shelf.open_to_readers_of(SessionKey("slack", TEAM, at, "main"), places))


@pytest.mark.parametrize("seed", range(15))
async def test_what_is_said_to_all_comes_from_where_all_may_read(slack: FakeSlack, seed: int) -> None:
    dice = random.Random(seed)
    draw(slack, dice)
    slack.channels_page = dice.choice([2, 5, 1000])
    places = [c for c in slack.team.channels.values() if c.kind != "im"]
    async with shelf_on(slack, ManualClock()) as shelf:
        for here in places:
            at = SessionKey("slack", TEAM, here.id, "main")
            readers = {person for person in PEOPLE if may_read(slack, person, here)}
            for asker in readers:
                found = await shelf.places(Author(asker, asker), at, Archive(slack.team.channels))
                shown = {*found.shared, *(place for place in found.private if place.channel == here.id)}
                common = await shelf.open_to_readers_of(at, frozenset(shown))
                for place in common:
                    there = slack.team.channels[place.channel]
                    assert all(may_read(slack, reader, there) for reader in readers)
                if BOT in here.members <= {ALICE, BOB, BOT} and not here.shared:
                    assert common == shown
                assert {place for place in shown if place.channel == here.id} <= common


async def test_where_a_guest_reads_nothing_is_said_from_elsewhere(slack: FakeSlack) -> None:
    async with shelf_on(slack, ManualClock()) as shelf:
        assert OTHER_CHANNEL in await open_to_readers(shelf, slack)
    slack.team.channels[CHANNEL].members.add(GUEST)
    async with shelf_on(slack, ManualClock()) as shelf:
        assert await open_to_readers(shelf, slack) == {CHANNEL}


async def test_a_channel_that_is_shared_with_others_only_tells_of_itself(slack: FakeSlack) -> None:
    slack.team.channels[CHANNEL].shared = True
    async with shelf_on(slack, ManualClock()) as shelf:
        assert await open_to_readers(shelf, slack) == {CHANNEL}


async def test_many_readers_are_judged_by_the_list_of_the_workspace(slack: FakeSlack) -> None:
    crowd = {f"U1{number:04}": f"Member {number}" for number in range(60)}
    slack.team.users |= crowd
    slack.team.channels[CHANNEL].members |= set(crowd)
    slack.channels_page = 25
    async with shelf_on(slack, ManualClock()) as shelf:
        assert OTHER_CHANNEL in await open_to_readers(shelf, slack)
        assert "users.info" not in {method for method, _ in slack.calls}
    slack.team.channels[CHANNEL].members.add(SINGLE)
    async with shelf_on(slack, ManualClock()) as shelf:
        assert await open_to_readers(shelf, slack) == {CHANNEL}


@pytest.mark.parametrize("method", ["conversations.info", "conversations.members", "users.info"])
async def test_where_slack_does_not_tell_who_reads_only_the_channel_itself_is_told_of(
    slack: FakeSlack, method: str
) -> None:
    slack.failures[method] = ["fatal_error"] * 9
    async with shelf_on(slack, ManualClock()) as shelf:
        assert await open_to_readers(shelf, slack) == {CHANNEL}


async def test_who_reads_is_not_believed_for_a_minute(slack: FakeSlack) -> None:
    clock = ManualClock()
    async with shelf_on(slack, clock) as shelf:
        assert OTHER_CHANNEL in await open_to_readers(shelf, slack)
        calls = len(slack.calls)
        clock.now += 30
        assert OTHER_CHANNEL in await open_to_readers(shelf, slack)
        assert len(slack.calls) == calls
        slack.team.channels[CHANNEL].members.add(GUEST)
        clock.now += 30
        assert await open_to_readers(shelf, slack) == {CHANNEL}


async def test_a_guest_who_joins_is_heeded_from_that_moment(slack: FakeSlack) -> None:
    places = frozenset(Place("slack", TEAM, channel) for channel in (CHANNEL, OTHER_CHANNEL))
    at = SessionKey("slack", TEAM, CHANNEL, "main")
    async with running(slack, ScriptedCore(), cache=Memos(None, "a")) as platform:
        before = await platform.open_to_readers_of(at, places)
        await slack.join(GUEST, channel=CHANNEL).finished()
        after = await platform.open_to_readers_of(at, places)
    assert before == places
    assert channels(after) == {CHANNEL}


async def test_a_direct_message_is_private_to_its_person(slack: FakeSlack) -> None:
    async with shelf_on(slack, ManualClock()) as shelf:
        assert (await asked(shelf, slack, ALICE, DM)).direct
        bobs = await asked(shelf, slack, BOB, DM)
        assert not bobs.direct
        assert DM not in channels(bobs.shared, bobs.private)


async def test_a_direct_message_between_people_is_none_with_the_bot(slack: FakeSlack) -> None:
    slack.add_channel(slack.team, Channel("D0PEOPLE", "", "im", {ALICE, BOB}))
    async with shelf_on(slack, ManualClock()) as shelf:
        assert not (await asked(shelf, slack, ALICE, "D0PEOPLE")).direct


async def test_times_are_read_in_the_askers_zone(slack: FakeSlack) -> None:
    async with shelf_on(slack, ManualClock()) as shelf:
        assert (await asked(shelf, slack)).zone == "Europe/Berlin"


async def test_nothing_is_believed_for_a_minute(slack: FakeSlack) -> None:
    clock = ManualClock()
    async with shelf_on(slack, clock) as shelf:
        assert PRIVATE in channels((await asked(shelf, slack)).private)
        slack.team.channels[PRIVATE].members.discard(ALICE)
        slack.team.channels[OTHER_CHANNEL].kind = "group"
        slack.team.guests[ALICE] = "is_restricted"
        clock.now += 60
        found = await asked(shelf, slack)
        assert channels(found.shared, found.private) == {CHANNEL, DM}


async def test_within_it_slack_is_not_asked_again(slack: FakeSlack) -> None:
    clock = ManualClock()
    async with shelf_on(slack, clock) as shelf:
        first = await asked(shelf, slack)
        calls = len(slack.calls)
        clock.now += 30
        assert await asked(shelf, slack) == first
        assert len(slack.calls) == calls


async def test_few_calls_judge_many_channels(slack: FakeSlack) -> None:
    for number in range(300):
        slack.add_channel(slack.team, Channel(f"C1{number}", f"n{number}", "group", {ALICE, BOT}))
    async with shelf_on(slack, ManualClock()) as shelf:
        before = len(slack.calls)
        assert len((await asked(shelf, slack, ALICE, DM)).private) == 302
        assert len(slack.calls) - before <= 4


@pytest.mark.parametrize("method", ["users.info", "users.conversations", "conversations.info"])
async def test_what_slack_does_not_tell_is_left_out(slack: FakeSlack, method: str) -> None:
    slack.failures[method] = ["user_not_found"] * 9
    async with shelf_on(slack, ManualClock()) as shelf:
        found = await asked(shelf, slack)
        assert found.left_out
        assert OTHER_CHANNEL not in channels(found.shared, found.private)


async def test_what_failed_once_is_asked_again(slack: FakeSlack) -> None:
    slack.failures["users.conversations"] = ["user_not_found"]
    async with shelf_on(slack, ManualClock()) as shelf:
        first, second = [await asked(shelf, slack, ALICE, DM) for _ in range(2)]
    assert first.left_out
    assert PRIVATE not in channels(first.private)
    assert not second.left_out
    assert PRIVATE in channels(second.private)


async def test_who_leaves_is_shown_nothing_from_that_moment(slack: FakeSlack) -> None:
    core = ScriptedCore()
    async with running(slack, core, cache=Memos(None, "a")) as platform:
        at, known = SessionKey("slack", TEAM, DM, "main"), Archive(slack.team.channels)
        before = await platform.places(Author(ALICE, "Alice"), at, known)
        await slack.leave(ALICE, channel=PRIVATE).finished()
        after = await platform.places(Author(ALICE, "Alice"), at, known)
        assert PRIVATE in channels(before.private)
        assert PRIVATE not in channels(after.private)


async def test_a_channel_made_private_is_closed_from_that_moment(slack: FakeSlack) -> None:
    async with running(slack, ScriptedCore(), cache=Memos(None, "a")) as platform:
        at, known = SessionKey("slack", TEAM, PRIVATE, "main"), Archive(slack.team.channels)
        slack.team.channels[CHANNEL].members.discard(BOB)
        before = await platform.places(Author(BOB, "Bob"), at, known)
        await slack.make_private(channel=CHANNEL).finished()
        after = await platform.places(Author(BOB, "Bob"), at, known)
        assert CHANNEL in channels(before.shared)
        assert CHANNEL not in channels(after.shared, after.private)


async def test_every_message_has_its_permalink(slack: FakeSlack) -> None:
    async with shelf_on(slack, ManualClock()) as shelf:
        key = SessionKey("slack", TEAM, CHANNEL, "1700000000.000100")
        first = await shelf.link(key, 1_700_000_000_000_100)
        reply = await shelf.link(key, 1_700_000_001_000_200)
        flat = await shelf.link(SessionKey("slack", TEAM, DM, "main"), 1_700_000_001_000_200)
    assert first == "https://t01.slack.com/archives/C01/p1700000000000100"
    assert reply == "https://t01.slack.com/archives/C01/p1700000001000200?thread_ts=1700000000.000100&cid=C01"
    assert flat == "https://t01.slack.com/archives/D01/p1700000001000200"


async def test_where_people_of_another_workspace_are_is_told(slack: FakeSlack) -> None:
    slack.add_channel(slack.team, Channel("C0SHARED", "with-them", "channel", {ALICE, BOT}, shared=True))
    async with shelf_on(slack, ManualClock()) as shelf:
        assert not (await asked(shelf, slack, at=CHANNEL)).outsiders
        assert not (await asked(shelf, slack, at=PRIVATE)).outsiders
        assert (await asked(shelf, slack, at="C0SHARED")).outsiders
