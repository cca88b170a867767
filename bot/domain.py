"""The words of Threadfly as values. No I/O, nothing that changes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class SessionKey:
    """Names one thread on one platform; all four parts are always there."""

    platform: str
    workspace: str
    channel: str
    thread: str

    def __str__(self) -> str:
        return f"{self.platform}:{self.workspace}:{self.channel}:{self.thread}"


class Speaker(StrEnum):
    """What kind of author said something."""

    PERSON = "person"
    BOT = "bot"
    """Threadfly itself."""
    OTHER_BOT = "other_bot"


@dataclass(frozen=True, slots=True)
class Author:
    """Who said something, as the platform tells it. The name is data: it instructs no one."""

    id: str
    name: str
    kind: Speaker = Speaker.PERSON


OURSELVES = Author("threadfly", "Threadfly", Speaker.BOT)
"""Who our own replies are archived as, on every platform."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with a message: what the platform says of it, not its content."""

    name: str
    type: str
    """MIME type; empty where the platform tells none."""
    size: int
    """Bytes; 0 where the platform tells none."""
    url: str
    """The platform's own link, which may need the bot's token."""


@dataclass(frozen=True, slots=True)
class Message:
    """One thing said in a session.

    `position` is the platform's own id as an integer (Slack `ts` in microseconds, Discord
    snowflake) and orders the session. Times are aware and in UTC.
    """

    position: int
    author: Author
    text: str
    sent_at: datetime
    attachments: tuple[Attachment, ...] = ()
    edited_at: datetime | None = None
    note: str = ""
    """What the bot added below its own text (what was left out, why it stopped). Not for the model."""


class Addressed(StrEnum):
    """How a message stands to the bot, as far as the platform alone can tell."""

    MENTION = "mention"
    """Names the bot, or is a reply to one of its messages."""
    DIRECT = "direct"
    """Said in a direct message."""
    THREAD = "thread"
    """Said in a thread, to nobody in particular: the bot's business where it takes part."""
    ASIDE = "aside"
    """Said to other people: kept, never answered."""


@dataclass(frozen=True, slots=True)
class Said:
    """Somebody said something.

    `text` of the message is without the mention of the bot. Every delivery of one message
    (redeliveries, twins, catching up) is turned into the same value, but for
    `answer`, `again` and `read`.
    """

    key: SessionKey
    message: Message
    addressed: Addressed
    opens_thread: bool = False
    """The platform holds nothing that was said in this thread before it."""
    answer: bool = True
    """False: only keep it (too old to be answered now). A later delivery may still ask."""
    gesture: str = ""
    """The sender's own id of the act (Slack `client_msg_id`), the same on two copies; "" for none."""
    groups: frozenset[str] = frozenset()
    """What else allow and deny lists may name of the sender and the place: roles, categories."""
    closed: bool = False
    """The thread has readers of its own, not all of its channel (a private thread)."""
    read: bool = False
    """We read it on the platform, which did not tell it by itself (yet)."""
    again: bool = False
    """The platform delivers it once more, since nobody acknowledged it before."""


@dataclass(frozen=True, slots=True)
class Edited:
    """A message now reads as `message`, whose `edited_at` is set. Never asks for an answer."""

    key: SessionKey
    message: Message
    addressed: Addressed
    """MENTION also where only the text before the edit named the bot."""
    closed: bool = False
    """As in `Said`."""
    read: bool = False
    """As in `Said`."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """A message (or one part of a reply of ours) is no longer on the platform."""

    key: SessionKey
    position: int


@dataclass(frozen=True, slots=True)
class Reread:
    """A stretch of a thread, `after < position <= upto`, as its platform holds it now. Asks for no answer.

    What we keep of the stretch and `there` does not name was deleted while nobody listened. So only
    tell of what was read to its end and without an error, and let `upto` lie far enough back that
    the platform surely shows everything up to there.
    """

    key: SessionKey
    after: int
    upto: int
    there: frozenset[int]
    """Positions of all posts in the stretch, whoever's; those outside of it do no harm."""
    edited: tuple[Message, ...] = ()
    """Those of them that were ever edited, as they read now, with `edited_at`."""


@dataclass(frozen=True, slots=True)
class Gone:
    """A thread, or a channel with all its threads, is no longer on the platform, and can't come back."""

    platform: str
    workspace: str
    channel: str
    thread: str | None
    """None: the whole channel."""


