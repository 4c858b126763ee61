"""Rules for columns of new schemas: types and defaults that Java's library can read again.

Source: ``Types``, ``SchemaParser`` and ``SingleValueParser`` of Apache Iceberg's Java library; the
table specification, "Default values" and appendix D, "JSON single-value serialization".
"""

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.metadata import dates, types
from falcon_catalog.metadata.json_fields import (
    INT_MAX,
    JSON,
    LONG_MAX,
    as_boolean,
    as_integer,
    as_long,
    as_text,
)

ALGORITHMS = ("spherical", "vincenty", "thomas", "andoyer", "karney")
"""How edges of a geography are interpolated."""
_DEFAULTS = ("initial-default", "write-default")
_GEO = re.compile(r"(geometry|geography)\((.*)\)", re.DOTALL)
_NO_DEFAULT = ("unknown", "variant", "geometry", "geography")


def readable(fields: Sequence[JSON], where: str, *, as_is: bool = False) -> list[JSON]:
    """Return the fields of a struct in a form that Java's library reads.

    A default that has one clear meaning is rewritten: a double ``1`` as ``1.0``, and ``"14.2"`` of
    a decimal with two digits as ``"14.20"``. With ``as_is`` it must be written so already.

    Raises:
        BadRequestError: a type or default is invalid; the message names the column.
    """
    return [_field(field, where, as_is=as_is) for field in fields]


def _field(field: JSON, where: str, *, as_is: bool) -> JSON:
    kind, defaults = field["type"], [key for key in _DEFAULTS if key in field]
    if not defaults and isinstance(kind, str) and kind in types.PLAIN and kind != "unknown":
        return field
    here = f"{where}, column {show(field['name'])}"
    name, required = field["name"], field["required"]
    read = {**field, "type": _type(kind, here, name=name, required=required, as_is=as_is)}
    for key in defaults:
        value, given = as_default(field[key], kind, f"{here}, field {key}"), field[key]
        if as_is and repr(value) != repr(given):
            raise BadRequestError(
                f"Invalid {here}, field {key}: {show(given)} must be written {show(value)}"
            )
        read[key] = value
    return read


def _type(kind: types.Type, where: str, *, name: str, required: bool, as_is: bool) -> types.Type:
    if isinstance(kind, str):
        if kind == "unknown" and required:
            raise BadRequestError(
                f"Cannot create required field with unknown type: {name} (in {where})"
            )
        return _geo(kind, where)
    if kind["type"] == "struct":
        return {"type": "struct", "fields": readable(kind["fields"], where, as_is=as_is)}
    read = dict(kind)
    for part in types.PARTS[kind["type"]]:
        needed = part == "key" or kind[f"{part}-required"]
        read[part] = _type(kind[part], where, name=part, required=needed, as_is=as_is)
    return read


def _geo(kind: str, where: str) -> str:
    """Return a geometry or geography in the form that Java writes; others as they are."""
    match = _GEO.fullmatch(kind)
    if match is None:
        return kind
    crs, *algorithms = match[2].split(",") if match[1] == "geography" else [match[2]]
    if not crs.strip():
        raise BadRequestError(f"Invalid {where}: invalid CRS: (empty string) in {show(kind)}")
    given = ",".join(algorithms).strip().lower()
    if algorithms and given not in ALGORITHMS:
        raise BadRequestError(
            f"Invalid {where}: invalid edge interpolation algorithm: {show(given)} "
            f"(must be one of {', '.join(ALGORITHMS)})"
        )
    return f"{match[1]}({', '.join([crs.strip(), *([given] if algorithms else [])])})"


def as_default(value: object, kind: types.Type, where: str) -> object:
    """Return a non-null default of a column of this type in a form that Java's library reads."""
    if not isinstance(kind, str):
        raise BadRequestError(f"Invalid {where}: the default of a nested type must be null")
    name = types.base_name(kind)
    if name in _NO_DEFAULT:
        raise BadRequestError(f"Invalid {where}: the default of {kind} must be null")
    if name in _SCALARS:
        return _SCALARS[name](value, where)
    read, example = _TEXTS[name]
    text = as_text(value, where)
    try:
        return read(text, kind)
    except ValueError:
        raise BadRequestError(
            f"Invalid {where}: {show(text)} is not a default of {kind}, written like {example}"
        ) from None


