"""The thread on which submitted plans are worked on, and how much a plan may be.

What it works on is in the database: a plan that a stop or a crash leaves behind is taken
over, by whichever process is next asked for its result.
"""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

Job = Callable[[Callable[[], bool]], None]
"""Work that asks now and then whether it must stop."""


@dataclass(frozen=True, slots=True)
class PlanningLimits:
    """How plans are cut."""

    sync_manifests: int = 64
    """Plans over more manifests than this are submitted."""
    page_files: int = 1000
    """Files in one answer."""
    names: int = 10_000
    """Columns that one request may name in a list, unless the table has more."""
    keep_ms: int = 3_600_000
    """How long a result can be fetched."""
    lease_ms: int = 30_000
    """How long a plan waits for a sign of life from who works on it."""


class PlanWorker:
    """One thread, started when it is first needed, and ended by ``close``."""

    def __init__(self, limits: PlanningLimits) -> None:
        self.limits = limits
        self._jobs: queue.SimpleQueue[tuple[str, Job] | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._waiting: set[str] = set()

    def submit(self, name: str, job: Job) -> None:
        """Work on ``job`` once those before it are done, unless one of that name waits already."""
        with self._guard:
            if self._stopping.is_set() or name in self._waiting:
                return
            self._waiting.add(name)
            if self._thread is None:
                # A daemon: a process that is told to end at once is not held up by a plan.
                self._thread = threading.Thread(target=self._run, name="planner", daemon=True)
                self._thread.start()
        self._jobs.put((name, job))

    def close(self) -> None:
        """Stop the job at work, drop the others, and wait for the thread to end."""
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
