"""The doctor finds each kind of damage, explains it, and repairs it when it is told to."""

import gzip
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import requests
from pyiceberg.catalog import load_catalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import BadRequestError

from falcon_catalog.catalog import marker
from falcon_catalog.store.database import now_ms
from tests.catalog.mounting import SHAPES, unmounted
from tests.catalog.serving import SCHEMA, VIEW, Server, serving, store_url
from tests.doctor.conftest import (
    FORGETFUL,
    TIMEOUT,
    Operator,
    Stop,
    age,
    commit,
    duck,
)
from tests.processes import wait_for


def table(operator: Operator, name: str) -> tuple[str, int]:
    return f"table default:ns.{name}", operator.row_id(name)


def test_a_healthy_catalog_is_clean(server: Server, operator: Operator) -> None:
    server.table("zipped", properties={"write.metadata.compression-codec": "gzip"})
    commit(server, "zipped", n="1")
    server.ok("DELETE", "/v1/namespaces/ns/tables/b", params={"purgeRequested": "true"})
    assert operator.found("--deep") == []
    status, out, _ = operator.run("doctor")
    assert status == 0
    assert "Clean: 0 errors, 0 warnings, 0 notes (2 living tables and views" in out


def test_without_a_store_it_cannot_run(operator: Operator) -> None:
    status, out, err = operator.run("doctor")
    assert (status, out) == (2, "")
    assert err.startswith(f"Error: there is no store at {store_url(operator.folder)} ")
    assert not operator.store.exists()
    assert not operator.store.exists()


@pytest.mark.sqlite
def test_an_empty_database_is_damage(operator: Operator) -> None:
    with serving(operator.folder) as server:
        server.namespace("ns")
    operator.store.write_bytes(b"")
    assert operator.found() == [("database-damaged", "store", None)]
    status, _, err = operator.run("maintain")
    assert status == 1
    assert "the file is empty (0 bytes)" in err
    assert operator.store.stat().st_size == 0


@pytest.mark.usefixtures("server")
@pytest.mark.sqlite
def test_a_store_of_another_version_is_not_judged(operator: Operator) -> None:
    operator.sql("UPDATE _sqlite_migrations SET name = '9999_of_tomorrow' WHERE name LIKE '0005%'")
    status, _, err = operator.run("doctor")
    assert status == 2
    assert "9999_of_tomorrow" in err


