"""Many workspaces: installing, tokens at rest, uninstalling, and none in another one's way."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import sqlalchemy as sa
from aiohttp import web
from slack_sdk.oauth.installation_store import Bot
from sqlalchemy.ext.asyncio import create_async_engine

from adapters.slack import events
from adapters.slack.install import Installing, consent_page
from adapters.slack.platform import SlackPlatform
from bot.domain import Answer, Said
from bot.errors import PlatformForbidden
from bot.ports import Reply
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.core import Marks, ScriptedCore
from tests.fakes.slack.server import ALICE
from tests.fakes.slack.world import Channel, Team
from tests.integration.slack_stage import fake_slack, running

KEY = "an operator's own key"

pytestmark = pytest.mark.filterwarnings(
    "ignore:BasicAuth is deprecated:DeprecationWarning"  # slack-sdk uses it for oauth.v2.access
)


@dataclass
class Door:
    """The bot's HTTP server, and a browser."""

    url: str
    browser: aiohttp.ClientSession

    async def install(self, slack: FakeSlack, team: Team, **changes: str) -> tuple[int, str]:
        """Somebody goes through Slack's consent for `team`; the status and text of the last page."""
        async with self.browser.get(f"{self.url}/slack/install") as page:
            found = re.search(r"state=([\w-]+)", await page.text())
            assert found is not None
            cookies = {cookie.key: cookie.value for cookie in page.cookies.values()}
        slack.oauth_codes["code-1"] = team.id
        query = {"code": "code-1", "state": found[1]} | changes
        url = f"{self.url}/slack/oauth_redirect"
        async with self.browser.get(url, params=query, cookies=cookies) as page:
            return page.status, await page.text()


def new_team(slack: FakeSlack, number: int, *, installed: bool = True) -> Team:
    """A workspace with Alice, the bot, and a channel."""
    team = slack.add_team(f"T1{number}", f"xoxb-token-{number}", f"U1BOT{number}", installed=installed)
    team.users[ALICE] = "Alice"
    slack.add_channel(team, Channel("C01", "general", "channel", {ALICE, team.bot_user}))
    return team


def files_of(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path / 'archive.db'}"


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with fake_slack(scale=0.01) as slack:
        slack.budgets.on = False
        slack.deliveries.redeliver_after = (0.0,)
        yield slack


@pytest.fixture
def core() -> ScriptedCore:
    return ScriptedCore()


def installing(slack: FakeSlack, database: str) -> Installing:
    return Installing(slack.client_id, slack.client_secret, KEY, database)


@pytest.fixture
async def platform(slack: FakeSlack, core: ScriptedCore, database: str) -> AsyncIterator[SlackPlatform]:
    options = {"mode": "http", "bot_token": "", "app_token": "", "installing": installing(slack, database)}
    async with running(slack, core, **options) as platform:
        yield platform


@asynccontextmanager
async def opened_door(platform: SlackPlatform) -> AsyncIterator[Door]:
    app = web.Application()
    app.add_routes(platform.routes())
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as browser:
            yield Door(url, browser)
    finally:
        await runner.cleanup()


@pytest.fixture
async def door(slack: FakeSlack, platform: SlackPlatform) -> AsyncIterator[Door]:
    async with opened_door(platform) as door:
        slack.deliveries.http_url = f"{door.url}/slack/events"
        yield door


async def test_an_installed_workspace_is_answered(slack: FakeSlack, core: ScriptedCore, door: Door) -> None:
    team = new_team(slack, 1, installed=False)
    status, page = await door.install(slack, team)
    assert (status, "xoxb" in page) == (200, False)
    ts = slack.say(f"<@{team.bot_user}> hello", team=team.id)
    await slack.until(lambda: slack.thread(ts, team=team.id))
    assert core.said()[0].key.workspace == team.id


