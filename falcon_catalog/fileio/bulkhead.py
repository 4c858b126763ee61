"""A bound on the threads that one storage may keep busy."""

import threading
import time
from types import TracebackType
from typing import Self

from falcon_catalog.errors import WarehouseUnavailableError

_PATIENCE = 1.0
"""Seconds without any progress after which callers no longer wait for a place."""


class Bulkhead:
    """A bound on the threads that one storage may keep busy. Safe to use from many threads.

    Without it a storage that does not answer would soon hold all threads of the server, and no
    other warehouse could be reached. Callers wait for a place while others make progress. After a
    call that timed out, only one caller at a time is let in, until one is answered.
    """

    def __init__(self, what: str, limit: int, patience: float = _PATIENCE) -> None:
        """Let ``limit`` threads in; ``what`` names the storage in messages.

        Callers wait ``patience`` seconds without any progress, fewer after a call that timed out.
        """
        self._patience = patience
        self._what = what
        self._limit = limit
        self._changed = threading.Condition()
        self._inside = 0
        self._progress = 0.0  # when a caller came in, left, or was answered
        self._timed_out = False
        self._own = threading.local()

    def __enter__(self) -> Self:
        """Take a place, unless this thread has one already.

        Raises:
            WarehouseUnavailableError: all places are taken, and nothing moves.
        """
        depth = getattr(self._own, "depth", 0)
        if not depth:
            with self._changed:
                while self._inside >= (1 if self._timed_out else self._limit):
                    patience = _PATIENCE if self._timed_out else self._patience
                    left = self._progress + patience - time.monotonic()
                    if left <= 0:
                        raise WarehouseUnavailableError(
                            f"{self._what} is busy or does not answer. Nothing was changed"
                        )
                    self._changed.wait(left)
                self._inside += 1
                self._progress = time.monotonic()
        self._own.depth = depth + 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the place back."""
        self._own.depth -= 1
        if not self._own.depth:
            with self._changed:
                self._inside -= 1
                self._progress = time.monotonic()
                self._changed.notify_all()  # there may be several places again

    def report(self, *, timed_out: bool) -> None:
        """Take note of how a call inside ended: it was answered, if only by an error, or not."""
        with self._changed:
            self._timed_out = timed_out
            if not timed_out:
                self._progress = time.monotonic()
                self._changed.notify_all()  # there may be several places again
