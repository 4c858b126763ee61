"""Scan tasks in the JSON of the REST specification: FileScanTask, DataFile, DeleteFile.

``referenced-data-file`` and ``data-sequence-number`` are not in the specification; readers of
deletion vectors and of row lineage need them, and Java's server sends them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from falcon_catalog.catalog.scan_planning import values
from falcon_catalog.catalog.scan_planning.expressions import Predicate
from falcon_catalog.catalog.scan_planning.manifests import (
    EQUALITY_DELETES,
    UNKNOWN,
    ContentFile,
    PartitionField,
)
from falcon_catalog.metadata.json_fields import JSON
from falcon_catalog.metadata.types import Type

_CONTENTS = ("data", "position-deletes", "equality-deletes")
_COUNTS = {
    "column-sizes": 108,
    "value-counts": 109,
    "null-value-counts": 110,
    "nan-value-counts": 137,
}
_BOUNDS = {"lower-bounds": 125, "upper-bounds": 128}


@dataclass(frozen=True, slots=True)
class Task:
    """A data file to read, with its delete files."""

    file: ContentFile
    deletes: Sequence[ContentFile]
    residual: Predicate | None
    """None when the scan has no filter."""


def page(tasks: Sequence[Task], stats: Mapping[int, Type]) -> JSON:
    """Return ScanTasks without plan tasks; ``stats`` are the columns with statistics."""
    numbers: dict[tuple[Any, ...], int] = {}
    delete_files: list[JSON] = []
    shown: list[JSON] = []
    for task in tasks:
        one: JSON = {"data-file": _data_file(task.file, stats)}
        references = []
        for file in task.deletes:
            identity = (file.path, file.raw[144])  # one puffin file holds many vectors
            if identity not in numbers:
                numbers[identity] = len(delete_files)
                delete_files.append(_delete_file(file))
            references.append(numbers[identity])
        if references:
            one["delete-file-references"] = references
        if task.residual is not None:
            one["residual-filter"] = task.residual
        shown.append(one)
    return {"delete-files": delete_files, "file-scan-tasks": shown}


def _data_file(file: ContentFile, stats: Mapping[int, Type]) -> JSON:
    shown = _content_file(file)
    if file.first_row_id is not None:
        shown["first-row-id"] = file.first_row_id
        shown["data-sequence-number"] = file.sequence_number
    if not stats:
        return shown
    for name, field in _COUNTS.items():
        if file.raw[field] is not None:
            shown[name] = _map({key: n for key, n in file.raw[field].items() if key in stats})
    for name, field in _BOUNDS.items():
        if file.raw[field] is not None:
            decoded = {
                key: values.to_json(stats[key], values.from_bytes(stats[key], raw))
                for key, raw in file.raw[field].items()
                if key in stats
            }
            shown[name] = _map({key: one for key, one in decoded.items() if one is not None})
    return shown


def _delete_file(file: ContentFile) -> JSON:
    shown = _content_file(file)
    if file.content == EQUALITY_DELETES:
        shown["equality-ids"] = list(file.raw[135] or ())
        return shown
    optional = {"content-offset": 144, "content-size-in-bytes": 145, "referenced-data-file": 143}
    return shown | {k: file.raw[f] for k, f in optional.items() if file.raw[f] is not None}


def _content_file(file: ContentFile) -> JSON:
    raw = file.raw
    shown: JSON = {
        "spec-id": file.spec.id,
        "partition": [
            _partition_value(field, value)
            for field, value in zip(file.spec.fields, file.partition, strict=True)
        ],
        "content": _CONTENTS[file.content],
        "file-path": file.path,
        "file-format": str(raw[101]).lower(),
        "file-size-in-bytes": raw[104],
        "record-count": raw[103],
    }
    if raw[131] is not None:
        shown["key-metadata"] = raw[131].hex().upper()
    if raw[132] is not None:
        shown["split-offsets"] = list(raw[132])
    if raw[140] is not None:
        shown["sort-order-id"] = raw[140]
    return shown


def _partition_value(field: PartitionField, value: Any) -> Any:
    shown = values.to_json(field.type or "string", value)
    # Java takes the values of an unknown transform for strings.
    return str(shown) if field.transform == UNKNOWN and shown is not None else shown


def _map(entries: Mapping[int, Any]) -> JSON:
    return {"keys": list(entries), "values": list(entries.values())}