class TestTheMetadataFile:
    def test_that_vanished(self, server: Server, operator: Operator) -> None:
        subject, row = table(operator, "a")
        before = sorted(operator.pointer("a").parent.iterdir())[-2]
        operator.pointer("a").unlink()
        assert operator.found() == [("metadata-missing", subject, f"repoint={row}")]
        (said,) = operator.repaired(f"repoint={row}")
        assert f"points at file://{before}" in said
        assert operator.found() == []
        assert server.ok("GET", "/v1/namespaces/ns/tables/a")["metadata"]["properties"]["n"] == "1"
        commit(server, "a", n="again")

    def test_the_snapshots_that_are_given_up_are_named(
        self, server: Server, operator: Operator
    ) -> None:
        client = load_catalog("c", type="rest", uri=server.url)
        client.load_table("ns.b").append(rows(1))
        client.load_table("ns.b").append(rows(2))
        (lost,) = [client.load_table("ns.b").current_snapshot().snapshot_id]
        operator.pointer("b").unlink()
        (said,) = operator.repaired(f"repoint={operator.row_id('b')}")
        assert said.endswith(f"lost, or never committed: snapshot {lost}")
        assert client.load_table("ns.b").scan().to_arrow()["id"].to_pylist() == [1]
        assert operator.found("--deep") == []

    @pytest.mark.parametrize("half", [b"", b'{"format-version":2', b"[]", b"\x00" * 4096])
    @pytest.mark.usefixtures("server")
    def test_that_is_torn(self, operator: Operator, half: bytes) -> None:
        subject, row = table(operator, "a")
        operator.pointer("a").write_bytes(half)
        assert operator.found() == [("metadata-damaged", subject, f"repoint={row}")]
        operator.repaired(f"repoint={row}")
        # What is torn is newer than what is in force, but nothing to go back to.
        assert [check for check, _, _ in operator.found("--older-than=1")] == []

    def test_that_is_zipped_and_cut_short(self, server: Server, operator: Operator) -> None:
        commit(server, "a", **{"write.metadata.compression-codec": "gzip"})
        subject, row = table(operator, "a")
        whole = operator.pointer("a").read_bytes()
        assert gzip.decompress(whole)
        operator.pointer("a").write_bytes(whole[:-20])
        status, (finding,) = operator.doctor()
        assert status == 1
        assert finding["check"] == "metadata-damaged"
        assert "cut short" in finding["what"]
        assert finding["repair"] == f"repoint={row}"
        assert finding["subject"] == subject

    @pytest.mark.usefixtures("server")
    def test_that_is_another_tables(self, operator: Operator) -> None:
        subject, row = table(operator, "a")
        newest = operator.pointer("a")
        other = f"file://{operator.pointer('b')}"
        operator.sql("UPDATE tabulars SET metadata_location = ? WHERE name = 'a'", other)
        assert operator.found() == [("foreign-metadata", subject, f"repoint={row}")]
        operator.repaired(f"repoint={row}")
        assert operator.pointer("a") == newest
        assert operator.found() == []

    @pytest.mark.usefixtures("server")
    def test_that_lies_elsewhere_than_the_row_says(self, operator: Operator) -> None:
        subject, row = table(operator, "a")
        operator.sql("UPDATE tabulars SET location_key = '/nowhere/' WHERE name = 'a'")
        (found,) = [one for one in operator.found() if one[0] == "location-mismatch"]
        assert found == (
            "location-mismatch",
            subject,
            f"repoint={row}@file://{operator.pointer('a')}",
        )
        operator.repaired(found[2] or "")
        assert operator.found() == []

    def test_whose_properties_name_a_folder_that_the_store_does_not_know(
        self, server: Server, operator: Operator
    ) -> None:
        folder = f"file://{server.folder}/warehouse/aside"
        updates = [{"action": "set-properties", "updates": {"write.data.path": folder}}]
        server.ok("POST", "/v1/namespaces/ns/tables/a", {"requirements": [], "updates": updates})
        assert operator.found() == []
        operator.sql("DELETE FROM paths")
        subject, row = table(operator, "a")
        repair = f"repoint={row}@file://{operator.pointer('a')}"
        assert operator.found() == [("paths-unknown", subject, repair)]
        operator.repaired(repair)
        assert operator.found() == []

    @pytest.mark.usefixtures("server")
    def test_that_says_it_lies_where_nothing_can(self, operator: Operator) -> None:
        subject, row = table(operator, "a")
        metadata = json.loads(operator.pointer("a").read_bytes())
        operator.pointer("a").write_text(json.dumps({**metadata, "location": "s3://b/a"}), "utf-8")
        repair = f"repoint={row}@file://{operator.pointer('a')}"
        assert operator.found() == [("location-mismatch", subject, repair)]
        assert operator.run("doctor", "--repair", repair)[0] == 2

    @pytest.mark.usefixtures("server")
    def test_of_which_several_may_be_the_one_before(self, operator: Operator) -> None:
        row, newest = operator.row_id("a"), operator.pointer("a")
        before = sorted(newest.parent.iterdir())[-2]
        twin = before.with_name(before.name[:6] + "twin.metadata.json")
        shutil.copy(before, twin)
        newest.unlink()
        status, _, err = operator.run("doctor", "--repair", f"repoint={row}")
        assert status == 2
        assert f"repoint={row}@{before}" in err
        assert f"repoint={row}@{twin}" in err
        operator.repaired(f"repoint={row}@{before}")
        assert operator.pointer("a") == before

    def test_that_a_client_with_a_fast_clock_wrote(
        self, server: Server, operator: Operator
    ) -> None:
        client = load_catalog("c", type="rest", uri=server.url)
        client.load_table("ns.b").append(rows(1))
        subject, row = table(operator, "b")
        file = operator.pointer("b")
        metadata = json.loads(file.read_bytes())
        for times in (metadata["snapshots"], metadata["snapshot-log"]):
            times[-1]["timestamp-ms"] *= 1000  # microseconds, which were accepted once
        metadata["last-updated-ms"] = metadata["snapshot-log"][-1]["timestamp-ms"]
        blocked = file.with_name("00007-blocked.metadata.json")
        blocked.write_text(json.dumps(metadata), encoding="utf-8")
        location = f"file://{blocked}"
        body = {"name": "b", "metadata-location": location, "overwrite": True}
        server.ok("POST", "/v1/namespaces/ns/register", body)
        row = operator.row_id("b")
        with pytest.raises(BadRequestError, match="before last snapshot log entry"):
            client.load_table("ns.b").append(rows(2))
        assert operator.found() == [("clock-ahead", subject, f"clock={row}")]
        (said,) = operator.repaired(f"clock={row}")
        assert str(operator.pointer("b")) in said
        assert operator.pointer("b").name.startswith("00008-")
        assert operator.found("--deep") == []
        assert operator.run("doctor", "--repair", f"clock={row}")[0] == 2  # no longer needed
        client.load_table("ns.b").append(rows(2))
        repaired = client.load_table("ns.b")
        assert sorted(repaired.scan().to_arrow()["id"].to_pylist()) == [1, 2]
        assert repaired.metadata.metadata_log[-2].metadata_file == location

    @pytest.mark.usefixtures("server")
    def test_that_java_cannot_read(self, operator: Operator) -> None:
        """It was accepted by an earlier version: a column with a partition field's name."""
        subject, _ = table(operator, "a")
        file = operator.pointer("a")
        metadata = json.loads(file.read_bytes())
        field = {"source-id": 1, "field-id": 1000, "transform": "bucket[2]", "name": "data"}
        metadata["partition-specs"].append({"spec-id": 1, "fields": [field]})
        file.write_text(json.dumps(metadata), encoding="utf-8")
        status, (finding,) = operator.doctor()
        assert status == 1
        assert finding["check"] == "unreadable-by-java"
        assert finding["subject"] == subject
        assert finding["what"].endswith("sourced from different field in schema: data")

    def test_of_a_drop(self, server: Server, operator: Operator) -> None:
        gone = operator.pointer("a")
        server.ok("DELETE", "/v1/namespaces/ns/tables/a")
        gone.unlink()
        ((drop,),) = operator.sql("SELECT id FROM dropped_tabulars")
        found = [("cannot-return", "dropped table default:ns.a", f"forget-drop={drop}")]
        assert operator.found() == found
        operator.repaired(f"forget-drop={drop}")
        assert operator.found() == []

    def test_of_a_view(self, server: Server, operator: Operator) -> None:
        version = {
            "version-id": 1,
            "timestamp-ms": 1,
            "schema-id": 0,
            "summary": {},
            "representations": [{"type": "sql", "sql": "SELECT 1", "dialect": "duckdb"}],
            "default-namespace": ["ns"],
        }
        body = {"name": "v", "schema": {**SCHEMA, "schema-id": 0}, "view-version": version}
        server.ok("POST", "/v1/namespaces/ns/views", {**body, "properties": {}})
        assert operator.found() == []
        operator.pointer("v").write_bytes(b"{}")
        repair = f"forget={operator.row_id('v')}"
        assert operator.found() == [("metadata-damaged", "view default:ns.v", repair)]


