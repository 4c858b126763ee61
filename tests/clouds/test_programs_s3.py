"""The check, the engines' settings and the examples on a warehouse in an S3 store.

Clients know the catalog's address and nothing of the store.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import duckdb_extensions
import pyarrow as pa
import pytest
from click.testing import CliRunner

from falcon_catalog.cli import main
from tests.catalog.serving import Server
from tests.clouds.lake import Lake
from tests.examples.test_examples import SAYS, run_example

ROWS = pa.table({"id": [1, 2, 3], "name": ["a", None, "c"]})


@pytest.fixture
def server(lake: Lake) -> Iterator[Server]:
    with lake.serving() as server:
        yield server


def test_the_catalog_conforms_and_the_check_leaves_nothing(lake: Lake, server: Server) -> None:
    before = lake.all_keys()
    done = CliRunner().invoke(main, ["check", server.url, "--json", "-"], catch_exceptions=False)
    report = json.loads(done.stdout)
    assert done.exit_code == 0, [row for row in report["results"] if row["status"] == "fail"]
    assert lake.all_keys() == before


@pytest.mark.parametrize("name", SAYS)
def test_examples_show_what_they_say(server: Server, tmp_path: Path, name: str) -> None:
    run_example(name, server.url, tmp_path)


def test_engines_work_with_what_is_printed(server: Server, tmp_path: Path) -> None:
    said = CliRunner().invoke(main, ["engines", "--uri", server.url, "--json"])
    printed = json.loads(said.stdout)
    scope: dict[str, Any] = {}
    exec(printed["pyiceberg"], scope)  # noqa: S102
    scope["lake"].create_namespace("ns")
    scope["lake"].create_table("ns.t", ROWS.schema).append(ROWS)
    exec(printed["polars"], scope)  # noqa: S102
    assert scope["scan"]("ns.t").collect().rows() == [(1, "a"), (2, None), (3, "c")]
    with duckdb.connect(config={"extension_directory": str(tmp_path)}) as connection:
        for extension in ("avro", "httpfs", "iceberg"):
            duckdb_extensions.import_extension(extension, con=connection)
        connection.execute(printed["duckdb"])
        connection.execute("INSERT INTO lake.ns.t VALUES (4, 'd')")
        rows = connection.execute("FROM lake.ns.t ORDER BY id").fetchall()
    assert rows == [(1, "a"), (2, None), (3, "c"), (4, "d")]
    assert "fs.native-s3.enabled=true\ns3.region=us-east-1\n" in printed["trino"]
    assert "iceberg-aws-bundle" in printed["spark"]
