"""Bounded request queue for the WSGI threads. Health checks and metrics bypass it."""

import time
from typing import TYPE_CHECKING

from waitress.task import ThreadedTaskDispatcher

from falcon_catalog.metrics import Metrics
from falcon_catalog.server.tasks import SaturatedError
from falcon_catalog.settings import ServerSettings

if TYPE_CHECKING:
    from falcon_catalog.server.channel import Channel

_UNQUEUED = frozenset({"/health/live", "/health/ready", "/metrics"})


class Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc] # waitress has no types
    """Waitress's threads, and one more for what an operator asks for."""

    def __init__(self, settings: ServerSettings, metrics: Metrics) -> None:
        """Start the threads."""
        super().__init__()
        self.metrics = metrics
        self.max_wait = settings.max_wait
        self._max_queue = settings.max_queue
        self._side = ThreadedTaskDispatcher()
        self._side.set_thread_count(1)
        self.set_thread_count(settings.threads)

    @property
    def waiting(self) -> int:
        """The number of requests for which no thread is free."""
        idle: int = len(self.threads) - self.stop_count - self.active_count
        return max(0, len(self.queue) - idle)

    def add_task(self, channel: "Channel") -> None:
        """Have the first request of a channel answered: by the loop, a thread, or with a 503."""
        request = channel.requests[0]
        is_unqueued = request.path in _UNQUEUED if request.error is None else True
        if not is_unqueued and self.waiting >= self._max_queue and not channel.may_be_inline():
            request.error = SaturatedError(
                "The server is busy: nothing was done, try again in a moment"
            )
        if channel.takes_inline():
            return
        if is_unqueued or request.error is not None:
            self._side.add_task(channel)
        else:
            self.enqueue(channel)

    def enqueue(self, channel: "Channel") -> None:
        """Let the first request of a channel wait for a thread."""
        channel.waits_since = time.monotonic()
        super().add_task(channel)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:  # noqa: FBT001, FBT002 - waitress's signature
        """End the threads, once they have done what they do."""
        self._side.shutdown(cancel_pending, timeout)
        return bool(super().shutdown(cancel_pending, timeout))
