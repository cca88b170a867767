"""The workspaces that the bot is installed in, and their tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.client import Client, new_web_client
from adapters.slack.events import Me
from bot.errors import PlatformForbidden


@dataclass(frozen=True, slots=True)
class Installation:
    """The bot in one workspace."""

    me: Me
    client: Client
    name: str = field(default="Threadfly")
    org_wide: bool = False
    """For a whole organisation (Enterprise Grid): its one token serves many workspaces."""


class Workspaces(Protocol):
    """Finds installations; an answer costs no call to Slack in the common case."""

    async def find(self, team: str | None, enterprise: str | None, *, org_wide: bool) -> Installation | None:
        """The installation that an event belongs to; None if there is none."""

    async def of_event(self, body: Mapping[str, Any]) -> Installation | None:
        """As `find`, for the body of an event that Bolt has not seen."""

    async def get(self, workspace: str) -> Installation:
        """The installation by its id in session keys. Raises `PlatformForbidden` if there is none."""

    async def everywhere(self) -> Sequence[Installation]:
        """Every installation there is."""

    async def forget(self, team: str | None, enterprise: str | None, *, org_wide: bool) -> None:
        """The app was removed there, or its tokens revoked."""


class OneWorkspace:
    """The single workspace that `SLACK_BOT_TOKEN` belongs to."""

    def __init__(
        self, session: aiohttp.ClientSession, api_url: str, token: str, others: frozenset[str] = frozenset()
    ) -> None:
        self._web: AsyncWebClient = new_web_client(session, api_url, token)
        self._others = others
        self._installation: Installation | None = None

    async def open(self) -> Installation:
        """Ask Slack who we are. Raises `PlatformForbidden`, `PlatformUnavailable`."""
        answer = await Client(self._web, "").read("auth.test")
        org = bool(answer.get("is_enterprise_install"))
        workspace = (answer.get("enterprise_id") if org else None) or answer.get("team_id") or ""
        me = Me(workspace, answer.get("user_id") or "", answer.get("bot_id") or "", self._others)
        client = Client(self._web, workspace)
        self._installation = Installation(me, client, answer.get("user") or "Threadfly", org_wide=org)
        return self._installation

    @property
    def revoked(self) -> bool:
        """Whether Slack refused the token when it was last used."""
        return self._installation is not None and self._installation.client.revoked

    async def find(
        self,
        team: str | None,  # noqa: ARG002  # there is only one
        enterprise: str | None,  # noqa: ARG002
        *,
        org_wide: bool,  # noqa: ARG002
    ) -> Installation | None:
        """The one, whatever the event says: a shared channel may name the other team."""
        return self._installation

    async def of_event(self, body: Mapping[str, Any]) -> Installation | None:  # noqa: ARG002
        """The one."""
        return self._installation

    async def get(self, workspace: str) -> Installation:
        """The one, if it has this id."""
        installation = self._installation
        if installation is None or installation.me.workspace != workspace:
            raise PlatformForbidden(f"I am not installed in the Slack workspace {workspace}.")
        return installation

    async def everywhere(self) -> Sequence[Installation]:
        """The one."""
        return [] if self._installation is None else [self._installation]

    async def forget(self, team: str | None, enterprise: str | None, *, org_wide: bool) -> None:
        """Nothing is kept: the operator's own token decides."""
