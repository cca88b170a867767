"""What Slack sends us: archived first, acknowledged then, whatever way it came.

Bolt acknowledges events by itself before a listener runs, so there is no listener here. All is done
in a middleware, which runs earlier, and for events without Bolt. An answer other than 200 is no
acknowledgement, in Socket Mode and over HTTP alike, and Slack delivers again.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import aiohttp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.authorization.async_authorize import AsyncAuthorize
from slack_bolt.context.async_context import AsyncBoltContext
from slack_bolt.middleware.async_middleware import AsyncMiddleware
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse

from adapters.outcome import outcome
from adapters.slack import buttons, commands, content, deeds, events, picks, recall, signs
from adapters.slack.blocks import objects
from adapters.slack.looking import Looking
from adapters.slack.methods import RECALL_SHORTCUT
from adapters.slack.names import Names
from adapters.slack.shelf import SlackShelf
from adapters.slack.tidying import gesture, tidied
from adapters.slack.twins import TAKEN_UP, Twins
from adapters.slack.welcome import Welcome
from adapters.slack.workspaces import Installation, Workspaces
from bot.deadlines import Deadlines
from bot.domain import Order, Receipt, Said
from bot.errors import ThreadflyError
from bot.ports import Desk, Handler

HTTP_OK = 200
ACKNOWLEDGE_S = 2.5
"""Slack waits 3 s; what takes longer than this is better delivered again."""
DESK_S = 1.2
"""An order that takes longer is answered at its response URL, which is good for 30 minutes.
What is left until `ACKNOWLEDGE_S` is for the name of who gave it."""

log = logging.getLogger(__name__)

Json = Mapping[str, Any]


async def installed(finding: Awaitable[Installation | None]) -> Installation | None:
    """The installation that something belongs to; None, and a line in the log, where there is none."""
    installation = await finding
    if installation is None:
        log.warning(
            "An event of a workspace where I am not installed", extra={"event": "slack.not_installed"}
        )
    return installation


class Authorize(AsyncAuthorize):
    """Finds the token for an event without asking Slack, which Bolt's own does for every event."""

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces

    async def __call__(
        self,
        *,
        context: AsyncBoltContext,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None,  # noqa: ARG002  # Bolt's signature, down from here
        actor_enterprise_id: str | None = None,  # noqa: ARG002
        actor_team_id: str | None = None,  # noqa: ARG002
        actor_user_id: str | None = None,  # noqa: ARG002
    ) -> AuthorizeResult | None:
        """None where the app is not installed: Bolt then answers by itself."""
        org_wide = bool(context.is_enterprise_install)
        installation = await installed(self._workspaces.find(team_id, enterprise_id, org_wide=org_wide))
        if installation is None:
            return None
        context["installation"] = installation
        me = installation.me
        return AuthorizeResult(
            enterprise_id=enterprise_id,
            team_id=team_id,
            bot_user_id=me.user,
            bot_id=me.bot,
            bot_token=installation.client.token,
        )


