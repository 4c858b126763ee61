"""What ``serve`` and ``migrate`` take for their warehouse, and what an operator must confirm."""

import json
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from pyiceberg.catalog.rest import RestCatalog

from falcon_catalog.catalog import marker
from tests.server.test_cli import TIMEOUT, said

SCHEMA = {
    "type": "struct",
    "fields": [{"id": 1, "name": "id", "type": "long", "required": False}],
}


class Place:
    """A store and a warehouse of the test's, and a server on them."""

    def __init__(self, cli: Any, folder: Path) -> None:
        self.cli = cli
        self.folder = folder
        self.store = folder / "store" / "catalog.db"
        self.warehouse = folder / "warehouse"

    @property
    def flags(self) -> list[str]:
        return [f"--store=sqlite:///{self.store}", f"--warehouse=file://{self.warehouse}"]

    def serve(self, *more: str) -> Any:
        return self.cli("serve", "--listen=127.0.0.1:0", *self.flags, *more)

    def fill(self) -> str:
        """Make a table; return its metadata file."""
        server = self.serve()
        url = server.url()
        post(f"{url}/v1/namespaces", {"namespace": ["ns"]})
        made = post(f"{url}/v1/namespaces/ns/tables", {"name": "t", "schema": SCHEMA})
        assert server.stop() == 0
        return made["metadata-location"]

    def lose_store(self) -> None:
        for path in self.store.parent.iterdir():
            path.unlink()

    def files(self) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in self.warehouse.rglob("*") if path.is_file()}

    def store_id(self) -> str:
        with closing(sqlite3.connect(self.store)) as connection:
            return connection.execute("SELECT store_id FROM store_identity").fetchone()[0]


def post(url: str, body: object) -> Any:
    answer = requests.post(url, json=body, timeout=TIMEOUT)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def place(cli: Any, tmp_path: Path) -> Place:
    return Place(cli, tmp_path)


@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_a_lost_store_beside_its_warehouse_is_not_made_anew(place: Place, command: str) -> None:
    place.fill()
    place.lose_store()
    before = place.files()
    for _ in range(2):
        more = ["--listen=127.0.0.1:0"] if command == "serve" else []
        process = place.cli(command, *place.flags, *more)
        assert said(process) == (1, [])
        (told,) = process.errors
        assert told.startswith(
            f"Error: there is no store at sqlite:///{place.store}, but the wareh"
        )
        assert "restore it with falcon-catalog restore" in told
        assert "--adopt-warehouse" in told
    assert not place.store.exists()
    assert place.files() == before


@pytest.mark.parametrize("marked", [True, False], ids=["marked", "of an older version"])
@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_a_new_store_takes_a_warehouse_when_it_is_told_to(
    place: Place, command: str, marked: bool
) -> None:
    known = place.fill()
    place.lose_store()
    if not marked:
        (place.warehouse / marker.NAME).unlink()
    assert said(place.serve())[0] == 1
    if command == "migrate":
        assert said(place.cli("migrate", "--adopt-warehouse", *place.flags))[0] == 0
    server = place.serve(*(["--adopt-warehouse"] if command == "serve" else []))
    url = server.url()
    told = json.loads((place.warehouse / marker.NAME).read_bytes())
    assert told["store"] == place.store_id()
    post(f"{url}/v1/namespaces", {"namespace": ["ns"]})
    post(f"{url}/v1/namespaces/ns/register", {"name": "t", "metadata-location": known})
    assert RestCatalog("test", uri=url).load_table("ns.t").schema().fields[0].name == "id"
    assert server.stop() == 0
    assert place.serve().url()  # the next start needs no flag


def test_what_is_not_there_cannot_be_adopted(place: Place) -> None:
    """Left in a unit file, the flag must not take an empty mount point for the warehouse."""
    place.fill()
    place.warehouse.rename(place.folder / "away")
    place.warehouse.mkdir()
    server = place.serve("--adopt-warehouse")
    assert said(server) == (1, [])
    assert "cannot adopt the warehouse default" in server.errors[-1]
    assert "is it mounted?" in server.errors[-1]
    assert list(place.warehouse.iterdir()) == []


def test_a_copy_that_left_the_marker_behind_is_adopted(place: Place) -> None:
    place.fill()
    (place.warehouse / marker.NAME).unlink()
    server = place.serve()
    url = server.url()
    assert requests.get(f"{url}/health/ready", timeout=TIMEOUT).status_code == 503
    assert server.stop() == 0
    server = place.serve("--adopt-warehouse")
    assert requests.get(f"{server.url()}/health/ready", timeout=TIMEOUT).status_code == 200
    assert server.stop() == 0
    assert (place.warehouse / marker.NAME).is_file()


def test_an_unmounted_warehouse_does_not_end_the_start(place: Place) -> None:
    """Else systemd would start it again and again."""
    place.fill()
    place.warehouse.rename(place.folder / "away")
    server = place.serve("--log-level=WARNING")
    url = server.url()
    answer = requests.get(f"{url}/health/ready", timeout=TIMEOUT)
    assert answer.status_code == 503
    assert "is it mounted?" in answer.json()["error"]["message"]
    assert requests.get(f"{url}/health/live", timeout=TIMEOUT).status_code == 200
    assert not place.warehouse.exists()
    (place.folder / "away").rename(place.warehouse)
    assert requests.get(f"{url}/health/ready", timeout=TIMEOUT).status_code == 200
    assert requests.get(f"{url}/v1/namespaces/ns/tables/t", timeout=TIMEOUT).status_code == 200
    assert server.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_warehouse_that_is_read_only_is_told_at_the_start(place: Place) -> None:
    """And does not keep the commands from the store that need no file of it."""
    place.fill()
    ready_only = ["mount", "--bind", "--options=ro", str(place.warehouse), str(place.warehouse)]
    if subprocess.run(ready_only, check=False).returncode:
        pytest.skip("cannot mount here")
    try:
        if os.access(place.warehouse, os.W_OK):
            pytest.skip("cannot mount read-only here")
        server = place.serve()
        assert said(server) == (2, [])
        assert "cannot be written: Read-only file system" in server.errors[-1]
        assert said(place.cli("dropped", place.flags[0]))[0] == 0
    finally:
        subprocess.run(["umount", str(place.warehouse)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_real_file_system_comes_and_goes(place: Place) -> None:
    place.warehouse.mkdir()
    size = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place.warehouse)]
    if subprocess.run(size, check=False).returncode:
        pytest.skip("cannot mount here")
    kept = place.folder / "kept"
    try:
        place.fill()
        shutil.copytree(place.warehouse, kept)
    finally:
        subprocess.run(["umount", str(place.warehouse)], check=True)
    server = place.serve()
    url = server.url()
    body = {"name": "u", "schema": SCHEMA}
    assert requests.get(f"{url}/v1/namespaces/ns/tables/t", timeout=TIMEOUT).status_code == 503
    tables = f"{url}/v1/namespaces/ns/tables"
    assert requests.post(tables, json=body, timeout=TIMEOUT).status_code == 503
    assert list(place.warehouse.iterdir()) == []
    subprocess.run(size, check=True)
    try:
        assert requests.get(f"{url}/health/ready", timeout=TIMEOUT).status_code == 503
        shutil.copytree(kept, place.warehouse, dirs_exist_ok=True)
        assert requests.get(f"{url}/health/ready", timeout=TIMEOUT).status_code == 200
        assert requests.get(f"{tables}/t", timeout=TIMEOUT).status_code == 200
        post(tables, body)
        assert server.stop() == 0
    finally:
        subprocess.run(["umount", str(place.warehouse)], check=True)
