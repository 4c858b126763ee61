"""Bounded request queue for the WSGI threads. Health checks and metrics bypass it."""

import time
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

from waitress.task import ThreadedTaskDispatcher

from falcon_catalog.metrics import Metrics
from falcon_catalog.server.tasks import SaturatedError
from falcon_catalog.settings import ServerSettings

if TYPE_CHECKING:
    from falcon_catalog.server.channel import Channel

_READINESS = "/health/ready"
_UNQUEUED = frozenset({"/health/live", _READINESS, "/metrics"})


class Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc] # waitress has no types
    """Waitress's threads, one more for what an operator asks for, and one for slow paths."""

    def __init__(
        self, settings: ServerSettings, metrics: Metrics, slow_paths: AbstractSet[str] = frozenset()
    ) -> None:
        """Start the threads.

        Requests for ``slow_paths``, which keep a processor busy, come one at a time, so that others
        are not slowed down by them.
        """
        super().__init__()
        self.metrics = metrics
        self._slow_paths = slow_paths
        self.max_wait = settings.max_wait
        self.serving: dict[int, float] = {}
        """By thread: since when it serves a request, in monotonic seconds."""
        self._max_queue = settings.max_queue
        self._stall_timeout = settings.stall_timeout
        self._side, self._slow = ThreadedTaskDispatcher(), ThreadedTaskDispatcher()
        self._side.set_thread_count(1)
        self._slow.set_thread_count(1)
        self.set_thread_count(settings.threads)

    @property
    def waiting(self) -> int:
        """The number of requests for which no thread is free."""
        return _waiting(self) + _waiting(self._slow)

    @property
    def is_stalled(self) -> bool:
        """Whether every thread has been busy with one request for too long."""
        latest = time.monotonic() - self._stall_timeout
        stuck = sum(since < latest for since in list(self.serving.values()))
        return stuck >= len(self.threads) > 0

    def add_task(self, channel: "Channel") -> None:
        """Have the first request of a channel answered: by the loop, a thread, or with a 503."""
        if channel.takes_inline():
            return
        request = channel.requests[0]
        if request.error is None and request.path not in _UNQUEUED:
            if _waiting(self._lane(request)) < self._max_queue:
                self.enqueue(channel)
                return
            request.error = SaturatedError()
        elif request.error is None and request.path == _READINESS and self.is_stalled:
            request.error = SaturatedError("All threads are stalled, a file system may not respond")
        if not channel.takes_inline():
            self._side.add_task(channel)

    def enqueue(self, channel: "Channel") -> None:
        """Let the first request of a channel wait for a thread."""
        channel.waits_since = time.monotonic()
        lane = self._lane(channel.requests[0])
        if lane is self:
            super().add_task(channel)
        else:
            lane.add_task(channel)

    def _lane(self, request: Any) -> ThreadedTaskDispatcher:
        return self._slow if getattr(request, "path", "") in self._slow_paths else self

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:  # noqa: FBT001, FBT002 - waitress's signature
        """End the threads, once they have done what they do."""
        for lane in (self._side, self._slow):
            lane.shutdown(cancel_pending, timeout)
        return bool(super().shutdown(cancel_pending, timeout))


def _waiting(lane: ThreadedTaskDispatcher) -> int:
    """Return the number of requests for which none of a dispatcher's threads is free."""
    idle: int = len(lane.threads) - lane.stop_count - lane.active_count
    return max(0, len(lane.queue) - idle)
