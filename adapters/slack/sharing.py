"""How it looks on Slack when something found is shown to everybody or gone on with. Pure."""

from collections.abc import Mapping
from typing import Any

from adapters.slack import recall
from adapters.slack.content import ASIDE, FALLBACK_LENGTH, is_aside
from adapters.slack.deeds import Deed, Verb, share_button
from adapters.slack.markup import defused, plain
from adapters.slack.picks import read_value
from bot.finding import Side
from bot.sharing import Quote
from bot.sharing_words import LEAVE, SHOW_IT, Sentence, as_text, asks_to_show, shown_by

QUOTED = 2_500
"""Characters of a message that is shown."""

Json = Mapping[str, Any]


# Messages.


def asking(quote: Quote, deed: Deed) -> dict[str, Any]:
    """Shows what would be shown, and asks."""
    ask = asks_to_show(quote.here, "you")
    value = read_value(deed.key, Side(deed.position), None, deed.at.thread)
    chosen = [
        share_button(SHOW_IT, Verb.SHOW, value) | {"style": "primary"},
        share_button(LEAVE, Verb.LEAVE, value),
    ]
    blocks = [_plain(ask), *_quoted(quote), {"type": "actions", "elements": chosen}]
    return {"text": ask, "blocks": blocks}


def shown(quote: Quote, gesture: str) -> dict[str, Any]:
    """Shows it to everybody."""
    by = shown_by(quote.by.name)
    text = f"{quote.line.author.name}: {quote.line.snippet.text}"
    credit = {"type": "context", "elements": [{"type": "plain_text", "text": defused(by)[:QUOTED]}]}
    return _aside(text, [*_quoted(quote), credit], gesture)


def sentence(said: Sentence, gesture: str = "") -> dict[str, Any]:
    """A sentence with its links."""
    elements = [
        {"type": "link", "url": piece.link, "text": defused(piece.text)}
        if piece.link
        else {"type": "text", "text": defused(piece.text)}
        for piece in said
    ]
    section = {"type": "rich_text_section", "elements": elements}
    return _aside(as_text(said), [{"type": "rich_text", "elements": [section]}], gesture)


def gesture_of(message: Json) -> str:
    """What somebody did, for which this was posted; "" where nothing says so."""
    payload = message["metadata"].get("event_payload") if is_aside(message) else None
    return str((payload or {}).get("gesture") or "")


def _aside(text: str, blocks: list[dict[str, Any]], gesture: str) -> dict[str, Any]:
    metadata = {**ASIDE, "event_payload": {"gesture": gesture}} if gesture else ASIDE
    return {"text": plain(text, FALLBACK_LENGTH), "blocks": blocks, "metadata": metadata}


def _quoted(quote: Quote) -> list[dict[str, Any]]:
    opening = [{"type": "link", "url": quote.link, "text": "open"}] if quote.link else []
    head = {
        "type": "context",
        "elements": [
            {"type": "mrkdwn", "text": f"{plain(quote.where, 200)} · {recall.moment(quote.line.sent_at)}"}
        ],
    }
    links = [{"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": opening}]}]
    return [head, recall.quote_of(quote.line, QUOTED), *(links if opening else ())]


def _plain(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "plain_text", "text": defused(text)[:QUOTED]}}
