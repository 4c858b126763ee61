"""The updates that change a table's metadata, and the requirements that guard them."""

from typing import Any

from falcon_catalog.conformance.answers import JSON, expect, expect_equal
from falcon_catalog.conformance.probes.commits import set_properties
from falcon_catalog.conformance.room import SCHEMA, Made, Room

_CONFLICT = "CommitFailedException"
_SNAPSHOT = 3_051_729_675_574_597_004


def snapshot(table: Made, number: int = 1, **fields: Any) -> JSON:
    """Return a made-up snapshot, the ``number``-th of its table; its files do not exist."""
    made = {
        "snapshot-id": _SNAPSHOT + number,
        "sequence-number": number,
        "timestamp-ms": table.metadata["last-updated-ms"] + number,
        "manifest-list": f"{table.metadata['location']}/metadata/snap-{number}-check.avro",
        "summary": {"operation": "append"},
        "schema-id": 0,
    }
    if number > 1:
        made["parent-snapshot-id"] = _SNAPSHOT + number - 1
    return {**made, **fields}


def appending(table: Made, number: int = 1, **fields: Any) -> list[JSON]:
    """Return the updates of an append to main."""
    added = snapshot(table, number, **fields)
    return [{"action": "add-snapshot", "snapshot": added}, ref("main", added["snapshot-id"])]


def ref(name: str, snapshot_id: int, kind: str = "branch") -> JSON:
    """Return the update that sets a branch or a tag."""
    fields = {"ref-name": name, "type": kind, "snapshot-id": snapshot_id}
    return {"action": "set-snapshot-ref", **fields}


def _metadata(room: Room, table: Made, *updates: JSON) -> JSON:
    metadata: JSON = room.commit(table, updates).object()["metadata"]
    return metadata


def evolves_schemas(room: Room) -> None:
    """Add a schema, make the last added one current by -1, and remove the other."""
    made = room.table()
    field = {"id": 3, "name": "more", "type": "double", "required": False}
    schema = {**SCHEMA, "fields": [*SCHEMA["fields"], field]}
    metadata = _metadata(
        room,
        made,
        {"action": "add-schema", "schema": schema, "last-column-id": 3},
        {"action": "set-current-schema", "schema-id": -1},
    )
    (current,) = (
        each for each in metadata["schemas"] if each["schema-id"] == metadata["current-schema-id"]
    )
    expect_equal([each["id"] for each in current["fields"]], [1, 2, 3], "the field ids")
    expect_equal(metadata["last-column-id"], 3, "last-column-id")
    metadata = _metadata(room, made, {"action": "remove-schemas", "schema-ids": [0]})
    expect_equal(len(metadata["schemas"]), 1, "the number of schemas")


def keeps_one_of_equal_schemas(room: Room) -> None:
    """Keep the id of a schema that is added a second time."""
    made = room.table()
    metadata = _metadata(room, made, {"action": "add-schema", "schema": {**SCHEMA, "schema-id": 9}})
    expect_equal(len(metadata["schemas"]), 1, "the number of schemas")


def evolves_layouts(room: Room) -> None:
    """Add a spec and a sort order, make the last added ones the defaults by -1."""
    made = room.table()
    partition = {"source-id": 1, "name": "id_b", "transform": "bucket[4]", "field-id": 1000}
    order = {
        "source-id": 2,
        "transform": "identity",
        "direction": "asc",
        "null-order": "nulls-first",
    }
    metadata = _metadata(
        room,
        made,
        {"action": "add-spec", "spec": {"spec-id": 1, "fields": [partition]}},
        {"action": "set-default-spec", "spec-id": -1},
        {"action": "add-sort-order", "sort-order": {"order-id": 1, "fields": [order]}},
        {"action": "set-default-sort-order", "sort-order-id": -1},
    )
    expect_equal(metadata["last-partition-id"], 1000, "last-partition-id")
    expect(metadata["default-spec-id"] != made.metadata["default-spec-id"], "the spec stayed")
    expect(metadata["default-sort-order-id"] != 0, "the table is still unsorted")
    old = made.metadata["default-spec-id"]
    metadata = _metadata(room, made, {"action": "remove-partition-specs", "spec-ids": [old]})
    expect_equal(len(metadata["partition-specs"]), 1, "the number of specs")


