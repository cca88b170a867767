import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from storage.analyser import composed
from storage.search.clauses import clauses_of, phrase_clause
from storage.search.snippet import _LEAD as LEAD
from storage.search.snippet import LENGTH, _fullest, _marks, snippet


def marked(text: str, asked: str) -> str:
    """The snippet with [brackets] around what is marked."""
    terms = frozenset(term for clause in clauses_of(asked) for way in clause.ways for term in way.terms)
    shown = snippet(text, terms)
    return "".join(f"[{s.text}]" if s.marked else s.text for s in shown.stretches)


@pytest.mark.parametrize(
    ("text", "asked", "expected"),
    [
        ("We deployed it.\nThen  tea", "deploys", "We [deployed] it. Then tea"),
        ("Café or cafe?", "cafe", "[Café] or [cafe]?"),
        ("call foo_bar() now", "foo_bar", "call [foo_bar]() now"),
        ("on GitHub", "github", "on [GitHub]"),
        ("東京都庁の会議", "京都", "東[京都]庁の会議"),
        ("東京都庁の会議", "東京都", "[東京都]庁の会議"),
        ("東京都庁", "庁", "東京都[庁]"),
        ("東京でReactを使う", "react", "東京で[React]を使う"),
        ("ship it 👍🏽 now", "👍", "ship it [👍🏽] now"),
        ("nothing here", "else", "nothing here"),
        ("", "else", ""),
    ],
)
def test_what_was_found_is_marked(text: str, asked: str, expected: str) -> None:
    assert marked(text, asked) == expected


def test_a_long_text_is_shown_where_most_of_the_words_are() -> None:
    text = "alpha " + "filler " * 100 + "alpha beta together " + "filler " * 100
    shown = marked(text, "alpha beta")
    assert "[alpha] [beta] together" in shown
    assert len(shown) <= LENGTH + 8


def test_a_cut_says_so_and_spares_words() -> None:
    terms = frozenset({"beta"})
    shown = snippet("word " * 100 + "beta " + "word " * 100, terms)
    assert shown.cut_before
    assert shown.cut_after
    assert shown.text.startswith("word ")
    assert shown.text.endswith("word")


@given(st.text(max_size=600), st.text(max_size=10))
@example("\u3400®", "®\u3400")
def test_a_snippet_is_a_piece_of_its_text_and_never_longer_than_allowed(text: str, asked: str) -> None:
    phrase = phrase_clause(asked)
    shown = snippet(text, phrase.ways[0].terms if phrase else frozenset(), 40)
    assert len(shown.text) <= 40
    assert shown.text in " ".join(composed(text).split())
    assert all(stretch.text for stretch in shown.stretches)


def test_a_long_text_of_nothing_but_the_words_is_shown_where_both_are() -> None:
    """In one walk: to look at all words again for each would take more than a minute."""
    shown = snippet("a " * 9_000 + "b", clause_terms("a b"))
    assert shown.text.endswith("a b")
    assert not shown.cut_after


def clause_terms(asked: str) -> frozenset[str]:
    return frozenset(term for clause in clauses_of(asked) for way in clause.ways for term in way.terms)


WORDS = ["lion", "zebra", "gnu", "動物", "foo_bar", "of", "the", "savannah"]


@given(
    st.lists(st.sampled_from(WORDS), min_size=60, max_size=200), st.sets(st.sampled_from(WORDS), min_size=1)
)
def test_no_other_stretch_has_more_of_the_words(said: list[str], asked: set[str]) -> None:
    terms = clause_terms(" ".join(asked))
    line = " ".join(said)
    marks = list(_marks(line, terms))

    def many(start: int) -> int:
        inside = (found for a, b, found in marks if start <= a and b <= start + LENGTH)
        return len(frozenset().union(*inside))

    starts = [max(0, min(a - LEAD, len(line) - LENGTH)) for a, _, _ in marks] or [0]
    assert _fullest(marks, LENGTH, len(line) - LENGTH) == max(starts, key=lambda s: (many(s), -s))
