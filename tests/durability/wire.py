"""Requests as clients send them, small and recognisable: each names the operation it is."""

from typing import Any

SCHEMA = {
    "type": "struct",
    "fields": [{"id": 1, "name": "id", "type": "long", "required": False}],
}

JSON = dict[str, Any]

DROPPED = "/management/v1/warehouses/default/dropped"


def namespace(name: str = "") -> str:
    return f"/v1/namespaces/{name}" if name else "/v1/namespaces"


def table(name: str, space: str = "ns") -> str:
    return f"/v1/namespaces/{space}/tables/{name}" if name else f"/v1/namespaces/{space}/tables"


def creation(name: str, op: str, **more: Any) -> JSON:
    return {"name": name, "schema": SCHEMA, "properties": {"op": op}, **more}


def marked(op: str) -> JSON:
    """Return the update that writes down which operation made a version."""
    return {"action": "set-properties", "updates": {"op": op}}


def change(op: str, *updates: JSON, requirements: tuple[JSON, ...] = ()) -> JSON:
    return {"requirements": list(requirements), "updates": [*updates, marked(op)]}


def part(name: str, op: str, *updates: JSON, space: str = "ns", **more: Any) -> JSON:
    """Return one table's part of a transaction."""
    return {
        "identifier": {"namespace": [space], "name": name},
        **change(op, *updates, **more),
    }


def at_snapshot(snapshot_id: int | None) -> JSON:
    return {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": snapshot_id}


def appended(metadata: JSON, snapshot_id: int, op: str) -> tuple[JSON, ...]:
    """Return the updates that put a snapshot on top of the one that ``metadata`` is at."""
    parent = metadata.get("current-snapshot-id")
    snapshot = {
        "snapshot-id": snapshot_id,
        "sequence-number": metadata["last-sequence-number"] + 1,
        "timestamp-ms": metadata["last-updated-ms"],
        "manifest-list": f"{metadata['location']}/metadata/snap-{snapshot_id}.avro",
        "summary": {"operation": "append", "op": op},
        "schema-id": 0,
        **({} if parent in (None, -1) else {"parent-snapshot-id": parent}),
    }
    reference = {"action": "set-snapshot-ref", "ref-name": "main", "type": "branch"}
    return (
        {"action": "add-snapshot", "snapshot": snapshot},
        {**reference, "snapshot-id": snapshot_id},
    )


def staged_commit(staged: JSON, op: str) -> JSON:
    """Return the commit of a staged create, as clients build it from the answer to it."""
    metadata = staged["metadata"]
    updates = [
        {"action": "assign-uuid", "uuid": metadata["table-uuid"]},
        {"action": "upgrade-format-version", "format-version": metadata["format-version"]},
        {"action": "add-schema", "schema": metadata["schemas"][0], "last-column-id": 1},
        {"action": "set-current-schema", "schema-id": -1},
        {"action": "add-spec", "spec": {"spec-id": 0, "fields": []}},
        {"action": "set-default-spec", "spec-id": -1},
        {"action": "add-sort-order", "sort-order": {"order-id": 0, "fields": []}},
        {"action": "set-default-sort-order", "sort-order-id": -1},
        {"action": "set-location", "location": metadata["location"]},
        marked(op),
    ]
    return {"requirements": [{"type": "assert-create"}], "updates": updates}


def renaming(source: str, destination: str, space: str = "ns", to: str = "") -> JSON:
    return {
        "source": {"namespace": [space], "name": source},
        "destination": {"namespace": [to or space], "name": destination},
    }


def dropped(listed: JSON, name: str) -> int:
    """Return the number under which a dropped table of ``ns`` is listed."""
    wanted = {"namespace": ["ns"], "name": name}
    (number,) = [entry["id"] for entry in listed["dropped"] if entry["identifier"] == wanted]
    return int(number)


def undropping(number: int) -> str:
    return f"{DROPPED}/{number}/undrop"
