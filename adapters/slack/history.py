"""What was said in a thread before the bot was called: the newest messages, without a gap. And after.

A `limited` app can read one page while an answer waits. A thread that fits into it is read whole; of a longer
one the end is read in another minute, when somebody asks there again.
"""

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
from adapters.slack.tails import Tail
from adapters.slack.workspaces import Installation
from bot.domain import History, Said, SessionKey
from bot.errors import PlatformUnavailable
from bot.recent import Recent

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
TAILS = 1_000
"""Long threads of which it is remembered where their end was looked for."""

Json = Mapping[str, Any]


class Past:
    """Reads threads back."""

    def __init__(
        self, names: Names, kind: Kind, patience_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._names = names
        self._page = PAGE[kind]
        self._tails: Recent[SessionKey, Tail] | None = Recent(TAILS) if kind == "limited" else None
        self._patience_s = patience_s
        self._clock = clock

    async def before(self, installation: Installation, key: SessionKey, before: int, limit: int) -> History:
        """The newest `limit` messages before a position, as `Platform.history` promises."""
        until = self._clock() + self._patience_s
        read = _Reading(installation.client, key, self._page, until, self._tails)
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

    def __init__(
        self,
        client: Client,
        key: SessionKey,
        page: int,
        until: float,
        tails: Recent[SessionKey, Tail] | None,
    ) -> None:
        """`tails`: where the ends of long threads are, for apps that can read one page."""
        self._client = client
        self._key = key
        self._page = page
        self._until = until
        self._tails = tails

    async def flat(self, before: int, limit: int) -> tuple[Sequence[Json], bool]:
        """What was said in a direct message, outside of threads: Slack begins with the newest."""
        found: deque[Json] = deque()
        cursor, more = None, True
        while more and len(found) < limit:
            try:
                page = await self._read("conversations.history", latest=ts_of(before), cursor=cursor)
            except PlatformUnavailable:
                if not found:
                    raise
                break  # what is there is the newest, without a gap
            found.extendleft(m for m in messages_of(page) if position_of(m["ts"]) < before)
            cursor = following(page, cursor)
            more = cursor is not None
        whole = not more and len(found) <= limit
        return _last(limit, found), whole

    async def thread(self, before: int, limit: int) -> tuple[Sequence[Json], bool, Sequence[Json]]:
        """What was said in a thread: Slack begins with the oldest, so of a very long one its end is read.

        Behind it whether that is all, and what was said from `before` on.
        """
        try:
            return await self._thread(before, limit)
        except Refused as refused:
            if refused.code in GONE:
                return [], True, []
            raise

    async def _thread(self, before: int, limit: int) -> tuple[Sequence[Json], bool, Sequence[Json]]:
        if self._tails is not None:
            return await self._by_the_page(self._tails, before, limit)
        first = await self._replies()
        root: Json = next((m for m in messages_of(first) if m["ts"] == self._key.thread), {})
        count = int(root.get("reply_count") or 0)
        if following(first) and count > self._page * MOST_PAGES:
            later = messages_of(await self._replies(oldest=ts_of(before)))
            end = _last(limit, await self._end(before, limit, count))
            return end, False, self._after(before, later, limit)
        found: deque[Json] = deque(maxlen=limit + 1)
        later = []
        async for messages in self._pages(first):
            found.extend(m for m in messages if position_of(m["ts"]) < before)
            later += self._after(before, messages, limit - len(later))
        whole = len(found) <= limit and (not found or found[0]["ts"] == self._key.thread)
        return _last(limit, found), whole, later

    def _after(self, before: int, messages: Iterable[Json], most: int) -> list[Json]:
        """The first replies that are newer."""
        newer = [m for m in messages if position_of(m["ts"]) > before and m["ts"] != self._key.thread]
        return newer[:most]

    async def _by_the_page(
        self, tails: Recent[SessionKey, Tail], before: int, limit: int
    ) -> tuple[Sequence[Json], bool, Sequence[Json]]:
        """The thread if it fits into a page, else as much of its end as one page shows.

        Raises `PlatformUnavailable` while the end is not found, and Slack takes no other look for now.
        """
        tail: Tail | None = tails.get(self._key) or Tail.of(position_of(self._key.thread), before)
        while tail is not None:
            tails.put(self._key, tail)
            page = await self._look(tail, before)
            messages = messages_of(page)
            replies = [m for m in messages if m["ts"] != self._key.thread]
            if following(page) is not None:
                root: Json = next((m for m in messages if m["ts"] == self._key.thread), {})
                tail = tail.later(int(root.get("reply_count") or 0), self._page)
            elif not (replies or tail.is_whole):
                tail = tail.earlier()
            else:
                tails.drop(self._key)
                found = [m for m in (messages if tail.is_whole else replies) if _at(m) < tail.before]
                whole = tail.is_whole and len(found) <= limit
                return _last(limit, found), whole, self._after(before, messages, limit)
        raise PlatformUnavailable("Too much was said at once at the end of this thread.")

    async def _look(self, tail: Tail, before: int) -> Json:
        """The page of a look; what came after the first question is looked at with the whole thread alone."""
        if tail.is_whole and tail.before == before:
            return await self._replies()
        return await self._replies(oldest=ts_of(tail.before - tail.stretch), latest=ts_of(tail.before))

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


def _at(message: Json) -> int:
    return position_of(message["ts"])


def _last(limit: int, messages: Iterable[Json]) -> list[Json]:
    return list(messages)[-limit:] if limit else []


def _here(key: SessionKey, heard: Iterable[Said | None]) -> Iterator[Said]:
    """Those of this very session; a bot's own words are none."""
    return (said for said in heard if said is not None and said.key == key)
