"""Markdown as a tree of plain values, from which the page builds elements one by one.

There is no HTML anywhere between a message and the reader: a node is a string (text) or a list
`[tag, attributes, *children]`, the tags are those of `TAGS`, and the page refuses any other. Hence
nothing that somebody writes can become a script, an image that calls home, or a style.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

TAGS = frozenset(
    {"p", "br", "hr", "h4", "strong", "em", "s", "code", "pre", "a", "ul", "ol", "li", "blockquote"}
    | {"table", "thead", "tbody", "tr", "th", "td"}
)
MOST_DEPTH = 24
"""Nesting past this is shown flat: a message of ten thousand quotes is no reason to recurse."""
KEPT_TREES = 512
MOST_MARKDOWN_CHARS = 10_000
"""Longer posts (people's alone) are shown as written: some hostile texts take the parser a time that
grows with the square of their length, and everybody in the room would wait for it."""
_SAFE_LINK = re.compile(r"(?:(?:https?://|mailto:)[^\s\x00-\x1f]+|#/[\w/-]+)\Z", re.IGNORECASE)
"""To elsewhere, or to a message in the playground."""
_BARE_LINK = re.compile(r"\bhttps?://[^\s<>\"'`]+", re.IGNORECASE)
_LANGUAGE = re.compile(r"[\w+#.-]{1,30}")
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})

_parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])


@lru_cache(maxsize=KEPT_TREES)
def tree(text: str) -> list[object]:
    """The blocks of `text`. The lists are shared between callers: read them only."""
    if len(text) > MOST_MARKDOWN_CHARS:
        return _as_written(text)
    build = _Build()
    build.take(_parser.parse(text))
    return build.top


class _Build:
    """Turns the parser's flat tokens into nested lists, without recursion."""

    def __init__(self) -> None:
        self.top: list[object] = []
        self._open: list[list[object] | None] = []
        """None stands for an opened element that is not shown (hidden, unknown, or too deep)."""

    def take(self, tokens: Sequence[Token]) -> None:
        for token in _flat(tokens):
            if token.nesting > 0:
                self._enter(token)
            elif token.nesting < 0:
                self._open.pop()
            else:
                self._leaf(token)

    def _enter(self, token: Token) -> None:
        element = None if token.hidden or len(self._open) >= MOST_DEPTH else _element(token)
        if element is not None:
            self._here().append(element)
        self._open.append(element)

    def _leaf(self, token: Token) -> None:
        match token.type:
            case "text" | "html_inline" | "html_block":
                self._text(token.content)
            case "code_inline":
                self._here().append(["code", {}, token.content])
            case "fence" | "code_block":
                self._here().append(_code(token))
            case "hardbreak" | "softbreak":
                self._here().append(["br", {}])
            case "hr":
                self._here().append(["hr", {}])
            case "image":
                self._here().append(_picture(token))
            case _:
                self._text(token.content)

    def _text(self, text: str) -> None:
        linked = any(element is not None and element[0] == "a" for element in self._open)
        self._here().extend([text] if linked else _with_links(text))

    def _here(self) -> list[object]:
        return next((element for element in reversed(self._open) if element is not None), self.top)


def _as_written(text: str) -> list[object]:
    lines: list[object] = [piece for line in text.split("\n") for piece in (line, ["br", {}])]
    return [["p", {}, *lines[:-1]]]


def _flat(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        if token.type == "inline":
            yield from token.children or ()
        else:
            yield token


def _element(token: Token) -> list[object] | None:
    if token.tag in _HEADINGS:
        return ["h4", {"class": f"level-{token.tag[1]}"}]
    if token.tag == "a":
        return _link(str(token.attrs.get("href", "")))
    if token.tag not in TAGS:
        return None
    return [token.tag, _attributes(token)]


def _attributes(token: Token) -> dict[str, object]:
    if token.tag == "ol" and isinstance(token.attrs.get("start"), int):
        return {"start": token.attrs["start"]}
    aligned = str(token.attrs.get("style", ""))
    if token.tag in {"th", "td"} and aligned.startswith("text-align:"):
        return {"class": f"align-{aligned.removeprefix('text-align:')}"}
    return {}


def _link(href: str) -> list[object] | None:
    return ["a", {"href": href}] if _SAFE_LINK.match(href) else None


def _picture(token: Token) -> list[object] | str:
    """A picture from elsewhere is a link: the page fetches nothing from other hosts."""
    link = _link(str(token.attrs.get("src", "")))
    name = token.content or "picture"
    return name if link is None else [*link, name]


def _code(token: Token) -> list[object]:
    language = _LANGUAGE.match(token.info.strip())
    return ["pre", {"language": language[0] if language else ""}, token.content.removesuffix("\n")]


def _with_links(text: str) -> Iterator[object]:
    end = 0
    for match in _BARE_LINK.finditer(text):
        address = match[0].rstrip(".,;:!?*_~)]}")
        yield from (piece for piece in (text[end : match.start()],) if piece)
        yield ["a", {"href": address}, address]
        end = match.start() + len(address)
    yield from (piece for piece in (text[end:],) if piece)
