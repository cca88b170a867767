"""What the page is told to build of somebody's Markdown."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.web.markdown import MOST_DEPTH, MOST_MARKDOWN_CHARS, TAGS, tree

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "</script><svg onload=alert(1)>",
    "[click](javascript:alert(1))",
    "[click](JaVaScRiPt:alert(1))",
    "[click](data:text/html,<script>alert(1)</script>)",
    "[click](vbscript:x)",
    "[click](<java\nscript:alert(1)>)",
    "[click](&#106;avascript:alert(1))",
    "![x](https://elsewhere.example/pixel.png)",
    "![x](data:image/svg+xml;base64,PHN2Zy8+)",
    "<https://ok.example/?a='onmouseover=alert(1)>",
    "|a|\n|:-:|\n|<b onclick=x>|",
    "```html\n</code></pre><script>alert(1)</script>\n```",
)


def elements(nodes: list[object]) -> Iterator[list[object]]:
    for node in nodes:
        if isinstance(node, list):
            yield node
            yield from elements(node[2:])


def text_of(nodes: list[object]) -> str:
    return "".join(node if isinstance(node, str) else text_of(node[2:]) for node in nodes)  # type: ignore[index]


def depth(nodes: list[object]) -> int:
    return max((1 + depth(node[2:]) for node in nodes if isinstance(node, list)), default=0)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_becomes_known_elements_and_safe_links_alone(text: str) -> None:
    for tag, attributes, *_ in elements(tree(text)):
        assert tag in TAGS
        assert isinstance(attributes, dict)
        assert set(attributes) <= {"href", "class", "start", "language"}
        if "href" in attributes:
            assert str(attributes["href"]).startswith(("http://", "https://", "mailto:"))


@pytest.mark.parametrize("address", ["#/general/17/18", "#/dm-ann/main/3"])
def test_a_link_to_a_message_within_the_page_is_one(address: str) -> None:
    assert tree(f"[there]({address})") == [["p", {}, ["a", {"href": address}, "there"]]]


@pytest.mark.parametrize("address", ["#", "#top", "/general", "#/a?b", "##/a", "#//a:b"])
def test_no_other_address_within_the_page_is_a_link(address: str) -> None:
    assert "href" not in str(tree(f"[there]({address})"))


def test_html_is_shown_as_the_text_that_it_is() -> None:
    assert text_of(tree("a <b>c</b>")) == "a <b>c</b>"


@given(st.text(alphabet="*_`~[]()<>!|-#>\n 1.a&;:/@", max_size=300))
def test_any_text_gives_a_shallow_tree_of_known_elements(text: str) -> None:
    nodes = tree(text)
    json.dumps(nodes)
    assert {str(element[0]) for element in elements(nodes)} <= TAGS
    assert depth(nodes) <= MOST_DEPTH + 2


def test_deep_nesting_is_shown_flat_and_whole() -> None:
    deep = "**" * 2_000 + "word" + "**" * 2_000
    nodes = tree(deep)
    assert depth(nodes) <= MOST_DEPTH + 2
    assert "word" in text_of(nodes)


def test_a_fence_keeps_its_text_and_language() -> None:
    assert tree("```python\nif a < b:\n    pass\n```") == [
        ["pre", {"language": "python"}, "if a < b:\n    pass"]
    ]


def test_a_bare_address_is_a_link_without_the_full_stop_after_it() -> None:
    assert tree("See https://a.example/b?c=d.") == [
        ["p", {}, "See ", ["a", {"href": "https://a.example/b?c=d"}, "https://a.example/b?c=d"], "."]
    ]


def test_a_picture_from_elsewhere_is_a_link_so_that_the_page_fetches_nothing() -> None:
    assert tree("![cat](https://a.example/c.png)") == [
        ["p", {}, ["a", {"href": "https://a.example/c.png"}, "cat"]]
    ]


def test_what_is_too_long_to_parse_is_shown_as_written() -> None:
    text = "*" * MOST_MARKDOWN_CHARS + "\nend"
    assert text_of(tree(text)) == text.replace("\n", "")
