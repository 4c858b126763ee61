"""Serve from several processes: a parent that holds the sockets, and workers it keeps alive.

The parent serves nothing. It starts the workers, replaces one that ends or hangs, stops them
in order, and speaks to systemd for all. It has no thread but the one that writes the log, whose
locks no worker inherits, and while a worker lives, no connection to the store.
"""

import contextlib
import gc
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator

from falcon_catalog import signals
from falcon_catalog.children import Children
from falcon_catalog.server import systemd
from falcon_catalog.server.sockets import ServerError, listening, named
from falcon_catalog.settings import ServerSettings
from falcon_catalog.telemetry.meters import Meters
from falcon_catalog.worker import Lines, Service, work

_MOST_STILLBORN = 5
_RENEWAL_SECONDS = 1.0  # at least between two of them, so that a broken disk is not hammered
_log = logging.getLogger(__name__)


def serve_processes(
    service: Service,
    settings: ServerSettings,
    announce: Callable[[str], object],
    meters: Meters,
) -> bool:
    """Serve from ``settings.processes`` processes until told to stop, as ``serve`` does.

    Args:
        service: opened anew by each process, after its fork.
        settings: where to listen and how long to wait.
        announce: told ``Listening on URL`` once all processes serve.
        meters: made for as many processes.

    Returns:
        Whether everything in flight was answered. A second signal does not wait for that:
        it ends all processes.

    Raises:
        ServerError: the address cannot be listened on, a socket handed over is unusable, a
            process could not start at first, or too many in a row could not later.
    """
    with listening(settings.listen) as sockets:
        return _Parent(service, settings, sockets, meters).run(announce)


class _Parent:
    """Keeps as many workers as there should be, until it is told to stop."""

    def __init__(
        self,
        service: Service,
        settings: ServerSettings,
        sockets: list[socket.socket],
        meters: Meters,
    ) -> None:
        self._service = service
        self._settings = settings
        self._sockets = sockets
        self._meters = meters
        self._where = f"Listening on {named(sockets)}"
        self._watchdog = systemd.watchdog_seconds(os.environ)
        self._children = Children(self._work, settings)
        if self._watchdog:
            self._children.interval = min(self._children.interval, self._watchdog / 4)
        self._told_to_stop = self._stopping = self._announced = False
        self._renewed = self._fed = 0.0  # monotonic seconds
        self._trouble = ""
        self._status = ""

    def run(self, announce: Callable[[str], object]) -> bool:
        """Mind the workers until they have ended; return whether they did so in order."""
        self._service.prepare()
        gc.freeze()  # what the workers share with us stays shared
        with self._signals():
            self._children.want(range(self._settings.processes))
            while not self._stopping or self._children.left:
                self._children.tend()
                self._decide()
                if not self._stopping:
                    self._speak(announce)
        if self._trouble:
            raise ServerError(self._trouble)
        return self._children.orderly

    def _work(self, number: int, lines: Lines) -> int:
        self._meters.take(number)
        return work(self._service, self._settings, self._sockets, self._meters, lines)

    def _decide(self) -> None:
        stillborn = self._children.stillborn
        if self._stopping:
            return
        if self._told_to_stop:
            self._stop()
        elif self._service.lost():
            self._renew()
        elif stillborn and not self._announced:
            self._stop("A process ended before it was ready: the log says why")
        elif stillborn >= _MOST_STILLBORN:
            self._stop(f"Gave up: {stillborn} processes in a row ended before they were ready")

    def _stop(self, trouble: str = "") -> None:
        self._stopping = True
        self._trouble = trouble
        # The workers have the sockets, too: nobody listens any more once they have closed theirs.
        for sock in self._sockets:
            sock.close()
        self._children.retire()
        systemd.notify(os.environ, STOPPING="1", STATUS="Finishing what is in flight")

    def _renew(self) -> None:
        """Let all close the store, so that it recovers, before anybody opens it again."""
        if not self._children.retiring:
            _log.error("a COMMIT failed: all processes close the store, and start again")
            self._children.retire()
        elif not self._children.left:
            self._service.prepare()
            wait = max(0.0, self._renewed + _RENEWAL_SECONDS - time.monotonic())
            self._renewed = time.monotonic() + wait
            self._children.want(range(self._settings.processes), delay=wait)

    def _speak(self, announce: Callable[[str], object]) -> None:
        """Tell who waits for it that all serve, and systemd how it goes."""
        serving, all_ = self._children.serving, self._settings.processes
        if not self._announced:
            if serving < all_:
                return
            self._announced = True
            announce(self._where)
            systemd.notify(os.environ, READY="1", STATUS=self._where)
            self._status, self._fed = self._where, time.monotonic()
        status = self._where if serving == all_ else f"{self._where}: {serving} of {all_} processes"
        if status != self._status and not self._children.unready:
            self._status = status
            systemd.notify(os.environ, STATUS=status)
        self._feed_watchdog()

    def _feed_watchdog(self) -> None:
        """Give a sign of life while any worker is well, or while all are being replaced."""
        now = time.monotonic()
        if not self._watchdog or now < self._fed + self._watchdog / 2:
            return
        self._fed = now
        if self._children.retiring or self._children.last_well > now - self._watchdog / 2:
            systemd.notify(os.environ, WATCHDOG="1")
        elif self._children.unready:
            systemd.notify(os.environ, STATUS=f"Not ready: {self._children.unready}")
            self._status = ""

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Stop on the first signal to stop; the second is deadly, for the workers, too."""

        def stop(number: int) -> None:
            if self._told_to_stop:
                self._children.kill()
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            self._told_to_stop = True

        def wake(_number: int, _frame: object) -> None:
            """Do nothing: that a signal came ends the wait for one."""

        with signals.ignored(), signals.stopping(stop):
            before = signal.signal(signal.SIGCHLD, wake)
            self._children.listen_to_signals()
            try:
                yield
            finally:
                signal.signal(signal.SIGCHLD, before)
