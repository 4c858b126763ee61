"""Manifest lists and manifests, read through the catalog's own FileIO.

Their paths come from metadata that clients write, so each is checked before it is opened.
Numbers like 517 are the field ids of the table specification, "Manifests".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from falcon_catalog.catalog.manifests import entries_of, manifests_of
from falcon_catalog.catalog.policy import check_allowed, read_allowed
from falcon_catalog.catalog.scan_planning import iceberg, values
from falcon_catalog.catalog.scan_planning.manifest_cache import Key
from falcon_catalog.catalog.scan_planning.transforms import result_type
from falcon_catalog.catalog.warehouse import Warehouse
from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata.types import Type

DATA, POSITION_DELETES, EQUALITY_DELETES = 0, 1, 2
_ADDED, _DELETED = 1, 2
UNKNOWN = "unknown"
"""The transform of a field of a later version: it partitions files, but its values mean nothing."""


@dataclass(frozen=True, slots=True)
class PartitionField:
    """A field of a partition spec; types are None if its column or its transform is unknown."""

    id: int
    transform: str
    source_id: int | None
    source_type: Type | None

    @property
    def type(self) -> Type | None:
        """The type of the partition's values."""
        return None if self.source_type is None else result_type(self.transform, self.source_type)


@dataclass(frozen=True, slots=True)
class Spec:
    """A partition spec."""

    id: int
    fields: tuple[PartitionField, ...]

    @property
    def is_partitioned(self) -> bool:
        """Whether any field still partitions the files."""
        return any(field.transform != "void" for field in self.fields)


@dataclass(frozen=True, slots=True)
class Summary:
    """A manifest list's summary of one partition field of a manifest."""

    has_nulls: bool
    has_nans: bool | None
    lower: bytes | None
    upper: bytes | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """An entry of a manifest list."""

    path: str
    length: int
    """Of the file, in bytes."""
    spec: Spec
    has_deletes: bool
    sequence_number: int
    snapshot_id: int | None
    first_row_id: int | None
    summaries: tuple[Summary, ...]


@dataclass(frozen=True, slots=True)
class ContentFile:
    """A live data or delete file: ``raw`` by field id, the rest with inherited values."""

    raw: Mapping[int, Any]
    spec: Spec
    partition: tuple[Any, ...]
    """One value for each field of the spec."""
    sequence_number: int
    snapshot_id: int | None
    is_added: bool
    first_row_id: int | None

    @property
    def path(self) -> str:
        """The file's location, as written."""
        return str(self.raw[100])

    @property
    def content(self) -> int:
        """DATA, POSITION_DELETES or EQUALITY_DELETES."""
        return int(self.raw[134] or DATA)

    @property
    def is_deletion_vector(self) -> bool:
        """Whether these position deletes are a bitmap for one data file, inside a puffin file."""
        return self.content == POSITION_DELETES and str(self.raw[101]).lower() == "puffin"


def read_list(
    warehouse: Warehouse, snapshot: Mapping[str, Any], specs: Mapping[int, Spec]
) -> list[Manifest]:
    """Return a snapshot's manifests.

    Raises:
        NotFoundError: its manifest list does not exist.
        ForbiddenError: its manifest list lies outside the allowed locations.
        BadRequestError: the file is not a manifest list of this table.
    """
    rows = manifests_of(snapshot, partial(read_allowed, warehouse))
    if snapshot.get("manifest-list") is None:
        return [_bare(warehouse, row[500], specs) for row in rows]
    return [
        Manifest(
            path=row[500],
            length=row[501],
            spec=_spec(specs, row[502], row[500]),
            has_deletes=bool(row[517]),
            sequence_number=row[515] or 0,
            snapshot_id=row[503],
            first_row_id=row[520],
            summaries=tuple(Summary(*summary) for summary in row[507] or ()),
        )
        for row in rows
    ]


def read(warehouse: Warehouse, manifest: Manifest) -> Iterator[ContentFile]:
    """Yield a manifest's live files.

    Raises:
        NotFoundError, ForbiddenError, BadRequestError: as ``read_list``.
    """
    found = _entries(warehouse, manifest)
    positions = {field_id: at for at, field_id in enumerate(found.partition_ids)}
    next_row_id = manifest.first_row_id
    for entry, raw in found.rows:
        if entry[0] == _DELETED:
            continue
        first_row_id = raw[142]
        if first_row_id is None and not manifest.has_deletes and next_row_id is not None:
            first_row_id = next_row_id
            next_row_id += raw[103]
        # The sequence number of all v1 files is 0, and is not stored.
        inherits = entry[0] == _ADDED or manifest.sequence_number == 0
        number = manifest.sequence_number if entry[3] is None and inherits else entry[3]
        yield ContentFile(
            raw=raw,
            spec=manifest.spec,
            partition=tuple(
                _typed(field, raw[102][positions[field.id]] if field.id in positions else None)
                for field in manifest.spec.fields
            ),
            sequence_number=number or 0,
            snapshot_id=manifest.snapshot_id if entry[1] is None else entry[1],
            is_added=entry[0] == _ADDED,
            first_row_id=first_row_id,
        )


def _entries(warehouse: Warehouse, manifest: Manifest) -> iceberg.Entries:
    check_allowed(warehouse, manifest.path)
    key = Key(manifest.path, manifest.length)
    found = warehouse.manifests.get(key)
    if found is None:
        found = entries_of(manifest.path, manifest.length, partial(read_allowed, warehouse))
        warehouse.manifests.put(key, found)
    return found


def _typed(field: PartitionField, value: Any) -> Any:
    return value if (kind := field.type) is None else values.from_avro(kind, value)


def _bare(warehouse: Warehouse, path: object, specs: Mapping[int, Spec]) -> Manifest:
    if not isinstance(path, str):
        raise BadRequestError(f"Invalid snapshot: manifest {path!r} is not a path")
    content = read_allowed(warehouse, path)
    header = iceberg.read_manifest(content, path).header
    number = header.get("partition-spec-id", "0")
    spec = _spec(specs, int(number) if number.isdecimal() else -1, path)
    return Manifest(path, len(content), spec, False, 0, None, None, ())


def _spec(specs: Mapping[int, Spec], spec_id: int, path: str) -> Spec:
    if spec_id not in specs:
        raise BadRequestError(
            f"Manifest {path} is of partition spec {spec_id}, which is not in the table's metadata"
        )
    return specs[spec_id]
