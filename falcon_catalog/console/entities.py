"""Namespaces, tables and views by name, and what is close to a name that does not exist."""

import contextlib
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

import click
from click.shell_completion import CompletionItem

from falcon_catalog.console.connection import CONNECTION, Client, connected
from falcon_catalog.console.failures import ConsoleError, NotFoundError
from falcon_catalog.console.names import InvalidNameError, Name, dotted, parse
from falcon_catalog.console.output import Output
from falcon_catalog.console.suggestions import did_you_mean

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.view import View

Parts: TypeAlias = tuple[str, ...]
COMPLETION_SECONDS = 2.0


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
        self, context: click.Context, _param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the names, or after ``@`` the branches and tags, that start with a text.

        There are none if the catalog does not answer soon, or fails in any other way.
        """
        import pyiceberg.catalog.rest  # noqa: F401 - its loading has no deadline

        connection = {key: context.params.get(key) for key in CONNECTION}
        with contextlib.suppress(Exception), _deadline(), connected(**connection) as found:
            return [
                CompletionItem(name) for name in _starting(Client(*found, Output()), incomplete)
            ]
        return []


NAME = NameType()


@contextlib.contextmanager
def _deadline() -> Iterator[None]:
    """Raise TimeoutError in the body when a person has waited long enough for a completion."""

    def end(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, COMPLETION_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _starting(client: Client, incomplete: str) -> list[str]:
    text, at, _ = incomplete.partition("@")
    if at:
        table = _table(client, parse(text).parts)
        names = [f"{text}@{ref}" for ref in sorted(table.metadata.refs)] if table else []
    else:
        parent = text.rpartition(".")[0]
        names = _names(children(client, parse(parent).parts if parent else ()))
    return [name for name in names if name.startswith(incomplete)]


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
        try:
            there = children(client, parts[:depth])
        except NoSuchNamespaceError:
            continue
        return did_you_mean(dotted(parts[: depth + 1]), _names(there))
    return ""


def _names(entries: Iterable[Entry]) -> list[str]:
    return [str(entry) for entry in entries]
