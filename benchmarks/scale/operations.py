"""What the operator's commands cost with so many tables, each with its own metadata file."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import orjson

from benchmarks import servers, store
from benchmarks.client import Connection, Request
from benchmarks.processes import Server, ended, python, write_local
from benchmarks.scale.section import Cell, Context, Section, megabytes
from benchmarks.tables import NAMESPACE, Table, first_file, metadata

_MANAGED = "/management/v1/warehouses/default/dropped"
HEADER = (
    "tables",
    "doctor, s",
    "doctor, peak MB",
    "backup, s",
    "backup, peak MB",
    "purge of one table, ms",
)


def measure(context: Context, sizes: list[int]) -> list[Section]:
    """Measure ``doctor`` and ``backup`` of catalogs of these sizes on SQLite, and one purge."""
    rows: list[list[Cell]] = []
    for size in sizes:
        context.say(f"doctor, backup and purge: {size:,} tables")
        place = context.bench.place(f"operations-{size}")
        with store.opened(place) as database:
            store.fill(database, NAMESPACE, _written(place, size))
        with servers.ours(place) as ours:  # which marks the warehouse as this store's
            purged = _purge(ours)
        doctor, backup = _command(place, "doctor"), _command(place, "backup", str(place / "copy"))
        rows.append([size, *doctor, *backup, purged])
        shutil.rmtree(place)
    return [Section("operations", "Operator's commands on SQLite, local disk", HEADER, rows)]


def _written(place: Path, size: int) -> Iterator[tuple[str, str]]:
    """Write the metadata file of each table; yield its name and path."""
    for number in range(size):
        name = f"t{number:07d}"
        folder = f"{place}/warehouse/{NAMESPACE}/{name}"
        table = Table(name, f"file://{folder}", 1, name)  # ``store.fill`` makes the name the uuid
        content = metadata(table) | {
            "last-sequence-number": 0,
            "current-snapshot-id": -1,
            "refs": {},
            "snapshots": [],
            "snapshot-log": [],
        }
        file = first_file(folder)
        write_local(file, orjson.dumps(content))
        yield name, file


def _purge(server: Server) -> float:
    """Drop a table and purge it; return the milliseconds of the purge."""
    path = f"/v1/namespaces/{NAMESPACE}/tables/t0000000"
    with Connection(server.address) as connection:
        connection.ask(Request(path, method="DELETE"), 204)
        [row] = connection.ask(Request(_MANAGED)).json()["dropped"]
        started = time.perf_counter()
        connection.ask(Request(f"{_MANAGED}/{row['id']}", method="DELETE"))
        return (time.perf_counter() - started) * 1000


def _command(place: Path, name: str, *arguments: str) -> tuple[Cell, Cell]:
    """Run a command on a catalog; return the seconds and the MB that it used."""
    options = ["--store", servers.store_url(place), "--warehouse", f"file://{place}/warehouse"]
    command = python("falcon_catalog", name, *arguments, *options)
    used = ended(command, place / f"{name}.log")
    return used.seconds, megabytes(used.peak_bytes)
