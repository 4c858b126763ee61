"""Row-level changes with DuckDB: UPDATE, DELETE and MERGE in SQL, and every reader sees them."""

import argparse
import tempfile

import duckdb
from common import arguments, namespace, show, weather
from duckdb_extensions import import_extension

NAME = "example_rows.weather"


def attach(options: argparse.Namespace, extensions: str) -> duckdb.DuckDBPyConnection:
    """Open DuckDB with the catalog as ``lake``; its extensions come from their wheels."""
    database = duckdb.connect(config={"extension_directory": extensions})
    for extension in ("httpfs", "avro", "iceberg"):
        import_extension(extension, con=database)
    database.execute("LOAD iceberg")
    access = "AUTHORIZATION_TYPE 'none'"
    if options.token:
        database.execute(f"CREATE SECRET lake (TYPE iceberg, TOKEN '{options.token}')")
        access = "SECRET lake"
    database.execute(
        f"ATTACH '{options.warehouse}' AS lake"
        f" (TYPE iceberg, ENDPOINT '{options.catalog_uri}', {access})"
    )
    return database


def main() -> None:
    """Change rows with DuckDB, read them with PyIceberg."""
    options = arguments(__doc__)
    with namespace(options, "example_rows") as catalog, tempfile.TemporaryDirectory() as folder:
        table = catalog.create_table(NAME, weather(0).schema)
        for day in (1, 2):
            table.append(weather(day, 20.5, 21.0, 19.5))
        lake = attach(options, folder)
        lake.execute(f"UPDATE lake.{NAME} SET temperature_c = 22.5 WHERE day = 2")
        lake.execute(f"DELETE FROM lake.{NAME} WHERE station = 'KLGA'")
        lake.execute(
            f"MERGE INTO lake.{NAME} AS old"
            " USING (VALUES ('KJFK', 2, 18.0), ('KJFK', 3, 17.5)) AS new(station, day, celsius)"
            " ON old.station = new.station AND old.day = new.day"
            " WHEN MATCHED THEN UPDATE SET temperature_c = new.celsius"
            " WHEN NOT MATCHED THEN INSERT VALUES (new.station, new.day, new.celsius)"
        )
        table = table.refresh()
        show("PyIceberg reads", table)
        rows = lake.execute(f"SELECT count(*), sum(temperature_c) FROM lake.{NAME}").fetchall()
        print("DuckDB counts:", *rows[0])
        # Old files stay; delete files beside them say which of their rows are gone.
        tasks = list(table.scan().plan_files())
        deletes = {delete.file_path for task in tasks for delete in task.delete_files}
        print("data files:", len(tasks), "with deletes:", bool(deletes))
        lake.close()


if __name__ == "__main__":
    main()
