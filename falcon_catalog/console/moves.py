"""``falcon-catalog rename`` and ``drop``."""

import sys
from typing import TYPE_CHECKING

import click

from falcon_catalog.console import http
from falcon_catalog.console.connection import Client, client_command
from falcon_catalog.console.entities import (
    NAME,
    Namespace,
    Parts,
    find,
    find_namespace,
    find_tabular,
    is_table,
)
from falcon_catalog.console.failures import ConsoleError, NotFoundError
from falcon_catalog.console.names import Name, dotted

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.view import View


@client_command("rename")
@click.argument("source", type=NAME)
@click.argument("destination", type=NAME)
def rename(client: Client, source: Name, destination: Name) -> None:
    """Rename a table or view, or move it to another namespace.

    \b
    Examples:
        falcon-catalog rename weather.obs weather.observations
        falcon-catalog rename weather.obs observations
        falcon-catalog rename weather.obs archive.observations

    DESTINATION without a namespace keeps that of SOURCE. Files stay where they are. A name that is
    taken is an error.
    """
    from pyiceberg.exceptions import NoSuchNamespaceError

    _refuse_snapshots("rename", source, destination)
    found = find_tabular(client, source)
    parts = destination.parts
    if len(parts) == 1:
        parts = (*source.parts[:-1], *parts)
    try:
        _rename(client, found, source.parts, parts)
    except (NotFoundError, NoSuchNamespaceError):
        find_namespace(client, Name(parts[:-1]))  # its error has names that are close
        raise
    kind = "table" if is_table(found) else "view"
    _report(client, f"{kind} {source} is now {dotted(parts)}", kind, parts)


@client_command("drop")
@click.argument("name", type=NAME)
@click.option("--purge", is_flag=True, help="Delete the files of the table, too.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def drop(client: Client, name: Name, *, purge: bool, yes: bool) -> None:
    """Drop a table, a view or an empty namespace.

    \b
    Examples:
        falcon-catalog drop weather.scratch
        falcon-catalog drop weather.scratch --purge --yes
        falcon-catalog ls scratch -q | xargs -n 1 falcon-catalog drop --yes

    It asks first; --yes does not, and is needed where nothing can be typed. Without --purge the
    files stay. falcon-catalog keeps what was dropped for a week: undrop brings it back, also after
    --purge.
    """
    _refuse_snapshots("drop", name)
    found = find(client, name)
    kind = "namespace" if isinstance(found, Namespace) else "table" if is_table(found) else "view"
    if purge and kind != "table":
        raise click.UsageError(f"--purge is for tables: {name} is a {kind}")
    _confirm(f"Drop {kind} {name}{' and delete its files' if purge else ''}?", yes=yes)
    if kind == "namespace":
        client.catalog.drop_namespace(name.parts)
    elif kind == "view":
        client.catalog.drop_view(name.parts)
    elif purge:
        client.catalog.purge_table(name.parts)
    else:
        client.catalog.drop_table(name.parts)
    _report(client, f"{kind} {name} is dropped", kind, name.parts)


def _rename(client: Client, found: "Table | View", source: Parts, to: Parts) -> None:
    if is_table(found):
        client.catalog.rename_table(source, to)
    else:
        names = {"source": _identifier(source), "destination": _identifier(to)}
        http.send(client, "POST", http.in_catalog(client, "views/rename"), names)


def _confirm(question: str, *, yes: bool) -> None:
    """Ask; raise ConsoleError where nothing can be typed, Abort if the answer is no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConsoleError(f"{question} Give --yes where nobody can be asked")
    click.confirm(question, abort=True, err=True)


def _report(client: Client, text: str, kind: str, parts: tuple[str, ...]) -> None:
    """Print what was done, in the form that the flags request."""
    out = client.out
    if out.as_json:
        out.document({"name": dotted(parts), "parts": list(parts), "kind": kind})
    elif out.quiet:
        out.names([dotted(parts)])
    else:
        out.line(text)


def _refuse_snapshots(command: str, *names: Name) -> None:
    for name in names:
        if name.at is not None:
            raise click.UsageError(
                f"{command} takes a whole table: {name.entity} without @{name.at}"
            )


def _identifier(parts: tuple[str, ...]) -> dict[str, object]:
    return {"namespace": list(parts[:-1]), "name": parts[-1]}
