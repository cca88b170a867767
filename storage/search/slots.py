"""Which of a bucket's messages hold a term, as bytes and as the bits of an integer. Pure."""

import struct
import sys
from collections.abc import Container, Iterable, Iterator, Sequence

SLOTS = 4096
"""Messages in a bucket."""
EVERY = (1 << SLOTS) - 1
"""The bits of all slots."""
UNSIFTED = 1 << SLOTS
"""Beside the bits of slots: some of them may be at places that were not asked for.

Combined as the slots are: what fits several terms is sifted if one of them is.
"""
_BITMAP_BYTES = SLOTS // 8
_MOST_LISTED = 64
"""Slots that are listed one by one, with their places; of more, a bitmap tells."""
_LISTED = struct.Struct("<HH")
_PLACES_TOLD = 1 << 16
"""What a list tells of a place: its number's two lowest bytes."""
_ONE = ord("1")
_WORDS = struct.Struct(f"<{SLOTS // 64}Q")


def listed(slot: int, place: int) -> bytes:
    """A slot and the number of its place, for `pack`."""
    return _LISTED.pack(slot, place % _PLACES_TOLD)


def pack(slots: bytes | bytearray) -> bytes:
    """Slots as `listed`, one behind the other, each of them once. Reads back by length alone."""
    if len(slots) <= _MOST_LISTED * _LISTED.size:
        return bytes(slots)
    digits = bytearray(b"0" * SLOTS)
    for slot, _ in _LISTED.iter_unpack(slots):
        digits[~slot] = _ONE  # the lowest comes last; much faster than shifting long integers
    return int(digits, 2).to_bytes(_BITMAP_BYTES, "little")


def held_among(packed: bytes, bits: int) -> bytes:
    """What is left of `packed` without slots that are not set in `bits`; empty for nothing."""
    if len(packed) == _BITMAP_BYTES:
        left = int.from_bytes(packed, "little") & bits
        return left.to_bytes(_BITMAP_BYTES, "little") if left else b""
    return b"".join(
        [_LISTED.pack(slot, told) for slot, told in _LISTED.iter_unpack(packed) if bits >> slot & 1]
    )


def told_of(places: Iterable[int]) -> frozenset[int]:
    """What lists of slots tell of these places."""
    return frozenset(place % _PLACES_TOLD for place in places)


def bits_of(packed: bytes, told: Container[int]) -> int:
    """The slots that are among `packed`, as bits; of a list only those that may be at places `told_of`."""
    if len(packed) == _BITMAP_BYTES:
        return int.from_bytes(packed, "little") | UNSIFTED
    bits = 0
    for slot, place in _LISTED.iter_unpack(packed):
        if place in told:
            bits |= 1 << slot
    return bits


def highest_first(bits: int) -> Iterator[int]:
    """The slots that are set in `bits`, from the highest down."""
    bits &= EVERY
    while bits:
        slot = bits.bit_length() - 1
        yield slot
        bits ^= 1 << slot


def pack_places(places: Iterable[int]) -> bytes:
    """The place of each slot, in order."""
    numbers = tuple(places)
    return struct.pack(f"<{len(numbers)}I", *numbers)


def slots_at(packed: bytes, bits: int, places: Container[int]) -> Iterator[int]:
    """The slots set in `bits`, highest first, that are at one of `places`; `packed` by `pack_places`.

    Looks at as many as are taken, no more. In words: with the whole integer each step would copy it twice.
    """
    place = _numbers(packed)
    first = SLOTS
    for rest in reversed(_WORDS.unpack((bits & ((1 << len(place)) - 1)).to_bytes(_BITMAP_BYTES, "little"))):
        first -= 64
        word = rest
        while word:
            bit = word.bit_length() - 1
            word ^= 1 << bit
            if place[first + bit] in places:
                yield first + bit


def _numbers(packed: bytes) -> Sequence[int]:
    """What `pack_places` was given, not copied where the machine keeps numbers the same way."""
    if sys.byteorder == "little":
        return memoryview(packed).cast("I")
    return struct.unpack(f"<{len(packed) // 4}I", packed)
