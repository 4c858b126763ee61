"""Tables: their life from create to drop."""

from typing import Any

from falcon_catalog.conformance.answers import (
    JSON,
    AbsentError,
    expect,
    expect_equal,
    expect_field,
)
from falcon_catalog.conformance.room import SCHEMA, Made, Room, listing

_MISSING = "NoSuchTableException"
_NO_NAMESPACE = "NoSuchNamespaceException"
_TAKEN = "AlreadyExistsException"


def request(room: Room, **fields: Any) -> JSON:
    """Return a CreateTableRequest of a new name."""
    return {"name": room.unique("t"), "schema": SCHEMA, **fields}


def expect_gone(room: Room, table: Made) -> None:
    """Expect that a table does not exist."""
    answer = room.catalog.call("loadTable", namespace=table.namespace, table=table.name)
    answer.error(404, _MISSING)


def creates(room: Room) -> None:
    """Answer the metadata, its location, and a table that loads the same."""
    made = room.table(properties={"owner": "check"})
    for field in ("table-uuid", "location"):
        expect_field(made.metadata, field, str, "the metadata")
    expect_equal(made.metadata.get("properties", {}).get("owner"), "check", "the property owner")
    found = room.load(made)
    expect_equal(found.get("metadata-location"), made.metadata_location, "metadata-location")
    expect_equal(found.get("metadata"), made.metadata, "the metadata that loads")


def assigns_field_ids(room: Room) -> None:
    """Assign field ids of its own from 1, whatever ids the request has."""
    fields = [{**field, "id": field["id"] + 40} for field in SCHEMA["fields"]]
    made = room.table(schema={**SCHEMA, "fields": fields, "identifier-field-ids": [41]})
    (schema,) = expect_field(made.metadata, "schemas", list, "the metadata")
    expect_equal([field["id"] for field in schema["fields"]], [1, 2], "the field ids")
    expect_equal(schema.get("identifier-field-ids"), [1], "identifier-field-ids")
    expect_equal(made.metadata.get("last-column-id"), 2, "last-column-id")


def takes_layouts(room: Room) -> None:
    """Keep the partition spec and the sort order that a request has."""
    partition = {"source-id": 1, "field-id": 1000, "name": "id_b", "transform": "bucket[4]"}
    order = {
        "source-id": 2,
        "transform": "identity",
        "direction": "desc",
        "null-order": "nulls-last",
    }
    layouts: JSON = {
        "partition-spec": {"spec-id": 0, "fields": [partition]},
        "write-order": {"order-id": 1, "fields": [order]},
    }
    made = room.table(**layouts)
    (spec,) = expect_field(made.metadata, "partition-specs", list, "the metadata")
    expect_equal(spec.get("fields"), [partition], "the partition fields")
    orders = expect_field(made.metadata, "sort-orders", list, "the metadata")
    current = made.metadata.get("default-sort-order-id")
    kept = [each["fields"] for each in orders if each["order-id"] == current]
    expect_equal(kept, [[order]], "the default sort order")


def takes_version_1(room: Room) -> None:
    """Make a table of format version 1 where format-version asks for it."""
    _takes_version(room, 1)


def takes_version_3(room: Room) -> None:
    """Make a table of format version 3, with its types, where format-version asks for it."""
    field = {"id": 3, "name": "at", "type": "timestamp_ns", "required": False}
    _takes_version(room, 3, schema={**SCHEMA, "fields": [*SCHEMA["fields"], field]})


def _takes_version(room: Room, version: int, **fields: Any) -> None:
    body = request(room, properties={"format-version": str(version)}, **fields)
    answer = room.catalog.call("createTable", body, namespace=room.namespace)
    if answer.status == 400:  # noqa: PLR2004
        raise AbsentError(f"no format version {version}: {answer.error(400)}")
    metadata = expect_field(answer.object(), "metadata", dict, "the answer")
    expect_equal(metadata.get("format-version"), version, "format-version")
    properties = metadata.get("properties", {})
    expect("format-version" not in properties, "the property format-version is stored")


def refuses_taken_names(room: Room) -> None:
    """Answer 409 AlreadyExistsException for a name that is taken."""
    body = request(room, name=room.table().name)
    for staged in (False, True):
        body["stage-create"] = staged
        answer = room.catalog.call("createTable", body, namespace=room.namespace)
        answer.error(409, _TAKEN)


def needs_a_namespace(room: Room) -> None:
    """Answer 404 NoSuchNamespaceException in a namespace that does not exist."""
    missing = (f"{room.name}_none",)
    answer = room.catalog.call("createTable", request(room), namespace=missing)
    answer.error(404, _NO_NAMESPACE)


