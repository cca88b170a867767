"""What Slack's events say, in our words. Pure: payloads in, values out.

The payloads stand in `tests/payloads/slack`, in the form that docs.slack.dev documents.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.slack import markup
from adapters.slack.blocks import objects, words_of
from bot.domain import (
    Addressed,
    Attachment,
    Author,
    Deleted,
    Edited,
    Gone,
    Message,
    Said,
    SessionKey,
    Speaker,
)

Json = Mapping[str, Any]

PLATFORM = "slack"
FLAT = "main"
"""The thread of what is said in a direct message outside of any thread."""

ORDINARY = frozenset({None, "", "file_share", "thread_broadcast", "me_message", "bot_message"})
"""Subtypes that are messages like any other; all the rest is noise or has a meaning of its own."""

CHANNEL_GONE = frozenset({"channel_deleted", "group_deleted"})
"""Events: a public, and a private channel was deleted with all that was said there."""

UNREADABLE_FILES = frozenset({"tombstone", "hidden_by_limit"})


@dataclass(frozen=True, slots=True)
class Me:
    """Who we are in one workspace."""

    workspace: str
    """The id under which everything of this installation is kept: the team's, or the organisation's."""
    user: str
    bot: str
    """The `bot_id`; empty where it is not known."""
    others: frozenset[str] = frozenset()
    """Other bots that may be listened to, by user id or bot id."""

    def wrote(self, message: Json) -> bool:
        """Whether a message is our own."""
        return message.get("user") == self.user or (bool(self.bot) and message.get("bot_id") == self.bot)


def is_ours(event: Json, me: Me) -> bool:
    """Whether it tells of a new post of our own, as every answer of ours comes back: nobody's business."""
    return event.get("subtype") in ORDINARY and me.wrote(event)


def newly_said_at(event: Json) -> tuple[str, str] | None:
    """Channel and `ts` of what an event tells as just said; None for changes, and for what has neither."""
    channel, ts = event.get("channel"), event.get("ts")
    if not channel or not ts or is_noise(event) or event.get("hidden") or event.get("edited"):
        return None
    return channel, ts


def unknown_names(event: Json) -> frozenset[str]:
    """Ids of people and channels whose names `parse` needs."""
    message: Json = event.get("message") or event
    text = words_of(message)
    found = set(markup.people_in(text) | markup.channels_in(text))
    if not message.get("bot_profile") and message.get("user"):
        found.add(message["user"])
    return frozenset(found)


def parse(event: Json, me: Me, names: Mapping[str, str]) -> Said | Edited | Deleted | None:
    """What an event of type `message` or `app_mention` means; None if it is not our business."""
    if event.get("type") == "app_mention":
        return None if event.get("edited") else said(event, event.get("channel", ""), me, names)
    if event.get("type") != "message" or not event.get("channel"):
        return None
    subtype, channel = event.get("subtype"), event["channel"]
    if subtype == "message_changed":
        return _changed(event, channel, me, names)
    if subtype == "message_deleted":
        return _deleted(event, channel, me)
    return None if event.get("hidden") else said(event, channel, me, names)


def gone(event: Json, me: Me) -> Gone:
    """A channel that was deleted."""
    return Gone(PLATFORM, me.workspace, event.get("channel", ""), None)


def said(
    message: Json, channel: str, me: Me, names: Mapping[str, str], *, answer: bool = True
) -> Said | None:
    """A message as it is told in an event or a history; None if it is not our business."""
    if not _heard(message, me):
        return None
    ts, addressed = message["ts"], _addressed(message, channel, me)
    if addressed is None:
        return None
    key = session_key(me, channel, ts, message.get("thread_ts"))
    return Said(
        key=key,
        message=as_message(message, me, names),
        addressed=addressed,
        opens_thread=key.thread == ts,
        answer=answer,
        gesture=message.get("client_msg_id") or "",
        groups=groups_of(message),
    )


def edited(message: Json, channel: str, me: Me, names: Mapping[str, str]) -> Edited | None:
    """A message of a history that was edited since it was sent; None for every other."""
    if not message.get("edited") or not _heard(message, me):
        return None
    key = session_key(me, channel, message["ts"], message.get("thread_ts"))
    addressed = _addressed(message, channel, me) or Addressed.THREAD
    return Edited(key, as_message(message, me, names), addressed)


def as_message(message: Json, me: Me, names: Mapping[str, str]) -> Message:
    """A message of Slack's as ours, whoever said it."""
    changed = (message.get("edited") or {}).get("ts")
    return Message(
        position=markup.position_of(message["ts"]),
        author=author_of(message, me, names),
        text=_text(message, me, names),
        sent_at=markup.time_of(message["ts"]),
        attachments=tuple(_attachments(message, me)),
        edited_at=markup.time_of(changed) if changed else None,
    )


def session_key(me: Me, channel: str, ts: str, thread_ts: str | None) -> SessionKey:
    """The session of a message. What starts a thread in a direct message belongs to the flat talk."""
    if thread_ts and thread_ts != ts:
        return SessionKey(PLATFORM, me.workspace, channel, thread_ts)
    return SessionKey(PLATFORM, me.workspace, channel, FLAT if is_direct(channel) else ts)


def is_direct(channel: str) -> bool:
    """Whether a channel is a direct message between one person and the bot."""
    return channel.startswith("D")


