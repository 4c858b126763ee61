"""What manifest lists and manifests say of the columns in files."""

from collections.abc import Iterable
from typing import Any, TypeVar

from falcon_catalog.catalog.scan_planning import transforms, values
from falcon_catalog.catalog.scan_planning.bounds import Known
from falcon_catalog.catalog.scan_planning.expressions import Facts
from falcon_catalog.catalog.scan_planning.manifests import (
    ContentFile,
    Manifest,
    PartitionField,
    Summary,
)
from falcon_catalog.metadata.columns import Column
from falcon_catalog.metadata.types import Type

Told = TypeVar("Told")

_FLOATS = ("float", "double")


def of_manifest(manifest: Manifest) -> Facts:
    """Return what is known of all files of a manifest."""
    pairs = _by_source(zip(manifest.spec.fields, manifest.summaries, strict=False))

    def facts(column: Column) -> Known:
        known = _nothing(column)
        for field, summary in pairs.get(column.id, ()):
            known &= _of_summary(field, summary)
        return known

    return facts


def of_partition(file: ContentFile) -> Facts:
    """Return what a file's partition says: exactly true, so that residuals can rest on it."""
    pairs = _by_source(zip(file.spec.fields, file.partition, strict=True))

    def facts(column: Column) -> Known:
        known = _nothing(column)
        for field, value in pairs.get(column.id, ()):
            if field.source_type is not None:
                known &= transforms.source_of_value(field.transform, field.source_type, value)
        return known

    return facts


def of_file(file: ContentFile) -> Facts:
    """Return what a file's partition and its columns' counts and bounds say."""
    partition = of_partition(file)

    def facts(column: Column) -> Known:
        return partition(column) & of_metrics(file, column.id, column.type)

    return facts


def of_metrics(file: ContentFile, column_id: int, kind: Type) -> Known:
    """Return what a file's counts and bounds say of one column."""
    raw = file.raw
    count, nulls, nans = ((raw[field] or {}).get(column_id) for field in (109, 110, 137))
    counted = count is not None and count > 0
    empty = counted and nulls is not None and nulls + (nans or 0) >= count
    lower, upper = (_bound(raw[field], column_id, kind) for field in (125, 128))
    if values.is_nan(lower) or values.is_nan(upper):
        lower = upper = None  # written by somebody who let NaNs into the bounds
    return Known(
        nulls=nulls is None or nulls > 0 or not counted,
        nans=_nans(kind, nans),
        values=not empty,
        lower=lower,
        upper=upper,
    )


def _by_source(
    pairs: Iterable[tuple[PartitionField, Told]],
) -> dict[int | None, list[tuple[PartitionField, Told]]]:
    """Sort what is told of partition fields by column: a filter may ask for thousands of these."""
    found: dict[int | None, list[tuple[PartitionField, Told]]] = {}
    for field, told in pairs:
        found.setdefault(field.source_id, []).append((field, told))
    return found


def _nothing(column: Column) -> Known:
    return Known(nans=_nans(column.type, None))


def _nans(kind: Type, count: int | None) -> bool | None:
    if kind not in _FLOATS:
        return False
    return None if count is None else count > 0


def _bound(bounds: Any, column_id: int, kind: Type) -> Any:
    raw = (bounds or {}).get(column_id)
    return None if raw is None else values.from_bytes(kind, raw)


def _of_summary(field: PartitionField, summary: Summary) -> Known:
    if field.type is None or field.source_type is None or field.transform == "void":
        return Known()
    lower, upper = (
        None if raw is None else values.from_bytes(field.type, raw)
        for raw in (summary.lower, summary.upper)
    )
    source = transforms.source_of_range(field.transform, field.source_type, lower, upper)
    return Known(nulls=summary.has_nulls, nans=summary.has_nans) & source
