"""What a bucket holds of a term: few slots with their places, of many their bits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.search.slots import (
    EVERY,
    SLOTS,
    UNSIFTED,
    bits_of,
    held_among,
    highest_first,
    listed,
    pack,
    told_of,
)

PLACES = st.integers(1, 2**31)
HELD = st.dictionaries(st.integers(0, SLOTS - 1), PLACES, min_size=1, max_size=200)


def packed(held: dict[int, int]) -> bytes:
    return pack(b"".join(listed(slot, place) for slot, place in sorted(held.items())))


def bits(slots: set[int]) -> int:
    return sum(1 << slot for slot in slots)


@given(HELD)
def test_all_slots_at_all_places_read_back(held: dict[int, int]) -> None:
    read = bits_of(packed(held), told_of(held.values()))
    assert set(highest_first(read)) == set(held)


@given(HELD, st.data())
def test_no_slot_at_a_place_that_was_asked_for_is_passed_over(
    held: dict[int, int], data: st.DataObject
) -> None:
    asked = data.draw(st.sets(st.sampled_from(sorted(held.values()))))
    read = bits_of(packed(held), told_of(asked))
    at_those = {slot for slot, place in held.items() if place in asked}
    assert at_those <= set(highest_first(read))
    if not read & UNSIFTED and max(held.values()) < 2**16:
        assert at_those == set(highest_first(read))


@given(HELD, st.sets(st.integers(0, SLOTS - 1)))
def test_what_is_taken_out_is_gone_and_the_rest_as_before(held: dict[int, int], gone: set[int]) -> None:
    gone |= set(list(held)[::2])
    left = held_among(packed(held), EVERY ^ bits(gone))
    rest = {slot: place for slot, place in held.items() if slot not in gone}
    assert bool(left) == bool(rest)
    if rest:
        assert set(highest_first(bits_of(left, told_of(rest.values())))) == set(rest)


@pytest.mark.parametrize(("number", "sifted"), [(1, True), (64, True), (65, False)])
def test_of_few_slots_those_elsewhere_are_left_out(number: int, sifted: bool) -> None:
    held = {slot: 1 + slot % 2 for slot in range(number)}
    read = bits_of(packed(held), told_of([1]))
    assert set(highest_first(read)) == {slot for slot in held if slot % 2 == 0 or not sifted}
    assert bool(read & UNSIFTED) != sifted
