"""Says something to one person alone."""

import logging
import time

from adapters.discord.posts import MESSAGE, MESSAGES, NO_PINGS
from adapters.discord.recent import Recent
from adapters.discord.rest import Rest
from adapters.posts import Throttled
from adapters.splitting import split
from bot.domain import Author, SessionKey
from bot.errors import PlatformError

log = logging.getLogger(__name__)

AGAIN_S = 600.0
"""The same sentence to the same person in the same session is not repeated before."""
REACTION = "🙊"
LENGTH = 2_000
MOST_MESSAGES = 5


class Teller:
    """A direct message; where those are closed, a reaction to what the person said last."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._told: Recent[tuple[SessionKey, str, str], float] = Recent(2_000)
        self._said: Recent[tuple[SessionKey, str], tuple[int, int]] = Recent(5_000)

    def heard(self, key: SessionKey, author: Author, channel: int, message: int) -> None:
        """Remember what somebody said last, to react to it."""
        self._said.put((key, author.id), (channel, message))

    async def tell(self, key: SessionKey, to: Author, text: str) -> None:
        """Best effort, and once."""
        now = time.monotonic()
        told = self._told.get((key, to.id, text))
        if told is not None and now - told < AGAIN_S:
            return
        self._told.put((key, to.id, text), now)
        if not await self._write(to, text):
            await self._react(key, to)

    async def _write(self, to: Author, text: str) -> bool:
        try:
            channel = await self._rest.call("POST", "/users/@me/channels", body={"recipient_id": to.id})
            for piece in split(text, LENGTH)[:MOST_MESSAGES]:
                body = {"content": piece.shown, "allowed_mentions": NO_PINGS}
                await self._rest.call("POST", MESSAGES, body=body, tries=1, channel_id=int(channel["id"]))
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
