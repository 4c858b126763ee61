"""Start and stop processes: servers that end with their parent, and daemons that outlive it.

A daemon is known by a file with its pid and start time, both of one boot: a pid that the system
has given to another program meanwhile is not mistaken for it, and never gets a signal.
"""

import contextlib
import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from jobs.targets import read_json, write_json

START_SECONDS = 60.0
STOP_SECONDS = 60.0
READY = "Listening on "
_HAS_PROC = os.path.exists("/proc/self/stat")  # noqa: PTH110 - Linux


class StackError(Exception):
    """A server cannot run; the message is the line to show."""


@dataclass
class Server:
    """A server in a child process, as a context manager; its output is appended to a log."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] | None = field(default=None, repr=False)
    folder: Path | None = None
    address: str = ""
    """HOST:PORT at which it will listen, for a server that does not report ``Listening on URL``."""
    url: str = ""
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it reports ``Listening on URL``, or listens at its address.

        Raises:
            StackError: it ended or did not start in time; with the end of its log.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as file:
            before = file.tell()
            self.process = subprocess.Popen(  # noqa: S603 - our own servers
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=self.environment,
                cwd=self.folder,
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            ended = self.process.poll() is not None
            lines = (
                self.log.read_bytes()[before:].decode(errors="replace").splitlines(keepends=True)
            )
            for line in lines:
                if line.startswith(READY) and line.endswith("\n"):
                    self.url = line.split()[2]
                    return
            if self.address and not ended and _listens(self.address):
                self.url = f"http://{self.address}"
                return
            if ended:
                words = (lines or ["it gave no reason"])[-1].strip()
                raise StackError(f"the {self.name} did not start: {words} (log: {self.log})")
            time.sleep(0.002)
        raise StackError(
            f"the {self.name} did not start within {START_SECONDS:.0f} s; its log is {self.log}"
        )

    def kill(self) -> None:
        """Kill it with SIGKILL, so that it cannot clean up."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> int:
        """Stop it and return its exit status; kill it if it takes too long."""
        if self.process is None:
            return 0
        self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.returncode


def catalog(
    store: str, warehouse: str, listen: str, log: Path, config: Path | None = None
) -> Server:
    """Return a catalog, at an address that it keeps when it is killed and started again.

    Args:
        store: URL of its database.
        warehouse: URL of its tables' folder.
        listen: HOST:PORT; port 0 takes a free one.
        log: the file that its output is appended to.
        config: a file with more of its settings.
    """
    host, _, port = listen.rpartition(":")
    if port == "0":
        listen = free_address(host)
    program = str(Path(sys.executable).with_name("falcon-catalog"))
    places = ["--store", store, "--warehouse", warehouse]
    more = [] if config is None else ["--config", str(config)]
    command = [program, "serve", "--listen", listen, *places, *more]
    return Server("catalog", command, log, without_settings())


def free_address(host: str = "127.0.0.1") -> str:
    """Return HOST:PORT with a port that is free now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host.strip("[]"), 0), family=family) as probe:
        return f"{host}:{probe.getsockname()[1]}"


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
        return True
    return False


def without_settings() -> dict[str, str]:
    """Return the environment without the catalog's own settings."""
    return {key: value for key, value in os.environ.items() if not key.startswith("CATALOG_")}


@dataclass(frozen=True)
class Running:
    """A daemon: its pid, clock ticks from boot to its start, the boot, the start in seconds UTC."""

    pid: int
    ticks: int
    boot: str
    since: float


def find(file: Path) -> Running | None:
    """Return the daemon that a file names, if it still runs."""
    try:
        running = Running(**read_json(file))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return running if (running.ticks, running.boot) == (_ticks(running.pid), _boot()) else None


def launch(
    command: Sequence[str], environment: Mapping[str, str], log: Path, file: Path
) -> Running:
    """Start a daemon, which outlives this process and the terminal, and write its file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own servers
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    process.returncode = 0  # it is left alone on purpose, which Popen would warn of
    running = Running(process.pid, _ticks(process.pid), _boot(), time.time())
    write_json(file, asdict(running))
    return running


def stop(running: Running, seconds: float) -> bool:
    """Terminate a daemon; return whether it ended within the time.

    Raises:
        PermissionError: the daemon belongs to another user.
    """
    if not hasattr(os, "pidfd_open"):
        return _stop_by_pid(running, seconds)
    try:
        handle = os.pidfd_open(running.pid)
    except ProcessLookupError:
        return True
    try:
        # The handle stays this process's; only what it was opened for is still to be checked.
        if _ticks(running.pid) != running.ticks:
            return True
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        ended = select.poll()
        ended.register(handle, select.POLLIN)
        return bool(ended.poll(seconds * 1000))
    except ProcessLookupError:
        return True
    finally:
        os.close(handle)


def _stop_by_pid(running: Running, seconds: float) -> bool:
    """Stop a daemon where processes have no handles, as on macOS."""
    deadline = time.monotonic() + seconds
    if _ticks(running.pid) == running.ticks:
        with contextlib.suppress(ProcessLookupError):
            os.kill(running.pid, signal.SIGTERM)
    while _ticks(running.pid) == running.ticks:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@contextlib.contextmanager
def alone(file: Path) -> Iterator[None]:
    """Hold a lock file, so that two commands cannot start the same service."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _ticks(pid: int) -> int:
    """Return the clock ticks from boot to a process's begin; 0 if there is no such process.

    Without /proc, as on macOS, they are the seconds from 1970 to its begin.
    """
    if not _HAS_PROC:
        return _started(pid)
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    # The name before the last parenthesis may hold anything; proc(5) counts from 1, the pid.
    state, *fields = stat.rpartition(")")[2].split()
    return 0 if state in "ZX" else int(fields[18])


def _started(pid: int) -> int:
    """Return the second since 1970 in which a process began, by ps(1); 0 if there is none."""
    done = subprocess.run(  # noqa: S603
        ["ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)],  # noqa: S607
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    state, _, since = done.stdout.strip().partition(" ")
    if not state or state[0] in "ZX":
        return 0
    return int(time.mktime(time.strptime(since.strip(), "%a %b %d %H:%M:%S %Y")))


def _boot() -> str:
    if not _HAS_PROC:
        return ""  # a process's begin is not counted from it
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
