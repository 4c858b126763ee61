"""Names: any text is allowed, and tables and views share them."""

from falcon_catalog.conformance.answers import expect, expect_equal
from falcon_catalog.conformance.catalog import UNIT_SEPARATOR
from falcon_catalog.conformance.probes.probe import NO_TABLE, NO_VIEW, TAKEN, Probe, refuses
from falcon_catalog.conformance.sandbox import Sandbox, Tabular

_UNUSUAL = {
    "a space": "a b",
    "a dot": "a.b",
    "a slash": "a/b",
    "a percent sign": "a%41b",
    "a plus sign": "a+b",
    "a question mark": "a?b=c",
    "a number sign": "a#b",
    "a comma": "a,b",
    "quotation marks": "a\"b'c",
    "letters beyond ASCII": "Größe 日本 🧊",
}


def _names_table(what: str, name: str) -> Probe:
    def probe(sandbox: Sandbox) -> None:
        table = Tabular("Table", sandbox.new_namespace(), name, {})
        sandbox.send_create("Table", table.namespace, name).object_unless_refused("refused")
        sandbox.load(table)
        found = sandbox.entries("listTables", table.namespace)
        expect_equal(found, [table.identifier], "the list of tables")
        sandbox.call("dropTable", table).empty()

    probe.__doc__ = f"Give a table a name with {what}, and find it by that name."
    return probe


def _names_namespace(what: str, name: str) -> Probe:
    def probe(sandbox: Sandbox) -> None:
        levels = sandbox.new_name(name)
        answer = sandbox.catalog.call("createNamespace", {"namespace": list(levels)})
        answer.object_unless_refused("refused")
        found = sandbox.catalog.call("loadNamespaceMetadata", namespace=levels).object()
        expect_equal(found.get("namespace"), list(levels), "the namespace that loads")

    probe.__doc__ = f"Give a namespace a name with {what}, and find it by that name."
    return probe


def accepts_the_unit_separator(sandbox: Sandbox) -> None:
    """Accept %1F between the levels of a namespace, whatever separator is advertised."""
    child = sandbox.child_of(sandbox.new_namespace())
    answer = sandbox.catalog.call(
        "loadNamespaceMetadata", namespace=child, separator=UNIT_SEPARATOR
    )
    expect_equal(answer.object().get("namespace"), list(child), "the namespace that loads")


def renames_neither_onto_the_other(sandbox: Sandbox) -> None:
    """Return 409 AlreadyExistsException for a rename onto a name of the other kind."""
    table, view = sandbox.table(), sandbox.view()
    for source, target in ((table, view), (view, table)):
        body = {"source": source.identifier, "destination": target.identifier}
        sandbox.catalog.call(f"rename{source.kind}", body).error(*TAKEN)


def distinguishes_kinds(sandbox: Sandbox) -> None:
    """Return 404 for a view that is loaded as a table, and for a table loaded as a view."""
    sandbox.call("loadTable", sandbox.view()).error(*NO_TABLE)
    sandbox.call("loadView", sandbox.table()).error(*NO_VIEW)


def never_shares_a_location(sandbox: Sandbox) -> None:
    """Give two tables of the same name in two namespaces different locations."""
    tables = [sandbox.table(namespace=sandbox.new_namespace(), name="same") for _ in range(2)]
    locations = {table.metadata["location"] for table in tables}
    expect(len(locations) == len(tables), f"two tables share the location {locations}")


PROBES = {
    "names of tables": tuple(_names_table(*item) for item in _UNUSUAL.items()),
    "names of namespaces": (
        accepts_the_unit_separator,
        *(_names_namespace(*item) for item in _UNUSUAL.items()),
    ),
    "one name, one thing": (
        refuses(
            TAKEN,
            "for a view with a table's name",
            lambda s: s.send_create("View", s.namespace, s.table().name),
        ),
        refuses(
            TAKEN,
            "for a table with a view's name, staged or not",
            lambda s: s.send_create("Table", s.namespace, s.view().name),
            lambda s: s.send_create("Table", s.namespace, s.view().name, {"stage-create": True}),
        ),
        renames_neither_onto_the_other,
        distinguishes_kinds,
        never_shares_a_location,
    ),
}