def test_a_table_none_of_whose_files_is_left_is_forgotten(
    server: Server, operator: Operator
) -> None:
    subject, row = table(operator, "a")
    shutil.rmtree(operator.pointer("a").parent)
    assert operator.found() == [("metadata-missing", subject, f"forget={row}")]
    operator.repaired(f"forget={row}")
    assert operator.found() == []
    assert server.call("GET", "/v1/namespaces/ns/tables/a").status_code == 404


@pytest.mark.usefixtures("server")
def test_no_repair_is_done_that_is_not_needed(operator: Operator) -> None:
    row = operator.row_id("a")
    before = operator.sql("SELECT * FROM tabulars")
    for name, told in {
        f"repoint={row}": "its metadata file is intact",
        f"repoint={row}@{operator.pointer('b')}": "is not in the folder of",
        f"forget={row}": "its metadata file is not lost",
        f"forget-drop={row}": "there is no dropped table or view",
        "repoint=77": "there is no living table or view with the id 77",
        "everything": "no such repair: 'everything'; there are repoint=ID",
    }.items():
        status, out, err = operator.run("doctor", "--repair", name)
        assert (status, out) == (2, "")
        assert told in err
    assert operator.sql("SELECT * FROM tabulars") == before


class TestAWarehouseThatIsNotMounted:
    @pytest.fixture
    def away(self, server: Server, operator: Operator) -> Iterator[list[str]]:
        """Drop a table and take the warehouse away; yield the repairs that could do harm."""
        server.table("c")
        server.ok("DELETE", "/v1/namespaces/ns/tables/c")
        ((drop,),) = operator.sql("SELECT id FROM dropped_tabulars")
        row, pointer = operator.row_id("a"), operator.pointer("a")
        older = sorted(pointer.parent.iterdir())[-2]
        with unmounted(server.warehouse):
            yield [
                f"forget={row}",
                f"forget-drop={drop}",
                f"repoint={row}",
                f"repoint={row}@{older}",
                "orphans",
            ]

    @pytest.mark.usefixtures("away")
    def test_is_one_finding_and_no_offer(self, operator: Operator) -> None:
        status, (finding,) = operator.doctor("--deep")
        assert (status, finding["check"], finding["repair"]) == (1, "warehouse-missing", None)
        assert finding["subject"] == f"warehouse default (file://{operator.folder}/warehouse)"
        assert "_falcon-catalog.json is missing: is it mounted?" in finding["what"]
        assert "2 living table or views and 1 dropped one lie in it" in finding["what"]
        assert "Mount it" in finding["remedy"]

    def test_keeps_every_row(self, operator: Operator, away: list[str]) -> None:
        before = [
            operator.sql(f"SELECT * FROM {name}") for name in ("tabulars", "dropped_tabulars")
        ]
        for name in away:
            status, out, err = operator.run("doctor", "--repair", name)
            assert (status, out) == (2, ""), name
            expected = "metadata cannot be read" if name == "orphans" else "is it mounted?"
            assert expected in err
        after = [operator.sql(f"SELECT * FROM {name}") for name in ("tabulars", "dropped_tabulars")]
        assert after == before

    def test_keeps_them_also_when_the_settings_name_another(
        self, operator: Operator, away: list[str]
    ) -> None:
        (operator.folder / "elsewhere").mkdir()
        elsewhere = f"--warehouse=file://{operator.folder}/elsewhere"
        _, out, _ = operator.run("doctor", elsewhere, "--json")
        assert [one["check"] for one in json.loads(out)["findings"]] == ["warehouse-missing"]
        for name in away[:2]:
            assert operator.run("doctor", elsewhere, "--repair", name)[0] == 2
        assert len(operator.sql("SELECT * FROM tabulars")) == 2

    def test_is_clean_when_it_is_back(self, server: Server, operator: Operator) -> None:
        with unmounted(server.warehouse, SHAPES[1]):
            assert [check for check, _, _ in operator.found()] == ["warehouse-missing"]
        assert operator.found("--deep") == []

    def test_of_another_store_is_told_from_it(self, server: Server, operator: Operator) -> None:
        path = server.warehouse / marker.NAME
        told = json.loads(path.read_bytes())
        path.write_text(json.dumps({**told, "store": "another"}), "utf-8")
        ((check, _, repair),) = operator.found()
        assert (check, repair) == ("warehouse-foreign", None)
        assert operator.run("doctor", "--repair", f"forget={operator.row_id('a')}")[0] == 2


def test_metadata_that_cannot_be_read_is_not_taken_for_lost(
    server: Server, operator: Operator
) -> None:
    subject, row = table(operator, "a")
    operator.pointer("a").unlink()
    operator.pointer("a").symlink_to(operator.pointer("a"))
    assert operator.found() == [("metadata-unreadable", subject, None)]
    assert operator.run("doctor", "--repair", f"forget={row}")[0] == 2
    assert server.fails("GET", "/v1/namespaces/ns/tables/a")[0] == 503


