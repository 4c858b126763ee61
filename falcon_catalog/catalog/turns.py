"""Commits to one table take turns within a process, so that they seldom overtake each other.

This saves work and keeps nothing safe: only the swap of the pointer decides who was first.
"""

import contextlib
import threading
from collections.abc import Hashable, Iterable, Iterator

_LOCKS = 1024


class Turns:
    """Locks, so many of them that two names seldom share one."""

    def __init__(self) -> None:
        self._locks = tuple(threading.Lock() for _ in range(_LOCKS))

    @contextlib.contextmanager
    def of(self, names: Iterable[Hashable]) -> Iterator[None]:
        """Hold the turn of all these names; always taken in one order, so nobody waits for ever."""
        with contextlib.ExitStack() as held:
            for index in sorted({hash(name) % _LOCKS for name in names}):
                held.enter_context(self._locks[index])
            yield
