"""Namespaces."""

from falcon_catalog.conformance.answers import expect, expect_equal, expect_field
from falcon_catalog.conformance.room import Room, listing

_MISSING = "NoSuchNamespaceException"
_TAKEN = "AlreadyExistsException"


def lists_the_top(room: Room) -> None:
    """List a new namespace among those at the top."""
    namespace = room.new_namespace()
    found = listing(
        lambda query: room.catalog.call("listNamespaces", query=query).object(), "namespaces"
    )
    expect(list(namespace) in found, f"listNamespaces does not list the new {namespace[0]}")


def lists_everything_at_once(room: Room) -> None:
    """List everything at once where no page is asked for."""
    namespace = room.new_namespace()
    page = room.catalog.call("listNamespaces").object()
    expect(page.get("next-page-token") is None, "without pageToken there is a next-page-token")
    found = expect_field(page, "namespaces", list, "the list of namespaces")
    expect(list(namespace) in found, f"listNamespaces does not list the new {namespace[0]}")


def lists_direct_children(room: Room) -> None:
    """List the direct children of a parent, and only those, as whole paths."""
    parent = room.new_namespace()
    child = room.child_of(parent)
    room.child_of(child, "grandchild")
    found = listing(
        lambda query: room.catalog.call("listNamespaces", query=query).object(),
        "namespaces",
        parent="\x1f".join(parent),
    )
    expect_equal(found, [list(child)], "the children of a namespace with one child")


def refuses_missing_parents(room: Room) -> None:
    """Answer 404 NoSuchNamespaceException for a parent that does not exist."""
    query = {"parent": f"{room.name}_none"}
    room.catalog.call("listNamespaces", query=query).error(404, _MISSING)


def creates(room: Room) -> None:
    """Answer the namespace and its properties."""
    name = room.new_name()
    body = {"namespace": list(name), "properties": {"owner": "check"}}
    made = room.catalog.call("createNamespace", body).object()
    expect_equal(made.get("namespace"), list(name), "the namespace of the answer")
    properties = expect_field(made, "properties", dict, "the answer")
    expect_equal(properties.get("owner"), "check", "the property owner")


def refuses_taken_names(room: Room) -> None:
    """Answer 409 AlreadyExistsException for a name that is taken."""
    body = {"namespace": list(room.new_namespace())}
    room.catalog.call("createNamespace", body).error(409, _TAKEN)


def refuses_malformed_ones(room: Room) -> None:
    """Answer 400 to a request without a namespace, or with one that is no list."""
    for body in ({}, {"namespace": 7}):
        room.catalog.call("createNamespace", body).error(400)


def loads(room: Room) -> None:
    """Answer the properties that were set."""
    namespace = room.new_namespace(owner="check")
    found = room.catalog.call("loadNamespaceMetadata", namespace=namespace).object()
    expect_equal(found.get("namespace"), list(namespace), "the namespace of the answer")
    properties = expect_field(found, "properties", dict, "the answer")
    expect_equal(properties.get("owner"), "check", "the property owner")


def does_not_load_missing_ones(room: Room) -> None:
    """Answer 404 NoSuchNamespaceException for one that does not exist."""
    missing = (f"{room.name}_none",)
    room.catalog.call("loadNamespaceMetadata", namespace=missing).error(404, _MISSING)


def tells_existence(room: Room) -> None:
    """Answer 204 for one that exists and 404 for one that does not, without a body."""
    room.catalog.call("namespaceExists", namespace=room.namespace).empty()
    answer = room.catalog.call("namespaceExists", namespace=(f"{room.name}_none",))
    answer.status_only(404)


def drops(room: Room) -> None:
    """Answer 204 and drop it: afterwards it does not exist, and can be made again."""
    namespace = room.new_namespace()
    room.catalog.call("dropNamespace", namespace=namespace).empty()
    room.catalog.call("loadNamespaceMetadata", namespace=namespace).error(404, _MISSING)
    room.catalog.call("createNamespace", {"namespace": list(namespace)}).object()


def does_not_drop_missing_ones(room: Room) -> None:
    """Answer 404 NoSuchNamespaceException to the drop of one that does not exist."""
    missing = (f"{room.name}_none",)
    room.catalog.call("dropNamespace", namespace=missing).error(404, _MISSING)


def keeps_full_ones(room: Room) -> None:
    """Answer 409 NamespaceNotEmptyException while a table is in it."""
    namespace = room.new_namespace()
    room.table(namespace)
    answer = room.catalog.call("dropNamespace", namespace=namespace)
    answer.error(409, "NamespaceNotEmptyException")


def keeps_parents(room: Room) -> None:
    """Answer 409 NamespaceNotEmptyException while a namespace is in it."""
    namespace = room.new_namespace()
    room.child_of(namespace)
    answer = room.catalog.call("dropNamespace", namespace=namespace)
    answer.error(409, "NamespaceNotEmptyException")


def updates_properties(room: Room) -> None:
    """Set and remove properties, and tell which were removed, updated and missing."""
    namespace = room.new_namespace(old="1", kept="1")
    body = {"removals": ["old", "absent"], "updates": {"new": "2"}}
    answer = room.catalog.call("updateProperties", body, namespace=namespace).object()
    expect_equal(answer.get("removed"), ["old"], "removed")
    expect_equal(answer.get("updated"), ["new"], "updated")
    expect(answer.get("missing") in (None, ["absent"]), f"missing is {answer.get('missing')!r}")
    found = room.catalog.call("loadNamespaceMetadata", namespace=namespace).object()
    properties = expect_field(found, "properties", dict, "the answer")
    shown = {key: value for key, value in properties.items() if key in ("old", "kept", "new")}
    expect_equal(shown, {"kept": "1", "new": "2"}, "what is left of the properties")


def refuses_contradictions(room: Room) -> None:
    """Answer 422 to a key that is both removed and set."""
    body = {"removals": ["key"], "updates": {"key": "value"}}
    room.catalog.call("updateProperties", body, namespace=room.namespace).error(422)


def does_not_update_missing_ones(room: Room) -> None:
    """Answer 404 NoSuchNamespaceException to properties of one that does not exist."""
    body: dict[str, object] = {"removals": [], "updates": {"key": "value"}}
    missing = (f"{room.name}_none",)
    room.catalog.call("updateProperties", body, namespace=missing).error(404, _MISSING)


PROBES = {
    "listNamespaces": (
        lists_the_top,
        lists_everything_at_once,
        lists_direct_children,
        refuses_missing_parents,
    ),
    "createNamespace": (creates, refuses_taken_names, refuses_malformed_ones),
    "loadNamespaceMetadata": (loads, does_not_load_missing_ones),
    "namespaceExists": (tells_existence,),
    "dropNamespace": (drops, does_not_drop_missing_ones, keeps_full_ones, keeps_parents),
    "updateProperties": (updates_properties, refuses_contradictions, does_not_update_missing_ones),
}
