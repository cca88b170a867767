"""What we ask of Slack: every Web API method we call, every event we listen to, with its scopes.

The manifest and the doctor are made from these tables, and the fake Slack of the tests refuses
what is not in them: a call that is not declared here can't be tested, hence not shipped.
"""

from collections.abc import Mapping
from dataclasses import dataclass

HISTORY = ("channels:history", "groups:history", "im:history", "mpim:history")
READ = ("channels:read", "groups:read", "im:read", "mpim:read")


@dataclass(frozen=True, slots=True)
class Method:
    """One method of the Web API."""

    scopes: tuple[str, ...] = ()
    """Every bot scope it needs, over all kinds of channels."""
    per_minute: int = 50
    """Calls that Slack takes from one workspace in a minute, by the method's tier; 0: no tier."""


TIER_1, TIER_2, TIER_3, TIER_4 = 1, 20, 50, 100
SPECIAL = 0

METHODS: Mapping[str, Method] = {
    "agents.sessions.setStatus": Method(("chat:write",), TIER_3),
    "apps.connections.open": Method((), TIER_1),
    "apps.manifest.export": Method((), TIER_3),
    "assistant.threads.setStatus": Method(("chat:write",), SPECIAL),
    "assistant.threads.setSuggestedPrompts": Method(("assistant:write",), SPECIAL),
    "assistant.threads.setTitle": Method(("assistant:write",), SPECIAL),
    "auth.teams.list": Method((), TIER_2),
    "auth.test": Method((), SPECIAL),
    "bots.info": Method(("users:read",), TIER_3),
    "chat.appendStream": Method(("chat:write",), TIER_4),
    "chat.delete": Method(("chat:write",), TIER_3),
    "chat.postEphemeral": Method(("chat:write",), TIER_4),
    "chat.postMessage": Method(("chat:write",), SPECIAL),
    "chat.startStream": Method(("chat:write",), TIER_2),
    "chat.stopStream": Method(("chat:write",), TIER_2),
    "chat.update": Method(("chat:write",), TIER_3),
    "conversations.history": Method(HISTORY, TIER_3),
    "conversations.info": Method(READ, TIER_3),
    "conversations.open": Method(("im:write",), TIER_3),
    "conversations.list": Method(READ, TIER_2),
    "conversations.members": Method(READ, TIER_4),
    "conversations.replies": Method(HISTORY, TIER_3),
    "files.completeUploadExternal": Method(("files:write",), TIER_4),
    "files.getUploadURLExternal": Method(("files:write",), TIER_4),
    "files.info": Method(("files:read",), TIER_4),
    "oauth.v2.access": Method((), TIER_4),
    "users.conversations": Method(READ, TIER_3),
    "users.info": Method(("users:read",), TIER_4),
    "users.list": Method(("users:read",), TIER_2),
    "views.open": Method((), TIER_4),
}
"""`apps.connections.open` goes with the app-level token (scope `connections:write`), `apps.manifest.export`
with an app configuration token; it is the doctor's alone, and so is `bots.info`."""

EVENTS: Mapping[str, tuple[str, ...]] = {
    "agent_session_stopped": ("assistant:write",),
    "app_home_opened": (),
    "app_mention": ("app_mentions:read",),
    "app_uninstalled": (),
    "channel_deleted": ("channels:read",),
    "channel_left": ("channels:read",),
    "channel_unshared": ("channels:read", "groups:read"),
    "group_deleted": ("groups:read",),
    "group_left": ("groups:read",),
    "member_joined_channel": ("channels:read", "groups:read"),
    "member_left_channel": ("channels:read", "groups:read"),
    "message.channels": ("channels:history",),
    "message.groups": ("groups:history",),
    "message.im": ("im:history",),
    "message.mpim": ("mpim:history",),
    "tokens_revoked": (),
}
"""The events to subscribe to. `message.*` all arrive as the type `message`."""

COMMAND = "/threadfly"
RECALL_COMMAND = "/recall"
EXPORT_COMMAND = "/export"
CATCH_UP_COMMAND = "/catchup"
COMMANDS = (COMMAND, RECALL_COMMAND, EXPORT_COMMAND, CATCH_UP_COMMAND)

RECALL_SHORTCUT = "threadfly_recall"
SHORTCUTS: Mapping[str, str] = {
    RECALL_SHORTCUT: "Recall…",
    "threadfly_pause": "Pause Threadfly here",
    "threadfly_resume": "Resume Threadfly here",
    "threadfly_new": "Start afresh here",
    "threadfly_export": "Export this thread",
}
"""Message shortcuts: callback id to what the menu reads (24 characters at most)."""

OTHER_SCOPES = ("commands",)
"""What no method and no event asks for: `commands` is for the slash command and the shortcuts."""


def bot_scopes() -> tuple[str, ...]:
    """Every scope that the bot's token needs, sorted."""
    needed = set(OTHER_SCOPES)
    for method in METHODS.values():
        needed.update(method.scopes)
    for scopes in EVENTS.values():
        needed.update(scopes)
    return tuple(sorted(needed))
