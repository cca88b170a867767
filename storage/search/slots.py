"""Which of a bucket's messages hold a term, as bytes and as the bits of an integer. Pure."""

import struct
import sys
from collections.abc import Container, Iterable, Iterator, Sequence

SLOTS = 4096
"""Messages in a bucket."""
_BITMAP_BYTES = SLOTS // 8
_WORDS = struct.Struct(f"<{SLOTS // 64}Q")


def pack(slots: Sequence[int]) -> bytes:
    """Two bytes a slot; a bitmap where that is no longer. Reads back by length alone. Each slot once."""
    if len(slots) == 1:
        return slots[0].to_bytes(2, "little")
    if len(slots) * 2 < _BITMAP_BYTES:
        return struct.pack(f"<{len(slots)}H", *slots)
    bits = 0
    for slot in slots:
        bits |= 1 << slot
    return bits.to_bytes(_BITMAP_BYTES, "little")


def bits_of(packed: bytes) -> int:
    """Bit n is set if slot n is among `packed`."""
    if len(packed) == _BITMAP_BYTES:
        return int.from_bytes(packed, "little")
    bits = 0
    for (number,) in struct.iter_unpack("<H", packed):
        bits |= 1 << number
    return bits


def highest_first(bits: int) -> Iterator[int]:
    """The slots that are set in `bits`, from the highest down."""
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
