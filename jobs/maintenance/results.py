"""What an operation did, in files and bytes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Size:
    """A number of files and of their bytes."""

    files: int = 0
    bytes: int = 0

    def __add__(self, other: "Size") -> "Size":
        return Size(self.files + other.files, self.bytes + other.bytes)


@dataclass(frozen=True)
class Skipped:
    """Something that was left as it was, and why."""

    what: str
    why: str


@dataclass(frozen=True)
class Result:
    """What an operation found, left and deleted, by kind of file.

    ``before`` and ``after`` count what belongs to the table (orphan removal: what lies in its
    folder); ``deleted`` what left the storage, or would have, had it not been a dry run.
    """

    operation: str
    table: str
    before: Mapping[str, Size] = field(default_factory=dict)
    after: Mapping[str, Size] = field(default_factory=dict)
    deleted: Mapping[str, Size] = field(default_factory=dict)
    snapshots: tuple[int, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    dry_run: bool = False
    found: tuple[str, ...] = ()
    """What is wrong with the table and was not repaired."""

    @property
    def changed(self) -> bool:
        """Return whether the table or its folder is not what it was."""
        return not self.dry_run and (
            bool(self.deleted) or bool(self.snapshots) or self.before != self.after
        )


def tally(files: Iterable[tuple[str, int]]) -> dict[str, Size]:
    """Sum files, given as kind and bytes, by kind."""
    sizes: dict[str, Size] = {}
    for kind, length in files:
        sizes[kind] = sizes.get(kind, Size()) + Size(1, length)
    return sizes


def as_json(result: Result) -> dict[str, Any]:
    """Return a result as JSON's types."""

    def sizes(counts: Mapping[str, Size]) -> dict[str, dict[str, int]]:
        return {kind: {"files": size.files, "bytes": size.bytes} for kind, size in counts.items()}

    return {
        "operation": result.operation,
        "table": result.table,
        "dry_run": result.dry_run,
        "changed": result.changed,
        "before": sizes(result.before),
        "after": sizes(result.after),
        "deleted": sizes(result.deleted),
        "snapshots": list(result.snapshots),
        "skipped": [{"what": skip.what, "why": skip.why} for skip in result.skipped],
        "notes": list(result.notes),
        "found": list(result.found),
    }
