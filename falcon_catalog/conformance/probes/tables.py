"""Tables: create, load, purge, rename, register, unregister."""

from typing import Any

from falcon_catalog.conformance.answers import expect, expect_equal, expect_field
from falcon_catalog.conformance.probes.commits import set_properties
from falcon_catalog.conformance.probes.probe import NO_TABLE, TAKEN, needs_table, refuses
from falcon_catalog.conformance.probes.tabulars import dropped, register, rename, shared_probes
from falcon_catalog.conformance.sandbox import SCHEMA, Sandbox, Tabular


def creates(sandbox: Sandbox) -> None:
    """Return the metadata and its location, and load the same table afterwards."""
    made = sandbox.table({"properties": {"owner": "check"}})
    for field in ("table-uuid", "location"):
        expect_field(made.metadata, field, str, "the metadata")
    expect_equal(made.metadata.get("properties", {}).get("owner"), "check", "the property owner")
    found = sandbox.load(made)
    expect_equal(found.get("metadata-location"), made.metadata_location, "metadata-location")
    expect_equal(found.get("metadata"), made.metadata, "the metadata that loads")


def assigns_field_ids(sandbox: Sandbox) -> None:
    """Assign its own field ids from 1, whatever ids the request has."""
    fields = [{**field, "id": field["id"] + 40} for field in SCHEMA["fields"]]
    made = sandbox.table({"schema": {**SCHEMA, "fields": fields, "identifier-field-ids": [41]}})
    (schema,) = expect_field(made.metadata, "schemas", list, "the metadata")
    expect_equal([field["id"] for field in schema["fields"]], [1, 2], "the field ids")
    expect_equal(schema.get("identifier-field-ids"), [1], "identifier-field-ids")
    expect_equal(made.metadata.get("last-column-id"), 2, "last-column-id")


def keeps_layouts(sandbox: Sandbox) -> None:
    """Keep the partition spec and the sort order of the request."""
    partition = {"source-id": 1, "field-id": 1000, "name": "id_b", "transform": "bucket[4]"}
    order = {"source-id": 2, "transform": "identity", "direction": "desc"}
    order["null-order"] = "nulls-last"
    made = sandbox.table(
        {
            "partition-spec": {"spec-id": 0, "fields": [partition]},
            "write-order": {"order-id": 1, "fields": [order]},
        }
    )
    (spec,) = expect_field(made.metadata, "partition-specs", list, "the metadata")
    expect_equal(spec.get("fields"), [partition], "the partition fields")
    orders = expect_field(made.metadata, "sort-orders", list, "the metadata")
    current = made.metadata.get("default-sort-order-id")
    kept = [each["fields"] for each in orders if each["order-id"] == current]
    expect_equal(kept, [[order]], "the default sort order")


def creates_version_1(sandbox: Sandbox) -> None:
    """Create a table of format version 1 when the property format-version is 1."""
    _creates_version(sandbox, 1)


def creates_version_3(sandbox: Sandbox) -> None:
    """Create a table of format version 3, with its types, when format-version is 3."""
    field = {"id": 3, "name": "at", "type": "timestamp_ns", "required": False}
    _creates_version(sandbox, 3, schema={**SCHEMA, "fields": [*SCHEMA["fields"], field]})


def _creates_version(sandbox: Sandbox, version: int, **fields: Any) -> None:
    fields["properties"] = {"format-version": str(version)}
    answer = sandbox.send_create("Table", sandbox.namespace, sandbox.unique("t"), fields)
    created = answer.object_unless_refused(f"no format version {version}", (400,))
    metadata = expect_field(created, "metadata", dict, "the answer")
    expect_equal(metadata.get("format-version"), version, "format-version")
    properties = metadata.get("properties", {})
    expect("format-version" not in properties, "the property format-version is stored")


def refuses_malformed_requests(sandbox: Sandbox) -> None:
    """Return 400 for a request without a name or a schema, or with an invalid schema."""
    name, (field, _) = sandbox.unique("t"), SCHEMA["fields"]
    for body in (
        {"schema": SCHEMA},
        {"name": name},
        {"name": name, "schema": {"type": "struct", "fields": [{"id": 1}]}},
        {"name": name, "schema": {**SCHEMA, "fields": [{**field, "type": "no-type"}]}},
    ):
        sandbox.catalog.call("createTable", body, namespace=sandbox.namespace).error(400)


def stages(sandbox: Sandbox) -> None:
    """Stage a create: return metadata without a metadata location, and store no table."""
    staged = sandbox.table({"stage-create": True})
    expect_field(staged.metadata, "location", str, "the staged metadata")
    location = staged.result.get("metadata-location")
    expect(location is None, f"a staged create has the metadata-location {location!r}")
    sandbox.expect_gone(staged)


def loads(sandbox: Sandbox) -> None:
    """Return the current metadata and its location."""
    made = sandbox.table()
    changed = sandbox.commit(made, [set_properties(a="b")]).object()
    found = sandbox.load(made)
    for field in ("metadata-location", "metadata"):
        expect_equal(found.get(field), changed.get(field), f"{field} after a commit")


