"""Threads as files: what a link to one means, and how a file reaches one person alone."""

import re
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from adapters.slack.client import Client
from adapters.slack.errors import Refused
from adapters.slack.events import FLAT, PLATFORM, is_direct
from adapters.slack.files import Files
from adapters.slack.markup import plain, ts_of
from bot.domain import SessionKey
from bot.taking import Taken, is_name
from bot.words import EXPORT_NO_THREAD, EXPORT_SENT

_PATH: Final = re.compile(r"/archives/([A-Z0-9]+)(?:/p(\d{7,20}))?/?")
_TS: Final = re.compile(r"\d{1,12}\.\d{6}")
COMMENT_LENGTH = 1_000
NO_RIGHT = (
    "Slack does not let me send you files yet: whoever runs me has to install my app again, "
    "with the right `im:write`."
)

Json = Mapping[str, Any]


def linked(link: str, workspace: str) -> Sequence[SessionKey]:
    """The sessions that a message's permalink may mean, the likeliest first."""
    try:
        parts = urlsplit(link.replace("&amp;", "&"))
    except ValueError:
        return ()
    path = _PATH.fullmatch(parts.path)
    if path is None:
        return ()
    channel, digits = path[1], path[2] or ""
    asked = next(iter(parse_qs(parts.query).get("thread_ts", ())), "")
    thread = asked if _TS.fullmatch(asked) else ts_of(int(digits)) if digits else ""
    threads = [thread] if thread else []
    if is_direct(channel):
        threads.append(FLAT)
    return [SessionKey(PLATFORM, workspace, channel, each) for each in threads]


async def hand(client: Client, files: Files, taken: Taken, to: str, at: str) -> str:
    """Send the files to a person's direct messages, who asked in the channel `at`. Raises `PlatformError`."""
    try:
        opened = await client.read("conversations.open", users=to)
    except Refused as refused:
        if refused.code == "missing_scope":
            return NO_RIGHT
        raise
    direct = str((opened.get("channel") or {}).get("id") or "")
    sent = 0
    async with aclosing(taken.documents()) as documents:
        async for document in documents:
            comment = plain(document.lead, COMMENT_LENGTH)
            await files.send(client, document.name, document.content, direct, comment)
            sent += 1
    if not sent:
        return EXPORT_NO_THREAD
    return "" if direct == at else EXPORT_SENT


def is_handed(message: Json) -> bool:
    """Whether a message of ours is a file that was handed over: no part of any conversation."""
    return any(is_name(str(file.get("name") or "")) for file in message.get("files") or ())
