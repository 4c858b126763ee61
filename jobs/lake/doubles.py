"""PyIceberg's reader of doubles in manifests, without its rounding to single precision.

PyIceberg 0.12.0 reads an Avro double through a C float: the value 0.1 of a partition comes back as
0.10000000149011612, and 1e300 as infinity. Whatever rewrites manifests would write that down, and
every engine would look for the rows in vain. Mended upstream by apache/iceberg-python pull request
3808; leave this module out with the first release that has it.
"""

import struct
from typing import Any

from pyiceberg.avro.reader import DoubleReader


def read_exactly() -> None:
    """Let this process read doubles in manifests as they were written."""
    DoubleReader.read = _read  # type: ignore[method-assign,assignment]


def _read(_: DoubleReader, decoder: Any) -> float:
    (value,) = struct.unpack("<d", decoder.read(8))
    return float(value)
