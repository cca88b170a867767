"""The HTTP transport of the OpenAI client: aiohttp below, merged event streams above. Heavy to import."""

import asyncio
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import cast

import aiohttp
import httpx2

from .merging import EventTooLong, Merger

PACE_S = 0.25
"""Time in which text is merged into one event: readers see a few edits a second anyway."""
GRACE_S = 0.02
"""Of that, the time in which an answer may still turn out to be complete. All of it until the answer's own
first text, which is not to wait: a model may show its thoughts before."""
MOST_CONNECTIONS = 1000
MOST_REFUSAL_BYTES = 256 * 1024
"""Of what a server says with a status other than 200. The status tells most; a hostile body has no end."""

_OURS = frozenset({"accept-encoding", "connection", "content-length", "host", "transfer-encoding"})
"""Request headers that aiohttp writes itself, or that we replace."""
_UNTRUE = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Response headers that say how the body came, which is not how we pass it on."""


class MergingTransport(httpx2.AsyncBaseTransport):
    """Sends requests through one aiohttp session, which opens with the first of them."""

    def __init__(self, pace_s: float = PACE_S) -> None:
        self._pace_s = pace_s
        self._tls = httpx2.create_ssl_context()
        self._proxies = urllib.request.getproxies()
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send; returns when the headers are there. Raises httpx2's errors."""
        timeout = request.extensions.get("timeout", {})
        with _translated():
            async with asyncio.timeout(timeout.get("read")):
                response = await self._send(request, timeout.get("connect"))
        return httpx2.Response(
            response.status,
            headers=[pair for pair in response.raw_headers if pair[0].decode().lower() not in _UNTRUE],
            stream=self._body(response, timeout.get("read")),
        )

    async def _send(self, request: httpx2.Request, connect_s: float | None) -> aiohttp.ClientResponse:
        headers = [pair for pair in request.headers.multi_items() if pair[0].lower() not in _OURS]
        return await self._opened().request(
            request.method,
            str(request.url),
            headers=[*headers, ("accept-encoding", "identity")],
            data=await request.aread() or None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(sock_connect=connect_s),
            proxy=self._proxy_for(request.url),
        )

    def _body(self, response: aiohttp.ClientResponse, read_s: float | None) -> "_Body":
        is_answer = response.status == 200
        return _Events(response, read_s, self._pace_s) if is_answer else _Body(response, read_s)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MOST_CONNECTIONS, ssl=self._tls),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _proxy_for(self, url: httpx2.URL) -> str | None:
        """The proxy that the environment names for `url`, as other tools would take it."""
        proxy = self._proxies.get(url.scheme) or self._proxies.get("all")
        if not proxy or urllib.request.proxy_bypass(url.netloc.decode()):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"

    async def aclose(self) -> None:
        """Close the session and its connections."""
        if self._session is not None:
            await self._session.close()


class _Body(httpx2.AsyncByteStream):
    """A refusal's body as it comes. Of one that is too long the beginning is all there is."""

    def __init__(self, response: aiohttp.ClientResponse, read_s: float | None) -> None:
        """`read_s`: the longest time without a byte. Watched here: aiohttp sets a timer for each packet."""
        self._response = response
        self._read_s = read_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MOST_REFUSAL_BYTES
        with _translated():
            while left > 0 and (packet := await self._read()):
                left -= len(packet)
                yield packet

    async def _read(self) -> bytes:
        """What there is by now, at least one byte; b"" at the end."""
        async with asyncio.timeout(self._read_s):
            return await self._response.content.readany()

    async def aclose(self) -> None:
        """Cut the connection, so that the server stops; one that was read to its end is not ours any more."""
        self._response.close()


class _Events(_Body):
    """An answer as events, merged: what comes while we wait between two reads becomes one event.

    Whatever its Content-Type: an answer that is cut must not pass for a whole one.
    """

    def __init__(self, response: aiohttp.ClientResponse, read_s: float | None, pace_s: float) -> None:
        super().__init__(response, read_s)
        self._pace_s = pace_s
        self._merger = Merger()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated():
            while packet := await self._read():
                before = self._merger.texts
                if events := self._merger.feed(packet):
                    yield events
                if self._merger.texts > before:
                    await self._wait()
            if events := self._merger.finish():
                yield events
        if not self._merger.ended:
            raise httpx2.ReadError("the stream ended before the answer did")

    async def _read(self) -> bytes:
        """The same; but when the connection is cut, first what came before.

        Some servers cut it right after their last event. aiohttp's reader still has that event, but shows
        only the error.
        """
        try:
            return await super()._read()
        except (aiohttp.ClientError, ConnectionError):
            rest = self._response.content._read_nowait(-1)  # the one way to it
            if rest or self._merger.ended:
                return rest
            raise

    async def _wait(self) -> None:
        """Let text gather; but an answer that is complete at once is not held up.

        Meanwhile nothing is read, so that what gathers in the kernel costs one wake-up for all of it
        instead of one for each packet.
        """
        if await self._ends_within(min(self._pace_s, GRACE_S)) or not self._merger.spoke:
            return
        connection = self._response.connection
        if connection is None or connection.transport is None:
            return
        transport = cast(asyncio.ReadTransport, connection.transport)
        transport.pause_reading()
        try:
            await asyncio.sleep(self._pace_s)
        finally:
            transport.resume_reading()

    async def _ends_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                with suppress(aiohttp.ClientError, ConnectionError):  # the next read meets it again
                    await self._response.content.wait_eof()
                return True
        return False


@contextmanager
def _translated() -> Iterator[None]:
    """aiohttp's errors as httpx2's, which the OpenAI client knows; without their text."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx2.ConnectTimeout(type(error).__name__) from error
    except TimeoutError as error:
        raise httpx2.ReadTimeout(type(error).__name__) from error
    except (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError) as error:
        raise httpx2.ProxyError(type(error).__name__) from error
    except aiohttp.ClientConnectorError as error:
        raise httpx2.ConnectError(type(error).__name__) from error
    except (aiohttp.InvalidURL, ValueError) as error:
        raise httpx2.UnsupportedProtocol(type(error).__name__) from error
    except (aiohttp.ClientError, EventTooLong, OSError) as error:
        raise httpx2.ReadError(type(error).__name__) from error
