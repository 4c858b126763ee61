"""Locks that serialise commits to one table within a process.

They only save work: commits that would lose the pointer swap wait instead of trying in vain. The
swap itself decides which commit wins.
"""

import contextlib
import threading
from collections.abc import Hashable, Iterable, Iterator

_LOCKS = 1024


class CommitLocks:
    """A fixed set of locks, large enough that two tables seldom share one."""

    def __init__(self) -> None:
        self._locks = tuple(threading.Lock() for _ in range(_LOCKS))

    @contextlib.contextmanager
    def hold(self, names: Iterable[Hashable]) -> Iterator[None]:
        """Hold the locks of all names, taken in one global order to avoid deadlocks."""
        with contextlib.ExitStack() as held:
            for index in sorted({hash(name) % _LOCKS for name in names}):
                held.enter_context(self._locks[index])
            yield
