"""The archive as it is carried: each session on a sheet, with its messages and turns. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, NamedTuple

from pydantic import Field

from bot.domain import Author, Message, Part, SessionKey, Usage

KEY: Final = r"^([^:]+(:[^:]+){3})?$"
"""A session's key as it is written, or nothing."""


class Scope(NamedTuple):
    """What is to be taken out: a workspace, or one session of it."""

    platform: str
    workspace: str
    channel: str = ""
    thread: str = ""
    """"" for both: all of the workspace."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A session without what was said in it."""

    key: SessionKey
    title: str
    started_by: str
    created_at: datetime
    active_at: datetime
    closed: bool = False
    joined: bool = False
    paused: bool = False
    model: str = ""
    persona: str = ""
    fresh_from: int = 0
    complete_from: int | None = None
    forgotten_upto: int = -1
    last_reply: int = 0
    continues: Annotated[str, Field(pattern=KEY)] = ""
    """Key of the session that it goes on from, and between which positions."""
    continues_after: int = 0
    continues_upto: int = 0
    continues_at: datetime | None = None
    """When; None in files of an older release: when they are taken in."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A message, and the sender's own id of the act ("" for none)."""

    message: Message
    gesture: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """A turn that is over."""

    asked: int
    asker: Author
    state: str
    into: int | None
    """What the turn asked that answered this one too."""
    command: str
    reply: int | None
    parts: Sequence[Part]
    created_at: datetime
    finished_at: datetime | None
    usage: Usage


@dataclass(frozen=True, slots=True)
class Absence:
    """What must not come back."""

    platform: str
    workspace: str
    channel: str = ""
    thread: str = ""
    """With only a channel, or a channel and a thread: the place is gone."""
    position: int | None = None
    """The message there was deleted."""
    author: str = ""
    before: datetime | None = None
    """Nothing that `author` said up to then."""


class Counted(NamedTuple):
    """How much was taken in."""

    messages: int
    left_out: int
    """Messages that were there already, or must not come back."""


Piece = Sheet | Entry | Answered | Absence
"""Carried in this order: what must not come back; then each sheet, and after it what is on it."""
