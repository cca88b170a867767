"""The use case: somebody looks for what was said, and is shown what they may read, page by page."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from bot import recall_words as words
from bot.domain import SessionKey
from bot.finding import (
    AllNews,
    Bookmark,
    Excerpt,
    Finder,
    Hit,
    Known,
    Line,
    News,
    Page,
    Place,
    Question,
    Readable,
    Search,
    Seen,
    Shelf,
    Shown,
    Side,
)
from bot.query import Name, Query, Unclear, parse

PAGE = 5
"""Hits on a page."""
EXCERPT = 10
"""Messages of a session that are shown together."""
MINE = Query(people=(Name("me"),))
"""What a question without words asks for: where the asker said something."""


class Recall:
    """Finds, pages and shows. Who may read what is asked of the platform each time anew."""

    def __init__(
        self, finder: Finder, known: Known, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._finder = finder
        self._known = known
        self._now = now
        self._shelves: Mapping[str, Shelf] = {}

    def serve(self, shelves: Mapping[str, Shelf]) -> None:
        """Look up these platforms, by name."""
        self._shelves = shelves

    async def ask(self, question: Question, bookmark: Bookmark | None = None) -> Page | str:
        """A page of what `question` finds, or a sentence why there is none."""
        shelf = self._shelves.get(question.at.platform)
        if shelf is None:
            return words.NOT_HERE
        readable = await shelf.places(question.by, question.at, self._known)
        return await self.within(readable, question, bookmark)

    async def ask_as(self, question: Question, bookmark: Bookmark | None = None) -> Page | str:
        """As `ask`, as if it was asked in a direct message. For operators alone."""
        shelf = self._shelves.get(question.at.platform)
        if shelf is None:
            return words.NOT_HERE
        readable = await shelf.places(question.by, question.at, self._known)
        return await self.within(replace(readable, direct=True), question, bookmark)

    async def ask_for_all(self, question: Question, seen: Seen) -> Page | str:
        """As `ask`, of what may be shown to everybody who reads what is said where it is asked.

        `seen` is left out.
        """
        shelf = self._shelves.get(question.at.platform)
        if shelf is None:
            return words.NOT_HERE
        readable = await shelf.places(question.by, question.at, self._known)
        places = await for_everybody(shelf, readable, question.at)
        return await self._within(readable, places, question, seen=seen)

    async def news(self, question: Question, talks: int, most: int) -> AllNews | str:
        """What was said in the thread where it is asked since the asker last spoke there.

        Outside of any, and in direct messages, the same of the newest `talks` sessions that they took part
        in; at most `most` messages of each. Rights and place as for `ask`.
        """
        shelf = self._shelves.get(question.at.platform)
        if shelf is None:
            return words.NOT_HERE
        readable = await shelf.places(question.by, question.at, self._known)
        places = shown_at(readable, question.at)
        if not readable.direct and (here := await self._unseen(question.at, question, places, most)):
            return AllNews([here] if here.lines else [], here=True)
        mine = Search(MINE, frozenset(places), question.by.id, question.at, self._now())
        found = await self._finder.find(mine, 0, 2 * talks)
        keys = [hit.talk.key for hit in found.hits] if found else []
        all_news = [await self._unseen(key, question, places, most) for key in keys if key != question.at]
        return AllNews([each for each in all_news if each and each.lines][:talks], here=False)

    async def _unseen(
        self, key: SessionKey, question: Question, places: Mapping[Place, str], most: int
    ) -> News | None:
        unseen = await self._finder.unseen(key, question.by.id, frozenset(places), most)
        if unseen is None:
            return None
        where = words.where(unseen.talk.place, places.get(unseen.talk.place, ""))
        return News(unseen.talk, where, unseen.lines, unseen.whole)

    def serves(self, platform: str) -> bool:
        """Whether anything can be looked up there."""
        return platform in self._shelves

    async def around(self, hit: Hit, most: int) -> Sequence[Line]:
        """`most` messages of the hit's conversation, itself among them, if its readers are still the same."""
        side = Side(hit.line.position)
        excerpt = await self._finder.excerpt(hit.talk.key, side, frozenset((hit.talk.place,)), most)
        return excerpt.lines if excerpt is not None else ()

    async def within(
        self, readable: Readable, question: Question, bookmark: Bookmark | None = None
    ) -> Page | str:
        """As `ask`, to somebody who may read just that."""
        return await self._within(readable, shown_at(readable, question.at), question, bookmark)

    async def _within(
        self,
        readable: Readable,
        places: Mapping[Place, str],
        question: Question,
        bookmark: Bookmark | None = None,
        seen: Seen | None = None,
    ) -> Page | str:
        zone, zone_name = _zone(question.zone or readable.zone)
        query = parse(question.words, self._now().astimezone(zone))
        if isinstance(query, Unclear):
            return query.sentence
        narrowed = _narrowed(query, places)
        if isinstance(narrowed, str):
            return narrowed
        mark = bookmark or Bookmark(self._now())
        search = Search(
            MINE if query == Query() and question.by.id else query,
            frozenset(narrowed),
            question.by.id,
            question.at,
            mark.as_of,
            bookmark is None,
            seen,
        )
        return await self._page(search, question, readable, narrowed, mark, zone_name)

    async def _page(
        self,
        search: Search,
        question: Question,
        readable: Readable,
        places: Mapping[Place, str],
        mark: Bookmark,
        zone: str,
    ) -> Page | str:
        found = await self._finder.find(search, mark.skip, PAGE)
        if found is None:
            return words.NOTHING_TO_LOOK_FOR
        if not found.total and (stranger := await self._stranger(search)):
            return stranger
        for_all = frozenset() if readable.direct else frozenset(open_to_all(readable, question.at))
        shown = [await self._shown(hit, places, for_all) for hit in found.hits]
        mark = replace(mark, as_of=found.as_of)
        end = mark.skip + PAGE
        return Page(
            words=question.words,
            lead=words.lead(search.query, found, question.words),
            found=shown,
            notes=tuple(words.notes(search.query, found, readable, places, zone)),
            zone=zone,
            earlier=replace(mark, skip=max(0, mark.skip - PAGE)) if mark.skip else None,
            later=replace(mark, skip=end) if end < found.total else None,
        )

    async def _stranger(self, search: Search) -> str:
        """A sentence about a name that nobody has, as far as the asker can see; "" if all are known."""
        for name in search.query.people:
            if name.id or name.text.lower() == "me":
                continue
            if not await self._finder.spoke(name.text, search.places):
                return words.unknown_person(name.text)
        return ""

    async def _shown(self, hit: Hit, places: Mapping[Place, str], for_all: Collection[Place]) -> Shown:
        link = await self.link(hit.talk.key, hit.line.position)
        where = words.where(hit.talk.place, places.get(hit.talk.place, ""))
        return Shown(hit, where, link, hit.talk.place in for_all)

    async def link(self, key: SessionKey, position: int) -> str:
        """Where a reader finds that message; "" where there is no such address."""
        shelf = self._shelves.get(key.platform)
        return await shelf.link(key, position) if shelf else ""

    async def look(self, question: Question, key: SessionKey, side: Side) -> Excerpt | str:
        """A part of a session that the asker may read where they ask, or a sentence."""
        shelf = self._shelves.get(question.at.platform)
        if shelf is None:
            return words.NOT_HERE
        readable = await shelf.places(question.by, question.at, self._known)
        places = frozenset(shown_at(readable, question.at))
        part = await self._finder.excerpt(key, side, places, EXCERPT)
        if part is None:
            return words.NOT_THERE
        return replace(part, links=tuple([await shelf.link(key, line.position) for line in part.lines]))


