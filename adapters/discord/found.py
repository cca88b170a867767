"""Pure: what recall found, as Discord's Markdown within the length of a message, and the buttons below."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bot.finding import Excerpt, Line, Page, Shown, Snippet, Stretch
from bot.recall_words import messages_of
from bot.sharing import Quote
from bot.sharing_words import GO_ON, LEAVE, SHOW, SHOW_IT, Sentence, asks_to_show, shown_by

Payload = dict[str, Any]

SUPPRESS_NOTIFICATIONS = 1 << 12
"""Flag of a message of which nobody is notified."""
LENGTH = 2_000
"""Characters of a message."""
PREFIX = "tfr"
ROW, BUTTON = 1, 2
"""Types of components."""
PRIMARY, SECONDARY = 1, 2
"""Styles of buttons."""
SIZES = (240, 160, 100, 60, 30)
"""Characters of each message that are shown, as long as they do not all fit."""
BACK = "Back to what was found"
TITLE, NAME = 80, 40
"""Characters of a conversation's title, and of a person's name."""

_MARKS = re.compile(r"(https?://[^\s<>()]+)|([\\*_~|`<>\[\]()@])|\s+")
_MENTION = re.compile(r"<([@#]\d+)(?:\|[^<>|]*)?>")


class Verb(StrEnum):
    """What a button below an answer does."""

    PAGE = "page"
    """Show the page that begins at a number of hits."""
    READ = "read"
    """Show what stands around a message."""
    OLDER = "older"
    NEWER = "newer"
    OFFER = "offer"
    """Ask whether a message shall be shown to everybody."""
    SHOW = "show"
    GO_ON = "go"


@dataclass(frozen=True, slots=True)
class Press:
    """What a `custom_id` (at most 100 characters) says: `tfr:<token>:<verb>:<number>`."""

    token: str
    """Which question; its words are in memory."""
    verb: Verb
    number: int
    """How many hits come before a page; else a position."""

    def __str__(self) -> str:
        return f"{PREFIX}:{self.token}:{self.verb}:{self.number}"


def read(custom_id: str) -> Press | None:
    """What a `custom_id` says; None if it is not one of recall's."""
    prefix, *rest = custom_id.split(":")
    if prefix != PREFIX or len(rest) != 3 or rest[1] not in list(Verb) or not rest[2].isdecimal():
        return None
    return Press(rest[0], Verb(rest[1]), int(rest[2]))


def plain(text: str) -> str:
    """Text of people as Discord is to show it: on one line, and nothing in it is Markdown or a mention."""

    def defused(match: re.Match[str]) -> str:
        if match[1]:
            return match[1]
        return f"\\{match[2]}" if match[2] else " "

    return _MARKS.sub(defused, text)


def _with_mentions(sentence: str) -> str:
    """Our sentence about what was asked for, in which people and channels stay mentions."""
    pieces = _MENTION.split(sentence)
    return "".join(f"<{piece}>" if number % 2 else plain(piece) for number, piece in enumerate(pieces))


