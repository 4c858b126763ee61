"""The live files of a snapshot, for people: what a bounded walk over its manifests finds."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.scan_planning import manifests, scan, values
from falcon_catalog.catalog.scan_planning.manifests import ContentFile, Manifest, PartitionField
from falcon_catalog.metadata import dates
from falcon_catalog.metadata.json_fields import JSON

Kind = Literal["data", "position deletes", "deletion vector", "equality deletes"]
MOST_BYTES = 8 * 1024 * 1024
"""Of the manifests that are read for one page."""
MOST_FILES = 20_000
_KINDS: Mapping[int, Kind] = {1: "position deletes", 2: "equality deletes"}
_UNITS = ("year", "month", "hour")
_OFFSET, _CONTENT_SIZE = 144, 145  # of a deletion vector in its file
_SHOWN_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class LiveFile:
    """A data file, a delete file, or a deletion vector."""

    path: str
    kind: Kind
    format: str
    bytes: int
    rows: int
    """Of a data file; of others, the rows in it, each of which deletes some."""
    partition: str
    """Such as ``station=KJFK/day=2026-11-30``; empty without partitioning."""
    spec_id: int
    snapshot_id: int | None
    """That added it."""
    offset: int | None
    """Of a deletion vector."""

    @property
    def identity(self) -> tuple[str, int | None]:
        """What no other live file of the table has."""
        return self.path, self.offset


@dataclass(frozen=True, slots=True)
class Contents:
    """The live files of a snapshot, or the first of them."""

    files: tuple[LiveFile, ...]
    manifests: int
    manifests_read: int

    @property
    def is_complete(self) -> bool:
        """Whether all manifests were read."""
        return self.manifests == self.manifests_read


def is_ready() -> bool:
    """Return whether the library that reads manifests is loaded, which can take a second."""
    return "pyiceberg.manifest" in sys.modules


def manifests_of(call: Call, metadata: JSON, snapshot: JSON | None) -> list[Manifest]:
    """Return the manifests of a snapshot; none for None.

    Raises:
        NotFoundError, ForbiddenError, BadRequestError: its manifest list cannot be read.
    """
    if snapshot is None:
        return []
    specs = scan.specs_of(metadata, scan.types_of(metadata))
    return manifests.read_list(call.warehouse, snapshot, specs)


def read(call: Call, metadata: JSON, found: Sequence[Manifest]) -> Contents:
    """Return the live files of manifests, until MOST_BYTES or MOST_FILES are reached.

    The caller must hold ``select`` on the table.

    Raises:
        NotFoundError, ForbiddenError, BadRequestError: a manifest cannot be read.
    """
    names = {
        spec["spec-id"]: tuple(field["name"] for field in spec["fields"])
        for spec in metadata["partition-specs"]
    }
    files: list[LiveFile] = []
    done, length = 0, 0
    for manifest in found:
        length += manifest.length
        if length > MOST_BYTES and done:
            break
        some = [_live(file, names) for file in manifests.read(call.warehouse, manifest)]
        if len(files) + len(some) > MOST_FILES and done:
            break
        files += some
        done += 1
    return Contents(tuple(files), len(found), done)


def _live(file: ContentFile, names: Mapping[int, tuple[str, ...]]) -> LiveFile:
    raw = file.raw
    of_vector = file.is_deletion_vector
    return LiveFile(
        path=file.path,
        kind="deletion vector" if of_vector else _KINDS.get(file.content, "data"),
        format=str(raw[101]).lower(),
        bytes=int((raw.get(_CONTENT_SIZE) if of_vector else None) or raw[104]),
        rows=int(raw[103]),
        partition="/".join(_named(file, names[file.spec.id])),
        spec_id=file.spec.id,
        snapshot_id=file.snapshot_id,
        offset=raw.get(_OFFSET) if of_vector else None,
    )


def _named(file: ContentFile, names: tuple[str, ...]) -> Iterator[str]:
    for name, field, value in zip(names, file.spec.fields, file.partition, strict=True):
        if field.transform != "void":
            yield f"{name}={_value_text(field, value)}"


def _value_text(field: PartitionField, value: Any) -> str:
    """Return a partition's value as people read it: a month is 2026-11, not 682."""
    if value is None:
        return "null"
    if field.type is None:
        return str(value)[:_SHOWN_CHARACTERS]
    if field.transform in _UNITS and isinstance(value, int):
        return _period_text(field.transform, value)
    return str(values.to_json(field.type, value))[:_SHOWN_CHARACTERS]


def _period_text(unit: str, number: int) -> str:
    """Return a year, month or hour since 1970. Source: ``TransformUtil`` of Iceberg."""
    start = dates.start(unit, number, "timestamp")
    text = str(values.to_json("timestamp", start))
    date, _, time = text.partition("T")
    if unit == "hour":
        return f"{date}-{time[:2]}"
    return date[: -len("-01-01")] if unit == "year" else date[: -len("-01")]
