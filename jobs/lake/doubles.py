"""PyIceberg's reader of doubles in manifests, without its rounding to single precision.

PyIceberg 0.12.0 reads an Avro double through a C float: the value 0.1 of a partition comes back as
0.10000000149011612, and 1e300 as infinity. Whatever rewrites manifests would write that, and
every engine would search for the rows in vain. Fixed upstream by apache/iceberg-python pull request
3808; remove this module with the first release that has it.
"""

import struct

from pyiceberg.avro.reader import DoubleReader


def read_exactly() -> None:
    """Make this process read doubles in manifests as they were written."""
    DoubleReader.read = lambda _, decoder: struct.unpack("<d", decoder.read(8))[0]  # type: ignore[method-assign,assignment]