def author_of(message: Json, me: Me, names: Mapping[str, str]) -> Author:
    """Who said it. A bot without a user has its bot id."""
    user, bot = message.get("user") or "", message.get("bot_id") or ""
    name = names.get(user) or _told_name(message) or user or bot
    if me.wrote(message):
        return Author(me.user, name, Speaker.BOT)
    is_bot = bool(bot) or message.get("subtype") == "bot_message"
    return Author(user or bot or name, name, Speaker.OTHER_BOT if is_bot else Speaker.PERSON)


def _told_name(message: Json) -> str:
    """What a message itself calls its author: of strangers and of bots nothing else may be known."""
    bot, person = message.get("bot_profile") or {}, message.get("user_profile") or {}
    told = (bot.get("name"), message.get("username"), person.get("display_name"), person.get("real_name"))
    return next((str(name) for name in told if name), "")


def groups_of(message: Json) -> frozenset[str]:
    """The team that the sender belongs to: through Slack Connect it can differ from ours."""
    team = message.get("user_team") or message.get("team")
    return frozenset({team}) if isinstance(team, str) and team else frozenset()


def is_noise(message: Json) -> bool:
    """Joins, topics, tombstones and whatever else nobody said."""
    return message.get("subtype") not in ORDINARY


def _heard(message: Json, me: Me) -> bool:
    if is_noise(message) or not message.get("ts") or me.wrote(message):
        return False
    if message.get("bot_id") or message.get("subtype") == "bot_message":
        return bool({message.get("user"), message.get("bot_id")} & me.others)
    return bool(message.get("user"))


def _addressed(message: Json, channel: str, me: Me) -> Addressed | None:
    """None: said in a channel, outside of any thread, and not to us."""
    text = words_of(message)
    people = markup.people_in(text)
    if is_direct(channel):
        return Addressed.DIRECT
    if me.user in people or message.get("type") == "app_mention":
        return Addressed.MENTION
    if not message.get("thread_ts") or message["thread_ts"] == message["ts"]:
        return None
    return Addressed.ASIDE if people or markup.calls_people(text) else Addressed.THREAD


def _changed(event: Json, channel: str, me: Me, names: Mapping[str, str]) -> Edited | Deleted | None:
    message: Json = event.get("message") or {}
    before: Json | None = event.get("previous_message")
    if not message.get("ts"):
        return None
    key = session_key(me, channel, message["ts"], message.get("thread_ts"))
    if message.get("subtype") == "tombstone":
        return Deleted(key, markup.position_of(message["ts"]))
    if not _heard(message, me) or not _seen_to_change(message, before):
        return None
    when = (
        (message.get("edited") or {}).get("ts") or event.get("event_ts") or event.get("ts") or message["ts"]
    )
    told = {**message, "edited": {"ts": when}}
    addressed = _addressed(message, channel, me)
    if (
        before is not None
        and addressed is not Addressed.DIRECT
        and me.user in markup.people_in(words_of(before))
    ):
        addressed = Addressed.MENTION
    return Edited(key, as_message(told, me, names), addressed or Addressed.THREAD)


def _seen_to_change(message: Json, before: Json | None) -> bool:
    if before is None:
        return bool(message.get("edited"))
    return _seen(message) != _seen(before)


def _seen(message: Json) -> tuple[object, ...]:
    """What a person sees of a message, without what Slack adds by itself (previews, counts)."""
    return words_of(message), [file.get("id") for file in _files(message)], _forwarded(message)


def _deleted(event: Json, channel: str, me: Me) -> Deleted | None:
    ts, before = event.get("deleted_ts"), event.get("previous_message") or {}
    if not ts:
        return None
    return Deleted(session_key(me, channel, ts, before.get("thread_ts")), markup.position_of(ts))


def _text(message: Json, me: Me, names: Mapping[str, str]) -> str:
    text = markup.readable(words_of(message), me.user, names)
    quoted = [f"> {markup.readable(forwarded, '', names)}" for forwarded in _forwarded(message)]
    return "\n".join([text, *quoted]).strip()


def _forwarded(message: Json) -> list[str]:
    """Texts of messages that were shared into this one. One of files alone has none."""
    texts = (
        share.get("text") or ("" if share.get("files") else share.get("fallback") or "")
        for share in _shares(message)
    )
    return [text for text in texts if text]


def _shares(message: Json) -> list[Json]:
    """The messages that were shared into this one, as Slack tells them: each with its own text and files."""
    return [share for share in objects(message.get("attachments")) if share.get("is_share")]


def _files(message: Json) -> list[Json]:
    """What can be read of its files, and of those of the messages that were shared into it."""
    files = [*objects(message.get("files"))]
    for share in _shares(message):
        files += objects(share.get("files"))
    return [file for file in files if file.get("mode") not in UNREADABLE_FILES]


def _attachments(message: Json, me: Me) -> list[Attachment]:
    return [
        Attachment(
            name=file.get("name") or file.get("title") or file.get("id", ""),
            type=file.get("mimetype") or "",
            size=file.get("size") or 0,
            url=_address(file, me),
        )
        for file in _files(message)
    ]


def _address(file: Json, me: Me) -> str:
    """Slack's link, and behind the # what it takes to fetch it: whose token, and which file."""
    url = file.get("url_private_download") or file.get("url_private") or ""
    return f"{url}#{me.workspace}/{file.get('id', '')}"
