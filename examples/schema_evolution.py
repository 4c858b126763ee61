"""Schema evolution: columns come, widen and change their names; no file is written again."""

from common import arguments, namespace, show, weather
from pyiceberg.types import DoubleType, LongType


def main() -> None:
    """Change a table's columns between two appends."""
    with namespace(arguments(__doc__), "example_schema") as catalog:
        first = weather(1, 20.5, 21.0)
        table = catalog.create_table("example_schema.weather", first.schema)
        table.append(first)
        show("as it began", table)

        with table.update_schema() as update:
            update.add_column("wind_mps", DoubleType(), doc="wind speed, m/s")
            update.rename_column("temperature_c", "temp")
            update.update_column("day", LongType())
        show("another shape, the same files", table)

        second = weather(2, 19.0, 18.5).rename_columns(["station", "day", "temp"])
        table.append(second.append_column("wind_mps", [[3.5, 4.0]]))
        show("new rows have the new column", table)

        with table.update_schema() as update:
            update.move_first("day")
            update.delete_column("wind_mps")
        show("a column less, in another order", table)

        # Columns are known by ids, not by names: old snapshots still have their own schema.
        snapshot = table.snapshots()[0]
        old = table.scan(snapshot_id=snapshot.snapshot_id).to_arrow()
        print("the first snapshot's columns:", ", ".join(old.column_names))
        print("files written:", len(list(table.scan().plan_files())))


if __name__ == "__main__":
    main()
