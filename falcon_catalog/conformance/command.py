"""The command ``falcon-catalog check``."""

import json
from typing import Any

import click

from falcon_catalog.client_flags import identity, with_identity
from falcon_catalog.conformance import report
from falcon_catalog.conformance.catalog import connect
from falcon_catalog.conformance.check import check
from falcon_catalog.conformance.sandbox import Sandbox


@click.command("check")
@click.argument("uri")
@click.option("--warehouse", metavar="NAME", help="Check this warehouse.")
@with_identity
@click.option(
    "--json",
    "json_file",
    metavar="FILE",
    type=click.File("w", encoding="utf-8", lazy=True),
    help="Also write the report as JSON; - is stdout, and omits the table.",
)
@click.option(
    "--namespace",
    default="falcon_check_",
    show_default=True,
    metavar="PREFIX",
    help="Prefix of the names of the check's own namespaces.",
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
    """Check whether the catalog at URI conforms to the Iceberg REST specification.

    \b
    Examples:
        falcon-catalog check http://127.0.0.1:8181
        falcon-catalog check https://catalog.example.com/api --warehouse lake \\
            --credential id:secret --json report.json

    Works with any Iceberg REST catalog. Creates its own namespaces, with unique names that start
    with PREFIX, touches nothing else, and removes them at the end. Exit status 0: nothing failed;
    1: something did; 2: there is no catalog at URI.
    """
    token, credential = identity(token, credential, uri)
    name, _, secret = (credential or "").partition(":")
    pair = None if credential is None else (name, secret)
    catalog = connect(uri, warehouse=warehouse, token=token, credential=pair)
    shown = json_file is None or json_file.name != "-"
    sandbox, rows = Sandbox(catalog, namespace), []
    try:
        for row in check(catalog, sandbox):
            rows.append(row)
            if shown:
                click.echo("\n".join(report.lines(row)))
    finally:
        for left in sandbox.clear():
            click.echo(f"Could not remove {left}", err=True)
    if shown:
        click.echo(f"\n{report.summary(rows)}")
    if json_file is not None:
        json.dump(report.document(uri, catalog, rows), json_file, indent=2, ensure_ascii=False)
        json_file.write("\n")
    if any(row.status == "fail" for row in rows):
        raise SystemExit(1)