def changes_properties(room: Room) -> None:
    """Set and remove properties; removing one that is not there is no mistake."""
    made = room.table(properties={"old": "1"})
    gone = {"action": "remove-properties", "removals": ["old", "absent"]}
    properties = _metadata(room, made, set_properties(new="2"), gone)["properties"]
    expect_equal(properties.get("new"), "2", "the property that was set")
    expect("old" not in properties, "the property that was removed is still there")


def keeps_its_uuid(room: Room) -> None:
    """Take assign-uuid with the table's own uuid, and answer 400 to another one."""
    made = room.table()
    uuid = made.metadata["table-uuid"]
    metadata = _metadata(room, made, {"action": "assign-uuid", "uuid": uuid}, set_properties(a="b"))
    expect_equal(metadata["table-uuid"], uuid, "table-uuid")
    other = {"action": "assign-uuid", "uuid": "00000000-0000-4000-8000-000000000000"}
    room.commit(made, [other]).error((400, 409))


def upgrades(room: Room) -> None:
    """Upgrade the format version, and answer 400 to a downgrade."""
    made = room.table(properties={"format-version": "1"})
    upgrade = {"action": "upgrade-format-version", "format-version": 2}
    expect_equal(_metadata(room, made, upgrade)["format-version"], 2, "format-version")
    room.commit(made, [{**upgrade, "format-version": 1}]).error(400)


def refuses_what_does_not_exist(room: Room) -> None:
    """Answer 400 to ids of schemas, specs, orders and snapshots that do not exist."""
    made = room.table()
    for update in (
        {"action": "set-current-schema", "schema-id": 77},
        {"action": "set-default-spec", "spec-id": 77},
        {"action": "set-default-sort-order", "sort-order-id": 77},
        ref("main", 77),
    ):
        room.commit(made, [update]).error(400)


def adds_snapshots(room: Room) -> None:
    """Add snapshots to main: the current one, the last sequence number and the log follow."""
    made = room.table()
    _metadata(room, made, *appending(made, 1))
    metadata = _metadata(room, made, *appending(made, 2))
    expect_equal(metadata.get("current-snapshot-id"), _SNAPSHOT + 2, "current-snapshot-id")
    expect_equal(metadata.get("last-sequence-number"), 2, "last-sequence-number")
    logged = [entry["snapshot-id"] for entry in metadata.get("snapshot-log", ())]
    expect_equal(logged, [_SNAPSHOT + 1, _SNAPSHOT + 2], "snapshot-log")


def names_snapshots(room: Room) -> None:
    """Set and remove branches and tags, and remove snapshots together with theirs."""
    made = room.table()
    _metadata(room, made, *appending(made, 1))
    metadata = _metadata(
        room, made, *appending(made, 2), ref("a", _SNAPSHOT + 1, "tag"), ref("b", _SNAPSHOT + 1)
    )
    expect_equal(sorted(metadata["refs"]), ["a", "b", "main"], "the refs")
    metadata = _metadata(room, made, {"action": "remove-snapshot-ref", "ref-name": "b"})
    expect_equal(sorted(metadata["refs"]), ["a", "main"], "the refs")
    metadata = _metadata(
        room,
        made,
        {"action": "remove-snapshots", "snapshot-ids": [_SNAPSHOT + 1]},
        {"action": "remove-snapshot-ref", "ref-name": "a"},
    )
    expect_equal(sorted(metadata["refs"]), ["main"], "the refs")


def refuses_stale_snapshots(room: Room) -> None:
    """Answer 409 CommitFailedException to a snapshot whose sequence number is not newer."""
    made = room.table()
    _metadata(room, made, *appending(made, 1))
    stale = appending(made, 2, **{"sequence-number": 1})
    room.commit(made, stale).error(409, _CONFLICT)


