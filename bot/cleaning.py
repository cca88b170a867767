"""Pure: text from outside as every store and model can take it."""

from dataclasses import replace
from functools import lru_cache

from bot.domain import Attachment, Author, Message

NAME_LENGTH = 40
"""Most characters of a name that a prompt shows."""
NAMES = 1_024
"""How many are known as they are shown: those who speak come again and again."""


def clean(text: str) -> str:
    """Without NUL, which PostgreSQL refuses, and with lone surrogates, which UTF-8 has not, replaced."""
    if "\0" in text:
        text = text.replace("\0", "")
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def clean_message(message: Message) -> Message:
    """`message` with all its texts clean: most are so as they come."""
    text, author = clean(message.text), clean_author(message.author)
    if not message.attachments and text == message.text and author is message.author:
        return message
    attachments = tuple(
        Attachment(clean(a.name), clean(a.type), a.size, clean(a.url)) for a in message.attachments
    )
    return replace(message, text=text, author=author, attachments=attachments)


def clean_author(author: Author) -> Author:
    """`author` with a clean name and id."""
    author_id, name = clean(author.id), clean(author.name)
    same = author_id == author.id and name == author.name
    return author if same else replace(author, id=author_id, name=name)


@lru_cache(NAMES)
def plain_name(name: str) -> str:
    """A name that can be nothing but a name: one short line without what could end it."""
    printable = "".join(ch if ch.isprintable() and ch not in ":<>[]{}`#*_|" else " " for ch in name)
    return " ".join(printable.split())[:NAME_LENGTH] or "someone"
