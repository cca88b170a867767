import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from storage.analyser import LONGEST_TEXT, analyse, chunks, composed, fold, pairs_of, words_of
from storage.search.clauses import phrase_clause

HARD_TEXT = st.text(
    alphabet=st.one_of(
        st.sampled_from("aA1 é\u0301_./:-'’#+|\"*()\x00\n👍🏽\u200d\ufe0f❤字京한がｶﾞß½ﬁहि\u00ad\U0001f1e9"),
        st.characters(),
    ),
    max_size=120,
)


def terms(text: str) -> frozenset[str]:
    return analyse(text).terms


def finds(asked: str, text: str) -> bool:
    return terms(asked) <= terms(text)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("deploy", "We deployed it on Friday"),
        ("DECIDED", "they decide"),
        ("cafe", "Café"),
        ("café", "Cafe\u0301"),
        ("strasse", "Straße"),
        ("smorrebrod", "smørrebrød"),
        ("abc", "ＡＢＣ"),
        ("fine", "ﬁne"),
        ("привет", "Привет!"),
        ("ガッコウ", "ｶﾞｯｺｳ"),
        ("京都", "東京都庁"),
        ("京", "東京都庁"),
        ("한국", "한국어를 배워요"),
        ("登录", "请看登录页面"),
        ("react", "東京でReactを使う"),
        ("हिन्दी", "यह हिन्दी है"),
        ("👍", "done 👍🏽"),
        ("❤", "I ❤️ it"),
        ("👩", "👨‍👩‍👧 home"),
        ("👨‍👩‍👧", "👨‍👩‍👧 home"),
        ("🇩🇪", "from 🇩🇪🇫🇷"),
        ("foo_bar", "call foo_bar()"),
        ("foo", "call foo_bar()"),
        ("bar", "call FooBar()"),
        ("foobar", "call FooBar()"),
        ("foobar", "see foo.bar"),
        ("/usr/lib/x.py", "in /usr/lib/x.py, line 12"),
        ("lib", "in /usr/lib/x.py"),
        ("c++", "written in C++, not C#"),
        ("ann", "Ann's plan"),
        ("dont", "don’t"),
        ("email", "e-mails"),
        ("cooperate", "co\u00adoperate"),
    ],
)
def test_text_is_found(asked: str, text: str) -> None:
    assert finds(asked, text)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("が", "か"),
        ("東都", "東京都"),
        ("👎", "👍"),
        ("log", "login"),
        ("foobar", "foo bar"),
        ("c++", "c"),
    ],
)
def test_text_is_not_found_by_something_else(asked: str, text: str) -> None:
    assert not finds(asked, text)


def test_the_stream_keeps_words_as_written_and_in_order() -> None:
    assert analyse("We deployed Foo_Bar, 東京!").stream == " we deployed foo bar 東 京 | foobar | foo_bar "


def test_a_phrase_never_runs_from_the_text_into_its_other_spellings() -> None:
    assert " foobar bazqux " not in analyse("foo-bar baz-qux").stream
    assert " | foobar | " in analyse("foo-bar baz-qux").stream


@given(HARD_TEXT)
def test_whatever_is_written_finds_itself_again_through_its_own_words(text: str) -> None:
    analysis = analyse(text)
    words = analysis.stream.split(" | ")[0].split()
    for word in words:
        assert analyse(word).terms <= analysis.terms


@given(HARD_TEXT)
@example("lion _ zebra")
@example("'_' FooBar")
def test_a_text_is_found_by_all_of_it_as_a_phrase(text: str) -> None:
    asked, analysis = phrase_clause(text), analyse(text)
    ways = asked.ways if asked else ()
    assert all(way.terms <= analysis.terms and way.pattern in analysis.stream for way in ways)


@given(HARD_TEXT)
def test_terms_hold_nothing_that_an_engine_could_take_for_syntax(text: str) -> None:
    for term in analyse(text).terms:
        assert term
        assert not set(term) & set(" |\"'*()&!<>%\\/:,;=\x00\n")
        term.encode()


@given(HARD_TEXT)
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(HARD_TEXT)
def test_chunks_stand_where_they_say(text: str) -> None:
    whole = composed(text)
    ends = 0
    for chunk in chunks(whole):
        assert ends <= chunk.start < chunk.end <= len(whole)
        assert chunk.pieces.terms <= analyse(text).terms
        ends = chunk.end


@given(HARD_TEXT)
def test_normal_forms_do_not_matter(text: str) -> None:
    assert terms(unicodedata.normalize("NFD", text)) == terms(unicodedata.normalize("NFC", text))


@pytest.mark.parametrize("piece", ["a", "a.", "字", "a'", "👍\u200d", "aB", "\u0301", "1\ufe0f", "/_", "://"])
def test_the_longest_text_stays_within_bounds(piece: str) -> None:
    analysis = analyse(piece * LONGEST_TEXT)
    assert len(analysis.stream) <= 2 * LONGEST_TEXT + 100
    assert max(map(len, analysis.terms), default=0) <= 100


@pytest.mark.parametrize(
    "text", ["ﷺ" * LONGEST_TEXT, "ﷺ " * LONGEST_TEXT, "a\N{SQUARE APAATO}" * LONGEST_TEXT]
)
def test_a_text_that_grows_without_its_ligatures_is_known_by_its_beginning(text: str) -> None:
    analysis = analyse(text)
    assert len(analysis.stream) <= 3 * LONGEST_TEXT
    assert len(analysis.terms) > 0


def test_a_long_text_with_a_few_ligatures_is_known_whole() -> None:
    assert "zebra" in analyse("字ﷺ。" * 1_000 + "字。" * 40_000 + "zebra").terms


WORDS = st.lists(
    st.sampled_from(["a", "no", "foo_bar", "FooBar", "東京", "京", "👍", "é", "x.y", "-"]), max_size=8
)


@given(WORDS, st.data())
def test_a_phrase_has_no_pair_that_the_texts_with_it_have_not(words: list[str], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(words)))
    clause = phrase_clause(" ".join(words[start : data.draw(st.integers(start, len(words)))]))
    stream = analyse(" ".join(words)).stream
    if clause and clause.exact in stream:
        assert clause.ways[0].pairs <= pairs_of(words_of(stream))


def test_words_the_other_way_round_are_another_pair() -> None:
    assert pairs_of(["login", "page"]) != pairs_of(["page", "login"])
    assert len(pairs_of(["login", "page"])) == 1
