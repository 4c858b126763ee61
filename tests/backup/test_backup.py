"""Backups of a catalog that is written to, and what comes back from them."""

import hashlib
import json
import os
import shutil
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from pyiceberg.catalog import load_catalog

from falcon_catalog.backup import backup as backups
from falcon_catalog.catalog import marker
from falcon_catalog.store.sqlite import locks
from tests.catalog.mounting import SHAPES, unmounted
from tests.catalog.serving import SCHEMA, Server, serving
from tests.doctor.conftest import FORGETFUL, Operator, Stop, commit, duck
from tests.doctor.test_doctor import rows
from tests.processes import wait_for

TIMEOUT = 60


def test_a_backup_is_whole_and_for_the_owner_only(server: Server, operator: Operator) -> None:
    server.ok("DELETE", "/v1/namespaces/ns/tables/b")
    target = operator.folder / "backups" / "one"
    status, out, err = operator.run("backup", str(target))
    assert status == 0
    assert out.startswith(f"{target}: the catalog at 20")
    assert "2 metadata files" in out
    assert "verifying" in err
    told = json.loads((target / "manifest.json").read_bytes())
    assert told["rows"]["tabulars"] == told["rows"]["dropped_tabulars"] == 1
    there = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert there == {"manifest.json", "catalog.db", *(file["path"] for file in told["files"])}
    for path in (target / name for name in there):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(target.stat().st_mode) == 0o700
    assert operator.backup_of("a", target)["properties"]["n"] == "2"
    assert [path.name for path in target.parent.iterdir()] == ["one"]


def test_a_backup_leaves_no_thread_for_each_file(server: Server, operator: Operator) -> None:
    for number in range(8):
        server.table(f"more{number}")
    before = _readers()
    assert operator.run("backup", str(operator.folder / "one"))[0] == 0
    # One reads the warehouse, one the copies; the server may have read meanwhile.
    assert 1 <= _readers() - before <= 3


def _readers() -> int:
    return sum(thread.name == "read" for thread in threading.enumerate())


def test_nothing_is_ever_overwritten(server: Server, operator: Operator) -> None:
    target = operator.folder / "one"
    target.mkdir()
    status, _, err = operator.run("backup", str(target))
    assert status == 1
    assert err == f"Error: {target} already exists; a backup never overwrites anything\n"
    assert not list(target.iterdir())
    assert server.call("GET", "/health/live").status_code == 200


def test_without_a_store_nothing_is_made(operator: Operator) -> None:
    status, _, err = operator.run("backup", str(operator.folder / "one"))
    assert status == 1
    assert "there is no store at" in err
    assert not list(operator.folder.iterdir())


