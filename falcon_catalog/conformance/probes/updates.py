"""The updates that change a table's metadata, and the requirements that guard them."""

from typing import Any

from falcon_catalog.conformance.answers import JSON, expect, expect_equal
from falcon_catalog.conformance.probes.commits import NOBODY, same_uuid, set_properties
from falcon_catalog.conformance.probes.probe import CONFLICT
from falcon_catalog.conformance.sandbox import SCHEMA, Sandbox, Tabular

_SNAPSHOT = 3_051_729_675_574_597_004


def snapshot(table: Tabular, number: int = 1, **fields: Any) -> JSON:
    """Return a made-up snapshot, the ``number``-th of its table; its files do not exist."""
    added = {
        "snapshot-id": _SNAPSHOT + number,
        "sequence-number": number,
        "timestamp-ms": table.metadata["last-updated-ms"] + number,
        "manifest-list": f"{table.metadata['location']}/metadata/snap-{number}-check.avro",
        "summary": {"operation": "append"},
        "schema-id": 0,
    }
    if number > 1:
        added["parent-snapshot-id"] = _SNAPSHOT + number - 1
    return {**added, **fields}


def appending(table: Tabular, number: int = 1, **fields: Any) -> list[JSON]:
    """Return the updates of an append to main."""
    added = snapshot(table, number, **fields)
    return [{"action": "add-snapshot", "snapshot": added}, ref("main", added["snapshot-id"])]


def ref(name: str, snapshot_id: int, kind: str = "branch") -> JSON:
    """Return the update that sets a branch or a tag."""
    fields = {"ref-name": name, "type": kind, "snapshot-id": snapshot_id}
    return {"action": "set-snapshot-ref", **fields}


def evolves_schemas(sandbox: Sandbox) -> None:
    """Add a schema, make the last added one current by -1, and remove the other."""
    made = sandbox.table()
    field = {"id": 3, "name": "more", "type": "double", "required": False}
    schema = {**SCHEMA, "fields": [*SCHEMA["fields"], field]}
    metadata = sandbox.update(
        made,
        {"action": "add-schema", "schema": schema, "last-column-id": 3},
        {"action": "set-current-schema", "schema-id": -1},
    )
    current_id = metadata["current-schema-id"]
    (current,) = (each for each in metadata["schemas"] if each["schema-id"] == current_id)
    expect_equal([each["id"] for each in current["fields"]], [1, 2, 3], "the field ids")
    expect_equal(metadata["last-column-id"], 3, "last-column-id")
    metadata = sandbox.update(made, {"action": "remove-schemas", "schema-ids": [0]})
    expect_equal(len(metadata["schemas"]), 1, "the number of schemas")


def keeps_one_of_equal_schemas(sandbox: Sandbox) -> None:
    """Keep the id of a schema that is added a second time."""
    made = sandbox.table()
    metadata = sandbox.update(made, {"action": "add-schema", "schema": {**SCHEMA, "schema-id": 9}})
    expect_equal(len(metadata["schemas"]), 1, "the number of schemas")


