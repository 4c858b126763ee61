"""``python -m jobs.report``: the report of a day, from any lake that the pipeline fills."""

import datetime as dt
from pathlib import Path

import click
import duckdb
from pyiceberg.exceptions import RESTError
from requests import RequestException

from jobs.report.blocks import Day
from jobs.report.build import build
from jobs.report.lake import open_lake
from jobs.targets import write


@click.command(context_settings={"show_default": True, "help_option_names": ["-h", "--help"]})
@click.option(
    "--date",
    type=click.DateTime(["%Y-%m-%d"]),
    required=True,
    help="The day, by the stations' own clocks.",
)
@click.option("--catalog-uri", default="http://127.0.0.1:8181", help="URL of the catalog.")
@click.option(
    "--catalog-pages",
    default="",
    help="URL at which people open the catalog's pages, for the report's link; else its URL.",
)
@click.option("--warehouse", default="default", help="Warehouse of the catalog.")
@click.option(
    "--token", envvar="CATALOG_TOKEN", default="", help="Bearer token, if the catalog asks for one."
)
@click.option(
    "--credential",
    envvar="CATALOG_CREDENTIAL",
    default="",
    help="CLIENT_ID:CLIENT_SECRET to get a token for, in the token's stead.",
)
@click.option(
    "--stations",
    default="",
    help="Stations to look closer at, such as KJFK,KLGA; else those that stand out.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    help="The file to write.",
)
@click.option(
    "--extensions",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var/weather/duckdb-extensions"),
    help="Folder of DuckDB's extensions, filled when it is empty.",
)
def main(
    *,
    date: dt.datetime,
    catalog_uri: str,
    catalog_pages: str,
    warehouse: str,
    token: str,
    credential: str,
    stations: str,
    output: Path,
    extensions: Path,
) -> None:
    r"""Write the weather of a day into one HTML file that needs no network.

    \b
    python -m jobs.report --date 2013-07-02 --catalog-uri http://127.0.0.1:8181
    """
    names = tuple(name.strip().upper() for name in stations.split(",") if name.strip())
    try:
        with open_lake(
            catalog_uri, warehouse, extensions, token=token, credential=credential
        ) as lake:
            page = build(lake, Day(date.date(), names), catalog_pages)
    except (duckdb.Error, RESTError, RequestException, OSError) as error:
        line = " ".join(str(error).split())
        raise click.ClickException(f"no report from {catalog_uri}: {line}") from None
    write(output, page.encode())
    click.echo(f"{output}: {len(page.encode()) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
