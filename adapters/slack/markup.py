"""Slack's own markup, both ways: what people wrote made readable, what the model wrote made harmless."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

ZERO_WIDTH = "\u2060"
"""A word joiner: seen by no reader, and it breaks every ping."""

ENTITY = re.compile(r"<([^<>\s][^<>]*)>")
PERSON = re.compile(r"@([^|\s]+)")
"""Slack's ids begin with U or W (B for a bot); other servers of its API have ids of any shape."""
PINGS = re.compile(
    r"(<)(?=!(?:channel|here|everyone|group|subteam)\b|@[^|>\s])"
    r"|(?<![^\W_])(@)(?=(?:channel|here|everyone)(?![^\W_]))",
    re.IGNORECASE,
)
CALLS = re.compile(r"<!(?:channel|here|everyone|subteam)\b")
TAIL_THAT_MAY_PING = re.compile(r"[<@][!@]?[A-Za-z0-9^]{0,9}\Z")
LONGEST_TAIL = 11


def position_of(ts: str) -> int:
    """A `ts` as microseconds, which is how positions count here. Raises `ValueError`."""
    seconds, _, fraction = ts.partition(".")
    return int(seconds) * 1_000_000 + int((fraction + "000000")[:6])


def ts_of(position: int) -> str:
    """A position as Slack writes it."""
    return f"{position // 1_000_000}.{position % 1_000_000:06d}"


def time_of(ts: str) -> datetime:
    """When a message with this `ts` was sent."""
    return datetime.fromtimestamp(position_of(ts) / 1_000_000, UTC)


def people_in(text: str) -> frozenset[str]:
    """Ids of the people (and bots) that a text mentions."""
    found = (PERSON.match(entity) for entity in ENTITY.findall(text))
    return frozenset(match[1] for match in found if match)


def channels_in(text: str) -> frozenset[str]:
    """Ids of the channels that a text links to without telling their name."""
    entities = (entity.partition("|") for entity in ENTITY.findall(text))
    return frozenset(target[1:] for target, _, label in entities if target.startswith("#") and not label)


def calls_people(text: str) -> bool:
    """Whether a text calls a group, or everyone."""
    return CALLS.search(text) is not None


def readable(text: str, bot: str, names: Mapping[str, str]) -> str:
    """What a person sees of `text`, as Markdown-ish text without the mention of `bot`.

    `names` gives people and channels by id; one that is not in it keeps its id.
    """
    without = re.sub(rf"[ \t]?<@{re.escape(bot)}(?:\|[^>]*)?>[,:]?", "", text) if bot else text
    plain = ENTITY.sub(lambda match: _entity(match[1], names), without)
    return plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").strip()


def _entity(entity: str, names: Mapping[str, str]) -> str:
    target, _, label = entity.partition("|")
    if target.startswith(("@", "#")):
        return target[0] + (names.get(target[1:]) or label or target[1:])
    if target.startswith("!"):
        return _special(target[1:], label)
    bare = target.removeprefix("mailto:").removeprefix("tel:")
    if label and label not in {target, bare}:
        return f"[{label}]({target})"
    return bare


def _special(target: str, label: str) -> str:
    if target.startswith("date^"):
        return label
    return label if label.startswith("@") else f"@{label or target.partition('^')[0]}"


def defused(markdown: str) -> str:
    """`markdown` with nothing left in it that pings anybody; it looks the same.

    The defused form of a longer text begins with that of a shorter one, as long as the cut is
    where `settled` puts it.
    """
    return PINGS.sub(lambda match: match[0] + ZERO_WIDTH, markdown)


def settled(markdown: str) -> str:
    """The part of a growing text that no later word can turn into a ping.

    What stands before a tail that is cut off may be one itself: `<@` of `<@<`.
    """
    end = len(markdown)
    while tail := TAIL_THAT_MAY_PING.search(markdown[max(0, end - LONGEST_TAIL) : end]):
        end -= len(tail[0])
    return markdown[:end]


def plain(markdown: str, most: int) -> str:
    """The text for notifications and screen readers: harmless, escaped, at most `most` characters."""
    escaped = defused(markdown).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if len(escaped) <= most:
        return escaped
    return settled(re.sub(r"&[a-z]{0,3}\Z", "", escaped[: most - 1])) + "…"
