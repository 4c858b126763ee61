"""Clients on a warehouse whose catalog signs, knowing the catalog's address and nothing else.

Spark has a suite of its own: tests/spark.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import duckdb
import pytest
from pyiceberg.catalog import load_catalog
from pyiceberg.expressions import EqualTo
from pyiceberg.utils.concurrent import ExecutorFactory

from tests.clients.conftest import ARROW, Pool, read, rows
from tests.clouds.emulators import S3
from tests.clouds.signing import Signing, on, signing
from tests.clouds.test_clients import attached


@pytest.fixture(autouse=True)
def _no_credentials_of_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


@pytest.fixture(params=["own keys", "keys of the table"])
def store(s3: S3, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Signing]:
    role = {} if request.param == "own keys" else {"warehouse__role_arn": s3.role_arn}
    prefix = f"clients-{tmp_path.name}-{len(role)}"
    with signing(tmp_path, **on(s3), prefix=prefix, **role) as served:
        yield served


def test_pyiceberg_writes_and_reads(store: Signing, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one thread: PyIceberg 0.12 takes the signer out of a client that its threads share, and
    puts it back, whenever one of them opens a file system, so that a request of another is not
    signed."""
    pytest.importorskip("s3fs")
    monkeypatch.setattr(ExecutorFactory, "_instance", ThreadPoolExecutor(1))
    monkeypatch.setattr(ExecutorFactory, "_instance_pid", os.getpid())
    catalog = load_catalog("lake", type="rest", uri=store.server.url)
    table = catalog.create_table("ns.t", ARROW)
    table.append(rows((1, "a"), (2, "b")))
    table.delete(EqualTo("i", 1))
    table.append(rows((3, "c")))
    assert read(catalog.load_table("ns.t")) == [(2, "b"), (3, "c")]
    with catalog.create_table_transaction("ns.staged", ARROW) as staged:
        staged.append(rows((4, "d")))
    assert read(catalog.load_table("ns.staged")) == [(4, "d")]
    properties = catalog.load_table("ns.t").io.properties
    assert not [name for name in properties if "secret" in name or "access-key" in name]
    catalog.close()


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return Pool(tmp_path_factory.mktemp("extensions"))


@pytest.mark.parametrize("store", ["own keys"], indirect=True)
def test_duckdb_cannot_sign_and_uses_keys_of_its_own(store: Signing, s3: S3, pool: Pool) -> None:
    own = (
        f"CREATE SECRET own (TYPE s3, KEY_ID '{s3.access_key_id}', SECRET"
        f" '{s3.secret_access_key}', REGION '{s3.region}', ENDPOINT"
        f" '{store.address}', URL_STYLE 'path', USE_SSL false)"
    )
    with ExitStack() as stack:
        duck = attached(pool, store.server, stack)
        duck("CREATE TABLE t (i INTEGER)")
        with pytest.raises(duckdb.Error):
            duck("INSERT INTO t VALUES (1)")
        stack.callback(duck, "DROP SECRET IF EXISTS own")  # others use the database after this
        duck(own, "INSERT INTO t VALUES (1)")
        assert duck("FROM t") == [(1,)]
