"""Failures and notifications of one run, over all of its processes.

Luigi forks a process for each attempt of a task, so its state is lost with it. The processes share
an anonymous file, to which lines are appended atomically.
"""

import fcntl
import json
import os
import tempfile
from dataclasses import asdict
from typing import Any

from jobs.notify.message import Failure


class Ledger:
    """The run's failures. It belongs to the process that made it and those forked from it."""

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            self._file = os.memfd_create("failures")
        else:  # macOS
            with tempfile.TemporaryFile() as file:
                self._file = os.dup(file.fileno())
        # Lines of processes that write at once follow each other.
        fcntl.fcntl(self._file, fcntl.F_SETFL, os.O_APPEND)

    def failed(self, task_id: str, failure: Failure) -> int:
        """Record a failure; return the number of failures since the task last succeeded."""
        self._add(task_id, "failed", **asdict(failure))
        count = 0
        for line in self._lines():
            if line["task_id"] == task_id and line["word"] in {"failed", "done"}:
                count = count + 1 if line["word"] == "failed" else 0
        return count

    def done(self, task_id: str) -> None:
        """Record that a task succeeded."""
        self._add(task_id, "done")

    def degraded(self, task_id: str, failure: Failure) -> None:
        """Record that a task is complete but for data that are missing."""
        self._add(task_id, "degraded", **asdict(failure))

    def all_degraded(self) -> dict[str, Failure]:
        """Return the tasks that are complete but for data that are missing."""
        return {
            line.pop("task_id"): Failure(**line)
            for line in self._lines()
            if line.pop("word") == "degraded"
        }

    def notified(self, task_id: str) -> None:
        """Record that a task's failure was sent."""
        self._add(task_id, "notified")

    def was_notified(self, task_id: str) -> bool:
        """Return whether a task's failure was sent."""
        return any(
            line["task_id"] == task_id for line in self._lines() if line["word"] == "notified"
        )

    def messages(self) -> int:
        """Return the number of tasks whose failure was sent."""
        return sum(line["word"] == "notified" for line in self._lines())

    def pending(self) -> dict[str, Failure]:
        """Return the last failure of each task that was neither sent nor succeeded later."""
        found: dict[str, Failure] = {}
        for line in self._lines():
            task_id, word = line.pop("task_id"), line.pop("word")
            if word == "failed":
                found[task_id] = Failure(**line)
            elif word != "degraded":
                found.pop(task_id, None)
        return {task: failure for task, failure in found.items() if not self.was_notified(task)}

    def _add(self, task_id: str, word: str, **more: Any) -> None:
        line = json.dumps({"task_id": task_id, "word": word, **more}) + "\n"
        os.write(self._file, line.encode())

    def _lines(self) -> list[dict[str, Any]]:
        data = os.pread(self._file, os.fstat(self._file).st_size, 0)
        return [json.loads(line) for line in data.splitlines()]
