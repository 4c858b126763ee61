"""What a process does that a parent forked: serve until it is told to stop.

It tells its parent how it is over a pipe of its own, a line at a time: ``ready`` once it
serves, ``well`` now and then, ``unready WHY`` when its application is not, ``stopping`` at
the end. Over another pipe nothing is ever written: it ends when the parent does.
"""

import contextlib
import gc
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from falcon_catalog import logs
from falcon_catalog.server.loop import Application, Loop
from falcon_catalog.server.serve import tell_unfinished
from falcon_catalog.settings import ServerSettings
from falcon_catalog.telemetry.meters import Meters

GRACE_SECONDS = 8.0  # to close the application in, after what was in flight
_log = logging.getLogger(__name__)


class Service(Protocol):
    """What several processes serve: each an application of its own, over one store."""

    def prepare(self) -> None:
        """Open the store and close it again, so that it is sound; nobody else has it open."""

    def make(self) -> Application:
        """Open the application of this process."""

    def lost(self) -> bool:
        """Say whether all must close theirs, and the store be prepared again; cheap."""


@dataclass(frozen=True, slots=True)
class Lines:
    """What joins a process to its parent."""

    parent: int
    """A descriptor at whose end the parent is gone."""
    report: int
    """A descriptor to write lines to."""
    interval: float
    """Seconds between two signs of life."""

    def tell(self, line: str) -> None:
        """Tell the parent, if there is one."""
        with contextlib.suppress(OSError):
            os.write(self.report, f"{' '.join(line.split())[:1000]}\n".encode())


def work(
    service: Service,
    settings: ServerSettings,
    sockets: list[socket.socket],
    meters: Meters,
    lines: Lines,
) -> int:
    """Serve until SIGTERM, the parent's end, or the loss of the application; return a status."""
    _start(_follow_parent, lines, settings.shutdown_timeout + GRACE_SECONDS)
    app = service.make()
    unfinished = 0
    try:
        loop = Loop(app, settings, sockets, meters)
        # A supervisor may send its signal to every process, and then the parent does so again.
        signal.signal(signal.SIGTERM, lambda *_: loop.stop())
        with _reporting(loop, app, lines):
            app.ready()
            gc.freeze()
            lines.tell("ready")
            loop.run(app.lost)
            lines.tell("stopping")
            unfinished = loop.drain(settings.shutdown_timeout)
    finally:
        if not unfinished:
            app.close()
    tell_unfinished(unfinished)
    return 1 if unfinished else 0


def _start(run: object, *arguments: object) -> None:
    threading.Thread(target=run, args=arguments, daemon=True).start()  # type: ignore[arg-type]


def _follow_parent(lines: Lines, patience: float) -> None:
    """End in order when the parent has ended; at the latest when ``patience`` is over."""
    with contextlib.suppress(OSError):
        os.read(lines.parent, 1)
    _log.error("the parent process is gone: stopping")
    # Before requests are served this ends the process at once.
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(patience)
    logs.finish()
    os._exit(1)


@contextlib.contextmanager
def _reporting(loop: Loop, app: Application, lines: Lines) -> Iterator[None]:
    """Tell the parent again and again how it goes, while the loop turns."""
    stopped = threading.Event()

    def report() -> None:
        while not stopped.wait(lines.interval):
            if not loop.turns_within(lines.interval):
                continue
            try:
                app.ready()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is not ready
                _log.warning("not ready: %s", error)
                lines.tell(f"unready {error}")
            else:
                lines.tell("well")

    _start(report)
    try:
        yield
    finally:
        stopped.set()
