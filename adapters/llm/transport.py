"""The HTTP transport of the OpenAI client: aiohttp below, merged event streams above. Heavy to import."""

import asyncio
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

import aiohttp
import httpx2

from .merging import EventTooLong, Merger

PACE_S = 0.25
"""Time in which text is merged into one event: readers see a few edits a second anyway."""
FIRST_PACE_S = 0.03
"""The same until the first text of the answer, which is not to wait: a model may show its thoughts before."""
MOST_CONNECTIONS = 1000

_OURS = frozenset({"accept-encoding", "connection", "content-length", "host", "transfer-encoding"})
"""Request headers that aiohttp writes itself, or that we replace."""
_UNTRUE = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Response headers that say how the body came, which is not how we pass it on."""


class MergingTransport(httpx2.AsyncBaseTransport):
    """Sends requests through one aiohttp session, which opens with the first of them."""

    def __init__(self, pace_s: float = PACE_S) -> None:
        self._pace_s = pace_s
        self._tls = httpx2.create_ssl_context()
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send; returns when the headers are there. Raises httpx2's errors."""
        timeout = request.extensions.get("timeout", {})
        headers = [
            (name, value) for name, value in request.headers.multi_items() if name.lower() not in _OURS
        ]
        with _translated():
            response = await self._opened().request(
                request.method,
                str(request.url),
                headers=[*headers, ("accept-encoding", "identity")],
                data=await request.aread() or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    sock_connect=timeout.get("connect"), sock_read=timeout.get("read")
                ),
                proxy=_proxy_for(request.url),
            )
        return httpx2.Response(
            response.status,
            headers=[
                (name, value) for name, value in response.raw_headers if name.decode().lower() not in _UNTRUE
            ],
            stream=self._body(response),
        )

    def _body(self, response: aiohttp.ClientResponse) -> "_Body":
        is_events = response.status == 200 and response.content_type == "text/event-stream"
        return _Events(response, self._pace_s) if is_events else _Body(response)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MOST_CONNECTIONS, ssl=self._tls),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def aclose(self) -> None:
        """Close the session and its connections."""
        if self._session is not None:
            await self._session.close()


class _Body(httpx2.AsyncByteStream):
    """A body as it comes."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated():
            while packet := await self._response.content.readany():
                yield packet

    async def aclose(self) -> None:
        """Give the connection back if the body was read to its end; else cut it, so that the server stops."""
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


class _Events(_Body):
    """An event stream, merged: what comes while we wait between two reads becomes one event."""

    def __init__(self, response: aiohttp.ClientResponse, pace_s: float) -> None:
        super().__init__(response)
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
        """What there is by now, at least one byte; b"" at the end.

        Some servers cut the connection right after their last event. That event then still lies
        in aiohttp's reader, which shows only the error.
        """
        content = self._response.content
        try:
            return await content.readany()
        except (aiohttp.ClientError, OSError):
            rest = content._read_nowait(-1)  # the one way to it
            if rest or self._merger.ended:
                return rest
            raise

    async def _wait(self) -> None:
        """Let text gather, but not beyond the end of the stream."""
        pace_s = self._pace_s if self._merger.spoke else min(self._pace_s, FIRST_PACE_S)
        with suppress(TimeoutError, aiohttp.ClientError, OSError):  # the next read meets those again
            async with asyncio.timeout(pace_s):
                await self._response.content.wait_eof()


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


def _proxy_for(url: httpx2.URL) -> str | None:
    """The proxy that the environment names for `url`, as other tools would take it."""
    if urllib.request.proxy_bypass(url.netloc.decode()):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"
