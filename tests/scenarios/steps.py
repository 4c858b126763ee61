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
from tests.several import IN_POSTGRES

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
def database(folder: Path) -> Iterator[Any]:
    """Open the catalog's database beside the server, as another program would."""
    if IN_POSTGRES:
        import psycopg  # noqa: PLC0415 - other tests do without

        connection: Any = psycopg.connect(store_url(folder), autocommit=True)
    else:
        connection = sqlite3.connect(folder / "catalog.db", isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


def begin(connection: Any) -> None:
    """Begin a transaction that keeps every other one from changing tables."""
    if IN_POSTGRES:
        connection.execute("BEGIN")
        connection.execute("LOCK TABLE tabulars IN EXCLUSIVE MODE")
    else:
        connection.execute("BEGIN IMMEDIATE")


def point_at(connection: Any, pointer: str) -> None:
    """Set the pointer of the table ``t``."""
    mark = "%s" if IN_POSTGRES else "?"
    statement = f"UPDATE tabulars SET metadata_location = {mark} WHERE name = 't'"
    connection.execute(statement, (pointer,))


@contextlib.contextmanager
def trigger(folder: Path, when: str, name: str = "") -> Iterator[None]:
    """Make the database refuse a statement in the middle of a transaction, as a full disk might.

    ``when`` is such as ``BEFORE UPDATE ON tabulars``; ``name``: only that of one table.
    """
    condition = f"WHEN (NEW.name = '{name}')" if name else ""
    with database(folder) as other:
        if IN_POSTGRES:
            body = "$$BEGIN RAISE EXCEPTION 'a fault'; END$$"
            other.execute(f"CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS {body}")
            run, end = "EXECUTE FUNCTION fault()", "DROP FUNCTION fault() CASCADE"
        else:
            run, end = "BEGIN SELECT RAISE(ABORT, 'a fault'); END", "DROP TRIGGER fault"
        other.execute(f"CREATE TRIGGER fault {when} FOR EACH ROW {condition} {run}")
        try:
            yield
        finally:
            other.execute(end)


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
