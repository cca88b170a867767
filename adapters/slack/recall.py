"""How what was found looks on Slack, and what the buttons below it say. Pure.

Words of people stand in `rich_text`, where nothing is markup and nothing pings, and marks need no
spaces around them.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from adapters.slack.content import FALLBACK_LENGTH
from adapters.slack.deeds import sharing_buttons
from adapters.slack.events import is_direct
from adapters.slack.markup import defused, plain
from adapters.slack.methods import RECALL_COMMAND
from adapters.slack.picks import PREFIX, Asked, Pick, button, page_value, read_value
from bot.commands import recalled
from bot.finding import Bookmark, Excerpt, Line, Page, Question, Shown, Side
from bot.recall_words import messages_of

READ_HERE, EARLIER, LATER, BACK = "Read here", "Previous", "Next", "Back to what was found"
OLDER, NEWER = "What came before", "What came after"

WORDS_TO_COME_BACK = 300
"""Longer questions are not kept in the five buttons of a page, which all count towards its length."""
EXCERPT_LINE = 600
"""Characters of each of ten lines: blocks of more than about 13,000 fail."""
TEXT_LENGTH = 2_900
"""A section takes 3,000 characters."""

Json = Mapping[str, Any]
Blocks = list[dict[str, Any]]


def words_of(payload: Json) -> str | None:
    """What a slash command asks recall; None if it asks something else."""
    text = str(payload.get("text") or "")
    if payload.get("command") != RECALL_COMMAND:
        return recalled(text)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").strip()


# Messages.


def page_message(page: Page, question: Question, bookmark: Bookmark | None) -> dict[str, Any]:
    """A page of hits with its buttons, for who asked."""
    mark = bookmark or page.later
    now = Bookmark(mark.as_of, bookmark.skip if bookmark else 0) if mark else None
    asked = Asked(page.words, question.at.thread, now)
    blocks: Blocks = [_section(page.lead)]
    for number, shown in enumerate(page.found):
        blocks += _hit(shown, asked, number)
    blocks += _notes(page.notes)
    turns = [(EARLIER, "earlier", page.earlier), (LATER, "later", page.later)]
    blocks += _actions(
        _button(label, name, page_value(Asked(page.words, question.at.thread, to)))
        for label, name, to in turns
        if to is not None
    )
    return _message("\n".join(_as_text(page)), blocks)


def excerpt_message(excerpt: Excerpt, pick: Pick) -> dict[str, Any]:
    """A part of a conversation with its buttons."""
    where = (
        f"{'direct messages' if is_direct(excerpt.talk.key.channel) else f'<#{excerpt.talk.key.channel}>'}"
    )
    found = pick.side.position if pick.side and not pick.side.step else None
    links = excerpt.links or ("",) * len(excerpt.lines)
    lines = [
        _quote([line], excerpt_length=EXCERPT_LINE, marked=found, link=link)
        for line, link in zip(excerpt.lines, links, strict=True)
    ]
    blocks: Blocks = [_section(excerpt.talk.title or "A conversation"), _context(where), *lines]
    buttons = []
    if excerpt.older and excerpt.lines:
        buttons.append((OLDER, "older", Side(excerpt.lines[0].position, -1)))
    if excerpt.newer and excerpt.lines:
        buttons.append((NEWER, "newer", Side(excerpt.lines[-1].position, 1)))
    key = excerpt.talk.key
    made = [
        _button(label, name, read_value(key, side, pick.asked, pick.thread)) for label, name, side in buttons
    ]
    if pick.asked is not None:
        made.append(_button(BACK, "back", page_value(pick.asked)))
    blocks += _actions(iter(made))
    text = "\n".join(f"{line.author.name}: {line.snippet.text}" for line in excerpt.lines)
    return _message(f"{excerpt.talk.title}\n{text}", blocks)


def _message(text: str, blocks: Blocks) -> dict[str, Any]:
    return {"text": plain(text, FALLBACK_LENGTH), "blocks": blocks}


def _as_text(page: Page) -> Iterator[str]:
    """For notifications and screen readers."""
    yield page.lead
    for shown in page.found:
        yield f"{shown.where}, {shown.hit.line.author.name}: {shown.hit.line.snippet.text}"
    yield from page.notes


def _hit(shown: Shown, asked: Asked, number: int) -> Blocks:
    hit = shown.hit
    listed = not asked.words.strip()
    more = f" · {hit.others} more in there" if hit.others and not listed else ""
    size = f" · {messages_of(hit.talk)}" if listed else ""
    title = hit.talk.title or "A conversation"
    name: dict[str, Any] = {"type": "text", "text": defused(title), "style": {"bold": True}}
    if shown.link:
        name |= {"type": "link", "url": shown.link}
    lines = [line for line in (hit.before, hit.line, hit.after) if line is not None]
    carried = asked if len(asked.words) <= WORDS_TO_COME_BACK else None
    value = read_value(hit.talk.key, Side(hit.line.position), carried, asked.thread)
    return [
        {"type": "divider"},
        {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [name]}]},
        _context(
            f"{plain(shown.where, 200)} · "
            f"{moment(hit.talk.active_at if listed else hit.line.sent_at)}{size}{more}"
        ),
        _quote(lines, marked=hit.line.position),
        *_actions(
            iter(
                [
                    _button(READ_HERE, f"read_{number}", value),
                    *sharing_buttons(
                        hit.talk.key, hit.line.position, asked.thread, str(number), for_all=shown.for_all
                    ),
                ]
            )
        ),
    ]


def moment(time: datetime) -> str:
    """A time, which Slack shows in the zone of who reads it."""
    fallback = f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return f"<!date^{int(time.timestamp())}^{{date_short_pretty}}, {{time}}|{fallback}>"


def quote_of(line: Line, most: int) -> dict[str, Any]:
    """One message, with who said it."""
    return _quote([line], marked=None, excerpt_length=most)


def _quote(
    lines: Sequence[Line], *, marked: int | None, excerpt_length: int | None = None, link: str = ""
) -> dict[str, Any]:
    elements: list[dict[str, Any]] = []
    for line in lines:
        if elements:
            elements.append({"type": "text", "text": "\n"})
        elements += _line(line, marked=line.position == marked, most=excerpt_length, link=link)
    return {"type": "rich_text", "elements": [{"type": "rich_text_quote", "elements": elements}]}


def _line(line: Line, *, marked: bool, most: int | None, link: str = "") -> Iterator[dict[str, Any]]:
    start, end = "…" if line.snippet.cut_before else "", "…" if line.snippet.cut_after else ""
    style = {"bold": True} if marked and most else {"italic": True}
    who: dict[str, Any] = {"type": "text", "text": defused(f"{line.author.name}: {start}"), "style": style}
    yield who | {"type": "link", "url": link} if link else who
    left = most or len(line.snippet.text)
    for stretch in line.snippet.stretches:
        text, left = stretch.text[:left], max(0, left - len(stretch.text))
        if text:
            bold = {"style": {"bold": True}} if stretch.marked and marked else {}
            yield {"type": "text", "text": defused(text), **bold}
    if end or len(line.snippet.text) > (most or len(line.snippet.text)):
        yield {"type": "text", "text": "…"}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "plain_text", "text": defused(text)[:TEXT_LENGTH]}}


def _context(mrkdwn: str) -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": mrkdwn}]}


def _notes(notes: Sequence[str]) -> Blocks:
    elements = [{"type": "plain_text", "text": defused(note)[:TEXT_LENGTH]} for note in notes[:10]]
    return [{"type": "context", "elements": elements}] if elements else []


def _button(label: str, name: str, value: str) -> dict[str, Any] | None:
    return button(label, f"{PREFIX}{name}", value)


def _actions(buttons: Iterator[dict[str, Any] | None]) -> Blocks:
    elements = [button for button in buttons if button is not None]
    return [{"type": "actions", "elements": elements}] if elements else []
