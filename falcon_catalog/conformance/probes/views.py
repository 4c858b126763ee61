"""Views."""

from falcon_catalog.conformance.answers import JSON, expect, expect_equal, expect_field
from falcon_catalog.conformance.room import Made, Room, listing, view_request, view_version

_MISSING = "NoSuchViewException"
_NO_NAMESPACE = "NoSuchNamespaceException"
_TAKEN = "AlreadyExistsException"
_CONFLICT = "CommitFailedException"


def _load(room: Room, view: Made) -> JSON:
    return room.catalog.call("loadView", namespace=view.namespace, view=view.name).object()


def _expect_gone(room: Room, view: Made) -> None:
    answer = room.catalog.call("loadView", namespace=view.namespace, view=view.name)
    answer.error(404, _MISSING)


def _missing(room: Room) -> Made:
    return Made(room.namespace, f"{room.name}_none", {})


def lists(room: Room) -> None:
    """List the views of a namespace, and no tables."""
    namespace = room.new_namespace()
    made = [room.view(namespace) for _ in range(2)]
    room.table(namespace)
    found = listing(
        lambda query: room.catalog.call("listViews", namespace=namespace, query=query).object(),
        "identifiers",
    )
    wanted = sorted((view.identifier for view in made), key=str)
    expect_equal(sorted(found, key=str), wanted, "the list of views")


def lists_in_namespaces_only(room: Room) -> None:
    """Answer 404 NoSuchNamespaceException to a list in a namespace that does not exist."""
    missing = (f"{room.name}_none",)
    room.catalog.call("listViews", namespace=missing).error(404, _NO_NAMESPACE)


def creates(room: Room) -> None:
    """Answer the metadata, its location, and a view that loads the same."""
    made = room.view(properties={"owner": "check"})
    metadata = made.metadata
    for field in ("view-uuid", "location"):
        expect_field(metadata, field, str, "the metadata")
    (version,) = expect_field(metadata, "versions", list, "the metadata")
    expect_equal(version.get("version-id"), metadata.get("current-version-id"), "version-id")
    (schema,) = expect_field(metadata, "schemas", list, "the metadata")
    expect_equal(version.get("schema-id"), schema.get("schema-id"), "schema-id")
    found = _load(room, made)
    expect_equal(found.get("metadata-location"), made.metadata_location, "metadata-location")
    expect_equal(found.get("metadata"), metadata, "the metadata that loads")


def refuses_taken_names(room: Room) -> None:
    """Answer 409 AlreadyExistsException for a name that is taken."""
    body = view_request(room.view().name, room.namespace)
    room.catalog.call("createView", body, namespace=room.namespace).error(409, _TAKEN)


def needs_a_namespace(room: Room) -> None:
    """Answer 404 NoSuchNamespaceException in a namespace that does not exist."""
    missing = (f"{room.name}_none",)
    body = view_request(room.unique("v"), missing)
    room.catalog.call("createView", body, namespace=missing).error(404, _NO_NAMESPACE)


def refuses_malformed_ones(room: Room) -> None:
    """Answer 400 to a view without a version."""
    body = view_request(room.unique("v"), room.namespace)
    del body["view-version"]
    room.catalog.call("createView", body, namespace=room.namespace).error(400)


def loads(room: Room) -> None:
    """Answer the view, through whichever views it was reached."""
    made = room.view()
    for query in ({}, {"referenced-by": "\x1f".join((*made.namespace, "outer"))}):
        found = room.catalog.call(
            "loadView", namespace=made.namespace, view=made.name, query=query
        ).object()
        expect_equal(found.get("metadata"), made.metadata, "the metadata that loads")


def does_not_load_missing_ones(room: Room) -> None:
    """Answer 404 NoSuchViewException for one that does not exist."""
    _expect_gone(room, _missing(room))


def tells_existence(room: Room) -> None:
    """Answer 204 for one that exists and 404 for one that does not, without a body."""
    made = room.view()
    room.catalog.call("viewExists", namespace=made.namespace, view=made.name).empty()
    answer = room.catalog.call("viewExists", namespace=made.namespace, view=f"{room.name}_none")
    answer.status_only(404)


def _replacing(room: Room, view: Made, sql: str) -> JSON:
    version = view_version(view.namespace, sql)
    return room.catalog.call(
        "replaceView",
        {
            "requirements": [{"type": "assert-view-uuid", "uuid": view.metadata["view-uuid"]}],
            "updates": [
                {"action": "add-view-version", "view-version": {**version, "version-id": 2}},
                {"action": "set-current-view-version", "view-version-id": -1},
            ],
        },
        namespace=view.namespace,
        view=view.name,
    ).object()


