"""What the database holds besides pointers: answers, plans, drops, other tables' places."""

import builtins
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.partitioning import PartitionSpec

from tests.backup.warehouse import SCAN, Warehouse, path_of, rows
from tests.catalog.scanning import duckdb_on, plan, pyiceberg
from tests.catalog.serving import SCHEMA, Server, serving

ROWS = pa.Table.from_pylist(
    [{"id": i, "data": "x"} for i in range(4)],
    schema=pa.schema([pa.field("id", pa.int64(), nullable=False), ("data", pa.string())]),
)
TABLES = "/v1/namespaces/ns/tables"


@pytest.fixture
def server(tmp_path: Path) -> Any:
    with serving(tmp_path / "state") as server:
        server.namespace("ns")
        yield server


def moved(server: Server, tmp_path: Path) -> Warehouse:
    """Move the warehouse of a server that has been stopped."""
    (server.folder / "warehouse").rename(tmp_path / "new")
    return Warehouse(server.folder, tmp_path / "new")


def at(key: str) -> dict[str, Any]:
    return {"headers": {"Idempotency-Key": key}}


def test_a_retry_is_answered_with_the_new_place_or_not_at_all(tmp_path: Path) -> None:
    keys = [str(uuid.uuid4()) for _ in range(4)]
    creates = {"name": "t", "schema": SCHEMA}
    sets = {"updates": [{"action": "set-properties", "updates": {"n": "1"}}]}
    unset = {"action": "remove-properties", "removals": ["n"]}
    made = {"namespace": ["home"], "properties": {}}
    with serving(tmp_path / "state") as server:
        server.namespace("ns")
        made["properties"] = {"location": f"file://{server.warehouse}/home"}
        server.ok("POST", TABLES, creates, **at(keys[0]))
        server.ok("POST", f"{TABLES}/t", sets, **at(keys[1]))
        server.ok("POST", "/v1/namespaces", made, **at(keys[2]))
        pyiceberg(server).load_table("ns.t").append(ROWS)
        server.ok("POST", f"{TABLES}/t", {"updates": [unset]}, **at(keys[3]))
        planned = server.ok("POST", f"{TABLES}/t/plan", {}, **at(str(uuid.uuid4())))
    new = moved(server, tmp_path)
    assert new.relocate(tmp_path / "state" / "warehouse")[0] == 0
    assert new.sql("SELECT count(*) FROM plans") == [(0,)]
    assert new.sql("SELECT count(*) FROM idempotency_keys WHERE request LIKE '%/plan %'") == [(0,)]
    with new.serving() as server:
        again = server.ok("POST", f"{TABLES}/t", {"updates": [unset]}, **at(keys[3]))
        assert path_of(again["metadata-location"]) == new.pointer("t")
        assert again["metadata"]["location"].startswith(f"file://{new.location}/")
        for path, body, key in ((TABLES, creates, keys[0]), (f"{TABLES}/t", sets, keys[1])):
            status, kind, message = server.fails("POST", path, body, **at(key))
            assert (status, kind) == (500, "CommitStateUnknownException")
            assert "was completed before" in message
        answer = server.ok("POST", "/v1/namespaces", made, **at(keys[2]))
        assert answer["properties"]["location"] == f"file://{new.location}/home"
        status, _, _ = server.fails("GET", f"{TABLES}/t/plan/{planned['plan-id']}")
        assert status == 404
        assert plan(server, "t").rows == 4


def test_a_part_of_the_warehouse_and_not_its_neighbour(tmp_path: Path) -> None:
    with serving(tmp_path / "state") as server:
        server.namespace("ns")
        places = {name: f"file://{server.warehouse}/ns/{name}" for name in ("a", "ab", "a-2")}
        catalog = pyiceberg(server)
        for name, place in places.items():
            table = catalog.create_table(("ns", name), SCAN, location=place)
            table.append(rows(0))
    home = Warehouse(server.folder, server.warehouse)
    (home.location / "ns" / "a").rename(home.location / "ns" / "c")
    words = (f"file://{home.location}/ns/a", f"file://{home.location}/ns/c")
    status, out, err = home.run("relocate", *words)
    assert status == 0, out + err
    assert "Write warehouse.location" not in out or "flag" in out
    with home.serving() as server:
        catalog = pyiceberg(server)
        for name in places:
            table = catalog.load_table(("ns", name))
            assert table.scan().to_arrow().num_rows == 4
            expected = "c" if name == "a" else name
            assert table.location() == f"file://{home.location}/ns/{expected}"
        with duckdb_on(server) as duck:
            (found,) = duck.execute("SELECT count(*) FROM lake.ns.a WHERE id >= 0").fetchone()
            assert found == 4


