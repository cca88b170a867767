"""What the core needs of the world, in its own words. Adapters and stores implement these.

A port belongs to the core: it changes when the core needs something else, never because a vendor
does. Each has one contract suite in `tests/contract`, which every implementation passes.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from bot.domain import (
    NEWEST_EVER,
    Answer,
    Attachment,
    Author,
    Background,
    Block,
    Change,
    Changed,
    Chunk,
    Closed,
    Continued,
    Deleted,
    Edited,
    Event,
    History,
    Message,
    ModelCard,
    Order,
    Part,
    Prompt,
    Receipt,
    Recorded,
    Removed,
    Reread,
    Said,
    SessionKey,
    Turn,
    Window,
)


class Handler(Protocol):
    """What a platform is given: the door to the core."""

    async def __call__(self, event: Event) -> Receipt:
        """Commit `event`, then return; answering goes on by itself.

        A platform acknowledges after this returned, and never before. Raises
        `ArchiveUnavailable` when nothing could be kept: do not acknowledge then.
        """


class Desk(Protocol):
    """Where commands are taken that came outside of any message."""

    async def __call__(self, order: Order) -> str:
        """Carry `order` out, and return the sentence for the asker alone; "" where they see it themselves."""


class Journal(Protocol):
    """What is written down of a turn's posts while they are made.

    Every method raises `LeaseLost` once the turn may be somebody else's: post nothing more.
    """

    @property
    def turn(self) -> Turn:
        """The turn whose reply this is."""

    def check(self) -> None:
        """Call right before each call to the platform that users can see. No I/O."""

    def left_s(self) -> float:
        """Seconds until it may be somebody else's, if nothing is renewed. No I/O."""

    async def intend(self, number: int) -> None:
        """Commit that part `number` is about to be posted. Part 1 is intended by the claim itself."""

    async def posted(self, number: int, position: int) -> None:
        """Commit the platform's id of part `number`, as soon as the platform told it.

        Not needed for the parts that `Reply.finish` returns: closing the turn writes those.
        """

    async def unclaimed(self, positions: Sequence[int]) -> frozenset[int]:
        """Those of `positions` (posts of ours on the platform) that no part of any turn names."""


class Reply(Protocol):
    """One reply on its platform, while it grows. Owned by one turn; not used by two tasks at once."""

    async def show(self, text: str) -> None:
        """Let the reply read `text` (the whole of it, which may replace what was shown) when the pace allows.

        Returns at once. Failures to post are kept for `finish`; only `LeaseLost` is raised.
        """

    async def searching(self) -> None:
        """Show that the bot looks through what was said, as long as there is no text. Returns at once."""

    async def finish(self, answer: Answer) -> tuple[Part, ...]:
        """Let the reply read the answer's text and note, whole, and return every part with its position.

        A part that somebody deleted meanwhile has none. Waits as long as the platform's pace demands.
        Raises `LeaseLost`, `PlatformUnavailable`, `PlatformForbidden`.
        """

    def standing(self) -> tuple[str, tuple[Part, ...]]:
        """What people read of it now, and in which parts: all there is where `finish` was not allowed."""

    async def withdraw(self, why: str) -> tuple[Answer, tuple[Part, ...]]:
        """End it as it stands, with the sentence `why`; what it says then, and every part.

        Where nothing stands yet nothing is posted: the answer is empty then. Raises as `finish`.
        """

    async def abandon(self) -> None:
        """Stop posting and leave what is there as it is: somebody else goes on with it."""


