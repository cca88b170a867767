"""The manifest asks for exactly what the code uses."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from adapters.slack import manifest, methods

SOURCES = Path(manifest.__file__).parent


def strings() -> set[str]:
    """Every string in the island's code, the tables left out."""
    found: set[str] = set()
    for path in SOURCES.glob("*.py"):
        if path.name != "methods.py":
            nodes = ast.walk(ast.parse(path.read_text()))
            found.update(n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str))
    return found


def test_every_declared_method_is_called() -> None:
    by_slack_sdk = {"oauth.v2.access"}
    assert set(methods.METHODS) - strings() == by_slack_sdk


def test_every_event_is_handled() -> None:
    types = {event.partition(".")[0] for event in methods.EVENTS}
    assert types <= strings()


def test_the_manifest_has_exactly_these_scopes_events_commands_and_shortcuts() -> None:
    told = yaml.safe_load(manifest.render())
    assert told["oauth_config"]["scopes"] == {"bot": list(methods.bot_scopes())}
    assert told["settings"]["event_subscriptions"] == {"bot_events": sorted(methods.EVENTS)}
    assert tuple(c["command"] for c in told["features"]["slash_commands"]) == methods.COMMANDS
    assert {s["callback_id"]: s["name"] for s in told["features"]["shortcuts"]} == methods.SHORTCUTS


@pytest.mark.parametrize("url", ["", "https://bot.example.com"])
def test_it_keeps_the_bounds_that_slack_documents(url: str) -> None:
    """docs.slack.dev/reference/app-manifest says how long and how many."""
    told = yaml.safe_load(manifest.render(url=url))
    display, features, settings = told["display_information"], told["features"], told["settings"]
    commands, shortcuts = features["slash_commands"], features["shortcuts"]
    prompts = features["agent_view"]["suggested_prompts"]
    assert len(display["name"]) <= 35
    assert len(display["description"]) <= 140
    assert re.fullmatch("#[0-9a-f]{6}", display["background_color"])
    assert len(features["bot_user"]["display_name"]) <= 80
    assert len(features["agent_view"]["agent_description"]) <= 300
    assert 1 <= len(prompts) <= 4
    assert all(each["title"] and each["message"] for each in prompts)
    assert len(commands) <= 50
    assert all(re.fullmatch("/[a-z]{1,31}", each["command"]) for each in commands)
    assert all(len(each["description"]) <= 2_000 for each in commands)
    assert all(len(each.get("usage_hint", "")) <= 1_000 for each in commands)
    assert len(shortcuts) <= 10
    assert all(len(each["name"]) <= 24 and len(each["description"]) <= 150 for each in shortcuts)
    assert all(each["type"] == "message" and len(each["callback_id"]) <= 255 for each in shortcuts)
    assert len(settings["event_subscriptions"]["bot_events"]) <= 100
    assert len(told["oauth_config"]["scopes"]["bot"]) <= 255


def test_without_an_address_it_is_for_socket_mode() -> None:
    told = manifest.manifest()
    assert told["settings"]["socket_mode_enabled"] is True
    assert "request_url" not in str(told)


def test_with_an_address_everything_points_there() -> None:
    told = manifest.manifest(url="https://bot.example.com/")
    assert told["settings"]["socket_mode_enabled"] is False
    events = "https://bot.example.com/slack/events"
    assert told["settings"]["event_subscriptions"]["request_url"] == events
    assert told["settings"]["interactivity"]["request_url"] == events
    assert told["features"]["slash_commands"][0]["url"] == events
    assert told["oauth_config"]["redirect_urls"] == ["https://bot.example.com/slack/oauth_redirect"]
