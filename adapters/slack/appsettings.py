"""What an app lacks at Slack, held against the manifest that `threadfly manifest slack` prints. No I/O.

An app's settings are told by `apps.manifest.export` alone, as the manifest that would make the same app.
https://docs.slack.dev/reference/app-manifest
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from adapters.slack import manifest

Json = Mapping[str, Any]
Mode = Literal["socket", "http"]

EVENTS = ("settings", "event_subscriptions", "bot_events")
SCOPES = ("oauth_config", "scopes", "bot")
COMMANDS = ("features", "slash_commands")
SHORTCUTS = ("features", "shortcuts")
EVENTS_URL = ("settings", "event_subscriptions", "request_url")
INTERACTIVITY = ("settings", "interactivity", "is_enabled")
INTERACTIVITY_URL = ("settings", "interactivity", "request_url")
SOCKET_MODE = ("settings", "socket_mode_enabled")
ROTATION = ("settings", "token_rotation_enabled")
WRITABLE = (
    ("features", "app_home", "messages_tab_enabled"),
    ("features", "app_home", "messages_tab_read_only_enabled"),
)


def lacks(exported: Json, mode: Mode) -> list[str]:
    """What to mend in an app with the manifest `exported`, each thing by the name that Slack's pages use.

    Where our server is reached is told by the app itself: over HTTP everything must lead there.
    """
    url = str(_at(exported, EVENTS_URL) or "") if mode == "http" else ""
    wanted = manifest.manifest(url=url.removesuffix(manifest.EVENTS_PATH))
    found = [
        *(f"event {event}" for event in _missing(exported, wanted, EVENTS)),
        *(f"scope {scope}" for scope in _missing(exported, wanted, SCOPES)),
        *_commands(exported, wanted),
        *_shortcuts(exported, wanted),
    ]
    if not _at(exported, INTERACTIVITY):
        found.append("interactivity")
    if [bool(_at(exported, path)) for path in WRITABLE] != [bool(_at(wanted, path)) for path in WRITABLE]:
        found.append("the messages tab that people can write in")
    if _at(exported, ROTATION):
        found.append("tokens that stay (token rotation is on)")
    return found + (list(_addresses(exported, wanted, url)) if mode == "http" else _socket_mode(exported))


def _commands(exported: Json, wanted: Json) -> Iterator[str]:
    """One that Slack hands on unescaped names people by names that can't be told apart."""
    there = {each.get("command"): each for each in _list(exported, COMMANDS)}
    for command in _list(wanted, COMMANDS):
        name = command["command"]
        if name not in there:
            yield f"command {name}"
        elif bool(there[name].get("should_escape")) != command["should_escape"]:
            yield f"command {name} with should_escape: {str(command['should_escape']).lower()}"


def _shortcuts(exported: Json, wanted: Json) -> Iterator[str]:
    there = {(each.get("type"), each.get("callback_id")) for each in _list(exported, SHORTCUTS)}
    for shortcut in _list(wanted, SHORTCUTS):
        if (shortcut["type"], shortcut["callback_id"]) not in there:
            yield f"message shortcut {shortcut['name']} ({shortcut['callback_id']})"


def _socket_mode(exported: Json) -> list[str]:
    return [] if _at(exported, SOCKET_MODE) else ["Socket Mode"]


def _addresses(exported: Json, wanted: Json, url: str) -> Iterator[str]:
    """With Socket Mode on Slack sends nothing to any address."""
    if _at(exported, SOCKET_MODE):
        yield "events by HTTP (Socket Mode is on)"
        return
    if not url.endswith(manifest.EVENTS_PATH):
        yield f"a Request URL for events that ends in {manifest.EVENTS_PATH}"
        return
    if _at(exported, INTERACTIVITY) and _at(exported, INTERACTIVITY_URL) != _at(wanted, INTERACTIVITY_URL):
        yield f"interactivity at {url}"
    ours = {each["command"] for each in _list(wanted, COMMANDS)}
    for command in _list(exported, COMMANDS):
        if command.get("command") in ours and command.get("url") != url:
            yield f"command {command['command']} at {url}"


def _missing(exported: Json, wanted: Json, path: Sequence[str]) -> list[str]:
    there = _at(exported, path)
    return [each for each in _at(wanted, path) if not isinstance(there, list) or each not in there]


def _list(tree: Json, path: Sequence[str]) -> list[Json]:
    found = _at(tree, path)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def _at(tree: Any, path: Sequence[str]) -> Any:
    """What stands there; None where the way ends before."""
    for name in path:
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree
