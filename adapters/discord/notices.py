"""What everybody in a channel or thread is told, once and for all."""

import logging
from dataclasses import dataclass

from adapters.discord.places import PLATFORM, Spot
from adapters.discord.rest import Rest
from adapters.discord.sending import BESIDE, MESSAGES, base36
from adapters.posts import Throttled
from bot.errors import PlatformError, StoreError
from bot.ports import Watermarks
from bot.recent import Recent

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence in small print."""

    text: str
    mark: str
    """Behind a place's id, among its watermarks: the notice stands there already."""
    nonce: str


NO_THREADS = Notice(
    "-# I may not open threads in this channel, so I answer by reply: reply to my message to go on. "
    "Somebody who manages the server can give me the right to create public threads.",
    ":no_threads",
    "told",
)
UNREAD = Notice(
    "-# I can read only what mentions me here, so please mention me each time. Whoever runs me can change "
    "that: my app lacks the message content intent.",
    ":unread",
    "unread",
)
TEXTS = (NO_THREADS.text, UNREAD.text)


class Notices:
    """Posts them. The archive knows where one was told; the nonce brings two processes together."""

    def __init__(self, rest: Rest, watermarks: Watermarks) -> None:
        self._rest = rest
        self._watermarks = watermarks
        self._told: Recent[tuple[int, str], str] = Recent(1_000)

    async def once(self, spot: Spot, notice: Notice) -> None:
        """Tell a place in a guild, as far as that can be done."""
        if self._told.get((spot.id, notice.mark)):
            return
        self._told.put((spot.id, notice.mark), "told")
        workspace, mark = str(spot.guild), f"{spot.id}{notice.mark}"
        try:
            if mark in await self._watermarks.watermarks(PLATFORM, workspace):
                return
            once = {"nonce": f"{notice.nonce}-{base36(spot.id)}", "enforce_nonce": True}
            body = {"content": notice.text, **BESIDE, **once}
            post = await self._rest.call("POST", MESSAGES, body=body, channel_id=spot.id)
            await self._watermarks.advance(PLATFORM, workspace, mark, int(post["id"]))
        except (PlatformError, StoreError, Throttled):
            log.info("a notice could not be posted", extra={"event": "no_notice", "of": notice.mark})
