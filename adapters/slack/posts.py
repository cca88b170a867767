"""The posts of one reply on Slack: natively streamed, or edited, or at once."""

import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from adapters.pacing import FIRST, Budget
from adapters.posts import Fixed, Limits, Showing, Throttled, Work
from adapters.slack import buttons, content, files, signs, streams
from adapters.slack.errors import FIXED, Refused, Unsettled
from adapters.slack.events import FLAT, is_direct
from adapters.slack.handing import is_handed
from adapters.slack.markup import ts_of
from adapters.slack.methods import METHODS
from adapters.slack.pages import messages_of
from adapters.slack.stamps import Stamps
from adapters.slack.streams import Stream
from adapters.slack.workspaces import Installation
from bot.domain import Turn
from bot.errors import PlatformError, PlatformUnavailable, PostGone

BLOCK_TROUBLE = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long"})
NO_STREAMS = signs.NO_STATUS | {"feature_not_enabled", "deprecated_endpoint"}
"""Nobody in this workspace gets a stream. Anything else may be about one thread or one reader: through
Slack Connect a reader's team is another one than ours, which no message of theirs is sure to tell."""
LEFT_OVER = "…"
"""What a post reads that is not needed any more and can't be deleted, as where all is kept for auditors."""
LOOK_LIMIT = 200

log = logging.getLogger(__name__)


class Share:
    """What the replies of one workspace share: budgets, and what is known to work there."""

    def __init__(self, updates_per_minute: float = METHODS["chat.update"].per_minute) -> None:
        self.updates = Budget(updates_per_minute)
        self.appends = Budget(METHODS["chat.appendStream"].per_minute)
        self.streams = True
        self.signs = signs.Known()


