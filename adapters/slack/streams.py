"""Native streams: a post that Slack lets grow by itself, for as long as it lives.

Slack ends a stream after about 5 minutes, takes no change while it lives, and shows no open block of
code as closed; so a stream only ever gets what its text can be continued with.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.posts import Throttled
from adapters.slack.client import Client
from adapters.slack.errors import Refused
from adapters.slack.markup import defused, settled
from adapters.slack.tidying import tidied
from adapters.slack.workspaces import Installation
from bot.domain import SessionKey

LIFE_S = 240.0
"""After this a stream is stopped, and the post goes on by edits: Slack's limit is about 300 s."""
LAST_FENCE = re.compile(r"\n[ \t>]*(?:`{3,}|~{3,})[ \t]*\Z")
"""Perhaps only there to close what goes on in the next text."""


@dataclass(slots=True)
class Stream:
    """One post that grows natively."""

    client: Client
    channel: str
    ts: str
    number: int
    """The part of the reply that it is."""
    began: float
    sent: str
    """What was streamed, defused."""

    def continues_with(self, markdown: str) -> bool:
        """Whether a text can be reached by adding to what was sent."""
        return defused(markdown).startswith(self.sent)

    async def grow(self, markdown: str) -> None:
        """Add what is new of a text that still grows."""
        text = defused(streamable(markdown))
        if len(text) > len(self.sent):
            await self._call("chat.appendStream", markdown_text=text[len(self.sent) :])
            self.sent = text

    async def end(
        self, markdown: str, buttons: Sequence[Mapping[str, Any]], metadata: Mapping[str, Any]
    ) -> None:
        """Add the rest of the whole text, and stop.

        Slack lets streams be stopped more seldom than grown: where it refuses, the text is there at least.
        """
        rest = defused(markdown)[len(self.sent) :]
        arguments: dict[str, Any] = {"metadata": metadata}
        if rest:
            arguments["markdown_text"] = rest
        if buttons:
            arguments["blocks"] = list(buttons)
        try:
            await self._call("chat.stopStream", **arguments)
        except Throttled:
            if rest:
                await self._call("chat.appendStream", markdown_text=rest)
                self.sent += rest
            raise

    async def _call(self, method: str, **arguments: Any) -> None:
        await self.client.call(method, channel=self.channel, ts=self.ts, **arguments)


def streamable(markdown: str) -> str:
    """The part of a growing text that stays as it is, whatever follows."""
    return settled(LAST_FENCE.sub("", markdown))


async def begin(
    client: Client, key: SessionKey, number: int, markdown: str, now: float, recipient: Mapping[str, str]
) -> Stream:
    """Start a stream. `recipient` (a user and their team) is needed outside of direct messages.

    Raises as `Client.call`; `Refused` where the server does not tell which post it is.
    """
    text = defused(streamable(markdown))
    where = {"channel": key.channel, "thread_ts": key.thread}
    answer = await client.call("chat.startStream", markdown_text=text, **where, **recipient)
    ts = tidied(answer).get("ts")
    if ts is None:
        raise Refused("chat.startStream", "no_ts_told")
    return Stream(client, key.channel, ts, number, now, text)


async def team_of(installation: Installation, reader: str) -> str:
    """The team that a reader belongs to, which Slack wants to be told outside of direct messages.

    What is installed for an organisation is kept under its id, which is no team's. Through Slack
    Connect it may be another team: Slack refuses then. Raises as `Client.call`; `Refused` where no
    team is told.
    """
    if not installation.org_wide:
        return installation.me.workspace
    user = (await installation.client.call("users.info", user=reader)).get("user") or {}
    teams = (user.get("team_id"), *((user.get("enterprise_user") or {}).get("teams") or ()))
    team = next((str(each) for each in teams if str(each or "").startswith("T")), "")
    if not team:
        raise Refused("users.info", "no_team_told")
    return team


async def halt(client: Client, channel: str, ts: str) -> None:
    """Stop a stream whose text is not ours to continue. Nothing happens to a post that does not stream."""
    try:
        await client.call("chat.stopStream", channel=channel, ts=ts)
    except Refused:
        return
