"""Threads as downloads of the playground: their addresses, and the answer that streams one."""

import re
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Final
from urllib.parse import quote, urlencode

from aiohttp import web

from adapters.web.translate import PLATFORM, WORKSPACE
from bot.commands import Export, Form
from bot.domain import SessionKey
from bot.taking import Taken, Wish

_LINK: Final = re.compile(r"(?:https?://[^/#]+/)?#/([\w-]{1,64})/(\w{1,20})(?:/\d{1,20})?")


def linked(link: str) -> Sequence[SessionKey]:
    """The session that an address within the page means."""
    found = _LINK.fullmatch(link)
    return (SessionKey(PLATFORM, WORKSPACE, found[1], found[2]),) if found else ()


def address(wish: Wish) -> str:
    """Where `wish` is fulfilled, to whoever of the room may have it."""
    asked = {"as": wish.by.id, "form": wish.export.form.value, "link": wish.export.link}
    channel, thread = quote(wish.at.channel, safe=""), quote(wish.at.thread, safe="")
    return f"/api/export/{channel}/{thread}?{urlencode(asked)}"


def export_of(query: Mapping[str, str]) -> Export:
    """What a request asks for."""
    forms = {form.value: form for form in Form}
    return Export(forms.get(query.get("form", ""), Form.MARKDOWN), query.get("link", ""))


async def send(request: web.Request, taken: Taken) -> web.StreamResponse:
    """Stream it as something that is only ever saved."""
    response = web.StreamResponse(
        headers={
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(taken.name(), safe='')}",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
            "Content-Type": f"{taken.type}; charset=utf-8",
        }
    )
    await response.prepare(request)
    async with aclosing(taken.text()) as pieces:
        async for piece in pieces:
            await response.write(piece.encode())
    await response.write_eof()
    return response