@dataclass(frozen=True, slots=True)
class Left:
    """The bot was taken out of a workspace: it can answer nothing there. What was said is still there."""

    platform: str
    workspace: str


class Button(StrEnum):
    """What can be pressed below a reply."""

    STOP = "stop"
    AGAIN = "again"
    GOOD = "good"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Pressed:
    """Somebody pressed a button below the reply to what was asked at `asked`."""

    key: SessionKey
    asked: int
    button: Button
    by: Author
    groups: frozenset[str] | None = None
    """As in `Said`; None: they are not known, or don't count there."""


Event = Said | Edited | Deleted | Reread | Gone | Left | Pressed


@dataclass(frozen=True, slots=True)
class Order:
    """A command that came outside of any message: a slash command, a shortcut."""

    key: SessionKey
    by: Author
    words: str
    """As after a mention: `pause`, `model small`."""
    groups: frozenset[str] | None = frozenset()
    """As in `Said`; None: they are not known, or don't count there."""


class Receipt(StrEnum):
    """What became of an event, once it is committed."""

    IGNORED = "ignored"
    """Not our business: nothing was kept."""
    KEPT = "kept"
    """Archived, or there already; no answer comes of this delivery."""
    ANSWERING = "answering"
    """Archived, and this process answers it now."""
    QUEUED = "queued"
    """Archived; it is answered after the turn that runs."""


@dataclass(frozen=True, slots=True)
class Continued:
    """The session that another one goes on from, and what of it: `after < position <= upto`."""

    key: SessionKey
    after: int
    upto: int
    at: datetime
    """When it was gone on with. Who did so may have lost sight of it since, so nothing later is told."""


@dataclass(frozen=True, slots=True)
class ThreadSettings:
    """What holds for one session; people change it with commands."""

    model: str = ""
    """Empty: the default one."""
    persona: str = ""
    """Empty: the default one."""
    paused: bool = False
    fresh_from: int = 0
    """Position after which the present context begins (`new`); 0: the session's start."""
    complete_from: int | None = None
    """The record is whole from here on; 0: from the thread's start; None: nobody looked yet."""
    messages: int = 0
    """How many messages the session has."""
    continues: Continued | None = None
    """What it goes on from; None: it began by itself."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a command does to a session; None leaves a thing as it is."""

    model: str | None = None
    persona: str | None = None
    paused: bool | None = None
    fresh: bool = False
    """Begin a fresh context after the command."""
    stop: bool = False
    """Stop the turn that runs and drop those that wait."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer of the bot, claimed by this process."""

    id: int
    session_id: int
    key: SessionKey
    asked: tuple[int, ...]
    """Positions of the messages it answers, ascending. The last one is `asked_position` in SQL."""
    cut: int
    """The newest position that its window may show."""
    epoch: int
    """Raised by each claim; a write with an older one fails."""
    version: int
    """`session.version` as the transaction that claimed it saw it."""
    asker: Author
    """Who said the last of `asked`."""
    parts: tuple["Part", ...] = ()
    """What earlier owners meant to post, by number; empty unless taken over or tried again."""
    taken_over: bool = False
    commands: tuple[tuple[int, str], ...] = ()
    """Those of `asked` that are commands: position and words."""
    deaths: int = 0
    """How many owners ended without closing it or giving it back."""
    stopping: bool = False
    """Somebody asked an earlier owner to stop."""
    settings: ThreadSettings = ThreadSettings()
    """As the claim found them."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the transaction that recorded a message says of it."""

    receipt: Receipt
    session_id: int = 0
    version: int = 0
    fresh: bool = False
    """This delivery raised the version: the message was not there before."""
    turn: Turn | None = None
    """The turn to run now."""
    stopping: int | None = None
    """Id of the turn that the message stops."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What became of a deletion that changed something."""

    stopping: int | None = None
    """Id of the turn that has nothing left to answer by it."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What a command that was no message did."""

    settings: ThreadSettings
    stopping: int | None = None
    """Id of the turn that it stops."""


@dataclass(frozen=True, slots=True)
class Closed:
    """What the transaction that closed a turn says."""

    version: int
    reply: Message | None
    """The reply as archived, if it came as the session's newest change; None: nothing to append."""
    next: Turn | None
    """The turn that was waiting, claimed for this process."""


@dataclass(frozen=True, slots=True)
class Part:
    """One post of a reply."""

    number: int
    """From 1."""
    position: int | None = None
    """The platform's id of the post as a position; None: meant to be posted, and perhaps was."""
    end: int = 0
    """Where in the reply's text this part ends: parts consume it in order."""


