"""An app that is installed for a whole organisation (Enterprise Grid): one token, many workspaces."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from adapters.slack.markup import position_of
from adapters.slack.platform import SlackPlatform
from bot.domain import Answer, Said
from bot.errors import PlatformForbidden
from bot.ports import Reply
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.core import Marks, ScriptedCore
from tests.fakes.slack.server import ALICE, BOT
from tests.fakes.slack.world import Channel, Team
from tests.integration.slack_stage import fake_slack, running
from tests.integration.test_slack_catching_up import mark
from tests.integration.test_slack_replies import read
from tests.integration.test_slack_workspaces import Door, installing

ORGANISATION, TOKEN = "E01", "xoxb-of-the-organisation"

pytestmark = pytest.mark.filterwarnings(
    "ignore:BasicAuth is deprecated:DeprecationWarning"  # slack-sdk uses it for oauth.v2.access
)


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with fake_slack(scale=0.01) as slack:
        slack.budgets.on = False
        slack.deliveries.redeliver_after = (0.0,)
        slack.teams_page = 1
        yield slack


@pytest.fixture
def teams(slack: FakeSlack) -> list[Team]:
    """Two workspaces of one organisation, each with a channel, and one channel that both share."""
    made = [slack.add_team(f"T2{n}", TOKEN, BOT) for n in (1, 2)]
    shared = Channel("C29", "everybody", "channel", {ALICE, BOT})
    for number, team in enumerate(made, 1):
        team.enterprise, team.users[ALICE] = ORGANISATION, "Alice"
        slack.add_channel(team, Channel(f"C2{number}", "general", "channel", {ALICE, BOT}))
        slack.add_channel(team, shared)
    return made


@pytest.fixture
def core() -> ScriptedCore:
    return ScriptedCore()


async def test_what_was_missed_in_any_workspace_is_caught_up(
    slack: FakeSlack, teams: list[Team], core: ScriptedCore
) -> None:
    marks = Marks(C21=mark(60), C22=mark(60), C29=mark(60))
    missed = [slack.say(f"<@{BOT}> {c}", channel=c, team="T22", deliver=False) for c in ("C22", "C29")]
    missed.append(slack.say(f"<@{BOT}> C21", channel="C21", team="T21", deliver=False))
    async with running(slack, core, marks, bot_token=TOKEN, catch_up=True):
        await core.until(lambda: len(core.answered) == 3)
    assert sorted(said.message.position for said in core.said()) == sorted(map(position_of, missed))
    assert {said.key.workspace for said in core.said()} == {ORGANISATION}
    read = [a["channel"] for method, a in slack.calls if method == "conversations.history"]
    assert sorted(read) == ["C21", "C22", "C29"]


async def test_missed_or_told_a_message_is_the_same(
    slack: FakeSlack, teams: list[Team], core: ScriptedCore
) -> None:
    async with running(slack, core, bot_token=TOKEN):
        slack.say(f"<@{BOT}> hello", channel="C22", team="T22")
        await core.until(lambda: core.answered)
    again = ScriptedCore()
    async with running(slack, again, Marks(C22=mark(60)), bot_token=TOKEN, catch_up=True):
        await again.until(again.said)
    assert replace(again.said()[0], read=False) == core.said()[0]


async def test_it_greets_in_any_workspace(slack: FakeSlack, teams: list[Team], core: ScriptedCore) -> None:
    slack.add_channel(teams[1], Channel("C23", "new", "channel", {ALICE}))
    async with running(slack, core, bot_token=TOKEN):
        slack.invite(channel="C23", team="T22")
        await slack.until(lambda: teams[1].authored("C23"))


@pytest.mark.parametrize(
    ("told", "team"),
    [
        ({"team_id": "T22"}, "T22"),
        ({"team_id": ORGANISATION, "enterprise_user": {"teams": ["T22", "T21"]}}, "T22"),
        ({"team_id": None, "enterprise_user": None}, None),
    ],
)
async def test_a_stream_in_a_channel_goes_to_the_readers_own_team_or_the_answer_is_edited_in(
    slack: FakeSlack, teams: list[Team], core: ScriptedCore, told: dict[str, Any], team: str | None
) -> None:
    slack.user_info[ALICE] = told

    async def grown(reply: Reply, said: Said) -> Answer:
        await reply.show("One")
        await slack.until(lambda: teams[1].authored("C22"))
        return Answer("One, two")

    core.script = grown
    async with running(slack, core, bot_token=TOKEN, streaming="native"):
        ts = slack.say(f"<@{BOT}> hello", channel="C22", team="T22")
        await core.until(lambda: core.answered)
    assert [read(post) for post in slack.thread(ts, channel="C22", team="T22")] == ["One, two"]
    begun = [a["recipient_team_id"] for method, a in slack.calls if method == "chat.startStream"]
    assert begun == ([team] if team else [])


@pytest.fixture
async def platform(slack: FakeSlack, core: ScriptedCore, tmp_path: Path) -> AsyncIterator[SlackPlatform]:
    database = f"sqlite+aiosqlite:///{tmp_path / 'archive.db'}"
    options = {"mode": "http", "bot_token": "", "app_token": "", "installing": installing(slack, database)}
    async with running(slack, core, **options) as platform:
        yield platform


@pytest.fixture
async def door(slack: FakeSlack, platform: SlackPlatform) -> AsyncIterator[Door]:
    app = web.Application()
    app.add_routes(platform.routes())
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    slack.deliveries.http_url = f"{url}/slack/events"
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as browser:
        yield Door(url, browser)
    await runner.cleanup()


async def test_it_is_installed_once_answers_everywhere_and_is_forgotten_as_a_whole(
    slack: FakeSlack, teams: list[Team], core: ScriptedCore, door: Door, platform: SlackPlatform
) -> None:
    status, _ = await door.install(slack, teams[0])
    assert status == 200
    for number in (1, 2):
        channel, team = f"C2{number}", f"T2{number}"
        ts = slack.say(f"<@{BOT}> hello", channel=channel, team=team)
        await slack.until(lambda ts=ts, c=channel, t=team: slack.thread(ts, channel=c, team=t))
    assert (await platform._workspaces.get(ORGANISATION)).org_wide
    removed = slack.event({"type": "app_uninstalled", "event_ts": "1.0"}, team="T21")
    assert await removed.finished() is not None
    with pytest.raises(PlatformForbidden, match="not installed"):
        await platform._workspaces.get(ORGANISATION)
    assert await platform._workspaces.everywhere() == []
