"""A doubt that all processes of a server share: a COMMIT failed, and nobody knows what it stored.

The write-ahead log may hold the whole commit although its sync failed, and a later recovery
would bring it back. So nobody may build on either answer until every process has closed the
database and it was opened anew: closing folds in what was stored for sure, or recovery decides.
"""

import mmap


class Doubt:
    """Made before the processes are forked; seen by all at once, whoever raises it."""

    def __init__(self) -> None:
        self._cell = mmap.mmap(-1, 1)

    @property
    def open(self) -> bool:
        """Whether it stands."""
        return self._cell[0] != 0

    def arise(self) -> None:
        """Let no process change anything from now on."""
        self._cell[0] = 1

    def settle(self) -> None:
        """Let changes be made again: the database was closed by all, and opened anew."""
        self._cell[0] = 0
