"""Partition transforms in both directions: bounds of a column, and of a transform of it.

Source: the table specification, "Partition Transforms".
"""

from dataclasses import replace
from typing import Any

from falcon_catalog.catalog.scan_planning.bounds import ONLY_NULLS, Bounds
from falcon_catalog.catalog.scan_planning.values import is_nan, with_unscaled
from falcon_catalog.metadata import dates
from falcon_catalog.metadata.transforms import TIME_TRANSFORMS
from falcon_catalog.metadata.types import Type, base_name

_LAST_CHARACTER = 0x10FFFF
_LAST_BYTE = 0xFF
_SURROGATES = range(0xD800, 0xE000)


def result_type(transform: str, source: Type) -> Type:
    """Return the type of a transform's values."""
    if transform in ("identity", "void") or transform.startswith("truncate["):
        return source
    return "date" if transform == "day" else "int"


def source_of_value(transform: str, source: Type, value: Any) -> Bounds:
    """Return the bounds of the source column for a partition's value; None is null."""
    if transform == "void":
        return Bounds()
    if value is None:
        return ONLY_NULLS
    if is_nan(value):
        return Bounds(nulls=False, nans=True, values=False)
    return replace(source_of_range(transform, source, value, value), nulls=False, nans=False)


def source_of_range(transform: str, source: Type, lower: Any, upper: Any) -> Bounds:
    """Return the bounds of the source column for bounds of partition values, ignoring nulls."""
    name, width = _split(transform)
    if name == "identity":
        return Bounds(
            lower=None if is_nan(lower) else lower, upper=None if is_nan(upper) else upper
        )
    if name in TIME_TRANSFORMS and isinstance(source, str) and source in dates.PER_DAY:
        if lower is not None:
            # Old writers rounded times before 1970 up: -1 may be stored as 0.
            lower = dates.start(name, lower - 1 if lower <= 0 else lower, source)
        if upper is not None:
            upper = dates.start(name, upper + 1, source) - 1
        return Bounds(lower=lower, upper=upper)
    if name == "truncate":
        return _source_of_truncated(width, source, lower, upper)
    if name == "bucket" and lower is not None and lower == upper:
        return Bounds(buckets=((width, lower),))
    return Bounds()


def transformed(transform: str, source: Type, bounds: Bounds) -> Bounds:
    """Return the bounds of a transform's values, given those of its source."""
    name, width = _split(transform)
    if name == "identity":
        return bounds
    lower: Any = None
    upper: Any = None
    if name == "bucket":
        # The bucket of a value is known only from a partition.
        lower = upper = next((b for count, b in bounds.buckets if count == width), None)
    elif name in TIME_TRANSFORMS and isinstance(source, str):
        lower, upper = (
            None if bound is None else dates.ordinal(name, bound, source)
            for bound in (bounds.lower, bounds.upper)
        )
    elif name == "truncate":
        lower, upper = (_truncate(width, source, bound) for bound in (bounds.lower, bounds.upper))
        if bounds.prefix is not None and len(bounds.prefix) >= width:
            lower = upper = bounds.prefix[:width]
    return Bounds(bounds.nulls, nans=False, values=bounds.values, lower=lower, upper=upper)


def _split(transform: str) -> tuple[str, int]:
    name, _, width = transform.rstrip("]").partition("[")
    return name, int(width or 0)


def _source_of_truncated(width: int, source: Type, lower: Any, upper: Any) -> Bounds:
    name = base_name(source)
    if name in ("string", "binary"):
        prefix = None
        if lower is not None and lower == upper:
            if len(lower) < width:  # nothing was cut off
                return Bounds(lower=lower, upper=lower)
            prefix = lower
        return Bounds(lower=lower, upper=None if upper is None else _after(upper), prefix=prefix)
    if name == "decimal" and upper is not None:
        upper = with_unscaled(source, upper, lambda unscaled: unscaled + width - 1)
    elif upper is not None:
        upper = upper + width - 1
    return Bounds(lower=lower, upper=upper)


def _truncate(width: int, source: Type, value: Any) -> Any:
    if value is None or isinstance(value, str | bytes):
        return None if value is None else value[:width]
    if base_name(source) == "decimal":
        return with_unscaled(source, value, lambda unscaled: unscaled - unscaled % width)
    return value - value % width


def _after(prefix: Any) -> Any:
    """Return a value above everything that begins with ``prefix``; None if there is none."""
    if isinstance(prefix, bytes):
        kept = prefix.rstrip(bytes([_LAST_BYTE]))
        return kept[:-1] + bytes([kept[-1] + 1]) if kept else None
    kept_text = prefix.rstrip(chr(_LAST_CHARACTER))
    if not kept_text:
        return None
    following = ord(kept_text[-1]) + 1
    return kept_text[:-1] + chr(_SURROGATES.stop if following in _SURROGATES else following)
