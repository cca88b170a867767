"""Fetches what came with messages, as far as a model can take it."""

import asyncio
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bot.cleaning import clean, plain_name
from bot.domain import Attachment, Message, Picture
from bot.errors import PlatformError
from bot.ports import Platform
from bot.prompt import Taken

log = logging.getLogger(__name__)

TEXT_BYTES = 200_000
"""Most bytes of one text file."""
PICTURE_BYTES = 4_000_000
MOST_FILES = 4
"""Most files of one window that are fetched, anew for each turn; the newest count."""
FETCH_S = 10.0
"""How long one file may take; they are fetched together."""
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
TEXTUAL = ("json", "xml", "yaml", "toml", "javascript", "csv", "sql", "x-sh", "x-python")
TEXT_ENDING = re.compile(
    r"\.(txt|md|rst|tex|log|[ct]sv|json|ya?ml|toml|ini|cfg|xml|html|css|sql|sh|diff|patch|py|[jt]sx?|rs|go"
    r"|java|kt|c|h|[ch]pp|cs|rb|php|swift|lua|r|pl)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Files:
    """What came of the files in a window."""

    taken: dict[int, Taken]
    """By the position of the message."""
    untaken: tuple[str, ...]
    """Names of files of the questions themselves that were not taken."""


async def take(platform: Platform, messages: Sequence[Message], asked: Sequence[int], sees: bool) -> Files:
    """Fetch the newest files of `messages`, together, within bounds. Failures are files not taken."""
    wanted = [(message, a) for message in reversed(messages) for a in message.attachments][:MOST_FILES]
    if not wanted:
        return Files({}, ())
    results = await asyncio.gather(*(_fetch(platform, a, sees) for _, a in wanted))
    taken: dict[int, Taken] = {}
    untaken = []
    for (message, attachment), got in zip(wanted, results, strict=True):
        if got is not None:
            before = taken.get(message.position, Taken())
            taken[message.position] = Taken(before.texts + got.texts, before.pictures + got.pictures)
        elif message.position in asked:
            untaken.append(plain_name(attachment.name))
    return Files(taken, tuple(untaken))


async def _fetch(platform: Platform, attachment: Attachment, sees: bool) -> Taken | None:
    """The file as text or picture; None if it is neither, too large, or can't be had."""
    picture = attachment.type in PICTURES
    if not (sees if picture else _is_text(attachment)):
        return None
    most = PICTURE_BYTES if picture else TEXT_BYTES
    if attachment.size > most:
        return None
    try:
        async with asyncio.timeout(FETCH_S):
            content = await platform.fetch(attachment, most)
    except (PlatformError, TimeoutError):
        log.warning("A file could not be fetched", extra={"event": "file.unfetched"})
        return None
    if content is None:
        return None
    if picture:
        return Taken(pictures=(Picture(attachment.type, content),))
    return Taken(texts=(_quoted(attachment, content),))


def _is_text(attachment: Attachment) -> bool:
    kind = attachment.type.split(";")[0].strip().lower()
    return (
        kind.startswith("text/")
        or kind.rpartition("/")[2].rpartition("+")[2] in TEXTUAL
        or TEXT_ENDING.search(attachment.name) is not None
    )


def _quoted(attachment: Attachment, content: bytes) -> str:
    text = clean(content.decode("utf-8", "replace"))
    return f"--- file {plain_name(attachment.name)} ---\n{text}\n--- end of file ---"
