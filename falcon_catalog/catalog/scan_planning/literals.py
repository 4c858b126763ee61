"""Literals of filters: the JSON of a client as a value of the column's type.

Source: the expressions specification, "JSON serialization". Numbers stand for dates (days),
times and timestamps (microseconds) too, as Java and PyIceberg send them.
"""

import math
import re
import struct
import uuid
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.metadata import dates
from falcon_catalog.metadata.types import Type, base_name

_DATE = re.compile(r"([+-]?\d{4,6})-(\d\d)-(\d\d)", re.ASCII)
_TIME = re.compile(r"(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?", re.ASCII)
_ZONE = re.compile(r"(.*?)(?:Z|([+-])(\d\d):(\d\d))?", re.DOTALL)
_NUMBERS = {"int", "long", "float", "double", "decimal"}
_MAX_DECIMAL_TEXT = 128  # characters
_MICRO_DIGITS = 6
_NANO_DIGITS = 9


def parse(kind: Type, value: Any, where: str) -> Any | None:
    """Return a literal as a value of type ``kind``.

    None is a valid literal that planning does not compare with this type.

    Raises:
        BadRequestError: it is no value of the type.
    """
    if value is None:
        raise BadRequestError(f"Invalid {where}: null is no literal, use is-null or not-null")
    name = base_name(kind)
    if isinstance(kind, str) and name in ("geometry", "geography", "variant", "unknown"):
        return None
    read = _READERS.get(name)
    if read is None:
        raise BadRequestError(f"Invalid {where}: a {name} cannot be compared with a literal")
    try:
        return read(name, value)
    except (ValueError, OverflowError, InvalidOperation):
        raise BadRequestError(f"Invalid {where}: {show(value)} is not a {kind}") from None


def convert(kind: Type, given: Type, value: Any, where: str) -> Any | None:
    """Return a literal with a type of its own as a value of the column's type."""
    ours, theirs = base_name(kind), base_name(given)
    parsed = parse(given, value, where)
    if ours == theirs or {ours, theirs} <= _NUMBERS or {ours, theirs} <= {"fixed", "binary"}:
        # The column's type reads numbers of any type, and other literals as they are written.
        number = parsed if isinstance(parsed, int | float | Decimal) else value
        return parse(kind, number, where)
    if theirs in dates.PER_DAY and ours in dates.PER_DAY:
        return None  # comparable by promotion, which is left to the client's reader
    raise BadRequestError(f"Invalid {where}: a {given} cannot be compared with a {kind}")


def float_neighbours(value: float | Decimal) -> list[float]:
    """Return the values that a literal may mean for a 32-bit column: itself, and rounded."""
    exact = float(value)
    try:
        rounded = struct.unpack("<f", struct.pack("<f", exact))[0]
    except OverflowError:
        rounded = math.copysign(math.inf, exact)
    return [exact] if rounded == exact else [exact, rounded]


def _boolean(_name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(value)  # noqa: TRY004 - a 400 above
    return value


def _number(name: str, value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(value)  # noqa: TRY004 - a 400 above
    if isinstance(value, str):
        if name in ("float", "double") and value in ("Infinity", "-Infinity"):
            return float(value)
        if name != "decimal" or len(value) > _MAX_DECIMAL_TEXT:
            raise ValueError(value)
        value = Decimal(value)
    if not isinstance(value, int | float | Decimal) or not math.isfinite(value):
        raise ValueError(value)
    if name == "decimal":
        return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    return float(value) if name in ("float", "double") else value


def _text(_name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(value)  # noqa: TRY004 - a 400 above
    return value


def _bytes(name: str, value: Any) -> bytes:
    text = _text(name, value)
    return uuid.UUID(text).bytes if name == "uuid" else bytes.fromhex(text)


def _timestamp(name: str, value: Any) -> int | None:
    nanos = name.endswith("_ns")
    if _is_whole(value):
        return None if nanos else value  # of nanosecond types the unit is ambiguous
    match = _ZONE.fullmatch(_text(name, value))
    day, letter, time = (match[1] if match else "").partition("T")
    if match is None or not letter:
        raise ValueError(value)
    has_zone = match[0] != match[1]
    if has_zone and "tz" not in name:
        raise ValueError(value)
    ticks = _ticks(time, _NANO_DIGITS if nanos else _MICRO_DIGITS)
    if ticks is None:
        return None
    minutes = int(match[3]) * 60 + int(match[4]) if match[2] else 0
    shift: int = minutes * (dates.PER_DAY[name] // 1440) * (-1 if match[2] == "-" else 1)
    instant: int = _days(day) * dates.PER_DAY[name] + ticks - shift
    return instant


def _is_whole(value: Any) -> bool:
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    if not -(2**63) <= value < 2**63:
        raise ValueError(value)
    return True


def _days(text: str) -> int:
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return dates.days_of(*map(int, match.groups()))


def _ticks(text: str, digits: int) -> int | None:
    """Return the ticks of a time of day; None when it is finer than a tick."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(text)
    hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
    if hour > 23 or minute > 59 or second > 59:  # noqa: PLR2004
        raise ValueError(text)
    fraction = (match[4] or "").ljust(_NANO_DIGITS, "0")
    if int(fraction[digits:] or 0):
        return None
    return ((hour * 60 + minute) * 60 + second) * int(10**digits) + int(fraction[:digits])


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "boolean": _boolean,
    **dict.fromkeys(_NUMBERS, _number),
    "string": _text,
    **dict.fromkeys(("uuid", "fixed", "binary"), _bytes),
    "date": lambda _, value: value if _is_whole(value) else _days(_text("", value)),
    "time": lambda _, value: value if _is_whole(value) else _ticks(_text("", value), _MICRO_DIGITS),
    **dict.fromkeys(("timestamp", "timestamptz", "timestamp_ns", "timestamptz_ns"), _timestamp),
}
