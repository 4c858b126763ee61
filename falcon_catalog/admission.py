"""Which requests wait for a thread: not without end, and never who asks for the server's health."""

import time
from typing import Any

from waitress.task import ThreadedTaskDispatcher

from falcon_catalog.settings import ServerSettings
from falcon_catalog.telemetry.meters import Meters

_ALWAYS = frozenset({"/health/live", "/health/ready", "/metrics"})


class Admission(ThreadedTaskDispatcher):  # type: ignore[misc] # waitress has no types
    """Waitress's threads and the queue before them, of a bounded length.

    A thread of their own answers what an operator asks for, and what is refused anyway.
    """

    def __init__(self, settings: ServerSettings, meters: Meters) -> None:
        """Start the threads."""
        super().__init__()
        self.meters = meters
        self.longest_wait = settings.max_wait
        self._longest = settings.max_queue
        self._side = ThreadedTaskDispatcher()
        self._side.set_thread_count(1)
        self.set_thread_count(settings.threads)

    @property
    def waiting(self) -> int:
        """The number of requests for which no thread is free."""
        idle: int = len(self.threads) - self.stop_count - self.active_count
        return max(0, len(self.queue) - idle)

    def add_task(self, task: Any) -> None:
        """Let a connection's first request wait, or turn it away at once."""
        request = task.requests[0]
        if request.error is not None or request.path in _ALWAYS:
            self._side.add_task(task)
        elif task.takes_at_once():
            pass  # it waits for a thread only if the loop cannot answer it
        elif self.waiting >= self._longest:
            task.turn_away()
        else:
            task.waits_since = time.monotonic()
            super().add_task(task)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:  # noqa: FBT001, FBT002 - waitress's signature
        """End the threads, once they have done what they do."""
        self._side.shutdown(cancel_pending, timeout)
        return bool(super().shutdown(cancel_pending, timeout))