async def test_workspaces_with_the_same_channel_ids_are_kept_apart(
    slack: FakeSlack, core: ScriptedCore, door: Door
) -> None:
    teams = [new_team(slack, 1), new_team(slack, 2)]
    for team in teams:
        await door.install(slack, team)
    for team in teams:
        ts = slack.say(f"<@{team.bot_user}> hello from {team.id}", team=team.id)
        await slack.until(lambda team=team, ts=ts: slack.thread(ts, team=team.id))
        assert slack.thread(ts, team=team.id)[0]["text"] == f"You said: hello from {team.id}"
    assert {said.key.workspace for said in core.said()} == {"T11", "T12"}


async def test_consent_is_asked_for_beside_the_api(slack: FakeSlack, door: Door) -> None:
    async with door.browser.get(f"{door.url}/slack/install") as page:
        assert f"{slack.url}/oauth/v2/authorize?" in await page.text()
        (cookie,) = page.cookies.values()
        assert not cookie["secure"]  # a browser would not send it back without TLS
    assert consent_page("https://slack.com/api/") == "https://slack.com/oauth/v2/authorize"


@pytest.mark.parametrize("changes", [{"state": "forged"}, {"code": "wrong"}, {"error": "access_denied"}])
async def test_an_install_that_went_wrong_installs_nothing(
    slack: FakeSlack, door: Door, platform: SlackPlatform, changes: dict[str, str]
) -> None:
    team = new_team(slack, 1)
    _, page = await door.install(slack, team, **changes)
    assert "Oops" in page or "failed" in page.lower() or "cancel" in page.lower()
    ts = slack.say(f"<@{team.bot_user}> hello", team=team.id)
    await slack.deliveries.settled()
    assert slack.thread(ts, team=team.id) == []


async def test_no_event_costs_a_call_to_ask_who_we_are(slack: FakeSlack, door: Door) -> None:
    team = new_team(slack, 1)
    await door.install(slack, team)
    asked = [method for method, _ in slack.calls].count("auth.test")
    for _ in range(3):
        ts = slack.say(f"<@{team.bot_user}> hello", team=team.id)
        await slack.until(lambda ts=ts: slack.thread(ts, team=team.id))
    assert [method for method, _ in slack.calls].count("auth.test") == asked


async def test_tokens_are_unreadable_at_rest(
    slack: FakeSlack, door: Door, database: str, tmp_path: Path
) -> None:
    team = new_team(slack, 1)
    team.bot_token = "xoxb-" + "x" * 300
    await door.install(slack, team)
    engine = create_async_engine(database)
    async with engine.connect() as db:
        rows = [dict(row) for row in (await db.execute(sa.text("select * from slack_bots"))).mappings()]
        rows += [
            dict(row) for row in (await db.execute(sa.text("select * from slack_installations"))).mappings()
        ]
    await engine.dispose()
    assert len(rows) == 2
    assert "xoxb" not in str(rows)
    assert not any(b"xoxb-" in path.read_bytes() for path in files_of(tmp_path))


@pytest.mark.parametrize("kind", ["app_uninstalled", "tokens_revoked"])
async def test_a_removed_app_is_forgotten_at_once(
    slack: FakeSlack, door: Door, platform: SlackPlatform, kind: str
) -> None:
    team = new_team(slack, 1)
    await door.install(slack, team)
    ts = slack.say(f"<@{team.bot_user}> hello", team=team.id)
    await slack.until(lambda: slack.thread(ts, team=team.id))
    event = {"type": kind, "event_ts": "1.0", "tokens": {"oauth": [], "bot": [team.bot_user]}}
    assert await slack.event(event, team=team.id).finished() is not None
    with pytest.raises(PlatformForbidden, match="not installed"):
        await platform._workspaces.get(team.id)


async def test_a_revoked_token_is_noticed_at_its_first_use(
    slack: FakeSlack, core: ScriptedCore, door: Door
) -> None:
    team = new_team(slack, 1)
    await door.install(slack, team)
    ts = slack.say(f"<@{team.bot_user}> hello", team=team.id)
    await slack.until(lambda: slack.thread(ts, team=team.id))
    team.bot_token = "xoxb-rotated"
    slack.say(f"<@{team.bot_user}> again", team=team.id)
    await core.until(lambda: core.failures)
    await door.install(slack, team)
    ts = slack.say(f"<@{team.bot_user}> and now", team=team.id)
    await slack.until(lambda: slack.thread(ts, team=team.id))


