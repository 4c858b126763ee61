"""Rust's Iceberg library on the catalog: the program in ``rust/``, and what it left behind."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from pyiceberg.catalog import load_catalog

from tests.catalog.serving import Server

PROGRAM = Path(__file__).parent / "rust"
BUILT = Path(__file__).parents[2] / "var" / "cargo"
TIMEOUT = 1500  # seconds, in which all of the library is fetched and compiled where it is not


@pytest.mark.timeout(TIMEOUT)
def test_rust(catalog: Server) -> None:
    cargo = shutil.which("cargo")
    if cargo is None:
        pytest.skip("there is no cargo, which compiles Iceberg's library and the program on it")
    subprocess.run(
        [cargo, "test", "--locked", "--", "--nocapture"],
        cwd=PROGRAM,
        env={"CARGO_TARGET_DIR": str(BUILT), **os.environ, "CATALOG_URI": catalog.url},
        check=True,
    )
    lake = load_catalog("lake", type="rest", uri=catalog.url, warehouse="default")
    rows = lake.load_table("rust_rows.t").scan().to_arrow()
    assert sorted(rows["city"].to_pylist()) == ["Albany", "New York", "Newark", "Newark"]
