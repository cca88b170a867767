"""Files that came with messages: from Discord's own hosts, within a size and a time."""

import logging

import aiohttp
import yarl

from adapters.discord.rest import Rest
from bot.domain import Attachment
from bot.errors import PlatformError

log = logging.getLogger(__name__)

HOSTS = frozenset({"cdn.discordapp.com", "media.discordapp.net"})
DOWNLOAD_S = 20.0
PIECE = 64 * 1024
EXPIRED = (403, 404)
"""How the host answers when the link's signature has run out, after about a day."""


class Files:
    """Downloads. `own_host` is the host and port of a Discord that is not Discord's."""

    def __init__(self, rest: Rest, own_host: str = "") -> None:
        self._rest = rest
        self._own_host = own_host
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, attachment: Attachment, most: int) -> bytes | None:
        """The content; None if it is larger than `most` bytes, gone, or elsewhere."""
        if not self._is_discords(attachment.url) or attachment.size > most:
            return None
        status, content = await self._download(attachment.url, most)
        if status in EXPIRED and (fresh := await self._refreshed(attachment.url)):
            status, content = await self._download(fresh, most)
        return content

    def _is_discords(self, link: str) -> bool:
        try:
            url = yarl.URL(link)
        except ValueError:
            return False
        if self._own_host and url.authority == self._own_host:
            return True
        return url.scheme == "https" and url.host in HOSTS and url.is_default_port()

    async def _download(self, url: str, most: int) -> tuple[int, bytes | None]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=DOWNLOAD_S))
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status != 200:
                    return response.status, None
                content = bytearray()
                async for piece in response.content.iter_chunked(PIECE):
                    content += piece
                    if len(content) > most:
                        return response.status, None
                return response.status, bytes(content)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            log.info("a file could not be fetched", extra={"event": "no_file", "error": type(error).__name__})
            return 0, None

    async def _refreshed(self, url: str) -> str | None:
        body = {"attachment_urls": [url]}
        try:
            answer = await self._rest.call("POST", "/attachments/refresh-urls", body=body)
        except PlatformError:
            return None
        fresh = next((link["refreshed"] for link in answer.get("refreshed_urls", ())), None)
        return fresh if isinstance(fresh, str) and self._is_discords(fresh) else None

    async def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()
