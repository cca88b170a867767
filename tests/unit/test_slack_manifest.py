"""The manifest asks for exactly what the code uses."""

import ast
from pathlib import Path

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
    assert [c["command"] for c in told["features"]["slash_commands"]] == [
        methods.COMMAND,
        methods.RECALL_COMMAND,
        methods.EXPORT_COMMAND,
        methods.CATCH_UP_COMMAND,
    ]
    assert {s["callback_id"]: s["name"] for s in told["features"]["shortcuts"]} == methods.SHORTCUTS


def test_it_keeps_the_lengths_that_slack_takes() -> None:
    told = yaml.safe_load(manifest.render())
    assert all(len(s["name"]) <= 24 for s in told["features"]["shortcuts"])
    assert len(told["display_information"]["description"]) <= 140
    assert 1 <= len(told["features"]["agent_view"]["suggested_prompts"]) <= 4


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
