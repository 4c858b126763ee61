"""What the scenarios do to a catalog, and how they look at it from outside."""

import contextlib
import sqlite3
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.table import Table

from tests.catalog.serving import Server, store_url
from tests.scenarios.cutting import Proxy

T = "/v1/namespaces/ns/tables/t"
TABLES = "/v1/namespaces/ns/tables"
TRANSACTION = "/v1/transactions/commit"
ARROW = pa.schema([("id", pa.int64())])

JSON = dict[str, Any]


def through(server: Server, proxy: Proxy) -> Server:
    """Return the server as it is seen through a proxy."""
    return replace(server, url=proxy.url)


def set_properties(**updates: str) -> JSON:
    return {"action": "set-properties", "updates": updates}


def append(number: int, *, parent: int | None, sequence: int | None = None) -> JSON:
    """Return a commit as engines send it: one snapshot more, provided that ``main`` is at parent.

    ``sequence`` is its sequence number, by default the same as its id.
    """
    snapshot: JSON = {
        "snapshot-id": number,
        "sequence-number": sequence or number,
        "timestamp-ms": time.time_ns() // 1_000_000,
        "manifest-list": f"file:///nowhere/snap-{number}.avro",
        "summary": {"operation": "append"},
        "schema-id": 0,
    }
    if parent is not None:
        snapshot["parent-snapshot-id"] = parent
    return {
        "requirements": [
            {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": parent},
        ],
        "updates": [
            {"action": "add-snapshot", "snapshot": snapshot},
            set_ref("main", number),
        ],
    }


def set_ref(name: str, number: int, kind: str = "branch") -> JSON:
    return {"action": "set-snapshot-ref", "ref-name": name, "type": kind, "snapshot-id": number}


def rows(*ids: int) -> pa.Table:
    return pa.table({"id": list(ids)}, schema=ARROW)


def client_of(url: str) -> RestCatalog:
    return RestCatalog("lake", uri=url)


def ids_in(url: str, name: str = "ns.t", **scan: Any) -> list[int]:
    """Return what a client that knows nothing yet reads of a table."""
    table = client_of(url).load_table(name)
    return sorted(table.scan(**scan).to_arrow()["id"].to_pylist())


def path_of(location: str) -> Path:
    return Path(location.removeprefix("file://"))


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def metadata_files(server: Server) -> set[Path]:
    return set(server.warehouse.rglob("*.metadata.json"))


def reached(table: Table) -> set[Path]:
    """Return every file that a table's snapshots name."""
    found = set()
    for snapshot in table.snapshots():
        found.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            found.add(manifest.manifest_path)
            found |= {
                entry.data_file.file_path for entry in manifest.fetch_manifest_entry(table.io)
            }
    return {path_of(location) for location in found}


@contextlib.contextmanager
def database(folder: Path) -> Iterator[sqlite3.Connection]:
    """Open the catalog's database beside the server, as another program would."""
    connection = sqlite3.connect(folder / "catalog.db", isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


@contextlib.contextmanager
def trigger(folder: Path, when: str) -> Iterator[None]:
    """Make the database refuse a statement in the middle of a transaction, as a full disk might."""
    with database(folder) as other:
        other.execute(f"CREATE TRIGGER fault {when} BEGIN SELECT RAISE(ABORT, 'a fault'); END")
        try:
            yield
        finally:
            other.execute("DROP TRIGGER fault")


def flags(folder: Path) -> list[str]:
    """Return what tells a command which catalog to work on."""
    return [
        "--store",
        store_url(folder),
        "--warehouse",
        f"file://{folder}/warehouse",
    ]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "falcon_catalog", *arguments]
