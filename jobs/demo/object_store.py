"""The demo in an object store: an emulator of Amazon S3, and the warehouse that is in it."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table import Table

from jobs.maintenance.errors import RefusedError
from jobs.maintenance.files import list_files
from jobs.maintenance.results import spell_bytes
from jobs.stack.processes import Server, StackError, without_settings
from jobs.stack.services import Service
from jobs.targets import write

BUCKET = "lake"
WAREHOUSE = f"s3://{BUCKET}/warehouse"
# Three tables of those whose credentials are tried on one another.
_TRIED = ("weather.observations", "weather.stations", "marts.fct_daily_station_weather")
_START_SECONDS = 60.0

_SETTINGS = """\
# All that makes the demo's warehouse one in an object store. Written by the demo at each start.
[warehouse]
location = "{location}"
region = "{region}"
endpoint = "{url}"
path_style = true
role_arn = "{role_arn}"
credential = "file:{key}"
"""


@dataclass(frozen=True)
class ObjectStore:
    """The emulator's files in the demo's folder: its objects between two runs, keys, settings."""

    folder: Path

    @property
    def objects(self) -> Path:
        """The objects while the emulator does not run."""
        return self.folder / "objects"

    @property
    def settings(self) -> Path:
        """The catalog's settings file."""
        return self.folder / "catalog.toml"

    @property
    def log(self) -> Path:
        """What the emulator writes."""
        return self.folder / "s3.log"

    @property
    def _described(self) -> Path:
        return self.folder / "s3.json"

    @property
    def _key(self) -> Path:
        return self.folder / "s3-key.json"

    @contextlib.contextmanager
    def running(self) -> Iterator[Server]:
        """Run the emulator on a free port, and write the settings of its warehouse."""
        self.forget()
        command = self._command("127.0.0.1:0")
        with Server("S3 emulator", command, self.log, without_settings()) as server:
            self.configure()
            yield server

    def service(self, listen: str) -> Service:
        """Return the emulator that is left running."""
        return Service(
            name="s3",
            listen=listen,
            variable="",
            command=self._command(listen),
            health=("GET", "/moto-api/data.json"),
            keeps=(),
            environment=without_settings(),
        )

    def forget(self) -> None:
        """Forget what an earlier emulator was, before one is started.

        Raises:
            StackError: what it needs is not installed.
        """
        if find_spec("moto") is None or find_spec("obstore") is None:
            raise StackError(
                "a demo in an object store needs more packages: make demo-s3 installs them, and so"
                " does pip install '.[jobs,demo,s3,emulators]' in the clone"
            )
        self._described.unlink(missing_ok=True)

    def configure(self) -> None:
        """Write the settings of a warehouse in the emulator that was started last.

        Raises:
            StackError: it does not say what they are.
        """
        deadline = time.monotonic() + _START_SECONDS
        while not self._described.exists():
            if time.monotonic() > deadline:
                raise StackError(f"the S3 emulator is not ready; its log is {self.log}")
            time.sleep(0.02)
        made = json.loads(self._described.read_text(encoding="utf-8"))
        keys = {name: made[name] for name in ("access_key_id", "secret_access_key")}
        self._key.touch(mode=0o600)
        self._key.write_text(json.dumps(keys), encoding="utf-8")
        text = _SETTINGS.format(location=WAREHOUSE, key=self._key, **made)
        write(self.settings, text.encode())

    def held(self) -> str:
        """Return how many objects the warehouse has, and of which size."""
        made = json.loads(self._described.read_text(encoding="utf-8"))
        own = {
            "s3.access-key-id": made["access_key_id"],
            "s3.secret-access-key": made["secret_access_key"],
            "s3.endpoint": made["url"],
            "s3.region": made["region"],
        }
        files = list_files(PyArrowFileIO(own), WAREHOUSE)
        return f"{len(files)} objects of {spell_bytes(sum(file.bytes for file in files))}"

    def _command(self, listen: str) -> tuple[str, ...]:
        return (
            *(sys.executable, "-m", "jobs.s3_emulator", "--listen", listen, "--bucket", BUCKET),
            *("--folder", str(self.objects), "--json", str(self._described)),
        )


def confined(catalog: Catalog) -> str:
    """Return how many tables' credentials were tried, each on its own and on the other tables.

    Raises:
        StackError: credentials that were vended for one table open another one.
    """
    tables = [catalog.load_table(name) for name in _TRIED]
    for mine in tables:
        if not list_files(mine.io, mine.location()):
            raise StackError(f"the credentials of {_name(mine)} show nothing of it")
        for other in tables:
            if other is not mine and _opens(mine, other):
                raise StackError(f"the credentials of {_name(mine)} open {_name(other)}")
    return f"{len(tables)} tables' credentials tried on one another, each opens its own only"


def without_proxy() -> None:
    """Reach this machine directly, whatever proxy leads out of it."""
    os.environ.update({"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"})


def _opens(mine: Table, other: Table) -> bool:
    try:
        list_files(mine.io, other.location())
    except RefusedError:
        pass
    else:
        return True
    try:
        len(mine.io.new_input(other.metadata_location))
    except OSError:
        return False
    return True


def _name(table: Table) -> str:
    return ".".join(table.name())
