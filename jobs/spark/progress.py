"""Progress of Spark's jobs, while a statement runs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_SECONDS = 3.0


@contextmanager
def watched(session: Any, report: Callable[[str], None]) -> Iterator[None]:
    """Report the running stages, when they have changed, every three seconds."""
    done = threading.Event()
    tracker = session.sparkContext.statusTracker()

    def watch() -> None:
        last = ""
        while not done.wait(_SECONDS):
            now = _stages(tracker)
            if now and now != last:
                report(now)
                last = now

    thread = threading.Thread(target=watch, name="spark-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _stages(tracker: Any) -> str:
    words = []
    for number in sorted(tracker.getActiveStageIds()):
        stage = tracker.getStageInfo(number)
        if stage is not None:
            words.append(f"stage {number}: {stage.numCompletedTasks} of {stage.numTasks} tasks")
    return ", ".join(words)
