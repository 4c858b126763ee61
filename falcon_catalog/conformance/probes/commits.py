"""Commits to one table, and to several at once."""

from falcon_catalog.conformance.answers import JSON, expect, expect_equal
from falcon_catalog.conformance.probes.probe import BAD_REQUEST, CONFLICT, NO_TABLE, refuses
from falcon_catalog.conformance.sandbox import Sandbox, Tabular

NOBODY = "00000000-0000-4000-8000-000000000000"
_ASSERT_CREATE = {"type": "assert-create"}
_OTHER_UUID = {"type": "assert-table-uuid", "uuid": NOBODY}


def set_properties(**updates: str) -> JSON:
    """Return an update."""
    return {"action": "set-properties", "updates": updates}


def same_uuid(table: Tabular) -> JSON:
    """Return a requirement that holds."""
    return {"type": "assert-table-uuid", "uuid": table.metadata["table-uuid"]}


def commits(sandbox: Sandbox) -> None:
    """Return the new metadata in a new metadata file, and load it from then on."""
    made = sandbox.table()
    answer = sandbox.commit(made, [set_properties(a="b")], [same_uuid(made)]).object()
    expect_equal(answer["metadata"]["properties"].get("a"), "b", "the property a")
    moved = answer["metadata-location"] != made.metadata_location
    expect(moved, "a commit kept the metadata location")
    expect_equal(sandbox.load(made)["metadata"], answer["metadata"], "the metadata that loads")


def reports_conflicts(sandbox: Sandbox) -> None:
    """Return 409 CommitFailedException for a failed requirement, and change nothing."""
    made = sandbox.table()
    sandbox.commit(made, [set_properties(a="b")], [_OTHER_UUID]).error(*CONFLICT)
    expect_equal(sandbox.load(made)["metadata"], made.metadata, "the metadata after a conflict")


def refuses_unknown_updates(sandbox: Sandbox) -> None:
    """Return 400 for an unknown update, and change nothing."""
    made = sandbox.table()
    sandbox.commit(made, [set_properties(a="b"), {"action": "no-such-update"}]).error(400)
    expect_equal(sandbox.load(made)["metadata"], made.metadata, "the metadata after a refusal")


def _stage(sandbox: Sandbox) -> tuple[Tabular, list[JSON]]:
    """Stage a create; return it and the updates that commit it, as clients send them."""
    staged = sandbox.table({"stage-create": True})
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


def commits_staged_creates(sandbox: Sandbox) -> None:
    """Create the staged table with its first commit; a second creator gets a 409."""
    staged, updates = _stage(sandbox)
    answer = sandbox.commit(staged, updates, [_ASSERT_CREATE]).object()
    for field in ("table-uuid", "location"):
        expect_equal(answer["metadata"].get(field), staged.metadata.get(field), field)
    expect_equal(sandbox.load(staged)["metadata"], answer["metadata"], "the metadata that loads")
    _, others = _stage(sandbox)
    sandbox.commit(staged, others, [_ASSERT_CREATE]).error(*CONFLICT)


def refuses_more_than_assert_create(sandbox: Sandbox) -> None:
    """Return 400 for assert-create together with other requirements."""
    staged, updates = _stage(sandbox)
    sandbox.commit(staged, updates, [_ASSERT_CREATE, same_uuid(staged)]).error(400)
    sandbox.expect_gone(staged)


def table_change(table: Tabular, requirement: JSON | None = None) -> JSON:
    """Return a change of a transaction, by default with a requirement that holds."""
    return {
        "identifier": table.identifier,
        "requirements": [requirement or same_uuid(table)],
        "updates": [set_properties(changed="yes")],
    }


def commits_several(sandbox: Sandbox) -> None:
    """Return 204 and change all tables."""
    tables = [sandbox.table(), sandbox.table()]
    body = {"table-changes": [table_change(table) for table in tables]}
    sandbox.catalog.call("commitTransaction", body).empty()
    for table in tables:
        properties = sandbox.load(table)["metadata"].get("properties", {})
        expect_equal(properties.get("changed"), "yes", f"the property of {table.name}")


def commits_all_or_none(sandbox: Sandbox) -> None:
    """Return 409 CommitFailedException and change no table when one cannot be changed."""
    first, second = sandbox.table(), sandbox.table()
    body = {"table-changes": [table_change(first), table_change(second, _OTHER_UUID)]}
    sandbox.catalog.call("commitTransaction", body).error(*CONFLICT)
    for table in (first, second):
        found = sandbox.load(table)["metadata"]
        expect_equal(found, table.metadata, f"{table.name} after a transaction that failed")


def reports_missing_tables(sandbox: Sandbox) -> None:
    """Return 404 NoSuchTableException and change nothing when a table does not exist."""
    table = sandbox.table()
    changes = [table_change(table), table_change(sandbox.missing(), _OTHER_UUID)]
    answer = sandbox.catalog.call("commitTransaction", {"table-changes": changes})
    answer.error(*NO_TABLE)
    expect_equal(sandbox.load(table)["metadata"], table.metadata, "the other table's metadata")


def refuses_unknown_updates_of_several(sandbox: Sandbox) -> None:
    """Return 400 and change nothing when one update is unknown."""
    first, second = sandbox.table(), sandbox.table()
    bad = {**table_change(second), "updates": [{"action": "no-such-update"}]}
    body = {"table-changes": [table_change(first), bad]}
    sandbox.catalog.call("commitTransaction", body).error(400)
    expect_equal(sandbox.load(first)["metadata"], first.metadata, "the other table's metadata")


PROBES = {
    "updateTable": (
        commits,
        reports_conflicts,
        refuses(
            NO_TABLE,
            "for a commit to a table that does not exist",
            lambda s: s.commit(s.missing(), [set_properties(a="b")]),
        ),
        refuses_unknown_updates,
        refuses(
            BAD_REQUEST,
            "for an unknown requirement",
            lambda s: s.commit(
                s.table(), [set_properties(a="b")], [{"type": "no-such-requirement"}]
            ),
        ),
        commits_staged_creates,
        refuses_more_than_assert_create,
    ),
    "commitTransaction": (
        commits_several,
        commits_all_or_none,
        reports_missing_tables,
        refuses_unknown_updates_of_several,
    ),
}
