"""Discord's JSON as our words. Pure: what it needs to know of the place is passed in.

Payloads are those of https://docs.discord.com/developers/resources/message, as the gateway
(with `member` and `guild_id`) or the API (without) sends them.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bot.domain import Addressed, Attachment, Author, Message, Speaker

Payload = dict[str, Any]

EPOCH_MS = 1_420_070_400_000
"""Discord's own epoch: the first millisecond of 2015."""
DEFAULT, REPLY, STARTER = 0, 19, 21
"""Message types: ordinary ones, and the marker that stands for a thread's starter message."""
RICH = "rich"
"""Type of an embed that a program wrote; others stand for a link."""
TEXT_DISPLAY = 10
"""Type of a component that is text."""
TOLD = (DEFAULT, REPLY)
"""Every other type is noise: joins, pins, boosts, created threads, our own command answers."""

_CODE = re.compile(r"(`{1,3}).+?\1", re.DOTALL)
"""Code, in which Discord takes nothing for a mention."""
_NAMED = re.compile(r"(?<!\\)<@[!&]?(\d+)>")
_USER = re.compile(r"<@!?(\d+)>")
_ROLE = re.compile(r"<@&(\d+)>")
_CHANNEL = re.compile(r"<#(\d+)>")
_EMOJI = re.compile(r"<a?:(\w+):\d+>")
_COMMAND = re.compile(r"</([^:>]+):\d+>")
_TIME = re.compile(r"<t:(-?\d{1,12})(?::[tTdDfFRsS])?>")


def _unknown(_: int) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Bot:
    """Who we are in one guild."""

    id: int
    role: int | None = None
    """The role that came with the invitation: naming it is naming us."""


@dataclass(frozen=True, slots=True)
class Names:
    """What ids are called in one guild; None for what is not known."""

    channel: Callable[[int], str | None] = field(default=_unknown)
    role: Callable[[int], str | None] = field(default=_unknown)


def sent_at(snowflake: int) -> datetime:
    """When Discord made an id."""
    return datetime.fromtimestamp(((snowflake >> 22) + EPOCH_MS) / 1000, UTC)


def snowflake(at: datetime) -> int:
    """The lowest id that can have been made at that time."""
    return max(0, int(at.timestamp() * 1000) - EPOCH_MS) << 22


def author(payload: Payload, bot: Bot) -> Author:
    """Who wrote a message, under the name that others see there."""
    user = payload["author"]
    if int(user["id"]) == bot.id:
        kind = Speaker.BOT
    elif user.get("bot") or user.get("system") or payload.get("webhook_id"):
        kind = Speaker.OTHER_BOT
    else:
        kind = Speaker.PERSON
    return Author(str(user["id"]), display_name(user, payload.get("member")), kind)


def display_name(user: Payload, member: Payload | None) -> str:
    """Nickname, else display name, else user name."""
    nick = (member or user.get("member") or {}).get("nick")
    return str(nick or user.get("global_name") or user.get("username") or user["id"])


def is_told(payload: Payload) -> bool:
    """Somebody said it, in contrast to what Discord writes into channels."""
    return (payload.get("type") or DEFAULT) in TOLD


def replies_to(payload: Payload) -> Payload | None:
    """The message that this one replies to, where Discord sent it along."""
    if payload.get("type") != REPLY:
        return None
    return payload.get("referenced_message")


def names_bot(payload: Payload, bot: Bot) -> bool:
    """It mentions the bot or its own role, or replies to one of its messages; @everyone does not count."""
    if any(int(user["id"]) == bot.id for user in payload.get("mentions") or ()):
        return True
    if bot.role is not None and str(bot.role) in map(str, payload.get("mention_roles") or ()):
        return True
    if str(bot.id) in _named(payload) or str(bot.role) in _named(payload):
        return True
    target = replies_to(payload)
    return target is not None and author_id(target) == bot.id


def author_id(payload: Payload) -> int:
    """Who wrote a message; 0 where that is not told."""
    return int((payload.get("author") or {}).get("id") or 0)


def _named(payload: Payload) -> frozenset[str]:
    """Ids of people and roles that the text names: not everybody who sends a text says whom it names."""
    content = payload.get("content") or ""
    return frozenset(_NAMED.findall(_CODE.sub("", content))) if "<@" in content else frozenset()


def addressed(payload: Payload, bot: Bot, *, direct: bool, in_thread: bool) -> Addressed | None:
    """How a message stands to the bot; None: said in a channel, and none of its business."""
    if direct:
        return Addressed.DIRECT
    if names_bot(payload, bot):
        return Addressed.MENTION
    if not in_thread:
        return None
    return Addressed.ASIDE if _names_others(payload) else Addressed.THREAD


