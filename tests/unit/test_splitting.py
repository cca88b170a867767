"""Cutting Markdown: what every piece promises, whatever the text."""

import re

import pytest
import regex  # type: ignore[import-untyped]  # comes without types
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.splitting import Piece, _pieces, _uncut, close_open_fence, settled, split

INGREDIENTS = st.sampled_from(
    [
        "word ",
        "Sentence one. ",
        "\n",
        "\n\n",
        "```",
        "```py\n",
        "````md\n",
        "~~~\n",
        "~~~~text\n",
        "\n```\n",
        "\n````\n",
        "    code()\n",
        "- item\n",
        "  ```sh\n",
        "   ```\n",
        "> quoted\n",
        "`inline code` ",
        "[a link](https://example.org/a_b) ",
        "**bold** ",
        "| a | b |\n",
        "x" * 70,
        "`",
        "~",
        "   ",
        "日本語。",
        "漢字",
        "👩‍👩‍👧‍👦",
        "🇩🇪🇫🇷",
        "é́",
        "👍🏽",
        "\r\n",
        "\t",
        "\\`",
    ]
)
MARKDOWN = st.lists(INGREDIENTS, max_size=120).map("".join)
LIMITS = st.sampled_from([120, 121, 200, 333, 500])
ROOMY = st.sampled_from([420, 421, 500])
"""In these, no line of a fence takes so much of a post that it counts as text."""