def test_a_purge_that_lacks_its_metadata_is_given_up(server: Server, operator: Operator) -> None:
    gone = operator.pointer("a")
    server.ok("DELETE", "/v1/namespaces/ns/tables/a", params={"purgeRequested": "true"})
    gone.unlink()
    operator.sql("UPDATE dropped_tabulars SET expires_at = 0")
    assert "not purged yet" in operator.run("maintain")[1]
    ((drop,),) = operator.sql("SELECT id FROM dropped_tabulars")
    assert (
        "purge-trouble",
        "dropped table default:ns.a",
        f"forget-drop={drop}",
    ) in operator.found()
    (said,) = operator.repaired(f"forget-drop={drop}")
    assert "forgotten; it had" in said
    assert "purge-trouble" not in {check for check, _, _ in operator.found()}
    assert gone.parent.is_dir()  # what is left stays, and is told of


class TestWhatTheMetadataNames:
    @pytest.fixture
    def metadata(self, server: Server) -> dict[str, Any]:
        client = load_catalog("c", type="rest", uri=server.url)
        client.load_table("ns.b").append(rows(1))
        client.load_table("ns.b").append(rows(2))
        return server.ok("GET", "/v1/namespaces/ns/tables/b")["metadata"]

    def test_the_present_snapshot(self, operator: Operator, metadata: dict[str, Any]) -> None:
        Path(metadata["snapshots"][-1]["manifest-list"].removeprefix("file://")).unlink()
        assert operator.found() == [("snapshot-missing", "table default:ns.b", None)]

    def test_an_older_one_is_looked_at_when_asked(
        self, operator: Operator, metadata: dict[str, Any]
    ) -> None:
        Path(metadata["snapshots"][0]["manifest-list"].removeprefix("file://")).unlink()
        assert operator.found() == []
        assert operator.found("--deep") == [("content-missing", "table default:ns.b", None)]

    @pytest.mark.parametrize("pattern", ["data/*.parquet", "metadata/*-m0.avro"])
    def test_a_data_file_and_a_manifest(
        self, operator: Operator, metadata: dict[str, Any], pattern: str
    ) -> None:
        next(Path(metadata["location"].removeprefix("file://")).glob(pattern)).unlink()
        assert operator.found() == []
        assert operator.found("--deep") == [("content-missing", "table default:ns.b", None)]

    def test_a_manifest_that_is_cut_short(
        self, operator: Operator, metadata: dict[str, Any]
    ) -> None:
        folder = Path(metadata["location"].removeprefix("file://"))
        manifest = next(folder.glob("metadata/*-m0.avro"))
        manifest.write_bytes(manifest.read_bytes()[:-30])
        status, (finding, by_length) = operator.doctor("--deep")
        assert status == 1
        assert finding["check"] == "content-missing"
        assert "cut short" in finding["what"]
        assert by_length["check"] == "content-truncated"

    @pytest.mark.parametrize("engine", ["pyiceberg", "duckdb"])
    @pytest.mark.parametrize("change", ["cut to half", "grown"])
    def test_a_data_file_of_another_length(
        self, server: Server, operator: Operator, metadata: dict[str, Any], engine: str, change: str
    ) -> None:
        folder = Path(metadata["location"].removeprefix("file://")) / "data"
        known = set(folder.iterdir())
        if engine == "duckdb":
            with closing(duck(server)) as connection:
                connection.execute("INSERT INTO lake.ns.b VALUES (3, 'z')")
            known = set(folder.iterdir()) - known
        assert operator.found("--deep") == []
        file = max(known)
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2] if change == "cut to half" else whole + b"x")
        assert operator.found() == []
        status, (finding,) = operator.doctor("--deep")
        assert (status, finding["check"]) == (1, "content-truncated")
        told = f"{file} has {file.stat().st_size} bytes instead of {len(whole)}"
        assert told in finding["what"]
        file.write_bytes(whole)
        assert operator.found("--deep") == []

    def test_a_delete_file_and_a_statistics_file_of_another_length(
        self, server: Server, operator: Operator, metadata: dict[str, Any]
    ) -> None:
        with closing(duck(server)) as connection:
            connection.execute("DELETE FROM lake.ns.b WHERE id = 1")
        folder = Path(metadata["location"].removeprefix("file://"))
        puffin = folder / "metadata" / "s.stats"
        puffin.write_bytes(b"PFA1" * 20)
        file = {
            "snapshot-id": metadata["current-snapshot-id"],
            "statistics-path": f"file://{puffin}",
            "file-size-in-bytes": 80,
            "file-footer-size-in-bytes": 20,
            "blob-metadata": [],
        }
        update = {"action": "set-statistics", "statistics": file}
        server.ok("POST", "/v1/namespaces/ns/tables/b", {"updates": [update]})
        assert operator.found("--deep") == []
        deletes = next(path for path in (folder / "data").iterdir() if "delete" in path.name)
        for path in (deletes, puffin):
            whole = path.read_bytes()
            path.write_bytes(whole[:-7])
            assert operator.found("--deep") == [("content-truncated", "table default:ns.b", None)]
            path.write_bytes(whole)
        assert operator.found("--deep") == []

    def test_a_file_of_the_log(self, operator: Operator, metadata: dict[str, Any]) -> None:
        Path(metadata["metadata-log"][0]["metadata-file"].removeprefix("file://")).unlink()
        assert operator.found() == [("history-missing", "table default:ns.b", None)]


