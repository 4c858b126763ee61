"""What PyIceberg 0.12.0 and DuckDB 1.5.5 cannot write or find themselves, and why.

Each rule is as narrow as the fault it is about. Histories leave these out, and nothing else.
"""

import datetime as dt
from collections.abc import Iterable

from tests.maintenance.histories.values import Filter

Partition = tuple[str, str]
"""The type of a partition field's source, and its transform."""

REALS = ("float", "double")
_GREATEST_FLOAT = 3.5e38
# DuckDB spells these as text in the partition of a data file, which no other engine reads back;
# bytes that are no text it cannot spell at all, NaN and 1e300 it spells otherwise.
_MISSPELLED_BY_DUCKDB = ("boolean", *REALS, "time", "uuid", "binary", "fixed[4]")


def named_in_manifests(kind: str) -> str | None:
    """Return the name that PyIceberg gives to a partition value's type in a manifest.

    It defines the name anew for every field of that type, which Avro forbids: with two of them,
    DuckDB cannot read the manifest, and ends the process.
    """
    return kind.partition("(")[0] if kind.startswith(("decimal", "fixed", "uuid")) else None


def pyiceberg_cannot_write(spec: Iterable[Partition]) -> bool:
    """Say whether PyIceberg's own writer loses, doubles or refuses rows of a partition spec.

    It picks each partition's rows by equality: none for NaN, those of 0.0 and of -0.0 twice. It
    cannot group by a UUID, nor by the void that is left of one; its bucket of a time asks an
    integer for its hour; its truncation of bytes does not know large binaries.
    """
    return any(
        (kind in REALS and transform == "identity")
        or (kind == "uuid" and not transform.startswith("bucket"))
        or (kind == "time" and transform.startswith("bucket"))
        or (kind == "binary" and transform.startswith("truncate"))
        for kind, transform in spec
    )


def duckdb_cannot_insert(kinds: Iterable[str], spec: Iterable[Partition]) -> bool:
    """Say whether a data file by DuckDB would be wrong for others.

    It writes fixed-length bytes as bytes of any length, which PyIceberg does not read, and leaves
    void fields out of version 1's partitions.
    """
    return "fixed[4]" in kinds or any(
        _is_misspelled(kind, transform)
        or (kind == "uuid" and transform.startswith("bucket"))
        or transform == "void"
        for kind, transform in spec
    )


def _is_misspelled(kind: str, transform: str) -> bool:
    return kind in _MISSPELLED_BY_DUCKDB and transform.startswith(("identity", "truncate"))


def unsigned(value: object) -> object:
    """Return 0.0 for -0.0: DuckDB's dictionaries of a Parquet file take one for the other."""
    return 0.0 if isinstance(value, float) and value == 0 else value


def duckdb_cannot_delete(spec: Iterable[Partition]) -> bool:
    """Say whether a position delete file by DuckDB fails, or is in another partition than its data.

    Truncated numbers below zero end in an internal error.
    """
    return any(
        _is_misspelled(kind, transform)
        or (transform.startswith("truncate") and kind.startswith(("int", "long", "decimal")))
        for kind, transform in spec
    )


def pyiceberg_cannot_find(kind: str, one: Filter) -> bool:
    """Say whether PyIceberg fails with a filter.

    It has no comparisons of UUIDs, and takes for larger than all floats what does not fit in one,
    and infinity: a float may also be what a column was in older files.
    """
    return kind == "uuid" or (isinstance(one[1], float) and abs(one[1]) > _GREATEST_FLOAT)


def pyiceberg_may_miss(kind: str, value: object) -> bool:
    """Say whether PyIceberg may or may not find a value, whatever the filter.

    The bounds of a row group say nothing of NaN; where they are equal, Arrow takes every value
    of the row group for the same number, and does not look.
    """
    return kind in REALS and value != value  # noqa: PLR0124 - only NaN is not itself


def duckdb_cannot_find(kind: str, transforms: Iterable[str], one: Filter) -> bool:
    """Say whether DuckDB fails with a filter, or prunes what it should find.

    It reads truncated decimals below zero as large integers (an internal error), hashes UUIDs
    its own way, and rounds times before 1970 towards it when it looks for their day or month. Its
    Bloom filters tell -0.0 from 0.0.
    """
    if kind in REALS and one[0] == "=" and str(one[1]) == "-0.0":
        return True
    for transform in transforms:
        if kind.startswith("decimal") and transform.startswith("truncate"):
            return True
        if kind == "uuid" and transform.startswith("bucket"):
            return True
        if transform in ("day", "month") and isinstance(one[1], dt.datetime):
            return one[1].year < 1970
    return False


DUCKDB_REFUSES = {
    "sorted iceberg table": "DuckDB inserts into a sorted table",
    "duplicate name": "DuckDB writes to a table whose specs share a field",
    "Cannot use this transform type": "DuckDB deletes from a table with a void field",
}
"""What DuckDB says when it refuses to write, and what that leaves out."""
