"""The data and delete files of a snapshot, as its manifests have them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from falcon_catalog.console.filters import scan

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

_CONTENTS = ("data", "position deletes", "equality deletes")


@dataclass(frozen=True, slots=True)
class File:
    """A data or delete file of a table."""

    path: str
    content: str
    """``data``, ``position deletes`` or ``equality deletes``."""
    format: str
    partition: dict[str, str | None]
    rows: int
    size: int
    """Bytes; of a deletion vector those of the Puffin file that it is in."""

    @property
    def where(self) -> str:
        """The partition as one text, such as ``time_day=2026-11-01``."""
        return "/".join(f"{name}={value}" for name, value in self.partition.items())


def files(table: "Table", snapshot: "Snapshot | None") -> list[File]:
    """Return the files of a snapshot, data files first, sorted by partition and path."""
    if snapshot is None:
        return []
    found = (_file(table, each) for each in _live(table, snapshot))
    return sorted(found, key=_order)


def files_where(table: "Table", snapshot: "Snapshot | None", where: str) -> list[File]:
    """Return the files that may have rows for which a condition holds, and their delete files.

    Raises:
        UsageError: the condition cannot be read, or names a column that the table lacks.
    """
    if snapshot is None:
        return []
    tasks = list(scan(table, snapshot, where).plan_files())
    # Tasks share the objects of delete files. Their paths do not tell deletion vectors apart, which
    # share a Puffin file.
    found = {id(each): each for task in tasks for each in (task.file, *task.delete_files)}
    return sorted((_file(table, each) for each in found.values()), key=_order)


def _live(table: "Table", snapshot: "Snapshot") -> "Iterator[DataFile]":
    for manifest in snapshot.manifests(table.io):
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            yield entry.data_file


def _file(table: "Table", file: "DataFile") -> File:
    return File(
        path=file.file_path,
        content=_CONTENTS[file.content],
        format=str(file.file_format.value).lower(),
        partition=_partition(table, file),
        rows=file.record_count,
        size=file.file_size_in_bytes,
    )


def _partition(table: "Table", file: "DataFile") -> dict[str, str | None]:
    spec, schema = table.specs()[file.spec_id], table.schema()
    values: dict[str, str | None] = {}
    for index, field in enumerate(spec.fields):
        value: Any = file.partition[index]
        source = schema.find_type(field.source_id) if _has(table, field.source_id) else None
        if value is None or source is None:
            values[field.name] = None if value is None else str(value)
        else:
            values[field.name] = field.transform.to_human_string(source, value)
    return values


def _has(table: "Table", field_id: int) -> bool:
    return table.schema().find_column_name(field_id) is not None


def _order(file: File) -> tuple[int, str, str]:
    return _CONTENTS.index(file.content), file.where, file.path
