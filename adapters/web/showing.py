"""The room's things as the page is told of them."""

from dataclasses import asdict
from urllib.parse import quote

from aiohttp import web

from adapters.web.cast import Channel
from adapters.web.ledger import File, Tally
from adapters.web.line import Shown
from adapters.web.markdown import tree
from adapters.web.news import Posted

_PICTURES = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff",
    "image/gif": b"GIF8",
    "image/webp": b"RIFF",
}


def shown_post(posted: Posted, to: str) -> Shown:
    """A post as the page of that person is told of it."""
    post, mark = posted.post, posted.post.mark
    shown = asdict(post)
    del shown["votes"], shown["mark"], shown["called"], shown["named"], shown["deleted_by"]
    return shown | {
        "body": tree(post.text),
        "files": [shown_file(file) for file in post.files],
        "showing": mark.showing if mark else None,
        "vote": dict(post.votes).get(to),
        "tally": shown_tally(posted.tally),
    }


def shown_channel(place: Channel) -> Shown:
    return {"id": place.id, "name": place.name, "kind": place.kind.value, "topic": place.topic} | {
        "members": sorted(place.members)
    }


def shown_file(file: File) -> Shown:
    return {
        "id": file.id,
        "name": file.name,
        "type": file.type,
        "size": file.size,
        "picture": file.type in _PICTURES,
    }


def shown_tally(tally: Tally | None) -> Shown | None:
    return None if tally is None else asdict(tally)


def file_response(file: File, content: bytes) -> web.Response:
    """Pictures that are what they say are shown; everything else is only ever saved."""
    start = _PICTURES.get(file.type)
    shown = start is not None and content.startswith(start)
    how = "inline" if shown else "attachment"
    headers = {
        "Content-Disposition": f"{how}; filename*=UTF-8''{quote(file.name, safe='')}",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "private, max-age=3600",
    }
    type = file.type if shown else "application/octet-stream"
    return web.Response(body=content, headers=headers, content_type=type)
