"""Tables with as many snapshots as wanted: their metadata is written, then registered."""

import itertools
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from benchmarks.client import Connection, Request
from benchmarks.processes import Server

NAMESPACE = "bench"
_START_MS = 1_700_000_000_000
_COLUMNS = ("long", "string", "timestamptz", "double", "double", "int", "boolean", "string")


@dataclass(slots=True)
class Table:
    """A table of a server, and who has committed to it so far: nobody but us."""

    name: str
    location: str
    snapshots: int
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def path(self) -> str:
        """Where it is in the catalog."""
        return f"/v1/namespaces/{NAMESPACE}/tables/{self.name}"

    def load(self, *headers: tuple[str, str]) -> Request:
        """Ask for the table."""
        return Request(self.path, headers)

    def appends(self, *headers: tuple[str, str]) -> Iterator[Request]:
        """Commit one snapshot after the other, each on the condition that nobody was faster."""
        while True:
            self.snapshots += 1
            yield Request(self.path, headers, orjson.dumps(self._append(self.snapshots)))

    def _append(self, number: int) -> dict[str, Any]:
        parent = number - 1
        snapshot = _snapshot(self.location, number, int(time.time() * 1000))
        main = {"ref-name": "main", "type": "branch", "snapshot-id": number}
        return {
            "identifier": {"namespace": [NAMESPACE], "name": self.name},
            "requirements": [
                {"type": "assert-table-uuid", "uuid": self.uuid},
                {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": parent},
            ],
            "updates": [
                {"action": "add-snapshot", "snapshot": snapshot},
                {"action": "set-snapshot-ref", **main},
            ],
        }

    def touches(self, who: int) -> Iterator[Request]:
        """Set a property again and again, whatever others do."""
        for number in itertools.count():
            updates = [{"action": "set-properties", "updates": {f"writer-{who}": str(number)}}]
            identifier = {"namespace": [NAMESPACE], "name": self.name}
            body = {"identifier": identifier, "requirements": [], "updates": updates}
            yield Request(self.path, (), orjson.dumps(body))


def put(server: Server, name: str, snapshots: int, *, codec: str = "none") -> Table:
    """Make a table with this many snapshots in a server's warehouse, and load it once.

    Args:
        server: with a namespace (``open_namespace``).
        name: the table's.
        snapshots: at least 1.
        codec: ``write.metadata.compression-codec``.
    """
    table = Table(name, f"{server.warehouse}/{NAMESPACE}/{name}", snapshots)
    with Connection(server.address) as connection:
        connection.ask(write(server, table, codec=codec))
        connection.ask(table.load())
    return table


def write(server: Server, table: Table, *, codec: str = "none") -> Request:
    """Write a table's metadata into a server's warehouse; return the request that registers it."""
    file = first_file(table.location)
    server.write(file, orjson.dumps(metadata(table, codec=codec)))
    body = {"name": table.name, "metadata-location": file, "overwrite": False}
    return Request(f"/v1/namespaces/{NAMESPACE}/register", (), orjson.dumps(body))


def open_namespace(server: Server) -> None:
    """Make the namespace of the tables."""
    with Connection(server.address) as connection:
        body = orjson.dumps({"namespace": [NAMESPACE], "properties": {}})
        connection.ask(Request("/v1/namespaces", (), body))


def first_file(location: str) -> str:
    """Return a location for the first metadata file of a table at this one."""
    return f"{location}/metadata/00000-{uuid.uuid4()}.metadata.json"


def metadata(table: Table, *, codec: str = "none") -> dict[str, Any]:
    """Return the metadata of a table whose snapshots have the ids 1, 2, 3 and so on."""
    numbers = range(1, table.snapshots + 1)
    return {
        "format-version": 2,
        "table-uuid": table.uuid,
        "location": table.location,
        "last-sequence-number": table.snapshots,
        "last-updated-ms": _moment(table.snapshots),
        "last-column-id": len(_COLUMNS),
        "current-schema-id": 0,
        "schemas": [_schema()],
        "default-spec-id": 0,
        "partition-specs": [{"spec-id": 0, "fields": []}],
        "last-partition-id": 999,
        "default-sort-order-id": 0,
        "sort-orders": [{"order-id": 0, "fields": []}],
        "properties": {"write.metadata.compression-codec": codec},
        "current-snapshot-id": table.snapshots,
        "refs": {"main": {"type": "branch", "snapshot-id": table.snapshots}},
        "snapshots": [_snapshot(table.location, n, _moment(n)) for n in numbers],
        "snapshot-log": [{"snapshot-id": n, "timestamp-ms": _moment(n)} for n in numbers],
        "metadata-log": [],
        "statistics": [],
        "partition-statistics": [],
    }


def _moment(number: int) -> int:
    return _START_MS + 60_000 * number


def _schema() -> dict[str, Any]:
    fields = [
        {"id": number, "name": f"{kind}_{number}", "type": kind, "required": number == 1}
        for number, kind in enumerate(_COLUMNS, 1)
    ]
    return {"type": "struct", "schema-id": 0, "identifier-field-ids": [], "fields": fields}


def _snapshot(location: str, number: int, moment_ms: int) -> dict[str, Any]:
    """Return a snapshot as a usual append makes it."""
    totals = {
        "total-records": number * 1000,
        "total-files-size": number * 123_456,
        "total-data-files": number,
        "total-delete-files": 0,
        "total-position-deletes": 0,
        "total-equality-deletes": 0,
    }
    added = {"added-data-files": 1, "added-records": 1000, "added-files-size": 123_456}
    counts = {key: str(value) for key, value in {**added, **totals}.items()}
    snapshot = {
        "snapshot-id": number,
        "sequence-number": number,
        "timestamp-ms": moment_ms,
        "manifest-list": f"{location}/metadata/snap-{number:019d}-0-{uuid.UUID(int=number)}.avro",
        "summary": {"operation": "append", **counts, "changed-partition-count": "1"},
        "schema-id": 0,
    }
    return snapshot if number == 1 else {**snapshot, "parent-snapshot-id": number - 1}
