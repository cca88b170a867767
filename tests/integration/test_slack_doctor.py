"""`threadfly doctor` on Slack: each missing token, scope, event, command by its name, and what to do."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.slack import doctor
from adapters.slack.manifest import manifest
from adapters.slack.methods import EVENTS
from bot.doctor import Finding, examine
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.server import APP_TOKEN, BOT_TOKEN, CONFIG_TOKEN, TEAM
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
    assert "SLACK_CONFIG_TOKEN" in settings.to_do


async def test_where_workspaces_bring_their_tokens_there_is_the_secret_and_how_to_look(
    slack: FakeSlack,
) -> None:
    secret, settings = await findings(slack, bot_token="", mode="http", signing_secret="0" * 32)
    assert secret.ok
    assert "App Manifest" in settings.to_do


# With a token of the app's owner.


async def settings_of(slack: FakeSlack, **changes: Any) -> Finding:
    return (await findings(slack, **({"config_token": CONFIG_TOKEN} | changes)))[-1]


async def test_an_app_that_was_made_from_the_manifest_lacks_nothing(slack: FakeSlack) -> None:
    told = await settings_of(slack)
    assert told.ok, told
    assert f"{len(EVENTS)} events" in told.came_back
    assert told.to_do == ""
    assert [arguments for method, arguments in slack.calls if method == "apps.manifest.export"] == [
        {"app_id": "A01"}
    ]


async def test_each_event_scope_command_and_shortcut_that_is_missing_is_named(slack: FakeSlack) -> None:
    made = slack.manifest
    made["settings"]["event_subscriptions"]["bot_events"].remove("member_left_channel")
    made["oauth_config"]["scopes"]["bot"].remove("im:write")
    commands = {each["command"]: each for each in made["features"]["slash_commands"]}
    made["features"]["slash_commands"].remove(commands["/export"])
    commands["/recall"]["should_escape"] = False
    made["features"]["shortcuts"][0]["type"] = "global"
    made["features"]["app_home"]["messages_tab_read_only_enabled"] = True
    made["settings"] |= {
        "interactivity": {"is_enabled": False},
        "socket_mode_enabled": False,
        "token_rotation_enabled": True,
    }
    told = await settings_of(slack)
    assert not told.ok
    assert told.came_back.removeprefix("missing: ").split("; ") == [
        "event member_left_channel",
        "scope im:write",
        "command /recall with should_escape: true",
        "command /export",
        "message shortcut Recall… (threadfly_recall)",
        "interactivity",
        "the messages tab that people can write in",
        "tokens that stay (token rotation is on)",
        "Socket Mode",
    ]
    assert "threadfly manifest slack" in told.to_do
    assert "A01" in told.to_do


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"settings": None, "features": [], "oauth_config": {"scopes": {"bot": None}}},
        {"features": {"slash_commands": [None, "x", {}], "shortcuts": {}}},
    ],
)
async def test_an_app_of_another_kind_lacks_everything(slack: FakeSlack, odd: dict[str, Any]) -> None:
    slack.manifest = odd
    told = await settings_of(slack)
    assert not told.ok
    for event in EVENTS:
        assert f"event {event}" in told.came_back
    for thing in ("scope chat:write", "command /threadfly", "interactivity", "Socket Mode"):
        assert thing in told.came_back


async def test_over_http_everything_must_lead_to_one_address(slack: FakeSlack) -> None:
    over_http = {"mode": "http", "signing_secret": "0" * 32}
    slack.manifest = manifest(url="https://bot.example.com")
    assert (await settings_of(slack, **over_http)).ok
    slack.manifest["features"]["slash_commands"][1]["url"] = "https://old.example.com/slack/events"
    slack.manifest["settings"]["interactivity"]["request_url"] = "https://old.example.com/slack/events"
    told = await settings_of(slack, **over_http)
    assert told.came_back.removeprefix("missing: ").split("; ") == [
        "interactivity at https://bot.example.com/slack/events",
        "command /recall at https://bot.example.com/slack/events",
    ]
    assert "--url" in told.to_do
    slack.manifest = manifest()
    assert "events by HTTP (Socket Mode is on)" in (await settings_of(slack, **over_http)).came_back
    slack.manifest["settings"]["socket_mode_enabled"] = False
    assert "a Request URL for events" in (await settings_of(slack, **over_http)).came_back


@pytest.mark.parametrize("token", ["xoxe.xoxp-1-of-yesterday", "xoxb-a-bots", "xoxe-1-refresh", "what?"])
async def test_a_token_that_does_not_open_the_settings_is_told_with_where_to_get_one(
    slack: FakeSlack, token: str
) -> None:
    told = await settings_of(slack, config_token=token)
    assert not told.ok
    assert "Your App Configuration Tokens" in told.to_do
    assert "12 hours" in told.came_back or "refresh token" in told.came_back
    assert token not in f"{told}"


async def test_whoever_does_not_own_the_app_is_told_so(slack: FakeSlack) -> None:
    slack.failures["apps.manifest.export"] = ["app_not_found"]
    told = await settings_of(slack)
    assert not told.ok
    assert "may change this app" in told.to_do


async def test_a_wrong_bot_token_is_not_blamed_on_the_other(slack: FakeSlack) -> None:
    told = await settings_of(slack, bot_token="xoxb-wrong")
    assert not told.ok
    assert "SLACK_BOT_TOKEN" in told.to_do
    assert "SLACK_CONFIG_TOKEN" not in told.to_do


async def test_for_an_organisation_the_app_is_found_too(slack: FakeSlack) -> None:
    slack.teams[TEAM].enterprise = "E01"
    assert (await settings_of(slack)).ok


async def test_a_server_that_is_not_slack_may_have_no_such_settings(slack: FakeSlack) -> None:
    slack.unsupported = {"apps.manifest.export"}
    told = await settings_of(slack)
    assert told.ok
    assert "App Manifest" in told.to_do


async def test_what_no_server_answers_is_no_wrong_token(slack: FakeSlack) -> None:
    slack.failures["apps.manifest.export"] = ["500"]
    told = await settings_of(slack)
    assert not told.ok
    assert "SLACK_CONFIG_TOKEN" not in told.to_do
