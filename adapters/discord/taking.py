"""Threads as files on Discord: by direct message, else with the answer to a command, for the asker alone."""

import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

from adapters.discord import events, hooks
from adapters.discord.asides import EXPORT_CLOSED
from adapters.discord.hooks import Hook
from adapters.discord.places import DIRECT, PLATFORM, Places, Spot
from adapters.discord.recall import May
from adapters.discord.rest import Payload, Refused, Rest
from adapters.discord.sending import BESIDE, MESSAGES
from adapters.discord.shelf import DiscordShelf
from adapters.outcome import outcome
from adapters.posts import Throttled
from bot.commands import Export, Form
from bot.domain import SessionKey
from bot.errors import PlatformError
from bot.taking import Document, Taken, Taker, Wish
from bot.words import EXPORT_FAILED, EXPORT_NO_THREAD, EXPORT_SENT, NOT_FOR_YOU

NAME: Final = "export"
COMMAND, STRING = 2, 3
"""Types of interaction and of option."""
CANNOT_DM, TOO_LARGE = 50007, 40005
"""Discord's codes: somebody takes no direct messages of ours; a file is larger than it takes.
https://docs.discord.com/developers/topics/opcodes-and-status-codes"""
CONTENT_LENGTH = 2_000
HERE_INSTEAD = "I can't write to you directly, so here it is; only you see this."
REFUSED_SIZE = "Discord does not take a file of that size from me."
_LINK: Final = re.compile(r"https?://[^/]+/channels/(@me|\d{5,20})/(\d{5,20})(?:/(\d{5,20}))?/?(?:\?.*)?")

OPTIONS: Final[Sequence[Payload]] = (
    {
        "name": "form",
        "type": STRING,
        "description": "What the file is; Markdown if you choose nothing",
        "required": False,
        "choices": [
            {"name": "Markdown", "value": Form.MARKDOWN.value},
            {"name": "HTML", "value": Form.HTML.value},
            {"name": "JSON", "value": Form.JSON.value},
        ],
    },
    {
        "name": "link",
        "type": STRING,
        "description": "A link to the thread, or to a message of it; else the one where you are",
        "required": False,
    },
)

log = logging.getLogger(__name__)


class Takings:
    """Hands files to one person alone."""

    def __init__(
        self, rest: Rest, places: Places, shelf: DiscordShelf, taker: Taker | None, may: May
    ) -> None:
        self._rest = rest
        self._places = places
        self._shelf = shelf
        self._taker = taker
        self._may = may

    # ---- the command

    async def take(self, payload: Payload) -> bool:
        """Answer an interaction if it is the command; whether it is."""
        data = payload.get("data") or {}
        if self._taker is None or payload["type"] != COMMAND or data.get("name") != NAME:
            return False
        hook = Hook(self._rest, payload)
        await hook.think()
        sentence = await outcome(self._outcome(payload, data, hook, self._taker))
        await hook.change({"content": sentence})
        return True

    async def _outcome(self, payload: Payload, data: Payload, hook: Hook, taker: Taker) -> str:
        try:
            return await self._carry_out(payload, data, hook, taker)
        except (PlatformError, Throttled):
            return EXPORT_FAILED

    async def _carry_out(self, payload: Payload, data: Payload, hook: Hook, taker: Taker) -> str:
        spot, by = await hooks.spot(self._places, payload), hooks.person(payload)
        if spot is None:
            return EXPORT_NO_THREAD
        if not self._may(by, _groups(payload, spot)):
            return NOT_FOR_YOU
        wish = Wish(by, spot.key(spot.id), _asked(data))
        taken = await taker.take(wish)
        if isinstance(taken, str):
            return taken
        try:
            return await self._send(taken, by.id) or EXPORT_NO_THREAD
        except Refused as refused:
            if refused.code == TOO_LARGE:
                return REFUSED_SIZE
            if refused.code != CANNOT_DM:
                raise
        async with aclosing(taken.documents()) as documents:
            async for document in documents:
                await hook.give(_body(document), (document.name, document.content))
        return HERE_INSTEAD

    # ---- asked in words

    async def hand(self, taken: Taken, wish: Wish) -> str:
        """By direct message; where those are closed, say in the thread what works. Raises `PlatformError`."""
        try:
            sent = await self._send(taken, wish.by.id)
        except Refused as refused:
            if refused.code == TOO_LARGE:
                return REFUSED_SIZE
            if refused.code != CANNOT_DM:
                raise
            await self._post(int(await self._shelf.home(wish.at, 0)), {"content": EXPORT_CLOSED}, None)
            return ""
        except Throttled:
            return EXPORT_FAILED
        return "" if sent else EXPORT_NO_THREAD

    async def _send(self, taken: Taken, person: str) -> str:
        """What to tell in the place; "" if there was nothing to send."""
        channel, sent = await self._shelf.direct_channel(int(person)), ""
        async with aclosing(taken.documents()) as documents:
            async for document in documents:
                await self._post(channel, _body(document), (document.name, document.content))
                sent = EXPORT_SENT
        return sent

    async def _post(self, channel: int, body: Payload, file: tuple[str, bytes] | None) -> None:
        body = {**body, **BESIDE}
        await self._rest.call("POST", MESSAGES, body=body, file=file, tries=1, channel_id=channel)

    async def linked(self, link: str) -> Sequence[SessionKey]:
        """The sessions that an address of Discord may mean. Raises `PlatformUnavailable`, `Throttled`."""
        found = _LINK.fullmatch(link.strip())
        if found is None:
            return ()
        guild, channel, message = found[1], int(found[2]), int(found[3] or 0)
        if guild == "@me":
            return (SessionKey(PLATFORM, DIRECT, str(channel), str(channel)),)
        spot = await self._places.spot(channel, int(guild))
        if spot is None or spot.guild != int(guild):
            return ()
        if spot.in_thread or not message:
            return (spot.key(spot.id),)
        threads = dict.fromkeys([str(message), self._places.thread_of(message)])
        return tuple(spot.key(thread) for thread in threads)


def _asked(data: Payload) -> Export:
    given: Mapping[str, Any] = {o["name"]: o.get("value") for o in data.get("options") or ()}
    forms = {form.value: form for form in Form}
    return Export(forms.get(str(given.get("form")), Form.MARKDOWN), str(given.get("link") or "").strip("<> "))


def _body(document: Document) -> Payload:
    named = {"id": 0, "filename": document.name}
    return {"content": document.lead[:CONTENT_LENGTH], "attachments": [named]}


def _groups(payload: Payload, spot: Spot) -> frozenset[str] | None:
    if spot.direct:
        return None
    return events.roles(payload) | (frozenset() if spot.category is None else {str(spot.category)})
