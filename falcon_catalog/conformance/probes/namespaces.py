"""Namespaces."""

from falcon_catalog.conformance.answers import Answer, expect, expect_equal, expect_field
from falcon_catalog.conformance.probes.probe import (
    BAD_REQUEST,
    NO_NAMESPACE,
    TAKEN,
    needs_namespace,
    refuses,
)
from falcon_catalog.conformance.sandbox import Levels, Sandbox

_NOT_EMPTY = (409, "NamespaceNotEmptyException")


def lists_the_top(sandbox: Sandbox) -> None:
    """List a new namespace among those at the top level."""
    namespace = sandbox.new_namespace()
    found = sandbox.entries("listNamespaces", field="namespaces")
    expect(list(namespace) in found, f"listNamespaces does not list the new {namespace[0]}")


def lists_everything_at_once(sandbox: Sandbox) -> None:
    """List everything at once when no page is requested."""
    namespace = sandbox.new_namespace()
    page = sandbox.catalog.call("listNamespaces").object()
    expect(page.get("next-page-token") is None, "without pageToken there is a next-page-token")
    found = expect_field(page, "namespaces", list, "the list of namespaces")
    expect(list(namespace) in found, f"listNamespaces does not list the new {namespace[0]}")


def lists_direct_children(sandbox: Sandbox) -> None:
    """List the direct children of a parent, and only those, as whole paths."""
    parent = sandbox.new_namespace()
    child = sandbox.child_of(parent)
    sandbox.child_of(child, "grandchild")
    found = sandbox.entries("listNamespaces", field="namespaces", parent="\x1f".join(parent))
    expect_equal(found, [list(child)], "the children of a namespace with one child")


def _expect_owner(answer: Answer, namespace: Levels) -> None:
    found = answer.object()
    expect_equal(found.get("namespace"), list(namespace), "the namespace of the answer")
    properties = expect_field(found, "properties", dict, "the answer")
    expect_equal(properties.get("owner"), "check", "the property owner")


def creates(sandbox: Sandbox) -> None:
    """Return the namespace and its properties."""
    name = sandbox.new_name()
    body = {"namespace": list(name), "properties": {"owner": "check"}}
    _expect_owner(sandbox.catalog.call("createNamespace", body), name)


def loads(sandbox: Sandbox) -> None:
    """Return the properties that were set."""
    namespace = sandbox.new_namespace(owner="check")
    answer = sandbox.catalog.call("loadNamespaceMetadata", namespace=namespace)
    _expect_owner(answer, namespace)


def reports_existence(sandbox: Sandbox) -> None:
    """Return 204 for a namespace that exists and 404 for one that does not, without a body."""
    sandbox.catalog.call("namespaceExists", namespace=sandbox.namespace).empty()
    answer = sandbox.catalog.call("namespaceExists", namespace=sandbox.missing_namespace)
    answer.empty(404)


def drops(sandbox: Sandbox) -> None:
    """Return 204 and drop the namespace: it no longer exists, and can be created again."""
    namespace, call = sandbox.new_namespace(), sandbox.catalog.call
    call("dropNamespace", namespace=namespace).empty()
    call("loadNamespaceMetadata", namespace=namespace).error(*NO_NAMESPACE)
    call("createNamespace", {"namespace": list(namespace)}).object()


def keeps_tables(sandbox: Sandbox) -> None:
    """Return 409 NamespaceNotEmptyException while the namespace has a table."""
    namespace = sandbox.new_namespace()
    sandbox.table(namespace=namespace)
    sandbox.catalog.call("dropNamespace", namespace=namespace).error(*_NOT_EMPTY)


def keeps_children(sandbox: Sandbox) -> None:
    """Return 409 NamespaceNotEmptyException while the namespace has a child."""
    namespace = sandbox.new_namespace()
    sandbox.child_of(namespace)
    sandbox.catalog.call("dropNamespace", namespace=namespace).error(*_NOT_EMPTY)


def updates_properties(sandbox: Sandbox) -> None:
    """Set and remove properties, and return which were removed, updated and missing."""
    namespace, call = sandbox.new_namespace(old="1", kept="1"), sandbox.catalog.call
    body = {"removals": ["old", "absent"], "updates": {"new": "2"}}
    answer = call("updateProperties", body, namespace=namespace).object()
    expect_equal(answer.get("removed"), ["old"], "removed")
    expect_equal(answer.get("updated"), ["new"], "updated")
    expect(answer.get("missing") in (None, ["absent"]), f"missing is {answer.get('missing')!r}")
    found = call("loadNamespaceMetadata", namespace=namespace).object()
    properties = expect_field(found, "properties", dict, "the answer")
    shown = {key: value for key, value in properties.items() if key in ("old", "kept", "new")}
    expect_equal(shown, {"kept": "1", "new": "2"}, "what is left of the properties")


_UPDATE = {"removals": ["key"], "updates": {"key": "value"}}
PROBES = {
    "listNamespaces": (
        lists_the_top,
        lists_everything_at_once,
        lists_direct_children,
        refuses(
            NO_NAMESPACE,
            "for a parent that does not exist",
            lambda s: s.catalog.call("listNamespaces", query={"parent": s.missing_namespace[0]}),
        ),
    ),
    "createNamespace": (
        creates,
        refuses(
            TAKEN,
            "for a name that is taken",
            lambda s: s.catalog.call("createNamespace", {"namespace": list(s.new_namespace())}),
        ),
        refuses(
            BAD_REQUEST,
            "for a request without a namespace, or with one that is not a list",
            lambda s: s.catalog.call("createNamespace", {}),
            lambda s: s.catalog.call("createNamespace", {"namespace": 7}),
        ),
    ),
    "loadNamespaceMetadata": (loads, needs_namespace("loadNamespaceMetadata")),
    "namespaceExists": (reports_existence,),
    "dropNamespace": (drops, needs_namespace("dropNamespace"), keeps_tables, keeps_children),
    "updateProperties": (
        updates_properties,
        refuses(
            (422, None),
            "for a key that is both removed and set",
            lambda s: s.catalog.call("updateProperties", _UPDATE, namespace=s.namespace),
        ),
        needs_namespace("updateProperties", {**_UPDATE, "removals": []}),
    ),
}
