"""Single values of Iceberg's types: from bytes of bounds, from Avro, to JSON.

Inside planning a date is days, a time microseconds, a timestamp micro- or nanoseconds since
1970, a uuid 16 bytes, a decimal a ``Decimal``; all compare as the table specification says.
Sources: the table specification, "Binary single-value serialization" and "JSON single-value
serialization".
"""

import math
import re
import struct
import uuid
from collections.abc import Callable
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import Any

from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata import dates
from falcon_catalog.metadata.types import Type, base_name

_FORMATS = {"boolean": "<?", "int": "<i", "date": "<i", "long": "<q", "float": "<f", "double": "<d"}
_LONGS = {"time", "timestamp", "timestamptz", "timestamp_ns", "timestamptz_ns"}
_PROMOTED = {"long": "<i", "double": "<f"}  # bounds from before a column was promoted
_BYTES = ("uuid", "fixed", "binary")
_AVRO: dict[str, Any] = {
    "boolean": bool,
    "string": str,
    "decimal": Decimal,
    **dict.fromkeys(_BYTES, bytes),
    **dict.fromkeys(("float", "double"), (int, float)),
}
_EXACT = Context(prec=MAX_PREC, Emin=MIN_EMIN, Emax=MAX_EMAX)  # the default has 28 digits
_FOUR_BYTES = 4
_UUID_BYTES = 16
COMPARABLE = frozenset({*_FORMATS, *_LONGS, *_BYTES, "string", "decimal"})
"""The types whose values have an order."""


def scale_of(kind: Type) -> int:
    """Return the scale of a decimal type."""
    match = re.search(r",\s*(\d+)", str(kind))
    return int(match[1]) if match else 0


def decimal_of(unscaled: int, scale: int) -> Decimal:
    """Return ``unscaled`` divided by 10 to the power of ``scale``, exactly."""
    return Decimal(unscaled).scaleb(-scale, _EXACT)


def with_unscaled(kind: Type, value: Decimal, change: Callable[[int], int]) -> Decimal | None:
    """Return a decimal with its unscaled number changed; None if the type cannot hold the value."""
    scale = scale_of(kind)
    unscaled = value.scaleb(scale, _EXACT)
    if unscaled != unscaled.to_integral_value(context=_EXACT):
        return None
    return decimal_of(change(int(unscaled)), scale)


def is_nan(value: object) -> bool:
    """Return whether a value is NaN."""
    return isinstance(value, float) and math.isnan(value)


def from_bytes(kind: Type, raw: bytes) -> Any | None:
    """Return the value that a bound's bytes encode; None if they are no such value."""
    name, short = base_name(kind), len(raw) == _FOUR_BYTES
    try:
        if name in _FORMATS:
            form = _PROMOTED.get(name, _FORMATS[name]) if short else _FORMATS[name]
            return struct.unpack(form, raw)[0]
        if name in _LONGS:
            if short and name in dates.PER_DAY:  # a date that was promoted to a timestamp
                return struct.unpack("<i", raw)[0] * dates.PER_DAY[name]
            return struct.unpack("<q", raw)[0]
        if name == "decimal":
            return decimal_of(int.from_bytes(raw, "big", signed=True), scale_of(kind))
        # The others are bytes, or have no order: variants, geometries.
        return raw.decode() if name == "string" else raw if name in _BYTES else None
    except (struct.error, UnicodeDecodeError):
        return None


def from_avro(kind: Type, value: Any) -> Any | None:
    """Return a partition value as read from Avro, or None for null.

    Raises:
        BadRequestError: it is of another type.
    """
    name = base_name(kind)
    if isinstance(value, uuid.UUID):
        value = value.bytes
    if value is not None and not isinstance(value, _AVRO.get(name, int)):
        raise BadRequestError(f"Invalid manifest: partition value {value!r} is not a {kind}")
    return value


def to_json(kind: Type, value: Any) -> Any:
    """Return a value in its JSON form of the REST specification."""
    name = base_name(kind)
    if isinstance(value, bytes):
        named = name == "uuid" and len(value) == _UUID_BYTES
        return str(uuid.UUID(bytes=value)) if named else value.hex().upper()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, float) and not math.isfinite(value):
        # JSON has no such numbers; Java's writer uses these words.
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value is None or (name != "time" and name not in dates.PER_DAY):
        return value
    if name == "time":
        return _time_text(value, 6)
    days, rest = divmod(value, dates.PER_DAY[name])
    year, month, day = dates.date_of(days)
    sign = "-" if year < 0 else "+" if year > 9999 else ""  # noqa: PLR2004 - ISO 8601
    date = f"{sign}{abs(year):04d}-{month:02d}-{day:02d}"
    time = _time_text(rest, 9 if name.endswith("_ns") else 6)
    return date if name == "date" else f"{date}T{time}{'+00:00' if 'tz' in name else ''}"


def _time_text(ticks: int, digits: int) -> str:
    seconds, fraction = divmod(ticks, 10**digits)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02d}:{minute:02d}:{second:02d}.{fraction:0{digits}d}"
