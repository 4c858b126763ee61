"""Rows, bytes and files of a snapshot, as its summary has them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyiceberg.table.snapshots import Snapshot


@dataclass(frozen=True, slots=True)
class Totals:
    """Rows, bytes and files of a table; None where its writer did not count."""

    rows: int | None
    """Rows of data files; rows that delete files remove are among them."""
    size: int | None
    """Bytes of data and delete files."""
    files: int | None
    """Data files."""
    delete_files: int | None


@dataclass(frozen=True, slots=True)
class Changes:
    """Rows and files that a snapshot added and removed; None where its writer did not count."""

    rows_added: int | None
    rows_removed: int | None
    files_added: int | None
    files_removed: int | None
    deletes_added: int | None
    """Rows that added delete files remove."""


def totals(snapshot: "Snapshot | None") -> Totals:
    """Return the totals of a snapshot; zeros for a table without one."""
    if snapshot is None:
        return Totals(0, 0, 0, 0)
    return Totals(
        rows=number(snapshot, "total-records"),
        size=number(snapshot, "total-files-size"),
        files=number(snapshot, "total-data-files"),
        delete_files=number(snapshot, "total-delete-files"),
    )


def changes(snapshot: "Snapshot") -> Changes:
    """Return what a snapshot added and removed; what an existing summary omits is 0."""
    if not summary(snapshot):
        return Changes(None, None, None, None, None)
    positions = number(snapshot, "added-position-deletes") or 0
    equalities = number(snapshot, "added-equality-deletes") or 0
    return Changes(
        rows_added=number(snapshot, "added-records") or 0,
        rows_removed=number(snapshot, "deleted-records") or 0,
        files_added=number(snapshot, "added-data-files") or 0,
        files_removed=number(snapshot, "deleted-data-files") or 0,
        deletes_added=positions + equalities,
    )


def summary(snapshot: "Snapshot") -> dict[str, str]:
    """Return the summary of a snapshot without its operation."""
    return dict(snapshot.summary.additional_properties) if snapshot.summary else {}


def operation(snapshot: "Snapshot") -> str:
    """Return the operation of a snapshot: ``append``, ``overwrite``, ``replace`` or ``delete``."""
    return str(snapshot.summary.operation.value) if snapshot.summary else ""


def number(snapshot: "Snapshot", key: str) -> int | None:
    """Return a number of a snapshot's summary; None if it has none."""
    value = summary(snapshot).get(key, "")
    return int(value) if value.isascii() and value.isdecimal() else None