def keeps_statistics(room: Room) -> None:
    """Set and remove statistics of a snapshot, and of its partitions."""
    made = room.table()
    _metadata(room, made, *appending(made, 1))
    of = {"snapshot-id": _SNAPSHOT + 1, "file-size-in-bytes": 10}
    path = f"{made.metadata['location']}/metadata/check"
    statistics = {"statistics-path": f"{path}.puffin", **of, "file-footer-size-in-bytes": 5}
    statistics["blob-metadata"] = []
    partitions = {"statistics-path": f"{path}.parquet", **of}
    metadata = _metadata(
        room,
        made,
        {"action": "set-statistics", "statistics": statistics, "snapshot-id": _SNAPSHOT + 1},
        {"action": "set-partition-statistics", "partition-statistics": partitions},
    )
    for field in ("statistics", "partition-statistics"):
        kept = [each["snapshot-id"] for each in metadata.get(field, ())]
        expect_equal(kept, [_SNAPSHOT + 1], field)
    gone = {"snapshot-id": _SNAPSHOT + 1}
    metadata = _metadata(
        room,
        made,
        {"action": "remove-statistics", **gone},
        {"action": "remove-partition-statistics", **gone},
    )
    for field in ("statistics", "partition-statistics"):
        expect(not metadata.get(field), f"{field} were removed and are still there")


def keeps_encryption_keys(room: Room) -> None:
    """Add and remove the encryption keys of a table of format version 3."""
    made = room.table(properties={"format-version": "3"})
    key = {"key-id": "k1", "encrypted-key-metadata": "Y2hlY2s="}
    metadata = _metadata(room, made, {"action": "add-encryption-key", "encryption-key": key})
    kept = [each["key-id"] for each in metadata.get("encryption-keys", ())]
    expect_equal(kept, ["k1"], "encryption-keys")
    metadata = _metadata(room, made, {"action": "remove-encryption-key", "key-id": "k1"})
    expect(not metadata.get("encryption-keys"), "the encryption key is still there")


def counts_rows(room: Room) -> None:
    """Give snapshots of format version 3 their row ids, and answer 409 to stale ones."""
    made = room.table(properties={"format-version": "3"})
    rows = {"first-row-id": 0, "added-rows": 5}
    metadata = _metadata(room, made, *appending(made, 1, **rows))
    expect_equal(metadata.get("next-row-id"), 5, "next-row-id")
    room.commit(made, appending(made, 2, **rows)).error(409, _CONFLICT)


_HOLD: tuple[JSON, ...] = (
    {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": None},
    {"type": "assert-last-assigned-field-id", "last-assigned-field-id": 2},
    {"type": "assert-current-schema-id", "current-schema-id": 0},
    {"type": "assert-last-assigned-partition-id", "last-assigned-partition-id": 999},
    {"type": "assert-default-spec-id", "default-spec-id": 0},
    {"type": "assert-default-sort-order-id", "default-sort-order-id": 0},
)


def lets_requirements_hold(room: Room) -> None:
    """Commit where every requirement holds."""
    made = room.table()
    uuid = {"type": "assert-table-uuid", "uuid": made.metadata["table-uuid"]}
    room.commit(made, [set_properties(a="b")], [uuid, *_HOLD]).object()


def tells_each_failed_requirement(room: Room) -> None:
    """Answer 409 CommitFailedException to each requirement that does not hold."""
    made = room.table()
    for holding in _HOLD:
        failed = {
            key: 77 if key not in ("type", "ref") else value for key, value in holding.items()
        }
        room.commit(made, [set_properties(a="b")], [failed]).error(409, _CONFLICT)
    created = {"type": "assert-create"}
    room.commit(made, [set_properties(a="b")], [created]).error(409, _CONFLICT)
    expect_equal(room.load(made)["metadata"], made.metadata, "the metadata after the conflicts")


PROBES = {
    "table updates": (
        evolves_schemas,
        keeps_one_of_equal_schemas,
        evolves_layouts,
        changes_properties,
        keeps_its_uuid,
        upgrades,
        refuses_what_does_not_exist,
        keeps_encryption_keys,
    ),
    "snapshots": (
        adds_snapshots,
        names_snapshots,
        refuses_stale_snapshots,
        keeps_statistics,
        counts_rows,
    ),
    "requirements": (lets_requirements_hold, tells_each_failed_requirement),
}
