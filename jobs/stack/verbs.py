"""Start and stop the stack, report its status, and run a task on it."""

import datetime as dt
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from tabulate import tabulate

from jobs.stack import processes
from jobs.stack.processes import StackError
from jobs.stack.services import Service, luigid

START_SECONDS = 60.0
# Longer than the catalog's own server.shutdown_timeout.
STOP_SECONDS = 45.0

Report = Callable[[str], None]


def pid_file(state: Path, service: Service) -> Path:
    """Return the file with a service's process."""
    return state / "run" / f"{service.name}.json"


def log_file(state: Path, service: Service) -> Path:
    """Return the file that a service's output goes to."""
    return state / "run" / f"{service.name}.log"


def start(state: Path, services: Sequence[Service], report: Report) -> None:
    """Start what does not run yet, and wait until all services are ready.

    Raises:
        StackError: a port is taken, or a service ended or stayed silent.
    """
    with processes.alone(state / "run" / "lock"):
        for service in services:
            running = processes.find(pid_file(state, service))
            word = "runs already"
            if running is None:
                require_port(service)
                running = processes.launch(
                    service.command,
                    service.environment,
                    log_file(state, service),
                    pid_file(state, service),
                )
                word = "started"
            _wait_until_ready(state, service)
            report(f"{service.name:<8} {service.url}   {word}, pid {running.pid}{service.page}")


def stop(state: Path, services: Sequence[Service], report: Report) -> None:
    """Stop what was started here, last first, each within ``STOP_SECONDS``.

    Raises:
        StackError: a service did not end; nothing is killed.
    """
    with processes.alone(state / "run" / "lock"):
        for service in reversed(services):
            file = pid_file(state, service)
            running = processes.find(file)
            if running is None:
                file.unlink(missing_ok=True)
                stranger = f"; what answers at {service.url} was not started from here"
                report(f"{service.name:<8} did not run{stranger if service.ask() else ''}")
                continue
            began = time.monotonic()
            if not processes.stop(running, STOP_SECONDS):
                raise StackError(
                    f"{service.name} (pid {running.pid}) has not ended in {STOP_SECONDS:.0f} s;"
                    f" its log is {log_file(state, service)}"
                )
            file.unlink()
            report(f"{service.name:<8} stopped in {time.monotonic() - began:.1f} s")


def status(state: Path, services: Sequence[Service], report: Report) -> bool:
    """Report what runs where; return whether all services are ready."""
    rows, well = [], True
    for service in services:
        running = processes.find(pid_file(state, service))
        health = service.ask()
        well = well and health == "ready"
        since = dt.datetime.fromtimestamp(running.since, dt.UTC) if running else None
        rows.append(
            [
                service.name,
                ("running" if running else "elsewhere" if health else "stopped"),
                running.pid if running else "",
                service.url,
                f"{since:%Y-%m-%d %H:%M:%S} UTC" if since else "",
                health or "no answer",
                _readable(service.size()),
            ]
        )
    report(tabulate(rows, ["service", "state", "pid", "URL", "since", "health", "state on disk"]))
    if any(row[1] == "elsewhere" for row in rows):
        report("elsewhere: it answers, but was not started from here; systemd, perhaps.")
    return well


def run(arguments: Sequence[str], report: Report) -> NoReturn:
    """Replace this process by ``luigi --module jobs``, with luigid if it is ready.

    The catalog is the one of `start`, unless CATALOG_URI is set.
    """
    scheduler = luigid(Path("var"))
    command = [sys.executable, "-m", "luigi", "--module", "jobs", *arguments]
    if scheduler.ask() == "ready":
        host, port = scheduler.address
        command += ["--scheduler-host", host, "--scheduler-port", str(port)]
        report(f"Watch it at {scheduler.url}")
    else:
        command += ["--local-scheduler"]
        report(f"luigid does not answer at {scheduler.url}: running without it")
    listen = os.environ.get("CATALOG_SERVER_LISTEN")
    if listen and not os.environ.get("CATALOG_URI"):
        os.environ["CATALOG_URI"] = f"http://{listen}"
    os.execv(command[0], command)  # noqa: S606 - our own pipeline


def require_port(service: Service) -> None:
    """Check that a service can listen at its address.

    Raises:
        StackError: another program does; the message proposes another port.
    """
    host, port = service.address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StackError(
                f"{service.name} cannot listen on {service.listen}: {error.strerror};"
                f" give it another place, such as {service.variable}={host}:{port + 1000}"
            ) from None


def _wait_until_ready(state: Path, service: Service) -> None:
    log = log_file(state, service)
    deadline = time.monotonic() + START_SECONDS
    while service.ask() != "ready":
        if processes.find(pid_file(state, service)) is None:
            words = log.read_text(errors="replace").splitlines() or ["it gave no reason"]
            raise StackError(f"{service.name} ended as it started: {words[-1]} (log: {log})")
        if time.monotonic() > deadline:
            raise StackError(
                f"{service.name} does not answer at {service.url} after {START_SECONDS:.0f} s;"
                f" its log is {log}"
            )
        time.sleep(0.1)


def _readable(size: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:  # noqa: PLR2004 - what the units are made of
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