def evolves_layouts(sandbox: Sandbox) -> None:
    """Add a spec and a sort order, make the last added ones the defaults by -1."""
    made = sandbox.table()
    partition = {"source-id": 1, "name": "id_b", "transform": "bucket[4]", "field-id": 1000}
    order = {"source-id": 2, "transform": "identity", "direction": "asc"}
    order["null-order"] = "nulls-first"
    metadata = sandbox.update(
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
    metadata = sandbox.update(made, {"action": "remove-partition-specs", "spec-ids": [old]})
    expect_equal(len(metadata["partition-specs"]), 1, "the number of specs")


def changes_properties(sandbox: Sandbox) -> None:
    """Set and remove properties; removing an absent one is not an error."""
    made = sandbox.table({"properties": {"old": "1"}})
    gone = {"action": "remove-properties", "removals": ["old", "absent"]}
    properties = sandbox.update(made, set_properties(new="2"), gone)["properties"]
    expect_equal(properties.get("new"), "2", "the property that was set")
    expect("old" not in properties, "the property that was removed is still there")


def keeps_its_uuid(sandbox: Sandbox) -> None:
    """Accept assign-uuid with the table's own uuid, and return 400 for another one."""
    made = sandbox.table()
    uuid = made.metadata["table-uuid"]
    metadata = sandbox.update(made, {"action": "assign-uuid", "uuid": uuid}, set_properties(a="b"))
    expect_equal(metadata["table-uuid"], uuid, "table-uuid")
    other = {"action": "assign-uuid", "uuid": NOBODY}
    sandbox.commit(made, [other]).error((400, 409))


def upgrades(sandbox: Sandbox) -> None:
    """Upgrade the format version, and return 400 for a downgrade."""
    made = sandbox.table({"properties": {"format-version": "1"}})
    upgrade = {"action": "upgrade-format-version", "format-version": 2}
    expect_equal(sandbox.update(made, upgrade)["format-version"], 2, "format-version")
    sandbox.commit(made, [{**upgrade, "format-version": 1}]).error(400)


def refuses_unknown_ids(sandbox: Sandbox) -> None:
    """Return 400 for ids of schemas, specs, orders and snapshots that do not exist."""
    made = sandbox.table()
    for update in (
        {"action": "set-current-schema", "schema-id": 77},
        {"action": "set-default-spec", "spec-id": 77},
        {"action": "set-default-sort-order", "sort-order-id": 77},
        ref("main", 77),
    ):
        sandbox.commit(made, [update]).error(400)


def adds_snapshots(sandbox: Sandbox) -> None:
    """Add snapshots to main: the current one, the last sequence number and the log follow."""
    made = sandbox.table()
    sandbox.update(made, *appending(made, 1))
    metadata = sandbox.update(made, *appending(made, 2))
    expect_equal(metadata.get("current-snapshot-id"), _SNAPSHOT + 2, "current-snapshot-id")
    expect_equal(metadata.get("last-sequence-number"), 2, "last-sequence-number")
    logged = [entry["snapshot-id"] for entry in metadata.get("snapshot-log", ())]
    expect_equal(logged, [_SNAPSHOT + 1, _SNAPSHOT + 2], "snapshot-log")


def sets_and_removes_refs(sandbox: Sandbox) -> None:
    """Set and remove branches and tags, and remove snapshots together with their refs."""
    made = sandbox.table()
    sandbox.update(made, *appending(made, 1))
    metadata = sandbox.update(
        made, *appending(made, 2), ref("a", _SNAPSHOT + 1, "tag"), ref("b", _SNAPSHOT + 1)
    )
    expect_equal(sorted(metadata["refs"]), ["a", "b", "main"], "the refs")
    metadata = sandbox.update(made, {"action": "remove-snapshot-ref", "ref-name": "b"})
    expect_equal(sorted(metadata["refs"]), ["a", "main"], "the refs")
    metadata = sandbox.update(
        made,
        {"action": "remove-snapshots", "snapshot-ids": [_SNAPSHOT + 1]},
        {"action": "remove-snapshot-ref", "ref-name": "a"},
    )
    expect_equal(sorted(metadata["refs"]), ["main"], "the refs")


def refuses_stale_snapshots(sandbox: Sandbox) -> None:
    """Return 409 CommitFailedException for a snapshot with a stale sequence number."""
    made = sandbox.table()
    sandbox.update(made, *appending(made, 1))
    stale = appending(made, 2, **{"sequence-number": 1})
    sandbox.commit(made, stale).error(*CONFLICT)


def keeps_statistics(sandbox: Sandbox) -> None:
    """Set and remove the statistics of a snapshot and of its partitions."""
    made = sandbox.table()
    sandbox.update(made, *appending(made, 1))
    of = {"snapshot-id": _SNAPSHOT + 1, "file-size-in-bytes": 10}
    path = f"{made.metadata['location']}/metadata/check"
    statistics = {"statistics-path": f"{path}.puffin", **of, "file-footer-size-in-bytes": 5}
    statistics["blob-metadata"] = []
    partitions = {"statistics-path": f"{path}.parquet", **of}
    metadata = sandbox.update(
        made,
        {"action": "set-statistics", "statistics": statistics, "snapshot-id": _SNAPSHOT + 1},
        {"action": "set-partition-statistics", "partition-statistics": partitions},
    )
    for field in ("statistics", "partition-statistics"):
        kept = [each["snapshot-id"] for each in metadata.get(field, ())]
        expect_equal(kept, [_SNAPSHOT + 1], field)
    gone = {"snapshot-id": _SNAPSHOT + 1}
    actions = ("remove-statistics", "remove-partition-statistics")
    metadata = sandbox.update(made, *({"action": action, **gone} for action in actions))
    for field in ("statistics", "partition-statistics"):
        expect(not metadata.get(field), f"{field} were removed and are still there")


def keeps_encryption_keys(sandbox: Sandbox) -> None:
    """Add and remove the encryption keys of a table of format version 3."""
    made = sandbox.table({"properties": {"format-version": "3"}})
    key = {"key-id": "k1", "encrypted-key-metadata": "Y2hlY2s="}
    metadata = sandbox.update(made, {"action": "add-encryption-key", "encryption-key": key})
    kept = [each["key-id"] for each in metadata.get("encryption-keys", ())]
    expect_equal(kept, ["k1"], "encryption-keys")
    metadata = sandbox.update(made, {"action": "remove-encryption-key", "key-id": "k1"})
    expect(not metadata.get("encryption-keys"), "the encryption key is still there")


def assigns_row_ids(sandbox: Sandbox) -> None:
    """Assign row ids in format version 3, and return 409 for stale ones."""
    made = sandbox.table({"properties": {"format-version": "3"}})
    rows = {"first-row-id": 0, "added-rows": 5}
    metadata = sandbox.update(made, *appending(made, 1, **rows))
    expect_equal(metadata.get("next-row-id"), 5, "next-row-id")
    sandbox.commit(made, appending(made, 2, **rows)).error(*CONFLICT)


_HOLD: tuple[JSON, ...] = (
    {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": None},
    {"type": "assert-last-assigned-field-id", "last-assigned-field-id": 2},
    {"type": "assert-current-schema-id", "current-schema-id": 0},
    {"type": "assert-last-assigned-partition-id", "last-assigned-partition-id": 999},
    {"type": "assert-default-spec-id", "default-spec-id": 0},
    {"type": "assert-default-sort-order-id", "default-sort-order-id": 0},
)


def accepts_requirements_that_hold(sandbox: Sandbox) -> None:
    """Commit when every requirement holds."""
    made = sandbox.table()
    sandbox.commit(made, [set_properties(a="b")], [same_uuid(made), *_HOLD]).object()


def reports_each_failed_requirement(sandbox: Sandbox) -> None:
    """Return 409 CommitFailedException for each requirement that does not hold."""
    made = sandbox.table()
    failing = [
        {key: value if key in ("type", "ref") else 77 for key, value in holding.items()}
        for holding in _HOLD
    ]
    failing.append({"type": "assert-create"})
    for failed in failing:
        sandbox.commit(made, [set_properties(a="b")], [failed]).error(*CONFLICT)
    expect_equal(sandbox.load(made)["metadata"], made.metadata, "the metadata after the conflicts")


PROBES = {
    "table updates": (
        evolves_schemas,
        keeps_one_of_equal_schemas,
        evolves_layouts,
        changes_properties,
        keeps_its_uuid,
        upgrades,
        refuses_unknown_ids,
        keeps_encryption_keys,
    ),
    "snapshots": (
        adds_snapshots,
        sets_and_removes_refs,
        refuses_stale_snapshots,
        keeps_statistics,
        assigns_row_ids,
    ),
    "requirements": (accepts_requirements_that_hold, reports_each_failed_requirement),
}