def short(text: str, most: int) -> str:
    """`text`, cut."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


# A page of hits.


def page_text(page: Page) -> str:
    """The page in one message: each line as long as all of them fit."""
    return _fitting(_page(page, size, around) for around in (True, False) for size in SIZES)


def _page(page: Page, size: int, around: bool) -> Iterator[str]:
    lead = _with_mentions(page.lead)
    yield f"**{lead}**" if page.found else lead
    for number, shown in enumerate(page.found, 1):
        yield ""
        yield _head(number, shown, titled=not page.words.strip())
        hit = shown.hit
        if not page.words.strip():
            continue
        for line in (hit.before, hit.line, hit.after) if around else (hit.line,):
            if line is not None:
                yield f"> {_line(line, size, marked=line is hit.line)}"
    if page.notes:
        yield ""
    for note in page.notes:
        yield f"-# {plain(note)}"


def _head(number: int, shown: Shown, *, titled: bool) -> str:
    talk, line = shown.hit.talk, shown.hit.line
    parts = [f"**{number}.** {plain(short(talk.title, TITLE))}" if titled else f"**{number}.**"]
    at = talk.active_at if titled else line.sent_at
    where = f"{plain(shown.where)} · <t:{int(at.timestamp())}:f>"
    parts.append(f"· {where}" if titled else where)
    if titled:
        parts.append(f"· {messages_of(talk)}")
    elif shown.hit.others:
        parts.append(f"· {shown.hit.others} more in there")
    if shown.link:
        parts.append(f"· [open]({shown.link})")
    return " ".join(parts)


def page_buttons(page: Page, token: str, positions: Sequence[int]) -> list[Payload]:
    """To read on around each hit, and to leaf."""
    reading = [
        _button(Press(token, Verb.READ, position), f"Read {number}")
        for number, position in enumerate(dict.fromkeys(positions), 1)
    ]
    leafing = []
    if page.earlier is not None:
        leafing.append(_button(Press(token, Verb.PAGE, page.earlier.skip), "Previous"))
    if page.later is not None:
        leafing.append(_button(Press(token, Verb.PAGE, page.later.skip), "Next", PRIMARY))
    return _rows(reading, leafing)


# A part of a conversation.


def excerpt_text(excerpt: Excerpt, hit: int, link: str) -> str:
    """It in one message, with a link to each as long as that fits; an arrow shows the one that was found.

    `link` is the way to the first of them.
    """
    sizes = (1_000, 500, 300, *SIZES)
    ways = [(size, linked) for linked in (True, False) for size in sizes]
    return _fitting(_excerpt(excerpt, hit, link, size, linked=linked) for size, linked in ways)


def _excerpt(excerpt: Excerpt, hit: int, link: str, size: int, *, linked: bool) -> Iterator[str]:
    at = excerpt.lines[0].sent_at if excerpt.lines else excerpt.talk.active_at
    opening = f" · [open]({link})" if link else ""
    yield f"**{plain(short(excerpt.talk.title, TITLE))}**"
    yield f"<t:{int(at.timestamp())}:f>{opening}"
    yield ""
    links = excerpt.links if linked and excerpt.links else ("",) * len(excerpt.lines)
    for line, its in zip(excerpt.lines, links, strict=True):
        shown = _line(line, size, marked=False, link=its)
        yield f"> ➤ {shown}" if line.position == hit else f"> {shown}"


def excerpt_buttons(
    excerpt: Excerpt, token: str, skip: int, sharing: Sequence[Payload] = ()
) -> list[Payload]:
    """To read on, to go back to the page of hits, and to do something that others see."""
    row = [_button(Press(token, Verb.PAGE, skip), BACK)]
    if excerpt.older and excerpt.lines:
        row.append(_button(Press(token, Verb.OLDER, excerpt.lines[0].position), "Older"))
    if excerpt.newer and excerpt.lines:
        row.append(_button(Press(token, Verb.NEWER, excerpt.lines[-1].position), "Newer"))
    return _rows(row, list(sharing))


# What others see.


def sharing_buttons(token: str, hit: int, *, for_all: bool) -> list[Payload]:
    """To show a message to everybody, and to go on with its conversation."""
    offered = [_button(Press(token, Verb.OFFER, hit), SHOW)] if for_all else []
    return [*offered, _button(Press(token, Verb.GO_ON, hit), GO_ON)]


def asking_text(quote: Quote) -> str:
    """What would be shown, and the question whether it shall be."""
    ask = plain(asks_to_show(quote.here, "you"))
    return f"{ask}\n\n{quote_text(quote, LENGTH - len(ask) - 2)}"


def back_buttons(token: str, skip: int) -> list[Payload]:
    """Back to the page of hits."""
    return _rows([_button(Press(token, Verb.PAGE, skip), BACK)])


def asking_buttons(token: str, hit: int) -> list[Payload]:
    """Yes, and back to where one was."""
    yes = _button(Press(token, Verb.SHOW, hit), SHOW_IT, PRIMARY)
    return _rows([yes, _button(Press(token, Verb.READ, hit), LEAVE)])


def quote_text(quote: Quote, length: int = LENGTH) -> str:
    """A message as everybody sees it."""
    line, text = quote.line, ""
    opening = f" · [open]({quote.link})" if quote.link else ""
    where = f"{plain(short(quote.where, NAME))} · <t:{int(line.sent_at.timestamp())}:f>{opening}"
    by = plain(shown_by(short(quote.by.name, NAME)))
    for size in (1_500, 1_000, 700, *SIZES):
        text = f"{where}\n> {_line(line, size, marked=False)}\n-# {by}"
        if len(text) <= length:
            break
    return text


def sentence_text(said: Sentence) -> str:
    """A sentence with its links."""
    return "".join(
        f"[{plain(piece.text)}]({piece.link})" if piece.link else plain(piece.text) for piece in said
    )


def is_aside(post: Payload) -> bool:
    """Whether a post of the bot was made outside of any reply: it is silent, as no reply is."""
    return bool(int(post.get("flags") or 0) & SUPPRESS_NOTIFICATIONS)


# Lines.


def _line(line: Line, size: int, *, marked: bool, link: str = "") -> str:
    cut = cut_to(line.snippet, size)
    text = "".join(_stretch(stretch, marked) for stretch in cut.stretches)
    before, after = "…" if cut.cut_before else "", "…" if cut.cut_after else ""
    name = plain(short(line.author.name, NAME))
    who = f"**[{name}]({link})**" if link else f"**{name}**"
    return f"{who}: {before}{text}{after}"


def _stretch(stretch: Stretch, marked: bool) -> str:
    text = plain(stretch.text)
    return f"**{text}**" if marked and stretch.marked and text.strip() == text and text else text


def cut_to(snippet: Snippet, most: int) -> Snippet:
    """At most so many characters of it, from shortly before the first mark."""
    total, mark, at = len(snippet.text), 0, 0
    if total <= most:
        return snippet
    for stretch in snippet.stretches:
        if stretch.marked:
            mark = at
            break
        at += len(stretch.text)
    start = max(0, min(mark - most // 3, total - most))
    stretches, at = [], 0
    for stretch in snippet.stretches:
        text = stretch.text[max(0, start - at) : max(0, start + most - at)]
        at += len(stretch.text)
        if text:
            stretches.append(Stretch(text, stretch.marked))
    return Snippet(
        tuple(stretches), snippet.cut_before or start > 0, snippet.cut_after or start + most < total
    )


def _fitting(ways: Iterable[Iterator[str]]) -> str:
    """The first of the texts that fits; of the last as many lines as do."""
    lines: list[str] = []
    for way in ways:
        lines = list(way)
        if len("\n".join(lines)) <= LENGTH:
            break
    while len("\n".join(lines)) > LENGTH:
        lines.pop()
    return "\n".join(lines)


def _button(press: Press, label: str, style: int = SECONDARY) -> Payload:
    return {"type": BUTTON, "style": style, "custom_id": str(press), "label": label}


def _rows(*rows: list[Payload]) -> list[Payload]:
    return [{"type": ROW, "components": row} for row in rows if row]


def is_page(post: Payload) -> bool:
    """Whether a post of the bot shows what was found."""
    buttons = [button for row in post.get("components") or () for button in row.get("components") or ()]
    return any(read(button.get("custom_id") or "") for button in buttons)
