"""What a request of the page says, read with bounds, and refused with a sentence."""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from adapters.web.guard import Serve
from adapters.web.news import NotThere, Refused, RoomUnavailable
from adapters.web.room import MOST_PERSON_CHARS, Room
from adapters.web.words import clean
from bot.errors import ThreadflyError
from bot.finding import Bookmark

MOST_SKIPPED = 10_000
"""Hits that a bookmark may leave out."""
LAST_STAMP = 32_503_680_000_000_000
"""Microseconds until the year 3000."""
MOST_NAME_CHARS = 64
"""Of what a page gives a name to; its own names are shorter."""
MOST_JSON_BYTES = 2 * 1024 * 1024


def kindly(serve: Serve) -> Serve:
    """`serve`, whose refusals become a status and a sentence."""

    async def kind(request: web.Request) -> web.StreamResponse:
        try:
            return await serve(request)
        except NotThere as exc:
            return web.json_response({"sorry": str(exc)}, status=404)
        except Refused as exc:
            return web.json_response({"sorry": str(exc)}, status=422)
        except (RoomUnavailable, ThreadflyError) as exc:
            return web.json_response({"sorry": str(exc)}, status=503)

    return kind


async def body_of(request: web.Request, most: int, limit: str) -> bytes:
    """The request's body; `Refused` as soon as it is larger than `most` bytes."""
    body = bytearray()
    async for chunk in request.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > most:
            raise Refused(f"That is too large: {limit}.")
    return bytes(body)


async def json_of(request: web.Request) -> dict[str, Any]:
    if request.content_type != "application/json":
        raise Refused("Only JSON is understood here.")
    body = await body_of(request, MOST_JSON_BYTES, f"a message takes {MOST_PERSON_CHARS:,} characters")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise Refused("That is no JSON.") from exc
    if not isinstance(value, dict):
        raise Refused("That is no JSON object.")
    return value


def text_of(asked: Mapping[str, Any]) -> str:
    text = asked.get("text", "")
    if not isinstance(text, str):
        raise Refused("The text must be a string.")
    return text


def files_of(asked: Mapping[str, Any]) -> list[str]:
    """Ids of uploads; what is none is left out."""
    files = asked.get("files")
    return [_name(id) for id in files if isinstance(id, str)] if isinstance(files, list) else []


def zone_of(asked: Mapping[str, Any]) -> str:
    """The name of the reader's time zone, as their browser says it."""
    zone = asked.get("zone")
    return zone[:64] if isinstance(zone, str) else ""


def nonce_of(asked: Mapping[str, Any]) -> str:
    """The name that a page gave to what it does; "" for none."""
    nonce = asked.get("nonce")
    return _name(nonce) if isinstance(nonce, str) else ""


def gesture_of(person: str, asked: Mapping[str, Any]) -> str:
    """What somebody did, by the name that their page gave it."""
    nonce = nonce_of(asked)
    if not nonce:
        raise Refused("What you did has no name.")
    return f"{person}:{nonce}"


def _name(text: str) -> str:
    """As every store takes it."""
    return clean(text)[:MOST_NAME_CHARS]


def bookmark_of(asked: Mapping[str, Any]) -> Bookmark:
    """Which page is asked for."""
    skip, as_of = number_of(str(asked.get("skip") or 0)), number_of(str(asked.get("as_of") or ""))
    if skip is None or as_of is None or skip > MOST_SKIPPED or as_of > LAST_STAMP:
        raise NotThere("There is no such page.")
    return Bookmark(Room.time_of(as_of), skip)


def root_of(asked: Mapping[str, Any]) -> int | None:
    root = asked.get("root")
    return None if root is None else number_of(str(root))


def number_of(text: str | None) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or len(text) > 18:
        raise NotThere("There is no such thread.")
    return int(text)


def position_of(request: web.Request) -> int:
    position = number_of(request.match_info["position"])
    if position is None:
        raise NotThere("That message is not there any more.")
    return position
