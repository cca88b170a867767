"""Looking things up in the playground: who may read what, and hits as the page is told of them."""

from typing import Any

from adapters.web.cast import Cast, Channel, Kind
from adapters.web.room import Room
from adapters.web.translate import DIRECT_THREAD, PLATFORM, WORKSPACE
from bot.domain import Author, SessionKey
from bot.finding import Excerpt, Known, Line, Page, Place, Readable, Shown

Json = dict[str, Any]


class CastShelf:
    """The playground's rules: everybody reads public channels, members read the others."""

    def __init__(self, cast: Cast) -> None:
        self._cast = cast

    async def places(self, asker: Author, at: SessionKey, known: Known) -> Readable:  # noqa: ARG002 - the port's
        readable = self._cast.readable(asker.id)
        here = self._cast.channels.get(at.channel)
        return Readable(
            shared={_place(each): _name(each) for each in readable if each.kind is Kind.PUBLIC},
            private={_place(each): _name(each) for each in readable if each.kind is not Kind.PUBLIC},
            direct=here is not None and here.kind is Kind.DIRECT,
        )

    async def open_to_readers_of(self, at: SessionKey, places: frozenset[Place]) -> frozenset[Place]:
        """What all of the cast may open who may open the channel of `at`."""
        readers = [each for each in self._cast.people if self._cast.may_read(each, at.channel)]
        return frozenset(
            place for place in places if all(self._cast.may_read(each, place.channel) for each in readers)
        )

    async def link(self, key: SessionKey, position: int) -> str:
        """Within the page."""
        return f"#/{key.channel}/{key.thread or DIRECT_THREAD}/{position}"


def _place(channel: Channel) -> Place:
    return Place(PLATFORM, WORKSPACE, channel.id)


def _name(channel: Channel) -> str:
    return "direct messages" if channel.kind is Kind.DIRECT else f"#{channel.name}"


def shown_page(page: Page) -> Json:
    """A page of hits as JSON."""
    return {
        "words": page.words,
        "lead": page.lead,
        "found": [_shown_hit(shown) for shown in page.found],
        "notes": list(page.notes),
        "as_of": _stamp(page),
        "earlier": page.earlier.skip if page.earlier else None,
        "later": page.later.skip if page.later else None,
    }


def _stamp(page: Page) -> int | None:
    mark = page.earlier or page.later
    return Room.stamp_of(mark.as_of) if mark else None


def _shown_hit(shown: Shown) -> Json:
    hit = shown.hit
    lines = [(hit.before, False), (hit.line, True), (hit.after, False)]
    return {
        "where": shown.where,
        "title": hit.talk.title,
        "messages": hit.talk.messages,
        "others": hit.others,
        "active": Room.stamp_of(hit.talk.active_at),
        "link": shown.link,
        "for_all": shown.for_all,
        "channel": hit.talk.key.channel,
        "thread": hit.talk.key.thread,
        "position": hit.line.position,
        "lines": [shown_line(line, is_hit=is_hit) for line, is_hit in lines if line is not None],
    }


def shown_excerpt(excerpt: Excerpt, position: int) -> Json:
    """A part of a conversation as JSON; the message at `position` is the one that was found."""
    return {
        "title": excerpt.talk.title,
        "lines": [
            shown_line(line, is_hit=line.position == position) | {"link": link}
            for line, link in zip(excerpt.lines, excerpt.links, strict=True)
        ],
        "older": excerpt.older,
        "newer": excerpt.newer,
    }


def shown_line(line: Line, *, is_hit: bool) -> Json:
    """A message as JSON."""
    return {
        "position": line.position,
        "author": line.author.id,
        "name": line.author.name,
        "at": Room.stamp_of(line.sent_at),
        "hit": is_hit,
        "pieces": [[stretch.text, stretch.marked] for stretch in line.snippet.stretches],
        "cut_before": line.snippet.cut_before,
        "cut_after": line.snippet.cut_after,
    }
