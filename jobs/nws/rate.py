"""A rate limit of one process, or of all processes of a machine."""

import fcntl
import logging
import os
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

from jobs.nws.retry import Sleep

log = logging.getLogger("jobs.nws")
_STATE = struct.Struct("<d")
# Seconds; a time further ahead is of a damaged file, or from before a reboot.
_LONGEST_QUEUE = 3600.0


class RateLimit:
    """A token bucket: one second's worth of requests at once, then `per_second` of them.

    It is shared by threads and, with `file`, by all processes of the machine that use the same
    file. The file holds one number, the monotonic time at which the bucket is full again: a process
    that dies loses its own turn only, and the wall clock may jump. If the file cannot be used, a
    warning is logged and the limit is the process's own.

    Raises:
        ValueError: a rate that is not above 0.
    """

    def __init__(
        self,
        per_second: float,
        *,
        file: Path | None = None,
        sleep: Sleep = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not per_second > 0:
            raise ValueError(f"requests_per_second must be above 0, not {per_second}")
        self._gap = 1 / per_second
        self._burst = max(1.0, per_second) * self._gap
        self._file = file
        self._sleep = sleep
        self._clock = clock
        self._full_at = clock()
        self._lock = threading.Lock()

    def take(self) -> float:
        """Take one token, waiting until it is there; return the wait in seconds."""
        delay = None
        if self._file:
            try:
                delay = self._shared_turn(self._file)
            except OSError as error:
                log.warning("cannot share the rate limit (%s): it is this process's alone", error)
                self._file = None
        if delay is None:
            with self._lock:
                delay, self._full_at = self._turn(self._full_at)
        if delay > 0:
            self._sleep(delay)
        return delay

    def _turn(self, full_at: float) -> tuple[float, float]:
        """Return how long to wait for the next turn, and when the bucket is full again after it."""
        now = self._clock()
        if not now - _LONGEST_QUEUE <= full_at <= now + _LONGEST_QUEUE:
            full_at = now
        full_at = max(full_at, now) + self._gap
        return max(0.0, full_at - now - self._burst), full_at

    def _shared_turn(self, file: Path) -> float:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Opened each time: the processes of one fork would share a lock of an open file.
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o664)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            held = os.pread(handle, _STATE.size, 0)
            full_at = _STATE.unpack(held)[0] if len(held) == _STATE.size else self._clock()
            delay, full_at = self._turn(full_at)
            os.pwrite(handle, _STATE.pack(full_at), 0)
        finally:
            os.close(handle)
        return delay