class TestARowThatLeadsOutOfTheWarehouse:
    def leads(self, operator: Operator, name: str, to: Path) -> None:
        """Point a row at a copy of its table in another folder."""
        old = operator.pointer(name).parents[1]
        shutil.copytree(old, to / old.name)
        for column in ("metadata_location", "location_key"):
            operator.sql(
                f"UPDATE tabulars SET {column} = replace({column}, ?, ?) WHERE name = ?",
                str(old),
                str(to / old.name),
                name,
            )

    @pytest.mark.usefixtures("server")
    def test_is_told(self, operator: Operator) -> None:
        self.leads(operator, "a", operator.folder / "elsewhere")
        status, findings = operator.doctor()
        told = [one["what"] for one in findings if one["check"] == "outside-locations"]
        assert status == 1
        assert len(told) == 2
        assert told[0].startswith(f"its location is {operator.folder}/elsewhere/")
        assert told[1].startswith(f"its metadata file is file://{operator.folder}/elsewhere/")

    @pytest.mark.usefixtures("server")
    def test_is_told_by_where_links_lead(self, operator: Operator) -> None:
        folder = operator.pointer("a").parents[1]
        folder.rename(operator.folder / "outside")
        folder.symlink_to(operator.folder / "outside")
        _, findings = operator.doctor()
        assert {one["check"] for one in findings} == {"outside-locations"}
        assert f"which is {operator.folder}/outside" in findings[0]["what"]

    def test_is_not_opened_when_a_manifest_list_lies_there(
        self, server: Server, operator: Operator
    ) -> None:
        """As a table of an older version may have it."""
        client = RestCatalog("test", uri=server.url)
        table = client.create_table("ns.t", pa.schema([("id", pa.int64())]))
        table.append(pa.table({"id": [1]}))
        pointer = operator.pointer("t")
        metadata = json.loads(pointer.read_bytes())
        own = Path(metadata["snapshots"][0]["manifest-list"].removeprefix("file://"))
        outside = own.rename(operator.folder / own.name)
        metadata["snapshots"][0]["manifest-list"] = f"file://{outside}"
        pointer.write_text(json.dumps(metadata), "utf-8")
        _, findings = operator.doctor("--deep")
        told = [one["what"] for one in findings if one["check"] == "content-missing"]
        assert told
        assert f"file://{outside} is outside the allowed locations" in told[0]

    def test_is_told_of_a_drop(self, server: Server, operator: Operator) -> None:
        server.ok("DELETE", "/v1/namespaces/ns/tables/a", params={"purgeRequested": "true"})
        operator.sql("UPDATE dropped_tabulars SET location_key = '/etc/', started_at = 5")
        found = [one for one in operator.found() if one[0] == "outside-locations"]
        assert found == [("outside-locations", "dropped table default:ns.a", None)]

    def test_is_fine_where_the_warehouse_is_a_link_or_the_place_is_allowed(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "disk").mkdir()
        (tmp_path / "warehouse").symlink_to(tmp_path / "disk")
        operator = Operator(tmp_path)
        more = f"file://{tmp_path}/more"
        with serving(tmp_path, warehouse__allowed_locations=[more]) as server:
            server.namespace("ns")
            server.table("a")
            assert operator.found() == []
            server.table("b", location=f"{more}/b")
        assert {check for check, _, _ in operator.found()} == {"outside-locations"}
        (tmp_path / "c.toml").write_text(f'[warehouse]\nallowed_locations = ["{more}"]\n')
        assert operator.found("--config", str(tmp_path / "c.toml")) == []


