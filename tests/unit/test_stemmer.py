import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.stemmer import stem


@pytest.mark.parametrize(
    "family",
    [
        "deploy deploys deployed deploying deployment deployments",
        "connect connects connected connecting connection connections",
        "hop hops hopped hopping",
        "hope hopes hoped hoping",
        "file files filed filing",
        "agree agrees agreed agreeing",
        "relate relates related relating",
        "decide decides decided deciding",
        "electric electrical electricity",
        "run runs running ran",
        "child children",
        "write writes writing wrote written",
    ],
)
def test_forms_of_one_word_share_their_stem(family: str) -> None:
    assert len({stem(form) for form in family.split()}) == 1


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("caresses", "caress"),
        ("ponies", "poni"),
        ("feed", "feed"),
        ("plastered", "plaster"),
        ("sing", "sing"),
        ("conflated", "conflat"),
        ("falling", "fall"),
        ("happy", "happi"),
        ("rational", "ration"),
        ("vietnamization", "vietnam"),
        ("sensibiliti", "sensibl"),
        ("triplicate", "triplic"),
        ("gyroscopic", "gyroscop"),
        ("replacement", "replac"),
        ("adoption", "adopt"),
        ("probate", "probat"),
        ("cease", "ceas"),
        ("controll", "control"),
        ("roll", "roll"),
        ("boys", "boy"),
    ],
)
def test_the_examples_of_the_published_algorithm(word: str, expected: str) -> None:
    assert stem(word) == expected


@pytest.mark.parametrize("word", ["", "a", "is", "été", "привет", "x86", "foo_bar", "登录"])
def test_what_is_no_english_word_stays(word: str) -> None:
    assert stem(word) == word


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz", max_size=60))
def test_a_stem_is_never_empty_nor_much_longer_than_its_word(word: str) -> None:
    assert bool(stem(word)) == bool(word)
    assert len(stem(word)) <= len(word) + 4
