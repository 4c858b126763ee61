"""Spark on S3 with vended credentials, for longer than they live: cases 19 and 21."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from falcon_catalog.fileio.delegation import Credential, Scope
from tests.catalog.serving import Server
from tests.clouds import emulators
from tests.clouds.warehouses import VENDED, on_s3
from tests.spark.conftest import MAVEN_GET, SPARK_DEFAULTS, TIMEOUT, runtime
from tests.spark.running import rows_of

AWS_BUNDLE = "org.apache.iceberg:iceberg-aws-bundle:1.12.0"
__all__ = ["runtime"]

SESSION = 40
"""Seconds for which a session lives, as everybody is told; clouds grant 900 at the least.

Java then asks for another one at every use, for it wants five minutes to be left. It gets one that
has at least half of its life before it.
"""
LASTS = 2.5 * SESSION


@pytest.fixture(scope="module")
def store() -> Iterator[emulators.S3]:
    with emulators.s3("--bucket", "lake", "--session-seconds", str(SESSION)) as one:
        yield one


@pytest.fixture
def server(
    tmp_path: Path, store: emulators.S3, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    """A catalog whose credentials do not live long."""
    with on_s3(tmp_path, store) as served:
        vends = served.catalog.storage.vends
        assert vends is not None
        vend = vends.vend

        def short(scope: Scope, *, session: str) -> Credential:
            ends = int((time.time() + SESSION) * 1000)
            credential = vend(scope, session=session)
            config = {**credential.config, "s3.session-token-expires-at-ms": str(ends)}
            return replace(credential, config=config, expires_at=ends)

        monkeypatch.setattr(vends, "vend", short)
        yield served


@pytest.fixture
def spark(
    runtime: None,  # noqa: ARG001
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Any]:
    """A Spark session that knows what ``falcon-catalog engines spark`` prints, and no more."""
    bundle = [f"-Dartifact={AWS_BUNDLE}", "-Dtransitive=false"]
    command = ["mvn", "--batch-mode", "--quiet", MAVEN_GET, *bundle]
    subprocess.run(command, check=True, timeout=TIMEOUT)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    lines = "".join(f"{key} {value}\n" for key, value in SPARK_DEFAULTS.items())
    (tmp_path / "spark-defaults.conf").write_text(
        f"{lines}spark.sql.warehouse.dir {tmp_path}/spark-warehouse\n"
    )
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    monkeypatch.delenv("SPARK_HOME", raising=False)
    command = [sys.executable, "-m", "falcon_catalog", "engines", "spark", "--uri", server.url]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    scope: dict[str, Any] = {}
    exec(printed, scope)  # noqa: S102
    yield scope["spark"]
    scope["spark"].stop()


def refreshes(server: Server) -> float:
    """Return how often clients have asked for credentials once more."""
    lines = server.call("GET", "/metrics").text.splitlines()
    counted = [
        line.split()[-1]
        for line in lines
        if line.startswith("falcon_catalog_requests_total")
        and 'operation="loadCredentials"' in line
    ]
    return sum(map(float, counted))


def test_case_19_spark_writes_and_reads_past_the_life_of_its_credentials(
    server: Server, spark: Any
) -> None:
    rows_of(spark, "CREATE TABLE lake.ns.t (id BIGINT, data STRING)")
    table = server.ok("GET", "/v1/namespaces/ns/tables/t", headers=VENDED)
    config = table["config"]
    first = boto3.client(
        "s3",
        endpoint_url=config["s3.endpoint"],
        region_name=config["s3.region"],
        aws_access_key_id=config["s3.access-key-id"],
        aws_secret_access_key=config["s3.secret-access-key"],
        aws_session_token=config["s3.session-token"],
    )
    bucket, _, key = table["metadata"]["location"].removeprefix("s3://").partition("/")
    first.list_objects_v2(Bucket=bucket, Prefix=f"{key}/")
    began, written = time.monotonic(), 0
    while time.monotonic() < began + LASTS:
        written += 1
        rows_of(spark, f"INSERT INTO lake.ns.t VALUES ({written}, 'x')")
        assert rows_of(spark, "SELECT count(*), max(id) FROM lake.ns.t") == [(written, written)]
    with pytest.raises(ClientError, match="ExpiredToken"):
        first.list_objects_v2(Bucket=bucket, Prefix=f"{key}/")
    assert refreshes(server) >= LASTS // SESSION
    rows_of(spark, "DELETE FROM lake.ns.t WHERE id = 1")
    assert rows_of(spark, "SELECT min(id) FROM lake.ns.t") == [(2,)]
    rows_of(spark, "DROP TABLE lake.ns.t")
