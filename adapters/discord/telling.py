"""Says something to one person alone."""

import hashlib
import logging

from adapters.cache import Cache
from adapters.discord.rest import Payload, Rest
from adapters.discord.sending import BESIDE, MESSAGE, MESSAGES, base36
from adapters.posts import Throttled
from adapters.splitting import split
from bot.domain import Author, SessionKey
from bot.errors import PlatformError
from bot.recent import Recent

log = logging.getLogger(__name__)

AGAIN_S = 600.0
"""The same sentence to the same person in the same session is not repeated before."""
REACTION = "🙊"
LENGTH = 2_000
MOST_MESSAGES = 5


class Teller:
    """A direct message; where those are closed, a reaction to what the person said last.

    That it was told is remembered by all processes together. Two that tell it at the same moment do
    so under one nonce, of which Discord takes the first; a reaction is there once anyway.
    """

    def __init__(self, rest: Rest, cache: Cache) -> None:
        self._rest = rest
        self._cache = cache
        self._telling: set[str] = set()
        self._said: Recent[tuple[SessionKey, str], tuple[int, int]] = Recent(5_000)

    def heard(self, key: SessionKey, author: Author, channel: int, message: int) -> None:
        """Remember what somebody said last, to react to it."""
        self._said.put((key, author.id), (channel, message))

    async def tell(self, key: SessionKey, to: Author, text: str) -> None:
        """Best effort, and once."""
        name = _name(key, to, text)
        if name in self._telling or await self._cache.get(f"told:{name}") is not None:
            return
        self._telling.add(name)
        try:
            if not await self._write(name, to, text):
                await self._react(key, to)
            await self._cache.put(f"told:{name}", "told", AGAIN_S)
        finally:
            self._telling.discard(name)

    async def _write(self, name: str, to: Author, text: str) -> bool:
        try:
            channel = await self._rest.call("POST", "/users/@me/channels", body={"recipient_id": to.id})
            for number, piece in enumerate(split(text, LENGTH)[:MOST_MESSAGES]):
                body: Payload = {"content": piece.shown, **BESIDE}
                body |= {"nonce": f"{name}-{number}", "enforce_nonce": True}
                await self._rest.call("POST", MESSAGES, body=body, channel_id=int(channel["id"]))
        except (PlatformError, Throttled):
            return False
        return True

    async def _react(self, key: SessionKey, to: Author) -> None:
        said = self._said.get((key, to.id))
        if said is None:
            return
        channel, message = said
        path = f"{MESSAGE}/reactions/{{emoji}}/@me"
        try:
            await self._rest.call("PUT", path, channel_id=channel, message_id=message, emoji=REACTION)
        except (PlatformError, Throttled):
            log.info("somebody could not be told", extra={"event": "untold", "session": str(key)})


def _name(key: SessionKey, to: Author, text: str) -> str:
    """The same for the same sentence to the same person in the same session; as short as a nonce must be."""
    digest = hashlib.blake2s("\0".join([str(key), to.id, text]).encode(), digest_size=12).digest()
    return base36(int.from_bytes(digest))
