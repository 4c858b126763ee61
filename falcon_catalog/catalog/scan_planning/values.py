"""Single values of Iceberg's types: from bounds' bytes, from Avro, from and to JSON.

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
from decimal import Decimal
from typing import Any

from falcon_catalog.catalog.scan_planning import dates
from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata.types import Type, base_name

_FORMATS = {"int": "<i", "date": "<i", "long": "<q", "float": "<f", "double": "<d"}
_LONGS = {"time", "timestamp", "timestamptz", "timestamp_ns", "timestamptz_ns"}
_PROMOTED = {"long": "<i", "double": "<f"}  # bounds of before the column was widened
_BYTES = ("uuid", "fixed", "binary")
_AVRO: dict[str, Any] = {
    "boolean": bool,
    "string": str,
    "decimal": Decimal,
    **dict.fromkeys(_BYTES, bytes),
    **dict.fromkeys(("float", "double"), (int, float)),
}
_FOUR_BYTES = 4
_UUID_BYTES = 16
COMPARABLE = frozenset(
    {*_FORMATS, *_LONGS, "boolean", "string", "uuid", "fixed", "binary", "decimal"}
)
"""The types whose values have an order."""


def scale_of(kind: Type) -> int:
    """Return the scale of a decimal type."""
    match = re.search(r",\s*(\d+)", str(kind))
    return int(match[1]) if match else 0


def decimal_of(unscaled: int, scale: int) -> Decimal:
    """Return a decimal to the last digit; Python's own arithmetic would round to 28."""
    return Decimal((int(unscaled < 0), tuple(map(int, str(abs(unscaled)))), -scale))


def unscaled_of(value: Decimal, scale: int) -> int | None:
    """Return a decimal's digits as a whole number; None when it has more than ``scale``."""
    sign, digits, exponent = value.as_tuple()
    shift = scale + int(exponent)
    number = int("".join(map(str, digits)))
    kept, rest = divmod(number, int(10**-shift)) if shift < 0 else (number * int(10**shift), 0)
    if rest:
        return None
    return -kept if sign else kept


def is_nan(value: object) -> bool:
    """Tell whether a value is a number that is none."""
    return isinstance(value, float) and math.isnan(value)


def from_bytes(kind: Type, raw: bytes) -> Any | None:
    """Return the value that a bound's bytes stand for; None when they are no such value."""
    try:
        return _decode(base_name(kind), kind, raw)
    except (struct.error, UnicodeDecodeError):
        return None


def _decode(name: str, kind: Type, raw: bytes) -> Any | None:
    short = len(raw) == _FOUR_BYTES
    if name in _FORMATS:
        form = _PROMOTED.get(name, _FORMATS[name]) if short else _FORMATS[name]
        return struct.unpack(form, raw)[0]
    if name in _LONGS:
        if short and name in dates.PER_DAY:  # a date that became a timestamp
            return struct.unpack("<i", raw)[0] * dates.PER_DAY[name]
        return struct.unpack("<q", raw)[0]
    if name == "boolean":
        return struct.unpack("<?", raw)[0]
    if name == "decimal":
        return decimal_of(int.from_bytes(raw, "big", signed=True), scale_of(kind))
    # What is left is bytes, or has no order: variants, geometries.
    return raw.decode() if name == "string" else raw if name in _BYTES else None


def from_avro(kind: Type, value: Any) -> Any | None:
    """Return a partition value that Avro's reader gave, or None for null.

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
    """Return a value in the form that the REST specification gives its type."""
    name = base_name(kind)
    if isinstance(value, bytes):
        named = name == "uuid" and len(value) == _UUID_BYTES
        return str(uuid.UUID(bytes=value)) if named else value.hex().upper()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, float) and not math.isfinite(value):
        # JSON has no such number; Java's writer puts these words.
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value is not None and name in _TIMES:
        return _TIMES[name](name, value)
    return value


def _date(_name: str, value: int) -> str:
    return _date_text(value)


def _time(_name: str, value: int) -> str:
    return _time_text(value, 6)


def _timestamp(name: str, value: int) -> str:
    days, rest = divmod(value, dates.PER_DAY[name])
    zone = "+00:00" if "tz" in name else ""
    return f"{_date_text(days)}T{_time_text(rest, 9 if name.endswith('_ns') else 6)}{zone}"


def _date_text(days: int) -> str:
    year, month, day = dates.date_of(days)
    sign = "-" if year < 0 else "+" if year > 9999 else ""  # noqa: PLR2004 - ISO 8601
    return f"{sign}{abs(year):04d}-{month:02d}-{day:02d}"


def _time_text(ticks: int, digits: int) -> str:
    seconds, fraction = divmod(ticks, 10**digits)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02d}:{minute:02d}:{second:02d}.{fraction:0{digits}d}"


_TIMES: dict[str, Callable[[str, int], str]] = {
    "date": _date,
    "time": _time,
    **dict.fromkeys(("timestamp", "timestamptz", "timestamp_ns", "timestamptz_ns"), _timestamp),
}
