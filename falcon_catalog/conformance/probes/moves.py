"""Tables that get another name, or come and go as files."""

from falcon_catalog.conformance.answers import JSON, expect, expect_equal
from falcon_catalog.conformance.probes.tables import expect_gone
from falcon_catalog.conformance.room import Levels, Made, Room

_MISSING = "NoSuchTableException"
_NO_NAMESPACE = "NoSuchNamespaceException"
_TAKEN = "AlreadyExistsException"


def _renaming(room: Room, table: Made, *, to: str = "", into: Levels | None = None) -> JSON:
    destination = {
        "namespace": list(into or table.namespace),
        "name": to or room.unique("renamed"),
    }
    return {"source": table.identifier, "destination": destination}


def _renamed(body: JSON) -> Made:
    return Made(tuple(body["destination"]["namespace"]), body["destination"]["name"], {})


def renames(room: Room) -> None:
    """Answer 204 and give the same table its new name; its location stays."""
    made = room.table()
    body = _renaming(room, made)
    room.catalog.call("renameTable", body).empty()
    found = room.load(_renamed(body))["metadata"]
    for field in ("table-uuid", "location"):
        expect_equal(found.get(field), made.metadata.get(field), f"{field} after a rename")
    expect_gone(room, made)


def renames_across_namespaces(room: Room) -> None:
    """Move a table into another namespace."""
    made = room.table()
    body = _renaming(room, made, into=room.new_namespace())
    room.catalog.call("renameTable", body).empty()
    found = room.load(_renamed(body))["metadata"]
    expect_equal(found.get("table-uuid"), made.metadata.get("table-uuid"), "table-uuid")


def keeps_apart_what_had_one_name(room: Room) -> None:
    """Give a new table of a renamed one's old name another uuid and another location."""
    made = room.table()
    room.catalog.call("renameTable", _renaming(room, made)).empty()
    again = room.table(name=made.name)
    for field in ("table-uuid", "location"):
        different = again.metadata.get(field) != made.metadata.get(field)
        expect(different, f"a new table shares {field} with the renamed one")


def does_not_rename_missing_ones(room: Room) -> None:
    """Answer 404 NoSuchTableException to the rename of one that does not exist."""
    missing = Made(room.namespace, f"{room.name}_none", {})
    room.catalog.call("renameTable", _renaming(room, missing)).error(404, _MISSING)


def does_not_rename_into_nowhere(room: Room) -> None:
    """Answer 404 NoSuchNamespaceException for a target namespace that does not exist."""
    body = _renaming(room, room.table(), into=(f"{room.name}_none",))
    room.catalog.call("renameTable", body).error(404, _NO_NAMESPACE)


def does_not_rename_onto_others(room: Room) -> None:
    """Answer 409 AlreadyExistsException for a target name that is taken."""
    body = _renaming(room, room.table(), to=room.table().name)
    room.catalog.call("renameTable", body).error(409, _TAKEN)


def _dropped(room: Room) -> Made:
    """Return a table that is no longer in the catalog, and whose files are still there."""
    made = room.table()
    room.catalog.call("dropTable", namespace=made.namespace, table=made.name).empty()
    return made


def registers(room: Room) -> None:
    """Add a table whose metadata file exists, with its uuid, and take commits to it."""
    dropped = _dropped(room)
    body = {"name": room.unique("registered"), "metadata-location": dropped.metadata_location}
    answer = room.catalog.call("registerTable", body, namespace=room.namespace).object()
    made = Made(room.namespace, body["name"], answer)
    expect_equal(made.metadata_location, dropped.metadata_location, "metadata-location")
    uuid = dropped.metadata.get("table-uuid")
    expect_equal(made.metadata.get("table-uuid"), uuid, "table-uuid")
    room.commit(made, [{"action": "set-properties", "updates": {"a": "b"}}]).object()


def does_not_register_over_others(room: Room) -> None:
    """Answer 409 AlreadyExistsException for a name that is taken."""
    body = {"name": room.table().name, "metadata-location": _dropped(room).metadata_location}
    answer = room.catalog.call("registerTable", body, namespace=room.namespace)
    answer.error(409, _TAKEN)


def registers_over_others_if_told(room: Room) -> None:
    """Replace a table where overwrite says so."""
    old, new = room.table(), _dropped(room)
    body = {"name": old.name, "metadata-location": new.metadata_location, "overwrite": True}
    room.catalog.call("registerTable", body, namespace=room.namespace).object()
    found = room.load(old)["metadata"]
    expect_equal(found.get("table-uuid"), new.metadata.get("table-uuid"), "table-uuid")


def registers_in_namespaces_only(room: Room) -> None:
    """Answer 404 NoSuchNamespaceException in a namespace that does not exist."""
    body = {"name": room.unique("t"), "metadata-location": _dropped(room).metadata_location}
    answer = room.catalog.call("registerTable", body, namespace=(f"{room.name}_none",))
    answer.error(404, _NO_NAMESPACE)


def does_not_register_nothing(room: Room) -> None:
    """Answer 400, 403 or 404 for a metadata file that does not exist."""
    location = _dropped(room).metadata_location + ".none.metadata.json"
    body = {"name": room.unique("t"), "metadata-location": location}
    answer = room.catalog.call("registerTable", body, namespace=room.namespace)
    answer.error((400, 403, 404))


def unregisters(room: Room) -> None:
    """Answer the last metadata, take the table out, and leave its files to be registered."""
    made = room.table()
    last = room.commit(made, [{"action": "set-properties", "updates": {"a": "b"}}]).object()
    answer = room.catalog.call("unregisterTable", namespace=made.namespace, table=made.name)
    for field in ("metadata-location", "metadata"):
        expect_equal(answer.object().get(field), last.get(field), field)
    expect_gone(room, made)
    room.commit(made, [{"action": "set-properties", "updates": {"a": "c"}}]).error(404, _MISSING)
    body = {"name": made.name, "metadata-location": last["metadata-location"]}
    room.catalog.call("registerTable", body, namespace=made.namespace).object()


def does_not_unregister_missing_ones(room: Room) -> None:
    """Answer 404 NoSuchTableException for one that does not exist."""
    answer = room.catalog.call(
        "unregisterTable", namespace=room.namespace, table=f"{room.name}_none"
    )
    answer.error(404, _MISSING)


PROBES = {
    "renameTable": (
        renames,
        renames_across_namespaces,
        keeps_apart_what_had_one_name,
        does_not_rename_missing_ones,
        does_not_rename_into_nowhere,
        does_not_rename_onto_others,
    ),
    "registerTable": (
        registers,
        does_not_register_over_others,
        registers_over_others_if_told,
        registers_in_namespaces_only,
        does_not_register_nothing,
    ),
    "unregisterTable": (unregisters, does_not_unregister_missing_ones),
}
