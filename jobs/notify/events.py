"""Luigi's events: one notification per task and run, once the task is not retried any more."""

import logging
import sys
from collections.abc import Callable
from dataclasses import replace

import luigi
import luigi.retcodes
from luigi.scheduler import scheduler
from luigi.worker import worker

from jobs.config import DEGRADED, is_permanent
from jobs.notify.channels import channels, notify, send
from jobs.notify.ledger import Ledger
from jobs.notify.message import Failure, log_place, quoted_correlation

log = logging.getLogger("luigi-interface.notify")

# The failures of a run that have a message of their own; the others share one, at its end.
MESSAGES = 5

# The exit status of a run that succeeded but for data that the service failed for.
DEGRADED_STATUS = 5


def listen() -> None:
    """Send notifications of failures of this process's tasks from now on."""
    ledger = Ledger()
    on = luigi.Task.event_handler

    @on(luigi.Event.SUCCESS)  # type: ignore[untyped-decorator]
    def _(task: luigi.Task) -> None:
        ledger.done(task.task_id)

    @on(luigi.Event.FAILURE)  # type: ignore[untyped-decorator]
    def _(task: luigi.Task, error: BaseException) -> None:
        last, text = is_permanent(error), f"{type(error).__name__}: {error}"
        _quietly(lambda: _tried(ledger, task, "failed", text, last=last))

    @on(luigi.Event.PROCESS_FAILURE)  # type: ignore[untyped-decorator]
    def _(task: luigi.Task, error: str) -> None:
        _quietly(lambda: _tried(ledger, task, "died", error))

    @on(luigi.Event.TIMEOUT)  # type: ignore[untyped-decorator]
    def _(task: luigi.Task, error: str) -> None:
        _quietly(lambda: _tried(ledger, task, "took too long", error))

    @on(luigi.Event.BROKEN_TASK)  # type: ignore[untyped-decorator]
    def _(task: luigi.Task, error: BaseException) -> None:
        text = f"{type(error).__name__}: {error}"
        _quietly(lambda: _given_up(ledger, task, _failure(task, "cannot be scheduled", text)))

    @on(luigi.Event.DEPENDENCY_MISSING)  # type: ignore[untyped-decorator]
    def _(task: luigi.Task) -> None:
        text = "its data are not there, or to look for them failed: the log says which"
        _quietly(lambda: _given_up(ledger, task, _failure(task, "is missing", text)))

    @on(DEGRADED)  # type: ignore[untyped-decorator]
    def _(task: luigi.Task, message: str) -> None:
        _quietly(lambda: ledger.degraded(task.task_id, _failure(task, "is degraded", message)))

    # Luigi has no event for the end of a run, and its statuses cannot be extended: it exits with 0
    # if all tasks are complete. At Python's own exit 3.12 starts no threads, which send needs.
    vars(luigi.retcodes)["sys"] = _Exit(ledger)


class _Exit:
    """`sys.exit` for Luigi: sends what is left, and has a status of its own for a degraded run."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def exit(self, status: int) -> None:
        """Exit with Luigi's status, or with that of a degraded run instead of 0."""
        _quietly(lambda: _send_the_rest(self._ledger))
        sys.exit(status or (DEGRADED_STATUS if self._ledger.all_degraded() else 0))


def _tried(ledger: Ledger, task: luigi.Task, what: str, error: str, *, last: bool = False) -> None:
    failure = _failure(task, what, error)
    attempts = ledger.failed(task.task_id, failure)
    limit = task.retry_count if task.retry_count is not None else scheduler().retry_count
    if last or attempts >= limit or not worker().keep_alive:
        _given_up(ledger, task, replace(failure, attempts=attempts))


def _given_up(ledger: Ledger, task: luigi.Task, failure: Failure) -> None:
    settings = notify()
    if not channels(settings) or ledger.was_notified(task.task_id):
        return
    if ledger.messages() >= MESSAGES:
        ledger.failed(task.task_id, failure)
        return
    ledger.notified(task.task_id)
    _send(failure, settings)


def _send_the_rest(ledger: Ledger) -> None:
    """Send the degraded steps, the failures that were not retried, and those over the limit."""
    settings = notify()
    if not channels(settings):
        return
    for found, what, many in (
        (ledger.pending(), "failed", "more steps"),
        (ledger.all_degraded(), "are degraded", "steps"),
    ):
        rest = list(found.values())
        if len(rest) == 1:
            _send(rest[0], settings)
        elif rest:
            tasks = "\n".join(f"{failure.subject}: {failure.error}" for failure in rest)
            _send(Failure(f"{len(rest)} {many}", what, tasks, log=log_place()), settings)


def _failure(task: luigi.Task, what: str, error: str) -> Failure:
    return Failure(
        task=task.task_family,
        what=what,
        error=error,
        parameters=task.to_str_params(only_public=True),
        log=log_place(),
        correlation_id=quoted_correlation(error),
    )


def _send(failure: Failure, settings: notify) -> None:
    for channel, problem in send(failure, settings).items():
        log.error("[notify] %s did not take the message %r: %s", channel, failure.subject, problem)


def _quietly(send_: Callable[[], None]) -> None:
    """Log any error: a failed notification must not fail the run."""
    try:
        send_()
    except Exception:
        log.exception("[notify] the message could not be made")
