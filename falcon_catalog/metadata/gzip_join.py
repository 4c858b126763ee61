"""One gzip member out of texts that were compressed apart, at different times.

Each text becomes deflate blocks that end on a byte and refer to nothing before them, so that
any order of them is a deflate stream (RFC 1951). The checksum of the whole is worked out from
those of the parts, as zlib's ``crc32_combine`` does, which Python does not offer.
"""

import struct
import zlib
from collections.abc import Sequence
from functools import cached_property

_FAST = 1
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"  # no name, no time, any system (RFC 1952)
_LAST_BLOCK = b"\x03\x00"
_LONGEST_STORED = 0xFFFF
_POLYNOMIAL = 0xEDB88320
_ONE = 1 << 31  # bits are reflected: the highest is x to the power of 0
_EIGHT = 3  # a byte is 2 ** 3 bits


class Zipped:
    """A text as deflate blocks, with what joining it to others needs."""

    def __init__(self, blocks: Sequence[bytes], crc: int, length: int) -> None:
        self.blocks = blocks
        self.crc = crc
        self.length = length
        """Bytes of the text."""

    @cached_property
    def shift(self) -> int:
        """What a checksum of a text is multiplied by when this text follows it."""
        return _power_of_x(self.length)


class GzipJoin:
    """Joins texts, some of them compressed before, to one compressed text."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._crc = 0
        self._length = 0

    def add_compressed(self, text: bytes, blocks: bytes) -> None:
        """Append a text that ``compress`` made these blocks of."""
        self._blocks.append(blocks)
        self._count(text)

    def add_stored(self, text: bytes) -> None:
        """Append a text as it is: a short one is not worth compressing."""
        for start in range(0, len(text), _LONGEST_STORED):
            part = text[start : start + _LONGEST_STORED]
            lengths = struct.pack("<BHH", 0, len(part), len(part) ^ _LONGEST_STORED)
            self._blocks += (lengths, part)
        self._count(text)

    def add(self, zipped: Zipped) -> None:
        """Append a text of which only the checksum is at hand: that takes longer to join."""
        self._blocks += zipped.blocks
        self._crc = _times(zipped.shift, self._crc) ^ zipped.crc if self._length else zipped.crc
        self._length += zipped.length

    def gzip(self) -> list[bytes]:
        """Return all that was appended as one gzip member, in pieces."""
        end = struct.pack("<II", self._crc, self._length & 0xFFFFFFFF)
        return [_HEADER, *self._blocks, _LAST_BLOCK, end]

    def _count(self, text: bytes) -> None:
        self._crc = zlib.crc32(text, self._crc)
        self._length += len(text)


def compress(text: bytes, level: int = _FAST) -> bytes:
    """Return a text as deflate blocks that stand for themselves; none of them is the last."""
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


def _powers_of_x() -> tuple[int, ...]:
    """Return x to the powers 1, 2, 4, 8 …, enough of them for any length in bits."""
    powers = [_ONE >> 1]
    while len(powers) < 64:  # noqa: PLR2004 - bits of a length
        powers.append(_times(powers[-1], powers[-1]))
    return tuple(powers)


_POWERS = _powers_of_x()


def _power_of_x(length: int) -> int:
    """Return x to the power of the bits in that many bytes."""
    power, bit = _ONE, _EIGHT
    while length:
        if length & 1:
            power = _times(_POWERS[bit], power)
        length, bit = length >> 1, bit + 1
    return power
