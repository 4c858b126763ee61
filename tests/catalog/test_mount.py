"""A warehouse that is not mounted: nothing is written, nothing is missing, and it comes back."""

import json
import shutil
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import requests
from pyiceberg.catalog.rest import RestCatalog

from falcon_catalog.catalog import bootstrap, marker, mount
from falcon_catalog.catalog.bootstrap import close_warehouses, open_warehouses
from falcon_catalog.fileio.local import LocalFileIO
from falcon_catalog.settings import load
from falcon_catalog.store import open_database
from falcon_catalog.store.database import StoreError
from tests.catalog.conftest import Start
from tests.catalog.mounting import SHAPES, unmounted
from tests.catalog.serving import SCHEMA, Server, serving, sql, store_url
from tests.doctor.conftest import duck

T = "/v1/namespaces/ns/tables/t"
ROWS = pa.table(
    {"id": [1, 2, 3], "data": ["a", "b", "c"]},
    schema=pa.schema([pa.field("id", pa.int64(), nullable=False), ("data", pa.string())]),
)


def ids(server: Server) -> list[int]:
    table = RestCatalog("test", uri=server.url).load_table("ns.t")
    found = table.scan(row_filter="id > 1").to_arrow()["id"].to_pylist()
    with closing(duck(server)) as connection:
        rows = connection.execute("SELECT id FROM lake.ns.t WHERE id > 1 ORDER BY id").fetchall()
    assert rows == [(number,) for number in sorted(found)]
    return sorted(found)


def writes(known: str) -> dict[str, tuple[str, str, object]]:
    """Return a request of each kind that writes into the warehouse, or reads a file of it."""
    update = {"updates": [{"action": "set-properties", "updates": {"k": "v"}}]}
    change = {"identifier": {"namespace": ["ns"], "name": "t"}, "requirements": [], **update}
    version = {
        "version-id": 1,
        "timestamp-ms": 1,
        "schema-id": 0,
        "summary": {},
        "representations": [{"type": "sql", "sql": "SELECT 1", "dialect": "duckdb"}],
        "default-namespace": ["ns"],
    }
    view = {"name": "v", "schema": {**SCHEMA, "schema-id": 0}, "view-version": version}
    tables = "/v1/namespaces/ns/tables"
    return {
        "create": ("POST", tables, {"name": "new", "schema": SCHEMA}),
        "stage-create": ("POST", tables, {"name": "st", "schema": SCHEMA, "stage-create": True}),
        "commit": ("POST", T, change),
        "transaction": ("POST", "/v1/transactions/commit", {"table-changes": [change]}),
        "register": (
            "POST",
            "/v1/namespaces/ns/register",
            {"name": "r", "metadata-location": known},
        ),
        "create view": ("POST", "/v1/namespaces/ns/views", {**view, "properties": {}}),
        "unregister": ("POST", f"{T}/unregister", None),
        "load": ("GET", T, None),
        "plan": ("POST", f"{T}/plan", {}),
    }


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_is_written_or_missing_until_it_is_back(ns: Server, shape: str) -> None:
    known = ns.table("t")["metadata-location"]
    RestCatalog("test", uri=ns.url).load_table("ns.t").append(ROWS)
    asked = writes(known)
    with unmounted(ns.warehouse, shape):
        for name, (verb, path, body) in asked.items():
            answer = ns.call(verb, path, body)
            assert answer.status_code == 503, (name, answer.text)
            assert int(answer.headers["Retry-After"]) > 0
            told = answer.json()["error"]
            assert told["type"] == "SlowDownException"
            assert "The warehouse default (file://" in told["message"], name
            assert "_falcon-catalog.json is missing: is it mounted?" in told["message"]
        assert not list(ns.warehouse.iterdir()) if shape == SHAPES[0] else True
        status, _, message = ns.fails("GET", "/health/ready")
        assert status == 503
        assert "is not available" in message
        assert ns.call("GET", "/health/live").status_code == 200
        # What needs no file is answered on.
        assert ns.call("HEAD", T).status_code == 204
        ns.ok("POST", "/v1/namespaces", {"namespace": ["other"]})
    # No restart is needed.
    assert ns.ok("GET", "/health/ready") == {"status": "ready"}
    assert ids(ns) == [2, 3]
    for name in ("create", "stage-create", "commit", "transaction", "create view", "load"):
        ns.ok(*asked[name])
    ns.ok("GET", "/health/ready")


def test_a_table_whose_file_is_gone_from_a_warehouse_that_is_there_is_missing(ns: Server) -> None:
    made = ns.table("t")["metadata-location"]
    Path(made.removeprefix("file://")).unlink()
    assert ns.fails("GET", T)[:2] == (404, "NotFoundException")
    assert ns.ok("GET", "/health/ready") == {"status": "ready"}


