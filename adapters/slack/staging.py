"""What the bot posts on Slack outside of any reply: what was found, and where a conversation goes on.

Slack takes every post, also one it has already. So it is looked first whether what somebody did was
done: by us before we were killed, or by another process before this one heard of it.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from adapters.posts import Throttled
from adapters.slack import sharing
from adapters.slack.client import Client
from adapters.slack.errors import Refused
from adapters.slack.events import FLAT, PLATFORM
from adapters.slack.markup import position_of, ts_of
from adapters.slack.stamps import Stamps
from adapters.slack.workspaces import Workspaces
from bot.domain import SessionKey
from bot.errors import PlatformUnavailable
from bot.sharing import Opened, Quote
from bot.sharing_words import Sentence

PATIENCE_S = 10.0
"""How long Slack may make us wait before something is posted."""
LOOK_BACK_S = 1_800.0
"""As long as the buttons of an answer work, a gesture may come a second time."""
LOOKED_AT = 500
LOOK_S = 60.0
"""How long Slack may make us wait before it is looked: a minute, where an app may read once in one."""
WAIT = "Slack wants me to wait. Please try again in a minute."

Json = Mapping[str, Any]


class Staging:
    """Posts them. Raises `PlatformUnavailable`, `PlatformForbidden`."""

    def __init__(
        self,
        workspaces: Workspaces,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`clock` is the one of the workspaces' clients."""
        self._workspaces = workspaces
        self._clock = clock
        self._now = now

    async def show(self, at: SessionKey, quote: Quote, gesture: str) -> int:
        """Show a message to everybody there; the position of that post."""
        return await self._once(at, sharing.shown(quote, gesture), gesture)

    async def open_thread(self, at: SessionKey, opening: Sentence, gesture: str) -> Opened:
        """A thread below a post of its own."""
        channel = SessionKey(PLATFORM, at.workspace, at.channel, FLAT)
        post = await self._once(channel, sharing.sentence(opening, gesture), gesture)
        return Opened(SessionKey(PLATFORM, at.workspace, at.channel, ts_of(post)), post)

    async def leave_word(self, key: SessionKey, word: Sentence, gesture: str) -> int:
        """A word in a thread."""
        return await self._once(key, sharing.sentence(word, gesture), gesture)

    async def _once(self, at: SessionKey, message: Json, gesture: str) -> int:
        """The post that was made for a gesture; made now if there is none."""
        client = (await self._workspaces.get(at.workspace)).client
        return await self._posted(client, at, gesture) or await self._post(client, at, message)

    async def _posted(self, client: Client, at: SessionKey, gesture: str) -> int | None:
        where = {"channel": at.channel} if at.thread == FLAT else {"channel": at.channel, "ts": at.thread}
        page = await client.read(
            "conversations.history" if at.thread == FLAT else "conversations.replies",
            until=self._clock() + LOOK_S,
            oldest=f"{self._now() - LOOK_BACK_S:.6f}",
            include_all_metadata=True,
            limit=LOOKED_AT,
            **where,
        )
        found = (m for m in page.get("messages") or () if sharing.gesture_of(m) == gesture)
        return next((position_of(m["ts"]) for m in found), None)

    async def _post(self, client: Client, at: SessionKey, message: Json) -> int:
        where: dict[str, Any] = {"channel": at.channel, "unfurl_links": False, "unfurl_media": False}
        if at.thread != FLAT:
            where["thread_ts"] = at.thread
        where |= {"link_names": False, "parse": "none"}
        try:
            answer = await self._call(client, {**where, **message})
        except Refused as refused:
            if "block" not in refused.code:
                raise
            answer = await self._call(client, {**where, **message, "blocks": None})
        return Stamps(0).position(answer)

    async def _call(self, client: Client, arguments: Json) -> Json:
        """Once, after whatever wait Slack asks for: a post whose call broke may be there."""
        for last in (False, True):
            try:
                return await client.call("chat.postMessage", **arguments)
            except Throttled as throttled:
                if last or throttled.retry_after_s > PATIENCE_S:
                    raise PlatformUnavailable(WAIT) from throttled
                await asyncio.sleep(throttled.retry_after_s)
        raise AssertionError("not reached")
