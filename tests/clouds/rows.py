"""Write rows with PyIceberg and read them back, knowing the catalog's address alone.

``python -m tests.clouds.rows URI TABLE``. In a process of its own: pyarrow keeps Python's lock
while it waits for Google's store, so that no emulator in the same process could answer.
"""

import sys

import pyarrow as pa
from pyiceberg.catalog import load_catalog


def main(uri: str, name: str) -> None:
    rows = pa.table({"i": [1, 2, 3]})
    lake = load_catalog("lake", type="rest", uri=uri)
    table = lake.create_table(("ns", name), schema=rows.schema)
    for _ in range(2):
        table.append(rows)
    table = lake.load_table(("ns", name))
    found = sorted(table.scan().to_arrow()["i"].to_pylist())
    sys.stdout.write(f"{type(table.io).__name__} {found}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