def _as_double(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRequestError(f"Invalid {where}: must be a number, got {show(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    if number != value:
        raise BadRequestError(f"Invalid {where}: {show(value)} is not exact as a double")
    return number


def _as_float(value: object, where: str) -> float:
    number = _as_double(value, where)
    try:
        struct.pack("<f", number)
    except OverflowError:
        raise BadRequestError(f"Invalid {where}: {show(value)} does not fit in a float") from None
    return number


_SCALARS: dict[str, Callable[[object, str], object]] = {
    "boolean": as_boolean,
    "int": as_integer,
    "long": as_long,
    "float": _as_float,
    "double": _as_double,
    "string": as_text,
}

_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_DATE = re.compile(r"(-?[0-9]{4}|[+-][0-9]{5,7})-([0-9]{2})-([0-9]{2})")
_TIME = re.compile(r"([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{0,9}))?)?")
_UTC = re.compile(r"(.*?)(?:Z|[+-]00:00(?::00)?)", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HEX = re.compile(r"([0-9a-fA-F]{2})*")
_MAX_TEXT = 128
_NANO_DIGITS, _NANOS_PER_SECOND = 9, 1_000_000_000
_NANOS_PER_DAY = dates.PER_DAY["timestamp_ns"]


def _decimal(text: str, kind: str) -> str:
    """Return the text with as many digits after the point as the type has."""
    precision, scale = map(int, kind.removeprefix("decimal(").removesuffix(")").split(","))
    if len(text) > _MAX_TEXT or not _DECIMAL.fullmatch(text):
        raise ValueError(text)
    number = Decimal(text)
    shift = int(number.as_tuple().exponent) + scale
    digits = int("".join(map(str, number.as_tuple().digits)))
    unscaled, lost = (digits * 10**shift, 0) if shift >= 0 else divmod(digits, 10**-shift)
    if lost or unscaled >= 10**precision:
        raise ValueError(text)
    if shift == 0:
        return text  # Java compares the scale, not the spelling
    padded = str(unscaled).rjust(scale + 1, "0")
    point = len(padded) - scale
    sign = "-" if number < 0 else ""
    return sign + padded[:point] + ("." if scale else "") + padded[point:]


def _days(text: str) -> int:
    match = _DATE.fullmatch(text)
    if match is None or match[1] == "-0000":
        raise ValueError(text)
    return dates.days_of(*map(int, match.groups()))


def _nanos(text: str) -> int:
    """Return the nanoseconds of a time of day."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(text)
    hour, minute, second = (int(part or 0) for part in match.groups()[:3])
    if hour > 23 or minute > 59 or second > 59:  # noqa: PLR2004
        raise ValueError(text)
    seconds = (hour * 60 + minute) * 60 + second
    return seconds * _NANOS_PER_SECOND + int((match[4] or "").ljust(_NANO_DIGITS, "0"))


def _date(text: str, _kind: str) -> str:
    if abs(_days(text)) > INT_MAX:
        raise ValueError(text)
    return text


def _time(text: str, _kind: str) -> str:
    _nanos(text)
    return text


def _timestamp(text: str, kind: str) -> str:
    local: str | None = text
    if kind.startswith("timestamptz"):
        match = _UTC.fullmatch(text)
        local = match[1] if match else None
    if local is None:
        raise ValueError(text)
    day, _, time = local.upper().partition("T")
    nanos = _days(day) * _NANOS_PER_DAY + _nanos(time)
    unit = 1 if kind.endswith("_ns") else dates.NANOS_PER_MICRO
    if not -LONG_MAX - 1 <= nanos // unit <= LONG_MAX:
        raise ValueError(text)
    return text


def _matching(form: re.Pattern[str]) -> Callable[[str, str], str]:
    def read(text: str, _kind: str) -> str:
        if not form.fullmatch(text):
            raise ValueError(text)
        return text

    return read


def _fixed(text: str, kind: str) -> str:
    if not _HEX.fullmatch(text) or len(text) != 2 * int(kind[len("fixed[") : -1]):
        raise ValueError(text)
    return text


_TEXTS: Mapping[str, tuple[Callable[[str, str], Any], str]] = {
    "decimal": (_decimal, "'14.20', with the type's digits"),
    "date": (_date, "'2007-12-03'"),
    "time": (_time, "'22:31:08.123456'"),
    "timestamp": (_timestamp, "'2007-12-03T10:15:30.123456'"),
    "timestamptz": (_timestamp, "'2007-12-03T10:15:30.123456+00:00'"),
    "timestamp_ns": (_timestamp, "'2007-12-03T10:15:30.123456789'"),
    "timestamptz_ns": (_timestamp, "'2007-12-03T10:15:30.123456789+00:00'"),
    "uuid": (_matching(_UUID), "'eb26bdb1-a1d8-4aa6-990e-da940875492c'"),
    "fixed": (_fixed, "'00ff', two digits for each byte"),
    "binary": (_matching(_HEX), "'00ff', two digits for each byte"),
}
