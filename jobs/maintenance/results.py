"""Results of operations, in files and bytes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tabulate import tabulate


@dataclass(frozen=True)
class Size:
    """A number of files and of their bytes."""

    files: int = 0
    bytes: int = 0

    def __add__(self, other: "Size") -> "Size":
        return Size(self.files + other.files, self.bytes + other.bytes)


@dataclass(frozen=True)
class Skipped:
    """Something that an operation left unchanged, and the reason."""

    what: str
    why: str


@dataclass(frozen=True)
class Result:
    """What an operation found, left and deleted, by kind of file.

    ``before`` and ``after`` count the table's files (orphan removal: the files in its folder);
    ``deleted`` the files deleted from storage, or in a dry run those that would be.
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
    """Damage that was found and not repaired."""
    warnings: tuple[str, ...] = ()
    evolved: bool = False
    """Whether the table's metadata was changed without a snapshot."""

    @property
    def changed(self) -> bool:
        """Return whether the table or its folder was changed."""
        return not self.dry_run and (
            bool(self.deleted) or bool(self.snapshots) or self.evolved or self.before != self.after
        )


def tally(files: Iterable[tuple[str, int]]) -> dict[str, Size]:
    """Return the size of files by kind; each is given as kind and bytes."""
    sizes: dict[str, Size] = {}
    for kind, length in files:
        sizes[kind] = sizes.get(kind, Size()) + Size(1, length)
    return sizes


def as_json(result: Result) -> dict[str, Any]:
    """Return a result as a JSON object, with ``changed``."""
    return {**asdict(result), "changed": result.changed}


def as_table(results: Sequence[Result]) -> str:
    """Return a table with a line per table and kind of file, then what was skipped, and why."""
    lines = [
        [
            result.table,
            result.operation,
            kind,
            *_shown(result.before.get(kind)),
            *_shown(result.after.get(kind)),
            *_shown(result.deleted.get(kind)),
        ]
        for result in results
        for kind in {**result.before, **result.deleted}
    ]
    deleted = "would delete" if any(result.dry_run for result in results) else "deleted"
    headers = ["table", "operation", "what", "before", "", "after", "", deleted, ""]
    table = tabulate(
        lines,
        headers,
        colalign=["left"] * 3 + ["right"] * 6 if lines else (),
        disable_numparse=True,
    )
    words = [f"{result.table}: warning: {w}" for result in results for w in result.warnings]
    words += [f"{result.table}: {note}" for result in results for note in result.notes]
    words += [f"{result.table}: {wrong}" for result in results for wrong in result.found]
    words += [_left(result.table, skip) for result in results for skip in result.skipped]
    return "\n".join([table, *words])


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is 1."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def spell_bytes(count: float) -> str:
    """Return a number of bytes with a suitable unit; each is 1024 of the one before."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:  # noqa: PLR2004 - what the units are made of
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def _left(table: str, skip: Skipped) -> str:
    what = "unchanged" if skip.what == table else f"left {skip.what}"
    return f"{table}: {what}: {skip.why}"


def _shown(size: Size | None) -> tuple[str, str]:
    if size is None:
        return "", ""
    return str(size.files), spell_bytes(size.bytes) if size.bytes else ""
