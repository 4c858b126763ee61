"""Branches and tags of a table, and the snapshot log that records main.

Source: the table specification, "Snapshot References" and "snapshot-log"; rules and texts
follow ``SnapshotRef`` and ``TableMetadata.Builder`` of Apache Iceberg's Java library.
"""

from collections.abc import Callable, Mapping
from typing import Any

from falcon_catalog.errors import BadRequestError, CommitFailedError, show
from falcon_catalog.metadata.append_log import plus, with_values
from falcon_catalog.metadata.builder import TableBuilder, find
from falcon_catalog.metadata.clock import CLOCK_SKEW_MS, logged_ms
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

# key: reader, name in the error for a tag, error for zero
_RETENTION: dict[str, tuple[Callable[[object, str], int], str, str]] = {
    "min-snapshots-to-keep": (
        as_integer,
        "minSnapshotsToKeep",
        "Min snapshots to keep must be greater than 0",
    ),
    "max-snapshot-age-ms": (
        as_long,
        "maxSnapshotAgeMs",
        "Max snapshot age must be greater than 0 ms",
    ),
    "max-ref-age-ms": (as_long, "", "Max reference age must be greater than 0"),
}


def parse(source: Mapping[str, Any], where: str) -> JSON:
    """Return a branch or tag in its stored form."""
    kind = required(source, "type", as_text, where).lower()
    if kind not in KINDS:
        raise BadRequestError(f"Invalid snapshot ref type: {show(kind)}")
    ref: JSON = {"snapshot-id": required(source, "snapshot-id", as_long, where), "type": kind}
    for key, (read, branch_only, rule) in _RETENTION.items():
        value = optional(source, key, read, where)
        if value is None:
            continue
        if branch_only and kind == "tag":
            raise BadRequestError(f"Tags do not support setting {branch_only}")
        if value <= 0:
            raise BadRequestError(rule)
        ref[key] = value
    return ref


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
    _own(builder)[name] = ref
    builder.dangling.pop(name, None)
    if name == MAIN:
        _set_main(builder, snapshot)


def _set_main(builder: TableBuilder, snapshot: JSON) -> None:
    snapshot_id = snapshot["snapshot-id"]
    log = builder.meta["snapshot-log"]
    if snapshot_id in builder.added_snapshots:
        # Time travel to a snapshot's own timestamp must find it.
        timestamp_ms = snapshot["timestamp-ms"]
        if not (log and log[-1]["snapshot-id"] in builder.main_heads):
            builder.before_head_ms = logged_ms(log)
        builder.main_heads.add(snapshot_id)
    else:
        timestamp_ms = max(builder.now_ms, logged_ms(log))
    builder.put("current-snapshot-id", snapshot_id)
    entry = {"snapshot-id": snapshot_id, "timestamp-ms": timestamp_ms}
    builder.put("snapshot-log", plus(log, entry))


def check_log(builder: TableBuilder) -> None:
    """Raise BadRequestError if the added snapshot that main is at is out of order in the log.

    One that is ahead of the server's clock would make later ones of correct clients too early.
    """
    if builder.meta.get("current-snapshot-id") not in builder.main_heads:
        return
    log, now_ms = builder.meta["snapshot-log"], builder.now_ms
    added_ms, last_ms = logged_ms(log), builder.before_head_ms if len(log) > 1 else 0
    if added_ms < last_ms - CLOCK_SKEW_MS:
        raise BadRequestError(
            f"Invalid snapshot timestamp {added_ms}: before last snapshot log entry at {last_ms}"
        )
    if added_ms > now_ms + CLOCK_SKEW_MS:
        raise BadRequestError(
            f"Invalid update timestamp {now_ms}: before last snapshot log entry at {added_ms}. "
            f"The snapshot's timestamp is {added_ms - now_ms} ms ahead of the server's clock, "
            f"at most {CLOCK_SKEW_MS} are allowed"
        )


def remove_ref(builder: TableBuilder, update: Mapping[str, Any]) -> None:
    """Apply ``remove-snapshot-ref``; an absent ref is ignored."""
    name = required(update, "ref-name", as_text, "remove-snapshot-ref update")
    builder.dangling.pop(name, None)
    drop(builder, name)


def drop(builder: TableBuilder, *names: str) -> None:
    """Remove refs that exist; without main the table has no current snapshot."""
    for name in names:
        if name in builder.meta["refs"]:
            del _own(builder)[name]
            if name == MAIN:
                builder.remove("current-snapshot-id")


def _own(builder: TableBuilder) -> JSON:
    """Return the refs to change in place; a commit may change thousands."""
    if not builder.own_refs:
        builder.put("refs", dict(builder.meta["refs"]))
        builder.own_refs = True
    refs: JSON = builder.meta["refs"]
    return refs


def check_dangling(builder: TableBuilder) -> None:
    """Raise CommitFailedError for a dangling ref: it may be newer than the writer's metadata.

    Java's client removes refs explicitly; PyIceberg's expiry has no requirements on refs.
    """
    for name, ref in builder.dangling.items():
        raise CommitFailedError(
            f"Cannot remove snapshot {ref['snapshot-id']}: {ref['type']} {name} is at it, and "
            "the commit does not remove or move it"
        )


def filter_snapshots_to_refs(metadata: JSON) -> JSON:
    """Return the metadata for ``snapshots=refs``: only snapshots that a branch or tag is at.

    The same holds for statistics; logs and refs stay.
    """
    at = {ref["snapshot-id"] for ref in metadata["refs"].values()}
    return metadata | {
        key: with_values(metadata[key], "snapshot-id", at)
        for key in ("snapshots", "statistics", "partition-statistics")
    }


def settle_log(builder: TableBuilder) -> None:
    """Keep in the snapshot log only snapshots that were the table's state for a while.

    A snapshot that was added and replaced as head of main in the same request never was. The
    entries before a removed snapshot are removed too: a gap would make time travel find the wrong
    snapshot.
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
