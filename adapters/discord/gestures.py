"""Buttons, slash commands and context menus: Discord's interactions.

Each is deferred before anything else: Discord shows a failure when three seconds pass without a word.
"""

import logging
from collections.abc import Awaitable
from typing import Any

from adapters.discord import buttons, commands, events, hooks
from adapters.discord.places import FORUM, MEDIA, Places, Spot
from adapters.discord.recall import Recalls
from adapters.discord.receiving import Receiver
from adapters.discord.rest import ALREADY_ANSWERED, Refused, Rest
from adapters.discord.sending import NO_PINGS
from adapters.discord.taking import Takings
from adapters.outcome import outcome
from adapters.posts import Throttled
from adapters.splitting import split
from bot import words
from bot.domain import Button, Order, Pressed, Receipt
from bot.errors import PlatformError, StoreError
from bot.ports import Desk, Handler

log = logging.getLogger(__name__)

Payload = dict[str, Any]

COMMAND, COMPONENT = 2, 3
"""Types of interactions."""
DEFER, DEFER_UPDATE = 5, 6
"""Types of responses: "thinking ...", and nothing to be seen."""
EPHEMERAL = 1 << 6
LENGTH = 2_000
MOST_MESSAGES = 5
"""Messages that one answer to a person may take."""
CALLBACK = "/interactions/{interaction_id}/{webhook_token}/callback"
ORIGINAL = "/webhooks/{webhook_id}/{webhook_token}/messages/@original"
FOLLOW_UP = "/webhooks/{webhook_id}/{webhook_token}"

THANKS = "Thank you, noted."
NOTHING_LEFT = "There is nothing left to do about that answer."
ARCHIVE_DOWN = "I can't reach my memory right now. Please try again in a minute."
NOT_LET = "Discord did not let me do that just now. Please try again in a minute."
NOT_HERE = "Use this in one of my threads or in a direct message to me; mention me to begin a thread."
NOT_YOURS = "Only its author can have a message answered this way. Mention me, and quote it if you like."
_RECEIPTS = {
    Receipt.IGNORED: "I can't answer that here.",
    Receipt.KEPT: "I have that one already.",
    Receipt.ANSWERING: "On it.",
    Receipt.QUEUED: "I'll answer it next.",
}


