"""The archive as people read it: Markdown or a page of HTML. Pure."""

from collections.abc import Iterator
from html import escape
from typing import Protocol

from bot import lines
from bot.domain import Attachment, Message
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
    """One heading a session. Texts are as they were written, which is mostly Markdown anyway."""

    def before(self) -> str:
        return "# What was said\n"

    def piece(self, piece: Piece) -> str:
        match piece:
            case Sheet():
                return f"\n## {_title(piece)}\n\n`{piece.key}`, begun {_when(piece.created_at)}\n"
            case Entry():
                message = piece.message
                said = "\n".join(_parts(message))
                files = "".join(f"\n- {_file(attachment)}" for attachment in message.attachments)
                return f"\n**{_name(message)}** · {_times(message)}\n\n{said}{files}\n"
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


PRINTERS: dict[str, type[Printer]] = {"jsonl": Jsonl, "markdown": Markdown, "html": Html}


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


def _when(time: object) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