def replaces(room: Room) -> None:
    """Add a version, make it current, and keep the one before."""
    made = room.view()
    metadata = _replacing(room, made, "select 2 as id")["metadata"]
    expect_equal(len(metadata["versions"]), 2, "the number of versions")
    first = made.metadata["current-version-id"]
    expect(metadata["current-version-id"] != first, "the current version stayed")
    expect_equal(_load(room, made)["metadata"], metadata, "the metadata that loads")


def tells_conflicts(room: Room) -> None:
    """Answer 409 CommitFailedException to another view's uuid, and change nothing."""
    made = room.view()
    uuid = {"type": "assert-view-uuid", "uuid": "00000000-0000-4000-8000-000000000000"}
    update = {"action": "set-properties", "updates": {"a": "b"}}
    body = {"requirements": [uuid], "updates": [update]}
    answer = room.catalog.call("replaceView", body, namespace=made.namespace, view=made.name)
    answer.error(409, _CONFLICT)
    expect_equal(_load(room, made)["metadata"], made.metadata, "the metadata after a conflict")


def refuses_unknown_updates(room: Room) -> None:
    """Answer 400 to an update that nobody knows, and to one that only tables have."""
    made = room.view()
    for update in ({"action": "no-such-update"}, {"action": "set-default-spec", "spec-id": 0}):
        body = {"updates": [update]}
        answer = room.catalog.call("replaceView", body, namespace=made.namespace, view=made.name)
        answer.error(400)


def does_not_replace_missing_ones(room: Room) -> None:
    """Answer 404 NoSuchViewException to a commit to one that does not exist."""
    missing = _missing(room)
    body = {"updates": [{"action": "set-properties", "updates": {"a": "b"}}]}
    answer = room.catalog.call("replaceView", body, namespace=missing.namespace, view=missing.name)
    answer.error(404, _MISSING)


def drops(room: Room) -> None:
    """Answer 204 and drop it: afterwards it does not exist."""
    made = room.view()
    room.catalog.call("dropView", namespace=made.namespace, view=made.name).empty()
    _expect_gone(room, made)


def does_not_drop_missing_ones(room: Room) -> None:
    """Answer 404 NoSuchViewException to the drop of one that does not exist."""
    missing = _missing(room)
    answer = room.catalog.call("dropView", namespace=missing.namespace, view=missing.name)
    answer.error(404, _MISSING)


def _renaming(view: Made, namespace: tuple[str, ...], name: str) -> JSON:
    return {
        "source": view.identifier,
        "destination": {"namespace": list(namespace), "name": name},
    }


def renames(room: Room) -> None:
    """Answer 204 and give the same view its new name."""
    made, name = room.view(), room.unique("renamed")
    room.catalog.call("renameView", _renaming(made, made.namespace, name)).empty()
    found = _load(room, Made(made.namespace, name, {}))
    expect_equal(found["metadata"], made.metadata, "the metadata after a rename")
    _expect_gone(room, made)


def does_not_rename_amiss(room: Room) -> None:
    """Answer 404 for a missing view or target namespace, 409 for a name that is taken."""
    made, other = room.view(), room.view()
    call, into = room.catalog.call, made.namespace
    missing = _renaming(_missing(room), into, room.unique("renamed"))
    call("renameView", missing).error(404, _MISSING)
    nowhere = _renaming(made, (f"{room.name}_none",), made.name)
    call("renameView", nowhere).error(404, _NO_NAMESPACE)
    call("renameView", _renaming(made, into, other.name)).error(409, _TAKEN)


def registers(room: Room) -> None:
    """Add a view whose metadata file exists, once."""
    dropped = room.view(properties={"gc.enabled": "false"})
    room.catalog.call("dropView", namespace=dropped.namespace, view=dropped.name).empty()
    body = {"name": room.unique("registered"), "metadata-location": dropped.metadata_location}
    answer = room.catalog.call("registerView", body, namespace=room.namespace).object()
    expect_equal(answer.get("metadata"), dropped.metadata, "the metadata that was registered")
    room.catalog.call("registerView", body, namespace=room.namespace).error(409, _TAKEN)


def registers_in_namespaces_only(room: Room) -> None:
    """Answer 404 NoSuchNamespaceException in a namespace that does not exist."""
    body = {"name": room.unique("v"), "metadata-location": room.view().metadata_location}
    answer = room.catalog.call("registerView", body, namespace=(f"{room.name}_none",))
    answer.error(404, _NO_NAMESPACE)


PROBES = {
    "listViews": (lists, lists_in_namespaces_only),
    "createView": (creates, refuses_taken_names, needs_a_namespace, refuses_malformed_ones),
    "loadView": (loads, does_not_load_missing_ones),
    "viewExists": (tells_existence,),
    "replaceView": (
        replaces,
        tells_conflicts,
        refuses_unknown_updates,
        does_not_replace_missing_ones,
    ),
    "dropView": (drops, does_not_drop_missing_ones),
    "renameView": (renames, does_not_rename_amiss),
    "registerView": (registers, registers_in_namespaces_only),
}
