"""``falcon-catalog sample``."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from falcon_catalog.console.connection import Client, client_command
from falcon_catalog.console.entities import NAME, complete_columns, find_table
from falcon_catalog.console.filters import need_pyarrow, scan
from falcon_catalog.console.names import Name
from falcon_catalog.console.rows import print_rows
from falcon_catalog.console.snapshots import select

if TYPE_CHECKING:
    from pyiceberg.table import DataScan


@client_command("sample")
@click.argument("name", type=NAME)
@click.option(
    "--number",
    "-n",
    type=click.IntRange(1, 100_000),
    default=10,
    show_default=True,
    metavar="N",
    help="Show up to N rows.",
)
@click.option(
    "--columns",
    metavar="A,B",
    shell_complete=complete_columns("name"),
    help="Show only these columns.",
)
@click.option("--where", metavar="CONDITION", help="Show only rows that meet a condition.")
def command(
    client: Client, name: Name, *, number: int, columns: str | None, where: str | None
) -> None:
    """Show some rows of a table.

    \b
    Examples:
        falcon-catalog sample weather.observations
        falcon-catalog sample weather.observations@2026-11-01 -n 3
        falcon-catalog sample weather.observations --columns station_id,temperature_c \\
            --where "temperature_c > 30"

    These are the first rows that are found, in no particular order. Files are read one after the
    other, until there are enough rows: a condition that few rows meet reads more of the table.
    Conditions have =, !=, <, >, in, like 'K%', is null, and, or, not.
    --quiet leaves out the titles.
    """
    table = find_table(client, name)
    need_pyarrow("sample")
    snapshot = select(table, name)
    if snapshot is None:
        names = [field.name for field in table.schema().fields]
        print_rows(client.out, names, [])
        return
    scanned = scan(table, snapshot, where, columns)
    with client.out.progress("Reading rows"):
        rows = list(_rows(scanned, number))
    print_rows(client.out, [field.name for field in scanned.projection().fields], rows)


def _rows(scanned: "DataScan", number: int) -> Iterator[tuple[Any, ...]]:
    """Yield up to a number of rows; a file is opened when those before it have too few."""
    from pyiceberg.io.pyarrow import ArrowScan

    for task in scanned.plan_files():
        reader = ArrowScan(
            scanned.table_metadata,
            scanned.io,
            scanned.projection(),
            scanned.row_filter,
            scanned.case_sensitive,
            limit=number,
        )
        for batch in reader.to_record_batches([task]):
            for row in batch.to_pylist():
                yield tuple(row.values())
                number -= 1
        if number <= 0:
            return
