"""Google Cloud Storage, by an emulator of our own: files, and clients with vended tokens."""

import contextlib
import fcntl
import hashlib
import json
import logging
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
from obstore.exceptions import BaseError
from obstore.store import GCSStore

from falcon_catalog.fileio.base import FileIO
from falcon_catalog.fileio.opening import open_storage
from falcon_catalog.settings import StorageSettings
from tests.catalog.serving import Server, serving
from tests.clouds.google import CLIENTS, Google, google
from tests.clouds.warehouses import VENDED
from tests.fileio.contract import Contract

JAVA = Path(__file__).parent / "java"
VAR = Path(__file__).parents[2] / "var"
FETCHING = 900  # seconds, in which Maven fetches the library where it is not
TABLES = "/v1/namespaces/ns/tables"


class TestFiles(Contract):
    @pytest.fixture
    def files(self, gcs: Google) -> FileIO:
        settings = StorageSettings(location="gs://lake/wh", endpoint=gcs.url)
        return open_storage("lake", settings).files

    @pytest.fixture
    def root(self) -> str:
        return f"gs://lake/{uuid.uuid4()}"


@pytest.fixture
def cloud() -> Iterator[Google]:
    """A store that takes nothing without a token."""
    with google("lake", check_tokens=True) as cloud:
        yield cloud


@contextlib.contextmanager
def on_gcs(folder: Path, cloud: Google, **more: object) -> Iterator[Server]:
    (folder / "key.json").write_text(json.dumps(cloud.service_account()))
    settings = {
        "location": "gs://lake/wh",
        "allowed_locations": (),
        "credential": f"file:{folder}/key.json",
        "endpoint": cloud.url,
        "sts_endpoint": cloud.url,
        **more,
    }
    named = {f"warehouse__{name}": value for name, value in settings.items()}
    with serving(folder, **named) as server:
        server.namespace("ns")
        yield server


@pytest.fixture
def catalog(cloud: Google, tmp_path: Path) -> Iterator[Server]:
    """A catalog whose clients' tokens are of an account of their own."""
    with on_gcs(tmp_path, cloud, service_account=CLIENTS, project="p1") as server:
        yield server


@pytest.fixture(scope="session")
def jars() -> Path:
    """The folder of Java's library, fetched with Maven the first time; or skip and say why."""
    missing = [tool for tool in ("java", "javac", "mvn") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"there is no {', no '.join(missing)}: Java's library is not tried")
    pom = JAVA / "pom.xml"
    folder = VAR / f"gcs-java-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"
    VAR.mkdir(exist_ok=True)
    with (VAR / "gcs-java.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=VAR) as fresh:
                command = ["mvn", "--batch-mode", "--quiet", f"--file={pom}"]
                goal = ["dependency:copy-dependencies", f"-DoutputDirectory={fresh}/jars"]
                subprocess.run([*command, *goal], check=True, timeout=FETCHING)
                (Path(fresh) / "jars").rename(folder)
    return folder


def java(jars: Path, catalog: Server) -> list[str]:
    """Run ``java/Rows.java``; return its lines."""
    command = ["java", "-cp", f"{jars}/*", str(JAVA / "Rows.java"), catalog.url, "t"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


@pytest.mark.timeout(FETCHING)
def test_java_uses_vended_tokens(
    jars: Path, catalog: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert java(jars, catalog) == ["read 3", "exists false", "403 Forbidden"]
    assert "GET /v1/default/namespaces/ns/tables/t" in caplog.text
    assert "/credentials" not in caplog.text


@pytest.mark.timeout(FETCHING)
def test_java_renews_a_token_that_is_about_to_end(
    jars: Path, cloud: Google, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    cloud.lifetime = 200
    with on_gcs(tmp_path, cloud) as catalog:
        assert java(jars, catalog) == ["read 3", "exists false", "403 Forbidden"]
    assert "GET /v1/default/namespaces/ns/tables/t/credentials" in caplog.text


def test_pyiceberg_writes_and_reads_with_vended_tokens(cloud: Google, catalog: Server) -> None:
    program = [sys.executable, "-m", "tests.clouds.rows", catalog.url, "t"]
    ran = subprocess.run(program, capture_output=True, text=True, check=True, timeout=120)
    assert ran.stdout.split(maxsplit=1) == ["PyArrowFileIO", "[1, 1, 2, 2, 3, 3]\n"]
    data = [name for name in cloud.buckets["lake"] if name.endswith(".parquet")]
    assert len(data) == 2


def test_a_load_has_one_credential_in_both_places(cloud: Google, catalog: Server) -> None:
    catalog.table("t")
    loaded = catalog.ok("GET", f"{TABLES}/t", headers=VENDED)
    (credential,) = loaded["storage-credentials"]
    assert credential["config"] == loaded["config"]
    assert credential["prefix"] == loaded["metadata"]["location"]
    config = loaded["config"]
    assert cloud.tokens[config["gcs.oauth2.token"]].email == CLIENTS
    assert config == {
        "gcs.oauth2.token": config["gcs.oauth2.token"],
        "gcs.oauth2.token-expires-at": config["gcs.oauth2.token-expires-at"],
        "gcs.oauth2.refresh-credentials-endpoint": "v1/default/namespaces/ns/tables/t/credentials",
        "gcs.project-id": "p1",
        "gcs.service.host": cloud.url,
        "expiration-time": config["gcs.oauth2.token-expires-at"],
    }
    refreshed = catalog.ok("GET", f"{TABLES}/t/credentials")["storage-credentials"]
    assert [entry["prefix"] for entry in refreshed] == [credential["prefix"]]
    assert refreshed[0]["config"].keys() == config.keys()


def test_a_token_of_one_table_does_not_open_another(cloud: Google, catalog: Server) -> None:
    catalog.table("t")
    other = catalog.table("t2")["metadata-location"].removeprefix("gs://lake/")
    loaded = catalog.ok("GET", f"{TABLES}/t", headers=VENDED)
    token = loaded["config"]["gcs.oauth2.token"]
    store = GCSStore(
        "lake",
        base_url=cloud.url,
        client_options={"allow_http": True},
        credential_provider=lambda: {"token": token, "expires_at": None},
    )
    own = loaded["metadata-location"].removeprefix("gs://lake/")
    assert json.loads(bytes(obstore.get(store, own).bytes()))["location"]
    with pytest.raises(BaseError, match="AccessDenied"):
        obstore.get(store, other)


def test_case_6_a_staged_table_elsewhere_gets_no_token(cloud: Google, catalog: Server) -> None:
    body = {"name": "t", "schema": {"type": "struct", "fields": []}, "stage-create": True}
    before = len(cloud.boundaries)
    for location in ("gs://lake/elsewhere", "gs://other/wh/t", "gs://lake", "gs://lake/wh2/t"):
        answer = catalog.call("POST", TABLES, {**body, "location": location}, headers=VENDED)
        assert answer.status_code in (400, 403), answer.text
    assert len(cloud.boundaries) == before


def test_case_25_no_token_is_in_the_log(
    cloud: Google, catalog: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    catalog.table("t")
    catalog.ok("GET", f"{TABLES}/t", headers=VENDED)
    cloud.failing["/v1/token"] = 400, {"error": "invalid_scope", "token": "ya29.T"}
    catalog.table("t2")
    answer = catalog.call("GET", f"{TABLES}/t2", headers=VENDED)
    assert answer.status_code == 503
    assert "invalid_scope" in answer.json()["error"]["message"]
    assert "invalid_scope" in caplog.text
    assert "ya29" not in caplog.text + answer.text
    assert "PRIVATE KEY" not in caplog.text
