"""Forked processes that are kept alive: heard, replaced when they end, killed when silent."""

import contextlib
import logging
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NoReturn

from falcon_catalog import logs, signals
from falcon_catalog.settings import ServerSettings
from falcon_catalog.worker import GRACE_SECONDS, Lines

_START_SECONDS = 60.0  # for a process to become ready in
_SHORT_SECONDS = 5.0  # who lived shorter is not replaced at once
_FIRST_DELAY, _LONGEST_DELAY = 0.1, 5.0
_OURS = {*signals.STOPPING, *signals.IGNORED, signal.SIGCHLD}
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Child:
    """A process that was forked."""

    number: int
    pid: int
    report: int
    """A descriptor to read its lines from."""
    deadline: float
    """It is killed unless it is heard until then; monotonic seconds, as all here."""
    started: float = field(default_factory=time.monotonic)
    ready: bool = False
    leaving: bool = False
    heard: bytes = b""


class Children:
    """As many processes as are wanted."""

    def __init__(self, work: Callable[[int, Lines], int], settings: ServerSettings) -> None:
        """Know what each does: ``work`` gets its number, and returns a status."""
        self._work = work
        self._settings = settings
        self.interval = min(1.0, settings.worker_timeout / 4)
        """Seconds between two signs of life."""
        self.retiring = False
        """Whether all are to end, and none is replaced."""
        self.orderly = True
        """Whether those that were to end have done so with everything answered."""
        self.stillborn = 0
        """How many in a row ended before they were ready."""
        self.last_well = 0.0
        """When one of them last said that it is well."""
        self.unready = ""
        """Why one of them said since then that it is not."""
        self._short_lives = 0
        self._children: list[_Child] = []
        self._due: dict[int, float] = {}
        self._selector = selectors.PollSelector()
        # Its other end is open in the parent alone: the kernel closes that when it dies.
        self._life, self._alive = os.pipe()
        self._wakeup, self._waker = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(self._waker, False)
        self._selector.register(self._wakeup, selectors.EVENT_READ)

    @property
    def left(self) -> int:
        """How many there are."""
        return len(self._children)

    @property
    def serving(self) -> int:
        """How many are ready."""
        return sum(child.ready and not child.leaving for child in self._children)

    def listen_to_signals(self) -> None:
        """Let each signal that Python handles end the wait in ``tend``."""
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)

    def want(self, numbers: Iterable[int], delay: float = 0) -> None:
        """Start these, and from now on replace who ends."""
        self.retiring, self.orderly = False, True
        self._due = dict.fromkeys(numbers, time.monotonic() + delay)

    def retire(self) -> None:
        """Tell all to end; who does not in its time is killed."""
        self.retiring = True
        self._due.clear()
        for child in self._children:
            self._leave(child)
            self._signal(child, signal.SIGTERM)

    def kill(self) -> None:
        """End all at once."""
        for child in self._children:
            self._signal(child, signal.SIGKILL)

    def tend(self) -> None:
        """Start who is due; wait a moment; hear what they tell, and see who ended or hangs."""
        now = time.monotonic()
        for number in [number for number, due in self._due.items() if due <= now]:
            del self._due[number]
            self._fork(number)
        soon = min([*self._due.values(), *(child.deadline for child in self._children)], default=0)
        for key, _ in self._selector.select(max(0.0, min(self.interval, soon - now))):
            if key.fd == self._wakeup:
                _read(self._wakeup)
        self._reap()
        for child in self._children:
            self._hear(child)
        self._kill_silent()

    def _fork(self, number: int) -> None:
        ours, theirs = os.pipe()
        os.set_blocking(ours, False)
        # Until a child is known, and until it has handlers of its own, no signal is handled.
        signal.pthread_sigmask(signal.SIG_BLOCK, _OURS)
        try:
            pid = os.fork()
            if pid == 0:
                self._be(number, theirs)
            self._children.append(_Child(number, pid, ours, time.monotonic() + _START_SECONDS))
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _OURS)
        os.close(theirs)
        self._selector.register(ours, selectors.EVENT_READ)

    def _be(self, number: int, report: int) -> NoReturn:
        """Be a child, and never return to what the parent was about to do."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            # A terminal sends these to all of its processes: the parent decides, and sends SIGTERM.
            for each in (signal.SIGINT, signal.SIGQUIT, *signals.IGNORED):
                signal.signal(each, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _OURS)
            for mine in (self._alive, self._wakeup, self._waker):
                os.close(mine)
            for sibling in self._children:
                os.close(sibling.report)
            status = self._work(number, Lines(self._life, report, self.interval))
        except BaseException:  # noqa: BLE001 - nothing of the parent's may run here
            _log.exception("a process failed")
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
            logs.finish()
            os._exit(status)

    def _hear(self, child: _Child) -> None:
        *lines, child.heard = (child.heard + _read(child.report)).split(b"\n")
        for line in lines:
            self._take(child, line.decode())

    def _take(self, child: _Child, line: str) -> None:
        word, _, reason = line.partition(" ")
        if word == "stopping":
            self._leave(child)
            return
        if word == "ready":
            child.ready = True
            self.stillborn = 0
        self.unready = reason
        if word in ("ready", "well"):
            self.last_well = time.monotonic()
        if not child.leaving:
            child.deadline = time.monotonic() + self._settings.worker_timeout

    def _leave(self, child: _Child) -> None:
        if not child.leaving:
            child.leaving = True
            patience = self._settings.shutdown_timeout + GRACE_SECONDS
            child.deadline = time.monotonic() + patience

    def _kill_silent(self) -> None:
        for child in self._children:
            if child.deadline < time.monotonic():
                _log.error("a process hangs: killed", extra={"pid": child.pid})
                child.deadline += _START_SECONDS  # the kernel may take its time
                self._signal(child, signal.SIGKILL)

    def _reap(self) -> None:
        """See who ended, strangers included that a container's first process inherits."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for child in [child for child in self._children if child.pid == pid]:
                self._hear(child)
                self._children.remove(child)
                self._selector.unregister(child.report)
                os.close(child.report)
                self._bury(child, os.waitstatus_to_exitcode(status))

    def _bury(self, child: _Child, status: int) -> None:
        if self.retiring:
            self.orderly = self.orderly and (status == 0 or not child.ready)
            return
        short = time.monotonic() < child.started + _SHORT_SECONDS
        self._short_lives = self._short_lives + 1 if short else 0
        self.stillborn += not child.ready
        delay = min(_FIRST_DELAY * 2 ** (self._short_lives - 1), _LONGEST_DELAY) if short else 0.0
        self._due[child.number] = time.monotonic() + delay
        told = {"pid": child.pid, "status": status, "replaced_in": f"{delay:g}s"}
        _log.error("a process ended", extra=told)

    @staticmethod
    def _signal(child: _Child, number: int) -> None:
        # It is not reaped yet: its id is nobody else's.
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, number)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except BlockingIOError:
        return b""
