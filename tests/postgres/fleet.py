"""Three servers on one PostgreSQL database, behind haproxy, each of which can be killed.

Their tables are in a folder, or in an object store.
"""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.durability.processes import Answer, Catalog, Client
from tests.durability.store import Read, Store, read_file
from tests.postgres.cluster import Cluster
from tests.processes import DEADLINE, Running, free_port, wait_for
from tests.several import require_haproxy

SERVERS = 3
_UNANSWERED = {502, 504}  # a server was there, and did not answer
_ERROR = '\'{"error":{"message":"no server","type":"ServiceUnavailableException","code":%d}}\''
_BALANCER = """
global
  stats socket {folder}/admin level admin
defaults
  mode http
  timeout connect 2s
  timeout check 30s
  timeout client 120s
  timeout server 120s
  retries 3
  option redispatch 1
  http-reuse never
{errors}
frontend catalog
  bind 127.0.0.1:{port}
  default_backend servers
backend servers
  balance roundrobin
  option httpchk GET /health/ready
  default-server check inter 200ms fall 1 rise 1
{servers}
"""


@dataclass(frozen=True)
class Storage:
    """Where a fleet's tables are."""

    environ: Mapping[str, str]
    """Settings of the warehouse, as environment variables."""
    read: Read = read_file


class PostgresStore(Store):
    """What a database and the metadata files hold, once every COMMIT that had begun has ended."""

    def __init__(self, url: str, read: Read) -> None:
        self.read = read
        self.integrity, self.strays = ["ok"], []
        wait_for(lambda: self._is_read(url), "the database")

    def _is_read(self, url: str) -> bool:
        """Read it; return False if it crashes meanwhile."""
        with contextlib.suppress(psycopg.OperationalError):
            with psycopg.connect(url, autocommit=True) as session:
                # A server that was killed may have sent a COMMIT that is still worked on.
                began = _snapshot(session, "xmax")
                wait_for(lambda: _snapshot(session, "xmin") >= began, "the end of transactions")
                session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                self._fill(lambda statement: session.execute(statement.encode()).fetchall())
            return True
        return False


class BalancedClient(Client):
    """A client to whom the balancer's own errors are what they are: no answer of the catalog."""

    def ask(self, *request: Any, **more: Any) -> Answer:
        answer = super().ask(*request, **more)
        return Answer(None) if answer.status in _UNANSWERED else answer


class Fleet(Catalog):
    """Three servers behind a balancer, as one catalog."""

    def __init__(self, folder: Path, cluster: Cluster, storage: Storage) -> None:
        super().__init__(folder)
        self._storage = storage
        self._haproxy = require_haproxy()
        self.url = cluster.url
        self.port = free_port()
        self._ports = [free_port() for _ in range(SERVERS)]
        self._servers: list[Running | None] = [None] * SERVERS
        self._balancer: subprocess.Popen[bytes] | None = None

    def client(self) -> Client:
        return BalancedClient(self.port)

    def look(self) -> PostgresStore:
        return PostgresStore(self.url, self._storage.read)

    def start(self, *_wrapper: str) -> None:
        """Start what does not run, and wait until the balancer knows every server."""
        for number in range(SERVERS):
            self.start_server(number)
        if self._balancer is None:
            self._start_balancer()
        wait_for(lambda: self.states() == ["UP"] * SERVERS, "all servers")

    def start_server(self, number: int) -> None:
        """Start one server, unless it runs, and wait until it serves."""
        server = self._servers[number]
        if server is not None and server.alive():
            return
        environ = {name: value for name, value in os.environ.items() if name[:8] != "CATALOG_"}
        environ |= {
            "CATALOG_SERVER_LISTEN": f"127.0.0.1:{self._ports[number]}",
            "CATALOG_STORE_URL": self.url,
            "CATALOG_STORE_CONNECT_TIMEOUT": "2",
            "CATALOG_LOG_LEVEL": "WARNING",
            **self._storage.environ,
        }
        pairs = [f"{name}={value}" for name, value in environ.items()]
        command = [sys.executable, "-c", self.program, "serve"]
        running = Running(["env", "-i", *pairs, *command], {}, cwd=self.folder)
        self._servers[number] = running
        running.url()

    def kill_server(self, number: int) -> None:
        """End one server at once."""
        server = self._servers[number]
        assert server is not None
        server.kill()

    def stop_server(self, number: int) -> int:
        """Ask one server to stop; return its status."""
        server = self._servers[number]
        assert server is not None
        return server.stop()

    def drain(self, number: int) -> None:
        """Let a server get no new request, and wait until it has answered those that it has."""
        self._admin(f"set server servers/s{number} state drain")
        wait_for(lambda: self._column("scur")[number] == "0", "the end of its requests")

    def ready(self, number: int) -> None:
        """Give a server requests again, once it passes its health check."""
        self._admin(f"set server servers/s{number} state ready")
        wait_for(lambda: self.states()[number] == "UP", "the server")

    def states(self) -> list[str]:
        """Return what the balancer thinks of each server: UP, DOWN, DRAIN …"""
        return self._column("status")

    def asked(self) -> list[int]:
        """Return how many requests the balancer has sent to each server."""
        return list(map(int, self._column("stot")))

    def kill(self) -> None:
        """End everything at once, but not the database."""
        for server in self._servers:
            if server is not None:
                server.kill()
        if self._balancer is not None:
            self._balancer.kill()
            self._balancer.wait(DEADLINE)
            self._balancer = None

    def _start_balancer(self) -> None:
        codes = (502, 503, 504)
        errors = "\n".join(
            f"  http-error status {code} content-type application/json string {_ERROR % code}"
            for code in codes
        )
        servers = "\n".join(
            f"  server s{number} 127.0.0.1:{port}" for number, port in enumerate(self._ports)
        )
        config = self.folder / "haproxy.cfg"
        text = _BALANCER.format(folder=self.folder, port=self.port, errors=errors, servers=servers)
        config.write_text(text, encoding="utf-8")
        self._balancer = subprocess.Popen([self._haproxy, "-db", "-f", str(config)])

        def answers() -> bool:
            assert self._balancer is not None
            assert self._balancer.poll() is None
            return (self.folder / "admin").exists() and bool(self.states())

        wait_for(answers, "haproxy")

    def _column(self, name: str) -> list[str]:
        """Return a column of the balancer's statistics, for each server."""
        try:
            head, *lines = self._admin("show stat").splitlines()
        except ConnectionRefusedError:
            return []
        place = head.removeprefix("# ").split(",").index(name)
        rows = [line.split(",") for line in lines if line.startswith("servers,s")]
        return [row[place] for row in rows]

    def _admin(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(str(self.folder / "admin"))
            admin.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: admin.recv(65536), b"")).decode()


def _snapshot(session: psycopg.Connection[tuple[Any, ...]], end: str) -> int:
    """Return the first transaction that was still running, xmin, or was to come, xmax."""
    row = session.execute(f"SELECT pg_snapshot_{end}(pg_current_snapshot())".encode()).fetchone()
    assert row is not None
    return int(row[0])
