"""Names: any text goes, and tables and views share them."""

from collections.abc import Callable

from falcon_catalog.conformance.answers import AbsentError, Answer, expect, expect_equal
from falcon_catalog.conformance.catalog import UNIT_SEPARATOR
from falcon_catalog.conformance.room import SCHEMA, Made, Room, listing, view_request

_TAKEN = "AlreadyExistsException"
_REFUSED = (400, 403, 406, 422)
_ODD = {
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


def _created(answer: Answer) -> None:
    if answer.status in _REFUSED:
        raise AbsentError(f"refused: {answer.error(_REFUSED)}")
    answer.object()


def _named(what: str, name: str) -> Callable[[Room], None]:
    def probe(room: Room) -> None:
        namespace = room.new_namespace()
        body = {"name": name, "schema": SCHEMA}
        _created(room.catalog.call("createTable", body, namespace=namespace))
        table = Made(namespace, name, {})
        room.load(table)
        found = listing(
            lambda query: room.catalog.call(
                "listTables", namespace=namespace, query=query
            ).object(),
            "identifiers",
        )
        expect_equal(found, [table.identifier], "the list of tables")
        room.catalog.call("dropTable", namespace=namespace, table=name).empty()

    probe.__doc__ = f"Give a table a name with {what}, and find it by that name."
    return probe


def _levels(what: str, name: str) -> Callable[[Room], None]:
    def probe(room: Room) -> None:
        levels = (f"{room.new_name()[0]}{name}",)
        room.keep_track(levels)
        _created(room.catalog.call("createNamespace", {"namespace": list(levels)}))
        found = room.catalog.call("loadNamespaceMetadata", namespace=levels).object()
        expect_equal(found.get("namespace"), list(levels), "the namespace that loads")

    probe.__doc__ = f"Give a namespace a name with {what}, and find it by that name."
    return probe


def takes_the_unit_separator(room: Room) -> None:
    """Understand %1F between the levels of a namespace, whatever separator is advertised."""
    parent = room.new_namespace()
    child = room.child_of(parent)
    answer = room.catalog.load_namespace_by(UNIT_SEPARATOR, child)
    expect_equal(answer.object().get("namespace"), list(child), "the namespace that loads")


def lets_no_view_take_a_table_s_name(room: Room) -> None:
    """Answer 409 AlreadyExistsException to a view with a table's name."""
    body = view_request(room.table().name, room.namespace)
    room.catalog.call("createView", body, namespace=room.namespace).error(409, _TAKEN)


def lets_no_table_take_a_view_s_name(room: Room) -> None:
    """Answer 409 AlreadyExistsException to a table with a view's name, staged or not."""
    name = room.view().name
    for staged in (False, True):
        body = {"name": name, "schema": SCHEMA, "stage-create": staged}
        room.catalog.call("createTable", body, namespace=room.namespace).error(409, _TAKEN)


def renames_neither_onto_the_other(room: Room) -> None:
    """Answer 409 AlreadyExistsException to a rename onto a name of the other kind."""
    table, view = room.table(), room.view()
    for operation, source, target in (
        ("renameTable", table, view),
        ("renameView", view, table),
    ):
        body = {"source": source.identifier, "destination": target.identifier}
        room.catalog.call(operation, body).error(409, _TAKEN)


def tells_them_apart(room: Room) -> None:
    """Answer 404 to a view that is loaded as a table, and to a table that is loaded as a view."""
    table, view = room.table(), room.view()
    call, namespace = room.catalog.call, room.namespace
    call("loadTable", namespace=namespace, table=view.name).error(404, "NoSuchTableException")
    call("loadView", namespace=namespace, view=table.name).error(404, "NoSuchViewException")


def never_shares_a_location(room: Room) -> None:
    """Give two tables of the same name in two namespaces different locations."""
    tables = [room.table(room.new_namespace(), name="same") for _ in range(2)]
    locations = {table.metadata["location"] for table in tables}
    expect(len(locations) == len(tables), f"two tables share the location {locations}")


PROBES = {
    "names of tables": tuple(_named(what, name) for what, name in _ODD.items()),
    "names of namespaces": (
        takes_the_unit_separator,
        *(_levels(what, name) for what, name in _ODD.items()),
    ),
    "one name, one thing": (
        lets_no_view_take_a_table_s_name,
        lets_no_table_take_a_view_s_name,
        renames_neither_onto_the_other,
        tells_them_apart,
        never_shares_a_location,
    ),
}
