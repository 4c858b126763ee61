"""Commits to one table, and to several at once."""

from falcon_catalog.conformance.answers import JSON, expect, expect_equal
from falcon_catalog.conformance.probes.tables import expect_gone, request
from falcon_catalog.conformance.room import Made, Room

_CONFLICT = "CommitFailedException"
_NOBODY = "00000000-0000-4000-8000-000000000000"
_ASSERT_CREATE = {"type": "assert-create"}


def set_properties(**updates: str) -> JSON:
    """Return an update."""
    return {"action": "set-properties", "updates": updates}


def same_uuid(table: Made) -> JSON:
    """Return a requirement that holds."""
    return {"type": "assert-table-uuid", "uuid": table.metadata["table-uuid"]}


def other_uuid() -> JSON:
    """Return a requirement that does not hold."""
    return {"type": "assert-table-uuid", "uuid": _NOBODY}


def commits(room: Room) -> None:
    """Answer the new metadata in a new metadata file, which is what loads from then on."""
    made = room.table()
    answer = room.commit(made, [set_properties(a="b")], [same_uuid(made)]).object()
    expect_equal(answer["metadata"]["properties"].get("a"), "b", "the property a")
    moved = answer["metadata-location"] != made.metadata_location
    expect(moved, "a commit kept the metadata location")
    expect_equal(room.load(made)["metadata"], answer["metadata"], "the metadata that loads")


def does_not_commit_to_missing_ones(room: Room) -> None:
    """Answer 404 NoSuchTableException to a commit to a table that does not exist."""
    missing = Made(room.namespace, f"{room.name}_none", {})
    room.commit(missing, [set_properties(a="b")]).error(404, "NoSuchTableException")


def tells_conflicts(room: Room) -> None:
    """Answer 409 CommitFailedException to a failed requirement, and change nothing."""
    made = room.table()
    room.commit(made, [set_properties(a="b")], [other_uuid()]).error(409, _CONFLICT)
    expect_equal(room.load(made)["metadata"], made.metadata, "the metadata after a conflict")


def refuses_unknown_updates(room: Room) -> None:
    """Answer 400 to an update that nobody knows, and change nothing."""
    made = room.table()
    room.commit(made, [set_properties(a="b"), {"action": "no-such-update"}]).error(400)
    expect_equal(room.load(made)["metadata"], made.metadata, "the metadata after a refusal")


def refuses_unknown_requirements(room: Room) -> None:
    """Answer 400 to a requirement that nobody knows."""
    made = room.table()
    room.commit(made, [set_properties(a="b")], [{"type": "no-such-requirement"}]).error(400)


def _stage(room: Room) -> tuple[Made, list[JSON]]:
    """Stage a create; return it and the updates that commit it, as clients send them."""
    body = request(room, **{"stage-create": True})
    answer = room.catalog.call("createTable", body, namespace=room.namespace).object()
    staged = Made(room.namespace, body["name"], answer)
    metadata = staged.metadata
    spec = metadata.get("partition-specs", [{"spec-id": 0, "fields": []}])[0]
    return staged, [
        {"action": "assign-uuid", "uuid": metadata["table-uuid"]},
        {"action": "upgrade-format-version", "format-version": metadata["format-version"]},
        {"action": "add-schema", "schema": metadata["schemas"][0], "last-column-id": 2},
        {"action": "set-current-schema", "schema-id": -1},
        {"action": "add-spec", "spec": spec},
        {"action": "set-default-spec", "spec-id": -1},
        {"action": "add-sort-order", "sort-order": {"order-id": 0, "fields": []}},
        {"action": "set-default-sort-order", "sort-order-id": -1},
        {"action": "set-location", "location": metadata["location"]},
        set_properties(a="b"),
    ]


def commits_staged_creates(room: Room) -> None:
    """Make the staged table with its first commit, once; a second creator gets a 409."""
    staged, updates = _stage(room)
    answer = room.commit(staged, updates, [_ASSERT_CREATE]).object()
    for field in ("table-uuid", "location"):
        expect_equal(answer["metadata"].get(field), staged.metadata.get(field), field)
    expect_equal(room.load(staged)["metadata"], answer["metadata"], "the metadata that loads")
    _, others = _stage(room)
    room.commit(staged, others, [_ASSERT_CREATE]).error(409, _CONFLICT)


def lets_assert_create_stand_alone(room: Room) -> None:
    """Answer 400 to assert-create beside other requirements."""
    staged, updates = _stage(room)
    room.commit(staged, updates, [_ASSERT_CREATE, same_uuid(staged)]).error(400)
    expect_gone(room, staged)


def _change(table: Made, requirement: JSON) -> JSON:
    return {
        "identifier": table.identifier,
        "requirements": [requirement],
        "updates": [set_properties(changed="yes")],
    }


def commits_several(room: Room) -> None:
    """Answer 204 and change all tables."""
    tables = [room.table(), room.table()]
    changes = [_change(table, same_uuid(table)) for table in tables]
    room.catalog.call("commitTransaction", {"table-changes": changes}).empty()
    for table in tables:
        properties = room.load(table)["metadata"].get("properties", {})
        expect_equal(properties.get("changed"), "yes", f"the property of {table.name}")


def commits_all_or_none(room: Room) -> None:
    """Answer 409 CommitFailedException and change no table where one cannot be changed."""
    first, second = room.table(), room.table()
    changes = [_change(first, same_uuid(first)), _change(second, other_uuid())]
    answer = room.catalog.call("commitTransaction", {"table-changes": changes})
    answer.error(409, _CONFLICT)
    for table in (first, second):
        found = room.load(table)["metadata"]
        expect_equal(found, table.metadata, f"{table.name} after a transaction that failed")


def misses_no_table(room: Room) -> None:
    """Answer 404 NoSuchTableException and change nothing where a table does not exist."""
    there, missing = room.table(), Made(room.namespace, f"{room.name}_none", {})
    changes = [_change(there, same_uuid(there)), _change(missing, other_uuid())]
    answer = room.catalog.call("commitTransaction", {"table-changes": changes})
    answer.error(404, "NoSuchTableException")
    expect_equal(room.load(there)["metadata"], there.metadata, "the other table's metadata")


def refuses_unknown_updates_of_several(room: Room) -> None:
    """Answer 400 and change nothing where one update is unknown."""
    first, second = room.table(), room.table()
    bad = {**_change(second, same_uuid(second)), "updates": [{"action": "no-such-update"}]}
    changes = [_change(first, same_uuid(first)), bad]
    room.catalog.call("commitTransaction", {"table-changes": changes}).error(400)
    expect_equal(room.load(first)["metadata"], first.metadata, "the other table's metadata")


PROBES = {
    "updateTable": (
        commits,
        tells_conflicts,
        does_not_commit_to_missing_ones,
        refuses_unknown_updates,
        refuses_unknown_requirements,
        commits_staged_creates,
        lets_assert_create_stand_alone,
    ),
    "commitTransaction": (
        commits_several,
        commits_all_or_none,
        misses_no_table,
        refuses_unknown_updates_of_several,
    ),
}
