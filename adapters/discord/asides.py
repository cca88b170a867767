"""What the bot posts beside its replies, and how who looks for a reply's parts knows such a post again."""

from typing import Final

from adapters.discord import found
from adapters.discord.notices import TEXTS
from adapters.discord.rest import Payload
from adapters.discord.sending import SUPPRESS_EMBEDS
from bot.taking import is_name

RECALL_CLOSED: Final = (
    "-# I can't write to you directly, so I can't show you what I found. Type `/recall` instead: "
    "only you see its answer."
)
EXPORT_CLOSED: Final = (
    "-# I can't write to you directly, so I can't send you the file. Type `/export` instead: "
    "only you see its answer."
)
_SENTENCES: Final = frozenset({*TEXTS, RECALL_CLOSED, EXPORT_CLOSED})


def is_handed(post: Payload) -> bool:
    """Whether a post of the bot holds a file that was for one person."""
    return any(is_name(file.get("filename") or "") for file in post.get("attachments") or ())


def is_beside(post: Payload) -> bool:
    """Whether a post of the bot can't be a reply's part, which is text or a file, and has no flag of ours.

    The flag alone would do, but not every server keeps it.
    """
    flagged = int(post.get("flags") or 0) & SUPPRESS_EMBEDS
    empty = not (post.get("content") or post.get("attachments"))
    known = post.get("content") in _SENTENCES or is_handed(post)
    return bool(flagged or empty or known or found.is_page(post) or found.is_aside(post))
