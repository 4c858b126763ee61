"""``falcon-catalog sql``."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from falcon_catalog.console.connection import Client, client_command
from falcon_catalog.console.duck import attached, sql_errors
from falcon_catalog.console.failures import ConsoleError
from falcon_catalog.console.output import Output
from falcon_catalog.console.rows import print_csv, print_rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_SHOWN = 1000  # rows on a terminal
_AT_ONCE = 10_000


@client_command("sql")
@click.argument("query", required=False)
@click.option(
    "--file",
    "-f",
    "script",
    type=click.File(encoding="utf-8"),
    help="Read the statements from a file; - is stdin.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json", "parquet"]),
    default="table",
    show_default=True,
    help="How the rows of the last statement are printed.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the rows to a file: csv or parquet.",
)
def command(
    client: Client, *, query: str | None, script: TextIO | None, form: str, output: Path | None
) -> None:
    """Run SQL on the catalog with DuckDB; the catalog is attached as lake.

    \b
    Examples:
        falcon-catalog sql "SELECT count(*) FROM lake.weather.observations"
        falcon-catalog sql -f report.sql --format csv > report.csv
        falcon-catalog sql "FROM lake.weather.observations" --format parquet -o all.parquet
        echo "SHOW ALL TABLES" | falcon-catalog sql
        falcon-catalog sql

    Without a query it reads stdin, and on a terminal it is a prompt: end statements with a
    semicolon, and the prompt with Ctrl-D. The rows of the last statement are printed. SQL can
    change tables.
    """
    if query is not None and script is not None:
        raise click.UsageError("a query and --file exclude each other")
    if form == "parquet" and output is None:
        raise click.UsageError("--format parquet needs --output FILE")
    if output is not None and form not in {"csv", "parquet"}:
        raise click.UsageError("--output needs --format csv or parquet")
    out = client.out
    if form == "json":
        out = Output(as_json=True)
    if script is not None:
        query = script.read()
    elif query is None and not sys.stdin.isatty():
        query = sys.stdin.read()
    with attached(client) as connection:
        if query is None:
            _prompt(out, connection)
        else:
            _run(out, connection, query, form, output)


def _run(
    out: Output, connection: "DuckDBPyConnection", query: str, form: str, output: Path | None
) -> None:
    statements = connection.extract_statements(query)
    if not statements:
        raise click.UsageError("there is no statement")
    for statement in statements[:-1]:
        connection.execute(statement)
    if form == "parquet":
        relation: Any = connection.sql(statements[-1].query)  # None for what has no rows
        if relation is None:
            raise ConsoleError("the last statement has no rows to write")
        relation.write_parquet(str(output))
        return
    with out.progress("Running"):
        connection.execute(statements[-1])
    described: Any = connection.description  # None for what has no rows
    if described is None:
        return
    names = [column[0] for column in described]
    if form == "csv":
        with contextlib.ExitStack() as stack:
            to = stack.enter_context(output.open("w", encoding="utf-8")) if output else sys.stdout
            print_csv(names, _fetched(connection), to)
        return
    rows: list[Any] = []
    if out.is_terminal and not out.as_json:
        rows = connection.fetchmany(_SHOWN)
        if connection.fetchone() is not None:
            click.echo(f"Only the first {_SHOWN} rows: --format csv prints all", err=True)
    else:
        rows = connection.fetchall()
    print_rows(out, names, rows)


def _fetched(connection: "DuckDBPyConnection") -> Iterator[tuple[Any, ...]]:
    while rows := connection.fetchmany(_AT_ONCE):
        yield from rows


def _prompt(out: Output, connection: "DuckDBPyConnection") -> None:
    """Read statements from a terminal and run them; an error ends its statement only."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - lines can be edited and recalled

    lines: list[str] = []
    while True:
        try:
            line = input("   ...> " if lines else "lake> ")
        except EOFError:
            click.echo()
            return
        except KeyboardInterrupt:
            click.echo()
            lines = []
            continue
        if not lines and line.strip().rstrip(";").lower() in {"", "exit", "quit", ".exit", ".quit"}:
            if line.strip(" ;"):
                return
            continue
        lines.append(line)
        if line.rstrip().endswith(";"):
            query, lines = "\n".join(lines), []
            try:
                with sql_errors():
                    _run(out, connection, query, "table", None)
            except click.ClickException as error:
                error.show()
