"""Posts of the room as events and messages of the core. Pure."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from adapters.web.cast import Cast, Channel, Kind
from adapters.web.ledger import File, Post
from adapters.web.room import Room
from adapters.web.words import mentioned, without_bot
from bot.domain import (
    Addressed,
    Attachment,
    Author,
    Deleted,
    Edited,
    Message,
    Said,
    SessionKey,
    Speaker,
)

PLATFORM = "web"
WORKSPACE = "playground"
DIRECT_THREAD = "main"
"""The thread of a direct message, which is flat here as it is in Slack."""
ANSWER_WITHIN = timedelta(minutes=15)
"""What is found older than this after an absence is kept, and not answered any more."""


def key_of(post: Post, place: Channel) -> SessionKey:
    """The session that a post belongs to."""
    if place.kind is Kind.DIRECT:
        return SessionKey(PLATFORM, WORKSPACE, place.id, DIRECT_THREAD)
    return SessionKey(PLATFORM, WORKSPACE, place.id, str(post.root or post.position))


def root_of(key: SessionKey) -> int | None:
    """The room's name for a session's thread."""
    return None if key.thread == DIRECT_THREAD else int(key.thread)


Told = Said | Edited | Deleted


def events_of(post: Post, cast: Cast, *, new: bool, first: bool, age: timedelta) -> tuple[Told, ...]:
    """What the core must hear of a post that changed; nothing where it is not the bot's business.

    `new`: it may never have been told of the post. `first`: nothing was in the thread before it.
    """
    place = cast.channels[post.channel]
    key = key_of(post, place)
    if post.deleted:
        return () if post.deleted_by == cast.bot.id else (Deleted(key, post.position),)
    if post.author not in cast.people:
        return ()
    told: list[Told] = []
    if new and _concerns_bot(post, place):
        answer = age <= ANSWER_WITHIN
        message = message_of((post,), cast)
        told.append(Said(key, message, _addressed(post, place, cast, post.called), first, answer))
    if post.edited is not None:
        told.append(Edited(key, message_of((post,), cast), _addressed(post, place, cast, post.named)))
    return tuple(told)


def heard_in(posts: Iterable[Post], cast: Cast) -> tuple[Said, ...]:
    """What people said in a thread, as the core would have heard it."""
    told = (events_of(post, cast, new=True, first=False, age=timedelta()) for post in posts)
    return tuple(event for events in told for event in events if isinstance(event, Said))


def message_of(parts: Sequence[Post], cast: Cast) -> Message:
    """One message: a person's post, or the posts that one reply of the bot took."""
    first = parts[0]
    ours = first.author == cast.bot.id
    text = "\n".join(part.text for part in parts if part.text)
    edited = None if ours or first.edited is None else Room.time_of(first.edited)
    return Message(
        position=first.position,
        author=Author(first.author, cast.name_of(first.author), Speaker.BOT if ours else Speaker.PERSON),
        text=text if ours else without_bot(text, cast),
        sent_at=Room.time_of(first.position),
        attachments=tuple(_attachment(file) for part in parts for file in part.files),
        edited_at=edited,
    )


def messages_of(posts: Sequence[Post], cast: Cast) -> tuple[Message, ...]:
    """Ascending posts as messages; neighbours of one turn are the parts of one reply."""
    groups: list[list[Post]] = []
    for post in posts:
        same = groups and post.mark and groups[-1][0].mark and groups[-1][0].mark.turn == post.mark.turn
        if same:
            groups[-1].append(post)
        else:
            groups.append([post])
    return tuple(message_of(group, cast) for group in groups)


def _concerns_bot(post: Post, place: Channel) -> bool:
    return place.kind is Kind.DIRECT or post.root is not None or post.called


def _addressed(post: Post, place: Channel, cast: Cast, named: bool) -> Addressed:
    if place.kind is Kind.DIRECT:
        return Addressed.DIRECT
    if named:
        return Addressed.MENTION
    return Addressed.ASIDE if mentioned(post.text, cast) - {cast.bot.id} else Addressed.THREAD


def _attachment(file: File) -> Attachment:
    return Attachment(file.name, file.type, file.size, f"/files/{file.id}")
