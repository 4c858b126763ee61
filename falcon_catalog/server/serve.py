"""Serve an application from this process, until told to stop."""

import contextlib
import gc
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator

from falcon_catalog.metrics import Metrics
from falcon_catalog.server import systemd
from falcon_catalog.server.loop import Application, Loop
from falcon_catalog.server.sockets import ServerError, listening, named, require_local
from falcon_catalog.settings import ServerSettings

_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
# Other servers read their settings or open their logs again on these. Here they change nothing;
# by default they would end the process at once.
_IGNORED = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_log = logging.getLogger(__name__)


def serve(
    app: Application,
    settings: ServerSettings,
    announce: Callable[[str], object],
    metrics: Metrics | None = None,
    *,
    only_locally: bool = False,
) -> bool:
    """Serve ``app`` until told to stop, then finish what is in flight and close ``app``.

    SIGTERM, SIGINT and SIGQUIT tell it; SIGHUP, SIGUSR1 and SIGUSR2 change nothing.

    Args:
        app: the application; closed before the function returns, unless a request that took
            too long is still at work in it.
        settings: where to listen and how long to wait.
        announce: told ``Listening on URL`` once requests are served.
        metrics: counts what the application does not see.
        only_locally: whether other machines must not reach it.

    Returns:
        Whether everything in flight was answered. A second signal does not wait for that:
        it ends the process.

    Raises:
        ServerError: the address cannot be listened on, a socket handed over is unusable, other
            machines could reach it ``only_locally``, or the application must not go on.
    """
    unfinished, reason = 0, None
    with _handled(_ignore, *_IGNORED):
        try:
            with listening(settings) as (sockets, are_shared):
                if only_locally:
                    require_local(sockets)
                loop = Loop(app, settings, sockets, metrics, are_shared=are_shared)
                where = f"Listening on {named(sockets)}"
                with _stopping_on_signals(loop), _watched(loop, app):
                    app.ready()
                    gc.freeze()  # what lives now lives on: spare each collection the walk over it
                    announce(where)
                    systemd.notify(os.environ, READY="1", STATUS=where)
                    loop.run(app.must_stop)
                    systemd.notify(os.environ, STOPPING="1", STATUS="Finishing what is in flight")
                    unfinished = loop.drain(settings.shutdown_timeout)
                    reason = app.must_stop()
        finally:
            if not unfinished:
                app.close()
    if unfinished:
        _log.error("stopped with requests unanswered", extra={"connections": unfinished})
    if reason:
        raise ServerError(f"Stopped: {reason}")
    return not unfinished


def _ignore(number: int, _frame: object) -> None:
    name = signal.Signals(number).name
    _log.warning("%s is ignored: restart the server to read its settings again", name)


@contextlib.contextmanager
def _handled(handler: Callable[[int, object], None], *numbers: signal.Signals) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _stopping_on_signals(loop: Loop) -> contextlib.AbstractContextManager[None]:
    """Stop ``loop`` on the first signal to stop; the second has its usual, deadly effect."""

    def stop(_number: int, _frame: object) -> None:
        for each in _STOPPING:
            signal.signal(each, signal.SIG_DFL)
        loop.stop()

    return _handled(stop, *_STOPPING)


@contextlib.contextmanager
def _watched(loop: Loop, app: Application) -> Iterator[None]:
    """Give systemd's watchdog a sign of life while the loop turns and ``app`` is ready."""
    stopped = threading.Event()
    seconds = systemd.watchdog_seconds(os.environ)

    def watch(interval: float) -> None:
        while not stopped.wait(interval):
            turns = loop.turns_within(interval)
            try:
                app.ready()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is not ready
                _log.exception("not ready, the watchdog goes hungry")
                systemd.notify(os.environ, STATUS=f"Not ready: {error}")
            else:
                if loop.is_stalled:
                    _log.error("every thread is stalled, the watchdog goes hungry")
                elif turns:
                    systemd.notify(os.environ, WATCHDOG="1")

    if seconds is not None:
        threading.Thread(target=watch, args=(seconds / 2,), name="watchdog", daemon=True).start()
    try:
        yield
    finally:
        stopped.set()
