"""Slack's own export of a workspace, a zip or a folder, as sheets with messages.

Its form: https://slack.com/help/articles/220556107 (`users.json`, `channels.json`, and a folder for each
channel with a file for each day). Direct messages between people are passed over: Slack tells the bot
nothing of who may read them.
"""

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from adapters.slack import events
from adapters.slack.blocks import objects
from adapters.slack.events import Me
from adapters.slack.tidying import tidied
from bot.domain import SessionKey
from bot.errors import ThreadflyError
from bot.sheets import Entry, Piece, Sheet

LISTS = ("channels.json", "groups.json", "mpims.json")
"""Public channels, private ones, and group messages."""

Json = Mapping[str, Any]
Folder = Path | zipfile.Path


class NoExport(ThreadflyError):
    """That is no export of Slack's. The text says what is missing."""


def pieces_of(source: Path, workspace: str = "") -> Iterator[Piece]:
    """What was said in channels, a day of a channel at a time. `workspace`: else as its users say."""
    folder = _opened(source)
    users = _listed(folder / "users.json")
    team = workspace or next((user["team_id"] for user in users if user.get("team_id")), "")
    if not team:
        raise NoExport("users.json names no workspace; say which it is with --workspace T123")
    channels = [channel for name in LISTS for channel in _listed(folder / name)]
    if not channels:
        raise NoExport(f"{source} is no export of Slack's: it has no channels.json")
    names = {user["id"]: _name(user) for user in users if user.get("id")}
    names |= {channel["id"]: channel.get("name") or channel["id"] for channel in channels}
    for channel in channels:
        for day in _days(folder, channel):
            yield from _day(_listed(day), channel["id"], Me(team, "", ""), names)


def _opened(source: Path) -> Folder:
    try:
        return source if source.is_dir() else zipfile.Path(source)
    except zipfile.BadZipFile as error:
        raise NoExport(f"{source} is neither a folder nor a zip") from error


def _listed(file: Folder) -> list[dict[str, Any]]:
    """The objects of a file; none if it is not there."""
    if not file.is_file():
        return []
    try:
        found = json.loads(file.read_text("utf-8"))
    except (ValueError, zipfile.BadZipFile) as error:
        raise NoExport(f"{file.name} can't be understood: it may have been cut off") from error
    return [tidied(each) for each in objects(found)]


def _name(user: Json) -> str:
    profile = user.get("profile") or {}
    return str(profile.get("display_name") or profile.get("real_name") or user.get("name") or user["id"])


def _days(folder: Folder, channel: Json) -> list[Folder]:
    """The channel's files, oldest first."""
    for name in (channel.get("name"), channel["id"]):
        if name and (here := folder / name).is_dir():
            return sorted((day for day in here.iterdir() if day.name.endswith(".json")), key=_by_name)
    return []


def _by_name(file: Folder) -> str:
    return file.name


def _day(messages: list[dict[str, Any]], channel: str, me: Me, names: Mapping[str, str]) -> Iterator[Piece]:
    threads: dict[SessionKey, list[Entry]] = {}
    for message in messages:
        if not message.get("ts") or events.is_noise(message) or not _sender(message):
            continue
        key = events.session_key(me, channel, message["ts"], message.get("thread_ts"))
        entry = Entry(events.as_message(message, me, names), message.get("client_msg_id") or "")
        threads.setdefault(key, []).append(entry)
    for key, entries in threads.items():
        first, last = entries[0].message, entries[-1].message
        yield Sheet(key, first.text, "", first.sent_at, last.sent_at, complete_from=0)
        yield from entries


def _sender(message: Json) -> str:
    return message.get("user") or message.get("bot_id") or ""
