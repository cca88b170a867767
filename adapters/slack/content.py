"""What a post of ours consists of: blocks, the text for notifications, and whose part it is."""

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.posts import Limits
from adapters.slack.markup import defused, plain
from adapters.splitting import split

POST_LENGTH = 11_500
"""A markdown block takes 12,000 characters; with the buttons, blocks of more than about 13,000 fail."""
FALLBACK_LENGTH = 3_000
"""`chat.update` refuses a `text` of more than about 4,000 characters."""

CUT = "\n\n…"

PART_TYPE = "threadfly_part"
ASIDE_TYPE = "threadfly_aside"
"""Said beside a reply: never part of one, nor of any conversation."""
ASIDE: Mapping[str, Any] = {"event_type": ASIDE_TYPE, "event_payload": {}}


def counted(text: str) -> int:
    """Characters that `text` may take once its pings are broken."""
    return len(text) + text.count("<") + text.count("@")


LIMITS = Limits(post_length=POST_LENGTH, most_parts=5, length=counted)


def rich(markdown: str, buttons: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Arguments that show `markdown` as Slack renders it best, with buttons below."""
    blocks = [{"type": "markdown", "text": defused(markdown)}, *buttons]
    return {"text": plain(markdown, FALLBACK_LENGTH), "blocks": blocks, "parse": "none", "link_names": False}


def told(markdown: str) -> dict[str, Any]:
    """Arguments for what one person alone is told: in one post, and cut where it would not fit."""
    pieces = split(markdown, POST_LENGTH - len(CUT), counted, 2)
    shown = pieces[0].shown + CUT if len(pieces) > 1 else markdown
    return rich(shown) | {"metadata": ASIDE}


def simple(markdown: str) -> dict[str, Any]:
    """Arguments without blocks, for what Slack's blocks refuse."""
    return {"markdown_text": defused(markdown)}


def part_metadata(asked: int, number: int) -> dict[str, Any]:
    """Metadata that lets whoever takes over know this post."""
    return {"event_type": PART_TYPE, "event_payload": {"turn": str(asked), "part": number}}


def is_aside(message: Mapping[str, Any]) -> bool:
    """Whether a post of ours was said beside a conversation, as its metadata tells."""
    return (message.get("metadata") or {}).get("event_type") == ASIDE_TYPE


def may_belong(message: Mapping[str, Any], asked: int) -> bool:
    """Whether a post of ours may be part of the reply to `asked`; without metadata it may."""
    metadata = message.get("metadata") or {}
    if not metadata.get("event_type"):
        return True
    turn = (metadata.get("event_payload") or {}).get("turn")
    return metadata["event_type"] == PART_TYPE and turn == str(asked)
