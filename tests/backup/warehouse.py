"""A warehouse with tables of all kinds, and what readers see in them."""

import datetime as dt
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from click.testing import CliRunner
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.statistics import StatisticsFile
from pyiceberg.transforms import BucketTransform, DayTransform, IdentityTransform
from pyiceberg.types import (
    DecimalType,
    DoubleType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
)

from falcon_catalog.cli import main
from tests.catalog.scanning import duckdb_on, pyiceberg
from tests.catalog.serving import SCHEMA, Server, serving

SCAN = Schema(
    NestedField(1, "id", LongType(), required=False),
    NestedField(2, "station", StringType(), required=False),
    NestedField(3, "seen_at", TimestampType(), required=False),
    NestedField(4, "rain", DecimalType(9, 2), required=False),
    NestedField(5, "wind", DoubleType(), required=False),
)
BY_EVERYTHING = PartitionSpec(
    PartitionField(2, 1000, IdentityTransform(), "station"),
    PartitionField(3, 1001, DayTransform(), "day"),
    PartitionField(4, 1002, IdentityTransform(), "rain"),
    PartitionField(5, 1003, IdentityTransform(), "wind"),
)
FILTERS = (
    "station = 'KA'",
    "id >= 3",
    "wind = 0.5",
    "rain = 1.25",
    "seen_at >= '2013-07-19T00:00:00'",
)
# Of the tables that have these columns.
SCANNED = ("ns.everything", "ns.first", "deep.er.moved", "ns.elsewhere")


def rows(first: int, count: int = 4) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "id": i,
                "station": f"K{'ABC'[i % 3]}",
                "seen_at": dt.datetime(2013, 7, 18 + i % 2, i % 24),  # noqa: DTZ001 - of no zone
                "rain": Decimal(i % 4) + Decimal("0.25"),
                "wind": None if i % 5 == 0 else i / 2,
            }
            for i in range(first, first + count)
        ],
        schema=schema_to_pyarrow(SCAN, include_field_ids=False),
    )


@dataclass
class Warehouse:
    """A catalog and its warehouse, which may be moved and served elsewhere."""

    folder: Path
    """Holds the database, and the warehouse unless that was moved."""
    location: Path

    @property
    def store(self) -> Path:
        return self.folder / "catalog.db"

    @property
    def flags(self) -> list[str]:
        return [f"--store=sqlite:///{self.store}", f"--warehouse=file://{self.location}"]

    def run(self, *words: str) -> tuple[int, str, str]:
        """Run a command; return its status, and what it wrote to stdout and stderr."""
        command, *more = words
        told = [command, *self.flags, *more]
        result = CliRunner().invoke(main, told, catch_exceptions=False)
        return result.exit_code, result.stdout, result.stderr

    def relocate(self, old: Path, *words: str) -> tuple[int, str, str]:
        return self.run("relocate", f"file://{old}", f"file://{self.location}", *words)

    def serving(self, **settings: object) -> Any:
        return serving(self.folder, warehouse__location=f"file://{self.location}", **settings)

    def sql(self, statement: str, *parameters: Any) -> list[Any]:
        with closing(sqlite3.connect(self.store, isolation_level=None)) as connection:
            return connection.execute(statement, parameters).fetchall()

    def dump(self) -> list[str]:
        with closing(sqlite3.connect(self.store)) as connection:
            return list(connection.iterdump())

    def files(self) -> dict[str, bytes]:
        """Return the content of each file in the warehouse."""
        found = sorted(path for path in self.location.rglob("*") if path.is_file())
        return {str(path.relative_to(self.location)): path.read_bytes() for path in found}

    def pointer(self, name: str) -> Path:
        sql = "SELECT metadata_location FROM tabulars WHERE name = ?"
        return path_of(self.sql(sql, name)[0][0])

    def metadata(self, name: str) -> dict[str, Any]:
        return json.loads(self.pointer(name).read_bytes())

    def copy(self, folder: Path, location: Path) -> "Warehouse":
        """Copy database and files, as an operator does; nothing in them is changed."""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy2(self.store, folder / "catalog.db")
        shutil.copytree(self.location, location)
        return Warehouse(folder, location)


def path_of(location: str) -> Path:
    return Path(location.removeprefix("file://"))


def fill(server: Server) -> None:
    """Make tables with PyIceberg and DuckDB, of all versions, with all that names files."""
    catalog = pyiceberg(server)
    for namespace in (("ns",), ("deep",), ("deep", "er")):
        catalog.create_namespace(namespace)
    _with_pyiceberg(catalog, server)
    with duckdb_on(server) as duck:
        _with_duckdb(duck)
    view = {
        "schema-id": 0,
        "version-id": 1,
        "timestamp-ms": 1,
        "summary": {},
        "default-namespace": ["ns"],
        "representations": [{"type": "sql", "sql": "SELECT 1 AS id", "dialect": "duckdb"}],
    }
    body = {"name": "seen", "schema": SCHEMA, "view-version": view, "properties": {}}
    server.ok("POST", "/v1/namespaces/ns/views", body)
    server.ok("DELETE", "/v1/namespaces/ns/tables/dropped")
    home = {"location": f"file://{server.warehouse}/homes", "comment": "of nobody"}
    server.ok("POST", "/v1/namespaces", {"namespace": ["home"], "properties": home})
    catalog.close()


