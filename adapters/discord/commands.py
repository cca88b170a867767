"""Application commands: what Discord is told of them, and what it is sent when one is used."""

from collections.abc import Sequence
from typing import Any

from adapters.discord import recall_command, taking

Payload = dict[str, Any]

SLASH, ON_MESSAGE = 1, 3
"""Types of commands."""
STRING = 3
"""Type of an option."""
IN_GUILDS, IN_DIRECT = 0, 1
"""Contexts in which a command can be used."""
FOR_GUILDS = 0
"""Installed for a guild, not for one user."""
MOST_CHOICES = 25
NAME_LENGTH = 100

ANSWER_THIS = "Answer this"
"""The entry in the context menu of messages."""

_PLAIN = {
    "help": "What I can do, and how to talk to me",
    "new": "Begin afresh in this thread; nothing is deleted",
    "stop": "Stop the answer that is being written",
    "pause": "Be quiet in this thread until somebody resumes it",
    "resume": "Answer in this thread again",
    "catchup": "What was said since you last spoke; only you see the answer",
}
FORGOTTEN = ("thread", "me", "me yes")
PLACELESS = frozenset({"help", "forget", "catchup"})
"""What can be used outside of threads too."""
_COMPARED = ("name", "type", "description", "contexts", "integration_types")


def _slash(name: str, description: str, options: Sequence[Payload] = ()) -> Payload:
    return {
        "name": name,
        "type": SLASH,
        "description": description,
        "options": list(options),
        "contexts": [IN_GUILDS, IN_DIRECT],
        "integration_types": [FOR_GUILDS],
    }


def _choice(description: str, choices: Sequence[str]) -> Payload:
    option: Payload = {"name": "name", "type": STRING, "description": description, "required": False}
    short = [choice for choice in choices if len(choice) <= NAME_LENGTH][:MOST_CHOICES]
    if short:
        option["choices"] = [{"name": choice, "value": choice} for choice in short]
    return option


def wanted(models: Sequence[str], personas: Sequence[str]) -> list[Payload]:
    """Every command, as Discord is to know it."""
    commands = [_slash(name, description) for name, description in _PLAIN.items()]
    commands.append(
        _slash("model", "Which model answers in this thread", [_choice("A model from the list", models)])
    )
    commands.append(
        _slash(
            "persona",
            "Who I am in this thread",
            [_choice("A persona from the list", personas)],
        )
    )
    commands.append(_slash("forget", "Take away for good what I keep", [_choice("Of what", FORGOTTEN)]))
    commands.append(
        _slash(recall_command.NAME, "Find what was said; only you see the answer", recall_command.OPTIONS)
    )
    commands.append(_slash(taking.NAME, "A thread as a file, for you alone", taking.OPTIONS))
    return [*commands, *map(_on_message, (ANSWER_THIS, recall_command.ON_MESSAGE))]


def _on_message(name: str) -> Payload:
    """An entry in the context menu of messages, of which there may be five."""
    return {
        "name": name,
        "type": ON_MESSAGE,
        "contexts": [IN_GUILDS, IN_DIRECT],
        "integration_types": [FOR_GUILDS],
    }


def same(ours: Sequence[Payload], theirs: Sequence[Payload]) -> bool:
    """Discord knows exactly our commands: then they are not sent again."""
    return sorted(map(_essence, ours)) == sorted(map(_essence, theirs))


def _essence(command: Payload) -> str:
    """What tells one command from another, without what Discord adds and with its defaults filled in."""
    found = {key: command.get(key) or _DEFAULTS.get(key) for key in _COMPARED}
    options = [
        (
            *(o["name"], o["type"], o["description"], bool(o.get("required")), bool(o.get("autocomplete"))),
            *(_names(o.get("choices")), sorted(o.get("channel_types") or ())),
        )
        for o in command.get("options") or ()
    ]
    return repr([found, options])


def _names(choices: Sequence[Payload] | None) -> list[tuple[str, str]]:
    return [(choice["name"], choice["value"]) for choice in choices or ()]


_DEFAULTS: Payload = {"type": SLASH, "description": ""}


def words(data: Payload) -> str:
    """A slash command as the words after a mention: `model small`."""
    values = [str(option["value"]) for option in (data.get("options") or ()) if "value" in option]
    return " ".join([data["name"], *values])