class Receiver(AsyncMiddleware):
    """Hands on what comes in, and decides what is acknowledged."""

    def __init__(
        self,
        workspaces: Workspaces,
        names: Names,
        session: aiohttp.ClientSession,
        welcome: Welcome,
        heard: Callable[[str, str], None],
        shelf: SlackShelf,
        looking: Looking | None = None,
    ) -> None:
        """`heard` is told of each workspace and channel in which something was said."""
        self._workspaces = workspaces
        self._names = names
        self._session = session
        self._welcome = welcome
        self._heard = heard
        self._shelf = shelf
        self._looking = looking
        self._twins = Twins()
        self._deadlines = Deadlines(ACKNOWLEDGE_S)
        self._handler: Handler | None = None
        self._desk: Desk | None = None
        self._after: set[asyncio.Task[None]] = set()

    def begin(self, handler: Handler, desk: Desk) -> None:
        """From now on take in."""
        self._handler, self._desk = handler, desk

    def quiet(self) -> None:
        """Acknowledge nothing more: Slack delivers it again, to another process or to the next."""
        self._handler = self._desk = None

    async def close(self) -> None:
        """Drop what was still to be done after acknowledgements."""
        tasks = list(self._after)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def async_process(
        self,
        *,
        req: AsyncBoltRequest,
        resp: BoltResponse,  # noqa: ARG002  # Bolt's signature
        next: Callable[[], Awaitable[BoltResponse]],  # noqa: ARG002  # Bolt's signature
    ) -> BoltResponse:
        """Bolt's door to us."""

        async def found() -> Installation | None:
            return req.context.get("installation")

        return await self._acknowledge(req.body, found, again=False)

    async def event(self, body: dict[str, Any], *, again: bool) -> BoltResponse:
        """An event that is known to be Slack's; `again`: Slack delivers it not for the first time.

        Bolt would make a web client of its own for each, and refuse what is wrapped in an odd way.
        """

        async def found() -> Installation | None:
            return await installed(self._workspaces.of_event(body))

        return await self._acknowledge(body, found, again=again)

    async def _acknowledge(
        self, body: Json, find: Callable[[], Awaitable[Installation | None]], *, again: bool
    ) -> BoltResponse:
        if self._handler is None or self._desk is None:
            return BoltResponse(status=503, body="")
        try:
            async with self._deadlines.limit():
                return await self._take(body, await find(), self._handler, self._desk, again=again)
        except (ThreadflyError, TimeoutError) as exc:
            log.warning(
                "Not acknowledged, Slack will deliver it again: %s",
                type(exc).__name__,
                extra={"event": "slack.not_acknowledged", **_ids(body)},
            )
        except Exception:
            log.exception("Not acknowledged", extra={"event": "slack.failed", **_ids(body)})
        return BoltResponse(status=503, body="")

    async def _take(
        self, body: Json, installation: Installation | None, handler: Handler, desk: Desk, *, again: bool
    ) -> BoltResponse:
        kind = body.get("type")
        event = tidied(body.get("event"))
        body = body if event else gesture(body)
        if kind == "event_callback" and event.get("type") in {"app_uninstalled", "tokens_revoked"}:
            await self._removed(body, event)
        elif installation is None:
            pass
        elif kind == "event_callback" and event.get("type") == commands.STOPPED:
            await self._stopped(event, installation, desk)
        elif kind == "event_callback":
            await self._event(event, installation, handler, again=again)
        elif kind == "block_actions":
            await self._pressed(body, installation, handler)
        elif kind == "message_action":
            await self._shortcut(body, installation, desk)
        elif kind == "view_submission":
            if self._looking is not None:
                self.later(self._looking.submitted(body, installation))
        elif body.get("command"):
            return await self._command(body, installation, desk)
        return BoltResponse(status=200, body="")

    async def _event(self, event: Json, installation: Installation, handler: Handler, *, again: bool) -> None:
        await self._shelf.heed(event, installation.me)
        if event.get("type") in events.CHANNEL_GONE:
            await handler(events.gone(event, installation.me))
            return
        if event.get("type") not in {"message", "app_mention"}:
            self.later(self._welcome.take(event, installation))
            return
        me = installation.me
        if events.is_ours(event, me):
            return
        place = events.newly_said_at(event)
        message = partial(self._message, event, installation, handler, again=again)
        receipt = await (self._twins.one((me.workspace, *place), message) if place else message())
        if receipt is not Receipt.IGNORED:
            self._heard(me.workspace, event.get("channel", ""))

    async def _message(
        self, event: Json, installation: Installation, handler: Handler, *, again: bool
    ) -> Receipt:
        """Hand on what was said, edited or deleted."""
        me = installation.me
        ids = events.unknown_names(event)
        names = await self.names(installation, ids) if not me.wrote(event.get("message") or event) else {}
        parsed = events.parse(event, me, names)
        if parsed is None:
            return Receipt.IGNORED
        if not isinstance(parsed, Said):
            return await handler(parsed)
        receipt = await handler(replace(parsed, again=True) if again else parsed)
        if receipt in TAKEN_UP and events.is_direct(parsed.key.channel):
            self.later(self._welcome.entitle(parsed, installation))
        return receipt

    async def _stopped(self, event: Json, installation: Installation, desk: Desk) -> None:
        """Slack's own Stop button. What comes of it is seen in the post; the sign goes in any case."""
        order = commands.stop_order(event, installation.me, time.time())
        if order is not None:
            await desk(order)
        self.later(signs.clear(installation, event))

    async def names(self, installation: Installation, ids: frozenset[str]) -> Mapping[str, str]:
        """What people and channels are called, as far as that can be told at once."""
        return await self._names.of(installation, ids)

    async def _pressed(self, body: Json, installation: Installation, handler: Handler) -> None:
        if self._looking is not None and picks.is_pressed(body):
            self.later(self._looking.press(body, installation))
            return
        if self._looking is not None and deeds.is_pressed(body):
            self.later(self._looking.share(body, installation))
            return
        user = (body.get("user") or {}).get("id", "")
        names = await self.names(installation, frozenset({user}))
        pressed = buttons.pressed(body, installation.me, names.get(user, ""))
        if pressed is None:
            return
        try:
            sentence = buttons.heard(pressed.button, await handler(pressed))
        except ThreadflyError as exc:  # Slack delivers a press only once
            log.warning(
                "A button had no effect: %s", type(exc).__name__, extra={"event": "slack.press_failed"}
            )
            sentence = buttons.NOT_NOW
        if sentence:
            self.later(self._say(body.get("response_url") or "", sentence))

    async def _command(self, body: Json, installation: Installation, desk: Desk) -> BoltResponse:
        if self._looking is not None and (words := recall.words_of(body)) is not None:
            return _answered(await self._looking.command(body, words, installation, self.later))
        user = body.get("user_id") or ""
        names = await self.names(installation, frozenset({user}))
        order = commands.command_order(body, installation.me, names.get(user, ""))
        if order is None:
            return _ephemeral(commands.NO_THREAD)
        carried_out = asyncio.ensure_future(outcome(desk(order)))
        done, _ = await asyncio.wait([carried_out], timeout=DESK_S)
        if done:
            return _ephemeral(carried_out.result())
        self.later(self._respond(carried_out, body.get("response_url") or ""))
        return BoltResponse(status=200, body="")

    async def _shortcut(self, body: Json, installation: Installation, desk: Desk) -> None:
        if self._looking is not None and body.get("callback_id") == RECALL_SHORTCUT:
            self.later(self._looking.open_view(body, installation))
            return
        user = (body.get("user") or {}).get("id", "")
        names = await self.names(installation, frozenset({user}))
        order = commands.shortcut_order(body, installation.me, names.get(user, ""))
        if order is not None:
            self.later(self._carry_out(order, desk, body.get("response_url") or ""))

    async def _carry_out(self, order: Order, desk: Desk, response_url: str) -> None:
        await self._say(response_url, await outcome(desk(order)))

    async def _respond(self, carried_out: "asyncio.Future[str]", response_url: str) -> None:
        await self._say(response_url, await carried_out)

    async def _say(self, response_url: str, text: str) -> None:
        """Tell it to whoever pressed or typed, alone; nothing where they see it by themselves."""
        if not response_url or not text:
            return
        message = _alone(text) | {"replace_original": False}
        async with self._session.post(response_url, json=message) as answer:
            await answer.read()
            if answer.status != HTTP_OK:
                log.warning(
                    "Slack did not take a response: %d",
                    answer.status,
                    extra={"event": "slack.response_refused"},
                )

    async def _removed(self, body: Json, event: Json) -> None:
        """The app was uninstalled, or the bot's token revoked there."""
        revoked = (event.get("tokens") or {}).get("bot")
        if event.get("type") == "tokens_revoked" and not revoked:
            return
        authorization: Json = next(iter(objects(body.get("authorizations"))), {})
        org_wide = bool(authorization.get("is_enterprise_install") or body.get("is_enterprise_install"))
        team, enterprise = body.get("team_id"), body.get("enterprise_id")
        await self._workspaces.forget(team, enterprise, org_wide=org_wide)
        log.info(
            "The app was removed from a workspace", extra={"event": "slack.uninstalled", "workspace": team}
        )

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that nobody waits for; it fails with a line in the log."""
        task = asyncio.create_task(_logged(work))
        self._after.add(task)
        task.add_done_callback(self._after.discard)


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except (ThreadflyError, aiohttp.ClientError, TimeoutError) as exc:
        log.warning("Could not do it: %s", type(exc).__name__, extra={"event": "slack.aside_failed"})
    except Exception:
        log.exception("Could not do it", extra={"event": "slack.aside_failed"})


def _ids(body: Json) -> dict[str, str]:
    """What tells in the log which delivery it was, without a word of it."""
    event = tidied(body.get("event"))
    ids = {"event_id": body.get("event_id"), "channel": event.get("channel"), "ts": event.get("ts")}
    return {key: value for key, value in ids.items() if isinstance(value, str)}


def _alone(text: str) -> dict[str, Any]:
    """A message for one person, as commands and response URLs take it."""
    said = content.told(text)
    return {"response_type": "ephemeral", "text": said["text"], "blocks": said["blocks"]}


def _ephemeral(text: str) -> BoltResponse:
    return _answered(_alone(text) if text else {})


def _answered(message: Json) -> BoltResponse:
    """Acknowledged with a message for who asked; with nothing where it follows."""
    if not message:
        return BoltResponse(status=HTTP_OK, body="")
    body = json.dumps(message)
    return BoltResponse(status=HTTP_OK, body=body, headers={"content-type": "application/json"})
