"""Column types, the values drawn for them, and what a filter finds among such values."""

import datetime as dt
import math
import uuid
from decimal import Decimal
from typing import Any

from pyiceberg.expressions import (
    BooleanExpression,
    EqualTo,
    GreaterThanOrEqual,
    IsNaN,
    IsNull,
    LessThan,
    NotNull,
)
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IntegerType,
    LongType,
    PrimitiveType,
    StringType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

_NAN, _INFINITY = math.nan, math.inf
_TIMES = [
    dt.datetime(1, 1, 2),  # noqa: DTZ001
    dt.datetime(1969, 12, 31, 23, 59, 59, 999999),  # noqa: DTZ001
    dt.datetime(1970, 1, 1),  # noqa: DTZ001
    dt.datetime(2024, 2, 29, 12, 30, 0, 1),  # noqa: DTZ001
    dt.datetime(9999, 12, 31, 23, 59, 59, 999999),  # noqa: DTZ001
]
_REALS = [0.0, -0.0, _NAN, 1.5, -1.5, _INFINITY, -_INFINITY]

POOLS: dict[str, list[Any]] = {
    "boolean": [True, False],
    # Truncation takes the least numbers below the type's range, where every engine wraps.
    "int": [0, 7, -7, -1, 2**31 - 1, -(2**31) + 10],
    "long": [0, 7, -7, 2**40 + 1, 2**63 - 1, -(2**63) + 10],
    "float": _REALS,
    "double": [*_REALS, 1e300],
    "decimal(9, 2)": [Decimal(n).scaleb(-2) for n in (0, -1, 1, 1234, -1234, 999999999)],
    "decimal(38, 10)": [
        Decimal(text)
        for text in ("0E-10", "-1E-10", "12.5000000000", "12345678901234567890.0123456789")
    ],
    "date": [time.date() for time in _TIMES],
    "time": [dt.time(0), dt.time(12, 30, 0, 1), dt.time(23, 59, 59, 999999)],
    "timestamp": _TIMES,
    "timestamptz": [time.replace(tzinfo=dt.UTC) for time in _TIMES],
    "string": [
        "",
        "a",
        "a/b",
        "100%",
        "%2F",
        "é=ü",
        "日本語",
        "😀😀x",
        "a'b\"",
        " null ",
        "null",
        ".",
        "a+b?#",
    ],
    "binary": [b"", b"\x00", b"\xff\xfe", b"abc", b"abcdef"],
    "fixed[4]": [b"\x00\x00\x00\x00", b"abcd", b"\xff\xff\xff\xfe"],
    "uuid": [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), uuid.UUID(int=0x1234567890ABCDEF << 32)],
}
"""The values of each type: few, so that partitions repeat."""

TYPES: dict[str, PrimitiveType] = {
    "boolean": BooleanType(),
    "int": IntegerType(),
    "long": LongType(),
    "float": FloatType(),
    "double": DoubleType(),
    "decimal(9, 2)": DecimalType(9, 2),
    "decimal(38, 10)": DecimalType(38, 10),
    "date": DateType(),
    "time": TimeType(),
    "timestamp": TimestampType(),
    "timestamptz": TimestamptzType(),
    "string": StringType(),
    "binary": BinaryType(),
    "fixed[4]": FixedType(4),
    "uuid": UUIDType(),
    "decimal(18, 2)": DecimalType(18, 2),
}

WIDER = {"int": "long", "float": "double", "decimal(9, 2)": "decimal(18, 2)"}

_BUCKETS = ["bucket[1]", "bucket[2]", "bucket[5]"]
_TRUNCATIONS = ["truncate[1]", "truncate[3]", "truncate[10]"]
_SPANS = ["year", "month", "day"]


def transforms(kind: str) -> list[str]:
    """List the transforms that Iceberg allows on a type."""
    found = ["identity", "void"]
    if kind not in ("boolean", "float", "double"):
        found += _BUCKETS
    if kind.startswith(("int", "long", "decimal", "string", "binary")):
        found += _TRUNCATIONS
    if kind == "date" or kind.startswith("timestamp"):
        found += _SPANS
    if kind.startswith("timestamp"):
        found.append("hour")
    return found


_SQL = {
    "boolean": "BOOLEAN",
    "int": "INTEGER",
    "long": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMPTZ",
    "string": "VARCHAR",
    "binary": "BLOB",
    "fixed[4]": "BLOB",
    "uuid": "UUID",
}


def sql(kind: str, value: Any) -> str:
    """Spell a value as DuckDB's SQL does."""
    name = _SQL.get(kind, kind)
    if value is None:
        return f"CAST(NULL AS {name})"
    if isinstance(value, bytes):
        return "'" + "".join(f"\\x{byte:02X}" for byte in value) + "'::BLOB"
    text = str(value).replace("'", "''")
    return f"CAST('{text}' AS {name})"


def comparable(kind: str, value: Any) -> Any:
    """Return a value so that NaN equals itself and 0.0 does not equal -0.0."""
    if value is None:
        return None
    if kind in ("float", "double"):
        return repr(float(value))
    if kind == "uuid":
        return str(uuid.UUID(bytes=value) if isinstance(value, bytes) else value)
    if kind == "timestamptz":
        return value.astimezone(dt.UTC)
    return value


Filter = tuple[str, Any]
"""``null``, ``known``, ``nan``, ``=``, ``<`` or ``>=``, and a value for the last three."""


def filters(kind: str) -> list[Filter]:
    """List the filters to try on a column of a type."""
    found: list[Filter] = [("null", None), ("known", None)]
    if kind in ("float", "double"):
        found.append(("nan", None))
    pool = POOLS[{"decimal(18, 2)": "decimal(9, 2)"}.get(kind, kind)]
    for value in pool:
        if isinstance(value, float) and math.isnan(value):
            continue  # no bounds tell of NaN: Iceberg has a predicate of its own for it
        found += [("=", value), ("<", value), (">=", value)]
    return found


def as_expression(name: str, one: Filter) -> BooleanExpression:
    """Return a filter as PyIceberg takes it."""
    operator, value = one
    unary = {"null": IsNull, "known": NotNull, "nan": IsNaN}
    binary = {"=": EqualTo, "<": LessThan, ">=": GreaterThanOrEqual}
    return unary[operator](name) if operator in unary else binary[operator](name, value)


def as_sql(column: str, kind: str, one: Filter) -> str:
    """Return a filter as DuckDB takes it, to whom NaN is the greatest number of all."""
    operator, value = one
    if operator in ("null", "known"):
        return f"{column} IS {'NOT ' * (operator == 'known')}NULL"
    if operator == "nan":
        return f"isnan({column})"
    found = f"{column} {operator} {sql(kind, value)}"
    return f"{found} AND NOT isnan({column})" if isinstance(value, float) else found


def matches(one: Filter, value: Any) -> bool:
    """Say whether a filter finds a value; no comparison with NaN is true."""
    operator, other = one
    if value is None or operator in ("null", "known"):
        return operator == ("null" if value is None else "known")
    if operator == "nan":
        return math.isnan(value)
    return bool({"=": value == other, "<": value < other, ">=": value >= other}[operator])
