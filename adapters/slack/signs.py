"""The sign that an answer is being worked on, and Slack's own Stop button, which comes with it.

An agent's session (docs.slack.dev/ai/agent-sessions) that is `processing` shows both. A natively
streaming post takes no button of ours while it grows, so there this is the only one. Where Slack has
no sessions, the older status says which word stops the answer.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from adapters.posts import Throttled, Work
from adapters.slack.errors import UNKNOWN, Refused
from adapters.slack.events import FLAT
from adapters.slack.workspaces import Installation
from bot.domain import Turn
from bot.errors import PlatformError

STATUS = {Work.THINKING: "is thinking…", Work.SEARCHING: "is looking through what was said…"}
WITH_WORD = " Say “stop” to end it."
NO_STATUS = UNKNOWN | {"missing_scope", "not_allowed_token_type", "method_not_supported_for_channel_type"}
NO_STOP = "missing_agent_session_stopped_event_subscription"
"""A warning of Slack's: the app was made with a manifest from before there was the event."""

log = logging.getLogger(__name__)


class Known:
    """What is known to work in a workspace."""

    def __init__(self) -> None:
        self.status = True
        self.sessions = True
        self.under_way: set[asyncio.Task[None]] = set()


class Sign:
    """The sign of one reply. Best effort: nothing fails with it."""

    def __init__(self, installation: Installation, turn: Turn, known: Known, *, stoppable: bool) -> None:
        """`stoppable`: let Slack show its Stop button, since ours can't be shown."""
        self._client = installation.client
        self._key = turn.key
        self._asker = turn.asker.id
        self._known = known
        self._stoppable = stoppable and turn.key.thread != FLAT
        self._work = Work.THINKING
        self._begun = False
        self._to_end = self._stoppable and turn.taken_over
        """Slack shows the sign until the session is told that nothing is processed any more."""
        self._soon: asyncio.Task[None] | None = None

    async def show(self, work: Work = Work.THINKING) -> None:
        """Show it, as often as wished; Slack's own sign is the same for all `work`."""
        self._work = work
        if self._stoppable and self._known.sessions:
            self.show_soon()
            await self.settle()
            return
        if self._key.thread != FLAT and self._known.status:
            await self._status()

    def show_soon(self) -> None:
        """Show it, and hold nothing up with it."""
        if self._stoppable and self._known.sessions and not self._begun:
            self._soon = asyncio.create_task(self._begin())
            self._known.under_way.add(self._soon)
            self._soon.add_done_callback(self._known.under_way.discard)

    async def settle(self) -> None:
        """Wait until it is there, lest it comes after the end."""
        if self._soon is not None:
            await asyncio.wait({self._soon})

    def ended(self) -> None:
        """Slack took the sign away by itself."""
        self._to_end = False

    async def end(self) -> None:
        """Take it away, where Slack does not do so by itself when something is posted."""
        await self.settle()
        if not self._to_end:
            return
        self._to_end = False
        try:
            await self._set("active")
        except (PlatformError, Throttled):
            return

    async def _begin(self) -> None:
        self._begun = True
        try:
            answer = await self._set("processing", initiator_user_id=self._asker)
        except Refused as refused:
            self._known.sessions = False
            log.info("No Stop button of Slack's: %s", refused.code, extra={"event": "slack.no_session"})
            await self.show(self._work)
        except (PlatformError, Throttled):
            self._begun = False
        else:
            self._to_end = True
            if NO_STOP in str(answer.get("warning") or ""):
                self._known.sessions = False
                log.warning(
                    "Slack shows no Stop button: the app needs the event agent_session_stopped; "
                    "`threadfly manifest slack` has it",
                    extra={"event": "slack.no_session"},
                )

    async def _set(self, status: str, **more: str) -> dict[str, object]:
        where = {"channel_id": self._key.channel, "thread_ts": self._key.thread}
        return dict(await self._client.call("agents.sessions.setStatus", status=status, **where, **more))

    async def _status(self) -> None:
        status = STATUS[self._work] + (WITH_WORD if self._stoppable else "")
        where = {"channel_id": self._key.channel, "thread_ts": self._key.thread}
        try:
            await self._client.call("assistant.threads.setStatus", status=status, **where)
        except Refused as refused:
            self._known.status = refused.code not in NO_STATUS
        except (PlatformError, Throttled):
            return


async def clear(installation: Installation, event: Mapping[str, Any]) -> None:
    """Tell Slack that nothing is processed in a thread any more: it does not conclude that by itself."""
    where = {"channel_id": event.get("channel") or "", "thread_ts": event.get("thread_ts") or ""}
    try:
        await installation.client.call("agents.sessions.setStatus", status="active", **where)
    except (PlatformError, Throttled):
        return
