"""What blocks and attachments say, where a message has no text of its own.

Slack gives most messages a `text` beside their blocks. Apps that post only blocks, or only the older
attachments, have none; what they say is put together here, in Slack's own markup.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]

MOST = 12_000
"""Characters; more fits into no post of an app."""


def words_of(message: Json) -> str:
    """The text of a message in Slack's markup, wherever it stands in it."""
    text = message.get("text") or ""
    if text.strip():
        return str(text)
    said = "\n".join(_of_blocks(message.get("blocks"))) or "\n".join(_of_attachments(message))
    return said[:MOST]


def _of_blocks(blocks: Any) -> Iterator[str]:
    for block in objects(blocks):
        kind = block.get("type")
        if kind == "rich_text":
            yield from filter(None, map(_rich, objects(block.get("elements"))))
        elif kind in ("section", "header", "context", "markdown"):  # a kind may be no text
            yield from filter(None, map(_plain, [block, *objects(block.get("fields")), *_parts(block)]))


def _parts(block: Json) -> list[Json]:
    return objects(block.get("elements")) if block.get("type") == "context" else []


def _plain(value: Json) -> str:
    """The text of a block, or of a text object."""
    text = value.get("text")
    if isinstance(text, Mapping):
        text = text.get("text")
    return text if isinstance(text, str) else ""


def _rich(part: Json) -> str:
    """One section, quote, list or piece of code of a rich text."""
    kind, elements = part.get("type"), objects(part.get("elements"))
    if kind == "rich_text_list":
        return "\n".join(f"• {_rich(item)}" for item in elements)
    text = "".join(map(_element, elements))
    if kind == "rich_text_preformatted":
        return f"```\n{text}\n```"
    if kind == "rich_text_quote":
        return "\n".join(f"&gt; {line}" for line in text.splitlines())
    return text


def _element(element: Json) -> str:
    match element:
        case {"type": "text", "text": str(text)}:
            return _escaped(text)
        case {"type": "link", "url": str(url)}:
            label = element.get("text")
            return f"<{url}|{_escaped(label)}>" if isinstance(label, str) and label else f"<{url}>"
        case {"type": "user", "user_id": str(user)}:
            return f"<@{user}>"
        case {"type": "channel", "channel_id": str(channel)}:
            return f"<#{channel}>"
        case {"type": "usergroup", "usergroup_id": str(group)}:
            return f"<!subteam^{group}>"
        case {"type": "broadcast", "range": str(everyone)}:
            return f"<!{everyone}>"
        case {"type": "emoji", "name": str(name)}:
            return f":{name}:"
        case {"type": "date", "fallback": str(date)}:
            return _escaped(date)
    return ""


def _of_attachments(message: Json) -> Iterator[str]:
    """What is shared into a message is quoted elsewhere."""
    for attachment in objects(message.get("attachments")):
        if attachment.get("is_share"):
            continue
        said = [attachment.get(name) for name in ("pretext", "title", "text")]
        told = [each for each in said if isinstance(each, str) and each]
        told += list(_of_blocks(attachment.get("blocks")))
        fallback = attachment.get("fallback")
        yield from told or ([fallback] if isinstance(fallback, str) and fallback else [])


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def objects(value: Any) -> list[Json]:
    """The objects of a list; of what is none, nothing."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
