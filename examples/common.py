"""What every example needs: a catalog, a namespace of its own, a little weather."""

import argparse
import contextlib
from collections.abc import Iterator

import pyarrow as pa
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.table import Table

SCHEMA = pa.schema(
    [
        pa.field("station", pa.string(), nullable=False),
        pa.field("day", pa.int32(), nullable=False),
        pa.field("temperature_c", pa.float64()),
    ]
)


def arguments(about: str | None) -> argparse.Namespace:
    """Read --catalog-uri and the like from the command line."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--catalog-uri", default="http://127.0.0.1:8181")
    parser.add_argument("--warehouse", default="default")
    parser.add_argument("--token")
    return parser.parse_args()


@contextlib.contextmanager
def namespace(options: argparse.Namespace, name: str) -> Iterator[RestCatalog]:
    """Open the catalog with a namespace for the example; in the end it is gone again."""
    token = {"token": options.token} if options.token else {}
    catalog = RestCatalog("x", uri=options.catalog_uri, warehouse=options.warehouse, **token)
    catalog.create_namespace(name)
    try:
        yield catalog
    finally:
        for table in catalog.list_tables(name):
            catalog.purge_table(table)
        catalog.drop_namespace(name)
        catalog.close()


def weather(day: int, *temperatures: float | None) -> pa.Table:
    """Make a day's rows: one for each of the stations KEWR, KJFK and KLGA."""
    stations = ["KEWR", "KJFK", "KLGA"][: len(temperatures)]
    columns = [stations, [day] * len(stations), list(temperatures)]
    return pa.table(columns, schema=SCHEMA)


def show(title: str, table: Table, **scan: object) -> None:
    """Print a table's rows, sorted."""
    rows = table.scan(**scan).to_arrow().to_pylist()
    print(f"{title}: {len(rows)} rows")
    for row in sorted(rows, key=lambda row: (row["day"], row["station"])):
        print("  ", *row.values())
