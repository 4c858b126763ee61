"""Snapshots made file by file: what PyIceberg and DuckDB never write, or not like this."""

import uuid
from collections.abc import Sequence
from copy import copy
from typing import Any

from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    ManifestWriterV2,
    read_manifest_list,
    write_manifest_list,
)
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.table import Table
from pyiceberg.typedef import Record

from tests.catalog.serving import Server

PATH = 2147483546  # the column of position deletes that names the data file


class DeleteManifestWriter(ManifestWriterV2):
    """PyIceberg's writer, for what it does not write: manifests of delete files."""

    def content(self) -> ManifestContent:
        return ManifestContent.DELETES


def a_file(content: DataFileContent, name: str, partition: Sequence[Any] = (), **more: Any) -> Any:
    """Return a file that is nowhere but in manifests: planning opens no data."""
    return DataFile.from_args(
        content=content,
        file_path=f"file:///nowhere/{name}.parquet",
        file_format=more.pop("file_format", FileFormat.PARQUET),
        partition=Record(*partition),
        record_count=more.pop("record_count", 10),
        file_size_in_bytes=100,
        **more,
    )


def commit(
    server: Server, table: Table, files: Sequence[DataFile], spec: PartitionSpec | None = None
) -> Table:
    """Commit data and delete files on top of the current snapshot, all in one."""
    snapshot_id = uuid.uuid4().int >> 66
    manifests = []
    for deletes in (False, True):
        some = [file for file in files if (file.content != DataFileContent.DATA) is deletes]
        if some:
            manifests.append(manifest_of(table, some, spec or table.spec(), snapshot_id))
    return commit_manifests(server, table, manifests, snapshot_id)


def manifest_of(
    table: Table, files: Sequence[DataFile], spec: PartitionSpec, snapshot_id: int
) -> ManifestFile:
    """Write a manifest that a commit is to add."""
    deletes = files[0].content != DataFileContent.DATA
    writer_of = DeleteManifestWriter if deletes else ManifestWriterV2
    path = f"{table.location()}/metadata/{uuid.uuid4()}-m0.avro"
    output = table.io.new_output(path)
    with writer_of(spec, table.schema(), output, snapshot_id, "null") as writer:
        for file in files:
            added = ManifestEntryStatus.ADDED
            writer.add(ManifestEntry.from_args(status=added, data_file=file))
    return writer.to_manifest_file()


def commit_manifests(
    server: Server, table: Table, manifests: Sequence[ManifestFile], snapshot_id: int
) -> Table:
    """Commit manifests on top of those that the table has."""
    metadata = table.refresh().metadata
    parent = table.current_snapshot()
    old = parent.manifests(table.io) if parent else []
    number = metadata.last_sequence_number + 1
    location = f"{table.location()}/metadata/snap-{snapshot_id}.avro"
    output = table.io.new_output(location)
    parent_id = parent.snapshot_id if parent else None
    with write_manifest_list(2, output, snapshot_id, parent_id, number, "deflate") as writer:
        writer.add_manifests([*manifests, *old])
    add_snapshot(server, table, location, snapshot_id)
    return table.refresh()


def add_snapshot(server: Server, table: Table, manifest_list: str, snapshot_id: int) -> None:
    """Commit a snapshot that points at any manifest list."""
    metadata = table.refresh().metadata
    snapshot: dict[str, Any] = {
        "snapshot-id": snapshot_id,
        "sequence-number": metadata.last_sequence_number + 1,
        "timestamp-ms": metadata.last_updated_ms,
        "manifest-list": manifest_list,
        "summary": {"operation": "append"},
        "schema-id": metadata.current_schema_id,
    }
    if metadata.current_snapshot_id is not None:
        snapshot["parent-snapshot-id"] = metadata.current_snapshot_id
    reference = {"ref-name": "main", "type": "branch", "snapshot-id": snapshot_id}
    updates = [
        {"action": "add-snapshot", "snapshot": snapshot},
        {"action": "set-snapshot-ref", **reference},
    ]
    name = table.name()[-1]
    server.ok("POST", f"/v1/namespaces/ns/tables/{name}", {"updates": updates})


def relist(table: Table, manifest_list: str, old: str, new: str) -> None:
    """Write a manifest list again, with another path for one of its manifests."""
    changed = []
    for manifest in read_manifest_list(table.io.new_input(manifest_list)):
        one = copy(manifest)
        one._data[0] = new if one.manifest_path == old else one.manifest_path
        changed.append(one)
    output = table.io.new_output(manifest_list)
    snapshot_id = changed[0].added_snapshot_id or 0
    with write_manifest_list(2, output, snapshot_id, None, 1, "null") as writer:
        writer.add_manifests(changed)
