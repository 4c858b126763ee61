"""The background thread of submitted plans, and the limits of planning.

Plans are stored in the database: after a stop or a crash, the process that next gets a request for
the result takes the plan over.
"""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

Job = Callable[[Callable[[], bool]], None]
"""A job; it regularly calls its argument, which returns whether it must stop."""


@dataclass(frozen=True, slots=True)
class PlanningLimits:
    """The limits of planning."""

    sync_manifests: int = 64
    """Plans over more manifests than this are submitted."""
    page_files: int = 1000
    """Files in one page."""
    names: int = 10_000
    """Columns that one request may name in a list, unless the table has more."""
    keep_ms: int = 3_600_000
    """How long a result is kept."""
    lease_ms: int = 30_000
    """How long a worker may go without renewing its lease."""


class PlanWorker:
    """One thread, started on first use and ended by ``close``."""

    def __init__(self, limits: PlanningLimits) -> None:
        self.limits = limits
        self._jobs: queue.SimpleQueue[tuple[str, Job] | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._waiting: set[str] = set()

    def submit(self, name: str, job: Job) -> None:
        """Queue ``job``, unless one of that name is already queued."""
        with self._guard:
            if self._stopping.is_set() or name in self._waiting:
                return
            self._waiting.add(name)
            if self._thread is None:
                # A daemon: a plan must not delay a process that exits at once.
                self._thread = threading.Thread(target=self._run, name="planner", daemon=True)
                self._thread.start()
        self._jobs.put((name, job))

    def close(self) -> None:
        """Stop the current job, drop the others, and wait for the thread to end."""
        with self._guard:
            self._stopping.set()
        self._jobs.put(None)
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while (entry := self._jobs.get()) is not None and not self._stopping.is_set():
            name, job = entry
            with self._guard:
                self._waiting.discard(name)
            job(self._stopping.is_set)
