"""Recognition of a commit that was already applied and is sent again."""

from collections.abc import Mapping, Sequence
from typing import Any

from falcon_catalog.errors import BadRequestError
from falcon_catalog.metadata import refs, snapshots
from falcon_catalog.metadata.builder import find
from falcon_catalog.metadata.json_fields import JSON, array_of, as_object


def is_replay(base: JSON | None, updates: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the table already contains what the updates commit.

    It does when every snapshot that they add exists with the same content, and each ref that they
    set is at that snapshot or at a descendant. This is checked before the requirements, which no
    longer hold. Malformed updates are not a replay; ``apply`` reports what is wrong.
    """
    if base is None:
        return False
    try:
        given = array_of(as_object)(updates, "updates")
        return _may_be_known(base, given) and _is_replay(base, given)
    except BadRequestError:
        return False


def _may_be_known(base: JSON, updates: Sequence[Mapping[str, Any]]) -> bool:
    """Look up the first snapshot that is added: usually it is new, so this is not a replay."""
    added = next((one for one in updates if one.get("action") == "add-snapshot"), None)
    if added is None:
        return False
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
    ids = [snapshot["snapshot-id"] for snapshot in added]
    found = (find(metadata["snapshots"], "snapshot-id", snapshot_id) or {} for snapshot_id in ids)
    known = [{key: value for key, value in one.items() if value is not None} for one in found]
    return (
        bool(added)
        and known == added
        and any(ref["snapshot-id"] in ids for ref in heads.values())
        and all(_has_reached(metadata, name, ref) for name, ref in heads.items())
    )


def _has_reached(metadata: JSON, name: object, wanted: JSON) -> bool:
    """Return whether a ref is where the updates set it, or at a descendant.

    A writer may retry after others committed on top of its snapshot. If the retry failed, it would
    delete files that the table needs.
    """
    ref = metadata["refs"].get(name)
    if ref is None or {**ref, "snapshot-id": wanted["snapshot-id"]} != wanted:
        return False
    parents = {s["snapshot-id"]: s.get("parent-snapshot-id") for s in metadata["snapshots"]}
    at: Any = ref["snapshot-id"]
    while at is not None and at != wanted["snapshot-id"]:
        at = parents.pop(at, None)
    return at is not None