def test_a_table_is_not_put_over_another(tmp_path: Path) -> None:
    with serving(tmp_path / "state") as server:
        server.namespace("ns")
        for name in ("x", "y"):
            server.table(name, location=f"file://{server.warehouse}/{name}/t")
    home = Warehouse(server.folder, server.warehouse)
    files = home.location / "x" / "t"
    for path in files.rglob("*.json"):
        target = home.location / "y" / "t" / path.relative_to(files)
        target.write_bytes(path.read_bytes())
    dump = home.dump()
    words = (f"file://{home.location}/x", f"file://{home.location}/y")
    status, out, _ = home.run("relocate", *words)
    assert status == 1
    assert f"{home.location}/y/t/ would lie in or at table default:ns." in out
    assert home.dump() == dump


def test_a_purge_that_has_begun_goes_on_at_the_new_place(tmp_path: Path) -> None:
    with serving(tmp_path / "state") as server:
        server.namespace("ns")
        catalog = pyiceberg(server)
        table = catalog.create_table("ns.t", SCAN, partition_spec=PartitionSpec())
        table.append(rows(0))
        table.append(rows(4))
        folder = path_of(table.location())
        server.ok("DELETE", f"{TABLES}/t?purgeRequested=true")
    new = moved(server, tmp_path)
    folder = new.location / folder.relative_to(server.warehouse)
    new.sql("UPDATE dropped_tabulars SET expires_at = 1, started_at = 1, leased_until = 1")
    next(folder.rglob("*.parquet")).unlink()
    status, out, err = new.relocate(server.warehouse)
    assert status == 0, out + err
    status, out, _ = new.run("maintain")
    assert status == 0
    assert "purged" in out
    assert not list(folder.rglob("*.parquet"))
    assert new.sql("SELECT count(*) FROM dropped_tabulars") == [(0,)]


def test_metadata_of_another_table_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path / "state") as server:
        server.namespace("ns")
        server.table("a")
        server.table("b")
    new = moved(server, tmp_path)
    places = dict(new.sql("SELECT name, metadata_location FROM tabulars"))
    a, b = (
        new.location / path_of(places[name]).relative_to(server.warehouse) for name in ("a", "b")
    )
    a.write_bytes(b.read_bytes())
    dump = new.dump()
    status, out, _ = new.relocate(server.warehouse)
    assert status == 1
    assert "is the metadata of" in out
    assert new.dump() == dump


@pytest.mark.parametrize("library", ["fastavro", "pyarrow"])
def test_without_a_library_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    with serving(tmp_path / "state") as server:
        server.namespace("ns")
        server.table("plain")
        with duckdb_on(server) as duck:
            duck.execute("CREATE TABLE lake.ns.t (id BIGINT)")
            duck.execute("INSERT INTO lake.ns.t FROM range(9)")
            duck.execute("DELETE FROM lake.ns.t WHERE id = 3")
    new = moved(server, tmp_path)
    files, dump = new.files(), new.dump()
    original = builtins.__import__

    def without(name: str, *given: Any, **named: Any) -> Any:
        if name.partition(".")[0] == library:
            raise ImportError(name)
        return original(name, *given, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    status, _, err = new.relocate(server.warehouse)
    monkeypatch.undo()
    assert status == 2
    assert "pip install '.[relocate]'" in err
    assert library in err
    assert (new.files(), new.dump()) == (files, dump)


def test_other_libraries_are_loaded_when_they_are_needed() -> None:
    code = (
        "import sys, falcon_catalog.cli.relocate;"
        "print(sorted({'fastavro', 'pyarrow', 'pyiceberg'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout == "[]\n"


def test_folders_that_properties_name_move_in_the_store_as_well(tmp_path: Path) -> None:
    with serving(tmp_path / "state") as server:
        server.namespace("ns")
        properties = {"write.data.path": f"file://{server.warehouse}/aside"}
        for name in ("t", "gone"):
            server.ok("POST", TABLES, {"name": name, "schema": SCHEMA, "properties": properties})
        server.ok("DELETE", f"{TABLES}/gone")
    new = moved(server, tmp_path)
    assert new.relocate(tmp_path / "state" / "warehouse")[0] == 0
    assert new.sql("SELECT location_key FROM paths") == [(f"{new.location}/aside/",)] * 2