@pytest.mark.usefixtures("server")
def test_what_cannot_be_read_is_told_of(operator: Operator) -> None:
    operator.pointer("a").write_bytes(b"{")
    operator.pointer("b").unlink()
    status, out, err = operator.run("backup", str(operator.folder / "one"))
    assert status == 1
    assert "verified" in out
    assert "the backup is made, but 2 metadata files could not be read" in err
    assert json.loads((operator.folder / "one/manifest.json").read_bytes())["files"] == []
    operator.sql("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.mark.usefixtures("server")
def test_a_damaged_database_makes_no_backup(operator: Operator) -> None:
    operator.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    with operator.store.open("r+b") as file:
        file.seek(operator.store.stat().st_size - 4096 * 8)
        file.write(b"\xff" * 4096 * 8)
    status, _, err = operator.run("backup", str(operator.folder / "one"))
    assert status == 1
    assert err.splitlines()[-1].startswith("Error: ")
    assert not list(operator.folder.glob("*one*"))


def test_a_backup_that_was_killed_is_none(
    server: Server, operator: Operator, waiting_cli: Any
) -> None:
    stop = Stop(operator.pointer("b"))
    process = waiting_cli("backup", str(operator.folder / "one"), *operator.flags)
    stop.wait()
    process.kill()
    stop.remove()
    assert not (operator.folder / "one").exists()
    (torso,) = operator.folder.glob(".one.partial-*")
    assert list(torso.glob("files/**/*.json"))
    status, _, err = operator.run("restore", str(torso))
    assert status == 2
    assert "or one that was not finished: manifest.json is missing" in err
    assert operator.run("backup", str(operator.folder / "one"))[0] == 0
    commit(server, "b", n="1")


def test_a_file_that_is_deleted_meanwhile_moves_the_moment(
    server: Server, operator: Operator, waiting_cli: Any
) -> None:
    server.table("forgetful", properties=FORGETFUL)
    old = operator.pointer("forgetful")
    stop = Stop(operator.pointer("b"))
    process = waiting_cli("backup", str(operator.folder / "one"), *operator.flags)
    stop.wait()
    for number in range(3):
        commit(server, "forgetful", n=str(number))
    assert not old.exists()
    stop.go_on()
    assert process.status() == 0, process.errors
    assert any("going on from a later moment" in line for line in process.errors)
    assert operator.backup_of("forgetful", operator.folder / "one")["properties"]["n"] == "2"


@dataclass
class Writers:
    """Eight clients that commit to tables of their own, and in pairs to two at once."""

    url: str
    done: threading.Event = field(default_factory=threading.Event)
    acknowledged: dict[str, int] = field(default_factory=dict)
    problems: list[BaseException] = field(default_factory=list)

    @contextmanager
    def working(self) -> Iterator[None]:
        threads = [threading.Thread(target=self.work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        try:
            wait_for(lambda: self.problems or len(self.acknowledged) == 8)
            yield
        finally:
            self.done.set()
            for thread in threads:
                thread.join()
            assert self.problems == []

    def work(self, number: int) -> None:
        try:
            pair = [f"w{number}left", f"w{number}right"]
            for name in pair:
                body = {"name": name, "schema": SCHEMA, "properties": FORGETFUL}
                self.post("/v1/namespaces/ns/tables", body)
            turn = 0
            while not self.done.is_set():
                turn += 1
                self.post("/v1/transactions/commit", {"table-changes": changes(pair, turn)})
                self.acknowledged[f"w{number}"] = turn
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            self.problems.append(error)

    def post(self, path: str, body: object) -> None:
        answer = requests.post(f"{self.url}{path}", json=body, timeout=TIMEOUT)
        assert answer.status_code in (200, 204), answer.text


def changes(names: list[str], turn: int) -> list[dict[str, Any]]:
    return [
        {
            "identifier": {"namespace": ["ns"], "name": name},
            "requirements": [],
            "updates": [{"action": "set-properties", "updates": {"n": str(turn)}}],
        }
        for name in names
    ]


@pytest.mark.parametrize("moments", [5, 0], ids=["free", "commits-wait"])
def test_beside_eight_writing_clients(
    serve: Callable[[], Any], operator: Operator, monkeypatch: pytest.MonkeyPatch, moments: int
) -> None:
    # Without a free moment the last resort is taken at once: commits wait.
    monkeypatch.setattr(backups, "_MOMENTS", moments)
    writers = Writers(serve().url())
    writers.post("/v1/namespaces", {"namespace": ["ns"]})
    with writers.working():
        for number in range(3):
            target = operator.folder / f"backup{number}"
            before = dict(writers.acknowledged)
            status, _, err = operator.run("backup", str(target))
            assert status == 0, err
            for name, turn in before.items():
                left, right = (
                    int(operator.backup_of(f"{name}{side}", target)["properties"]["n"])
                    for side in ("left", "right")
                )
                assert left == right >= turn
            every_pointer_is_readable(target)


def every_pointer_is_readable(target: Path) -> None:
    with closing(sqlite3.connect(f"file:{target}/catalog.db?immutable=1", uri=True)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        sql = "SELECT metadata_location, uuid FROM tabulars"
        for location, uuid in database.execute(sql).fetchall():
            path = target / f"files{location.removeprefix('file://')}"
            assert json.loads(path.read_bytes())["table-uuid"] == uuid


class TestRestore:
    @pytest.fixture
    def backup(self, server: Server, operator: Operator) -> Path:
        """A backup, made before one more commit to ``a``."""
        target = operator.folder / "one"
        assert operator.run("backup", str(target))[0] == 0
        commit(server, "a", n="later")
        return target

    @pytest.mark.parametrize("damaged", ["catalog.db", "manifest.json", "file"])
    def test_a_damaged_backup_is_refused(
        self, operator: Operator, backup: Path, damaged: str
    ) -> None:
        path = backup / damaged if damaged != "file" else next(backup.glob("files/**/*.json"))
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0x55
        path.write_bytes(content)
        before = operator.store.read_bytes()
        status, _, err = operator.run("restore", "--replace", str(backup))
        assert status == 2
        assert "damaged" in err
        path.unlink()
        status, _, err = operator.run("restore", "--replace", str(backup))
        assert status == 2
        assert "missing" in err
        assert operator.store.read_bytes() == before

    def test_it_is_refused_while_the_server_runs(
        self, server: Server, operator: Operator, backup: Path
    ) -> None:
        status, _, err = operator.run("restore", "--replace", str(backup))
        assert status == 2
        assert "is in use: stop the server" in err
        commit(server, "a", n="on")


@pytest.fixture
def stopped(operator: Operator) -> Path:
    """A backup of a catalog with rows, made before one more append; the server is stopped."""
    target = operator.folder / "one"
    with serving(operator.folder) as server:
        server.namespace("ns")
        server.table("a")
        server.table("gone")
        client = load_catalog("c", type="rest", uri=server.url)
        client.load_table("ns.a").append(rows(1))
        server.ok("DELETE", "/v1/namespaces/ns/tables/gone", params={"purgeRequested": "true"})
        assert operator.run("backup", str(target))[0] == 0
        client.load_table("ns.a").append(rows(2))
        server.ok("POST", "/management/v1/warehouses/default/dropped/1/undrop")
    return target


def test_an_existing_store_is_replaced_only_when_told(operator: Operator, stopped: Path) -> None:
    before = operator.sql("SELECT * FROM tabulars")
    status, _, err = operator.run("restore", str(stopped))
    assert status == 2
    assert "--replace moves it aside" in err
    assert operator.sql("SELECT * FROM tabulars") == before


def test_what_is_younger_than_the_backup_is_told_and_brought_back(
    operator: Operator, stopped: Path
) -> None:
    newest, before = operator.pointer("a"), operator.sql("SELECT * FROM tabulars")
    status, out, _ = operator.run("restore", "--replace", str(stopped))
    assert status == 1
    assert "warning: newer-metadata" in out
    assert f"--repair repoint={operator.row_id('a')}@{newest}" in out
    assert "Postponed: 1 purge; see falcon-catalog dropped" in out
    (aside,) = operator.folder.glob("catalog.db.replaced-*")
    with closing(sqlite3.connect(aside / "catalog.db")) as old:
        assert old.execute("SELECT * FROM tabulars").fetchall() == before
    assert stat.S_IMODE(operator.store.stat().st_mode) == 0o600
    assert operator.pointer("a") != newest
    with serving(operator.folder) as server:
        assert [row[0] for row in read(server)] == [1]
        operator.repaired(f"repoint={operator.row_id('a')}@{newest}")
        assert [row[0] for row in read(server)] == [1, 2]
        assert operator.found("--deep") == []


def test_a_lost_store_and_lost_metadata_come_back_for_every_engine(
    operator: Operator, stopped: Path
) -> None:
    for path in [
        *operator.folder.glob("catalog.db*"),
        *operator.folder.glob("warehouse/**/0*.json"),
    ]:
        path.unlink()
    status, out, err = operator.run("restore", str(stopped))
    assert status == 0, out
    assert "2 of 2 metadata files were missing and are restored" in err
    with serving(operator.folder) as server:
        client = load_catalog("c", type="rest", uri=server.url)
        client.load_table("ns.a").append(rows(3))
        assert client.load_table("ns.a").scan().to_arrow()["id"].to_pylist() == [3, 1]
        with closing(duck(server)) as connection:
            connection.execute("INSERT INTO lake.ns.a VALUES (4, 'y')")
            found = connection.execute("SELECT id FROM lake.ns.a ORDER BY id").fetchall()
        assert found == [(1,), (3,), (4,)]
        assert [finding[0] for finding in operator.found("--deep")] == ["history-missing"]


def test_a_file_that_differs_is_left_alone(operator: Operator, stopped: Path) -> None:
    told = json.loads((stopped / "manifest.json").read_bytes())
    path = Path(told["files"][0]["location"].removeprefix("file://"))
    path.write_bytes(b"{}")
    status, out, _ = operator.run("restore", "--replace", str(stopped))
    assert status == 1
    assert f"Not overwritten, but differs from the backup: file://{path}" in out
    assert path.read_bytes() == b"{}"


def test_a_served_store_is_seen_by_its_lock(
    serve: Callable[[], Any], operator: Operator, stopped: Path
) -> None:
    server = serve()
    server.url()
    assert "is in use" in operator.run("restore", "--replace", str(stopped))[2]
    server.kill()
    assert operator.run("restore", "--replace", str(stopped))[0] == 1


def test_no_server_starts_while_a_store_is_replaced(
    serve: Callable[[], Any], operator: Operator, stopped: Path
) -> None:
    with locks.exclusive(operator.store):
        server = serve()
        assert server.status() == 1
        assert "is being replaced by falcon-catalog restore" in server.errors[-1]
        assert "is in use" in operator.run("restore", "--replace", str(stopped))[2]
        assert operator.run("maintain")[0] == 1
    assert operator.run("maintain")[0] == 0


def test_a_manifest_that_names_files_outside_is_refused(operator: Operator, stopped: Path) -> None:
    path = stopped / "manifest.json"
    told = json.loads(path.read_bytes())
    for outside in (str(operator.store), "files/../../catalog.db"):
        told["files"][0]["path"] = outside
        path.write_text(json.dumps(told), encoding="utf-8")
        status, _, err = operator.run("restore", "--replace", str(stopped))
        assert status == 2
        assert f"{outside} is outside the backup" in err


def test_it_goes_nowhere_but_where_the_settings_allow(operator: Operator, stopped: Path) -> None:
    new = operator.folder / "new.db"
    other = [f"--store=sqlite:///{new}", "--warehouse=file:///srv/elsewhere"]
    status, _, err = operator.run("restore", *other, str(stopped))
    assert status == 2
    assert "is outside the locations of the settings: file:///srv/elsewhere" in err
    assert not new.exists()
    # The backup may be tried out beside the catalog.
    status, out, _ = operator.run("restore", other[0], str(stopped))
    assert status == 1
    assert "newer-metadata" in out
    assert stat.S_IMODE(new.stat().st_mode) == 0o600


class TestTheWarehouse:
    """A restore into a mount point would hide the metadata files under the file system."""

    def store_id(self, operator: Operator) -> str:
        return operator.sql("SELECT store_id FROM store_identity")[0][0]

    def marked(self, operator: Operator) -> str:
        return json.loads((operator.folder / "warehouse" / marker.NAME).read_bytes())["store"]

    def serves(self, operator: Operator) -> None:
        with serving(operator.folder) as server:
            assert server.ok("GET", "/health/ready") == {"status": "ready"}
            assert [row[0] for row in read(server)] == [1]
            assert server.table("new")

    @pytest.mark.parametrize("shape", SHAPES)
    def test_that_is_not_mounted_is_left_alone(
        self, operator: Operator, stopped: Path, shape: str
    ) -> None:
        before = operator.sql("SELECT * FROM tabulars")
        with unmounted(operator.folder / "warehouse", shape):
            status, _, err = operator.run("restore", "--replace", str(stopped))
            assert status == 2
            assert "has neither a marker nor any metadata file of the backup" in err
        assert operator.sql("SELECT * FROM tabulars") == before
        assert not list(operator.folder.glob("catalog.db.replaced-*"))

    def test_that_was_lost_is_made_when_told(self, operator: Operator, stopped: Path) -> None:
        shutil.rmtree(operator.folder / "warehouse")
        for path in operator.folder.glob("catalog.db*"):
            path.unlink()
        assert operator.run("restore", str(stopped))[0] == 2
        assert not operator.store.exists()
        status, out, _ = operator.run("restore", "--adopt-warehouse", str(stopped))
        assert status == 1  # the manifest lists are gone, and that is told
        assert "snapshot-missing" in out
        assert self.marked(operator) == self.store_id(operator)
        with serving(operator.folder) as server:
            assert server.ok("GET", "/health/ready") == {"status": "ready"}
            assert server.ok("GET", "/v1/namespaces/ns/tables/a")

    def test_whose_marker_was_lost_is_known_by_its_files(
        self, operator: Operator, stopped: Path
    ) -> None:
        (operator.folder / "warehouse" / marker.NAME).unlink()
        assert operator.run("restore", "--replace", str(stopped))[0] == 1
        assert self.marked(operator) == self.store_id(operator)
        self.serves(operator)

    def test_keeps_its_marker(self, operator: Operator, stopped: Path) -> None:
        own, path = self.store_id(operator), operator.folder / "warehouse" / marker.NAME
        before = path.stat()
        assert operator.run("restore", "--replace", str(stopped))[0] == 1
        assert self.store_id(operator) == own
        assert path.stat() == before
        drill = f"--store=sqlite:///{operator.folder}/drill.db"
        assert operator.run("restore", drill, str(stopped))[0] == 1
        assert path.stat() == before

    def test_of_another_store_is_taken_when_told(self, operator: Operator, stopped: Path) -> None:
        path = operator.folder / "warehouse" / marker.NAME
        told = json.loads(path.read_bytes())
        path.write_text(json.dumps({**told, "store": "another"}), encoding="utf-8")
        status, _, err = operator.run("restore", "--replace", str(stopped))
        assert status == 2
        assert "belongs to another store, another; the backup is of" in err
        assert operator.run("restore", "--replace", "--adopt-warehouse", str(stopped))[0] == 1
        assert self.marked(operator) == told["store"]
        self.serves(operator)

    def test_of_the_store_that_is_replaced_follows(self, operator: Operator, stopped: Path) -> None:
        """The store was lost, a new one took the warehouse, and then a backup was found."""
        own = self.store_id(operator)
        for path in operator.folder.glob("catalog.db*"):
            path.unlink()
        assert operator.run("migrate", "--adopt-warehouse")[0] == 0
        assert self.marked(operator) == self.store_id(operator) != own
        assert operator.run("restore", "--replace", str(stopped))[0] == 1
        assert self.marked(operator) == self.store_id(operator) == own
        self.serves(operator)

    def test_is_the_one_of_an_older_versions_backup(
        self, operator: Operator, stopped: Path
    ) -> None:
        own = self.store_id(operator)
        database = stopped / "catalog.db"
        with closing(sqlite3.connect(database, isolation_level=None)) as older:
            for statement in (
                "PRAGMA journal_mode = DELETE",
                "DROP TABLE store_identity",
                "ALTER TABLE warehouses DROP COLUMN marked_location",
                "ALTER TABLE dropped_tabulars DROP COLUMN emptied_at",
                "DROP TABLE orphans",
                "DELETE FROM _sqlite_migrations WHERE name LIKE '0006%' OR name LIKE '0008%'",
            ):
                older.execute(statement)
        told = json.loads((stopped / "manifest.json").read_bytes())
        content = database.read_bytes()
        sha = hashlib.sha256(content).hexdigest()
        told["database"] |= {"bytes": len(content), "sha256": sha}
        del told["rows"]["store_identity"], told["rows"]["orphans"]
        (stopped / "manifest.json").write_text(json.dumps(told), encoding="utf-8")
        assert operator.run("restore", "--replace", str(stopped))[0] == 1
        assert self.store_id(operator) == self.marked(operator) == own
        self.serves(operator)

    @pytest.mark.parametrize("shape", SHAPES)
    def test_that_is_not_mounted_is_not_backed_up(
        self, operator: Operator, stopped: Path, shape: str
    ) -> None:
        with unmounted(operator.folder / "warehouse", shape):
            status, _, err = operator.run("backup", str(operator.folder / "two"))
        assert status == 1
        (line,) = err.splitlines()
        assert line.startswith("Error: no backup is made: the warehouse default (file://")
        assert not list(operator.folder.glob("*two*"))
        assert stopped.is_dir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files for others")
def test_what_root_restores_belongs_to_the_servers_user(operator: Operator, stopped: Path) -> None:
    for path in [
        *operator.folder.glob("catalog.db*"),
        *operator.folder.glob("warehouse/**/0*.json"),
    ]:
        path.unlink()
    for path in [operator.folder, *operator.folder.glob("warehouse/**/")]:
        os.chown(path, 12345, 12346)
    assert operator.run("restore", str(stopped))[0] == 0
    made = [*operator.folder.glob("catalog.db*"), *operator.folder.glob("warehouse/**/0*.json")]
    assert len(made) > 3
    assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {(12345, 12346)}


def read(server: Server) -> list[tuple[int, str]]:
    table = load_catalog("c", type="rest", uri=server.url).load_table("ns.a")
    return sorted(tuple(row.values()) for row in table.scan().to_arrow().to_pylist())
