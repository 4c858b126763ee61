"""Branches and tags of a table, and the snapshot log that tells what main was when.

Source: the table specification, "Snapshot References" and "snapshot-log"; rules and texts
follow ``SnapshotRef`` and ``TableMetadata.Builder`` of Apache Iceberg's Java library.
"""

from collections.abc import Mapping
from typing import Any

from falcon_catalog.errors import BadRequestError, CommitFailedError, show
from falcon_catalog.metadata.append_log import plus, with_values
from falcon_catalog.metadata.builder import TableBuilder, find
from falcon_catalog.metadata.json_fields import (
    JSON,
    as_integer,
    as_long,
    as_text,
    optional,
    required,
)

MAIN = "main"
KINDS = ("branch", "tag")
CLOCK_SKEW_MS = 60_000

# key, reader, what a tag's refusal calls it, what a refusal of zero says
_BRANCH_RETENTION = (
    (
        "min-snapshots-to-keep",
        as_integer,
        "minSnapshotsToKeep",
        "Min snapshots to keep must be greater than 0",
    ),
    (
        "max-snapshot-age-ms",
        as_long,
        "maxSnapshotAgeMs",
        "Max snapshot age must be greater than 0 ms",
    ),
)


def parse(source: Mapping[str, Any], where: str) -> JSON:
    """Return a branch or tag in its stored form."""
    kind = required(source, "type", as_text, where).lower()
    if kind not in KINDS:
        raise BadRequestError(f"Invalid snapshot ref type: {show(kind)}")
    ref: JSON = {"snapshot-id": required(source, "snapshot-id", as_long, where), "type": kind}
    for key, read, name, rule in _BRANCH_RETENTION:
        value = optional(source, key, read, where)
        if value is not None and kind == "tag":
            raise BadRequestError(f"Tags do not support setting {name}")
        ref |= _positive(key, value, rule)
    age = optional(source, "max-ref-age-ms", as_long, where)
    return ref | _positive("max-ref-age-ms", age, "Max reference age must be greater than 0")


def _positive(key: str, value: int | None, rule: str) -> JSON:
    if value is None:
        return {}
    if value <= 0:
        raise BadRequestError(rule)
    return {key: value}


def parse_update(update: Mapping[str, Any]) -> tuple[str, JSON]:
    """Return the name and the branch or tag of a ``set-snapshot-ref`` update."""
    where = "set-snapshot-ref update"
    name = required(update, "ref-name", as_text, where)
    if not name:
        raise BadRequestError(f"Invalid {where}, field ref-name: must not be empty")
    return name, parse(update, where)


def set_ref(builder: TableBuilder, update: Mapping[str, Any]) -> None:
    """Apply ``set-snapshot-ref``; moving main is logged."""
    name, ref = parse_update(update)
    if name == MAIN and ref["type"] != "branch":
        raise BadRequestError("Cannot set main to a tag: main must be a branch")
    if builder.meta["refs"].get(name) == ref:
        return
    snapshot = find(builder.meta["snapshots"], "snapshot-id", ref["snapshot-id"])
    if snapshot is None:
        raise BadRequestError(f"Cannot set {name} to unknown snapshot: {ref['snapshot-id']}")
    builder.put("refs", {**builder.meta["refs"], name: ref})
    builder.dangling.pop(name, None)
    if name == MAIN:
        _set_main(builder, snapshot)


def _set_main(builder: TableBuilder, snapshot: JSON) -> None:
    snapshot_id = snapshot["snapshot-id"]
    log = builder.meta["snapshot-log"]
    last_ms = log[-1]["timestamp-ms"] if log else 0
    if snapshot_id in builder.added_snapshots:
        # Time travel to a snapshot's own timestamp must find it.
        timestamp_ms = snapshot["timestamp-ms"]
        builder.main_heads.add(snapshot_id)
        if timestamp_ms < last_ms - CLOCK_SKEW_MS:
            raise BadRequestError(
                f"Invalid snapshot timestamp {timestamp_ms}: "
                f"before last snapshot log entry at {last_ms}"
            )
    else:
        timestamp_ms = max(builder.now_ms, last_ms)
    builder.put("current-snapshot-id", snapshot_id)
    entry = {"snapshot-id": snapshot_id, "timestamp-ms": timestamp_ms}
    builder.put("snapshot-log", plus(log, entry))


def remove_ref(builder: TableBuilder, update: Mapping[str, Any]) -> None:
    """Apply ``remove-snapshot-ref``; an absent ref is already gone."""
    name = required(update, "ref-name", as_text, "remove-snapshot-ref update")
    builder.dangling.pop(name, None)
    drop(builder, name)


def drop(builder: TableBuilder, name: str) -> None:
    """Remove a ref; without main the table has no current snapshot."""
    refs = builder.meta["refs"]
    if name in refs:
        builder.put("refs", {other: ref for other, ref in refs.items() if other != name})
        if name == MAIN:
            builder.remove("current-snapshot-id")


def check_dangling(builder: TableBuilder) -> None:
    """Refuse to take a ref away unasked: it may have come since the writer looked.

    Java's client always says which refs go; PyIceberg's expiry requires nothing of any ref.
    """
    for name, ref in builder.dangling.items():
        raise CommitFailedError(
            f"Cannot remove snapshot {ref['snapshot-id']}: {ref['type']} {name} is at it, and "
            "the commit does not remove or move it"
        )


def filter_snapshots_to_refs(metadata: JSON) -> JSON:
    """Return the metadata for ``snapshots=refs``: without snapshots that no branch or tag is at.

    Their statistics go with them; logs and refs stay.
    """
    at = {ref["snapshot-id"] for ref in metadata["refs"].values()}
    return metadata | {
        key: with_values(metadata[key], "snapshot-id", at)
        for key in ("snapshots", "statistics", "partition-statistics")
    }


def settle_log(builder: TableBuilder) -> None:
    """Keep in the snapshot log only what was, for a while, the table's state.

    A snapshot added in this request and replaced as head of main in the same one never
    was. Where a snapshot was removed, what was logged before it goes too: a gap would make
    time travel find the wrong snapshot.
    """
    current = builder.meta.get("current-snapshot-id")
    passed = builder.main_heads - {current}
    if not passed and not builder.snapshots_removed:
        return
    alive = {snapshot["snapshot-id"] for snapshot in builder.meta["snapshots"]}
    log: list[JSON] = []
    for entry in builder.meta["snapshot-log"]:
        if entry["snapshot-id"] not in alive:
            log = [] if builder.snapshots_removed else log
        elif entry["snapshot-id"] not in passed:
            log.append(entry)
    if log and current is not None and log[-1]["snapshot-id"] != current:
        raise BadRequestError(
            "Cannot set invalid snapshot log: latest entry is not the current snapshot"
        )
    builder.meta["snapshot-log"] = log
