"""The history of a table: what each snapshot changed, its branch, and finding one.

Source: the table specification, "Snapshots", "Snapshot References", and "Optional Snapshot Summary
Fields".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from falcon_catalog import summaries
from falcon_catalog.decimals import read_decimal
from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.metadata.json_fields import JSON, LONG_MAX
from falcon_catalog.metadata.refs import MAIN
from falcon_catalog.wording import no_snapshot_then

OPERATIONS = ("append", "replace", "overwrite", "delete")
"""Those that the specification knows."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the summary of a snapshot counts; None where its writer did not."""

    added_rows: int | None
    removed_rows: int | None
    """With their files, or by delete files."""
    added_files: int | None
    removed_files: int | None
    added_bytes: int | None
    removed_bytes: int | None
    added_deletes: int | None
    """Delete files."""
    rows: int | None
    """After deletes where ``is_exact``, else before them."""
    rows_before_deletes: int | None
    """Rows of all data files."""
    files: int | None
    bytes: int | None
    delete_files: int | None
    is_exact: bool = True
    """Whether it is known how many rows delete files remove."""


def numbers(metadata: JSON, snapshot: JSON | None) -> Numbers:
    """Return what the summary of a snapshot counts; zero for a table without a snapshot."""
    if snapshot is None:
        return Numbers(*(0,) * 12)
    summary: Mapping[str, object] = snapshot.get("summary") or {}
    rows = summaries.rows(summary, metadata["format-version"])
    files, size = "total-data-files", "total-files-size"
    return Numbers(
        rows.added,
        rows.removed,
        summaries.change(summary, "added-data-files", files),
        summaries.change(summary, "deleted-data-files", files),
        summaries.change(summary, "added-files-size", size),
        summaries.change(summary, "removed-files-size", size),
        summaries.change(summary, "added-delete-files", "total-delete-files"),
        rows.total,
        rows.before_deletes,
        summaries.number(summary, files),
        summaries.number(summary, size),
        summaries.number(summary, "total-delete-files"),
        rows.is_exact,
    )


def operation(snapshot: JSON) -> str:
    """Return what a snapshot did, such as ``append``; empty where its writer did not say so."""
    return str((snapshot.get("summary") or {}).get("operation") or "")


def by_id(metadata: JSON) -> dict[int, JSON]:
    """Return the snapshots by id."""
    return {snapshot["snapshot-id"]: snapshot for snapshot in metadata["snapshots"]}


def current(metadata: JSON) -> JSON | None:
    """Return the current snapshot; None if there is none."""
    wanted = metadata.get("current-snapshot-id")
    found = (each for each in metadata["snapshots"] if each["snapshot-id"] == wanted)
    return next(found, None)


def newest_first(metadata: JSON) -> list[JSON]:
    """Return all snapshots, the newest first."""
    return sorted(
        metadata["snapshots"],
        key=lambda each: (each["timestamp-ms"], each.get("sequence-number", 0)),
        reverse=True,
    )


def ancestors(snapshots: Mapping[int, JSON], snapshot_id: int | None) -> Iterator[JSON]:
    """Yield a snapshot and those before it, up to the first that was expired."""
    seen: set[int] = set()
    while snapshot_id is not None and snapshot_id in snapshots and snapshot_id not in seen:
        seen.add(snapshot_id)
        snapshot = snapshots[snapshot_id]
        yield snapshot
        snapshot_id = snapshot.get("parent-snapshot-id")


def branches(metadata: JSON) -> dict[int, str]:
    """Return the branch of each snapshot; one of several branches belongs to main, if it is one.

    A snapshot that is on no branch, such as one that was rolled back, is left out.
    """
    snapshots, found = by_id(metadata), dict[int, str]()
    refs = {name: ref for name, ref in metadata["refs"].items() if ref["type"] == "branch"}
    for name in sorted(refs, key=lambda each: (each != MAIN, each)):
        for snapshot in ancestors(snapshots, refs[name]["snapshot-id"]):
            if found.setdefault(snapshot["snapshot-id"], name) != name:
                break
    return found


def find(metadata: JSON, text: str) -> JSON:
    """Return the snapshot that a branch, a tag, a snapshot id or a time names.

    A time is one of ISO 8601, in UTC if it has no offset, or as pages show it, with ``UTC`` at its
    end: the snapshot that main was at then.

    Raises:
        BadRequestError: there is none.
    """
    snapshots = by_id(metadata)
    ref = metadata["refs"].get(text)
    if ref is not None and ref["snapshot-id"] in snapshots:
        return snapshots[ref["snapshot-id"]]
    snapshot_id = read_decimal(text.strip(), most=LONG_MAX)
    if snapshot_id is not None:
        if snapshot_id in snapshots:
            return snapshots[snapshot_id]
        raise BadRequestError(f"Snapshot does not exist: {show(text)}; it may have been expired")
    try:
        at = datetime.fromisoformat(text.strip().removesuffix(" UTC"))
    except ValueError:
        raise BadRequestError(
            f"Snapshot does not exist: {show(text)} is no branch or tag of this table, no snapshot"
            " id and no time such as 2026-11-30 or 2026-11-30T07:00Z"
        ) from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    at_ms = at.timestamp() * 1000
    log = metadata.get("snapshot-log") or ()
    passed = [entry for entry in log if entry["timestamp-ms"] <= at_ms]
    if not passed:
        first_ms = log[0]["timestamp-ms"] if log else None
        raise BadRequestError(no_snapshot_then("The table", at, first_ms))
    found = passed[-1]["snapshot-id"]
    if found not in snapshots:
        raise BadRequestError(f"Snapshot {found}, the one of {show(text)}, has been expired")
    return snapshots[found]


def labels(metadata: JSON) -> dict[int, list[tuple[str, str]]]:
    """Return the refs that are at each snapshot, as pairs of a name and its type."""
    found: dict[int, list[tuple[str, str]]] = {}
    for name, ref in sorted(metadata["refs"].items()):
        found.setdefault(ref["snapshot-id"], []).append((name, ref["type"]))
    return found
