"""Go's Iceberg library on S3, with the catalog's address alone: the program in ``go/``; case 21."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from pyiceberg.catalog import load_catalog

from tests.clouds.emulators import S3
from tests.clouds.warehouses import on_s3

PROGRAM = Path(__file__).parent / "go"
TIMEOUT = 1500  # seconds, in which all of the library is fetched and compiled where it is not


@pytest.mark.timeout(TIMEOUT)
def test_case_21_go_writes_and_reads(tmp_path: Path, s3: S3) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip("there is no go, which compiles Iceberg's library and the program on it")
    # What compiles takes longer than the tests' servers live; the server is not needed for it.
    subprocess.run([go, "test", "-c", "-o", tmp_path / "program", "."], cwd=PROGRAM, check=True)
    with on_s3(tmp_path, s3) as server:
        own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        subprocess.run(
            [tmp_path / "program", "-test.v"],
            env={**own, "CATALOG_URI": server.url, "AWS_EC2_METADATA_DISABLED": "true"},
            check=True,
            timeout=120,
        )
        lake = load_catalog("lake", type="rest", uri=server.url)
        assert sorted(lake.load_table("ns.t").scan().to_arrow()["id"].to_pylist()) == [1, 2, 3, 5]
        lake.close()