@dataclass(frozen=True, slots=True)
class Window:
    """The newest part of a session, as it stood at one version."""

    version: int
    messages: tuple[Message, ...]
    """Ascending by position."""
    whole: bool
    """Nothing of the session's present context is older than these."""


NEWEST_EVER = 2**63 - 1
"""A cut that cuts nothing."""


@dataclass(frozen=True, slots=True)
class Block:
    """A summary of the messages with `after < position <= last`. The blocks of a session touch, in order."""

    level: int
    """0: made from messages; n: from blocks of level n - 1."""
    after: int
    last: int
    messages: int
    """How many messages it covers."""
    text: str
    """Empty: something in it changed, and it must be made again."""
    model: str = ""
    version: int = 0
    """The session's version that it was made from."""


@dataclass(frozen=True, slots=True)
class Background:
    """What is remembered of what a session goes on from, as it reads now."""

    blocks: tuple[Block, ...]
    """Ascending; none of them empty."""
    messages: tuple[Message, ...]
    """Ascending: the newest."""


@dataclass(frozen=True, slots=True)
class History:
    """What a platform holds of a thread around some position."""

    messages: tuple[Message, ...]
    """What was said before it, ascending: the newest that fit the bounds."""
    whole: bool
    """The first of them is the first of the thread."""
    later: tuple[Said, ...] = ()
    """What people said in the thread after it, as they would have been heard, ascending: the oldest that
    fit the bounds. Where every message makes its own session (direct messages) it may be left out."""


class Outcome(StrEnum):
    """How an answer ended."""

    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    DROPPED = "dropped"
    """Nothing was said: what was asked was deleted before."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What the model's server said of one answer; None where it said nothing."""

    model: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    response_id: str | None = None
    system_fingerprint: str | None = None
    finish_reason: str | None = None
    latency_ms: int | None = None
    """From the request to the last token."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the bot says at the end of a turn."""

    text: str
    outcome: Outcome = Outcome.DONE
    note: str = ""
    usage: Usage = field(default_factory=Usage)


class Role(StrEnum):
    """Who speaks in a prompt, in the words of the model's API."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"
    """What a tool that the model called gave back."""


@dataclass(frozen=True, slots=True)
class Tool:
    """Something that a model may have done for it before it answers."""

    name: str
    about: str
    """For the model: when to use it, and what it gives."""
    arguments: Mapping[str, str]
    """What it takes: names of texts, all needed, with what each is."""


@dataclass(frozen=True, slots=True)
class Call:
    """A model wants a tool to be used."""

    id: str
    tool: str
    arguments: str
    """As the model wrote them: JSON, or something that was meant to be."""
    beside: str = ""
    """What the model's server wants back with the call; for its adapter alone to read. "" for nothing."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image for a model that sees."""

    type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """One message of a prompt."""

    role: Role
    text: str
    pictures: tuple[Picture, ...] = ()
    background: bool = False
    """Told about the conversation, not said in it."""
    calls: tuple[Call, ...] = ()
    """The tools that the assistant called with it."""
    call: str = ""
    """Which of those calls a tool's message answers, by its id."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model is shown, within its budget."""

    messages: tuple[PromptMessage, ...]
    shown: int
    """How many messages of the window are in it."""
    left_out: int
    """How many messages of the window did not fit."""
    first: int
    """Position of the oldest message in it."""
    tools: tuple[Tool, ...] = ()
    """What the model may call now. What it called before is told as background where there are none."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What the core must know of a model to write its prompt."""

    name: str
    context_tokens: int
    """Prompt and answer together."""
    answer_tokens: int
    """Kept free for the answer."""
    sees: bool
    """Takes pictures."""
    summarises: bool = True
    """False: it can't shorten a text, so summaries are made of the messages' first words."""
    tools: bool = False
    """Can call tools, as far as is known."""


@dataclass(frozen=True, slots=True)
class Delta:
    """Some more text of an answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Restart:
    """What was streamed so far is void: the stream broke, and the answer begins anew."""


@dataclass(frozen=True, slots=True)
class Called:
    """Before it goes on, the model wants these calls to be answered, in a prompt of their own."""

    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is complete, or what was to be said before the calls is."""

    usage: Usage


Chunk = Delta | Restart | Called | Finished
