"""The command ``falcon-catalog check``."""

import json
from typing import Any

import click

from falcon_catalog.conformance import report
from falcon_catalog.conformance.catalog import Catalog, connect
from falcon_catalog.conformance.check import Row, check
from falcon_catalog.conformance.room import Room


@click.command("check")
@click.argument("uri")
@click.option("--warehouse", metavar="NAME", help="Ask for this warehouse.")
@click.option(
    "--token", metavar="TOKEN", envvar="CATALOG_TOKEN", help="Bearer token. [CATALOG_TOKEN]"
)
@click.option(
    "--credential",
    metavar="ID:SECRET",
    envvar="CATALOG_CREDENTIAL",
    help="Get a token with this id and secret. [CATALOG_CREDENTIAL]",
)
@click.option(
    "--json",
    "json_file",
    metavar="FILE",
    type=click.File("w", encoding="utf-8", lazy=True),
    help="Write the report as JSON, too; - is stdout, then without the table.",
)
@click.option(
    "--namespace",
    default="falcon_check_",
    show_default=True,
    metavar="PREFIX",
    help="Begin the names of the check's own namespaces like this.",
)
def command(
    uri: str,
    *,
    warehouse: str | None,
    token: str | None,
    credential: str | None,
    json_file: Any,
    namespace: str,
) -> None:
    """Check whether the catalog at URI does what the Iceberg REST specification says.

    \b
    Examples:
        falcon-catalog check http://127.0.0.1:8181
        falcon-catalog check https://catalog.example.com/api --warehouse lake \\
            --credential id:secret --json report.json

    Works on any Iceberg REST catalog. Makes namespaces of its own, whose names begin with PREFIX
    and end uniquely, touches nothing else, and removes them in the end. Status 0: nothing failed;
    1: something did; 2: there is no catalog at URI.
    """
    if token is not None and credential is not None:
        raise click.UsageError("--token and --credential exclude each other")
    pair = None if credential is None else _pair(credential)
    catalog = connect(uri, warehouse=warehouse, token=token, credential=pair)
    rows = _run(catalog, namespace, shown=json_file is None or json_file.name != "-")
    if json_file is not None:
        json.dump(report.document(uri, catalog, rows), json_file, indent=2, ensure_ascii=False)
        json_file.write("\n")
    if any(row.status == "fail" for row in rows):
        raise SystemExit(1)


def _pair(credential: str) -> tuple[str, str]:
    identity, colon, secret = credential.partition(":")
    if not (identity and colon):
        raise click.UsageError("--credential must be ID:SECRET")
    return identity, secret


def _run(catalog: Catalog, prefix: str, *, shown: bool) -> list[Row]:
    """Check a catalog and clear away what that made, show the table on the way if wanted."""
    room, rows = Room(catalog, prefix), []
    try:
        for row in check(catalog, room):
            rows.append(row)
            if shown:
                click.echo("\n".join(report.lines(row)))
    finally:
        for left in room.clear():
            click.echo(f"Could not remove the namespace {left}", err=True)
    if shown:
        click.echo(f"\n{report.summary(rows)}")
    return rows
