"""How long one model is tried."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.llm.failures import PASSING, Cause, Failed
from adapters.llm.roster import Patience

PATIENCE = Patience(tries=4, within_s=60.0, backoff_s=1.0, most_wait_s=20.0)


@given(st.integers(1, 3), st.sampled_from(sorted(PASSING)))
def test_waits_double_and_are_cut_by_up_to_a_half(tried: int, cause: Cause) -> None:
    wait_s = PATIENCE.wait_s(Failed(cause), tried, spent_s=0.0)
    assert wait_s is not None
    assert 2 ** (tried - 1) / 2 <= wait_s <= 2 ** (tried - 1)


@given(st.floats(0, 19))
def test_it_never_comes_back_earlier_than_the_server_wants(wanted_s: float) -> None:
    wait_s = PATIENCE.wait_s(Failed(Cause.BUSY, wait_s=wanted_s), 1, spent_s=0.0)
    assert wait_s is not None
    assert wanted_s < wait_s <= wanted_s + 1


@pytest.mark.parametrize(
    ("failure", "tried", "spent_s"),
    [
        (Failed(Cause.BUSY), 4, 0.0),
        (Failed(Cause.BUSY), 1, 60.0),
        (Failed(Cause.BUSY, wait_s=21.0), 1, 0.0),
        *((Failed(cause), 1, 0.0) for cause in sorted(set(Cause) - PASSING)),
    ],
    ids=str,
)
def test_it_gives_up(failure: Failed, tried: int, spent_s: float) -> None:
    assert PATIENCE.wait_s(failure, tried, spent_s) is None


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_a_sentence_that_says_what_to_do(cause: Cause) -> None:
    sentence = str(Failed(cause).error())
    assert "please" in sentence.lower()
    assert sentence.endswith(".")
