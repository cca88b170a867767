"""Files: what people share is fetched from Slack's own hosts alone, what we share is uploaded."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from adapters.slack.client import Client
from adapters.slack.errors import Refused, Unsettled
from adapters.slack.markup import position_of
from adapters.slack.workspaces import Workspaces
from bot.domain import Attachment
from bot.errors import PlatformError

HOSTS = ("slack.com", "slack-files.com", "slack-edge.com", "slack-gov.com")
"""Where Slack keeps files. The token goes nowhere else."""
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
FETCH_S = 20.0
CHUNK_BYTES = 64 * 1024
SHARE_POLL_S = (0.0, 0.3, 0.6, 1.0, 2.0, 3.0)
"""Slack shares a file a moment after it was uploaded."""

log = logging.getLogger(__name__)


class Files:
    """Downloads and uploads over the shared session."""

    def __init__(self, session: aiohttp.ClientSession, workspaces: Workspaces, api_url: str) -> None:
        self._session = session
        self._workspaces = workspaces
        self._api = urlsplit(api_url)

    async def fetch(self, attachment: Attachment, most: int) -> bytes | None:
        """The content; None where it is too big, gone, not Slack's, or not for us to read."""
        url, _, owner = attachment.url.partition("#")
        workspace, _, file = owner.partition("/")
        try:
            client = (await self._workspaces.get(workspace)).client
            async with asyncio.timeout(FETCH_S):
                return await self._download(client, url or await _address(client, file), attachment, most)
        except (PlatformError, aiohttp.ClientError, TimeoutError) as exc:
            log.warning(
                "A file could not be fetched: %s", type(exc).__name__, extra={"event": "slack.file_failed"}
            )
            return None

    async def _download(self, client: Client, url: str, attachment: Attachment, most: int) -> bytes | None:
        if not self._is_slacks(url) or attachment.size > most:
            return None
        headers = {"Authorization": f"Bearer {client.token}"}
        async with self._session.get(url, headers=headers, allow_redirects=False) as answer:
            if answer.status != 200 or _is_sign_in(answer.content_type, attachment.type):
                log.warning(
                    "Slack did not give a file: %d", answer.status, extra={"event": "slack.file_refused"}
                )
                return None
            content = bytearray()
            async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                content += chunk
                if len(content) > most:
                    return None
            return bytes(content)

    def _is_slacks(self, url: str) -> bool:
        parts = urlsplit(url)
        if (parts.scheme, parts.netloc) == (self._api.scheme, self._api.netloc):
            return True
        host = parts.hostname or ""
        if {host, self._api.hostname or ""} <= LOOPBACK:  # a server for tries calls itself by either name
            return (parts.scheme, parts.port) == (self._api.scheme, self._api.port)
        return parts.scheme == "https" and any(host == known or host.endswith(f".{known}") for known in HOSTS)

    async def post(self, client: Client, name: str, content: str, channel: str, thread_ts: str | None) -> int:
        """Upload a text file into a thread; the position of its message.

        Raises `Unsettled` where the file may be there and can't be found yet.
        """
        data = content.encode()
        place = await client.call("files.getUploadURLExternal", filename=name, length=len(data))
        url, file = place.get("upload_url"), place.get("file_id")
        if not url or not file:
            raise Refused("files.getUploadURLExternal", "no_place_told")
        await self._upload(url, data)
        where = {"channel_id": channel} | ({"thread_ts": thread_ts} if thread_ts else {})
        await client.call("files.completeUploadExternal", files=[{"id": file, "title": name}], **where)
        return await _position(client, file, channel)

    async def send(self, client: Client, name: str, content: bytes, channel: str, comment: str) -> None:
        """Upload a file into a channel; where it ended up does not matter. Raises `PlatformError`.

        A file that is there twice after a broken call is better than none.
        """
        place = await client.read("files.getUploadURLExternal", filename=name, length=len(content))
        await self._upload(str(place.get("upload_url") or ""), content)
        done = [{"id": place.get("file_id"), "title": name}]
        await client.read(
            "files.completeUploadExternal", files=done, channel_id=channel, initial_comment=comment
        )

    async def _upload(self, url: str, data: bytes) -> None:
        try:
            async with self._session.post(url, data=data) as answer:
                if answer.status != 200:
                    raise Unsettled("Slack did not take a file.")
        except (aiohttp.ClientError, TimeoutError) as exc:
            raise Unsettled("The upload of a file broke.") from exc


async def _address(client: Client, file: str) -> str:
    """Where a file is whose event did not tell, as in channels shared with other organisations."""
    told = (await client.read("files.info", file=file)).get("file") or {}
    return str(told.get("url_private_download") or told.get("url_private") or "")


async def _position(client: Client, file: str, channel: str) -> int:
    for wait in SHARE_POLL_S:
        await asyncio.sleep(wait)
        told = (await client.read("files.info", file=file)).get("file") or {}
        ts = _shared_in(told.get("shares") or {}, channel)
        if ts:
            return position_of(ts)
    raise Unsettled("Slack has not shared an uploaded file yet.")


def _shared_in(shares: Mapping[str, Any], channel: str) -> str:
    for kind in shares.values():
        for share in kind.get(channel) or ():
            return str(share.get("ts") or "")
    return ""


def _is_sign_in(told: str, expected: str) -> bool:
    """Slack answers with its sign-in page, and 200, when the token may not read files."""
    return told == "text/html" and not expected.startswith("text/html")
