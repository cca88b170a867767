"""Slack's rules: which arguments a method takes, how long things may be, how often they may be called."""

import re
from collections import defaultdict, deque
from typing import Any

from adapters.slack.methods import METHODS
from tests.fakes.slack.world import Clock, Json

MARKDOWN_LENGTH = 12_000
BLOCKS_LENGTH = 13_200
"""All blocks of a message together, as reported for `msg_blocks_too_long`."""
TEXT_LENGTH = 40_000
UPDATE_TEXT_LENGTH = 4_000
SECTION_LENGTH = 3_000
BLOCKS = 50
BUTTON_LENGTH = 75
CONTEXT_ELEMENTS = 10
VALUE_LENGTH = 2_000
POSTS_A_SECOND = 1
POST_BURST = 10
"""`chat.postMessage` takes about one a second and channel, and short bursts."""

VIEW_TITLE_LENGTH, VIEW_TEXT_LENGTH, VIEW_METADATA_LENGTH, PLACEHOLDER_LENGTH = 24, 2_000, 3_000, 150
PAGING = {"cursor", "limit", "latest", "oldest", "inclusive", "include_all_metadata"}
FORMATTING = {"text", "blocks", "attachments", "markdown_text", "link_names", "parse", "metadata"}

ARGUMENTS: dict[str, set[str]] = {
    "agents.sessions.setStatus": {"channel_id", "thread_ts", "status", "title", "initiator_user_id"},
    "apps.connections.open": set(),
    "apps.manifest.export": {"app_id"},
    "assistant.threads.setStatus": {"channel_id", "thread_ts", "status", "loading_messages"},
    "assistant.threads.setSuggestedPrompts": {"channel_id", "thread_ts", "title", "prompts"},
    "assistant.threads.setTitle": {"channel_id", "thread_ts", "title"},
    "auth.teams.list": {"cursor", "limit", "include_icon"},
    "auth.test": set(),
    "bots.info": {"bot"},
    "chat.appendStream": {"channel", "ts", "markdown_text", "chunks"},
    "chat.delete": {"channel", "ts", "as_user"},
    "chat.postEphemeral": (FORMATTING - {"metadata"}) | {"channel", "user", "thread_ts"},
    "chat.postMessage": FORMATTING
    | {"channel", "thread_ts", "reply_broadcast", "unfurl_links", "unfurl_media", "mrkdwn"},
    "chat.startStream": {
        "channel",
        "thread_ts",
        "markdown_text",
        "recipient_user_id",
        "recipient_team_id",
        "chunks",
        "task_display_mode",
    },
    "chat.stopStream": {
        "channel",
        "ts",
        "markdown_text",
        "blocks",
        "metadata",
        "chunks",
        "session_status",
    },
    "chat.update": FORMATTING | {"channel", "ts", "reply_broadcast", "file_ids", "as_user"},
    "conversations.history": PAGING | {"channel"},
    "conversations.info": {"channel", "include_locale", "include_num_members"},
    "conversations.open": {"users", "channel", "return_im", "prevent_creation"},
    "conversations.list": {"cursor", "limit", "types", "exclude_archived"},
    "conversations.members": {"channel", "cursor", "limit"},
    "conversations.replies": PAGING | {"channel", "ts"},
    "files.completeUploadExternal": {"files", "channel_id", "thread_ts", "initial_comment"},
    "files.getUploadURLExternal": {"filename", "length", "alt_txt", "snippet_type"},
    "files.info": {"file", "cursor", "limit"},
    "oauth.v2.access": {"client_id", "client_secret", "code", "redirect_uri", "grant_type"},
    "users.conversations": {"cursor", "limit", "types", "exclude_archived", "team_id", "user"},
    "users.list": {"cursor", "limit", "include_locale"},
    "users.info": {"user", "include_locale"},
    "views.open": {"trigger_id", "interactivity_pointer", "view"},
}

PING = re.compile(r"<!(?:channel|here|everyone|group)(?:\|[^>]*)?>|<!subteam\^[^>]*>|<@[^|>\s]+(?:\|[^>]*)?>")
LITERAL_PING = re.compile(r"(?<![^\W_])@(?:channel|here|everyone)(?![^\W_])", re.IGNORECASE)


class Refused(Exception):
    """Slack answers `ok: false` with this error."""

    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.error = error
        self.more = more