class Platform(Protocol):
    """A place where people talk to the bot."""

    @property
    def name(self) -> str:
        """`slack`, `discord` or `web`: the first part of its session keys."""

    async def open_reply(self, journal: Journal) -> Reply:
        """Begin the reply to `journal.turn`: show that the bot works on it, post nothing yet.

        Where `turn.parts` is not empty, what they name is continued in place; a part without a
        position is first looked for on the platform (a post of ours that is newer than what was
        asked and in no row). Raises `MayNotAnswer` where it is known that nothing can be posted.
        """

    async def history(self, key: SessionKey, before: int, limit: int) -> History:
        """What was said in the thread before position `before`: the newest `limit` messages at most.

        And what was said there later: the oldest `limit`, of which some may have been heard already.
        Raises `PlatformUnavailable`, `PlatformForbidden`.
        """

    async def fetch(self, attachment: Attachment, most: int) -> bytes | None:
        """The content of a file, from the platform's own hosts alone; None if over `most` bytes or gone."""

    async def tell(self, key: SessionKey, to: Author, text: str) -> None:
        """Say something to one person alone: ephemeral, else by direct message, else a reply. Best effort."""

    async def open(self, handler: Handler, desk: Desk) -> None:
        """Connect and take in events from now on; returns once connected.

        A connection that breaks later is mended by the platform itself, for ever. Raises
        `PlatformForbidden` when the credentials are refused.
        """

    async def quiet(self) -> None:
        """Take in nothing more; replies can still be finished."""

    async def close(self) -> None:
        """Let go of everything. After `quiet`, and after the last reply."""

    def ailing(self) -> str:
        """One sentence on why it is not ready; "" when it is. For `/readyz`. No I/O."""


class Watermarks(Protocol):
    """How far each channel of a platform is archived without a gap. Kept in SQL.

    Only catching up moves a watermark, to a position it has read up to on the platform itself:
    a live event can then never move it past a gap.
    """

    async def watermarks(self, platform: str, workspace: str) -> Mapping[str, int]:
        """Channel to position, for every channel of the workspace that has one."""

    async def workspaces(self, platform: str) -> Sequence[str]:
        """Every workspace that has a watermark."""

    async def advance(self, platform: str, workspace: str, channel: str, position: int) -> None:
        """Everything up to `position` is archived. Never moves back."""

    async def threads(self, platform: str, workspace: str, channel: str, most: int) -> Sequence[str]:
        """The threads of a channel that were active last: the newest `most` of its sessions."""

    async def lately(self, platform: str, workspace: str, most: int) -> Sequence[tuple[str, str]]:
        """Channel and thread of the sessions that were active last in a workspace, the newest first."""


class RecordStore(Protocol):
    """Where what was said is kept. Each call is one transaction, and may be repeated without harm."""

    async def record(self, said: Said, change: Change | None = None, command: str = "") -> Recorded:
        """Keep what was said, carry out the `change` it commands, and claim its turn if it is owed one.

        `command`: the words of the command that it is, kept for whoever answers it.
        """

    async def edit(self, edited: Edited) -> bool:
        """Let the archive say what the platform says now; whether anything changed."""

    async def delete(self, deleted: Deleted) -> Removed | None:
        """Remove a message, and let nothing bring it back; None if that changed nothing."""

    async def reread(self, reread: Reread) -> bool:
        """Carry out the deletions and edits that a second reading shows; whether anything changed."""

    async def add_history(self, turn: Turn, history: History) -> int:
        """Archive what was said before the bot was called; the version now. May raise `LeaseLost`."""

    async def change(self, key: SessionKey, change: Change) -> Changed | None:
        """Carry out a command that is no message; None if there is no such session."""


