"""The app manifest: what an app at Slack must be allowed, made from what the code uses."""

from typing import Any

import yaml

from adapters.slack.methods import (
    CATCH_UP_COMMAND,
    COMMAND,
    EVENTS,
    EXPORT_COMMAND,
    RECALL_COMMAND,
    SHORTCUTS,
    bot_scopes,
)
from adapters.slack.welcome import PROMPTS

DESCRIPTION = "A chatbot that remembers: mention it, and go on in the thread."
ABOUT = "Answers in threads and direct messages, and remembers what was said there."
EVENTS_PATH = "/slack/events"
REDIRECT_PATH = "/slack/oauth_redirect"


def manifest(*, name: str = "Threadfly", url: str = "") -> dict[str, Any]:
    """The manifest as Slack's schema has it. `url`: where our HTTP server is reached; none: Socket Mode."""
    address = {"request_url": f"{url.rstrip('/')}{EVENTS_PATH}"} if url else {}
    oauth: dict[str, Any] = {"scopes": {"bot": list(bot_scopes())}}
    if url:
        oauth["redirect_urls"] = [f"{url.rstrip('/')}{REDIRECT_PATH}"]
    command = {
        "command": COMMAND,
        "description": "How to use me",
        "usage_hint": "help",
        "should_escape": False,
    }
    finding = {
        "command": RECALL_COMMAND,
        "description": "Find what was said; only you see the answer",
        "usage_hint": "words from:@ann in:#ops after:friday",
        "should_escape": True,
    }
    exporting = {
        "command": EXPORT_COMMAND,
        "description": "A thread as a file, for you alone: give its link",
        "usage_hint": "html https://... (a link to the thread)",
        "should_escape": False,
    }
    catching_up = {
        "command": CATCH_UP_COMMAND,
        "description": "What was said since you last spoke; only you see it",
        "should_escape": False,
    }
    return {
        "display_information": {"name": name, "description": DESCRIPTION, "background_color": "#2f3e6b"},
        "features": {
            "app_home": {
                "home_tab_enabled": False,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": name, "always_online": True},
            "agent_view": {
                "agent_description": ABOUT,
                "suggested_prompts": [{"title": title, "message": message} for title, message in PROMPTS],
            },
            "slash_commands": [
                each | ({"url": address["request_url"]} if url else {})
                for each in (command, finding, exporting, catching_up)
            ],
            "shortcuts": [
                {"name": label, "type": "message", "callback_id": callback, "description": label}
                for callback, label in SHORTCUTS.items()
            ],
        },
        "oauth_config": oauth,
        "settings": {
            "event_subscriptions": address | {"bot_events": sorted(EVENTS)},
            "interactivity": {"is_enabled": True} | address,
            "org_deploy_enabled": bool(url),
            "socket_mode_enabled": not url,
            "token_rotation_enabled": False,
        },
    }


def render(*, name: str = "Threadfly", url: str = "") -> str:
    """The manifest as YAML, to be pasted at api.slack.com/apps."""
    return yaml.safe_dump(manifest(name=name, url=url), sort_keys=False, allow_unicode=True, width=100)
