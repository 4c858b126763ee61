"""The services of the stack: their programs, addresses and files."""

import contextlib
import os
import stat
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import requests

from jobs.addresses import split_address
from jobs.config import luigid_address
from jobs.stack.processes import StackError

# The pipeline's settings, of which the catalog would make nothing.
_PIPELINES = ("CATALOG_URI", "CATALOG_WAREHOUSE", "CATALOG_TOKEN")
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - a listener's word for any


@dataclass(frozen=True)
class Service:
    """A program of the stack."""

    name: str
    listen: str
    variable: str
    command: tuple[str, ...]
    health: tuple[str, str]
    keeps: tuple[Path, ...]
    page: str = ""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of its address on this machine."""
        host, port = split_address(self.listen)
        return _ANYWHERE.get(host, host), port

    @property
    def url(self) -> str:
        """Its URL."""
        host, port = self.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def ask(self) -> str:
        """Return "ready", the error, or "" if nothing responds."""
        verb, path = self.health
        with requests.Session() as session:
            session.trust_env = False  # no proxy leads to this machine
            try:
                answer = session.request(verb, self.url + path, timeout=5, allow_redirects=False)
            except requests.ConnectionError:
                return ""
            except requests.RequestException as error:
                return " ".join(str(error).split())[:60]
        return "ready" if answer.ok else f"answers {answer.status_code}"

    def size(self) -> int:
        """Return the size of its files in bytes."""
        total = 0
        for place in self.keeps:
            # A database has its journals beside it.
            for path in [*place.parent.glob(f"{place.name}*"), *place.rglob("*")]:
                with contextlib.suppress(FileNotFoundError):
                    found = path.lstat()
                    total += found.st_size if stat.S_ISREG(found.st_mode) else 0
        return total


def services(state: Path) -> list[Service]:
    """Return the services in the order in which they start, their state below a folder.

    Raises:
        StackError: a setting is invalid.
    """
    found = [catalog(state.resolve()), luigid(state.resolve())]
    for service in found:
        try:
            split_address(service.listen)
        except ValueError as error:
            raise StackError(f"{service.name} cannot be reached: {error}") from None
    return found


def catalog(state: Path) -> Service:
    """Return the catalog; its address is that of its own settings.

    Raises:
        StackError: its settings are invalid.
    """
    program = str(Path(sys.executable).with_name("falcon-catalog"))
    file = os.environ.get("CATALOG_CONFIG") or "conf/catalog.toml"
    config = ["--config", file] if Path(file).exists() or "CATALOG_CONFIG" in os.environ else []
    environment = {
        **{name: value for name, value in os.environ.items() if name not in _PIPELINES},
        "STATE_DIRECTORY": str(state / "catalog"),
    }
    shown = subprocess.run(  # noqa: S603 - our own program
        [program, "config", "show", *config],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if shown.returncode:
        raise StackError((shown.stderr.strip().splitlines() or ["the catalog says nothing"])[-1])
    settings = tomllib.loads(shown.stdout)
    return Service(
        name="catalog",
        listen=settings["server"]["listen"],
        variable="CATALOG_SERVER_LISTEN",
        command=(program, "serve", *config),
        health=("GET", "/health/ready"),
        keeps=(
            Path(settings["store"]["url"].removeprefix("sqlite:///")),
            Path(settings["warehouse"]["location"].removeprefix("file://")),
        ),
        environment=environment,
    )


def luigid(state: Path) -> Service:
    """Return luigid; its address is the one that runs use."""
    listen = luigid_address()
    folder = state / "luigi"
    return Service(
        name="luigid",
        listen=listen,
        variable="LUIGID_LISTEN",
        command=(
            *(sys.executable, "-m", "jobs.luigid"),
            *("--listen", listen, "--state", str(folder)),
        ),
        health=("HEAD", "/"),
        keeps=(folder,),
        page="   (progress at /, history at /history, counters at /metrics)",
        environment=dict(os.environ),
    )
