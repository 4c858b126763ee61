"""Writes lines to a descriptor from a thread of its own, so that no request waits for the reader.

A pipe holds 64 KB, and then each write waits for the reader. A log must not stop requests:
what finds no room is dropped and counted, and a line says so once the reader is back.
"""

import os
import select
import threading
import time
from collections.abc import Callable, Iterator, Sequence

QUEUE_BYTES = 4 * 1024 * 1024
"""Of lines that wait to be written."""
_PAUSE_SECONDS = 0.02
"""Between two writes, so that a busy server wakes the thread seldom: a wake-up for each line took a
third of the CPU time of a load (goal 1). A line after a pause is written at once."""


class LineWriter:
    """Writes lines in the order in which they were added. Safe to use from many threads."""

    def __init__(self, descriptor: int, notice: Callable[[int], bytes]) -> None:
        """Write to ``descriptor``, and ``notice(n)`` where n lines were dropped."""
        self._descriptor = descriptor
        self._notice = notice
        self._changed = threading.Condition()
        # All below is read and written under it.
        self.dropped = 0
        """How many lines were dropped so far. May be read at any time."""
        self._missing = 0  # those of them that no line has mentioned yet
        self._thread: threading.Thread | None = None
        self._idle = False  # whether the thread has written all, and waits for more
        self._lines: list[bytes] = []
        self._size = 0  # bytes of the lines
        self._writes = 0  # calls of write that wrote something

    def add(self, line: bytes) -> None:
        """Write a line soon, or drop it if too many wait already."""
        with self._changed:
            if self._lines and self._size + len(line) > QUEUE_BYTES:
                self.dropped += 1
                self._missing += 1
                return
            self._lines.append(line)
            self._size += len(line)
            if self._thread is None:
                # A daemon: a reader that never comes back must not keep the process from ending.
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()
            elif self._idle:
                self._idle = False
                self._changed.notify_all()

    def flush(self, patience: float) -> bool:
        """Wait until all lines are written.

        Returns False once nothing has been written for ``patience`` seconds.
        """
        with self._changed:
            while self._thread is not None and not self._idle:
                writes = self._writes
                if not self._changed.wait(patience) and self._writes == writes:
                    return False
        return True

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._lines:
                    self._idle = True
                    self._changed.notify_all()
                    self._changed.wait()
                self._idle = False
                lines, self._lines, self._size = self._lines, [], 0
                missing, self._missing = self._missing, 0
            if missing:
                # Lines are dropped while the queue is full: after these, and before any other.
                lines.append(self._notice(missing))
            if left := self._write(lines):
                lost = left - bool(missing)
                with self._changed:
                    self.dropped += lost
                    self._missing += lost + missing
            time.sleep(_PAUSE_SECONDS)

    def _write(self, lines: Sequence[bytes]) -> int:
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
                self._writes += 1
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
