"""Catalogs that several processes serve, for tests that any number of processes must pass.

TEST_PROCESSES says how many processes serve where a test does not ask for a number.
TEST_STORE=postgres puts their stores into PostgreSQL, each in a schema of its own.
TEST_BALANCER=haproxy puts haproxy before them, as if each were on a host of its own.
"""

import contextlib
import multiprocessing
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import requests

from falcon_catalog import logs
from falcon_catalog.cli.serve import run
from falcon_catalog.settings import load
from tests.processes import DEADLINE, free_port, wait_for

IN_POSTGRES = os.environ.get("TEST_STORE") == "postgres"
"""Whether catalogs that tests start have their store in PostgreSQL."""
BALANCED = os.environ.get("TEST_BALANCER") == "haproxy"
"""Whether the processes are reached through a balancer, and not on one port."""
INSTANCES = Path(__file__).parents[1] / "benchmarks" / "instances.py"
"""A program that runs several processes on one socket, as systemd does."""
PROCESSES = int(os.environ.get("TEST_PROCESSES", "1"))
_BALANCER = """\
defaults
  mode tcp
  timeout connect 5s
  timeout client 900s
  timeout server 900s
listen catalog
  bind 127.0.0.1:{port}
  balance roundrobin
{servers}
"""
_ABANDONED = 900  # seconds after which a server ends that nobody stopped
# What a server loads when it starts with an empty store, and when it plans its first scan. Each
# would take seconds for it where many tests run.
_PRELOADED = [
    "pytest",
    "tests.several",
    "falcon_catalog.cli.serve",
    "sqlite_utils",
    "falcon_catalog.catalog.scan_planning.plan",
    "pyiceberg.manifest",
    "pyiceberg.transforms",
    *(["falcon_catalog.store.postgres.connection"] if IN_POSTGRES else []),
]


@contextlib.contextmanager
def serving(
    flags: dict[str, object],
    log: Path,
    processes: int = PROCESSES,
    config: Path | None = None,
) -> Iterator[str]:
    """Serve from processes beside the test's, which log to a file; yield their one URL."""
    with contextlib.ExitStack() as stack:
        own: dict[str, object] = {"server.listen": "127.0.0.1:0"}
        if BALANCED:
            servers = [
                stack.enter_context(_process({**own, **flags}, log, config))
                for _ in range(processes)
            ]
            urls = [server() for server in servers]
            yield stack.enter_context(balanced(urls, log.with_suffix(".haproxy")))
            return
        if processes > 1:
            own["server.reuse_port"] = True
        url = stack.enter_context(_process({**own, **flags}, log, config))()
        own["server.listen"] = url.removeprefix("http://")
        for _ in range(processes - 1):
            stack.enter_context(_process({**own, **flags}, log, config))()
        yield url


@contextlib.contextmanager
def balanced(urls: list[str], config: Path) -> Iterator[str]:
    """Start haproxy before some servers; yield its URL. Bytes pass as they are."""
    haproxy = require_haproxy()
    port = free_port()
    servers = "\n".join(
        f"  server s{number} {url.removeprefix('http://')}" for number, url in enumerate(urls)
    )
    config.write_text(_BALANCER.format(port=port, servers=servers), encoding="utf-8")
    with subprocess.Popen([haproxy, "-db", "-f", str(config)]) as balancer:
        try:
            wait_for(lambda: _listens(port), "haproxy")
            yield f"http://127.0.0.1:{port}"
        finally:
            balancer.kill()


def require_haproxy() -> str:
    """Return the balancer's program; skip the test where it is missing."""
    found = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    return found or pytest.skip("haproxy is not installed (apt install haproxy)")


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def _process(
    flags: dict[str, object], log: Path, config: Path | None
) -> Iterator[Callable[[], str]]:
    """Start a server; yield a function that waits until it serves and returns its URL."""

    def url() -> str:
        assert ours.poll(DEADLINE)
        return str(ours.recv())

    # A process that has imported everything forks each server.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    ours, theirs = context.Pipe(duplex=False)
    server = context.Process(target=_serve, args=(flags, log, config, theirs, dict(os.environ)))
    server.start()
    theirs.close()
    try:
        yield url
    finally:
        server.terminate()
        server.join(DEADLINE)
        ours.close()
    assert server.exitcode == 0, log.read_text(encoding="utf-8")


def metrics(url: str, processes: int = PROCESSES) -> list[str]:
    """Return what each of the processes at a URL says at /metrics."""
    found: dict[str, str] = {}

    def has_all() -> bool:
        text = requests.get(f"{url}/metrics", timeout=DEADLINE).text  # over a new connection
        found[re.findall(r"(?m)^process_start_time_seconds (.+)$", text)[0]] = text
        return len(found) == processes

    wait_for(has_all, "an answer of each process")
    return list(found.values())


def _serve(
    flags: dict[str, object],
    log: Path,
    config: Path | None,
    told: Connection,
    environ: dict[str, str],
) -> None:
    signal.alarm(_ABANDONED)
    os.environ.update(environ)  # that of now, not of when the first server was started
    with log.open("ab") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    settings = load(config, {}, flags)
    logs.configure(settings.log.level, settings.log.format)
    try:
        finished = run(settings, lambda line: told.send(line.removeprefix("Listening on ")))
    finally:
        logs.finish()
    sys.exit(not finished)