def _names_others(payload: Payload) -> bool:
    me = str(payload["author"]["id"])
    people = {str(user["id"]) for user in payload.get("mentions") or ()} | _named(payload)
    target = replies_to(payload)
    if target is not None and author_id(target):
        people.add(str(author_id(target)))
    return bool(people - {me} or payload.get("mention_roles") or payload.get("mention_everyone"))


def message(payload: Payload, bot: Bot, names: Names) -> Message:
    """What was said, as we keep it: readable, and without the mention of the bot."""
    position = int(payload["id"])
    edited = payload.get("edited_timestamp")
    return Message(
        position=position,
        author=author(payload, bot),
        text=text(payload, bot, names),
        sent_at=sent_at(position),
        attachments=tuple(_attachments(payload)),
        edited_at=datetime.fromisoformat(edited).astimezone(UTC) if edited else None,
    )


def text(payload: Payload, bot: Bot, names: Names) -> str:
    """Content with names in place of ids, and what a person sees beside it: forwards, stickers, polls."""
    said = _written(payload, bot, names)
    lines = [said] if said else []
    for snapshot in payload.get("message_snapshots") or ():
        forwarded = snapshot.get("message") or {}
        quoted = [*_written(forwarded, bot, names).splitlines(), *_stickers(forwarded)]
        lines += [f"> {line}" for line in quoted]
    lines += _stickers(payload)
    if poll := payload.get("poll"):
        lines.append(f"[poll: {(poll.get('question') or {}).get('text') or ''}]")
        lines += [f"- {(a.get('poll_media') or {}).get('text') or ''}" for a in poll.get("answers") or ()]
    return "\n".join(lines)


def _stickers(payload: Payload) -> list[str]:
    return [f"[sticker: {sticker.get('name') or ''}]" for sticker in payload.get("sticker_items") or ()]


def _written(payload: Payload, bot: Bot, names: Names) -> str:
    """The content; where there is none, what a program wrote into embeds and components instead.

    Embeds beside a content are mostly pages that it links to, which come and go.
    """
    content = payload.get("content") or ""
    if not content:
        content = "\n".join([*_of_embeds(payload), *_of_components(payload)])
    return readable(content, _mentioned(payload), bot, names)


def _of_embeds(payload: Payload) -> Iterator[str]:
    for embed in payload.get("embeds") or ():
        if embed.get("type", RICH) == RICH:
            told = [embed.get("title"), embed.get("description")]
            for line in embed.get("fields") or ():
                told += [f"{line.get('name') or ''}: {line.get('value') or ''}"]
            yield from (text for text in told if text)


def _of_components(payload: Payload) -> Iterator[str]:
    for component in payload.get("components") or ():
        if component.get("type") == TEXT_DISPLAY and component.get("content"):
            yield component["content"]
        yield from _of_components(component)


def _mentioned(payload: Payload) -> Mapping[int, str]:
    return {int(user["id"]): display_name(user, None) for user in payload.get("mentions") or ()}


def readable(content: str, people: Mapping[int, str], bot: Bot, names: Names) -> str:
    """`content` with names instead of Discord's marks, and nothing where the bot was mentioned."""

    def user(match: re.Match[str]) -> str:
        return f"@{people.get(int(match[1]), 'somebody')}"

    def role(match: re.Match[str]) -> str:
        return f"@{names.role(int(match[1])) or 'role'}"

    def channel(match: re.Match[str]) -> str:
        return f"#{names.channel(int(match[1])) or 'channel'}"

    content = _without_bot(content, bot)
    for mark, name in ((_USER, user), (_ROLE, role), (_CHANNEL, channel)):
        content = mark.sub(name, content)
    content = _EMOJI.sub(r":\1:", content)
    content = _COMMAND.sub(r"/\1", content)
    return _TIME.sub(_moment, content).strip()


def _without_bot(content: str, bot: Bot) -> str:
    mention = rf"<@!?{bot.id}>" + (rf"|<@&{bot.role}>" if bot.role is not None else "")
    content = re.sub(rf"^\s*(?:(?:{mention})[ \t]*[,:]?\s*)+", "", content)
    return re.sub(rf"[ \t]*(?:{mention})", "", content)


def _moment(match: re.Match[str]) -> str:
    try:
        return datetime.fromtimestamp(int(match[1]), UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, OSError, ValueError):
        return match[0]


def _attachments(payload: Payload) -> list[Attachment]:
    files = [*(payload.get("attachments") or ())]
    for snapshot in payload.get("message_snapshots") or ():
        files += (snapshot.get("message") or {}).get("attachments") or ()
    return [
        Attachment(
            file.get("filename") or "",
            (file.get("content_type") or "").split(";")[0].strip(),
            int(file.get("size") or 0),
            file.get("url") or "",
        )
        for file in files
    ]


def roles(payload: Payload) -> frozenset[str]:
    """Ids of the author's roles, where the payload has them."""
    return frozenset(map(str, (payload.get("member") or {}).get("roles") or ()))
