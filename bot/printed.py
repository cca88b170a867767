"""The archive as people read it: Markdown, a page of HTML, or JSON. Pure."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from typing import Protocol

from bot import lines
from bot.domain import Attachment, Message
from bot.quoting import inline, quoted
from bot.sheets import Entry, Piece, Sheet

STYLE = """\
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}
h2{margin-top:3rem;border-top:1px solid #8886;padding-top:1rem}article{margin:1rem 0}
article p{white-space:pre-wrap;overflow-wrap:anywhere;margin:.2rem 0}small{opacity:.7}"""


class Printer(Protocol):
    """Writes pieces in one form."""

    def before(self) -> str:
        """What stands before everything."""

    def piece(self, piece: Piece) -> str:
        """A piece; "" where this form has no place for it."""

    def after(self) -> str:
        """What stands after everything."""


class Jsonl:
    """What `threadfly import` reads back."""

    def before(self) -> str:
        return lines.head() + "\n"

    def piece(self, piece: Piece) -> str:
        return lines.line_of(piece) + "\n"

    def after(self) -> str:
        return ""


class Markdown:
    """One heading a session. Each text is quoted as it was written, so that it ends where it ends."""

    def before(self) -> str:
        return "# What was said\n"

    def piece(self, piece: Piece) -> str:
        match piece:
            case Sheet():
                where = f"{inline(str(piece.key))}, begun {_when(piece.created_at)}"
                return f"\n## {inline(_title(piece))}\n\n{where}\n"
            case Entry():
                return "\n".join(_markdown(piece.message))
        return ""

    def after(self) -> str:
        return ""


class Html:
    """A page that needs nothing else, and runs nothing."""

    def before(self) -> str:
        return (
            '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>What was said</title>'
            f"<style>{STYLE}</style>\n<h1>What was said</h1>\n"
        )

    def piece(self, piece: Piece) -> str:
        match piece:
            case Sheet():
                where = f"{escape(str(piece.key))}, begun {_when(piece.created_at)}"
                return f"<h2>{escape(_title(piece))}</h2>\n<small>{where}</small>\n"
            case Entry():
                return f"<article>{''.join(_html(piece.message))}</article>\n"
        return ""

    def after(self) -> str:
        return "</html>\n"


class Json:
    """One session as one JSON object: what people see of it, without what only operators are told."""

    def __init__(self) -> None:
        self._begun = False

    def before(self) -> str:
        return '{"threadfly": "thread", "format": 1'

    def piece(self, piece: Piece) -> str:
        match piece:
            case Sheet():
                told = {"key": str(piece.key), "title": _title(piece), "begun": _stamp(piece.created_at)}
                return f',\n"session": {_dumped(told)},\n"messages": ['
            case Entry():
                comma, self._begun = "," if self._begun else "", True
                return f"{comma}\n{_dumped(_told(piece.message))}"
        return ""

    def after(self) -> str:
        return "\n]}\n"


PRINTERS: dict[str, type[Printer]] = {"jsonl": Jsonl, "markdown": Markdown, "html": Html}


def _dumped(told: object) -> str:
    return json.dumps(told, ensure_ascii=False)


def _told(message: Message) -> dict[str, object]:
    """Ids are texts: Discord's have more digits than a number of JavaScript holds."""
    author = {"id": message.author.id, "name": _name(message), "kind": message.author.kind.value}
    told: dict[str, object] = {"id": str(message.position), "author": author}
    told |= {"sent_at": _stamp(message.sent_at), "text": message.text}
    if message.edited_at:
        told["edited_at"] = _stamp(message.edited_at)
    if message.note:
        told["note"] = message.note
    if message.attachments:
        told["files"] = [{"name": a.name, "type": a.type, "size": a.size} for a in message.attachments]
    return told


def _markdown(message: Message) -> Iterator[str]:
    yield f"\n**{inline(_name(message))}** · {_times(message)}"
    yield ""
    if said := "\n\n".join(_parts(message)):
        yield quoted(said)
    for attachment in message.attachments:
        yield f"\n{inline(_file(attachment))}"
    yield ""


def _html(message: Message) -> Iterator[str]:
    yield f"<b>{escape(_name(message))}</b> <small>{_times(message)}</small>"
    for part in _parts(message):
        yield f"<p>{escape(part)}</p>"
    for attachment in message.attachments:
        yield f"<p><small>{escape(_file(attachment))}</small></p>"


def _title(sheet: Sheet) -> str:
    return " ".join(sheet.title.split()) or "Untitled"


def _name(message: Message) -> str:
    return " ".join(message.author.name.split()) or message.author.id


def _parts(message: Message) -> list[str]:
    return [part for part in (message.text, message.note) if part]


def _file(attachment: Attachment) -> str:
    return f"File: {' '.join(attachment.name.split())} ({attachment.type or 'unknown type'})"


def _times(message: Message) -> str:
    edited = f", edited {_when(message.edited_at)}" if message.edited_at else ""
    return f"{_when(message.sent_at)}{edited}"


def _when(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).isoformat()