class TestTheRows:
    @pytest.mark.usefixtures("server")
    @pytest.mark.sqlite
    def test_a_damaged_database(self, operator: Operator) -> None:
        operator.sql("PRAGMA wal_checkpoint(TRUNCATE)")
        with operator.store.open("r+b") as file:
            file.seek(4096 * 3)
            file.write(b"\xff" * 4096 * 8)
        assert "database-damaged" in {check for check, _, _ in operator.found()}

    @pytest.mark.sqlite
    def test_no_database_at_all(self, operator: Operator) -> None:
        operator.store.write_bytes(b"not a database " * 1000)
        assert [check for check, _, _ in operator.found()] == ["database-damaged"]

    @pytest.mark.usefixtures("server")
    @pytest.mark.sqlite
    def test_a_row_without_its_namespace(self, operator: Operator) -> None:
        operator.sql("UPDATE tabulars SET namespace_id = 99 WHERE name = 'a'")
        assert ("foreign-keys", "store", None) in operator.found()

    @pytest.mark.usefixtures("server")
    def test_two_tables_in_one_place(self, operator: Operator) -> None:
        key = operator.sql("SELECT location_key FROM tabulars WHERE name = 'a'")[0][0]
        operator.sql("UPDATE tabulars SET location_key = ? WHERE name = 'b'", f"{key}inside/")
        assert ("overlap", "table default:ns.b", None) in operator.found()

    @pytest.mark.usefixtures("server")
    def test_two_names_of_one_table(self, operator: Operator) -> None:
        operator.sql(
            "INSERT INTO tabulars (namespace_id, name, kind, uuid, metadata_location,"
            " location_key, created_at, updated_at) SELECT namespace_id, 'twin', kind, uuid,"
            " metadata_location, location_key, 0, 0 FROM tabulars WHERE name = 'a'"
        )
        found = {check for check, _, _ in operator.found()}
        assert found == {"same-uuid", "overlap"}

    @pytest.mark.usefixtures("server")
    def test_properties_and_functions_that_are_no_json(self, operator: Operator) -> None:
        operator.sql("UPDATE namespaces SET properties = '{'")
        operator.sql(
            "INSERT INTO functions (namespace_id, name, uuid, metadata, created_at, updated_at)"
            " VALUES ((SELECT id FROM namespaces), 'f', 'u', '{}', 0, 0)"
        )
        assert {(check, subject) for check, subject, _ in operator.found()} == {
            ("rows-damaged", "properties of namespace ns"),
            ("rows-damaged", "function ns.f"),
        }

    @pytest.mark.usefixtures("server")
    @pytest.mark.sqlite
    def test_a_store_that_others_can_read(self, operator: Operator) -> None:
        operator.store.chmod(0o644)
        assert ("readable-by-others", "store", None) in operator.found()

    @pytest.mark.usefixtures("server")
    def test_a_warehouse_that_no_settings_name(self, operator: Operator) -> None:
        operator.sql("UPDATE warehouses SET name = 'gone'")
        assert ("unnamed-warehouse", "warehouse gone", None) in operator.found()

    @pytest.mark.usefixtures("server")
    def test_what_has_expired_or_is_stuck(self, operator: Operator) -> None:
        operator.sql("INSERT INTO idempotency_keys VALUES (1, 'k', 'r', '{}', 5)")
        plan = "INSERT INTO plans VALUES (?, ?, 'submitted', '', ?, NULL, 'w', 5, 5, ?)"
        operator.sql(plan, "old", operator.row_id("a"), b"", 5)
        operator.sql(plan, "stuck", operator.row_id("a"), b"", 2**60)
        operator.sql(
            "INSERT INTO dropped_tabulars VALUES (1, 1, 'ns', 'd', 'table', 'u', ?, ?,"
            " 1, 5, 5, 5, 5, 'no rights', NULL, 0)",
            f"file://{operator.folder}/warehouse/d/metadata/x.metadata.json",
            f"{operator.folder}/warehouse/d/",
        )
        assert {check for check, _, _ in operator.found()} == {
            "purge-trouble",
            "overdue-drops",
            "stuck-plans",
            "expired-rows",
        }
        assert operator.repaired("expired") == [
            "1 expired rows of idempotency_keys deleted",
            "1 expired rows of plans deleted",
            "0 expired rows of reservations deleted",
        ]
        assert "expired-rows" not in {check for check, _, _ in operator.found()}
        assert operator.sql("SELECT id FROM plans") == [("stuck",)]

    @pytest.mark.usefixtures("server")
    def test_a_folder_that_is_kept_for_a_table_that_nobody_commits(
        self, operator: Operator
    ) -> None:
        keep = "INSERT INTO reservations (location_key, expires_at) VALUES (?, ?)"
        hour, now = 3600_000, now_ms()
        operator.sql(keep, "/lake/young/", now + 24 * hour)
        operator.sql(keep, "/lake/old/", now + hour)
        operator.sql(keep, "/lake/over/", 5)
        found = [
            ("expired-rows", "store", "expired"),
            ("kept-folder", "/lake/old/", "release=2"),
        ]
        assert sorted(operator.found()) == found
        assert operator.repaired("release=2") == ["/lake/old/ is no longer reserved"]
        _, _, message = operator.run("doctor", "--repair", "release=2")
        assert "there is no reservation 2" in message
        assert "1 expired rows of reservations deleted" in operator.repaired("expired")
        assert operator.found() == []
        assert operator.sql("SELECT location_key FROM reservations") == [("/lake/young/",)]


class TestOrphans:
    def orphan(self, operator: Operator, name: str, content: bytes | None = None) -> Path:
        pointer = operator.pointer("a")
        path = pointer.with_name(name)
        path.write_bytes(pointer.read_bytes() if content is None else content)
        return path

    @pytest.mark.usefixtures("server")
    def test_that_are_old_are_told_and_deleted(self, operator: Operator) -> None:
        old = self.orphan(operator, "00001-orphan.metadata.json")
        torn = self.orphan(operator, "00009-torn.metadata.json", b"{")
        young = self.orphan(operator, "00002-orphan.metadata.json")
        for path in (old, torn):
            age(path)
        found = [("orphan-metadata", "table default:ns.a", "orphans")]
        assert operator.found() == found
        size = old.stat().st_size + 1
        assert operator.repaired("orphans") == [
            f"table default:ns.a: 2 metadata files deleted, {size} bytes"
        ]
        assert (old.exists(), torn.exists(), young.exists()) == (False, False, True)
        assert operator.found() == []
        assert operator.repaired("orphans") == ["there are no orphans to delete"]

    @pytest.mark.usefixtures("server")
    def test_the_log_and_what_may_be_a_lost_commit_are_none(self, operator: Operator) -> None:
        newer = self.orphan(operator, "00004-newer.metadata.json")
        for path in operator.pointer("a").parent.iterdir():
            age(path)
        repair = f"repoint={operator.row_id('a')}@{newer}"
        assert operator.found() == [("newer-metadata", "table default:ns.a", repair)]
        assert operator.repaired("orphans") == ["there are no orphans to delete"]
        assert operator.repaired(repair)[0].endswith("no snapshot is lost")
        assert operator.pointer("a") == newer

    @pytest.mark.usefixtures("server")
    def test_a_file_of_another_table_is_spared(self, operator: Operator) -> None:
        other = self.orphan(operator, "00000-b.metadata.json", operator.pointer("b").read_bytes())
        age(other)
        assert operator.repaired("orphans") == [
            "table default:ns.a: 0 metadata files deleted, 0 bytes"
        ]
        assert other.exists()

    @pytest.mark.parametrize("dropped", [False, True])
    def test_the_metadata_of_a_view_in_a_table_s_folder_is_no_orphan(
        self, server: Server, operator: Operator, dropped: bool
    ) -> None:
        folder = operator.pointer("a").parent
        view = {
            "name": "over",
            "location": f"file://{folder.parent}",
            **VIEW,
        }
        made = server.ok("POST", "/v1/namespaces/ns/views", view)
        path = Path(made["metadata-location"].removeprefix("file://"))
        assert path.parent == folder
        if dropped:
            server.ok("DELETE", "/v1/namespaces/ns/views/over")
        for each in folder.iterdir():
            age(each)
        assert operator.found() == []
        assert operator.repaired("orphans") == ["there are no orphans to delete"]
        assert path.exists()

    @pytest.mark.usefixtures("server")
    def test_none_are_deleted_while_metadata_cannot_be_read(self, operator: Operator) -> None:
        orphan = self.orphan(operator, "00001-orphan.metadata.json")
        age(orphan)
        operator.pointer("b").unlink()
        status, _, err = operator.run("doctor", "--repair", "orphans")
        assert status == 2
        assert "while metadata cannot be read" in err
        assert orphan.exists()

    @pytest.mark.usefixtures("server")
    def test_what_no_row_knows_is_told_and_stays(self, operator: Operator) -> None:
        folder = operator.pointer("b").parent.parent
        operator.sql("DELETE FROM tabulars WHERE name = 'b'")
        for path in folder.rglob("*.json"):
            age(path)
        assert operator.found() == [("unclaimed-folder", str(folder), None)]
        operator.repaired("orphans")
        assert list(folder.rglob("*.json"))


