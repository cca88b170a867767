"""Slack as a platform of the core: opens what the island has, and hands each part its work."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

from aiohttp import web
from slack_bolt.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse

from adapters.cache import Cache, NoCache
from adapters.pacing import Pace
from adapters.reply import PacedReply
from adapters.slack import events, handing
from adapters.slack.catching_up import CatchingUp
from adapters.slack.client import Client, new_session, new_web_client, vendor_log
from adapters.slack.door import Door
from adapters.slack.events import FLAT
from adapters.slack.files import Files
from adapters.slack.history import Kind, Past
from adapters.slack.install import Installations, Installing
from adapters.slack.looking import Looking, May, show_found, tell_alone
from adapters.slack.methods import METHODS
from adapters.slack.names import Names
from adapters.slack.posts import Share, SlackPosts
from adapters.slack.receiving import Authorize, Receiver
from adapters.slack.shelf import SlackShelf
from adapters.slack.sockets import Sockets
from adapters.slack.staging import Staging
from adapters.slack.welcome import Welcome
from adapters.slack.workspaces import OneWorkspace, Workspaces
from bot.domain import Answer, Attachment, Author, History, Outcome, Part, SessionKey
from bot.errors import PlatformError, PlatformForbidden
from bot.finding import Known, Page, Place, Question, Readable, Recaller
from bot.ports import Desk, Handler, Journal, Reply, Watermarks
from bot.recent import Recent
from bot.sharing import Opened, Quote, Sharer
from bot.sharing_words import Sentence
from bot.taking import Taken, Wish

API_URL = "https://slack.com/api/"
Streaming = Literal["auto", "native", "edit", "off"]
SHARES = 1_000
"""Workspaces whose budgets are remembered."""

log = logging.getLogger(__name__)


class SlackPlatform:
    """The bot on Slack: one workspace by its token, or many by installation."""

    name = events.PLATFORM

    def __init__(
        self,
        watermarks: Watermarks,
        *,
        bot_token: str = "",
        app_token: str = "",
        signing_secret: str = "",
        installing: Installing | None = None,
        mode: Literal["socket", "http"] = "socket",
        api_url: str = API_URL,
        streaming: Streaming = "auto",
        history: Kind = "internal",
        backfill_s: float = 5.0,
        catch_up: bool = True,
        answer_within_s: float = 900.0,
        other_bots: frozenset[str] = frozenset(),
        updates_per_minute: float = METHODS["chat.update"].per_minute,
        recall: Recaller | None = None,
        sharing: Sharer | None = None,
        cache: Cache | None = None,
        may: May = lambda by, groups: True,  # noqa: ARG005  # everybody
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`bot_token` for one workspace, or `installing` for many.

        `sharing` does what others see with what was found; `recall` answers `/recall` and its buttons, to
        those who `may`; `cache` keeps who may read what.
        `other_bots`: user or bot ids that are listened to; `app_token` is for Socket Mode,
        `signing_secret` for HTTP; `updates_per_minute` is what Slack grants each workspace for edits.
        Made inside of the event loop.
        """
        self._session = new_session()
        self._web = new_web_client(self._session, api_url)
        self._clock = clock
        self._mode = mode
        self._streaming: Streaming = streaming
        self._app_token = app_token
        self._updates_per_minute = updates_per_minute
        self._one = None if installing else OneWorkspace(self._session, api_url, bot_token, other_bots)
        self._many = Installations(installing, self._session, api_url, other_bots) if installing else None
        workspaces = self._one or self._many
        assert workspaces is not None
        self._workspaces: Workspaces = workspaces
        self._names = Names(clock)
        self._files = Files(self._session, workspaces, api_url)
        self._past = Past(self._names, history, backfill_s, clock)
        self._catching_up = CatchingUp(
            workspaces,
            self._names,
            watermarks,
            kind=history,
            answer_within_s=answer_within_s,
            enabled=catch_up,
        )
        heard = self._catching_up.heard
        self._shelf = SlackShelf(workspaces, cache or NoCache(), clock=clock)
        self._looking = Looking(self._session, recall, sharing, self._names, may) if recall else None
        self._staging = Staging(workspaces, clock=clock)
        self._receiver = Receiver(
            workspaces, self._names, self._session, Welcome(), heard, self._shelf, self._looking
        )
        self._sockets: Sockets | None = None
        self._app = AsyncApp(
            logger=vendor_log(),
            name="threadfly",
            signing_secret=signing_secret,
            client=self._web,
            authorize=Authorize(workspaces),  # type: ignore[arg-type]  # Bolt takes None for an answer too
            ignoring_self_events_enabled=False,
            attaching_function_token_enabled=False,
        )
        self._app.use(self._receiver)
        self._door = Door(signing_secret, self._receiver.event, self._app.async_dispatch)
        self._shares: Recent[str, Share] = Recent(SHARES)
        self._opened = False

    async def open(self, handler: Handler, desk: Desk) -> None:
        if self._one is not None:
            await self._one.open()
        if self._many is not None:
            await self._many.open()
        self._receiver.begin(handler, desk)
        if self._mode == "socket":
            self._sockets = Sockets(self._session, self._ticket, self._dispatch, self._catching_up.again)
            await self._sockets.open()
        self._opened = True
        self._catching_up.begin(handler)

    async def quiet(self) -> None:
        await self._catching_up.close()
        if self._sockets is not None:
            await self._sockets.quiet()
        self._receiver.quiet()

    async def close(self) -> None:
        await self._catching_up.close()
        if self._sockets is not None:
            await self._sockets.quiet()
        await self._receiver.close()
        await self._names.close()
        if self._many is not None:
            await self._many.close()
        await self._session.close()

    def ailing(self) -> str:
        if not self._opened:
            return "not connected to Slack yet"
        if self._one is not None and self._one.revoked:
            return "Slack refuses SLACK_BOT_TOKEN; install the app again, and start me with its token"
        if self._sockets is not None and not self._sockets.up:
            return "no connection to Slack is open; I keep trying"
        return ""

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """What the one HTTP server serves for Slack."""
        routes: list[web.AbstractRouteDef] = []
        if self._mode == "http":
            routes.append(web.post("/slack/events", self._door.take))
        if self._many is not None:
            routes.append(web.get("/slack/install", self._many.begin))
            routes.append(web.get("/slack/oauth_redirect", self._many.complete))
        return routes

    async def open_reply(self, journal: Journal) -> Reply:
        turn = journal.turn
        try:
            installation = await self._workspaces.get(turn.key.workspace)
        except PlatformForbidden as forbidden:
            return NoReply(forbidden)
        share = self._share(turn.key.workspace)
        native = self._is_native(turn.key, share)
        posts = SlackPosts(installation, turn, share, self._files, native=native, clock=self._clock)
        pace = Pace(share.appends if native else share.updates, clock=self._clock)
        reply = (WholeReply if self._streaming == "off" else PacedReply)(posts, journal, pace)
        await reply.open()
        return reply

    async def history(self, key: SessionKey, before: int, limit: int) -> History:
        return await self._past.before(await self._workspaces.get(key.workspace), key, before, limit)

    async def fetch(self, attachment: Attachment, most: int) -> bytes | None:
        return await self._files.fetch(attachment, most)

    async def tell(self, key: SessionKey, to: Author, text: str) -> None:
        try:
            client = (await self._workspaces.get(key.workspace)).client
            await tell_alone(client, key, to.id, text)
        except PlatformError as exc:
            kind = type(exc).__name__
            log.warning(
                "Could not tell somebody: %s", kind, extra={"event": "slack.untold", "session": str(key)}
            )

    # Looking things up.

    async def places(self, asker: Author, at: SessionKey, known: Known) -> Readable:
        return await self._shelf.places(asker, at, known)

    async def open_to_readers_of(self, at: SessionKey, places: frozenset[Place]) -> frozenset[Place]:
        return await self._shelf.open_to_readers_of(at, places)

    async def link(self, key: SessionKey, position: int) -> str:
        return await self._shelf.link(key, position)

    async def show_found(self, question: Question, page: Page) -> None:
        try:
            client = (await self._workspaces.get(question.at.workspace)).client
            await show_found(client, question, page)
        except PlatformError as exc:
            kind = type(exc).__name__
            log.warning(
                "Could not show what was found: %s",
                kind,
                extra={"event": "slack.untold", "session": str(question.at)},
            )

    # Files for one person alone.

    async def linked(self, link: str, at: SessionKey) -> Sequence[SessionKey]:
        return handing.linked(link, at.workspace)

    async def hand(self, taken: Taken, wish: Wish) -> str:
        client = (await self._workspaces.get(wish.at.workspace)).client
        return await handing.hand(client, self._files, taken, wish.by.id, wish.at.channel)

    async def show_to_all(self, at: SessionKey, quote: Quote, gesture: str) -> int:
        return await self._staging.show(at, quote, gesture)

    async def open_thread(
        self,
        at: SessionKey,
        opening: Sentence,
        name: str,  # noqa: ARG002 - threads have none here
        gesture: str,
    ) -> Opened:
        return await self._staging.open_thread(at, opening, gesture)

    async def leave_word(self, key: SessionKey, word: Sentence, gesture: str) -> int | None:
        return await self._staging.leave_word(key, word, gesture)

    def _is_native(self, key: SessionKey, share: Share) -> bool:
        """Streams only exist in threads, and in a shared one only the asker sees them grow."""
        if key.thread == FLAT or not share.streams:
            return False
        return self._streaming == "native" or (self._streaming == "auto" and events.is_direct(key.channel))

    def _share(self, workspace: str) -> Share:
        share = self._shares.get(workspace)
        if share is None:
            share = Share(self._updates_per_minute)
            self._shares.put(workspace, share)
        return share

    async def _ticket(self) -> str:
        """The address for one Socket Mode connection."""
        answer = await Client(self._web, "").call("apps.connections.open", app_token=self._app_token)
        return str(answer.get("url") or "")

    async def _dispatch(self, payload: dict[str, Any], again: bool) -> BoltResponse:  # `Sockets` calls it
        """What came over a socket."""
        if payload.get("type") == "event_callback":
            return await self._receiver.event(payload, again=again)
        return await self._app.async_dispatch(AsyncBoltRequest(mode="socket_mode", body=payload))


class NoReply:
    """The reply in a workspace where the bot is not installed any more: the turn ends without one."""

    def __init__(self, why: PlatformForbidden) -> None:
        self._why = why

    async def show(self, text: str) -> None:
        """Nowhere."""

    async def searching(self) -> None:
        """Nowhere either."""

    async def finish(self, answer: Answer) -> tuple[Part, ...]:  # noqa: ARG002  # the port's
        """Nothing can be posted."""
        raise self._why

    def standing(self) -> tuple[str, tuple[Part, ...]]:
        """Nothing that could still be seen to."""
        return "", ()

    async def withdraw(self, why: str) -> tuple[Answer, tuple[Part, ...]]:  # noqa: ARG002  # the port's
        """There is nothing."""
        return Answer("", Outcome.DROPPED), ()

    async def abandon(self) -> None:
        """There is nothing to leave."""


class WholeReply(PacedReply):
    """A reply that is posted once it is whole (`slack.streaming: off`)."""

    async def show(self, text: str) -> None:  # noqa: ARG002  # nothing is shown before the end
        self._raise_if_lost()
