"""Go's Iceberg library on the catalog: the program in ``go/``, and what it left behind."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from pyiceberg.catalog import load_catalog

from tests.catalog.serving import Server

PROGRAM = Path(__file__).parent / "go"
TIMEOUT = 1500  # seconds, in which all of the library is fetched and compiled where it is not


@pytest.mark.timeout(TIMEOUT)
def test_go(catalog: Server) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip("there is no go, which compiles Iceberg's library and the program on it")
    subprocess.run(
        [go, "test", "-count=1", "-v", "./..."],
        cwd=PROGRAM,
        env={**os.environ, "CATALOG_URI": catalog.url},
        check=True,
    )
    lake = load_catalog("lake", type="rest", uri=catalog.url, warehouse="default")
    rows = lake.load_table("go_rows.t").scan().to_arrow()
    assert sorted(rows["city"].to_pylist()) == ["Albany", "Buffalo", "New York"]