def test_a_busy_catalog_gives_no_false_alarm(serve: Callable[[], Any], operator: Operator) -> None:
    server = serve()
    url = server.url()
    post(url, "/v1/namespaces", {"namespace": ["ns"]})
    done, problems = threading.Event(), list[BaseException]()

    def write(number: int) -> None:
        try:
            keep_writing(url, number, done)
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            problems.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: problems or operator.sql("SELECT count(*) FROM tabulars")[0][0] >= 8)
        looks = [operator.doctor("--deep") for _ in range(4)]
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert problems == []
    assert [status for status, _ in looks] == [0] * 4, looks
    kinds = {finding["check"] for _, findings in looks for finding in findings}
    assert kinds <= {"expired-rows", "too-busy"}
    server.kill()
    _, findings = operator.doctor("--deep")
    assert {one["check"] for one in findings} <= {"newer-metadata", "unclaimed-folder"}, findings


def test_what_changes_while_it_is_looked_at_is_looked_at_again(
    server: Server, operator: Operator, waiting_cli: Any
) -> None:
    server.table("forgetful", properties=FORGETFUL)
    old = operator.pointer("forgetful")
    stop = Stop(operator.pointer("b"))
    process = waiting_cli("doctor", "--json", *operator.flags)
    stop.wait()
    for number in range(3):
        commit(server, "forgetful", n=str(number))
    assert not old.exists()
    stop.go_on()
    assert process.status() == 0
    assert json.loads("".join(iter(process.line, None)))["findings"] == []


def keep_writing(url: str, number: int, done: threading.Event) -> None:
    """Create, commit, rename and drop; old metadata goes as soon as it can."""
    for kept in range(2):
        body = {"name": f"t{number}{kept}", "schema": SCHEMA, "properties": FORGETFUL}
        post(url, "/v1/namespaces/ns/tables", body)
    turn = 0
    while not done.is_set():
        turn += 1
        for kept in range(2):
            updates = [{"action": "set-properties", "updates": {"n": str(turn)}}]
            post(url, f"/v1/namespaces/ns/tables/t{number}{kept}", {"updates": updates})
        name, other = f"x{number}", f"y{number}"
        post(url, "/v1/namespaces/ns/tables", {"name": name, "schema": SCHEMA})
        names = {
            "source": {"namespace": ["ns"], "name": name},
            "destination": {"namespace": ["ns"], "name": other},
        }
        post(url, "/v1/tables/rename", names)
        gone = requests.delete(f"{url}/v1/namespaces/ns/tables/{other}", timeout=TIMEOUT)
        assert gone.status_code == 204, gone.text


def post(url: str, path: str, body: object) -> None:
    answer = requests.post(f"{url}{path}", json=body, timeout=TIMEOUT)
    assert answer.status_code in (200, 204), answer.text


@pytest.mark.sqlite
def test_a_catalog_that_was_killed_is_read_as_it_is(
    serve: Callable[[], Any], operator: Operator
) -> None:
    server = serve()
    url = server.url()
    post(url, "/v1/namespaces", {"namespace": ["ns"]})
    post(url, "/v1/namespaces/ns/tables", {"name": "a", "schema": SCHEMA})
    server.kill()
    log = operator.store.with_name("catalog.db-wal")
    before = log.read_bytes()
    status, out, _ = operator.run("doctor", "--json")
    assert (status, json.loads(out)["findings"]) == (0, [])
    assert json.loads(out)["counts"]["living tables and views"] == 1
    assert log.read_bytes() == before
    with serving(operator.folder) as again:
        commit(again, "a", n="1")


