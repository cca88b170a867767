"""What recall found as Discord's Markdown, and what is filled in at `/recall` as words. Pure."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.discord import found, recall_command
from bot import dates
from bot.domain import Author, SessionKey
from bot.finding import Bookmark, Excerpt, Hit, Line, Page, Place, Shown, Snippet, Stretch, Talk
from bot.query import Query, Trait, parse

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
KEY = SessionKey("discord", "1", "2", "3")
NASTY = st.text(alphabet="ab *_`~|<>[]()@\\#:\n漢", max_size=300)


def line(position: int, text: str, name: str = "Ann", marked: str = "") -> Line:
    before, mark, after = text.partition(marked) if marked else (text, "", "")
    pieces = (Stretch(before), Stretch(mark, marked=True), Stretch(after))
    snippet = Snippet(tuple(each for each in pieces if each.text), cut_before=False, cut_after=False)
    return Line(position, Author("1", name), NOW, snippet)


def shown(text: str, name: str, where: str) -> Shown:
    talk = Talk(KEY, Place("discord", "1", "2"), text[:80], NOW, 3)
    hit = Hit(talk, line(2, text, name, "a"), line(1, text[:120], name), line(3, text[:120], name), 1_000)
    return Shown(hit, where, "https://discord.com/channels/" + "/".join(["1" * 19] * 3))


def page(texts: list[str], name: str = "Ann", words: str = "x", where: str = "#ops") -> Page:
    hits = [shown(text, name, where) for text in texts]
    return Page(words, "2 conversations", hits, ("A note.",) * 4, "UTC", Bookmark(NOW), Bookmark(NOW, 5))


@given(st.lists(NASTY, min_size=1, max_size=5), NASTY, st.sampled_from(["", "x"]), NASTY)
@settings(max_examples=150)
def test_a_page_fits_into_a_message_with_every_hit(
    texts: list[str], name: str, words: str, where: str
) -> None:
    text = found.page_text(page(texts, name, words, where[:100]))
    assert len(text) <= found.LENGTH
    for number in range(1, len(texts) + 1):
        assert f"**{number}.**" in text


@given(st.lists(st.text(max_size=1_000), min_size=1, max_size=10), NASTY)
@settings(max_examples=50)
def test_a_part_of_a_conversation_fits_into_a_message(texts: list[str], name: str) -> None:
    lines = tuple(line(number, text, name) for number, text in enumerate(texts))
    talk = Talk(KEY, Place("discord", "1", "2"), "title", NOW, 3)
    text = found.excerpt_text(Excerpt(talk, lines, older=True, newer=True), 0, "https://x.example")
    assert len(text) <= found.LENGTH
    assert text.count("\n> ") == len(lines)


@given(NASTY)
def test_words_of_people_are_no_markdown(text: str) -> None:
    plain = found.plain(text)
    assert "\n" not in plain
    bare = plain.replace("\\\\", "")
    assert all(bare[at - 1 : at] == "\\" for at, sign in enumerate(bare) if sign in "*_`~|<>[]()@")


@pytest.mark.parametrize("most", [1, 5, 20, 99])
def test_a_line_is_cut_so_that_its_mark_stays(most: int) -> None:
    long = line(1, "x" * 60 + "MARK" + "y" * 60, marked="MARK").snippet
    cut = found.cut_to(long, most)
    assert len(cut.text) == most
    assert any(stretch.marked for stretch in cut.stretches)
    assert cut.cut_before or cut.cut_after


def test_buttons_say_what_they_are_about_within_discords_length() -> None:
    press = found.Press("f" * 12, found.Verb.NEWER, 2**63)
    assert len(str(press)) <= 100
    assert found.read(str(press)) == press
    assert found.read("tf:stop:1:2") is None
    assert found.read("tfr:a:nonsense:1") is None


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, Query()),
        ({"words": 'login "the page'}, {"words": ("login",), "phrases": ("the page",)}),
        ({"words": "login", "here": True}, {"words": ("login",), "here": True}),
        ({"words": "login", "here": False}, {"words": ("login",)}),
        ({"words": "login", "has": "file"}, {"words": ("login",), "traits": frozenset([Trait.FILE])}),
    ],
)
def test_options_are_the_words_of_a_question(options: dict[str, object], wanted: object) -> None:
    data = {"options": [{"name": name, "value": value} for name, value in options.items()]}
    assert parse(recall_command.words(data), NOW) == (wanted if wanted == Query() else Query(**wanted))  # type: ignore[arg-type]  # a table of keywords


def test_people_channels_and_dates_are_told_by_their_ids() -> None:
    given_ = {"words": "a “b", "from": "11", "in": "22", "after": 'last "week', "before": "today"}
    data = {
        "options": [{"name": name, "value": value} for name, value in given_.items()],
        "resolved": {"channels": {"22": {"id": "22", "name": "ops|<x>"}}},
    }
    query = parse(recall_command.words(data), NOW)
    assert isinstance(query, Query)
    assert (query.words, query.phrases) == (("a",), ("b",))
    assert [person.id for person in query.people] == ["11"]
    assert [(channel.id, channel.text) for channel in query.channels] == [("22", "opsx")]
    assert query.after is not None
    assert query.before is not None
    assert query.after < query.before


@pytest.mark.parametrize("date", recall_command.DATES)
def test_every_suggested_date_is_understood(date: str) -> None:
    assert dates.span(date, NOW) is not None
