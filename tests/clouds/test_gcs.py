"""Google Cloud Storage, by an emulator of our own: files, and clients with vended tokens."""

import contextlib
import json
import logging
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import duckdb
import obstore
import pytest
from duckdb_extensions import import_extension
from obstore.exceptions import BaseError
from obstore.store import GCSStore

from falcon_catalog.fileio.base import FileIO
from falcon_catalog.fileio.opening import open_storage
from falcon_catalog.settings import StorageSettings
from tests.catalog.serving import Server, serving
from tests.clouds.google import CLIENTS, Google, google
from tests.clouds.java_library import FETCHING, GCS, rows
from tests.clouds.warehouses import VENDED
from tests.fileio.contract import Contract

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


@pytest.mark.timeout(FETCHING)
def test_java_uses_vended_tokens(
    jars: Path, catalog: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert rows(jars, catalog, GCS) == ["read 3", "exists false", "403 Forbidden"]
    assert "GET /v1/default/namespaces/ns/tables/t" in caplog.text
    assert "/credentials" not in caplog.text


@pytest.mark.timeout(FETCHING)
def test_java_renews_a_token_that_is_about_to_end(
    jars: Path, cloud: Google, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    cloud.lifetime = 200
    with on_gcs(tmp_path, cloud) as catalog:
        assert rows(jars, catalog, GCS) == ["read 3", "exists false", "403 Forbidden"]
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


def test_duckdb_makes_a_secret_for_the_table_of_a_token(catalog: Server) -> None:
    """It goes to Google's own host, so that no emulator can answer it."""
    location = catalog.table("t")["metadata"]["location"]
    with duckdb.connect() as duck:
        for extension in ("httpfs", "avro", "iceberg"):
            import_extension(extension)
            duck.execute(f"LOAD {extension}")
        duck.execute(
            f"ATTACH '' AS lake (TYPE iceberg, ENDPOINT '{catalog.url}', AUTHORIZATION_TYPE 'none')"
        )
        assert duck.execute("SELECT * FROM lake.ns.t").fetchall() == []
        secrets = duck.execute("SELECT type, scope, secret_string FROM duckdb_secrets()").fetchall()
    ((kind, scope, text),) = secrets
    assert (kind, scope) == ("gcs", [location])
    assert "bearer_token=redacted" in text
