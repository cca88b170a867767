"""Words of people within a Markdown document: they look as they were meant, and end where they end. Pure.

A quote is a container of its own: what is left open in it (a fence, a list, a comment) ends with it.
https://spec.commonmark.org/0.31.2/#block-quotes
"""

import functools
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_MAY_BE_HTML: Final = re.compile(r"<[A-Za-z/!?]")
_MARKS: Final = re.compile(r"([\\`*_\[\]<>&~|])")
_ROUNDS: Final = 3
"""A mended tag can uncover another one; after so many rounds nothing is left that could be one."""


def inline(text: str) -> str:
    """A text of one line in which nothing is markup."""
    return _MARKS.sub(r"\\\1", " ".join(text.split()))


def quoted(text: str) -> str:
    """`text` as a quote. Its Markdown stays; its HTML is shown, not obeyed."""
    quote = "\n".join(f"> {line}" if line else ">" for line in _LINE_END.split(text))
    if not _MAY_BE_HTML.search(quote):
        return quote
    for _ in range(_ROUNDS):
        try:
            tokens = _parser().parse(quote)
        except IndexError:  # markdown-it reads past the end of "> - <script>\n>": then none of it is markup
            break
        if not any(_is_html(tokens)):
            return quote
        quote = _escaped(quote, frozenset(_literal(tokens)))
    return _escaped(quote, frozenset())


@functools.cache
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": True})


def _is_html(tokens: "list[Token]") -> Iterator[bool]:
    for token in tokens:
        yield token.type in {"html_block", "html_inline"}
        yield from _is_html(token.children or [])


def _literal(tokens: "list[Token]") -> Iterator[int]:
    """Numbers of the lines that are code."""
    for token in tokens:
        if token.type in {"fence", "code_block"} and token.map:
            yield from range(*token.map)


def _escaped(quote: str, but: frozenset[int]) -> str:
    lines = quote.split("\n")
    return "\n".join(
        line if number in but else line.replace("<", "&lt;") for number, line in enumerate(lines)
    )
