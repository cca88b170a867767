"""Words of people in a Markdown document: nothing in them reaches beyond them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bot.quoting import inline, quoted

BITS = ["```", "~~~", "<script>", "<!--", "-->", "<details>", "\\n", "\n", "\r", "    ", "\t", "- ", "> "]
BITS += ["`", "# x", "<", ">", "[a]: b", "<?", "<![CDATA[", "</b>", "a", "  ", "***", "<b", "\\", "\n\n", "|"]
TEXTS = st.lists(st.sampled_from(BITS), max_size=12).map("".join)


def kinds(markdown: str) -> list[str]:
    """What a renderer that lets HTML through makes of it, at the top."""
    tokens = MarkdownIt("commonmark", {"html": True}).parse(markdown)
    return [token.type for token in tokens if token.level == 0 and token.nesting >= 0]


def html(markdown: str) -> list[str]:
    tokens = MarkdownIt("commonmark", {"html": True}).parse(markdown)
    inner = [child for token in tokens for child in token.children or ()]
    return [token.content for token in [*tokens, *inner] if token.type.startswith("html")]


@given(TEXTS)
def test_whatever_is_said_ends_where_it_ends_and_none_of_it_is_html(text: str) -> None:
    document = f"{quoted(text)}\n\nnext\n"
    assert kinds(document) == ["blockquote_open", "paragraph_open"]
    assert html(document) == []


@given(TEXTS.map(lambda text: " ".join(text.split())))
def test_a_name_is_nothing_but_a_name(name: str) -> None:
    tokens = MarkdownIt("commonmark", {"html": True}).parse(f"**x{inline(name)}** y")
    (said,) = (token for token in tokens if token.type == "inline")
    shown = [child.type for child in said.children or ()]
    assert shown in (
        ["text", "strong_open", "text", "strong_close", "text"],
        ["strong_open", "text", "strong_close", "text"],
    )


@pytest.mark.parametrize(
    "text",
    [
        "plain, with **bold** and `a < b`",
        "```html\n<script>\n```",
        "`List<String>` is in <https://a.example>",
        "1 < 2 <3",
    ],
)
def test_what_is_harmless_stays_as_it_was_written(text: str) -> None:
    assert quoted(text) == "\n".join(f"> {line}" for line in text.split("\n"))


def test_what_its_parser_can_not_read_is_shown_without_html() -> None:
    assert quoted("- <script>\n") == "> - &lt;script>\n>"


def test_code_beside_html_stays_code() -> None:
    assert quoted("<b>x\n\n```\n<i>\n```") == "> &lt;b>x\n>\n> ```\n> <i>\n> ```"
