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
