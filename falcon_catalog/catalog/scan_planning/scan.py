"""A PlanTableScanRequest, checked against the table that it is for.

Rules and texts follow ``PlanTableScanRequest`` and ``BaseIncrementalScan`` of Apache Iceberg's
Java library, but the start of an incremental scan is exclusive, as the specification says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from falcon_catalog.catalog.scan_planning import parsing
from falcon_catalog.catalog.scan_planning.expressions import Expression, Fields
from falcon_catalog.catalog.scan_planning.manifests import UNKNOWN, PartitionField, Spec
from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata import columns, transforms
from falcon_catalog.metadata.json_fields import (
    JSON,
    array_of,
    as_boolean,
    as_long,
    as_text,
    optional,
)
from falcon_catalog.metadata.types import Type

_WHERE = "plan request"
_ALL = "*"
_NO_COLUMN = -1


@dataclass(frozen=True, slots=True)
class Scan:
    """What to plan."""

    snapshots: tuple[JSON, ...]
    """The snapshot to read; for an incremental scan, all whose appended files are read."""
    is_incremental: bool
    filter: Expression | None
    stats: Mapping[int, Type]
    """The columns whose statistics are returned, with their types."""
    specs: Mapping[int, Spec]
    types: Mapping[int, Type]
    """The types of all columns that the table has or had."""

    @property
    def snapshot_ids(self) -> set[int]:
        """The ids of the snapshots."""
        return {snapshot["snapshot-id"] for snapshot in self.snapshots}


def read(metadata: JSON, request: Mapping[str, Any], most_names: int) -> Scan:
    """Return the scan that a PlanTableScanRequest describes.

    ``metadata`` has all defaults. ``most_names`` limits ``select`` and ``stats-fields``; for a
    table with more columns the limit is twice their number.

    Raises:
        BadRequestError: a field is malformed, or a snapshot or column does not exist.
    """
    snapshots, is_incremental = _snapshots(metadata, request)
    use_old = optional(request, "use-snapshot-schema", as_boolean, _WHERE) or False
    sensitive = optional(request, "case-sensitive", as_boolean, _WHERE) is not False
    fields = _fields(metadata, snapshots[0] if use_old and snapshots else None, sensitive)
    optional(request, "min-rows-requested", as_long, _WHERE)  # a hint; more may be returned
    most_names = max(most_names, 2 * len(fields.columns))
    for name in _names(request, "select", most_names):
        # Readers add some columns themselves: ``_file``, ``_pos``, ``_partition.x``.
        if name != _ALL and not name.startswith("_"):
            fields.named(name, f"{_WHERE}, field select")
    stats = [
        fields.named(name, f"{_WHERE}, field stats-fields")
        for name in _names(request, "stats-fields", most_names)
    ]
    given = request.get("filter")
    types = types_of(metadata) | {column.id: column.type for column in fields.columns}
    return Scan(
        snapshots=snapshots,
        is_incremental=is_incremental,
        filter=None if given is None else parsing.parse(given, fields),
        stats={column.id: column.type for column in stats},
        specs=specs_of(metadata, types),
        types=types,
    )


def types_of(metadata: JSON) -> dict[int, Type]:
    """Return the types of all columns that a table has or had, by id."""
    every = [columns.index(schema).values() for schema in metadata["schemas"]]
    return {column.id: column.type for some in every for column in some}


def specs_of(metadata: JSON, types: Mapping[int, Type]) -> dict[int, Spec]:
    """Return the partition specs of a table, by id; ``types`` are those of its columns."""
    return {
        spec["spec-id"]: Spec(spec["spec-id"], tuple(_field(f, types) for f in spec["fields"]))
        for spec in metadata["partition-specs"]
    }


def _names(request: Mapping[str, Any], field: str, most: int) -> list[str]:
    names = optional(request, field, array_of(as_text), _WHERE) or []
    if len(names) > most:
        raise BadRequestError(
            f"Invalid {_WHERE}, field {field}: {len(names)} names, at most {most} are allowed"
        )
    return names


def _snapshots(metadata: JSON, request: Mapping[str, Any]) -> tuple[tuple[JSON, ...], bool]:
    one, start, end = (
        optional(request, name, as_long, _WHERE)
        for name in ("snapshot-id", "start-snapshot-id", "end-snapshot-id")
    )
    by_id = {snapshot["snapshot-id"]: snapshot for snapshot in metadata["snapshots"]}
    if start is None and end is None:
        if one is None:
            one = metadata.get("current-snapshot-id")
            return ((by_id[one],) if one in by_id else ()), False
        if one not in by_id:
            raise BadRequestError(f"Cannot find snapshot with ID {one}")
        return (by_id[one],), False
    if one is not None:
        raise BadRequestError(
            "Invalid scan: cannot give both snapshot-id and start-snapshot-id or end-snapshot-id"
        )
    if start is None or end is None:
        raise BadRequestError(
            "Invalid incremental scan: start-snapshot-id and end-snapshot-id are both required"
        )
    return _appends(by_id, start, end), True


def _appends(by_id: Mapping[int, JSON], start: int, end: int) -> tuple[JSON, ...]:
    """Return the appends after ``start`` (itself perhaps expired) up to ``end``, newest first."""
    if end not in by_id:
        raise BadRequestError(f"Cannot find the end snapshot: {end}")
    found: list[JSON] = []
    passed: set[int] = set()
    at: int | None = end
    while at != start:
        if at is None or at not in by_id or at in passed:
            raise BadRequestError(
                f"Starting snapshot (exclusive) {start} is not a parent ancestor of "
                f"end snapshot {end}"
            )
        passed.add(at)
        found.append(by_id[at])
        at = by_id[at].get("parent-snapshot-id")
    # A delete, overwrite or replace adds no new rows.
    return tuple(s for s in found if (s.get("summary") or {}).get("operation") == "append")


def _fields(metadata: JSON, snapshot: JSON | None, sensitive: bool) -> Fields:  # noqa: FBT001
    """Return the columns of the table, or those of a snapshot and the table's for other names.

    Spark requests the snapshot's schema in every scan, but names the table's columns. A name that
    then meant another column is ambiguous: it gets an id that no file has, so that it has no
    bounds and no file is skipped.
    """
    by_id: dict[int, JSON] = {schema["schema-id"]: schema for schema in metadata["schemas"]}
    now = Fields(list(columns.index(by_id[metadata["current-schema-id"]]).values()), sensitive)
    old_id = None if snapshot is None else snapshot.get("schema-id")
    if old_id is None or old_id not in by_id:
        return now
    ids_now = {now.key(column.full_name): column.id for column in now.columns}
    then = [
        column
        if ids_now.get(now.key(column.full_name), column.id) == column.id
        else replace(column, id=_NO_COLUMN)
        for column in columns.index(by_id[old_id]).values()
    ]
    names = {now.key(column.full_name) for column in then}
    added = [column for column in now.columns if now.key(column.full_name) not in names]
    return Fields([*then, *added], sensitive)


def _field(field: JSON, types: Mapping[int, Type]) -> PartitionField:
    source_id = field.get("source-id")
    try:
        transform = transforms.as_transform(field["transform"], "partition field")
    except BadRequestError:
        return PartitionField(field["field-id"], UNKNOWN, source_id, None)
    source_type = None if source_id is None else types.get(source_id)
    return PartitionField(field["field-id"], transform, source_id, source_type)