def ignores_delegation_hints(sandbox: Sandbox) -> None:
    """Load a table whatever kinds of access the client says it supports."""
    made = sandbox.table()
    for hint in ("vended-credentials", "vended-credentials,remote-signing"):
        sandbox.call("loadTable", made, headers={"X-Iceberg-Access-Delegation": hint}).object()


def purges(sandbox: Sandbox) -> None:
    """Drop a table together with its files."""
    made = sandbox.table()
    sandbox.call("dropTable", made, query={"purgeRequested": "true"}).empty()
    sandbox.expect_gone(made)


def renames(sandbox: Sandbox) -> None:
    """Return 204 and give the same table its new name; its location stays."""
    made = sandbox.table()
    answer, new = rename(sandbox, made)
    answer.empty()
    found = sandbox.load(new)["metadata"]
    for field in ("table-uuid", "location"):
        expect_equal(found.get(field), made.metadata.get(field), f"{field} after a rename")
    sandbox.expect_gone(made)


def renames_across_namespaces(sandbox: Sandbox) -> None:
    """Move a table into another namespace."""
    made = sandbox.table()
    answer, new = rename(sandbox, made, into=sandbox.new_namespace())
    answer.empty()
    found = sandbox.load(new)["metadata"]
    expect_equal(found.get("table-uuid"), made.metadata.get("table-uuid"), "table-uuid")


def frees_the_old_name(sandbox: Sandbox) -> None:
    """Give a new table with a renamed one's old name another uuid and another location."""
    made = sandbox.table()
    rename(sandbox, made)[0].empty()
    again = sandbox.table(name=made.name)
    for field in ("table-uuid", "location"):
        different = again.metadata.get(field) != made.metadata.get(field)
        expect(different, f"a new table shares {field} with the renamed one")


def registers(sandbox: Sandbox) -> None:
    """Add a table whose metadata file exists, with its uuid, and accept commits to it."""
    old, name = dropped(sandbox, "Table"), sandbox.unique("registered")
    made = Tabular("Table", sandbox.namespace, name, register(sandbox, old, name).object())
    expect_equal(made.metadata_location, old.metadata_location, "metadata-location")
    expect_equal(made.metadata.get("table-uuid"), old.metadata.get("table-uuid"), "table-uuid")
    sandbox.commit(made, [set_properties(a="b")]).object()


def overwrites(sandbox: Sandbox) -> None:
    """Replace a table when overwrite is set."""
    old, new = sandbox.table(), dropped(sandbox, "Table")
    register(sandbox, new, old.name, overwrite=True).object()
    found = sandbox.load(old)["metadata"]
    expect_equal(found.get("table-uuid"), new.metadata.get("table-uuid"), "table-uuid")
    # The files of the replaced table belong to a table again, which the sandbox will purge.
    register(sandbox, old, sandbox.unique("replaced"))


def refuses_missing_files(sandbox: Sandbox) -> None:
    """Return 400, 403 or 404 for a metadata file that does not exist."""
    location = dropped(sandbox, "Table").metadata_location + ".none.metadata.json"
    body = {"name": sandbox.unique("t"), "metadata-location": location}
    answer = sandbox.catalog.call("registerTable", body, namespace=sandbox.namespace)
    answer.error((400, 403, 404))


def unregisters(sandbox: Sandbox) -> None:
    """Return the last metadata, remove the table, and keep its files for a registration."""
    made = sandbox.table()
    last = sandbox.commit(made, [set_properties(a="b")]).object()
    answer = sandbox.call("unregisterTable", made).object()
    for field in ("metadata-location", "metadata"):
        expect_equal(answer.get(field), last.get(field), field)
    sandbox.expect_gone(made)
    sandbox.commit(made, [set_properties(a="c")]).error(*NO_TABLE)
    register(sandbox, Tabular("Table", made.namespace, made.name, last), made.name).object()


_SHARED = shared_probes("Table")
PROBES = {
    **_SHARED,
    "createTable": (
        creates,
        assigns_field_ids,
        keeps_layouts,
        creates_version_1,
        creates_version_3,
        stages,
        *_SHARED["createTable"],
        refuses(
            TAKEN,
            "for a staged create with a name that is taken",
            lambda s: s.send_create("Table", s.namespace, s.table().name, {"stage-create": True}),
        ),
        refuses_malformed_requests,
    ),
    "loadTable": (loads, *_SHARED["loadTable"], ignores_delegation_hints),
    "dropTable": (purges, *_SHARED["dropTable"]),
    "renameTable": (
        renames,
        renames_across_namespaces,
        frees_the_old_name,
        *_SHARED["renameTable"],
    ),
    "registerTable": (registers, overwrites, *_SHARED["registerTable"], refuses_missing_files),
    "unregisterTable": (unregisters, needs_table("unregisterTable")),
}
