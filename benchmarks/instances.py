"""Several processes of a server on one socket, as systemd runs ``catalog@1`` and ``catalog@2``.

``python instances.py NUMBER ADDRESS COMMAND…`` listens on HOST:PORT or unix:/PATH, hands the socket
to each process (LISTEN_FDS), and prints ``Listening on URL`` once all of them do. A process that
fails is started again. SIGTERM, SIGINT and SIGQUIT are passed on, and stop all.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

_FIRST_DESCRIPTOR = 3
_RESTART_SECONDS = 0.1
_HANDED_OVER = ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', "sh"]


class Instances:
    """As many processes as there should be."""

    def __init__(self, command: list[str]) -> None:
        """Start each with ``command``."""
        self._command = [*_HANDED_OVER, *command]
        self._processes: dict[int, subprocess.Popen[str]] = {}
        self.stopped_by = 0
        self._worst = 0

    def start(self, stdout: int) -> "subprocess.Popen[str]":
        """Start one."""
        one = subprocess.Popen(  # noqa: S603 - a command from the command line
            self._command, pass_fds=[_FIRST_DESCRIPTOR], stdout=stdout, text=True
        )
        self._processes[one.pid] = one
        if self.stopped_by:
            one.send_signal(self.stopped_by)
        return one

    def signal(self, number: int, _frame: object = None) -> None:
        """Stop all."""
        self.stopped_by = number
        for one in list(self._processes.values()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, number)

    def wait(self) -> int:
        """Wait until all have ended, and start again those that fail; return the worst status."""
        while self._processes:
            pid, status = os.wait()
            one = self._processes.pop(pid)
            one.returncode = os.waitstatus_to_exitcode(status)
            if self.stopped_by:
                if one.returncode == -self.stopped_by:  # before it had a handler, as for systemd
                    continue
                self._worst = max(self._worst, abs(one.returncode))
            elif one.returncode:
                time.sleep(_RESTART_SECONDS)
                self.start(subprocess.DEVNULL)
        return self._worst


def main(number: str, address: str, *command: str) -> int:
    """Run that many processes until they get a signal to stop."""
    listener = _listen(address)
    if listener.fileno() != _FIRST_DESCRIPTOR:
        os.dup2(listener.fileno(), _FIRST_DESCRIPTOR)
    instances = Instances(list(command))
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(each, instances.signal)
    first = [instances.start(subprocess.PIPE) for _ in range(int(number))]
    lines = [one.stdout.readline() if one.stdout else "" for one in first]
    if not all(lines) and not instances.stopped_by:
        instances.signal(signal.SIGTERM)
        return instances.wait() or 1
    sys.stdout.write(lines[0])
    sys.stdout.flush()
    return instances.wait()


def _listen(address: str) -> socket.socket:
    if address.startswith("unix:"):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(address.removeprefix("unix:"))
        listener.listen(1024)
        return listener
    host, _, port = address.rpartition(":")
    return socket.create_server((host, int(port)), backlog=1024)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
