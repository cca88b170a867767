"""A server that does not answer is asked rarely, by one call at a time."""

import pytest

from storage.breaker import FIRST_PAUSE_S, LONGEST_PAUSE_S, STEADY_S, Breaker


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock, jitter=lambda: 0.0)


def taken(breaker: Breaker) -> int:
    era = breaker.admit()
    assert era is not None
    return era


def test_calls_pass_while_the_server_answers(breaker: Breaker) -> None:
    for _ in range(3):
        assert not breaker.succeeded(taken(breaker))
    assert not breaker.is_open


def test_one_failure_stops_all_calls_for_a_pause(breaker: Breaker, clock: Clock) -> None:
    assert breaker.failed(taken(breaker))

    clock.now += FIRST_PAUSE_S * 0.99
    assert breaker.is_open
    assert breaker.admit() is None


def test_after_the_pause_one_call_probes(breaker: Breaker, clock: Clock) -> None:
    breaker.failed(taken(breaker))
    clock.now += FIRST_PAUSE_S

    probe = taken(breaker)
    assert breaker.admit() is None
    assert breaker.succeeded(probe)
    assert breaker.admit() is not None


def test_calls_that_fail_together_are_one_failure(breaker: Breaker, clock: Clock) -> None:
    eras = [taken(breaker) for _ in range(64)]

    assert [breaker.failed(era) for era in eras].count(True) == 1
    clock.now += FIRST_PAUSE_S
    assert breaker.admit() is not None


def test_a_pass_is_no_good_once_the_server_is_gone(breaker: Breaker) -> None:
    waiting, failing = taken(breaker), taken(breaker)
    assert breaker.holds(waiting)
    breaker.failed(failing)

    assert not breaker.holds(waiting)


def test_an_answer_from_before_it_opened_does_not_close_it(breaker: Breaker) -> None:
    slow, failing = taken(breaker), taken(breaker)
    breaker.failed(failing)

    assert not breaker.succeeded(slow)
    assert breaker.is_open


def test_a_failure_from_before_it_closed_does_not_open_it(breaker: Breaker, clock: Clock) -> None:
    old, failing = taken(breaker), taken(breaker)
    breaker.failed(failing)
    clock.now += FIRST_PAUSE_S
    breaker.succeeded(taken(breaker))

    assert not breaker.failed(old)
    assert not breaker.is_open


def test_a_probe_that_was_cancelled_leaves_the_place_to_the_next(breaker: Breaker, clock: Clock) -> None:
    breaker.failed(taken(breaker))
    clock.now += FIRST_PAUSE_S
    breaker.withdrawn(taken(breaker))

    assert breaker.admit() is not None


def test_pauses_grow_to_a_bound(breaker: Breaker, clock: Clock) -> None:
    pauses = []
    era = taken(breaker)
    for _ in range(8):
        breaker.failed(era)
        before = clock.now
        while (probe := breaker.admit()) is None:
            clock.now += 0.25
        pauses.append(clock.now - before)
        era = probe

    assert pauses == [0.5, 1, 2, 4, 8, LONGEST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_PAUSE_S]


def test_a_server_that_comes_and_goes_is_left_alone_for_longer(breaker: Breaker, clock: Clock) -> None:
    breaker.failed(taken(breaker))
    clock.now += FIRST_PAUSE_S
    breaker.succeeded(taken(breaker))
    breaker.failed(taken(breaker))

    clock.now += FIRST_PAUSE_S
    assert breaker.admit() is None


def test_a_server_that_was_steady_gets_the_short_pause_again(breaker: Breaker, clock: Clock) -> None:
    for _ in range(5):
        breaker.failed(taken(breaker))
        clock.now += LONGEST_PAUSE_S
    breaker.succeeded(taken(breaker))
    clock.now += STEADY_S
    breaker.failed(taken(breaker))

    clock.now += FIRST_PAUSE_S
    assert breaker.admit() is not None


def test_jitter_only_shortens_a_pause(clock: Clock) -> None:
    breaker = Breaker(clock, jitter=lambda: 1.0)
    breaker.failed(taken(breaker))

    clock.now += FIRST_PAUSE_S / 2
    assert breaker.admit() is not None
