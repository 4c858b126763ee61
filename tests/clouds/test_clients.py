"""Clients that know the catalog's address and nothing else, on an S3 warehouse: case 21."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3
import duckdb
import polars as pl
import pytest
from pyiceberg.catalog import load_catalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.expressions import EqualTo

from tests.catalog.serving import Server
from tests.clients.conftest import ARROW, Duck, Pool, read, rows
from tests.clouds.emulators import S3
from tests.clouds.warehouses import on_s3

FSSPEC = {"py-io-impl": "pyiceberg.io.fsspec.FsspecFileIO"}


@pytest.fixture(autouse=True)
def _no_credentials_of_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


@pytest.fixture
def server(tmp_path: Path, s3: S3) -> Iterator[Server]:
    with on_s3(tmp_path, s3) as served:
        yield served


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    one = Pool(tmp_path_factory.mktemp("extensions"))
    yield one
    one.close()


def attached(pool: Pool, server: Server, stack: ExitStack, options: str = "") -> Duck:
    """Return a DuckDB connection with the catalog attached."""
    duck = Duck(stack.enter_context(pool.connection()))
    duck(
        f"ATTACH 'default' AS lake (TYPE iceberg, ENDPOINT '{server.url}',"
        f" AUTHORIZATION_TYPE 'none'{options})",
        "USE lake.ns",
    )
    return duck


@pytest.fixture
def duck(pool: Pool, server: Server) -> Iterator[Duck]:
    with ExitStack() as stack:
        yield attached(pool, server, stack)


@pytest.fixture(params=["pyarrow", "fsspec"])
def iceberg(server: Server, request: pytest.FixtureRequest) -> Iterator[RestCatalog]:
    options = {}
    if request.param == "fsspec":
        pytest.importorskip("s3fs")
        options = FSSPEC
    catalog = load_catalog("lake", type="rest", uri=server.url, **options)
    assert isinstance(catalog, RestCatalog)
    yield catalog
    catalog.close()


def test_case_21_pyiceberg_writes_and_reads(iceberg: RestCatalog) -> None:
    table = iceberg.create_table("ns.t", ARROW)
    table.append(rows((1, "a"), (2, "b")))
    table.delete(EqualTo("i", 1))
    table.append(rows((3, "c")))
    assert read(table) == [(2, "b"), (3, "c")]
    with iceberg.create_table_transaction("ns.staged", ARROW) as staged:
        staged.append(rows((4, "d")))
    assert read(iceberg.load_table("ns.staged")) == [(4, "d")]


def test_case_21_duckdb_writes_and_reads(duck: Duck) -> None:
    duck(
        "CREATE TABLE t AS FROM (VALUES (1, 'a'), (2, 'b'), (3, 'c')) AS v (i, s)",
        "INSERT INTO t VALUES (4, 'd')",
        "DELETE FROM t WHERE i = 2",
        "UPDATE t SET s = 'C' WHERE i = 3",
    )
    assert duck("FROM t ORDER BY i") == [(1, "a"), (3, "C"), (4, "d")]


def test_case_21_what_one_writes_the_other_reads(duck: Duck, server: Server) -> None:
    catalog = load_catalog("lake", type="rest", uri=server.url)
    table = catalog.create_table("ns.t", ARROW)
    table.append(rows((1, "a")))
    duck("INSERT INTO t VALUES (2, 'b')")
    assert read(table) == duck("FROM t ORDER BY i") == [(1, "a"), (2, "b")]
    catalog.close()


def test_case_21_polars_writes_and_reads(server: Server) -> None:
    catalog = load_catalog("lake", type="rest", uri=server.url)
    table = catalog.create_table("ns.t", ARROW)
    frame = pl.DataFrame({"i": [1, 2], "s": ["a", "b"]}, schema={"i": pl.Int32, "s": pl.String})
    frame.write_iceberg(table, mode="append")
    table = catalog.load_table("ns.t")
    # Its own reader takes no credentials from the table: they must be passed on.
    native = pl.scan_iceberg(table, storage_options=table.io.properties)
    for scan in (native, pl.scan_iceberg(table, reader_override="pyiceberg")):
        assert sorted(scan.collect().rows()) == [(1, "a"), (2, "b")]
    catalog.close()


def test_case_21_a_client_cannot_read_another_table_with_its_keys(server: Server, s3: S3) -> None:
    catalog = load_catalog("lake", type="rest", uri=server.url)
    one, other = (catalog.create_table(f"ns.{name}", ARROW) for name in ("one", "other"))
    other.append(rows((1, "secret")))
    keys: Any = one.io.properties
    client = boto3.client(
        "s3",
        endpoint_url=keys["s3.endpoint"],
        region_name=keys["s3.region"],
        aws_access_key_id=keys["s3.access-key-id"],
        aws_secret_access_key=keys["s3.secret-access-key"],
        aws_session_token=keys["s3.session-token"],
    )
    file = other.inspect.files()["file_path"][0].as_py()
    key = file.removeprefix(f"s3://{s3.bucket}/")
    with pytest.raises(client.exceptions.ClientError, match=r"AccessDenied|Forbidden"):
        client.get_object(Bucket=s3.bucket, Key=key)
    catalog.close()


@pytest.mark.parametrize("mode", ["", ", ACCESS_DELEGATION_MODE 'none'"], ids=["asks", "none"])
def test_case_21_duckdb_uses_its_own_secret_where_nothing_is_vended(
    tmp_path: Path, s3: S3, pool: Pool, mode: str
) -> None:
    endpoint = s3.url.removeprefix("http://")
    with on_s3(tmp_path, s3, warehouse__access="client") as server, ExitStack() as stack:
        duck = attached(pool, server, stack, mode)
        with pytest.raises(duckdb.Error):
            duck("CREATE TABLE t AS SELECT 1 AS i")
        duck(
            f"CREATE SECRET own (TYPE s3, KEY_ID '{s3.access_key_id}',"
            f" SECRET '{s3.secret_access_key}', REGION '{s3.region}', ENDPOINT '{endpoint}',"
            " USE_SSL false, URL_STYLE 'path')",
            "CREATE TABLE u AS SELECT 1 AS i",
            "INSERT INTO u VALUES (2)",
        )
        assert duck("FROM u ORDER BY i") == [(1,), (2,)]
        duck("DROP SECRET own")
