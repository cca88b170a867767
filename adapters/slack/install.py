"""Many workspaces: the pages that install the app, and the tokens they bring, encrypted at rest."""

import base64
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import aiohttp
import sqlalchemy as sa
from aiohttp import web
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_bolt.request.internals import (
    extract_enterprise_id,
    extract_is_enterprise_install,
    extract_team_id,
)
from slack_sdk.oauth.installation_store.sqlalchemy import AsyncSQLAlchemyInstallationStore
from slack_sdk.oauth.state_store.sqlalchemy import AsyncSQLAlchemyOAuthStateStore
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from adapters.slack.blocks import objects
from adapters.slack.client import Client, new_web_client, vendor_log
from adapters.slack.events import Me
from adapters.slack.files import LOOPBACK
from adapters.slack.methods import bot_scopes
from adapters.slack.workspaces import Installation
from bot.errors import ArchiveUnavailable, PlatformForbidden
from bot.recent import Recent

SECRET_COLUMNS = frozenset(
    {"bot_token", "bot_refresh_token", "user_token", "user_refresh_token", "incoming_webhook_url"}
)
REMEMBERED = 1_000
FRESH_S = 300.0
"""In other processes a revoked token is known after this time, or at its first use."""
STATE_S = 600
"""How long somebody may take between the install page and Slack's consent."""

log = logging.getLogger(__name__)


def consent_page(api_url: str) -> str:
    """Where people agree to an installation: beside the API, at Slack, GovSlack and emulators alike."""
    return urljoin(api_url, "/oauth/v2/authorize")


@dataclass(frozen=True, slots=True)
class Installing:
    """What installing in many workspaces takes."""

    client_id: str
    client_secret: str
    encryption_key: str
    """Any text; what encrypts the tokens is derived from it."""
    database_url: str
    """The archive's, with an async driver."""
    connect_args: Mapping[str, Any] = field(default_factory=dict)
    """What that driver needs beside the URL."""
    redirect_uri: str = ""
    """Where several are registered with Slack; empty for the one that is."""
    authorize_url: str = ""
    """Slack's page of consent; empty for the one beside the API."""


class Encrypted(sa.types.TypeDecorator[str]):
    """A column whose text is only readable with the key."""

    impl = sa.Text
    cache_ok = False

    def __init__(self, fernet: Fernet) -> None:
        super().__init__()
        self._fernet = fernet

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002
        """To the database."""
        return None if value is None else self._fernet.encrypt(value.encode()).decode()

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> str | None:  # noqa: ARG002
        """From the database. Raises `PlatformForbidden` when another key wrote it."""
        if value is None:
            return None
        try:
            return self._fernet.decrypt(str(value).encode()).decode()
        except InvalidToken as exc:
            raise PlatformForbidden(
                "The tokens of installed workspaces were encrypted with another THREADFLY_ENCRYPTION_KEY."
            ) from exc


def cipher(key: str) -> Fernet:
    """The cipher for tokens that belongs to an operator's key."""
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"threadfly slack installations").derive(
        key.encode()
    )
    return Fernet(base64.urlsafe_b64encode(derived))


class InstallationStore(AsyncSQLAlchemyInstallationStore):
    """slack-sdk's store, with room for encrypted tokens: its own columns hold 200 characters."""

    def __init__(self, client_id: str, engine: AsyncEngine, fernet: Fernet) -> None:
        super().__init__(client_id, engine, logger=vendor_log())
        for table in (self.bots, self.installations):
            for column in table.columns:
                if column.name in SECRET_COLUMNS:
                    column.type = Encrypted(fernet)
                elif column.name.endswith(("_scopes", "_name", "_url")):
                    column.type = sa.Text()


class StateStore(AsyncSQLAlchemyOAuthStateStore):
    """slack-sdk's store for the states of installations under way."""

    @classmethod
    def build_oauth_states_table(cls, metadata: sa.MetaData, table_name: str) -> sa.Table:
        """The same table; slack-sdk passes an argument too many for SQLAlchemy 2.1."""
        return sa.Table(
            table_name,
            metadata,
            sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
            sa.Column("state", sa.String(200), nullable=False),
            sa.Column("expire_at", sa.DateTime, nullable=False),
        )


