"""Recognise a commit that was applied, lost its answer, and comes again."""

from collections.abc import Mapping, Sequence
from typing import Any

from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata import refs, snapshots
from falcon_catalog.metadata.builder import find
from falcon_catalog.metadata.json_fields import JSON, array_of, as_object


def is_replay(base: JSON | None, updates: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether the table already holds what the updates commit.

    So it is when every snapshot they add is there with the same content and each ref they
    set is where they leave it, at one of those snapshots, or at a descendant of it. To be
    judged before requirements: those no longer hold. Malformed updates are no replay;
    ``apply`` names what is wrong.
    """
    if base is None:
        return False
    try:
        given = array_of(as_object)(updates, "updates")
        return _may_be_known(base, given) and _is_replay(base, given)
    except BadRequestError:
        return False


def _may_be_known(base: JSON, updates: Sequence[Mapping[str, Any]]) -> bool:
    """Look for the first snapshot that is added: as a rule it is new, and this no replay."""
    added = next((one for one in updates if one.get("action") == "add-snapshot"), {})
    snapshot_id = as_object(added.get("snapshot"), "snapshot").get("snapshot-id")
    known = base.get("snapshots") or ()
    return isinstance(snapshot_id, int) and find(known, "snapshot-id", snapshot_id) is not None


def _is_replay(metadata: JSON, updates: Sequence[Mapping[str, Any]]) -> bool:
    added = [
        snapshots.parse(update.get("snapshot"), "snapshot", metadata["format-version"])
        for update in updates
        if update.get("action") == "add-snapshot"
    ]
    heads = dict(
        refs.parse_update(update)
        for update in updates
        if update.get("action") == "set-snapshot-ref"
    )
    ids = {snapshot["snapshot-id"] for snapshot in added}
    return (
        bool(added)
        and all(_is_known(metadata, snapshot) for snapshot in added)
        and any(ref["snapshot-id"] in ids for ref in heads.values())
        and all(_has_reached(metadata, name, ref) for name, ref in heads.items())
    )


def _has_reached(metadata: JSON, name: object, wanted: JSON) -> bool:
    """Tell whether a ref is where the updates leave it, or has moved on from there.

    A writer whose answer was lost may come again after others built on its snapshot. Told
    that it failed, it would delete files that the table is made of.
    """
    ref = metadata["refs"].get(name)
    if ref is None or {**ref, "snapshot-id": wanted["snapshot-id"]} != wanted:
        return False
    parents = {s["snapshot-id"]: s.get("parent-snapshot-id") for s in metadata["snapshots"]}
    at: Any = ref["snapshot-id"]
    while at is not None and at != wanted["snapshot-id"]:
        at = parents.pop(at, None)
    return at is not None


def _is_known(metadata: JSON, snapshot: JSON) -> bool:
    known = find(metadata["snapshots"], "snapshot-id", snapshot["snapshot-id"])
    return (
        known is not None
        and {key: value for key, value in known.items() if value is not None} == snapshot
    )
