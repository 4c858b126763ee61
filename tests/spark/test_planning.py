"""Spark with its scans planned by the catalog: the rows are those that Spark plans itself."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FILTERS = [
    "true",
    "id = 7",
    "id <> 7",
    "id IN (3, 30, 300)",
    "NOT id IN (3, 30)",
    "id < 10 OR data LIKE 'row 9%'",
    "NOT data LIKE 'row 1%'",
    "data IS NULL",
    "amount > 3.25",
    "amount <=> NULL",
    "day = DATE '2020-01-03'",
    "day >= DATE '2020-01-04' AND at < TIMESTAMP '2020-01-05 12:00:00'",
    "isnan(ratio)",
    "ratio < 0.5 AND flag",
]


@pytest.fixture(scope="module")
def log(lake: Any, spark: Any) -> Iterator[Path]:
    """Run a second server on the lake, to which every scan is big; its catalog is ``planned``."""
    flags = ["--store", f"sqlite:///{lake.folder}/catalog.db"]
    flags += ["--warehouse", f"file://{lake.folder}/files", "--listen", "127.0.0.1:0"]
    program = [sys.executable, "-c", "from falcon_catalog.cli import main; main()", "serve"]
    many = {"CATALOG_PLANNING_SYNC_MANIFESTS": "1", "CATALOG_PLANNING_PAGE_FILES": "2"}
    path = lake.folder / "planner.log"
    with (
        path.open("wb") as errors,
        subprocess.Popen(
            [*program, *flags],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **many},
        ) as server,
    ):
        line = server.stdout.readline().strip() if server.stdout else ""
        assert line.startswith("Listening on "), path.read_text()
        catalog = "spark.sql.catalog.planned"
        spark.conf.set(catalog, "org.apache.iceberg.spark.SparkCatalog")
        spark.conf.set(f"{catalog}.type", "rest")
        spark.conf.set(f"{catalog}.uri", line.removeprefix("Listening on "))
        spark.conf.set(f"{catalog}.scan-planning-mode", "server")
        yield path
        server.terminate()
        assert server.wait(60) == 0


def calls(log: Path) -> dict[str, int]:
    """Count the answered calls of scan planning."""
    lines = r'message="(POST|GET) [^"]+/(plan|tasks)[^"]*" .*status=200 '
    found = re.findall(lines, log.read_text())
    names = [f"{verb} {route}" for verb, route in found]
    return {name: names.count(name) for name in ("POST plan", "GET plan", "POST tasks")}


@pytest.mark.parametrize("version", [2, 3])
def test_spark_reads_what_the_catalog_plans(ns: str, sql: Any, log: Path, version: int) -> None:
    sql(
        f"CREATE TABLE {ns}.t (id BIGINT, data STRING, amount DECIMAL(9, 2), day DATE,"
        " at TIMESTAMP, ratio DOUBLE, flag BOOLEAN) PARTITIONED BY (days(at), bucket(2, id))"
        f" TBLPROPERTIES ('format-version' = '{version}', 'write.delete.mode' = 'merge-on-read')"
    )
    for first in (0, 100, 200):
        sql(
            f"INSERT INTO {ns}.t SELECT id, if(id % 10 = 0, NULL, concat('row ', id)),"
            " if(id % 7 = 0, NULL, CAST(id / 8 AS DECIMAL(9, 2))),"
            " date_add(DATE '2020-01-01', CAST(id % 5 AS INT)),"
            " TIMESTAMP '2020-01-01 00:00:00' + make_interval(0, 0, 0, 0, CAST(id % 120 AS INT)),"
            " if(id % 9 = 0, DOUBLE('NaN'), id / 300), id % 2 = 0"
            f" FROM range({first}, {first + 50})"
        )
    sql(f"ALTER TABLE {ns}.t DROP PARTITION FIELD bucket(2, id)")
    sql(f"INSERT INTO {ns}.t SELECT 300, 'last', 1, current_date(), now(), 1, true")
    sql(f"DELETE FROM {ns}.t WHERE id IN (4, 104, 105)")
    table = f"{ns.removeprefix('lake.')}.t"
    before = calls(log)
    for condition in FILTERS:
        query = f"SELECT * FROM {{}}.{table} WHERE {condition} ORDER BY id"
        assert str(sql(query.format("planned"))) == str(sql(query.format("lake"))), condition
    after = calls(log)
    assert after["POST plan"] - before["POST plan"] >= len(FILTERS)
    assert after["GET plan"] > before["GET plan"]
    assert after["POST tasks"] > before["POST tasks"]


def test_counts_extremes_and_the_past(ns: str, sql: Any, log: Path, lake: Any) -> None:
    sql(f"CREATE TABLE {ns}.t (id BIGINT, data STRING)")
    for number in range(3):
        sql(f"INSERT INTO {ns}.t VALUES ({number}, 'a'), ({number + 10}, NULL)")
    table = f"planned.{ns.removeprefix('lake.')}.t"
    before = calls(log)["POST plan"]
    assert sql(f"SELECT count(*), min(id), max(id), count(data) FROM {table}") == [(6, 0, 12, 3)]
    first = lake.metadata(f"{ns}.t")["snapshots"][0]["snapshot-id"]
    assert sql(f"SELECT count(*) FROM {table} VERSION AS OF {first}") == [(2,)]
    sql(f"ALTER TABLE {ns}.t RENAME COLUMN data TO text")
    sql(f"REFRESH TABLE {table}")
    assert sql(f"SELECT id FROM {table} VERSION AS OF {first} WHERE data = 'a'") == [(0,)]
    assert sql(f"SELECT id FROM {table} WHERE text = 'a' ORDER BY id") == [(0,), (1,), (2,)]
    assert calls(log)["POST plan"] > before
