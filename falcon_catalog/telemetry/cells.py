"""Numbers in memory that a fork shares: each process writes its own row, any reads the sum.

Made before the fork, once, with a row for each process. A process that takes the place of one
that died takes its row, so a count never falls.
"""

import mmap
import os
import threading

_BYTES = 8  # of a double
_PID = 0  # the cell in which a row says whose it is


class Cells:
    """Rows of doubles, one row a process: first reserved, then opened."""

    def __init__(self) -> None:
        self._width = _PID + 1

    def reserve(self, count: int) -> int:
        """Return the first of ``count`` cells that are the caller's in each row."""
        first = self._width
        self._width += count
        return first

    def open(self, rows: int) -> None:
        """Make the memory, all zero, and take its first row."""
        self._all = memoryview(mmap.mmap(-1, _BYTES * self._width * rows)).cast("d")
        self.take(0)

    def take(self, row: int) -> None:
        """Write to this row from now on."""
        self.lock = threading.Lock()
        self.own = self._all[row * self._width : (row + 1) * self._width]
        self.own[_PID] = os.getpid()

    def total(self, index: int) -> float:
        """Return a number, added up over all processes."""
        return sum(self._all[index :: self._width])

    def pids(self) -> list[int]:
        """Return the ids of the processes that took a row."""
        return [int(pid) for pid in self._all[_PID :: self._width] if pid]
