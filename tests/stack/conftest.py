"""The stack on ports and in a folder of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jobs.nws_simulator import airports, make_app, running
from tests.processes import free_port
from tests.tasks.conftest import port, wait  # noqa: F401  # fixtures

REPOSITORY = Path(__file__).parents[2]
DEADLINE = 60.0


@pytest.fixture(scope="session")
def weather() -> Iterator[str]:
    """Serve the airports' year without faults."""
    with running(make_app(airports())) as url:
        yield url


@dataclass(frozen=True)
class Stack:
    """``python -m jobs.stack``, run from the repository."""

    state: Path
    catalog_port: int
    luigid_port: int
    weather: str

    @property
    def catalog(self) -> str:
        return f"http://127.0.0.1:{self.catalog_port}"

    @property
    def luigid(self) -> str:
        return f"http://127.0.0.1:{self.luigid_port}"

    def environment(self, **more: str) -> dict[str, str]:
        ours = ("WEATHER_", "CATALOG_", "LUIGI", "NOTIFY_", "STACK_", "STATE_", "LISTEN_", "MAKE")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {
            **inherited,
            "STACK_STATE": str(self.state),
            "CATALOG_SERVER_LISTEN": f"127.0.0.1:{self.catalog_port}",
            "LUIGID_LISTEN": f"127.0.0.1:{self.luigid_port}",
            "WEATHER_BASE_URL": self.weather,
            "WEATHER_DATA_DIR": str(self.state / "weather"),
            "WEATHER_REQUESTS_PER_SECOND": "1000",
            "WEATHER_HISTORY_HOURS": "0",
            **more,
        }

    def do(
        self, *arguments: str, status: int = 0, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command of the stack to its end, which must have the status."""
        done = subprocess.run(
            [sys.executable, "-m", "jobs.stack", *arguments],
            cwd=REPOSITORY,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done

    def pids(self) -> dict[str, int]:
        """Read from ``status`` what runs."""
        shown = self.do("status", status=0).stdout
        return {name: int(pid) for name, pid in re.findall(r"(?m)^(\w+) +running +(\d+) ", shown)}


@pytest.fixture
def stack(tmp_path: Path, weather: str) -> Iterator[Stack]:
    it = Stack(tmp_path / "var", free_port(), free_port(), weather)
    yield it
    # What asks the two ports gets an answer of whatever has taken them meanwhile.
    if any((it.state / "run").glob("*.json")):
        it.do("stop")
