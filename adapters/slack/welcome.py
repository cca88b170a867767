"""What the bot says unasked: one message when it joins a channel, and its part of the agent view."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from adapters.posts import Throttled
from adapters.slack.errors import Refused
from adapters.slack.events import FLAT, is_direct
from adapters.slack.markup import ts_of
from adapters.slack.workspaces import Installation
from bot.domain import Said, SessionKey
from bot.recent import Recent

GREETING = (
    "Hello! Mention me and I answer in a thread; in that thread just go on talking. "
    "I keep what is said in my threads, so that I can remember it; mention me with the word `forget` "
    "to have it taken out, or with `help` to see what else I do."
)
GREETING_TYPE = "threadfly_greeting"
LOOK_BACK = 15
"""Messages among which an earlier delivery's greeting would be."""

PROMPTS: Sequence[tuple[str, str]] = (
    ("What can you do?", "help"),
    ("Think something through", "Help me think something through. Ask me about it, one question at a time."),
    ("Write something", "Help me write a short message. Ask me what it is about and who will read it."),
)
"""Titles, and what is said when they are pressed. At most 4."""
TITLE_LENGTH = 60
REMEMBERED = 10_000
"""Threads whose title is settled, by this process."""

Json = Mapping[str, Any]


class Welcome:
    """Greets, suggests, names threads. All of it best effort."""

    def __init__(self, prompts: Sequence[tuple[str, str]] = PROMPTS) -> None:
        self._prompts = [{"title": title, "message": message} for title, message in prompts]
        self._entitled: Recent[SessionKey, None] = Recent(REMEMBERED)

    async def take(self, event: Json, installation: Installation) -> None:
        """An event that is no message."""
        kind = event.get("type")
        if kind == "member_joined_channel" and event.get("user") == installation.me.user:
            await self._greet(event, installation)
        elif kind == "app_home_opened" and event.get("tab") == "messages":
            await self._suggest(installation, channel_id=event.get("channel", ""))
        elif kind == "assistant_thread_started":
            thread = event.get("assistant_thread") or {}
            where = {"channel_id": thread.get("channel_id", ""), "thread_ts": thread.get("thread_ts", "")}
            await self._suggest(installation, **where)

    async def _greet(self, event: Json, installation: Installation) -> None:
        client, channel = installation.client, event.get("channel", "")
        recent = await client.read(
            "conversations.history",
            channel=channel,
            oldest=event.get("event_ts") or "0",
            limit=LOOK_BACK,
            include_all_metadata=True,
        )
        for message in recent.get("messages") or ():
            if (message.get("metadata") or {}).get("event_type") == GREETING_TYPE:
                return
        await client.call(
            "chat.postMessage",
            channel=channel,
            text=GREETING,
            metadata={"event_type": GREETING_TYPE, "event_payload": {}},
        )

    async def _suggest(self, installation: Installation, **where: str) -> None:
        await _gently(installation, "assistant.threads.setSuggestedPrompts", **where, prompts=self._prompts)

    async def entitle(self, said: Said, installation: Installation) -> None:
        """Name a thread of the agent view after its first words."""
        key = said.key
        if not is_direct(key.channel) or key.thread == FLAT or not said.message.text or key in self._entitled:
            return
        self._entitled.put(key, None)
        where: dict[str, Any] = {"channel": key.channel, "ts": key.thread, "limit": 3}
        thread = await installation.client.read("conversations.replies", **where)
        earlier = [
            m
            for m in thread.get("messages") or ()
            if key.thread != m.get("ts") != ts_of(said.message.position)
        ]
        if any(message.get("user") != installation.me.user for message in earlier):
            return
        arguments = {"channel_id": key.channel, "thread_ts": key.thread, "title": title_of(said.message.text)}
        await _gently(installation, "assistant.threads.setTitle", **arguments)


async def _gently(installation: Installation, method: str, **arguments: Any) -> None:
    """Call where it is nothing bad when Slack refuses: not every workspace has the agent view."""
    try:
        await installation.client.call(method, **arguments)
    except (Refused, Throttled):
        return


def title_of(text: str) -> str:
    """The first words of a text, on one line."""
    line = re.sub(r"\s+", " ", text).strip()
    return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1].rsplit(" ", 1)[0] + "…"
