"""A whole bot for many workspaces, over HTTP: installed by its pages, and streaming everywhere at once."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.acceptance.slack_process import START_S, World, world
from tests.fakes.openai import Script
from tests.fakes.slack.server import ALICE
from tests.fakes.slack.world import Channel, Team

WORKSPACES, CHANNELS, THREADS = 10, 4, 5
"""Five threads in each channel: 200."""
SCALE = 0.2
"""A minute of Slack's passes in 12 s. The bot counts in real ones, so of edits it takes less than it may."""
ANSWER = " ".join(f"word{number}" for number in range(40))
LONGEST_S = 150.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def new_team(made: World, number: int) -> Team:
    """A workspace that has not installed the app yet."""
    team = made.slack.add_team(f"T1{number}", f"xoxb-secret-{number}", f"U1BOT{number}", installed=False)
    team.users[ALICE] = "Alice"
    for channel in range(CHANNELS):
        where = Channel(f"C{channel}", f"room-{channel}", "channel", {ALICE, team.bot_user})
        made.slack.add_channel(team, where)
    return team


async def install(made: World, team: Team, url: str, browser: aiohttp.ClientSession) -> None:
    """Alice goes through Slack's consent."""
    async with browser.get(f"{url}/slack/install") as page:
        found = re.search(r"state=([\w-]+)", await page.text())
        assert found is not None
        cookies = {cookie.key: cookie.value for cookie in page.cookies.values()}
    code = f"code-{team.id}"
    made.slack.oauth_codes[code] = team.id
    query = {"code": code, "state": found[1]}
    async with browser.get(f"{url}/slack/oauth_redirect", params=query, cookies=cookies) as page:
        assert page.status == 200, await page.text()


@pytest.fixture
async def made(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("bot"), scale=SCALE, echo=False) as made:
        yield made


async def served(made: World, browser: aiohttp.ClientSession) -> str:
    """Start a bot that serves whoever installs it; its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {
        "SLACK_BOT_TOKEN": "",
        "SLACK_APP_TOKEN": "",
        "SLACK_CLIENT_ID": made.slack.client_id,
        "SLACK_CLIENT_SECRET": made.slack.client_secret,
        "SLACK_SIGNING_SECRET": made.slack.deliveries.signing_secret,
        "THREADFLY_ENCRYPTION_KEY": "an operator's own key",
        "THREADFLY__SLACK__MODE": "http",
        "THREADFLY__HTTP__PORT": str(port),
        "THREADFLY__ACCESS__PER_WORKSPACE": "none",
        "THREADFLY__TURNS__LEASE_S": "20",
    }
    await made.start(connections=0, **settings)
    async with asyncio.timeout(START_S):
        while not await _ready(browser, url):  # noqa: ASYNC110  # another process
            await asyncio.sleep(0.1)
    made.slack.deliveries.http_url = f"{url}/slack/events"
    return url


async def _ready(browser: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with browser.get(f"{url}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def test_two_hundred_threads_in_ten_workspaces_stream_at_once(made: World) -> None:
    made.openai.always = Script(text=ANSWER, chunk_chars=12, delay_s=0.1)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as browser:
        url = await served(made, browser)
        teams = [new_team(made, number) for number in range(WORKSPACES)]
        for team in teams:
            await install(made, team, url, browser)
        asked = [
            (team.id, channel, made.slack.say(f"<@{team.bot_user}> {n}", channel=channel, team=team.id))
            for n in range(THREADS)
            for team in teams
            for channel in team.channels
        ]

        def whole() -> bool:
            threads = (made.slack.thread(ts, channel=channel, team=team) for team, channel, ts in asked)
            return all(len(posts) == 1 and "threadfly_good" in str(posts[0]["blocks"]) for posts in threads)

        await made.slack.until(whole, LONGEST_S)
        async with browser.get(f"{url}/metrics") as page:
            metrics = await page.text()
    for team, channel, ts in asked:
        (post,) = made.slack.thread(ts, channel=channel, team=team)
        assert post["text"] == ANSWER
    edited = {a["ts"] for method, a in made.slack.calls if method == "chat.update"}
    assert len(edited) == len(asked)
    logged = made.logged()
    assert "xoxb-secret" not in logged + metrics
    assert "Traceback" not in logged
    assert not re.search(r"\bERROR\b|ratelimited", logged)
