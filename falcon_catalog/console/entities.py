"""Namespaces, tables and views by name, and what is close to a name that does not exist."""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

import click
from click.shell_completion import CompletionItem

from falcon_catalog.console.completion import Completer, from_catalog
from falcon_catalog.console.connection import Client
from falcon_catalog.console.failures import ConsoleError, NotFoundError
from falcon_catalog.console.names import InvalidNameError, Name, dotted, parse
from falcon_catalog.wording import closest, or_mean

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.refs import SnapshotRef
    from pyiceberg.view import View

Parts: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace, and its properties."""

    parts: Parts
    properties: dict[str, str]


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """Something that a namespace contains."""

    kind: str
    """``namespace``, ``table`` or ``view``."""
    parts: Parts

    def __str__(self) -> str:
        return dotted(self.parts)


Entity: TypeAlias = "Namespace | Table | View"


class NameType(click.ParamType[Name]):
    """The name of a namespace, table or view, as an argument of a command."""

    name = "name"

    def convert(
        self, value: object, param: click.Parameter | None, context: click.Context | None
    ) -> Name:
        """Return the name; without a snapshot it is that of a namespace, too."""
        if isinstance(value, Name):
            return value
        try:
            return parse(str(value))
        except InvalidNameError as error:
            self.fail(str(error), param, context)

    def shell_complete(
        self, context: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the names, or after ``@`` the branches and tags, that start with a text."""
        return _complete(context, param, incomplete)


NAME = NameType()


def _names_of(client: Client, _context: click.Context, incomplete: str) -> list[str]:
    text, at, _ = incomplete.partition("@")
    if at:
        return [f"{text}@{ref}" for ref in sorted(_refs(client, parse(text).parts))]
    parent = text.rpartition(".")[0]
    return _names(children(client, parse(parent).parts if parent else ()))


_complete = from_catalog(_names_of)


def _refs(client: Client, parts: Parts) -> dict[str, "SnapshotRef"]:
    table = _table(client, parts)
    return dict(table.metadata.refs) if table else {}


def complete_refs(argument: str, kind: str) -> Completer:
    """Return what completes the names of a table's branches or tags.

    Args:
        argument: the parameter that has the name of the table.
        kind: ``branch`` or ``tag``.
    """

    def refs(client: Client, context: click.Context, _incomplete: str) -> list[str]:
        found = _refs(client, _typed(context, argument).parts)
        return sorted(ref for ref, at in found.items() if at.snapshot_ref_type == kind)

    return from_catalog(refs)


def complete_columns(argument: str) -> Completer:
    """Return what completes the last one of a table's columns with commas between them."""

    def columns(client: Client, context: click.Context, incomplete: str) -> list[str]:
        before = incomplete.rpartition(",")
        table = find_table(client, _typed(context, argument))
        return [f"{before[0]}{before[1]}{name}" for name in sorted(table.schema().column_names)]

    return from_catalog(columns)


def _typed(context: click.Context, argument: str) -> Name:
    """Return the name that an argument has so far."""
    # Click does not assign arguments while an option has no value yet.
    found: Name | None = context.params.get(argument)
    return found or parse(context.args[0])


def find(client: Client, name: Name) -> Entity:
    """Return the table, view or namespace of a name, in this order.

    Raises:
        NotFoundError: there is none; the message has the names that are close.
    """
    if len(name.parts) > 1:
        if (table := _table(client, name.parts)) is not None:
            return table
        if (view := _view(client, name.parts)) is not None:
            return view
    if (properties := _properties(client, name.parts)) is not None:
        return Namespace(name.parts, properties)
    raise NotFoundError(
        f"There is no table, view or namespace {name.entity}{_suggestion(client, name.parts)}"
    )


def find_table(client: Client, name: Name) -> "Table":
    """Return the table of a name.

    Raises:
        NotFoundError: there is none; the message has the names that are close.
        ConsoleError: it is a view or a namespace.
    """
    found = find_tabular(client, name)
    if is_table(found):
        return found
    raise ConsoleError(f"{name.entity} is a view, not a table")


