"""Statistics of columns in files, from manifest lists and manifests."""

from collections.abc import Callable, Iterable
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
    return _by_field(zip(manifest.spec.fields, manifest.summaries, strict=False), _of_summary)


def of_partition(file: ContentFile) -> Statistics:
    """Return the statistics that follow from a file's partition, exact enough for residuals."""
    return _by_field(zip(file.spec.fields, file.partition, strict=True), _of_value)


def of_file(file: ContentFile) -> Statistics:
    """Return the statistics of a file: its partition, and its columns' counts and bounds."""
    partition = of_partition(file)
    return lambda column: partition(column) & of_metrics(file, column.id, column.type)


def of_metrics(file: ContentFile, column_id: int, kind: Type) -> Bounds:
    """Return the bounds of one column by a file's counts and bounds."""
    raw = file.raw
    count, nulls, nans = ((raw[field] or {}).get(column_id) for field in (109, 110, 137))
    counted = count is not None and count > 0
    if counted and nulls is not None and nulls >= count:
        nans = 0  # also if they were not counted
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


def _by_field(
    pairs: Iterable[tuple[PartitionField, Value]],
    bounds_of: Callable[[PartitionField, Value], Bounds],
) -> Statistics:
    """Return the statistics of the source columns of partition fields."""
    # Grouped by column, as a filter may have thousands of checks.
    by_source: dict[int | None, list[tuple[PartitionField, Value]]] = {}
    for field, value in pairs:
        by_source.setdefault(field.source_id, []).append((field, value))

    def of_column(column: Column) -> Bounds:
        bounds = Bounds(nans=_has_nans(column.type, None))
        for field, value in by_source.get(column.id, ()):
            bounds &= bounds_of(field, value)
        return bounds

    return of_column


def _of_value(field: PartitionField, value: Any) -> Bounds:
    if field.source_type is None:
        return Bounds()
    return transforms.source_of_value(field.transform, field.source_type, value)


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
