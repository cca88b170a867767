"""Slack looked at beside a bot that may be running: over the Web API alone, nothing is taken in."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from adapters.cache import NoCache
from adapters.slack.client import new_session
from adapters.slack.install import Installations, Installing
from adapters.slack.shelf import SlackShelf
from adapters.slack.workspaces import OneWorkspace, Workspaces


@asynccontextmanager
async def shelf_of(
    workspace: str, *, api_url: str, bot_token: str = "", installing: Installing | None = None
) -> AsyncIterator[SlackShelf]:
    """Who may read what in a workspace. Raises `PlatformForbidden`, `PlatformUnavailable`."""
    async with AsyncExitStack() as stack:
        session = new_session()
        stack.push_async_callback(session.close)
        workspaces: Workspaces
        if installing is None:
            workspaces = one = OneWorkspace(session, api_url, bot_token)
            await one.open()
        else:
            workspaces = many = Installations(installing, session, api_url)
            stack.push_async_callback(many.close)
            await many.open()
        await workspaces.get(workspace)
        yield SlackShelf(workspaces, NoCache())