async def test_another_key_is_a_sentence_and_no_event_is_lost(
    slack: FakeSlack, core: ScriptedCore, door: Door, database: str
) -> None:
    team = new_team(slack, 1)
    await door.install(slack, team)
    wrong = Installing(slack.client_id, slack.client_secret, "another key", database)
    other = SlackPlatform(Marks(), mode="http", api_url=slack.api_url, installing=wrong, catch_up=False)
    await other.open(core, core.desk)
    with pytest.raises(PlatformForbidden, match="THREADFLY_ENCRYPTION_KEY"):
        await other._workspaces.get(team.id)
    await other.close()


async def test_two_hundred_threads_in_ten_workspaces_stream_under_the_tiers(database: str) -> None:
    """At a tenth of Slack's time: windows of 6 s, 50 edits in each."""
    scale, workspaces, threads = 0.1, 10, 20
    core = ScriptedCore(_count_slowly)
    async with fake_slack(scale=scale, echo=False) as slack:
        teams = [new_team(slack, n) for n in range(workspaces)]
        options = {
            "mode": "http",
            "bot_token": "",
            "app_token": "",
            "installing": installing(slack, database),
            "updates_per_minute": 50 / scale,
        }
        async with running(slack, core, **options) as platform:
            await _install_all(platform, teams, slack)
            asked = {
                (team.id, slack.say(f"<@{team.bot_user}> {n}", team=team.id, deliver=False)): n
                for team in teams
                for n in range(threads)
            }
            await asyncio.gather(*(_ask(slack, core, platform, team, ts) for team, ts in asked))
            assert core.failures == []
            for (team, ts), n in asked.items():
                (post,) = slack.thread(ts, team=team)
                assert post["text"].endswith(f"and {n}")


async def _count_slowly(reply: Reply, said: Said) -> Answer:
    text = ""
    for step in range(8):
        text += f"{step} "
        await reply.show(text)
        await asyncio.sleep(0.2)
    return Answer(f"{text}and {said.message.text}")


async def _install_all(platform: SlackPlatform, teams: list[Team], slack: FakeSlack) -> None:
    assert platform._many is not None
    for team in teams:
        await platform._many._store.async_save_bot(
            Bot(
                app_id="A01",
                team_id=team.id,
                bot_token=team.bot_token,
                bot_id=team.bot_id,
                bot_user_id=team.bot_user,
                installed_at=1.0,
            )
        )


async def _ask(slack: FakeSlack, core: ScriptedCore, platform: SlackPlatform, team: str, ts: str) -> None:
    installation = await platform._workspaces.get(team)
    message = slack.teams[team].channels["C01"].messages[ts]
    said = events.said(message, "C01", installation.me, {ALICE: "Alice"})
    assert said is not None
    await core(said)
    await core.until(lambda: (said.key, said.message.position) in core.answered or core.failures, timeout=90)


async def test_a_workspace_that_is_installed_anew_after_a_change_of_key_is_read_whatever_others_left(
    slack: FakeSlack, core: ScriptedCore, door: Door, database: str
) -> None:
    again, left = new_team(slack, 1), new_team(slack, 2)
    await door.install(slack, left)
    await door.install(slack, again)
    changed = Installing(slack.client_id, slack.client_secret, "another key", database)
    options = {"mode": "http", "bot_token": "", "app_token": "", "installing": changed}
    async with running(slack, core, **options) as other, opened_door(other) as new_door:
        await new_door.install(slack, again)
        (installation,) = await other._workspaces.everywhere()
        assert installation.me.workspace == again.id
        with pytest.raises(PlatformForbidden, match="THREADFLY_ENCRYPTION_KEY"):
            await other._workspaces.get(left.id)