def _with_pyiceberg(catalog: RestCatalog, server: Server) -> None:
    for name, spec, version in (
        ("ns.everything", BY_EVERYTHING, "2"),
        ("ns.first", PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "station")), "1"),
        ("deep.er.moved", PartitionSpec(PartitionField(1, 1000, BucketTransform(4), "b")), "2"),
        ("ns.dropped", PartitionSpec(), "2"),
    ):
        table = catalog.create_table(
            name, SCAN, partition_spec=spec, properties={"format-version": version}
        )
        table.append(rows(0))
        table.append(rows(4))
        table.delete("id = 1")
    table = catalog.load_table("ns.everything")
    with table.update_spec() as update:
        update.remove_field("rain")
        update.add_field("id", BucketTransform(8), "id_bucket")
    with table.update_schema() as update:
        update.add_column("more", StringType())
    table.append(rows(8).append_column("more", pa.array(["x"] * 4)))
    head = table.current_snapshot()
    assert head is not None
    table.manage_snapshots().create_tag(head.snapshot_id, "kept").commit()
    table.manage_snapshots().create_branch(head.snapshot_id, "audit").commit()
    table.append(rows(12), branch="audit")
    _with_statistics(table)
    # Other folders for data and metadata, other spellings, zipped metadata.
    elsewhere = f"{server.warehouse}/elsewhere"
    table = catalog.create_table(
        "ns.elsewhere",
        SCAN,
        properties={
            "write.data.path": f"file:{elsewhere}/data",
            "write.metadata.path": f"{elsewhere}/metadata",
            "write.metadata.compression-codec": "gzip",
            "comment": f"came from file://{server.warehouse}",
        },
    )
    table.append(rows(0))
    table.append(rows(4))
    catalog.create_table("ns.empty", SCAN)


def _with_statistics(table: Table) -> None:
    head = table.current_snapshot()
    assert head is not None
    content = b"PFA1 not read by anybody PFA1"
    path = path_of(table.location()) / "metadata" / "of-columns.stats"
    path.write_bytes(content)
    with table.update_statistics() as update:
        update.set_statistics(
            StatisticsFile(
                snapshot_id=head.snapshot_id,
                statistics_path=f"file://{path}",
                file_size_in_bytes=len(content),
                file_footer_size_in_bytes=4,
                blob_metadata=[],
            )
        )


def _with_duckdb(duck: duckdb.DuckDBPyConnection) -> None:
    for name, version in (("positions", 2), ("vectors", 3)):
        duck.execute(
            f"CREATE TABLE lake.ns.{name} (id BIGINT, s VARCHAR)"
            f" WITH ('format-version' = '{version}')"
        )
        for first in (0, 100):
            duck.execute(
                f"INSERT INTO lake.ns.{name} SELECT i, 'r' || i FROM range({first}, {first + 50})"
                " r(i)"
            )
        duck.execute(f"DELETE FROM lake.ns.{name} WHERE id IN (3, 4, 105)")
        duck.execute(f"UPDATE lake.ns.{name} SET s = 'new' WHERE id = 7")
        duck.execute(f"DELETE FROM lake.ns.{name} WHERE id = 120")


def seen(server: Server) -> dict[str, Any]:
    """Return what PyIceberg and DuckDB read of all tables, now, in the past and filtered."""
    catalog = pyiceberg(server)
    found: dict[str, Any] = {}
    for namespace in (("ns",), ("deep", "er")):
        for identifier in catalog.list_tables(namespace):
            name = ".".join(identifier)
            found |= dict(_with_py(name, catalog.load_table(identifier)))
    with duckdb_on(server) as duck:
        for name in {name for name, _ in found}:
            found |= dict(_with_duck(name, catalog.load_table(name), duck))
    catalog.close()
    return found


def _with_py(name: str, table: Table) -> Iterator[tuple[tuple[str, str], Any]]:
    for snapshot in table.snapshots():
        scan = table.scan(snapshot_id=snapshot.snapshot_id)
        yield (name, f"py {snapshot.snapshot_id}"), in_order(scan.to_arrow().to_pylist())
    for each in FILTERS if name in SCANNED else ("id >= 3",):
        found = table.scan(row_filter=each).to_arrow().to_pylist()
        yield (name, f"py {each}"), in_order(found)
    refs = sorted((key, ref.snapshot_id) for key, ref in table.refs().items())
    yield (name, "refs"), refs
    yield (name, "uuid"), str(table.metadata.table_uuid)
    yield (name, "log"), [entry.snapshot_id for entry in table.history()]


def _with_duck(
    name: str, table: Table, duck: duckdb.DuckDBPyConnection
) -> Iterator[tuple[tuple[str, str], Any]]:
    quoted = "lake." + ".".join(f'"{level}"' for level in _levels(name))
    for snapshot in table.snapshots():
        sql = f"FROM {quoted} AT (VERSION => {snapshot.snapshot_id})"
        found = duck.execute(sql).to_arrow_table().to_pylist()
        yield (name, f"duck {snapshot.snapshot_id}"), in_order(found)
    for each in FILTERS if name in SCANNED else ("id >= 3",):
        found = duck.execute(f"FROM {quoted} WHERE {each}").to_arrow_table().to_pylist()
        yield (name, f"duck {each}"), in_order(found)


def _levels(name: str) -> tuple[str, str]:
    namespace, _, last = name.rpartition(".")
    return namespace, last


def in_order(found: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return sorted((tuple(row.values()) for row in found), key=repr)