def units(text: str) -> int:
    """As Discord's clients count: characters beyond the first plane are two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def ink(text: str) -> str:
    return re.sub(r"\s", "", text)


def without_repairs(pieces: list[Piece]) -> str:
    """What the pieces show, less the fences that were added at the cuts."""
    ours = []
    fence = None
    for piece in pieces:
        shown = ink(piece.shown)
        if fence:
            shown = shown.removeprefix(ink(fence.opening))
        if piece.fence:
            shown = shown.removesuffix(ink(piece.fence.closing))
        fence = piece.fence
        ours.append(shown)
    return "".join(ours)


@given(MARKDOWN, LIMITS, st.sampled_from([len, units]))
@settings(max_examples=400, deadline=None)
def test_pieces_fit_and_consume_the_text_in_order(text, limit, length):
    pieces = split(text, limit, length)
    assert all(0 < length(piece.shown) <= limit for piece in pieces)
    assert [piece.start for piece in pieces] == [0, *(piece.end for piece in pieces)][: len(pieces)]
    assert not text[pieces[-1].end if pieces else 0 :].strip()
    assert without_repairs(pieces) == ink(text)


@given(MARKDOWN, LIMITS, st.data())
@settings(max_examples=400, deadline=None)
def test_a_piece_that_is_full_never_changes_while_the_text_grows(text, limit, data):
    at = data.draw(st.integers(0, len(text)))
    earlier = split(settled(text[:at]), limit)[:-1]
    assert split(settled(text), limit)[: len(earlier)] == earlier
    assert split(text, limit)[: len(earlier)] == earlier
    assert split(text, limit, after=earlier) == split(text, limit)


@given(MARKDOWN, ROOMY)
@example("  ```sh\n\t   ```\n", 420)
@settings(max_examples=300, deadline=None)
def test_every_piece_closes_the_fences_that_it_opens(text, limit):
    for piece in split(text, limit):
        assert close_open_fence(piece.shown) == piece.shown


@given(MARKDOWN, LIMITS)
@settings(max_examples=300, deadline=None)
def test_no_cut_is_inside_a_character_as_people_see_it(text, limit):
    boundaries = {match.start() for match in regex.finditer(r"\X", text)}
    for piece in split(text, limit)[:-1]:
        assert piece.end in boundaries or text[piece.end - 1].isspace()


@pytest.mark.parametrize("size", [1_999, 2_000])
def test_what_fits_is_one_piece(size):
    assert [piece.shown for piece in split("x" * size, 2_000)] == ["x" * size]


def test_one_character_too_many_makes_two():
    assert [len(piece.shown) for piece in split("x" * 2_001, 2_000)] == [2_000, 1]


def test_a_code_block_that_just_fits_is_left_whole():
    text = "```py\n" + "x" * 1_990 + "\n```"
    assert [piece.shown for piece in split(text, 2_000)] == [text]


def test_a_block_goes_on_in_the_next_post_with_its_language():
    text = "```python\n" + "print(1)\n" * 40 + "```\nDone."
    first, *others = split(text, 200)
    assert first.shown.endswith("print(1)\n```")
    assert all(piece.shown.startswith("```python\nprint(1)") for piece in others)
    assert others[-1].shown.endswith("print(1)\n```\nDone.")


def test_a_fence_inside_a_longer_or_other_fence_is_text():
    text = "````md\n```py\n" + "code\n" * 60 + "```\n````"
    for piece in split(text, 120):
        assert piece.shown.startswith("````md\n")
        assert piece.shown.endswith("\n````")
    assert split("~~~\n" + "```\ncode\n" * 40 + "~~~", 120)[1].shown.startswith("~~~\n")


def test_code_of_a_list_leaves_its_indentation_with_the_list():
    text = "1. Do:\n   ```sh\n" + "   make\n" * 40 + "   ```\n2. Rest."
    first, *others = split(text, 200)
    assert first.shown.startswith("1. Do:\n   ```sh\n   make\n")
    assert first.shown.endswith("   make\n   ```")
    assert all(piece.shown.startswith("```sh\nmake\n") for piece in others)
    assert others[-1].shown.endswith("\nmake\n```\n2. Rest.")


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("a" * 60 + "\n\n" + "b. " * 5 + "\n" + "c" * 60, "a" * 60),
        ("a" * 60 + "\n" + "b. " * 9 + "c " * 30, "a" * 60),
        ("a " * 30 + "End. " + "c " * 60, "a " * 30 + "End."),
        ("a" * 60 + " " + "c" * 60, "a" * 60),
        ("一" * 60 + "。" + "二" * 60, "一" * 60 + "。"),
        ("- a\n" * 15 + "    - " + "b" * 60, ("- a\n" * 15).strip()),
    ],
    ids=["paragraph", "line", "sentence", "word", "sentence in Chinese", "item"],
)
def test_the_best_place_to_cut(text, first):
    assert split(text, 100)[0].shown == first


def test_inline_code_and_links_are_not_cut_where_it_can_be_helped():
    for span in ("`some inline code of many words`", "[a link of many words](https://example.org/)"):
        text = "word " * 15 + span + " word" * 10
        first, second = split(text, 100)
        assert span in second.shown
        assert first.shown == ("word " * 15).strip()


def test_what_may_become_a_fence_is_held_back():
    assert settled("code\n``") == "code"
    assert settled("text\n```py") == "text"
    assert settled("text\n```py\nx") == "text\n```py\nx"
    assert settled("1. ```") == ""
    assert settled("use `x` and ``") == "use `x` and ``"


def test_an_unfinished_block_is_shown_closed():
    assert close_open_fence("Look:\n```py\nx = 1\n") == "Look:\n```py\nx = 1\n```"
    assert close_open_fence("Look:\n```py\nx = 1\n```\n") == "Look:\n```py\nx = 1\n```\n"


@pytest.mark.parametrize("size", [60_000, 200_000])
def test_long_texts_are_cut_too(size):
    text = ("Some words, and a sentence. " * 9 + "\n\n```py\n" + "print('x')\n" * 30 + "```\n\n") * (
        size // 600
    )
    pieces = split(text[:size], 2_000)
    assert all(len(piece.shown) <= 2_000 for piece in pieces)
    assert len(pieces) < size / 900


def test_the_rest_begins_where_the_last_wanted_piece_ends():
    text = "word " * 1_000
    pieces = split(text, 100, most=3)
    assert len(pieces) == 3
    assert split(text, 100)[3].start == pieces[-1].end


@given(MARKDOWN.map(lambda text: text[:600]) | st.text(max_size=200), LIMITS, st.sampled_from([len, units]))
@example(" \n  \x1c word \u3000\n", 120, len)
@example("~~\n`` ` ``\n\n    code", 120, len)
@settings(max_examples=400, deadline=None)
def test_what_needs_no_care_is_what_the_long_way_makes_of_it(text, limit, length):
    everything = next(iter(_pieces(text, Piece(0, 0, ""), limit, length)), None)
    assert _uncut(text, limit, length) in (None, everything)


def test_white_space_is_no_piece():
    assert split(" \n\t\n", 100) == []
