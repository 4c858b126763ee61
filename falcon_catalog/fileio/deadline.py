"""Reads of regular files with a deadline: a mount that hangs keeps no request waiting for ever.

Nothing ends a read that hangs, so it is left behind in a daemon thread.
"""

import errno
import os
import queue
import stat
import threading
from collections.abc import Callable

from falcon_catalog import durable_files

_MOST_THREADS = 512


class Reader:
    """Reads files in threads of its own. Safe to use from many threads."""

    def __init__(self, seconds: float = 30.0) -> None:
        """Give each read so many seconds."""
        self._seconds = seconds
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._threads = self._idle = 0

    def read(
        self, path: str, check: Callable[[int], None], part: tuple[int, int] | None = None
    ) -> bytes:
        """Return the content of a file, as long as it was when it was opened.

        Args:
            path: of the file.
            check: called with a descriptor of the file before it is read (``open_handle``); raises
                if it may not be read.
            part: the offset and the length of what is read of it; None for all.

        Raises:
            OSError: it cannot be read, is not a regular file (FileNotFoundError), or does not
                arrive in time (TimeoutError).
        """
        with self._guard:
            if self._idle:
                self._idle -= 1
            elif self._threads < _MOST_THREADS:
                self._threads += 1
                threading.Thread(target=self._run, name="read", daemon=True).start()
            else:
                raise _timeout()
        job = _Job(path, check, part)
        self._jobs.put(job)
        if not job.done.acquire(timeout=self._seconds):
            raise _timeout()
        if job.failure is not None:
            raise job.failure
        return job.content

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                job.content = _read_regular(job.path, job.check, job.part)
            except BaseException as error:  # noqa: BLE001 - raised by whoever waits for it
                job.failure = error
            with self._guard:
                self._idle += 1
            job.done.release()


class _Job:
    def __init__(
        self, path: str, check: Callable[[int], None], part: tuple[int, int] | None
    ) -> None:
        self.path = path
        self.check = check
        self.part = part
        self.content = b""
        self.failure: BaseException | None = None
        self.done = threading.Lock()
        self.done.acquire()


def _read_regular(path: str, check: Callable[[int], None], part: tuple[int, int] | None) -> bytes:
    found = durable_files.open_handle(path)
    try:
        status = os.fstat(found)
        if not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError(errno.ENOENT, "not a regular file", path)
        check(found)
        offset, length = part or (0, status.st_size)
        return durable_files.read_handle(found, length, offset)
    finally:
        os.close(found)


def _timeout() -> TimeoutError:
    return TimeoutError(errno.ETIMEDOUT, "the file system does not respond")
