"""Luigi's failures: known errors are logged in one line, permanent ones not tried again."""

import json
import logging
from pathlib import Path
from typing import Any

from luigi.parameter import ParameterException
from luigi.task_status import FAILED, PENDING
from luigi.worker import Worker

from jobs.config import is_permanent
from jobs.tasks.base import PERMANENT, WeatherTask

# Modules in which Luigi's own parameters reject a value.
_PARSERS = {"_strptime.py", "parameter.py", "date_interval.py"}


class OneLine(logging.Filter):
    """Log an error whose message says what is wrong in one line, without Luigi's traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log a record: our own tasks have logged their failure already."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None or not _is_known(error):
            return True
        args = record.args if isinstance(record.args, tuple) else ()
        record.exc_info = None
        record.msg, record.args = " ".join(str(error).split()), ()
        return not any(isinstance(one, WeatherTask) for one in args)


def listen() -> None:
    """Install both in this process. Luigi has no hook for the retries of a single failure."""
    luigis = logging.getLogger("luigi-interface")
    if not any(isinstance(one, OneLine) for one in luigis.filters):
        luigis.addFilter(OneLine())
        Worker._add_task = _adding(Worker._add_task)  # type: ignore[method-assign]  # noqa: SLF001


def _adding(add: Any) -> Any:
    """Wrap how a worker reports a task to the scheduler: a permanent failure is the last one."""

    def adding(self: Worker, *args: Any, **told: Any) -> None:
        if told.get("status") == FAILED and str(told.get("expl")).startswith(f'"{PERMANENT}'):
            told["retry_policy_dict"] = {**told["retry_policy_dict"], "retry_count": 1}
            # The scheduler counts a failure by the retry policy it already has, so the new one is
            # sent first. From a running task it takes nothing else of this report.
            before = {**told, "status": PENDING, "expl": json.dumps("")}
            self._scheduler.add_task(*args, **before)
        add(self, *args, **told)

    return adding


def _is_known(error: BaseException) -> bool:
    if isinstance(error, ParameterException) or hasattr(error, "transient") or is_permanent(error):
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = Path(trace.tb_frame.f_code.co_filename).name if trace else ""
    return isinstance(error, ValueError) and place in _PARSERS