def test_other_warehouses_go_on(start: Start, tmp_path: Path) -> None:
    server = start(warehouse__more=[f"archive=file://{tmp_path}/archive"])
    for prefix in ("default", "archive"):
        server.ok("POST", f"/v1/{prefix}/namespaces", {"namespace": ["ns"]})
    body = {"name": "t", "schema": SCHEMA}
    with unmounted(tmp_path / "archive"):
        assert server.fails("POST", "/v1/archive/namespaces/ns/tables", body)[0] == 503
        server.ok("POST", "/v1/default/namespaces/ns/tables", body)
        status, _, message = server.fails("GET", "/health/ready")
        assert status == 503
        assert "warehouse archive" in message
        assert "warehouse default" not in message
    server.ok("POST", "/v1/archive/namespaces/ns/tables", body)


def test_a_warehouse_that_is_mounted_at_the_place_of_another_is_not_taken(
    start: Start, tmp_path: Path
) -> None:
    server = start(warehouse__more=[f"archive=file://{tmp_path}/archive"])
    server.namespace("ns")
    with unmounted(tmp_path / "archive") as archive, unmounted(server.warehouse) as own:
        server.warehouse.rmdir()
        archive.rename(server.warehouse)
        try:
            status, _, message = server.fails(
                "POST", "/v1/namespaces/ns/tables", {"name": "t", "schema": SCHEMA}
            )
            assert status == 503
            assert "is that of the warehouse archive" in message
        finally:
            server.warehouse.rename(archive)
        assert own.is_dir()
    server.table("t")


@pytest.mark.parametrize("content", ["foreign", "damaged", "another file system's"])
def test_a_marker_that_is_replaced_is_read_again(ns: Server, content: str) -> None:
    ns.table("t")
    path = ns.warehouse / marker.NAME
    told = json.loads(path.read_bytes())
    assert told["store"] == sql(ns.folder, "SELECT store_id FROM store_identity")[0][0]
    assert told["warehouse"] == "default"
    kept = path.read_bytes()
    other = path.with_name("other")
    if content == "damaged":
        other.write_bytes(b"{")
    elif content == "foreign":
        other.write_text(json.dumps({**told, "store": "another"}), "utf-8")
    else:
        other.write_bytes(kept)
    other.rename(path)
    answer = ns.call("POST", T, {"updates": [{"action": "set-properties", "updates": {"k": "v"}}]})
    assert answer.status_code == (200 if content.startswith("another") else 503), answer.text
    path.write_bytes(kept)
    ns.ok("POST", T, {"updates": [{"action": "set-properties", "updates": {"k": "w"}}]})


def test_it_is_logged_once_when_it_goes_and_once_when_it_is_back(tmp_path: Path) -> None:
    with serving(tmp_path, apart=True, processes=1) as server:
        server.namespace("ns")
        server.table("t")
        with unmounted(server.warehouse):
            for _ in range(5):
                assert server.fails("GET", T)[0] == 503
                assert server.fails("GET", "/health/ready")[0] == 503
        for _ in range(3):
            server.ok("GET", T)
            server.ok("GET", "/health/ready")
        gone = [line for line in server.log.splitlines() if "is not available" in line]
        back = [line for line in server.log.splitlines() if "is available again" in line]
        assert len(gone) == len(back) == 1, server.log
        assert "level=error" in gone[0]
        assert "traceback" not in server.log.lower()


