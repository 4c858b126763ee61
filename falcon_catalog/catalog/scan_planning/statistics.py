"""Statistics of columns in files, from manifest lists and manifests."""

from collections.abc import Iterable
from typing import Any, TypeVar

from falcon_catalog.catalog.scan_planning import transforms, values
from falcon_catalog.catalog.scan_planning.bounds import Bounds
from falcon_catalog.catalog.scan_planning.expressions import Statistics
from falcon_catalog.catalog.scan_planning.manifests import (
    ContentFile,
    Manifest,
    PartitionField,
    Summary,
)
from falcon_catalog.metadata.columns import Column
from falcon_catalog.metadata.types import Type

Value = TypeVar("Value")


def of_manifest(manifest: Manifest) -> Statistics:
    """Return the statistics that hold for all files of a manifest."""
    pairs = _by_source(zip(manifest.spec.fields, manifest.summaries, strict=False))

    def bounds_of(column: Column) -> Bounds:
        bounds = Bounds(nans=_has_nans(column.type, None))
        for field, summary in pairs.get(column.id, ()):
            bounds &= _of_summary(field, summary)
        return bounds

    return bounds_of


def of_partition(file: ContentFile) -> Statistics:
    """Return the statistics that follow from a file's partition, exact enough for residuals."""
    pairs = _by_source(zip(file.spec.fields, file.partition, strict=True))

    def bounds_of(column: Column) -> Bounds:
        bounds = Bounds(nans=_has_nans(column.type, None))
        for field, value in pairs.get(column.id, ()):
            if field.source_type is not None:
                bounds &= transforms.source_of_value(field.transform, field.source_type, value)
        return bounds

    return bounds_of


def of_file(file: ContentFile) -> Statistics:
    """Return the statistics of a file: its partition, and its columns' counts and bounds."""
    partition = of_partition(file)
    return lambda column: partition(column) & of_metrics(file, column.id, column.type)


def of_metrics(file: ContentFile, column_id: int, kind: Type) -> Bounds:
    """Return the bounds of one column by a file's counts and bounds."""
    raw = file.raw
    count, nulls, nans = ((raw[field] or {}).get(column_id) for field in (109, 110, 137))
    counted = count is not None and count > 0
    empty = counted and nulls is not None and nulls + (nans or 0) >= count
    lower, upper = (_decode(kind, (raw[field] or {}).get(column_id)) for field in (125, 128))
    if values.is_nan(lower) or values.is_nan(upper):
        lower = upper = None  # the writer included NaNs in the bounds
    return Bounds(
        nulls=nulls is None or nulls > 0 or not counted,
        nans=_has_nans(kind, nans),
        values=not empty,
        lower=lower,
        upper=upper,
    )


def _by_source(
    pairs: Iterable[tuple[PartitionField, Value]],
) -> dict[int | None, list[tuple[PartitionField, Value]]]:
    """Group partition fields by column: a filter may have thousands of checks."""
    found: dict[int | None, list[tuple[PartitionField, Value]]] = {}
    for field, value in pairs:
        found.setdefault(field.source_id, []).append((field, value))
    return found


def _has_nans(kind: Type, count: int | None) -> bool | None:
    if kind not in ("float", "double"):
        return False
    return None if count is None else count > 0


def _decode(kind: Type, raw: bytes | None) -> Any:
    return None if raw is None else values.from_bytes(kind, raw)


def _of_summary(field: PartitionField, summary: Summary) -> Bounds:
    if field.type is None or field.source_type is None or field.transform == "void":
        return Bounds()
    lower, upper = _decode(field.type, summary.lower), _decode(field.type, summary.upper)
    source = transforms.source_of_range(field.transform, field.source_type, lower, upper)
    return Bounds(nulls=summary.has_nulls, nans=summary.has_nans) & source
