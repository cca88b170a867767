"""What was said in a thread before the bot was called: the newest messages, without a gap. And after."""

import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from adapters.slack import content, events
from adapters.slack.client import Client
from adapters.slack.cursors import following
from adapters.slack.errors import Refused
from adapters.slack.events import FLAT, Me
from adapters.slack.handing import is_handed
from adapters.slack.markup import position_of, ts_of
from adapters.slack.names import Names
from adapters.slack.pages import messages_of
from adapters.slack.workspaces import Installation
from bot.domain import History, Said, SessionKey

Kind = Literal["internal", "limited"]
"""How Slack limits the reading of history: `limited` is for apps that are distributed outside of the
Marketplace (one call a minute, 15 messages)."""

PAGE: Mapping[Kind, int] = {"internal": 999, "limited": 15}
MOST_PAGES = 12
"""In one reading of a thread; a longer one is read backwards from its end."""
NAMES_S = 3.0
GONE = frozenset({"thread_not_found", "message_not_found"})
MARGIN = 2.0
"""How much more of a long thread than a proportional share is asked for at first."""
WIDER = 2
"""How many times longer each further stretch is."""

Json = Mapping[str, Any]


class Past:
    """Reads threads back."""

    def __init__(
        self, names: Names, kind: Kind, patience_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._names = names
        self._page = PAGE[kind]
        self._patience_s = patience_s
        self._clock = clock

    async def before(self, installation: Installation, key: SessionKey, before: int, limit: int) -> History:
        """The newest `limit` messages before a position, as `Platform.history` promises."""
        until = self._clock() + self._patience_s
        read = _Reading(installation.client, key, self._page, until)
        later: Sequence[Json] = ()
        if key.thread == FLAT:
            found, whole = await read.flat(before, limit)
        else:
            found, whole, later = await read.thread(before, limit)
        me = installation.me
        told = [m for m in found if _is_told(m, me)]
        ids = frozenset().union(*(events.unknown_names(m) for m in (*told, *later)))
        names = await self._names.of(installation, ids, NAMES_S)
        heard = (events.said(m, key.channel, me, names) for m in later)
        return History(tuple(events.as_message(m, me, names) for m in told), whole, tuple(_here(key, heard)))


def _is_told(message: Json, me: Me) -> bool:
    """Whether somebody said it, as a part of the conversation."""
    if events.is_noise(message):
        return False
    if me.wrote(message):
        return not is_handed(message) and not content.is_aside(message)
    return bool(message.get("user") or message.get("bot_id"))


class _Reading:
    """One reading, which waits for rate limits until a moment and not longer."""

    def __init__(self, client: Client, key: SessionKey, page: int, until: float) -> None:
        self._client = client
        self._key = key
        self._page = page
        self._until = until

    async def flat(self, before: int, limit: int) -> tuple[Sequence[Json], bool]:
        """What was said in a direct message, outside of threads: Slack begins with the newest."""
        found: deque[Json] = deque()
        cursor, more = None, True
        while more and len(found) < limit:
            page = await self._read("conversations.history", latest=ts_of(before), cursor=cursor)
            found.extendleft(m for m in messages_of(page) if position_of(m["ts"]) < before)
            cursor = following(page, cursor)
            more = cursor is not None
        whole = not more and len(found) <= limit
        return list(found)[-limit:] if limit else [], whole

    async def thread(self, before: int, limit: int) -> tuple[Sequence[Json], bool, Sequence[Json]]:
        """What was said in a thread: Slack begins with the oldest, so of a very long one its end is read.

        Behind it whether that is all, and what was said from `before` on.
        """
        try:
            first = await self._replies()
        except Refused as refused:
            if refused.code in GONE:
                return [], True, []
            raise
        root: Json = next((m for m in messages_of(first) if m["ts"] == self._key.thread), {})
        count = int(root.get("reply_count") or 0)
        if following(first) and count > self._page * MOST_PAGES:
            later = messages_of(await self._replies(oldest=ts_of(before)))
            return (await self._end(before, limit, count))[-limit:], False, self._after(before, later, limit)
        found: deque[Json] = deque(maxlen=limit + 1)
        later = []
        async for messages in self._pages(first):
            found.extend(m for m in messages if position_of(m["ts"]) < before)
            later += self._after(before, messages, limit - len(later))
        whole = len(found) <= limit and (not found or found[0]["ts"] == self._key.thread)
        return list(found)[-limit:], whole, later

    def _after(self, before: int, messages: Iterable[Json], most: int) -> list[Json]:
        """The first replies that are newer."""
        newer = [m for m in messages if position_of(m["ts"]) > before and m["ts"] != self._key.thread]
        return newer[:most]

    async def _end(self, before: int, limit: int, count: int) -> Sequence[Json]:
        """The end of a thread with very many replies, by stretches of time that get longer."""
        root = position_of(self._key.thread)
        stretch = int((before - root) * min(1.0, MARGIN * limit / count))
        found: deque[Json] = deque()
        while len(found) < limit and before > root:
            oldest = max(root, before - stretch)
            found.extendleft(reversed(await self._between(oldest, before, limit)))
            before, stretch = oldest, stretch * WIDER
        return list(found)

    async def _between(self, oldest: int, before: int, limit: int) -> Sequence[Json]:
        """The newest `limit` replies from one moment on and before another."""
        bounds = {"oldest": ts_of(oldest - 1), "latest": ts_of(before)}
        found: deque[Json] = deque(maxlen=limit)
        async for messages in self._pages(await self._replies(**bounds), **bounds):
            found.extend(m for m in messages if m["ts"] != self._key.thread)
        return [m for m in found if oldest <= position_of(m["ts"]) < before]

    async def _pages(self, page: Json, **bounds: str) -> AsyncIterator[list[Json]]:
        """The messages of `page` and of those after it; each begins with the thread's first message again."""
        yield messages_of(page)
        cursor: str | None = None
        while cursor := following(page, cursor):
            page = await self._replies(cursor=cursor, **bounds)
            yield [m for m in messages_of(page) if m["ts"] != self._key.thread]

    async def _replies(self, **arguments: Any) -> Json:
        return await self._read("conversations.replies", ts=self._key.thread, **arguments)

    async def _read(self, method: str, **arguments: Any) -> Json:
        return await self._client.read(
            method,
            until=self._until,
            channel=self._key.channel,
            limit=self._page,
            include_all_metadata=True,
            **arguments,
        )


def _here(key: SessionKey, heard: Iterable[Said | None]) -> Iterator[Said]:
    """Those of this very session; a bot's own words are none."""
    return (said for said in heard if said is not None and said.key == key)