def refuses_malformed_ones(room: Room) -> None:
    """Answer 400 to a request without name or schema, or with a schema that is none."""
    for body in (
        {"schema": SCHEMA},
        {"name": room.unique("t")},
        request(room, schema={"type": "struct", "fields": [{"id": 1}]}),
        request(room, schema={**SCHEMA, "fields": [{**SCHEMA["fields"][0], "type": "no-type"}]}),
    ):
        room.catalog.call("createTable", body, namespace=room.namespace).error(400)


def stages(room: Room) -> None:
    """Stage a create: answer metadata without a metadata location, and store no table."""
    body = request(room, **{"stage-create": True})
    answer = room.catalog.call("createTable", body, namespace=room.namespace).object()
    staged = Made(room.namespace, body["name"], answer)
    expect_field(staged.metadata, "location", str, "the staged metadata")
    location = answer.get("metadata-location")
    expect(location is None, f"a staged create has the metadata-location {location!r}")
    expect_gone(room, staged)


def lists(room: Room) -> None:
    """List the tables of a namespace, and no views."""
    namespace = room.new_namespace()
    made = [room.table(namespace) for _ in range(2)]
    if room.catalog.offers("createView"):
        room.view(namespace)
    found = listing(
        lambda query: room.catalog.call("listTables", namespace=namespace, query=query).object(),
        "identifiers",
    )
    wanted = sorted((table.identifier for table in made), key=str)
    expect_equal(sorted(found, key=str), wanted, "the list of tables")


def lists_in_namespaces_only(room: Room) -> None:
    """Answer 404 NoSuchNamespaceException to a list in a namespace that does not exist."""
    missing = (f"{room.name}_none",)
    room.catalog.call("listTables", namespace=missing).error(404, _NO_NAMESPACE)


def does_not_load_missing_ones(room: Room) -> None:
    """Answer 404 NoSuchTableException for one that does not exist."""
    expect_gone(room, Made(room.namespace, f"{room.name}_none", {}))


def loads(room: Room) -> None:
    """Answer the current metadata and where it lies."""
    made = room.table()
    changed = room.commit(made, [{"action": "set-properties", "updates": {"a": "b"}}]).object()
    found = room.load(made)
    for field in ("metadata-location", "metadata"):
        expect_equal(found.get(field), changed.get(field), f"{field} after a commit")


def lets_hints_be_hints(room: Room) -> None:
    """Load a table whatever access a client says it can make use of."""
    made = room.table()
    for hint in ("vended-credentials", "vended-credentials,remote-signing"):
        room.catalog.call(
            "loadTable",
            namespace=made.namespace,
            table=made.name,
            headers={"X-Iceberg-Access-Delegation": hint},
        ).object()


def tells_existence(room: Room) -> None:
    """Answer 204 for one that exists and 404 for one that does not, without a body."""
    made = room.table()
    room.catalog.call("tableExists", namespace=made.namespace, table=made.name).empty()
    answer = room.catalog.call("tableExists", namespace=made.namespace, table=f"{room.name}_none")
    answer.status_only(404)


def drops(room: Room) -> None:
    """Answer 204 and drop it: afterwards it does not exist, and the name is free."""
    made = room.table()
    room.catalog.call("dropTable", namespace=made.namespace, table=made.name).empty()
    expect_gone(room, made)
    again = room.table(name=made.name)
    uuids = {each.metadata.get("table-uuid") for each in (made, again)}
    expect(len(uuids) == 2, "a new table has the uuid of a dropped one")  # noqa: PLR2004


def purges(room: Room) -> None:
    """Drop a table whose files shall go, too."""
    made = room.table()
    query = {"purgeRequested": "true"}
    room.catalog.call("dropTable", namespace=made.namespace, table=made.name, query=query).empty()
    expect_gone(room, made)


def does_not_drop_missing_ones(room: Room) -> None:
    """Answer 404 NoSuchTableException to the drop of one that does not exist."""
    answer = room.catalog.call("dropTable", namespace=room.namespace, table=f"{room.name}_none")
    answer.error(404, _MISSING)


PROBES = {
    "listTables": (lists, lists_in_namespaces_only),
    "createTable": (
        creates,
        assigns_field_ids,
        takes_layouts,
        takes_version_1,
        takes_version_3,
        stages,
        refuses_taken_names,
        needs_a_namespace,
        refuses_malformed_ones,
    ),
    "loadTable": (loads, does_not_load_missing_ones, lets_hints_be_hints),
    "tableExists": (tells_existence,),
    "dropTable": (drops, purges, does_not_drop_missing_ones),
}
