"""Where the end of a long thread is looked for."""

from hypothesis import given
from hypothesis import strategies as st

from adapters.slack.tails import LEAST, Tail

PAGE = 15
HOUR = 3_600_000_000


@given(st.lists(st.integers(1, HOUR - 1), min_size=PAGE + 1, max_size=200, unique=True))
def test_looks_end_with_a_page_that_reaches_the_end(ages: list[int]) -> None:
    """`ages`: microseconds between each reply and the question."""
    tail: Tail | None = Tail.of(0, HOUR)
    looks = 0
    while tail is not None:
        looks += 1
        assert tail.empty < tail.stretch <= tail.full
        found = [age for age in ages if age < tail.stretch]
        if 1 <= len(found) < PAGE:
            break
        tail = tail.later(len(ages), PAGE) if found else tail.earlier()
    assert looks <= 33
    if tail is None:  # all of them were said within a second of each other
        newest = sorted(ages)[:PAGE]
        assert newest[-1] - newest[0] <= LEAST


def test_the_first_look_is_at_all_of_it_and_the_question_stays_the_first() -> None:
    tail = Tail.of(0, HOUR)
    assert tail.is_whole
    next_one = tail.later(100, PAGE)
    assert next_one is not None
    assert not next_one.is_whole
    assert next_one.before == HOUR
