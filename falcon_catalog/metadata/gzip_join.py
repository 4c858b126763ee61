"""Join texts that were compressed separately into one gzip member.

Each text becomes deflate blocks that end on a byte boundary and refer to nothing before them, so
that they form a deflate stream in any order (RFC 1951). The checksum of the whole is computed from
those of the parts like zlib's ``crc32_combine``, which Python does not offer. Commits to a table
with 1,000 snapshots are 2.9 times as many as with the whole text compressed each time (``make
bench``, mechanisms).
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

_FAST = 1
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"  # no name, no time, any system (RFC 1952)
_LAST_BLOCK = b"\x03\x00"
_LONGEST_STORED = 0xFFFF
_POLYNOMIAL = 0xEDB88320
_ONE = 1 << 31  # bits are reflected: the highest is x to the power of 0
_EIGHT = 3  # a byte is 2 ** 3 bits


@dataclass(frozen=True, eq=False)
class Zipped:
    """A text as deflate blocks, with what is needed to join it to others."""

    blocks: Sequence[bytes]
    crc: int
    length: int
    """Bytes of the text."""

    @cached_property
    def shift(self) -> int:
        """The factor of the checksum of a text that this text follows."""
        return _power_of_x(self.length)


class GzipJoin:
    """Joins texts, some of them already compressed, into one gzip member."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._crc = 0
        self._length = 0

    def add_compressed(self, text: bytes, blocks: bytes) -> None:
        """Append a text and the blocks that ``compress`` returned for it."""
        self._blocks.append(blocks)
        self._count(text)

    def add_stored(self, text: bytes) -> None:
        """Append a text uncompressed: a short one is not worth compressing."""
        for start in range(0, len(text), _LONGEST_STORED):
            part = text[start : start + _LONGEST_STORED]
            lengths = struct.pack("<BHH", 0, len(part), len(part) ^ _LONGEST_STORED)
            self._blocks += (lengths, part)
        self._count(text)

    def add(self, zipped: Zipped) -> None:
        """Append blocks by the checksum of their text, which takes longer to join."""
        self._blocks += zipped.blocks
        self._crc = _times(zipped.shift, self._crc) ^ zipped.crc if self._length else zipped.crc
        self._length += zipped.length

    def gzip(self) -> list[bytes]:
        """Return everything appended as one gzip member, in pieces."""
        end = struct.pack("<II", self._crc, self._length & 0xFFFFFFFF)
        return [_HEADER, *self._blocks, _LAST_BLOCK, end]

    def _count(self, text: bytes) -> None:
        self._crc = zlib.crc32(text, self._crc)
        self._length += len(text)


def compress(text: bytes, level: int = _FAST) -> bytes:
    """Return a text as independent deflate blocks, none of them the last one of a stream."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(text) + compressor.flush(zlib.Z_FULL_FLUSH)


def _times(left: int, right: int) -> int:
    """Multiply two polynomials modulo the one of CRC-32."""
    product = 0
    while left:
        if left & _ONE:
            product ^= right
        left = left << 1 & 0xFFFFFFFF
        right = right >> 1 ^ (_POLYNOMIAL if right & 1 else 0)
    return product


# x to the powers 1, 2, 4, 8 …, for any 64-bit length.
_POWERS = [_ONE >> 1]
for _ in range(63):
    _POWERS.append(_times(_POWERS[-1], _POWERS[-1]))


def _power_of_x(length: int) -> int:
    """Return x to the power of the bits in that many bytes."""
    power, bit = _ONE, _EIGHT
    while length:
        if length & 1:
            power = _times(_POWERS[bit], power)
        length, bit = length >> 1, bit + 1
    return power
