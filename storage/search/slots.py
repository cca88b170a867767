"""Which of a bucket's messages hold a term, as bytes and as the bits of an integer. Pure."""

import struct
from collections.abc import Iterable, Iterator, Sequence

_PLACE = struct.Struct("<I")
SLOTS = 4096
"""Messages in a bucket."""
_BITMAP_BYTES = SLOTS // 8


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


def place_at(packed: bytes, slot: int) -> int:
    """The place of one slot, of those that `pack_places` was given."""
    place: int = _PLACE.unpack_from(packed, slot * 4)[0]
    return place
