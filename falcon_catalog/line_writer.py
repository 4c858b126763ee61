"""Writes lines to a descriptor from a thread of its own, so that nobody waits for the reader.

A pipe holds 64 KB, and then each write waits until somebody reads. A log must not stop requests:
what finds no room is dropped and counted, and a line says so once the reader is back.
"""

import os
import select
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

QUEUE_BYTES = 4 * 1024 * 1024
"""Of lines that wait to be written, in each process."""


@dataclass(slots=True)
class _Queue:
    """The lines of one process. What follows ``changed`` is read and written under it."""

    pid: int = field(default_factory=os.getpid)
    changed: threading.Condition = field(default_factory=threading.Condition)
    thread: threading.Thread | None = None
    waiting: bool = False
    """Whether the thread has written all, and waits for more."""
    lines: list[bytes] = field(default_factory=list)
    size: int = 0
    """Bytes of the lines."""
    dropped: int = 0
    """Lines that were dropped since the process began."""
    missing: int = 0
    """Those of them that no line has mentioned yet."""
    writes: int = 0
    """Calls of write that wrote something."""


class LineWriter:
    """Writes the lines of one process in the order in which they were added.

    Safe to use from many threads, and after a fork: the child begins with an empty queue. What
    the parent has not written yet stays the parent's.
    """

    def __init__(self, descriptor: int, notice: Callable[[int], bytes]) -> None:
        """Write to ``descriptor``, and ``notice(n)`` where n lines were dropped."""
        self._descriptor = descriptor
        self._notice = notice
        self._queue = _Queue()

    @property
    def dropped(self) -> int:
        """How many lines this process has dropped. May be read at any time."""
        return self._own().dropped

    def add(self, line: bytes) -> None:
        """Write a line soon, or drop it if too many wait already."""
        queue = self._own()
        with queue.changed:
            if queue.lines and queue.size + len(line) > QUEUE_BYTES:
                queue.dropped += 1
                queue.missing += 1
                return
            queue.lines.append(line)
            queue.size += len(line)
            if queue.thread is None:
                # A daemon: a reader that never comes back must not keep the process from ending.
                queue.thread = threading.Thread(
                    target=self._run, args=(queue,), name="log", daemon=True
                )
                queue.thread.start()
            elif queue.waiting:
                queue.waiting = False
                queue.changed.notify_all()

    def flush(self, patience: float) -> bool:
        """Wait until all lines are written.

        Returns False once nothing has been written for ``patience`` seconds.
        """
        queue = self._own()
        with queue.changed:
            while queue.thread is not None and not queue.waiting:
                writes = queue.writes
                if not queue.changed.wait(patience) and queue.writes == writes:
                    return False
        return True

    def _own(self) -> _Queue:
        if self._queue.pid != os.getpid():  # this is a child: its parent's locks may be held
            self._queue = _Queue()
        return self._queue

    def _run(self, queue: _Queue) -> None:
        while True:
            with queue.changed:
                while not queue.lines:
                    queue.waiting = True
                    queue.changed.notify_all()
                    queue.changed.wait()
                queue.waiting = False
                lines, queue.lines, queue.size = queue.lines, [], 0
                missing, queue.missing = queue.missing, 0
            if missing:
                # Lines are dropped while the queue is full: after these, and before any other.
                lines.append(self._notice(missing))
            if left := self._write(queue, lines):
                lost = left - bool(missing)
                with queue.changed:
                    queue.dropped += lost
                    queue.missing += lost + missing

    def _write(self, queue: _Queue, lines: Sequence[bytes]) -> int:
        """Write lines; return how many of them, the last ones, could not be written."""
        left = len(lines)
        for count, piece in _pieces(lines):
            rest = memoryview(piece)
            while rest:
                try:
                    rest = rest[os.write(self._descriptor, rest) :]
                except BlockingIOError:  # somebody who shares the pipe made it so
                    poll = select.poll()
                    poll.register(self._descriptor, select.POLLOUT)
                    poll.poll()
                except OSError:  # nobody reads any more, or the disk is full
                    return left
                queue.writes += 1
            left -= count
        return 0


def _pieces(lines: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
    """Join lines, as many as a pipe takes as a whole: those of several processes do not mix."""
    start, size = 0, 0
    for end, line in enumerate(lines):
        if end > start and size + len(line) > select.PIPE_BUF:
            yield end - start, b"".join(lines[start:end])
            start, size = end, 0
        size += len(line)
    if lines:
        yield len(lines) - start, b"".join(lines[start:])