def find_tabular(client: Client, name: Name) -> "Table | View":
    """Return the table or view of a name.

    Raises:
        NotFoundError: there is none; the message has the names that are close.
        ConsoleError: it is a namespace.
    """
    found = find(client, name)
    if isinstance(found, Namespace):
        raise ConsoleError(
            f"{name.entity} is a namespace, not a table: falcon-catalog ls {name.entity} lists"
            " its tables"
        )
    return found


def find_namespace(client: Client, name: Name) -> Namespace:
    """Return the namespace of a name.

    Raises:
        NotFoundError: there is none; the message has the names that are close.
    """
    properties = _properties(client, name.parts)
    if properties is None:
        raise NotFoundError(f"There is no namespace {name.entity}{_suggestion(client, name.parts)}")
    return Namespace(name.parts, properties)


def is_table(found: object) -> TypeGuard["Table"]:
    """Return whether something that was found is a table, not a view or a namespace."""
    from pyiceberg.table import Table

    return isinstance(found, Table)


def is_view(found: object) -> TypeGuard["View"]:
    """Return whether something that was found is a view."""
    from pyiceberg.view import View

    return isinstance(found, View)


def children(client: Client, parts: Parts) -> list[Entry]:
    """Return what a namespace contains, sorted: namespaces, tables, views; () is the root.

    Every page of the catalog's answers is read.

    Raises:
        NoSuchNamespaceError: there is no such namespace (PyIceberg's).
    """
    catalog = client.catalog
    namespaces = sorted(Entry("namespace", each) for each in catalog.list_namespaces(parts))
    if not parts:
        return namespaces
    tables = sorted(Entry("table", each) for each in catalog.list_tables(parts))
    views = sorted(Entry("view", each) for each in catalog.list_views(parts))
    return [*namespaces, *tables, *views]


def descendants(client: Client, parts: Parts) -> Iterator[Entry]:
    """Yield what a namespace contains at any depth, each namespace before its contents."""
    from pyiceberg.exceptions import NoSuchNamespaceError

    for entry in children(client, parts):
        yield entry
        if entry.kind == "namespace":
            with contextlib.suppress(NoSuchNamespaceError):  # dropped meanwhile
                yield from descendants(client, entry.parts)


def _table(client: Client, parts: Parts) -> "Table | None":
    from pyiceberg.exceptions import NoSuchTableError

    try:
        table: Table = client.catalog.load_table(parts)
    except NoSuchTableError:
        return None
    return table


def _view(client: Client, parts: Parts) -> "View | None":
    from pyiceberg.exceptions import NoSuchViewError

    try:
        view: View = client.catalog.load_view(parts)
    except (NoSuchViewError, NotImplementedError):  # the catalog has no views
        return None
    return view


def _properties(client: Client, parts: Parts) -> dict[str, str] | None:
    from pyiceberg.exceptions import NoSuchNamespaceError

    try:
        properties: dict[str, str] = client.catalog.load_namespace_properties(parts)
    except NoSuchNamespaceError:
        return None
    return properties


def _suggestion(client: Client, parts: Parts) -> str:
    """Return the names close to one that does not exist, in the deepest namespace that does."""
    from pyiceberg.exceptions import NoSuchNamespaceError

    for depth in range(len(parts) - 1, -1, -1):
        with contextlib.suppress(NoSuchNamespaceError):
            return or_mean(_closest(client, parts[:depth], parts[depth:]))
    return ""


def _closest(client: Client, base: Parts, missing: Parts) -> list[str]:
    """Return the names in a namespace that are close to parts below it, as deep as there are any.

    Raises:
        NoSuchNamespaceError: there is no such namespace (PyIceberg's).
    """
    first, *rest = missing
    there = {str(entry): entry for entry in children(client, base)}
    names = closest(dotted((*base, first)), list(there))
    inside = [
        name
        for each in names
        if rest and there[each].kind == "namespace"
        for name in _closest(client, there[each].parts, tuple(rest))
    ]
    return inside or names


def _names(entries: Iterable[Entry]) -> list[str]:
    return [str(entry) for entry in entries]
