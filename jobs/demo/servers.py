"""The servers that the demo starts, and stops again."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

START_SECONDS = 60.0


class DemoError(Exception):
    """The demo cannot go on; the message is the line to show."""


@dataclass
class Server:
    """A server with a log; it says on which URL it listens."""

    name: str
    command: Sequence[str]
    log: Path
    url: str = ""
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    def start(self) -> None:
        """Start it and wait until it listens.

        Raises:
            DemoError: it ended instead; with its last words.
        """
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith("CATALOG_")
        }
        with self.log.open("wb") as file:
            self._process = subprocess.Popen(  # noqa: S603 - our own servers
                self.command, stdout=file, stderr=subprocess.STDOUT, env=environment
            )
        self.url = self._address(self._process)

    def kill(self) -> None:
        """Kill -9: it has no chance to finish or to tidy up."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """Stop it and wait for its end."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def _address(self, process: "subprocess.Popen[bytes]") -> str:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            ended = process.poll() is not None
            lines = self.log.read_text().splitlines()
            for line in lines:
                if line.startswith("Listening on "):
                    return line.split()[2]
            if ended:
                words = (lines or ["it gave no reason"])[-1]
                raise DemoError(f"the {self.name} did not start: {words}")
            time.sleep(0.05)
        raise DemoError(
            f"the {self.name} did not start within {START_SECONDS:.0f} s; see {self.log}"
        )


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    """Have a server for a while."""
    try:
        server.start()
        yield server
    finally:
        server.stop()


def catalog(store: str, warehouse: str, listen: str, log: Path) -> Server:
    """Give the catalog, at an address that it keeps when it is killed and started again."""
    host, _, port = listen.rpartition(":")
    if port == "0":
        listen = f"{host}:{_free_port(host)}"
    program = str(Path(sys.executable).with_name("falcon-catalog"))
    places = ["--store", store, "--warehouse", warehouse]
    return Server("catalog", [program, "serve", "--listen", listen, *places], log)


def simulator(faults: str, log: Path) -> Server:
    """Give the weather service's simulator, some of whose answers go wrong."""
    command = [sys.executable, "-m", "jobs.nws_simulator", "--listen", "127.0.0.1:0"]
    return Server("simulator", [*command, "--faults", faults, "--verbose"], log)


def _free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host.strip("[]"), 0), family=family) as probe:
        port: int = probe.getsockname()[1]
        return port
