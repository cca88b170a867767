"""Pure: what recall says, as sentences, and as a text for platforms without a page of their own."""

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from bot.finding import Hits, Line, Page, Place, Readable, Shown, Talk
from bot.query import Query

NOT_HERE = "I can't look things up on this platform yet."
NOT_THERE = "That conversation is not there any more, or not for you here."
NOTHING_TO_LOOK_FOR = "There is no word in that to look for. Try `recall login page`, or `recall` alone."
DIRECT_SHOWS_MORE = "Asked in a direct message with me, I also look into private places."
"""Said to everybody, so that it tells nobody anything."""
LEFT_OUT = "Some places are left out: I could not find out just now whether you may read them."
RESPELLED = "Nothing reads exactly so; these come close."
MOST_NAMES = 5
"""Names of channels that a sentence lists."""
MOST_CHARACTERS = 1_900
"""Of a page as text: it fits into one post of every platform."""


def where(place: Place, name: str) -> str:
    """What a place is called among hits."""
    return name or f"#{place.channel}"


def unknown_person(name: str) -> str:
    """That nobody of that name said anything which the asker may read."""
    return (
        f"I found nobody called “{_short(name)}” where you can read. "
        "Try from:me, or a name as it stands above messages."
    )


def unknown_channel(name: str, names: Collection[str]) -> str:
    """That the asker can look into no channel of that name here."""
    known = min((each for each in names if each.startswith("#")), default="")
    others = f" Try in:{known}." if known else ""
    return f"I can look into no channel called “{_short(name)}” here.{others}"


def lead(query: Query, found: Hits, asked: str) -> str:
    """What was found, in a sentence."""
    what = f"for “{_short(asked)}”" if asked.strip() else "with you" if query.people else "in the archive"
    if not found.total:
        return f"I found nothing {what}."
    many = f"{found.total}{'' if found.whole else ' or more'}"
    things = "conversation" if found.total == 1 and found.whole else "conversations"
    return f"{many} {things} {what}"


def notes(
    query: Query, found: Hits, readable: Readable, places: Mapping[Place, str], zone: str
) -> Iterator[str]:
    """What else the asker should know."""
    if found.respelled:
        yield RESPELLED
    if not found.total:
        yield _searched(query, places)
    if not found.whole and found.hits:
        oldest = min(hit.line.sent_at for hit in found.hits)
        yield f"Older ones may fit too: add before:{(oldest + timedelta(days=1)).date()}."
    if query.dated:
        yield f"I read dates in {_zone_name(zone)}."
    if readable.left_out:
        yield LEFT_OUT
    if not readable.direct:
        yield DIRECT_SHOWS_MORE


def _searched(query: Query, places: Mapping[Place, str]) -> str:
    """Where it was looked, for somebody who found nothing."""
    if query.here:
        return "I looked only here, where you asked."
    if not places:
        return "There is no place yet that I could look into for you."
    names = sorted({name for name in places.values() if name})
    if not names:
        return "I looked into everything that you can read here."
    more = len(names) - MOST_NAMES
    listed = ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
    return f"I looked into what you can read here: {listed}."


def _short(text: str, most: int = 60) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[:most]}…"


def _zone_name(zone: str) -> str:
    return "UTC" if zone == "UTC" else f"your time zone ({zone})"


def messages_of(talk: Talk) -> str:
    """How many messages a conversation has."""
    return "1 message" if talk.messages == 1 else f"{talk.messages:,} messages"


def moment(time: datetime, zone: str) -> str:
    """A time as it is shown."""
    local = time.astimezone(UTC if zone == "UTC" else ZoneInfo(zone))
    return f"{local.day} {local:%b %Y, %H:%M}"


# A page as Markdown.


def as_text(page: Page) -> str:
    """The page in one post, as many hits as fit."""
    head = f"**{page.lead}**" if page.found else page.lead
    tail = "\n".join(page.notes)
    if page.found:
        tail = f"{tail}\nTimes are in {_zone_name(page.zone)}.".strip()
    if page.later:
        tail = f"There is more: make the question narrower, or use the command.\n{tail}"
    pieces, length = [head], len(head) + len(tail)
    for shown in page.found:
        told = _hit_as_text if page.words.strip() else _talk_as_text
        piece = "\n".join(told(shown, page.zone))
        length += len(piece) + 2
        if length > MOST_CHARACTERS:
            break
        pieces.append(piece)
    return "\n\n".join([*pieces, tail]).strip()


def _hit_as_text(shown: Shown, zone: str) -> Iterator[str]:
    hit = shown.hit
    link = f" · [open]({shown.link})" if shown.link else ""
    more = f" · {hit.others} more in there" if hit.others else ""
    yield f"{shown.where} · {moment(hit.line.sent_at, zone)}{more}{link}"
    for line, bold in ((hit.before, False), (hit.line, True), (hit.after, False)):
        if line is not None:
            yield f"> {_line_as_text(line, bold)}"


def _talk_as_text(shown: Shown, zone: str) -> Iterator[str]:
    """A conversation in the list of those in which the asker took part."""
    talk = shown.hit.talk
    link = f" · [open]({shown.link})" if shown.link else ""
    yield f"{shown.where} · {moment(talk.active_at, zone)} · {messages_of(talk)}{link}"
    yield f"> {talk.title or 'A conversation'}"


def _line_as_text(line: Line, bold: bool) -> str:
    parts = line.snippet
    text = "".join(
        _marked(stretch.text) if stretch.marked and bold else stretch.text for stretch in parts.stretches
    )
    start, end = "…" if parts.cut_before else "", "…" if parts.cut_after else ""
    return f"{line.author.name}: {start}{text}{end}"


def _marked(text: str) -> str:
    """In bold; what would end the bold early is left as it is."""
    return f"**{text}**" if text.strip() == text and "*" not in text else text
