"""A catalog with tables in it, and the commands for people."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from pyiceberg.catalog import load_catalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import DayTransform
from pyiceberg.types import (
    DoubleType,
    ListType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
)

from falcon_catalog.cli import main
from tests.catalog.serving import Server, serving

SCHEMA = Schema(
    NestedField(1, "station", StringType(), required=True, doc="of the service"),
    NestedField(2, "time", TimestamptzType(), required=True),
    NestedField(3, "temperature", DoubleType()),
    NestedField(4, "wind", StructType(NestedField(6, "speed", DoubleType(), doc="km/h"))),
    NestedField(5, "layers", ListType(7, StringType(), element_required=False)),
    identifier_field_ids=[1, 2],
)
DAYS = PartitionSpec(PartitionField(2, 1000, DayTransform(), "time_day"))


def rows(count: int, day: int, schema: Schema = SCHEMA) -> pa.Table:
    """Return rows of one day of November 2026, of stations K000 to K004."""
    return pa.Table.from_pylist(
        [
            {
                "station": f"K{i % 5:03}",
                "time": datetime(2026, 11, day, i % 24, i // 24, tzinfo=UTC),
                "temperature": float(i),
                "wind": {"speed": i / 2},
                "layers": ["FEW", "BKN"],
            }
            for i in range(count)
        ],
        schema=schema.as_arrow(),
    )


class Console:
    """The command line, on a catalog."""

    def __init__(self, url: str) -> None:
        self.url = url

    def run(self, *words: str, **options: Any) -> Result:
        """Run a command; a failure that is not one line is raised."""
        done = CliRunner().invoke(main, words, catch_exceptions=False, **options)
        assert isinstance(done.exception, SystemExit | None)
        return done

    def ok(self, *words: str, **options: Any) -> str:
        """Run a command that must succeed on the catalog; return its stdout."""
        done = self.run(*words, "--uri", self.url, **options)
        assert done.exit_code == 0, done.output
        return done.stdout

    def json(self, *words: str, **options: Any) -> Any:
        """Run a command with --json; return its document."""
        return json.loads(self.ok(*words, "--json", **options))

    def fails(self, *words: str, **options: Any) -> tuple[int, str]:
        """Run a command that must fail; return status and the last line on stderr."""
        done = self.run(*words, "--uri", self.url, **options)
        assert done.exit_code != 0, done.output
        assert done.stdout == ""
        return done.exit_code, done.stderr.splitlines()[-1]


@pytest.fixture(autouse=True)
def _no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the configuration and the logins of this machine out."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    for name in ("PYICEBERG_HOME", "CATALOG_TOKEN", "CATALOG_CREDENTIAL", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path, apart=True) as one:  # DuckDB would wait for it in one process
        yield one


@pytest.fixture
def catalog(server: Server) -> Iterator[RestCatalog]:
    """PyIceberg, which makes what the commands show."""
    one = load_catalog("lake", type="rest", uri=server.url)
    assert isinstance(one, RestCatalog)
    yield one
    one.close()


@pytest.fixture
def console(server: Server) -> Console:
    return Console(server.url)


@pytest.fixture
def observations(catalog: RestCatalog) -> Table:
    """A table of two snapshots, with a tag on the first and a branch on the second."""
    catalog.create_namespace("weather", {"owner": "ann"})
    made = catalog.create_table("weather.observations", SCHEMA, partition_spec=DAYS)
    made.append(rows(30, 1))
    made.append(rows(12, 2))
    first, second = (each.snapshot_id for each in made.snapshots())
    with made.manage_snapshots() as change:
        change.create_tag(first, "v1")
        change.create_branch(second, "audit")
    return made
