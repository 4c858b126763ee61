"""Query the demo's tables with DuckDB: ``python -m jobs.demo.sql "FROM lake.weather.stations"``."""

from pathlib import Path

import click
import duckdb
from requests import RequestException
from tabulate import tabulate

from jobs.report.lake import open_lake


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("query")
@click.option("--uri", default="http://127.0.0.1:8181", show_default=True, help="The catalog.")
@click.option(
    "--extensions",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var/demo/weather/duckdb-extensions"),
    show_default=True,
    help="Folder of DuckDB's extensions.",
)
def main(query: str, uri: str, extensions: Path) -> None:
    """Print the result of a QUERY; the warehouse is attached as lake."""
    try:
        with open_lake(uri, "default", extensions) as lake:
            rows = lake.ask(query)
    except (duckdb.Error, OSError, RequestException) as error:
        raise click.ClickException(" ".join(str(error).split())) from None
    click.echo(tabulate(rows, headers="keys", missingval="-"))


if __name__ == "__main__":
    main()