def test_it_may_be_missing_at_the_start_and_come_later(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.namespace("ns")
        made = server.table("t")
    with unmounted(tmp_path / "warehouse"), serving(tmp_path) as server:
        assert server.fails("GET", "/health/ready")[0] == 503
        assert server.fails("GET", T)[0] == 503
        assert (
            server.fails("POST", "/v1/namespaces/ns/tables", {"name": "u", "schema": SCHEMA})[0]
            == 503
        )
        (tmp_path / "warehouse").rmdir()
        (tmp_path / "warehouse.away").rename(tmp_path / "warehouse")
        assert server.ok("GET", T) == made
        server.table("u")
        (tmp_path / "warehouse").rename(tmp_path / "warehouse.away")
        (tmp_path / "warehouse").mkdir()


def test_commits_stop_when_it_goes_away_amid_them(ns: Server) -> None:
    """What was acknowledged is in the warehouse when it is back, and nothing beside it."""
    ns.table("t")
    done, acknowledged, answers = threading.Event(), [0], set()

    def write() -> None:
        number = 0
        while not done.is_set():
            number += 1
            update = {"action": "set-properties", "updates": {"n": str(number)}}
            status = requests.post(f"{ns.url}{T}", json={"updates": [update]}, timeout=60)
            answers.add(status.status_code)
            if status.status_code == 200:
                acknowledged[0] = number

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(20):
            before = acknowledged[0]
            wait(lambda before=before: acknowledged[0] > before)
            answers.clear()
            away = ns.warehouse.with_name("away")
            ns.warehouse.rename(away)
            wait(lambda: 503 in answers)
            # A request that had looked before may have made folders: but no pointer leads there.
            shutil.rmtree(ns.warehouse, ignore_errors=True)
            away.rename(ns.warehouse)
    finally:
        done.set()
        writer.join()
    assert answers <= {200, 503}
    assert ns.ok("GET", T)["metadata"]["properties"]["n"] == str(acknowledged[0])


def wait(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class TestAtTheStart:
    """Which folders are taken for the warehouse of a store."""

    def opened(self, folder: Path) -> None:
        flags = {
            "store.url": store_url(folder),
            "warehouse.location": f"file://{folder}/warehouse",
        }
        close_warehouses(open_warehouses(load(None, {}, flags)))

    def test_a_new_one_is_made_and_marked(self, tmp_path: Path) -> None:
        self.opened(tmp_path)
        told = json.loads((tmp_path / "warehouse" / marker.NAME).read_bytes())
        assert told["format"] == 1
        assert "Keep this file" in told["about"]
        before = (tmp_path / "warehouse" / marker.NAME).stat()
        self.opened(tmp_path)
        assert (tmp_path / "warehouse" / marker.NAME).stat() == before
        (root,) = sql(tmp_path, "SELECT marked_location FROM warehouses")
        assert root == (f"{tmp_path}/warehouse/",)

    @pytest.mark.parametrize("has_store", [False, True])
    def test_several_processes_may_start_on_a_new_folder_at_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_store: bool
    ) -> None:
        module: Any = mount if has_store else bootstrap  # where the first look is
        look = module.is_empty
        if has_store:
            open_database(store_url(tmp_path)).close()

        def look_late(files: LocalFileIO, location: str) -> bool:
            monkeypatch.setattr(module, "is_empty", look)
            self.opened(tmp_path)  # as another process does, just before this one looks
            return look(files, location)

        monkeypatch.setattr(module, "is_empty", look_late)
        self.opened(tmp_path)
        assert module.is_empty is look

    def test_a_new_file_system_is_empty(self, tmp_path: Path) -> None:
        (tmp_path / "warehouse/lost+found").mkdir(parents=True)
        (tmp_path / "warehouse/.snapshot").mkdir()
        self.opened(tmp_path)
        assert (tmp_path / "warehouse" / marker.NAME).is_file()

    @pytest.mark.sqlite
    def test_an_older_stores_warehouse_is_marked_if_a_table_is_there(self, tmp_path: Path) -> None:
        self.as_an_older_version_left_it(tmp_path)
        self.opened(tmp_path)
        assert (tmp_path / "warehouse" / marker.NAME).is_file()

    @pytest.mark.sqlite
    def test_an_older_stores_that_is_not_mounted_is_left_alone(self, tmp_path: Path) -> None:
        self.as_an_older_version_left_it(tmp_path)
        with unmounted(tmp_path / "warehouse", SHAPES[1]), serving(tmp_path) as server:
            assert not (tmp_path / "warehouse").exists()
            assert server.fails("GET", T)[0] == 503
            assert "none of its tables' metadata files" in server.fails("GET", "/health/ready")[2]
            (tmp_path / "warehouse.away").rename(tmp_path / "warehouse")
            server.ok("GET", T)
            (tmp_path / "warehouse").rename(tmp_path / "warehouse.away")
            assert server.fails("GET", "/health/ready")[0] == 503

    @pytest.mark.sqlite
    def test_an_older_store_without_tables_keeps_its_folder(self, tmp_path: Path) -> None:
        self.as_an_older_version_left_it(tmp_path)
        sql(tmp_path, "DELETE FROM tabulars")
        self.opened(tmp_path)
        assert (tmp_path / "warehouse" / marker.NAME).is_file()

    def test_another_location_of_the_settings_is_a_new_one(self, tmp_path: Path) -> None:
        with serving(tmp_path) as server:
            server.namespace("ns")
            server.table("t")
        moved = {
            "warehouse__location": f"file://{tmp_path}/new",
            "warehouse__allowed_locations": [f"file://{tmp_path}/warehouse"],
        }
        with serving(tmp_path, **moved) as server:
            server.ok("GET", T)
            server.table("u")
        assert (tmp_path / "new" / marker.NAME).is_file()

    def test_a_new_store_beside_a_full_warehouse_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "warehouse/ns").mkdir(parents=True)
        with pytest.raises(StoreError, match=r"there is no store at .* holds files\. .*--adopt"):
            self.opened(tmp_path)
        assert not (tmp_path / "catalog.db").exists()
        assert [path.name for path in (tmp_path / "warehouse").iterdir()] == ["ns"]

    def test_another_stores_warehouse_is_refused(self, tmp_path: Path) -> None:
        self.opened(tmp_path)
        path = tmp_path / "warehouse" / marker.NAME
        told = json.loads(path.read_bytes())
        path.write_text(json.dumps({**told, "store": "another"}), "utf-8")
        with pytest.raises(StoreError, match="belongs to another catalog's store, another; this"):
            self.opened(tmp_path)

    @staticmethod
    def as_an_older_version_left_it(folder: Path) -> None:
        with serving(folder) as server:
            server.namespace("ns")
            server.table("t")
        (folder / "warehouse" / marker.NAME).unlink()
        sql(folder, "DROP TABLE store_identity")
        sql(folder, "ALTER TABLE warehouses DROP COLUMN marked_location")
        sql(folder, "ALTER TABLE dropped_tabulars DROP COLUMN emptied_at")
        sql(folder, "DELETE FROM _sqlite_migrations WHERE name LIKE '0006%'")
        open_database(f"sqlite:///{folder}/catalog.db", upgrade=True).close()