class SlackPosts:
    """Posts in the thread of one turn."""

    limits: Limits = content.LIMITS

    def __init__(
        self,
        installation: Installation,
        turn: Turn,
        share: Share,
        uploads: files.Files,
        *,
        native: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._installation = installation
        self._me = installation.me
        self._client = installation.client
        self._key = turn.key
        self._asked = turn.asked[-1]
        self._asker = turn.asker.id
        self._share = share
        self._uploads = uploads
        self._native = native
        self._clock = clock
        self._streams: dict[int, Stream] = {}
        self._stamps = Stamps(self._asked)
        self._sign = signs.Sign(installation, turn, share.signs, stoppable=native)
        self._blocks = True

    async def create(self, number: int, text: str, showing: Showing) -> int:
        if self._native and showing is Showing.GROWING and streams.streamable(text).strip():
            position = await self._stream(number, text)
            if position is not None:
                return position
        await self._shown(showing)
        answer = await self._with_content(
            "chat.postMessage",
            text,
            showing,
            metadata=content.part_metadata(self._asked, number),
            unfurl_links=False,
            unfurl_media=False,
            **self._thread(),
        )
        return self._stamps.position(answer)

    async def change(self, position: int, text: str, showing: Showing) -> None:
        stream = self._streams.get(position)
        if stream is not None and await self._continued(position, stream, text, showing):
            return
        await self._edited_in(position, text, showing, stream)
        await self._shown(showing)

    async def _edited_in(self, position: int, text: str, showing: Showing, stream: Stream | None) -> None:
        self._streams.pop(position, None)
        if stream is not None:
            await streams.halt(self._client, self._key.channel, self._stamps.of(position))
            await self._share.updates.take(FIRST)
        try:
            await self._update(position, text, showing)
        except Refused as refused:
            if refused.code in FIXED:
                raise Fixed(refused.code) from refused
            if refused.code != "streaming_state_conflict":
                raise
            await streams.halt(self._client, self._key.channel, self._stamps.of(position))
            await self._update(position, text, showing)

    async def remove(self, position: int) -> None:
        if self._streams.pop(position, None) is not None:
            await streams.halt(self._client, self._key.channel, self._stamps.of(position))
        try:
            await self._on(
                position, lambda ts: self._client.call("chat.delete", channel=self._key.channel, ts=ts)
            )
        except PostGone:
            return
        except Refused as refused:
            log.warning(
                "A post could not be deleted: %s",
                refused.code,
                extra={"event": "slack.left_over", "session": str(self._key)},
            )
            await self.change(position, LEFT_OVER, Showing.EARLIER)

    async def create_file(self, number: int, name: str, content: str) -> int:  # noqa: ARG002  # files carry no metadata
        return await self._uploads.post(self._client, name, content, self._key.channel, self._thread_ts)

    async def ours(self) -> Sequence[int]:
        where: dict[str, Any]
        if self._thread_ts is None:
            method, where = "conversations.history", {"channel": self._key.channel}
        else:
            method, where = "conversations.replies", {"channel": self._key.channel, "ts": self._thread_ts}
        found: set[int] = set()
        cursor: str | None = None
        while True:
            page = await self._client.read(
                method,
                **where,
                oldest=ts_of(self._asked),
                include_all_metadata=True,
                limit=LOOK_LIMIT,
                cursor=cursor,
            )
            found.update(self._positions(page))
            before, cursor = cursor, (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor or cursor == before:  # a server that gives one page for ever has told its newest
                return sorted(found)

    async def working(self, work: Work) -> None:
        await self._sign.show(work)

    async def _shown(self, showing: Showing) -> None:
        """A post reads as it will stay: then there is nothing more to stop."""
        if showing not in {Showing.GROWING, Showing.EARLIER}:
            await self._sign.end()

    @property
    def _thread_ts(self) -> str | None:
        """None: outside of any thread."""
        return None if self._key.thread == FLAT else self._key.thread

    def _thread(self) -> dict[str, str]:
        return {} if self._thread_ts is None else {"thread_ts": self._thread_ts}

    def _positions(self, page: Mapping[str, Any]) -> set[int]:
        ours = (
            m
            for m in messages_of(page)
            if self._me.wrote(m) and content.may_belong(m, self._asked) and not is_handed(m)
        )
        return {position for position in map(self._stamps.position, ours) if position > self._asked}

    async def _stream(self, number: int, text: str) -> int | None:
        """Begin a native stream; None where that does not work, now or at all."""
        recipient: dict[str, str] = {}
        try:
            if not is_direct(self._key.channel):
                team = await streams.team_of(self._installation, self._asker)
                recipient = {"recipient_user_id": self._asker, "recipient_team_id": team}
            stream = await streams.begin(self._client, self._key, number, text, self._clock(), recipient)
        except Throttled:
            self._native = False
            return None
        except PlatformUnavailable:
            self._native = False  # whatever it was, the next try is a plain post
            raise
        except Refused as refused:
            self._native = False
            self._share.streams = refused.code not in NO_STREAMS
            log.info(
                "No native stream: %s",
                refused.code,
                extra={"event": "slack.no_stream", "session": str(self._key)},
            )
            return None
        position = self._stamps.position({"ts": stream.ts})
        self._streams[position] = stream
        self._sign.show_soon()
        return position

    async def _continued(self, position: int, stream: Stream, text: str, showing: Showing) -> bool:
        """Bring a text in by the stream itself; False where it has to be edited in."""
        if not stream.continues_with(text) or self._clock() - stream.began > streams.LIFE_S:
            return False
        try:
            if showing is Showing.GROWING:
                await stream.grow(text)
                return True
            await self._sign.settle()
            metadata = content.part_metadata(self._asked, stream.number)
            await stream.end(text, self._buttons(showing), metadata)
        except (Refused, Unsettled):
            return False
        self._streams.pop(position, None)
        self._sign.ended()
        return True

    async def _update(self, position: int, text: str, showing: Showing) -> None:
        await self._on(position, lambda ts: self._with_content("chat.update", text, showing, ts=ts))

    async def _on(self, position: int, call: Callable[[str], Awaitable[object]]) -> None:
        """Do something to a post. One of an earlier owner's is looked for before it counts as gone."""
        try:
            await call(self._stamps.of(position))
        except PostGone:
            if position in self._stamps:
                raise
            with contextlib.suppress(PlatformError, Throttled):
                await self.ours()
            if self._stamps.of(position) == ts_of(position):
                raise
            await call(self._stamps.of(position))

    async def _with_content(
        self, method: str, text: str, showing: Showing, **arguments: Any
    ) -> Mapping[str, Any]:
        arguments["channel"] = self._key.channel
        if self._blocks:
            try:
                return await self._client.call(
                    method, **content.rich(text, self._buttons(showing)), **arguments
                )
            except Refused as refused:
                if refused.code not in BLOCK_TROUBLE:
                    raise
                self._blocks = False
        return await self._client.call(method, **content.simple(text), **arguments)

    def _buttons(self, showing: Showing) -> list[dict[str, Any]]:
        return buttons.block(showing, self._key, self._asked)