class Installations:
    """Every workspace where the app was installed, as `Workspaces`; what is in use is remembered."""

    def __init__(
        self,
        installing: Installing,
        session: aiohttp.ClientSession,
        api_url: str,
        others: frozenset[str] = frozenset(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._api_url = api_url
        self._others = others
        self._clock = clock
        self._engine = create_async_engine(
            installing.database_url, hide_parameters=True, connect_args=dict(installing.connect_args)
        )
        self._store = InstallationStore(installing.client_id, self._engine, cipher(installing.encryption_key))
        self._states = StateStore(STATE_S, self._engine, logger=vendor_log())
        self._flow = AsyncOAuthFlow(
            client=new_web_client(session, api_url),
            logger=vendor_log(),
            settings=AsyncOAuthSettings(
                client_id=installing.client_id,
                client_secret=installing.client_secret,
                scopes=list(bot_scopes()),
                redirect_uri=installing.redirect_uri or None,
                authorization_url=installing.authorize_url or consent_page(api_url),
                installation_store=self._store,
                state_store=self._states,
                state_expiration_seconds=STATE_S,
                logger=vendor_log(),
            ),
        )
        self._known: Recent[str, tuple[Installation, float]] = Recent(REMEMBERED)

    async def open(self) -> None:
        """Make the tables if they are not there. Raises `ArchiveUnavailable`."""
        with _translated():
            try:
                await self._create_tables()
            except (ProgrammingError, IntegrityError, OperationalError):
                await self._create_tables()  # another process made them at the same moment

    async def _create_tables(self) -> None:
        async with self._engine.begin() as db:
            await db.run_sync(self._store.metadata.create_all)
            await db.run_sync(self._states.metadata.create_all)

    async def close(self) -> None:
        """Let go of the database."""
        await self._engine.dispose()

    async def begin(self, request: web.Request) -> web.Response:
        """The page that sends somebody to Slack to install the app."""
        answer = await to_aiohttp_response(
            await self._flow.handle_installation(await to_bolt_request(request))
        )
        if request.url.host in LOOPBACK:  # tried out without TLS, where the cookie would be lost
            for cookie in answer.cookies.values():
                cookie["secure"] = ""
        return answer

    async def complete(self, request: web.Request) -> web.Response:
        """Where Slack sends them back to."""
        self._known.clear()
        return await to_aiohttp_response(await self._flow.handle_callback(await to_bolt_request(request)))

    async def find(self, team: str | None, enterprise: str | None, *, org_wide: bool) -> Installation | None:
        """An organisation's installation serves all its workspaces, and is kept under its own id."""
        for workspace in (enterprise if org_wide else None, team, enterprise):
            if workspace:
                found = await self._find(workspace)
                if found is not None:
                    return found
        return None

    async def of_event(self, body: Mapping[str, Any]) -> Installation | None:
        """By what Bolt would read from it; where it can't, by what stands beside the event."""
        told = {**body, "authorizations": objects(body.get("authorizations"))}
        try:
            team, enterprise = extract_team_id(told), extract_enterprise_id(told)
            org_wide = bool(extract_is_enterprise_install(told))
        except (TypeError, AttributeError, LookupError):  # something else stands where Bolt wants an object
            team, enterprise, org_wide = told.get("team_id"), told.get("enterprise_id"), False
        return await self.find(_text(team), _text(enterprise), org_wide=org_wide)

    async def get(self, workspace: str) -> Installation:
        """By the id in session keys."""
        found = await self._find(workspace)
        if found is None:
            raise PlatformForbidden(f"I am not installed in the Slack workspace {workspace}.")
        return found

    async def everywhere(self) -> Sequence[Installation]:
        """The newest installation of each workspace, but for those whose tokens can't be read."""
        c = self._store.bots.c
        rows = await self._rows(sa.select(c.team_id, c.enterprise_id).distinct())
        found = [await self._readable(workspace) for workspace in sorted(set(map(_workspace, rows)))]
        return [installation for installation in found if installation is not None]

    async def _readable(self, workspace: str) -> Installation | None:
        try:
            return await self._find(workspace)
        except PlatformForbidden as exc:
            log.warning("%s", exc, extra={"event": "slack.unreadable_tokens", "workspace": workspace})
            return None

    async def forget(self, team: str | None, enterprise: str | None, *, org_wide: bool) -> None:
        """Delete what the workspace's installation left."""
        where = {"enterprise_id": enterprise, "team_id": None if org_wide else team}
        with _translated():
            await self._store.async_delete_bot(**where)
            await self._store.async_delete_installation(**where)
        self._evict((enterprise if org_wide else team) or "")

    def _evict(self, workspace: str) -> None:
        self._known.drop(workspace)

    async def _find(self, workspace: str) -> Installation | None:
        known = self._known.get(workspace)
        if known is not None and self._clock() - known[1] < FRESH_S:
            return known[0]
        c = self._store.bots.c
        is_it = sa.or_(c.team_id == workspace, sa.and_(c.enterprise_id == workspace, c.team_id.is_(None)))
        rows = await self._rows(
            self._store.bots.select().where(is_it).order_by(c.installed_at.desc()).limit(1)
        )
        return self._remember(workspace, rows[0]) if rows else None

    async def _rows(self, query: sa.Select[Any]) -> Sequence[sa.RowMapping]:
        c = self._store.bots.c
        with _translated():
            async with self._engine.connect() as db:
                mine = query.where(c.client_id == self._store.client_id, c.bot_token.is_not(None))
                rows: Sequence[sa.RowMapping] = (await db.execute(mine)).mappings().all()
                return rows

    def _remember(self, workspace: str, row: sa.RowMapping) -> Installation:
        me = Me(workspace, row["bot_user_id"] or "", row["bot_id"] or "", self._others)
        web_client = new_web_client(self._session, self._api_url, row["bot_token"])
        client = Client(web_client, workspace, on_revoked=self._evict, clock=self._clock)
        installation = Installation(me, client, org_wide=row["team_id"] is None)
        self._known.put(workspace, (installation, self._clock()))
        return installation


def _workspace(row: sa.RowMapping) -> str:
    return str(row["team_id"] or row["enterprise_id"] or "")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, OSError) as exc:
        raise ArchiveUnavailable("The installations of Slack can't be read or written.") from exc


def _text(told: Any) -> str | None:
    return told if isinstance(told, str) else None
