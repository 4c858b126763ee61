"""Write, audit, publish: rows reach readers when they were checked, all at once or never."""

import pyarrow as pa
import pyarrow.compute as pc
from common import arguments, namespace, show, weather
from pyiceberg.table import Table

COLDEST, HOTTEST = -90.0, 60.0


def audit(rows: pa.Table) -> list[str]:
    """Say what is wrong with rows."""
    celsius = rows.column("temperature_c")
    odd = pc.sum(pc.or_(pc.less(celsius, COLDEST), pc.greater(celsius, HOTTEST))).as_py() or 0
    keys = rows.group_by(["station", "day"]).aggregate([])
    faults = [f"{odd} temperatures out of range"] if odd else []
    doubles = rows.num_rows - keys.num_rows
    return faults + ([f"{doubles} rows twice"] if doubles else [])


def load(table: Table, rows: pa.Table) -> None:
    """Append rows on a branch; make it main's head if they pass, forget it if not."""
    head = table.refs()["main"].snapshot_id
    table.manage_snapshots().create_branch(head, "audit").commit()
    table.append(rows, branch="audit")
    written = table.scan(snapshot_id=table.refs()["audit"].snapshot_id).to_arrow()
    faults = audit(written)
    if table.refs()["main"].snapshot_id != head:
        faults.append("main has moved on meanwhile: load again")
    if not faults:
        # The catalog refuses it if main moves on just now.
        table.manage_snapshots().set_current_snapshot(ref_name="audit").commit()
    table.manage_snapshots().remove_branch("audit").commit()
    print("published" if not faults else f"not published: {', '.join(faults)}")


def main() -> None:
    """Load a good batch and a bad one."""
    with namespace(arguments(__doc__), "example_wap") as catalog:
        rows = weather(1, 20.5, 21.0)
        table = catalog.create_table("example_wap.weather", rows.schema)
        table.append(rows)
        load(table, weather(2, 19.0, 18.5))
        load(table, weather(3, 19.0, 468.1))
        load(table, weather(2, 19.0))
        show("what readers see", table)


if __name__ == "__main__":
    main()
