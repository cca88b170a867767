"""Slack's conversations, page by page, as catching up reads them."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from adapters.slack.cursors import following
from adapters.slack.errors import UNKNOWN, Refused
from adapters.slack.joined import of_the_bot
from adapters.slack.markup import position_of, ts_of
from adapters.slack.stretches import Stretch
from adapters.slack.tidying import tidied
from adapters.slack.workspaces import Installation

LOOK_BACK_PAGES = 5
"""How many pages are read that hold nothing new, only what was said before."""
CHANNELS_A_PAGE = 200
KINDS = "public_channel,private_channel,mpim,im"

Json = Mapping[str, Any]


async def of_channel(
    installation: Installation, channel: str, stretch: Stretch, since: int, limit: int
) -> AsyncIterator[list[Json]]:
    """A channel's own messages, newest first, back to `since` and on to older ones within bounds."""
    oldest, cursor, older = stretch.after, None, 0
    while True:
        page = await installation.client.read(
            "conversations.history", channel=channel, oldest=ts_of(oldest), limit=limit, cursor=cursor
        )
        messages = messages_of(page)
        stretch.add(page, messages)
        yield messages
        cursor = following(page, cursor)
        if cursor is None:
            return
        if messages and position_of(messages[-1]["ts"]) <= since:
            older += 1
        if older > LOOK_BACK_PAGES:
            stretch.ends_at(position_of(messages[-1]["ts"]))
            return


async def of_thread(
    installation: Installation, channel: str, thread: str, stretch: Stretch, limit: int
) -> AsyncIterator[list[Json]]:
    """A thread from the beginning of the stretch on; each page begins with its first message."""
    cursor = None
    while True:
        page = await installation.client.read(
            "conversations.replies",
            channel=channel,
            ts=thread,
            oldest=ts_of(stretch.after),
            limit=limit,
            cursor=cursor,
        )
        messages = messages_of(page)
        stretch.add(page, messages)
        yield messages
        cursor = following(page, cursor)
        if cursor is None:
            return


async def channels(installation: Installation) -> AsyncIterator[str]:
    """The conversations that the bot is in, each once."""
    if not installation.org_wide:
        async for channel in _joined(installation):
            yield channel
        return
    told = set[str]()
    async for team in _teams(installation):
        async for channel in _joined(installation, team_id=team):
            if channel not in told:  # one channel can belong to several workspaces
                told.add(channel)
                yield channel


async def _teams(installation: Installation) -> AsyncIterator[str]:
    """The organisation's workspaces that the bot was added to."""
    async for page in _pages(installation, "auth.teams.list", limit=CHANNELS_A_PAGE):
        for team in page.get("teams") or ():
            yield team["id"]


async def _joined(installation: Installation, **team: str) -> AsyncIterator[str]:
    wanted: dict[str, Any] = {"types": KINDS, "exclude_archived": True, "limit": CHANNELS_A_PAGE, **team}
    try:
        async for page in _pages(installation, "users.conversations", **wanted):
            for channel in page.get("channels") or ():
                yield channel["id"]
    except Refused as refused:
        if refused.code not in UNKNOWN:
            raise
        async for page in _pages(installation, "conversations.list", **wanted):
            for channel in of_the_bot(page.get("channels") or ()):
                yield channel["id"]


async def _pages(installation: Installation, method: str, **arguments: Any) -> AsyncIterator[Json]:
    cursor = None
    while True:
        page = await installation.client.read(method, cursor=cursor, **arguments)
        yield page
        cursor = following(page, cursor)
        if cursor is None:
            return


def messages_of(page: Json) -> list[Json]:
    """The messages of a page that are told with a time."""
    return [message for message in map(tidied, page.get("messages") or ()) if message.get("ts")]
