"""Spark without any key: each of its requests to the object store is signed by the catalog.

A session of its own, in a process of its own: Iceberg's bundle for AWS must be there from the
start.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from falcon_catalog.fileio.delegation import SignedRequest
from falcon_catalog.fileio.s3_signing import S3Signer
from tests.clouds import emulators
from tests.clouds.signing import on, signing
from tests.spark.conftest import MAVEN_GET, SPARK_DEFAULTS, TIMEOUT

BUNDLE = "org.apache.iceberg:iceberg-aws-bundle:1.12.0"
PATIENCE = 600  # seconds: a run takes one minute on an idle machine
AWKWARD = "(1, 'a/b'), (2, 'x y+z'), (3, 'é%'), (4, '..'), (5, 'a=b&c')"
EARLIER = "TIMESTAMP '2020-01-01 00:00:00'"
STATEMENTS = {
    "create": "CREATE TABLE lake.ns.t (id BIGINT, data STRING) PARTITIONED BY (data)",
    "insert": f"INSERT INTO lake.ns.t VALUES {AWKWARD}",
    "again": "INSERT INTO lake.ns.t VALUES (6, 'a/b'), (7, 'a/b')",
    "delete": "DELETE FROM lake.ns.t WHERE id = 1",
    "update": "UPDATE lake.ns.t SET data = 'moved' WHERE id = 6",
    "rows": "SELECT id, data FROM lake.ns.t ORDER BY id",
    "compacted": "CALL lake.system.rewrite_data_files(table => 'ns.t', options =>"
    " map('rewrite-all', 'true'))",
    "expired": "CALL lake.system.expire_snapshots(table => 'ns.t', older_than =>"
    " TIMESTAMP '2100-01-01 00:00:00', retain_last => 1)",
    "orphans": "CALL lake.system.remove_orphan_files(table => 'ns.t', prefix_listing => true,"
    f" older_than => {EARLIER})",
    "staged": "CREATE TABLE lake.ns.c AS SELECT * FROM lake.ns.t WHERE id > 2",
    "copied": "SELECT count(*) FROM lake.ns.c",
    "replaced": "CREATE OR REPLACE TABLE lake.ns.c AS SELECT * FROM lake.ns.t WHERE id > 5",
    "left": "SELECT count(*) FROM lake.ns.c",
    "purged": "DROP TABLE lake.ns.c PURGE",
    "files": "SELECT content, file_path FROM lake.ns.t.files",
}
ROWS = [[2, "x y+z"], [3, "é%"], [4, ".."], [5, "a=b&c"], [6, "moved"], [7, "a/b"]]
RUN = f"""
import json
for name, statement in {STATEMENTS!r}.items():
    rows = [list(row) for row in spark.sql(statement).collect()]
    print("RESULT", json.dumps([name, rows]), flush=True)
spark.stop()
"""


@pytest.fixture(scope="session")
def bundle(runtime: None) -> None:  # noqa: ARG001
    """Have Iceberg's bundle for AWS in Maven's repository."""
    command = ["mvn", "--batch-mode", "--quiet", MAVEN_GET, f"-Dartifact={BUNDLE}"]
    subprocess.run([*command, "-Dtransitive=false"], check=True, timeout=TIMEOUT)


@pytest.mark.usefixtures("bundle")
@pytest.mark.timeout(PATIENCE + 120)
def test_spark_reads_and_writes_without_a_key(tmp_path: Path, inside: pytest.MonkeyPatch) -> None:
    signed, sign = set[str](), S3Signer.sign

    def noted(signer: S3Signer, *arguments: Any) -> SignedRequest:
        answer = sign(signer, *arguments)
        signed.add(answer.operation)
        return answer

    inside.setattr(S3Signer, "sign", noted)
    with emulators.s3("--bucket", "lake") as s3:
        # What is signed is signed for one table: the store would refuse all else.
        role = {"warehouse__role_arn": s3.role_arn}
        with signing(tmp_path / "signing", **on(s3), **role) as store:
            results = run(store.server.url, tmp_path)
    assert results["rows"] == ROWS
    assert {"GetObject", "HeadObject", "PutObject", "DeleteObjects", "ListObjectsV2"} <= signed
    assert results["compacted"][0][0] >= 1
    assert sum(results["expired"][0]) >= 1
    assert results["orphans"] == []
    assert results["copied"] == [[5]]
    assert results["left"] == [[2]]
    assert all(path.startswith("s3://lake/wh/ns/t-") for _, path in results["files"])


def run(url: str, folder: Path) -> dict[str, Any]:
    """Run the statements with the settings that ``engines`` prints; return their rows."""
    program = [sys.executable, "-c", "from falcon_catalog.cli import main; main()"]
    command = [*program, "engines", "spark", "--uri", url]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    script = folder / "statements.py"
    script.write_text(printed + RUN)
    # Spark's own purge deletes files that a client may no longer have signed.
    defaults = {**SPARK_DEFAULTS, "spark.sql.catalog.lake.rest-catalog-purge": "true"}
    (folder / "spark-defaults.conf").write_text(
        "".join(f"{key} {value}\n" for key, value in defaults.items())
    )
    clean = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        env={**clean, "SPARK_CONF_DIR": str(folder), "AWS_EC2_METADATA_DISABLED": "true"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    return dict(json.loads(line.removeprefix("RESULT ")) for line in lines)
