"""The catalog on warehouses in the other clouds: what differs is the store, not the catalog."""

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from falcon_catalog.cli import main
from tests.catalog.serving import VIEW, Server, serving
from tests.clouds.azurite import Azurite
from tests.clouds.google import Google

TABLE = "/v1/namespaces/ns/tables/t"
SET = {"requirements": [], "updates": [{"action": "set-properties", "updates": {"k": "v"}}]}


@pytest.fixture(params=["gs", "abfss"])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """The settings of a warehouse in a store of one kind."""
    path = f"{uuid.uuid4()}/warehouse"
    key = tmp_path / "key.json"
    if request.param == "gs":
        cloud: Google = request.getfixturevalue("gcs")
        key.write_text(json.dumps(cloud.service_account()), encoding="utf-8")
        own = {"location": f"gs://lake/{path}", "endpoint": cloud.url, "sts_endpoint": cloud.url}
    else:
        account: Azurite = request.getfixturevalue("azurite")
        key.write_text(json.dumps(account.credential), encoding="utf-8")
        own = {"location": account.location(path), **account.settings()}
    return {**own, "allowed_locations": (), "credential": f"file:{key}", "timeout": 5}


@pytest.fixture
def serve(warehouse: dict[str, Any], tmp_path: Path) -> Callable[..., Any]:
    own = {f"warehouse__{name}": value for name, value in warehouse.items()}
    return lambda **settings: serving(tmp_path, **{**own, **settings})


@pytest.fixture
def server(serve: Callable[..., Any]) -> Iterator[Server]:
    with serve() as server:
        server.namespace("ns")
        yield server


@pytest.fixture
def run(warehouse: dict[str, Any], tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Return a function that runs a command on the catalog; it returns status and output."""
    path = tmp_path / "catalog.toml"
    lines = [f"{name} = {json.dumps(value)}" for name, value in warehouse.items()]
    store = f'[store]\nurl = "sqlite:///{tmp_path}/catalog.db"\n'
    path.write_text(store + "[warehouse]\n" + "\n".join(lines) + "\n", encoding="utf-8")

    def run(command: str, *words: str) -> tuple[int, str]:
        told = [command, "--config", str(path), *words]
        result = CliRunner().invoke(main, told, catch_exceptions=False)
        return result.exit_code, result.stdout + result.stderr

    return run


def test_a_table_and_a_view_live_and_are_purged(
    serve: Callable[..., Any], server: Server, warehouse: dict[str, Any]
) -> None:
    made = server.table("t")["metadata"]
    assert made["location"] == f"{warehouse['location']}/ns/t-{made['table-uuid']}"
    committed = server.ok("POST", TABLE, SET)
    server.ok("POST", "/v1/namespaces/ns/views", {"name": "v", **VIEW})
    with serve() as another:  # which has nothing cached
        assert another.ok("GET", TABLE)["metadata"] == committed["metadata"]
        assert another.ok("GET", "/v1/namespaces/ns/views/v")
    files = server.app.warehouses[0].storage.files
    folder = f"{made['location']}/metadata"
    assert len(list(files.list(folder))) == 2
    server.ok("DELETE", TABLE, params={"purgeRequested": "true"})
    managed = "/management/v1/warehouses/default/dropped"
    (drop,) = server.ok("GET", managed)["dropped"]
    server.ok("DELETE", f"{managed}/{drop['id']}")
    assert list(files.list(folder)) == []


def test_the_doctor_finds_nothing_and_a_backup_is_restored(
    serve: Callable[..., Any], run: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    with serve() as server:
        server.namespace("ns")
        server.table("t")
        committed = server.ok("POST", TABLE, SET)
        assert run("doctor", "--deep")[0] == 0
        assert run("backup", str(tmp_path / "backup"))[0] == 0
        server.app.warehouses[0].storage.files.delete(committed["metadata-location"])
    status, said = run("doctor")
    assert (status, "metadata-missing" in said) == (1, True)
    status, said = run("restore", "--replace", str(tmp_path / "backup"))
    assert status == 0, said
    with serve() as server:
        assert server.ok("GET", TABLE)["metadata"] == committed["metadata"]


def test_a_new_store_beside_a_full_warehouse_is_refused(
    serve: Callable[..., Any], run: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    with serve() as server:
        server.namespace("ns")
        server.table("t")
    for file in tmp_path.glob("catalog.db*"):
        file.unlink()
    status, said = run("migrate")
    assert (status, "holds files" in said) == (1, True), said
    assert run("migrate", "--adopt-warehouse")[0] == 0


@pytest.mark.parametrize(
    "end", ["../x", "a//b", "a/./b", "%2e%2e/x", "a\\b", "a\tb", "a\u200bb", "a?b", "a#b", " a"]
)
def test_10_a_location_that_may_be_misread_is_refused(
    server: Server, warehouse: dict[str, Any], end: str
) -> None:
    body = {"name": "bad", "location": f"{warehouse['location']}/{end}"}
    body["schema"] = {"type": "struct", "fields": []}
    status, kind, message = server.fails("POST", "/v1/namespaces/ns/tables", body)
    assert (status, kind) == (400, "BadRequestException")
    assert message.startswith("Invalid location ")


@pytest.mark.parametrize("scheme", ["abfss", "abfs", "wasb", "wasbs"])
@pytest.mark.parametrize("host", ["dfs", "blob"])
def test_11_an_alias_overlaps_what_it_means(
    azurite: Azurite, tmp_path: Path, scheme: str, host: str
) -> None:
    key = tmp_path / "key.json"
    key.write_text(json.dumps(azurite.credential), encoding="utf-8")
    root = azurite.location(f"{uuid.uuid4()}/warehouse")
    own = {**azurite.settings(), "location": root, "credential": f"file:{key}"}
    more = {"allowed_locations": (), "allow_aliases": True}
    given = {f"warehouse__{name}": value for name, value in {**own, **more}.items()}
    with serving(tmp_path, **given) as server:
        server.namespace("ns")
        made = server.table("t", location=f"{root}/x")["metadata"]
        assert made["location"] == f"{root}/x"
        same = f"{root}/x".replace("abfss:", f"{scheme}:").replace(".dfs.", f".{host}.")
        for location in (same, f"{same}/inner"):
            body = {"name": "u", "schema": {"type": "struct", "fields": []}, "location": location}
            assert server.fails("POST", "/v1/namespaces/ns/tables", body)[0] == 403
        elsewhere = server.table("u", location=same[:-1] + "y")
        assert server.ok("GET", "/v1/namespaces/ns/tables/u")["metadata"] == elsewhere["metadata"]
