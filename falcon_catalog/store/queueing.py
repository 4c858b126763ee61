"""A lock between processes that queues, and that nobody waits for without end.

Only a blocking ``flock`` has a place in the kernel's queue; one that is tried again and again can
starve. But nothing ends it before the lock is there. So a thread of its own waits in it, for
whoever wants the lock then: the place is kept when one gives up and the next one comes.
"""

import fcntl
import os
import queue
import threading
from pathlib import Path

from falcon_catalog.store import ownership


class _Place:
    """A place in the queue."""

    def __init__(self) -> None:
        self.awaited = True
        self.failure: OSError | None = None
        self.reached = threading.Lock()
        self.reached.acquire()


class ProcessLock:
    """A lock on a file. Of each process, one thread at a time may ask for it or hold it."""

    def __init__(self, path: Path, database: Path | None = None) -> None:
        """Lock the file at ``path``, which belongs to whoever owns ``database``."""
        self.path = path
        self._database = database
        self._guard = threading.Lock()
        self._descriptor: int | None = None
        self._place: _Place | None = None
        self._places: queue.SimpleQueue[_Place | None] | None = None

    def acquire(self, timeout: float) -> bool:
        """Take the lock; return False if ``timeout`` seconds were not enough.

        Raises:
            OSError: there can be no such lock.
        """
        with self._guard:
            if self._place is None:
                if self._is_free():
                    return True
                self._place = self._queue_up()
            place = self._place
            place.awaited = True
        if not place.reached.acquire(timeout=max(0.0, timeout)):
            with self._guard:
                if self._place is place:
                    place.awaited = False
                    return False
        if place.failure is not None:
            raise place.failure
        return True

    def release(self) -> None:
        """Give the lock to the next one in the queue."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give up the lock and the place in the queue; it may be used again."""
        with self._guard:
            if self._places is not None:
                self._places.put(None)
            if self._descriptor is not None:
                os.close(self._descriptor)
            self._descriptor = self._places = self._place = None

    def _is_free(self) -> bool:
        if self._descriptor is None:
            self._descriptor = ownership.open_lock(self.path, self._database)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _queue_up(self) -> _Place:
        if self._places is None:
            self._places = queue.SimpleQueue()
            # A daemon: what never comes must not keep the process from ending.
            arguments = (self._places, self._descriptor)
            threading.Thread(target=self._wait, args=arguments, name="lock", daemon=True).start()
        place = _Place()
        self._places.put(place)
        return place

    def _wait(self, places: "queue.SimpleQueue[_Place | None]", descriptor: int) -> None:
        while (place := places.get()) is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError as error:
                place.failure = error
            with self._guard:
                if self._place is not place:
                    return  # closed meanwhile, and with the last use of the file its lock is gone
                self._place = None
                if place.awaited:
                    place.reached.release()
                elif place.failure is None:
                    fcntl.flock(descriptor, fcntl.LOCK_UN)
