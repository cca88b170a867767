"""Who may talk to the playground's pages, and what those pages may do.

The playground runs on somebody's own machine, where every website that they visit can reach
127.0.0.1 too. So the name in `Host` must be this machine's own (or a token is asked for), and
what changes anything must come from our own page.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

Serve = Callable[[web.Request], Awaitable[web.StreamResponse]]

COOKIE = "threadfly_playground"
COOKIE_LIVES_S = 30 * 24 * 3600
_OWN_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
_SCHEMES = ("http", "https")
"""A proxy may end TLS, so that the page's scheme is not the request's."""
_READING = frozenset({"GET", "HEAD"})
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """Lets a request through to a page, or answers it itself. An empty token: this machine only."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._pass = hmac.new(token.encode(), b"threadfly playground cookie", hashlib.sha256).hexdigest()

    def wrap(self, serve: Serve) -> Serve:
        """`serve` behind the guard."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            refusal = self._refusal(request)
            response = await serve(request) if refusal is None else refusal
            if not response.prepared:
                for name, value in _HEADERS.items():
                    response.headers.setdefault(name, value)
                response.headers.setdefault("Cache-Control", "no-store")
            return response

        return guarded

    def _refusal(self, request: web.Request) -> web.Response | None:
        if not self._token and _host_name(request) not in _OWN_NAMES:
            return _sentence(421, "The playground is served under 127.0.0.1 and localhost alone.")
        if not _from_own_page(request):
            return _sentence(403, "Another website may not use the playground.")
        if not self._token or self._has_pass(request):
            return None
        if _same(request.query.get("token", ""), self._token) and request.path == "/":
            return self._welcome(request)
        return _sentence(401, "This playground needs its token: open it once as /?token=...")

    def _has_pass(self, request: web.Request) -> bool:
        return _same(request.cookies.get(COOKIE, ""), self._pass)

    def _welcome(self, request: web.Request) -> web.Response:
        """Swap the token for a cookie, so that it stays in no history and no link."""
        response = web.Response(status=303, headers={"Location": "/"})
        response.set_cookie(
            COOKIE,
            self._pass,
            max_age=COOKIE_LIVES_S,
            httponly=True,
            samesite="Strict",
            secure=request.secure,
        )
        return response


def _same(shown: str, kept: str) -> bool:
    """Whether they are equal, in a time that does not tell how nearly. A header may hold any bytes."""
    return hmac.compare_digest(*(text.encode("utf-8", "surrogatepass") for text in (shown, kept)))


def _host_name(request: web.Request) -> str:
    try:
        return (urlsplit(f"//{request.host}").hostname or "").lower()
    except ValueError:
        return ""


def _from_own_page(request: web.Request) -> bool:
    """Whether a browser says that our own page, or nobody's, sent this. Other clients say nothing."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.lower() not in {
        f"{scheme}://{request.host.lower()}" for scheme in _SCHEMES
    }:
        return False
    socket = request.headers.get("Upgrade", "").lower() == "websocket"
    if request.method in _READING and not socket:
        return True
    return request.headers.get("Sec-Fetch-Site", "same-origin") in {"same-origin", "none"}


def _sentence(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text + "\n")
