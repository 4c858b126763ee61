"""What the server does when it is signalled: stop in order, or go on.

SIGTERM, SIGINT and SIGQUIT stop it. Its settings are read once and it opens no log file, so there
is nothing to do on SIGHUP, SIGUSR1 and SIGUSR2, with which other servers read their settings or
open their logs again: they are ignored, because by default they would end the process at once.
"""

import contextlib
import logging
import signal
from collections.abc import Callable, Iterator

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
IGNORED = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_log = logging.getLogger(__name__)


@contextlib.contextmanager
def ignored() -> Iterator[None]:
    """Only log the signals that change nothing."""

    def ignore(number: int, _frame: object) -> None:
        name = signal.Signals(number).name
        _log.warning("%s is ignored: restart the server to read its settings again", name)

    with _handled(ignore, *IGNORED):
        yield


@contextlib.contextmanager
def stopping(stop: Callable[[int], None]) -> Iterator[None]:
    """Call ``stop`` with the number of each signal that stops the server."""
    with _handled(lambda number, _frame: stop(number), *STOPPING):
        yield


@contextlib.contextmanager
def _handled(handler: Callable[[int, object], None], *numbers: signal.Signals) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