def rows(number: int) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    schema = pa.schema([pa.field("id", pa.int64(), nullable=False), ("data", pa.string())])
    return pa.Table.from_pylist([{"id": number, "data": "x"}], schema=schema)


class TestEmptyFolders:
    """Folders without a file, of creates that were staged and of purged tables."""

    def staged(self, server: Server, name: str, **more: Any) -> tuple[Path, dict[str, Any]]:
        """Stage a create; return its folder and what is to be committed."""
        body = {"name": name, "schema": SCHEMA, "stage-create": True, **more}
        metadata = server.ok("POST", "/v1/namespaces/ns/tables", body)["metadata"]
        return Path(metadata["location"].removeprefix("file://")), metadata

    def old(self, folder: Path) -> None:
        for path in [folder, *folder.rglob("*")]:
            age(path)

    def test_they_are_noted_and_removed_when_they_are_old(
        self, server: Server, operator: Operator
    ) -> None:
        old, _ = self.staged(server, "old")
        young, _ = self.staged(server, "young")
        self.old(old)
        self.old(young)
        (young / "data" / "part=1").mkdir()  # somebody has begun to write
        purged = operator.folder / "warehouse/ns/purged-x"
        (purged / "data/a=1/b=2").mkdir(parents=True)
        (purged / "metadata").mkdir()
        self.old(purged)
        found = [
            ("empty-folders", str(old), "empty-folders"),
            ("empty-folders", str(purged), "empty-folders"),
        ]
        assert sorted(operator.found()) == found
        keep = "INSERT INTO reservations (location_key, expires_at) VALUES (?, ?)"
        operator.sql(keep, f"{old}/", 2**60)
        removed, left = operator.repaired("empty-folders")
        assert removed == "1 folder of tables removed, no file in any"
        assert left.startswith(f"{old}: in use by now")
        operator.sql("DELETE FROM reservations")
        assert operator.repaired("empty-folders") == ["1 folder of tables removed, no file in any"]
        assert not old.exists()
        assert not purged.exists()
        assert sorted(path.name for path in young.iterdir()) == ["data", "metadata"]
        assert operator.found() == []

    def test_nothing_else_is_removed(self, server: Server, operator: Operator) -> None:
        warehouse = operator.folder / "warehouse"
        a, b = operator.pointer("a").parents[1], operator.pointer("b").parents[1]
        server.ok("DELETE", "/v1/namespaces/ns/tables/b")
        kept = [
            a / "data",  # of a living table, without rows
            b / "data",  # of a dropped one
            warehouse / "empty",  # whose it is nobody knows
            warehouse / "data" / "x",  # a namespace may be called so
            warehouse / "not-ours" / "data",
            warehouse / "linked" / "data",
        ]
        for folder in kept:
            folder.mkdir(parents=True, exist_ok=True)
        (warehouse / "not-ours" / "file").touch()
        (warehouse / "linked" / "metadata").symlink_to(operator.folder / "elsewhere")
        (operator.folder / "elsewhere").mkdir()
        server.ok("POST", "/v1/namespaces", {"namespace": ["data"]})
        server.ok("POST", "/v1/namespaces/data/tables", {"name": "t", "schema": SCHEMA})
        self.old(warehouse)
        before = sorted(warehouse.rglob("*"))
        assert [found for found in operator.found() if found[0] == "empty-folders"] == []
        assert operator.repaired("empty-folders") == ["0 folders of tables removed, no file in any"]
        assert sorted(warehouse.rglob("*")) == before

    def test_the_warehouse_itself_stays(self, server: Server, operator: Operator) -> None:
        for name in ("a", "b"):
            server.ok("POST", f"/v1/namespaces/ns/tables/{name}/unregister")
        warehouse = operator.folder / "warehouse"
        shutil.rmtree(warehouse / "ns")
        for folder in ("data", "metadata"):
            (warehouse / folder).mkdir(parents=True)
        self.old(warehouse)
        operator.run("doctor", "--repair", "empty-folders")
        assert {"data", "metadata"} <= {path.name for path in warehouse.iterdir()}

    def test_a_create_that_comes_after_all_makes_them_again(
        self, server: Server, operator: Operator
    ) -> None:
        folder, metadata = self.staged(server, "late")
        self.old(folder)
        operator.repaired("empty-folders")
        assert not folder.exists()
        updates = [
            {"action": "assign-uuid", "uuid": metadata["table-uuid"]},
            {"action": "upgrade-format-version", "format-version": 2},
            {"action": "add-schema", "schema": metadata["schemas"][0]},
            {"action": "set-current-schema", "schema-id": -1},
            {"action": "add-spec", "spec": metadata["partition-specs"][0]},
            {"action": "set-default-spec", "spec-id": -1},
            {"action": "add-sort-order", "sort-order": metadata["sort-orders"][0]},
            {"action": "set-default-sort-order", "sort-order-id": -1},
            {"action": "set-location", "location": metadata["location"]},
        ]
        body = {"requirements": [{"type": "assert-create"}], "updates": updates}
        server.ok("POST", "/v1/namespaces/ns/tables/late", body)
        assert (folder / "data").is_dir()
        assert len(list((folder / "metadata").iterdir())) == 1
        assert operator.found("--deep") == []

    def test_one_younger_than_a_day_is_never_removed(
        self, server: Server, operator: Operator
    ) -> None:
        folder, _ = self.staged(server, "young")
        status, _, _ = operator.run("doctor", "--repair", "empty-folders", "--older-than", "1")
        assert status == 0
        assert sorted(path.name for path in folder.iterdir()) == ["data", "metadata"]