class TurnStore(Protocol):
    """The turns of one process. What writes raises `LeaseLost` when the turn is not ours (any more)."""

    async def renew(self, held: Sequence[int]) -> dict[int, tuple[int, bool]]:
        """Lengthen our leases on the turns `held`: id to (epoch, somebody asked it to stop)."""

    async def release(self, turn: Turn, wait_s: float) -> None:
        """Hand the turn to whoever looks `wait_s` seconds from now. Does nothing if it is not ours."""

    async def take_over(self, platforms: Sequence[str]) -> list[Turn]:
        """Claim turns on these platforms whose leases ran out."""

    async def intend(self, turn: Turn, number: int) -> None:
        """Write that part `number` is about to be posted."""

    async def posted(self, turn: Turn, number: int, position: int) -> None:
        """Write the platform's id of part `number`."""

    async def unclaimed(self, turn: Turn, positions: Sequence[int]) -> frozenset[int]:
        """Those of `positions` that no part of the session names."""

    async def close(self, turn: Turn, answer: Answer, posted: Sequence[Part], at: datetime) -> Closed:
        """Archive the reply with its usage, close the turn, claim the one that waits."""

    async def again(self, key: SessionKey, asked: int) -> Recorded:
        """Claim a turn that failed for another try, if none runs; else it is queued, or was none."""

    async def stop(self, key: SessionKey, asked: int) -> int | None:
        """Ask the running turn that answers `asked` to stop; its id."""

    async def judge(self, key: SessionKey, asked: int, by: Author, good: bool) -> None:
        """Keep what a person thinks of the reply to `asked`."""


class WindowStore(Protocol):
    """Bounded reads of a session's messages."""

    async def newest(self, session_id: int, limit: int, cut: int = NEWEST_EVER) -> Window:
        """The newest `limit` messages up to `cut` of the session's present context."""

    async def between(self, session_id: int, after: int, before: int, limit: int) -> tuple[Message, ...]:
        """The oldest `limit` messages with `after < position < before`, ascending."""


class BackgroundStore(Protocol):
    """What sessions know that go on from others."""

    async def background(self, continued: Continued, most: int) -> Background:
        """What is there of what `continued` names, less what was edited since: at most so many messages."""


class SummaryStore(Protocol):
    """The summary blocks of sessions."""

    async def blocks(self, session_id: int, fresh_from: int) -> tuple[Block, ...]:
        """Those of the present context, ascending."""

    async def put(self, session_id: int, block: Block, made_from: Sequence[Message]) -> bool:
        """Keep a block made from messages, unless one of them changed meanwhile; whether it was kept."""

    async def merge(self, session_id: int, block: Block, made_from: Sequence[Block]) -> bool:
        """Put a block in the place of those it was made from, unless one changed; whether it was kept."""


class HotContext(Protocol):
    """The window of each session, kept close. Disposable: it never raises, it misses."""

    async def read(self, session_id: int, version: int, news: Sequence[Message] = ()) -> Window | None:
        """The window if it shows `version`, its TTL renewed; None for anything else.

        `news` are the messages whose recording raised the session to `version`: they are first
        appended if the window shows the version just before. One round trip.
        """

    async def append(self, session_id: int, version: int, news: Sequence[Message]) -> None:
        """Bring a window at the version just before to `version`, if `news` come last. One round trip.

        A single one may come before the newest few, as a reply that people did not wait for.
        """

    async def seed(self, session_id: int, window: Window) -> None:
        """Put a window read from SQL, unless a newer one is there. One round trip."""

    async def drop(self, session_id: int) -> None:
        """Forget the window."""


class Limiter(Protocol):
    """How much one person, and one workspace, may ask. Never raises."""

    async def wait_s(self, platform: str, workspace: str, user: str) -> float:
        """0, and the request is counted; or the seconds until one more is allowed."""


class Model(Protocol):
    """Something that answers prompts."""

    def card(self, name: str) -> ModelCard:
        """What is known of the model called `name`; the default one for ""."""

    def stream(self, prompt: Prompt, name: str) -> AsyncGenerator[Chunk, None]:
        """Answer `prompt`: deltas as they come, perhaps a `Restart`, and `Finished` at the end.

        Right before `Finished` perhaps `Called`, with calls of tools that the prompt offers: then the
        answer goes on with a prompt that holds what they gave. Retries and falls back by itself. Raises
        `ModelUnavailable`, `ModelRefusedKey`, `ModelRefusedRequest` when no model is left.
        """