def shown_at(readable: Readable, at: SessionKey) -> dict[Place, str]:
    """What of it may be shown to the asker alone, who asks at `at`; with names.

    Private places are shown in a direct message, and in themselves.
    """
    if readable.direct:
        return {**readable.shared, **readable.private}
    here = {place: name for place, name in readable.private.items() if _is_here(place, at)}
    return {**readable.shared, **here}


def open_to_all(readable: Readable, at: SessionKey) -> dict[Place, str]:
    """What of it everybody at `at` may open, so that it may be shown there to all; with names.

    In a direct message nobody else reads along. Elsewhere it is the place itself, and what the
    workspace shares unless people of elsewhere are there.
    """
    shown = shown_at(readable, at)
    if readable.direct or not readable.outsiders:
        return shown
    return {place: name for place, name in shown.items() if _is_here(place, at)}


async def for_everybody(shelf: Shelf, readable: Readable, at: SessionKey) -> dict[Place, str]:
    """As `open_to_all`, with the platform asked whether everybody who reads at `at` can open each place."""
    places = open_to_all(readable, at)
    if readable.direct:
        return places
    everybodys = await shelf.open_to_readers_of(at, frozenset(places))
    return {place: name for place, name in places.items() if place in everybodys}


def _is_here(place: Place, at: SessionKey) -> bool:
    return place[:3] == (at.platform, at.workspace, at.channel) and place.thread in {"", at.thread}


def _narrowed(query: Query, places: Mapping[Place, str]) -> dict[Place, str] | str:
    """Those of `places` in the channels that `query` names, or a sentence about one that there is not."""
    if not query.channels:
        return dict(places)
    chosen: dict[Place, str] = {}
    for channel in query.channels:
        fitting = {place: name for place, name in places.items() if _is_called(place, name, channel)}
        if not fitting:
            return words.unknown_channel(channel.text or channel.id, places.values())
        chosen.update(fitting)
    return chosen


def _is_called(place: Place, name: str, channel: Name) -> bool:
    if channel.id:
        return channel.id in {place.channel, place.thread}
    return channel.text.casefold() in {name.removeprefix("#").casefold(), place.channel.casefold()}


def _zone(name: str) -> tuple[tzinfo, str]:
    """The zone of that name; UTC where there is none, or none that this machine knows."""
    try:
        return (ZoneInfo(name), name) if name else (UTC, "UTC")
    except (KeyError, ValueError, OSError):  # no such zone, a path, or a folder of zones
        return UTC, "UTC"
