"""The pipeline's way to the catalog: requests that end, one clear line, tokens for a credential."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import requests
from pyiceberg.exceptions import OAuthError, UnauthorizedError

from jobs import config
from jobs.lake import iceberg, rest
from jobs.lake.merging import Definition
from jobs.lake.rest import CatalogUnreachableError
from jobs.report.lake import open_lake
from jobs.tasks.load import connect
from tests.tasks.conftest import CatalogServer

TABLE = Definition(
    name="auth.t",
    doc="a table",
    schema=pa.schema([pa.field("id", pa.string(), False)]),
    key=("id",),
    prefer="newest",
)


def test_nothing_listens(port: int) -> None:
    with pytest.raises(CatalogUnreachableError) as raised:
        rest.connect(f"http://127.0.0.1:{port}", "default")
    assert str(raised.value) == (
        f"the catalog at http://127.0.0.1:{port} does not answer (connection refused):"
        " is it running, and is [catalog] uri right?"
    )


@pytest.fixture
def silent() -> Iterator[int]:
    """Listen and never answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_catalog_that_never_answers_is_given_up(silent: int) -> None:
    with pytest.raises(CatalogUnreachableError, match=r"nothing within 0\.2 s"):
        rest.connect(f"http://127.0.0.1:{silent}", "default", timeout=0.2)


def test_the_token_request_ends_too(silent: int) -> None:
    with pytest.raises(CatalogUnreachableError, match=r"nothing within 0\.2 s"):
        rest.connect(f"http://127.0.0.1:{silent}", "default", "", "me:s3cret", 0.2)


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """Serve a catalog that asks who calls; gives its URL and a credential."""
    store = f"sqlite:///{tmp_path}/catalog.db"
    program = str(Path(sys.executable).with_name("falcon-catalog"))
    server = CatalogServer(tmp_path)
    monkeypatch.setenv("CATALOG_AUTH_REQUIRED", "true")
    server.start()
    monkeypatch.delenv("CATALOG_AUTH_REQUIRED")
    command = [program, "principals", "add", "etl", "--owner", "--store", store]
    credential = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    yield server.uri, credential
    server.stop()


def test_a_credential_gets_tokens(locked: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    uri, credential = locked
    monkeypatch.setenv("CATALOG_URI", uri)
    with pytest.raises(UnauthorizedError):
        connect().list_namespaces()
    monkeypatch.setenv("CATALOG_CREDENTIAL", credential)
    config.settings.cache_clear()
    rows = pa.Table.from_pylist([{"id": "a"}], schema=TABLE.schema)
    assert iceberg.load(connect(), TABLE, rows, load_id="one").committed
    monkeypatch.setenv("CATALOG_CREDENTIAL", "etl:wrong")
    config.settings.cache_clear()
    with pytest.raises(OAuthError):
        connect()


def test_the_report_reads_the_lake_with_a_credential_or_a_token(
    locked: tuple[str, str], tmp_path: Path
) -> None:
    uri, credential = locked
    rows = pa.Table.from_pylist([{"id": "a"}], schema=TABLE.schema)
    iceberg.load(rest.connect(uri, "default", "", credential), TABLE, rows, load_id="one")
    form = {"grant_type": "client_credentials", "scope": "catalog"}
    form["client_id"], _, form["client_secret"] = credential.partition(":")
    answer = requests.post(f"{uri}/v1/oauth/tokens", data=form, timeout=30).json()
    for access in ({"credential": credential}, {"token": answer["access_token"]}):
        with open_lake(uri, "default", tmp_path / "extensions", **access) as lake:
            assert lake.ask("select id from lake.auth.t") == [{"id": "a"}]
    with (
        pytest.raises((duckdb.Error, OAuthError)),
        open_lake(uri, "default", tmp_path / "extensions", credential="etl:wrong"),
    ):
        pass


def test_an_ingestion_needs_no_more_than_the_credential(
    locked: tuple[str, str], settings: Any
) -> None:
    from tests.tasks.ingesting import ingest  # noqa: PLC0415 - beside its only use

    uri, credential = locked
    settings(catalog_uri=uri, catalog_credential=credential)
    assert ingest()


def test_a_run_that_meets_no_catalog_says_so_in_one_line(
    make_pipeline: Callable[..., Any], calm_weather: str, tmp_path: Path
) -> None:
    pipeline = make_pipeline(calm_weather, tmp_path)
    pipeline.catalog.stop()
    status, output = pipeline.run("LoadStations", "--period", "2013-07-02T14")
    pipeline.catalog.start()
    assert status == 30
    lines = [line for line in output.splitlines() if "LoadStations 2013-07-02T14 failed" in line]
    assert lines
    assert f"the catalog at {pipeline.catalog.uri} does not answer" in lines[0]
