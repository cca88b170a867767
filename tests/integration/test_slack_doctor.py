"""`threadfly doctor` on Slack: each missing token and scope by its name, and what to do."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.slack import doctor
from adapters.slack.methods import EVENTS
from bot.doctor import Finding, examine
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.server import APP_TOKEN, BOT_TOKEN
from tests.integration.slack_stage import fake_slack


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with fake_slack() as slack:
        yield slack


async def findings(slack: FakeSlack, **changes: Any) -> list[Finding]:
    settings = {"bot_token": BOT_TOKEN, "app_token": APP_TOKEN, "api_url": slack.api_url}
    return await examine(doctor.checks(**(settings | changes)))


async def test_all_is_well(slack: FakeSlack) -> None:
    bot, app, _ = await findings(slack)
    assert bot.ok
    assert app.ok
    assert "threadfly" in bot.came_back


async def test_missing_scopes_are_named_with_what_they_cost(slack: FakeSlack) -> None:
    slack.team.scopes -= {"app_mentions:read", "files:write"}
    bot, *_ = await findings(slack)
    assert not bot.ok
    assert "app_mentions:read (event app_mention)" in bot.came_back
    assert "files:write (method files.completeUploadExternal" in bot.came_back
    assert "install it again" in bot.to_do


async def test_wrong_tokens_are_told_apart(slack: FakeSlack) -> None:
    bot, app, _ = await findings(slack, bot_token="xoxb-wrong")
    assert (bot.ok, app.ok) == (False, True)
    assert "SLACK_BOT_TOKEN" in bot.to_do
    bot, app, _ = await findings(slack, app_token="xapp-wrong")
    assert (bot.ok, app.ok) == (True, False)
    assert "SLACK_APP_TOKEN" in app.to_do
    assert "wrong" not in app.came_back


async def test_no_network_is_no_wrong_token(slack: FakeSlack) -> None:
    bot, *_ = await findings(slack, api_url="http://127.0.0.1:1/api/")
    assert not bot.ok
    assert "SLACK_BOT_TOKEN" not in bot.to_do


async def test_over_http_the_signing_secret_is_looked_at(slack: FakeSlack) -> None:
    _, secret, _ = await findings(slack, mode="http", signing_secret="0" * 32)
    assert secret.ok
    _, secret, _ = await findings(slack, mode="http", signing_secret="short")
    assert "SLACK_SIGNING_SECRET" in secret.to_do


async def test_it_says_what_it_cannot_know_and_how_to_look(slack: FakeSlack) -> None:
    *_, settings = await findings(slack)
    assert settings.ok
    assert f"{len(EVENTS)} events" in settings.came_back
    assert "App Manifest" in settings.to_do
    assert "threadfly manifest slack" in settings.to_do