class Gestures:
    """Takes interactions to the core, and brings the answer to the person alone."""

    def __init__(self, rest: Rest, places: Places, recalls: Recalls, takings: Takings) -> None:
        self._rest = rest
        self._recalls = recalls
        self._takings = takings
        self._places = places
        self._handler: Handler | None = None
        self._desk: Desk | None = None
        self._receiver: Receiver | None = None

    def begin(self, handler: Handler, desk: Desk, receiver: Receiver) -> None:
        """Take them from now on."""
        self._handler, self._desk, self._receiver = handler, desk, receiver

    async def take(self, payload: Payload) -> None:
        """One interaction."""
        if await self._recalls.take(payload) or await self._takings.take(payload):
            return
        data = payload.get("data") or {}
        if payload["type"] == COMPONENT:
            if mark := buttons.read(data.get("custom_id") or ""):
                await self._press(payload, mark)
        elif payload["type"] == COMMAND:
            await self._command(payload, data)

    # ---- buttons

    async def _press(self, payload: Payload, mark: buttons.Mark) -> None:
        await self._defer(payload, {"type": DEFER_UPDATE})
        if sentence := await outcome(self._outcome(self._pressed(payload, mark))):
            await self._say(payload, sentence)

    async def _pressed(self, payload: Payload, mark: buttons.Mark) -> str:
        """What is told to who pressed it; "" where they see what comes of it."""
        spot = await hooks.spot(self._places, payload)
        if spot is None or self._handler is None:
            return ""
        by, groups = hooks.person(payload), _groups(payload, spot)
        receipt = await self._handler(Pressed(spot.key(mark.thread), mark.asked, mark.button, by, groups))
        if receipt is Receipt.IGNORED:
            return NOTHING_LEFT
        if mark.button in (Button.GOOD, Button.BAD):
            return THANKS
        again = mark.button is Button.AGAIN and receipt is Receipt.QUEUED
        return words.AGAIN_NEXT if again else ""

    # ---- commands

    async def _command(self, payload: Payload, data: Payload) -> None:
        await self._defer(payload, {"type": DEFER, "data": {"flags": EPHEMERAL}})
        sentence = await outcome(self._outcome(self._carry_out(payload, data)))
        await self._answer(payload, sentence)

    async def _outcome(self, gesture: Awaitable[str]) -> str:
        try:
            return await gesture
        except StoreError:
            return ARCHIVE_DOWN
        except (PlatformError, Throttled):
            return NOT_LET

    async def _carry_out(self, payload: Payload, data: Payload) -> str:
        spot = await hooks.spot(self._places, payload)
        if spot is None or self._desk is None:
            return NOT_HERE
        if data.get("type", commands.SLASH) == commands.ON_MESSAGE:
            return await self._answer_this(payload, data, spot)
        if not (spot.direct or spot.in_thread) and data["name"] not in commands.PLACELESS:
            return NOT_HERE
        by, groups = hooks.person(payload), _groups(payload, spot)
        order = Order(spot.key(spot.id), by, commands.words(data), groups)
        return await self._desk(order)

    async def _answer_this(self, payload: Payload, data: Payload, spot: Spot) -> str:
        """Answer a message as if it had mentioned the bot."""
        message = ((data.get("resolved") or {}).get("messages") or {}).get(str(data.get("target_id")))
        if message is None or self._receiver is None or spot.kind in (FORUM, MEDIA):
            return _RECEIPTS[Receipt.IGNORED]
        if str(events.author_id(message)) != hooks.person(payload).id:
            return NOT_YOURS
        mentions = [*(message.get("mentions") or ()), {"id": str(self._rest.me), "username": ""}]
        asked = {**message, "mentions": mentions, "member": payload.get("member")}
        return _RECEIPTS[await self._receiver.take(asked, spot)]

    # ---- answers

    async def _defer(self, payload: Payload, response: Payload) -> None:
        try:
            await self._rest.call(
                "POST",
                CALLBACK,
                body=response,
                interaction_id=payload["id"],
                webhook_id=payload.get("application_id") or self._rest.application,
                webhook_token=payload["token"],
            )
        except Refused as refused:
            if refused.code != ALREADY_ANSWERED:
                self._lost(refused)
        except (PlatformError, Throttled) as error:
            self._lost(error)

    def _lost(self, error: Exception) -> None:
        """Too late or cut off: the gesture still counts, only its answer can't be shown."""
        kind = type(error).__name__
        log.info("an interaction could not be deferred", extra={"event": "not_deferred", "error": kind})

    async def _answer(self, payload: Payload, text: str) -> None:
        """Show `text` to the person alone, in as many messages as it takes."""
        for number, piece in enumerate(split(text, LENGTH)[:MOST_MESSAGES]):
            if number == 0:
                await self._webhook(payload, "PATCH", ORIGINAL, piece.shown, tries=4)
            else:
                await self._say(payload, piece.shown)

    async def _say(self, payload: Payload, sentence: str) -> None:
        await self._webhook(payload, "POST", FOLLOW_UP, sentence, tries=1)

    async def _webhook(self, payload: Payload, verb: str, path: str, sentence: str, tries: int) -> None:
        body: Payload = {"content": sentence, "allowed_mentions": NO_PINGS}
        if verb == "POST":
            body["flags"] = EPHEMERAL
        try:
            await self._rest.call(
                verb,
                path,
                body=body,
                tries=tries,
                webhook_id=payload.get("application_id") or self._rest.application,
                webhook_token=payload["token"],
            )
        except (PlatformError, Throttled) as error:
            kind = type(error).__name__
            log.info("an interaction could not be answered", extra={"event": "unanswered", "error": kind})


def _groups(payload: Payload, spot: Spot) -> frozenset[str] | None:
    """What lists may name of the person and the place; in direct messages nobody has roles."""
    if spot.direct:
        return None
    return events.roles(payload) | (frozenset() if spot.category is None else {str(spot.category)})