class Limited(Exception):
    """Slack answers 429; in Slack's own seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"retry after {retry_after}")
        self.retry_after = retry_after


class Budgets:
    """Counts calls by method and workspace in windows of a minute, as the tiers do."""

    def __init__(self, clock: Clock) -> None:
        self.on = True
        self.limited: dict[str, int] = defaultdict(int)
        """How often each method was answered with 429."""
        self._clock = clock
        self._calls: dict[tuple[str, str], deque[float]] = defaultdict(deque)

    def spend(self, method: str, team: str, channel: str, per_minute: int | None = None) -> None:
        """Count one call, or raise `Limited`."""
        if not self.on:
            return
        allowed = METHODS[method].per_minute if per_minute is None else per_minute
        if allowed:
            self._take(method, (method, team), allowed, 60.0)
        if method == "chat.postMessage":
            self._take(method, (channel, team), POST_BURST, POST_BURST / POSTS_A_SECOND)

    def _take(self, method: str, key: tuple[str, str], allowed: int, window: float) -> None:
        calls, now = self._calls[key], self._clock.now()
        while calls and calls[0] <= now - window:
            calls.popleft()
        if len(calls) >= allowed:
            self.limited[method] += 1
            raise Limited(calls[0] + window - now)
        calls.append(now)


def check_arguments(method: str, arguments: Json) -> None:
    """Refuse a method or an argument that Slack does not know."""
    unknown = set(arguments) - ARGUMENTS[method] - {"token", "team_id"}
    if unknown:
        raise Refused("invalid_arguments", detail=sorted(unknown))


def check_content(method: str, arguments: Json) -> None:
    """Refuse what is too long, and what can't be combined."""
    text, markdown = arguments.get("text") or "", arguments.get("markdown_text")
    blocks = arguments.get("blocks") or []
    if markdown is not None and (text or blocks) and method != "chat.stopStream":
        raise Refused("markdown_text_conflict")
    if len(text) > (UPDATE_TEXT_LENGTH if method == "chat.update" else TEXT_LENGTH):
        raise Refused("msg_too_long")
    if markdown is not None and len(markdown) > MARKDOWN_LENGTH:
        raise Refused("msg_too_long")
    if not text and not markdown and not blocks and not arguments.get("attachments"):
        raise Refused("no_text")
    check_blocks(blocks)


def check_blocks(blocks: list[Json]) -> None:
    """Refuse blocks that Slack would."""
    if len(blocks) > BLOCKS:
        raise Refused("invalid_blocks")
    if sum(len(b["text"]) for b in blocks if b["type"] == "markdown") > MARKDOWN_LENGTH:
        raise Refused("msg_blocks_too_long")
    if _characters(blocks) > BLOCKS_LENGTH:
        raise Refused("msg_blocks_too_long")
    for block in blocks:
        if block["type"] == "section" and len(block["text"]["text"]) > SECTION_LENGTH:
            raise Refused("invalid_blocks")
        if block["type"] == "markdown" and not block["text"].strip():
            raise Refused("invalid_blocks")
        for element in block.get("elements", ()) if block["type"] == "actions" else ():
            if len(element["text"]["text"]) > BUTTON_LENGTH or len(element.get("value", "")) > VALUE_LENGTH:
                raise Refused("invalid_blocks")
        if block["type"] == "context" and not 1 <= len(block["elements"]) <= CONTEXT_ELEMENTS:
            raise Refused("invalid_blocks")
        if block["type"] == "rich_text":
            _check_rich_text(block)
    actions = [e["action_id"] for b in blocks if b["type"] == "actions" for e in b["elements"]]
    if len(set(actions)) < len(actions):
        raise Refused("invalid_blocks", detail="an action_id twice")


def check_view(view: Json) -> None:
    """Refuse a window that Slack would."""
    texts = [(view[name]["text"], VIEW_TITLE_LENGTH) for name in ("title", "submit", "close")]
    for block in view["blocks"]:
        if block["type"] == "input":
            element = block["element"]
            texts += [(block["label"]["text"], VIEW_TEXT_LENGTH), (block["hint"]["text"], VIEW_TEXT_LENGTH)]
            texts += [(element["placeholder"]["text"], PLACEHOLDER_LENGTH)]
    long = [text for text, most in texts if not 1 <= len(text) <= most]
    if long or view["type"] != "modal" or len(view.get("private_metadata", "")) > VIEW_METADATA_LENGTH:
        raise Refused("invalid_arguments", detail=long)


def _check_rich_text(block: Json) -> None:
    """Sections and quotes of text and links, none of it empty."""
    for part in block["elements"]:
        if part["type"] not in {"rich_text_section", "rich_text_quote"} or not part["elements"]:
            raise Refused("invalid_blocks", detail=part)
        for element in part["elements"]:
            if element["type"] not in {"text", "link"} or not (element.get("text") or element.get("url")):
                raise Refused("invalid_blocks", detail=element)


def _characters(value: Any) -> int:
    """How much text a JSON value holds."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_characters, value.values()))
    return sum(map(_characters, value)) if isinstance(value, list) else 0


def _texts(value: Any) -> list[str]:
    """Every `text` in a JSON value."""
    if isinstance(value, list):
        return [text for each in value for text in _texts(each)]
    if not isinstance(value, dict):
        return []
    own = [value["text"]] if isinstance(value.get("text"), str) else []
    return own + [text for each in value.values() for text in _texts(each)]


def pings(arguments: Json) -> list[str]:
    """Whom or what this content would ping."""
    found: list[str] = []
    texts = [
        arguments.get("text") or "",
        arguments.get("markdown_text") or "",
        arguments.get("initial_comment") or "",
    ]
    texts += [
        b["text"] if isinstance(b.get("text"), str) else b.get("text", {}).get("text", "")
        for b in arguments.get("blocks") or []
    ]
    for block in arguments.get("blocks") or []:
        if block["type"] in {"context", "rich_text"}:
            texts += _texts(block)
    for text in texts:
        found += PING.findall(text)
        found += LITERAL_PING.findall(text)
    return found
