"""Servers of several processes, for tests that any number of processes must pass.

TEST_PROCESSES says how many processes serve where a test does not ask for a number.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection

from falcon_catalog.cli.serve import run
from falcon_catalog.settings import load

PROCESSES = int(os.environ.get("TEST_PROCESSES", "1"))
_DEADLINE = 60  # seconds that a server has to start or to stop
_ABANDONED = 900  # seconds after which a server ends that nobody stopped


@contextlib.contextmanager
def serving(flags: dict[str, object], processes: int = PROCESSES) -> Iterator[str]:
    """Serve from processes beside the test's; yield the URL."""
    # A process that has imported everything, and has no threads, forks the parent of each server.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "falcon_catalog.cli.serve"])
    ours, theirs = context.Pipe(duplex=False)
    server = context.Process(target=_serve, args=(flags, processes, theirs))
    server.start()
    theirs.close()
    try:
        assert ours.poll(_DEADLINE)
        yield ours.recv()
    finally:
        server.terminate()
        server.join(_DEADLINE)
        ours.close()
    assert server.exitcode == 0


def _serve(flags: dict[str, object], processes: int, told: Connection) -> None:
    signal.alarm(_ABANDONED)
    own = {"server.listen": "127.0.0.1:0", "server.processes": processes}
    settings = load(None, {}, {**own, **flags})
    sys.exit(not run(settings, lambda line: told.send(line.removeprefix("Listening on "))))
