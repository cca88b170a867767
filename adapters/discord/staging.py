"""What the bot posts on Discord outside of any reply: what was found, and where a conversation goes on.

Such posts are silent (`SUPPRESS_NOTIFICATIONS`), and known by that: no reply is.
"""

import hashlib
from typing import Any

from adapters.discord import found
from adapters.discord.places import DIRECT, FORUM, MEDIA, PLATFORM, Places
from adapters.discord.rest import THREAD_EXISTS, Payload, Refused, Rest
from adapters.discord.rooms import THREAD_NAME
from adapters.discord.sending import MESSAGE, MESSAGES, NO_PINGS, NONCE, SUPPRESS_EMBEDS, base36
from adapters.discord.shelf import DiscordShelf
from adapters.posts import Throttled
from bot.domain import SessionKey
from bot.errors import PlatformForbidden, PlatformUnavailable
from bot.sharing import Opened, Quote
from bot.sharing_words import Sentence

WAIT = "Discord wants me to wait. Please try again in a minute."


class Staging:
    """Posts them. Raises `PlatformUnavailable`, `PlatformForbidden`, `PostGone`."""

    def __init__(self, rest: Rest, places: Places, shelf: DiscordShelf) -> None:
        self._rest = rest
        self._places = places
        self._shelf = shelf

    async def show(self, at: SessionKey, quote: Quote, gesture: str) -> int:
        """Show a message to everybody there; the position of that post."""
        try:
            channel = int(await self._shelf.home(at, 0))
        except Throttled as throttled:
            raise PlatformUnavailable(WAIT) from throttled
        return await self._post(channel, found.quote_text(quote), gesture)

    async def open_thread(self, at: SessionKey, opening: Sentence, name: str, gesture: str) -> Opened:
        """A thread of a post of its own; where none can be opened, what is replied to that post."""
        channel, name = int(at.channel), found.short(name, THREAD_NAME)
        if at.workspace == DIRECT:
            post = await self._post(channel, found.sentence_text(opening), gesture)
            return Opened(SessionKey(PLATFORM, DIRECT, at.channel, at.channel), post)
        spot = await self._places.spot(channel, int(at.workspace))
        if spot is None:
            raise PlatformForbidden("That channel is not there, or hidden from me.")
        if spot.kind in (FORUM, MEDIA):
            message = _body(found.sentence_text(opening))
            made = await self._call(
                "POST", "/channels/{channel_id}/threads", {"name": name, "message": message}, channel
            )
            post = int(made["id"])
        else:
            post = await self._post(channel, found.sentence_text(opening), gesture)
            if self._places.may_open_threads(spot):
                await self._start(channel, post, name)
        return Opened(SessionKey(PLATFORM, at.workspace, at.channel, str(post)), post)

    async def _start(self, channel: int, post: int, name: str) -> None:
        """Open the thread of a post. Where Discord refuses, people reply to the post."""
        try:
            await self._call("POST", f"{MESSAGE}/threads", {"name": name}, channel, message_id=post)
        except Refused as refused:
            if refused.code != THREAD_EXISTS:
                self._places.belongs(post, str(post))

    async def leave_word(self, key: SessionKey, word: Sentence, gesture: str) -> int | None:
        """A word in a thread. An archived one is not woken for it; without a thread there is no place."""
        try:
            thread = await self._shelf.home(key, 0)
        except Throttled:
            return None
        if thread == key.channel:
            return None
        told = await self._call("GET", "/channels/{channel_id}", None, int(thread))
        kept = told.get("thread_metadata") or {}
        if kept.get("archived") or kept.get("locked"):
            return None
        return await self._post(int(thread), found.sentence_text(word), gesture)

    async def _post(self, channel: int, text: str, gesture: str) -> int:
        body = {**_body(text), "nonce": nonce(gesture), "enforce_nonce": True}
        return int((await self._call("POST", MESSAGES, body, channel))["id"])

    async def _call(self, verb: str, path: str, body: Payload | None, channel: int, **ids: Any) -> Payload:
        try:
            answer: Payload = await self._rest.call(verb, path, body=body, channel_id=channel, **ids)
        except Throttled as throttled:
            raise PlatformUnavailable(WAIT) from throttled
        return answer


def _body(text: str) -> dict[str, Any]:
    flags = SUPPRESS_EMBEDS | found.SUPPRESS_NOTIFICATIONS
    return {"content": text, "flags": flags, "allowed_mentions": NO_PINGS}


def nonce(gesture: str) -> str:
    """The name under which Discord takes the post of a gesture once."""
    return base36(int.from_bytes(hashlib.sha256(gesture.encode()).digest()))[:NONCE]
