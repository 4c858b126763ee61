"""Dropped tables come back, or go for good: purge, retention, undrop, unregister."""

import json
import uuid
from pathlib import Path

import pyarrow as pa
import pytest
import requests
from click.testing import CliRunner
from pyiceberg.catalog.rest import RestCatalog

from falcon_catalog.catalog.purge import purge_expired
from falcon_catalog.catalog.warehouse import Warehouse
from falcon_catalog.cli import main
from falcon_catalog.conformance.sandbox import SCHEMA, view_version
from falcon_catalog.errors import WarehouseUnavailableError
from tests.catalog.mounting import SHAPES, unmounted
from tests.catalog.serving import JSON_BODY, Server, serving, store_url

T = "/v1/namespaces/ns/tables/t"
DROPPED = "/management/v1/warehouses/default/dropped"
ROWS = pa.table({"id": [1, 2, 3], "data": ["a", "b", "c"]})


@pytest.fixture
def client(ns: Server) -> RestCatalog:
    return RestCatalog("test", uri=ns.url)


def catalog_of(server: Server) -> Warehouse:
    return server.catalog


def dropped(server: Server) -> list[dict[str, object]]:
    return list(server.ok("GET", DROPPED)["dropped"])


@pytest.mark.parametrize("number", [0, -1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, "9" * 5000])
def test_a_number_that_no_drop_has_is_not_found(server: Server, number: object) -> None:
    status, _, message = server.fails("POST", f"{DROPPED}/{number}/undrop")
    assert status == 404
    assert str(number) in message


def expire(server: Server) -> list[str]:
    """End every retention, and let go of what was waiting for that."""
    with catalog_of(server).store.write() as tx:
        tx.change("UPDATE dropped_tabulars SET expires_at = ?", (tx.now,))
    return purge_expired(catalog_of(server))


def end_leases(server: Server) -> None:
    """Let the time pass that a purge is given, or is put off for."""
    with catalog_of(server).store.write() as tx:
        tx.change("UPDATE dropped_tabulars SET leased_until = ?", (tx.now,))


def files_below(location: str) -> list[Path]:
    folder = Path(location.removeprefix("file://"))
    return [path for path in folder.rglob("*") if path.is_file()]


def written_table(client: RestCatalog, name: str = "ns.t") -> str:
    table = client.create_table(name, schema=ROWS.schema)
    table.append(ROWS)
    table.append(ROWS)
    table.delete("id = 2")
    return table.location()


class TestUndrop:
    def test_a_dropped_table_comes_back_as_it_was(self, ns: Server, client: RestCatalog) -> None:
        written_table(client)
        before = ns.ok("GET", T)
        client.drop_table("ns.t")
        [entry] = dropped(ns)
        assert entry["identifier"] == {"namespace": ["ns"], "name": "t"}
        assert entry["metadata-location"] == before["metadata-location"]
        assert (entry["type"], entry["purge"]) == ("table", False)
        assert ns.ok("POST", f"{DROPPED}/{entry['id']}/undrop")["uuid"] == entry["uuid"]
        assert ns.ok("GET", T) == before
        assert dropped(ns) == []

    def test_it_may_come_back_under_another_name(self, ns: Server) -> None:
        made = ns.table("t")
        ns.ok("DELETE", T)
        ns.table("t")
        [entry] = dropped(ns)
        path = f"{DROPPED}/{entry['id']}/undrop"
        assert ns.fails("POST", path)[:2] == (409, "AlreadyExistsException")
        ns.ok("POST", path, {"identifier": {"namespace": ["ns"], "name": "old"}})
        assert ns.ok("GET", "/v1/namespaces/ns/tables/old") == made

    def test_a_retry_is_answered_the_same(self, ns: Server) -> None:
        ns.table("t")
        ns.ok("DELETE", T)
        [entry] = dropped(ns)
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        path = f"{DROPPED}/{entry['id']}/undrop"
        assert ns.ok("POST", path, headers=headers) == entry
        assert ns.ok("POST", path, headers=headers) == entry

    @pytest.mark.parametrize("body", [None, {}, {"identifier": None}])
    def test_without_a_name_it_gets_its_own(self, ns: Server, body: object) -> None:
        made = ns.table("t")
        ns.ok("DELETE", T)
        [entry] = dropped(ns)
        ns.ok("POST", f"{DROPPED}/{entry['id']}/undrop", body)
        assert ns.ok("GET", T) == made

    def test_a_body_that_comes_in_chunks_is_read(self, ns: Server) -> None:
        ns.table("t")
        ns.ok("DELETE", T)
        [entry] = dropped(ns)
        body = b'{"identifier": {"namespace": ["ns"], "name": "old"}}'
        url = f"{ns.url}{DROPPED}/{entry['id']}/undrop"
        assert (
            requests.post(url, data=iter([body]), headers=JSON_BODY, timeout=30).status_code == 200
        )
        ns.ok("GET", "/v1/namespaces/ns/tables/old")

    @pytest.mark.parametrize("body", [None, b"", b"{}", b'{"identifier": null}'])
    def test_a_body_that_says_nothing_is_as_good_as_none(
        self, ns: Server, body: bytes | None
    ) -> None:
        made = ns.table("t")
        ns.ok("DELETE", T)
        [entry] = dropped(ns)
        path = f"{DROPPED}/{entry['id']}/undrop"
        answer = ns.call("POST", path, data=body, headers=JSON_BODY)
        assert answer.status_code == 200, answer.text
        assert ns.ok("GET", T) == made

    def test_a_body_that_is_wrong_is_refused(self, ns: Server) -> None:
        ns.table("t")
        ns.ok("DELETE", T)
        [entry] = dropped(ns)
        for body in (b"[]", b"{", b"1", b'{"identifier": 1}', b'{"identifier": {}}'):
            answer = ns.call(
                "POST", f"{DROPPED}/{entry['id']}/undrop", data=body, headers=JSON_BODY
            )
            assert answer.status_code == 400, body
        assert dropped(ns) == [entry]

    def test_what_cannot_come_back_is_explained(self, ns: Server) -> None:
        ns.table("t")
        ns.ok("DELETE", T)
        ns.ok("DELETE", "/v1/namespaces/ns")
        [entry] = dropped(ns)
        path = f"{DROPPED}/{entry['id']}/undrop"
        assert ns.fails("POST", path)[:2] == (404, "NoSuchNamespaceException")
        assert ns.fails("POST", f"{DROPPED}/999/undrop")[:2] == (404, "NotFoundException")

    def test_it_cannot_come_back_over_another_table(self, ns: Server) -> None:
        location = ns.table("t")["metadata"]["location"]
        ns.ok("DELETE", T)
        ns.table("u", location=location)
        [entry] = dropped(ns)
        assert ns.fails("POST", f"{DROPPED}/{entry['id']}/undrop")[0] == 403

    def test_pages_of_the_dropped(self, ns: Server) -> None:
        for number in range(5):
            ns.table(f"t{number}")
            ns.ok("DELETE", f"/v1/namespaces/ns/tables/t{number}")
        first = ns.ok("GET", DROPPED, params={"pageToken": "", "pageSize": 3})
        rest = ns.ok("GET", DROPPED, params={"pageToken": first["next-page-token"]})
        names = [entry["identifier"]["name"] for entry in first["dropped"] + rest["dropped"]]
        assert names == ["t0", "t1", "t2", "t3", "t4"]

    def test_from_the_command_line(self, ns: Server) -> None:
        ns.table("t")
        ns.ok("DELETE", T)
        flags = ["--store", store_url(ns.folder)]
        flags += ["--warehouse", f"file://{ns.warehouse}"]
        listed = CliRunner().invoke(main, ["dropped", *flags[:2]])
        assert "ns.t" in listed.output
        for form in ([], ["--json"]):
            here = CliRunner().invoke(main, ["dropped", *flags[:2], *form])
            there = CliRunner().invoke(main, ["dropped", "--uri", ns.url, *form])
            assert (there.exit_code, there.output) == (0, here.output)
        number = str(dropped(ns)[0]["id"])
        back = CliRunner().invoke(main, ["undrop", number, "--as", "ns.again", *flags])
        assert back.output == "table ns.t is back as ns.again\n"
        assert ns.call("HEAD", "/v1/namespaces/ns/tables/again").status_code == 204
        again = CliRunner().invoke(main, ["undrop", number, *flags])
        assert again.exit_code == 1
        assert "does not exist" in again.output
        assert "Nothing to do" in CliRunner().invoke(main, ["maintain", *flags]).output


class TestLettingGo:
    def test_a_drop_without_purge_never_deletes_a_file(
        self, ns: Server, client: RestCatalog
    ) -> None:
        location = written_table(client)
        before = files_below(location)
        client.drop_table("ns.t")
        assert expire(ns) == ["ns.t: dropped for good, its files stay"]
        assert files_below(location) == before
        assert dropped(ns) == []

    def test_a_purge_deletes_what_the_metadata_reaches_and_nothing_else(
        self, ns: Server, client: RestCatalog
    ) -> None:
        location = written_table(client)
        stranger = Path(location.removeprefix("file://")) / "data" / "not-ours.parquet"
        stranger.write_bytes(b"x")
        count = len(files_below(location))
        client.purge_table("ns.t")
        assert purge_expired(catalog_of(ns)) == []
        assert len(files_below(location)) == count
        assert expire(ns) == [f"ns.t: purged, {count - 1} files deleted, 0 kept"]
        assert files_below(location) == [stranger]

    def test_a_purge_of_what_was_undropped_does_nothing(
        self, ns: Server, client: RestCatalog
    ) -> None:
        location = written_table(client)
        count = len(files_below(location))
        client.purge_table("ns.t")
        ns.ok("POST", f"{DROPPED}/{dropped(ns)[0]['id']}/undrop")
        assert expire(ns) == []
        assert len(files_below(location)) == count
        assert client.load_table("ns.t").scan().to_arrow().num_rows == 4

    def test_what_is_registered_again_is_not_purged(self, ns: Server, client: RestCatalog) -> None:
        location = written_table(client)
        metadata_location = client.load_table("ns.t").metadata_location
        client.purge_table("ns.t")
        client.register_table("ns.back", metadata_location)
        expire(ns)
        assert files_below(location)
        assert client.load_table("ns.back").scan().to_arrow().num_rows == 4

    def test_a_purge_spares_the_files_of_a_table_that_moved_in(
        self, ns: Server, client: RestCatalog
    ) -> None:
        location = written_table(client)
        client.purge_table("ns.t")
        client.create_table("ns.t", schema=ROWS.schema, location=location).append(ROWS)
        [said] = expire(ns)
        assert said.startswith("ns.t: purged, 0 files deleted")
        assert client.load_table("ns.t").scan().to_arrow().num_rows == 3

    def test_data_that_is_not_the_table_s_to_delete_stays(
        self, ns: Server, client: RestCatalog
    ) -> None:
        table = client.create_table("ns.t", schema=ROWS.schema, properties={"gc.enabled": "false"})
        table.append(ROWS)
        client.purge_table("ns.t")
        expire(ns)
        assert {path.suffix for path in files_below(table.location())} == {".parquet"}

    def test_manifests_that_a_snapshot_of_v1_names_itself_are_purged_with_their_files(
        self, ns: Server, client: RestCatalog
    ) -> None:
        table = client.create_table("ns.t", ROWS.schema, properties={"format-version": "1"})
        table.append(ROWS)
        snapshot = table.current_snapshot()
        assert snapshot is not None
        paths = [manifest.manifest_path for manifest in snapshot.manifests(table.io)]
        path_of(snapshot.manifest_list).unlink()
        file = path_of(table.metadata_location)
        metadata = json.loads(file.read_bytes())
        del metadata["snapshots"][0]["manifest-list"]
        metadata["snapshots"][0]["manifests"] = paths
        file.write_text(json.dumps(metadata))
        client.purge_table("ns.t")
        [said] = expire(ns)
        assert said.endswith(" 0 kept")
        assert files_below(table.location()) == []

    def test_a_foreign_file_that_metadata_names_stays(
        self, ns: Server, client: RestCatalog
    ) -> None:
        other = client.create_table("ns.other", schema=ROWS.schema)
        other.append(ROWS)
        [victim] = (Path(other.location().removeprefix("file://")) / "data").iterdir()
        table = client.create_table("ns.t", schema=ROWS.schema)
        table.add_files([f"file://{victim}"])
        client.purge_table("ns.t")
        [said] = expire(ns)
        assert said.endswith("1 kept")
        assert client.load_table("ns.other").scan().to_arrow().num_rows == 3

    def test_files_behind_a_link_in_the_folder_stay(self, ns: Server, client: RestCatalog) -> None:
        other = client.create_table("ns.other", schema=ROWS.schema)
        other.append(ROWS)
        theirs = Path(other.location().removeprefix("file://")) / "data"
        [victim] = theirs.iterdir()
        table = client.create_table("ns.t", schema=ROWS.schema)
        (Path(table.location().removeprefix("file://")) / "linked").symlink_to(theirs)
        table.add_files([f"{table.location()}/linked/{victim.name}"])
        client.purge_table("ns.t")
        [said] = expire(ns)
        assert said.endswith("1 kept")
        assert client.load_table("ns.other").scan().to_arrow().num_rows == 3

    @pytest.mark.parametrize("living", ["a", "link"])
    def test_a_table_that_lies_at_the_same_place_through_a_link_stays(
        self, tmp_path: Path, living: str
    ) -> None:
        with serving(tmp_path, warehouse__allow_overlap=True) as server:
            server.namespace("ns")
            client = RestCatalog("test", uri=server.url)
            (server.warehouse / "a").mkdir(parents=True)
            (server.warehouse / "link").symlink_to(server.warehouse / "a")
            gone = {"a": "link", "link": "a"}[living]
            for name, folder in (("ns.living", living), ("ns.gone", gone)):
                location = f"file://{server.warehouse}/{folder}/t"
                client.create_table(name, ROWS.schema, location=location).append(ROWS)
            client.purge_table("ns.gone")
            [said] = expire(server)
            assert said.startswith("ns.gone: purged, 0 files deleted")
            assert client.load_table("ns.living").scan().to_arrow().num_rows == 3

    def test_a_purge_that_was_cut_short_goes_on(self, ns: Server, client: RestCatalog) -> None:
        location = written_table(client)
        client.purge_table("ns.t")
        with catalog_of(ns).store.write() as tx:
            tx.change("UPDATE dropped_tabulars SET expires_at = ?", (tx.now,))
        asked = iter([False, False, False, True])
        [said] = purge_expired(catalog_of(ns), stopping=lambda: next(asked, True))
        assert said.startswith("ns.t: interrupted after")
        [entry] = dropped(ns)
        assert entry["purge-started"] is True
        assert ns.fails("POST", f"{DROPPED}/{entry['id']}/undrop")[0] == 409
        again = {"name": "again", "metadata-location": entry["metadata-location"]}
        status, _, message = ns.fails("POST", "/v1/namespaces/ns/register", again)
        assert (status, message) == (409, "Cannot register ns.again: its purge has begun")
        assert purge_expired(catalog_of(ns)) == []  # its lease still runs
        with catalog_of(ns).store.write() as tx:
            tx.change("UPDATE dropped_tabulars SET leased_until = ?", (tx.now,))
        purge_expired(catalog_of(ns))
        assert files_below(location) == []

    def test_trouble_is_told_and_tried_again_later(
        self, ns: Server, client: RestCatalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        location = written_table(client)
        client.purge_table("ns.t")

        def broken(*_: object) -> None:
            raise OSError(5, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr("falcon_catalog.fileio.local.LocalFileIO.delete", broken)
            [said] = expire(ns)
        assert "not purged yet" in said
        assert "Input/output error" in str(dropped(ns)[0]["trouble"])
        assert files_below(location)

    def test_a_missing_metadata_file_is_trouble_and_not_the_end_of_a_purge(
        self, ns: Server, client: RestCatalog
    ) -> None:
        location = written_table(client)
        path = Path(ns.ok("GET", T)["metadata-location"].removeprefix("file://"))
        aside = path.rename(path.with_name("aside"))
        client.purge_table("ns.t")
        before = files_below(location)
        [said] = expire(ns)
        assert said.startswith("ns.t: not purged yet: its metadata file")
        assert "--repair forget-drop=1" in str(dropped(ns)[0]["trouble"])
        assert files_below(location) == before
        aside.rename(path)
        end_leases(ns)
        [said] = purge_expired(catalog_of(ns))
        assert said == f"ns.t: purged, {len(before)} files deleted, 0 kept"
        assert files_below(location) == []

    def test_a_purge_that_was_killed_after_its_last_file_is_concluded(
        self, ns: Server, client: RestCatalog
    ) -> None:
        location = written_table(client)
        path = Path(ns.ok("GET", T)["metadata-location"].removeprefix("file://"))
        client.purge_table("ns.t")
        catalog = catalog_of(ns)
        with catalog.store.write() as tx:
            tx.change("UPDATE dropped_tabulars SET expires_at = ?", (tx.now,))
        # The last file is named, and not deleted.
        purge_expired(catalog, stopping=lambda: files_below(location) == [path])
        assert files_below(location) == [path]
        path.unlink()
        end_leases(ns)
        assert purge_expired(catalog) == ["ns.t: purged, 1 files deleted, 0 kept"]
        assert dropped(ns) == []

    def test_a_manifest_that_cannot_be_read_is_trouble(
        self, ns: Server, client: RestCatalog
    ) -> None:
        location = written_table(client)
        manifest = next(p for p in files_below(location) if p.name.endswith("-m0.avro"))
        aside = manifest.rename(manifest.with_name("aside"))
        manifest.symlink_to(manifest)
        client.purge_table("ns.t")
        data = [path for path in files_below(location) if path.suffix == ".parquet"]
        [said] = expire(ns)
        assert "not purged yet" in said
        assert "Too many levels of symbolic links" in str(dropped(ns)[0]["trouble"])
        manifest.unlink()
        aside.rename(manifest)
        end_leases(ns)
        assert "not purged yet" not in purge_expired(catalog_of(ns))[0]
        assert data
        assert files_below(location) == []


class TestPurgeNow:
    def test_it_deletes_all_files_and_reports_at_once(
        self, ns: Server, client: RestCatalog
    ) -> None:
        location = written_table(client)
        report = {
            "report-type": "commit-report",
            "table-name": "t",
            "snapshot-id": 1,
            "sequence-number": 1,
            "operation": "append",
            "metrics": {},
        }
        ns.call("POST", f"{T}/metrics", report).raise_for_status()
        client.drop_table("ns.t")
        client.create_table("ns.other", schema=ROWS.schema)
        client.drop_table("ns.other")
        one, other = dropped(ns)
        key = {"Idempotency-Key": str(uuid.uuid4())}
        done = ns.ok("DELETE", f"{DROPPED}/{one['id']}", headers=key)
        assert done["outcome"].startswith("ns.t: purged, ")
        assert not Path(location.removeprefix("file://")).exists()
        assert dropped(ns) == [other]
        assert ns.ok("GET", "/management/v1/warehouses/default/metrics")["reports"] == []
        assert (
            "its purge has begun"
            in ns.ok("DELETE", f"{DROPPED}/{one['id']}", headers=key)["outcome"]
        )
        status, kind, _ = ns.fails("DELETE", f"{DROPPED}/{one['id']}")
        assert (status, kind) == (404, "NotFoundException")

    def test_a_view_goes_with_every_version_of_its_metadata(self, ns: Server) -> None:
        body = {
            "name": "v",
            "schema": SCHEMA,
            "view-version": view_version(("ns",)),
            "properties": {},
        }
        made = ns.ok("POST", "/v1/namespaces/ns/views", body)
        update = {"action": "set-properties", "updates": {"k": "v"}}
        ns.ok("POST", "/v1/namespaces/ns/views/v", {"updates": [update]})
        location = made["metadata"]["location"]
        assert len(files_below(location)) == 2
        ns.ok("DELETE", "/v1/namespaces/ns/views/v")
        [entry] = dropped(ns)
        assert ns.ok("DELETE", f"{DROPPED}/{entry['id']}")["outcome"] == (
            "ns.v: purged, 2 files deleted, 0 kept"
        )
        assert not Path(location.removeprefix("file://")).exists()

    def test_what_cannot_be_purged_yet_is_told_and_tried_again(self, ns: Server) -> None:
        made = ns.table("t")
        ns.ok("DELETE", T)
        Path(made["metadata-location"].removeprefix("file://")).rename(ns.folder / "away")
        [entry] = dropped(ns)
        answer = ns.call("DELETE", f"{DROPPED}/{entry['id']}")
        assert answer.status_code == 202
        assert "ns.t: not purged yet: its metadata file" in answer.json()["outcome"]
        status, kind, message = ns.fails("DELETE", f"{DROPPED}/{entry['id']}")
        assert (status, kind) == (409, "CommitFailedException")
        assert "will be tried again: its metadata file" in message
        (ns.folder / "away").rename(made["metadata-location"].removeprefix("file://"))
        end_leases(ns)
        assert purge_expired(catalog_of(ns)) == ["ns.t: purged, 1 files deleted, 0 kept"]

    def test_the_folder_of_a_namespace_goes_with_its_last_table(self, ns: Server) -> None:
        ns.namespace("a")
        ns.namespace("a", "b.c")
        ns.table("staged", namespace="a", **{"stage-create": True})
        for name in ("t", "u"):
            ns.ok("POST", "/v1/namespaces/a%1Fb.c/tables", {"name": name, "schema": SCHEMA})
            ns.ok("DELETE", f"/v1/namespaces/a%1Fb.c/tables/{name}")
        one, other = dropped(ns)
        ns.ok("DELETE", f"{DROPPED}/{one['id']}")
        ns.ok("DELETE", "/v1/namespaces/a%1Fb.c")
        ns.ok("DELETE", "/v1/namespaces/a")
        assert (ns.warehouse / "a/b_c").is_dir()
        ns.ok("DELETE", f"{DROPPED}/{other['id']}")
        assert not (ns.warehouse / "a").exists()

    def test_the_folder_of_a_namespace_that_is_there_stays(self, ns: Server) -> None:
        made = ns.table("t")
        ns.ok("DELETE", T)
        [entry] = dropped(ns)
        ns.ok("DELETE", f"{DROPPED}/{entry['id']}")
        assert not Path(made["metadata"]["location"].removeprefix("file://")).exists()
        assert (ns.warehouse / "ns").is_dir()


@pytest.mark.parametrize("purge", [True, False], ids=["purge", "drop"])
@pytest.mark.parametrize("by", ["maintain", "a server"])
@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_is_released_while_the_warehouse_is_not_mounted(
    ns: Server, client: RestCatalog, purge: bool, by: str, shape: str
) -> None:
    location = written_table(client)
    before = files_below(location)
    client.drop_table("ns.t", purge_requested=purge)
    listed = dropped(ns)
    with unmounted(ns.warehouse, shape):
        with catalog_of(ns).store.write() as tx:
            tx.change("UPDATE dropped_tabulars SET expires_at = ?", (tx.now,))
        if by == "maintain":
            flags = ["--store", store_url(ns.folder)]
            done = CliRunner().invoke(
                main, ["maintain", *flags, "--warehouse", f"file://{ns.warehouse}"]
            )
            assert done.exit_code == 1
            assert "Nothing in it was removed or purged" in done.output
        else:
            with pytest.raises(WarehouseUnavailableError):
                purge_expired(catalog_of(ns))
        [entry] = dropped(ns)
        # It has not begun, so that it can still be undropped.
        assert entry["purge-started"] is False
        assert {**entry, "expires-at": ""} == {**listed[0], "expires-at": ""}
    assert files_below(location) == before
    if purge:
        assert purge_expired(catalog_of(ns)) == [
            f"ns.t: purged, {len(before)} files deleted, 0 kept"
        ]
    else:
        ns.ok("POST", f"{DROPPED}/{entry['id']}/undrop")
        assert sorted(client.load_table("ns.t").scan().to_arrow()["id"].to_pylist()) == [1, 1, 3, 3]


def test_a_purge_stops_where_the_warehouse_goes_away_amid_it(
    ns: Server, client: RestCatalog
) -> None:
    location = written_table(client)
    before = files_below(location)
    client.purge_table("ns.t")
    with catalog_of(ns).store.write() as tx:
        tx.change("UPDATE dropped_tabulars SET expires_at = ?", (tx.now,))
    data = [path for path in before if path.suffix == ".parquet"]
    away = ns.warehouse.with_name("away")

    def unmount_before_the_manifests() -> bool:
        if not away.exists() and not any(path.exists() for path in data):
            ns.warehouse.rename(away)
            ns.warehouse.mkdir()
        return False

    with pytest.raises(WarehouseUnavailableError):
        purge_expired(catalog_of(ns), stopping=unmount_before_the_manifests)
    assert list(ns.warehouse.iterdir()) == []
    ns.warehouse.rmdir()
    away.rename(ns.warehouse)
    assert data
    assert files_below(location) == [path for path in before if path not in data]
    assert "is not available" in str(dropped(ns)[0]["trouble"])
    end_leases(ns)
    purge_expired(catalog_of(ns))
    assert files_below(location) == []
    assert dropped(ns) == []


class TestUnregister:
    def test_it_gives_the_table_up_and_keeps_everything(
        self, ns: Server, client: RestCatalog
    ) -> None:
        location = written_table(client)
        before = ns.ok("GET", T)
        files = files_below(location)
        given_up = ns.ok("POST", f"{T}/unregister")
        assert given_up == {key: before[key] for key in ("metadata-location", "metadata")}
        assert ns.call("HEAD", T).status_code == 404
        assert ns.fails("POST", T, {"updates": []})[0] == 404
        assert dropped(ns) == []
        assert files_below(location) == files
        ns.ok(
            "POST",
            "/v1/namespaces/ns/register",
            {"name": "t", "metadata-location": given_up["metadata-location"]},
        )
        assert ns.ok("GET", T) == before


class TestFoldersOfPurgedTables:
    def purge(self, ns: Server, *names: str) -> list[str]:
        for name in names:
            ns.ok("DELETE", f"/v1/namespaces/ns/tables/{name}?purgeRequested=true")
        return expire(ns)

    def test_they_go_with_the_files_and_nothing_else_does(
        self, ns: Server, client: RestCatalog
    ) -> None:
        gone = path_of(written_table(client, "ns.t"))
        other = path_of(written_table(client, "ns.u"))
        staged = ns.table("v", **{"stage-create": True})["metadata"]["location"]
        before = sorted(other.rglob("*"))
        assert "purged" in self.purge(ns, "t")[0]
        assert not gone.exists()
        assert sorted(other.rglob("*")) == before
        assert sorted(path.name for path in path_of(staged).iterdir()) == ["data", "metadata"]
        assert client.load_table("ns.u").scan().to_arrow().num_rows == 4
        self.purge(ns, "u")
        assert not other.exists()
        assert (ns.warehouse / "ns").is_dir()
        # The next table is made as any other.
        location = written_table(client, "ns.t")
        assert client.load_table("ns.t").scan().to_arrow().num_rows == 4
        assert path_of(location).joinpath("data").is_dir()

    def test_one_that_holds_a_file_stays_with_it(self, ns: Server, client: RestCatalog) -> None:
        folder = path_of(written_table(client))
        (folder / "data/notes.txt").write_text("mine", encoding="utf-8")
        self.purge(ns, "t")
        assert sorted(folder.rglob("*")) == [folder / "data", folder / "data/notes.txt"]

    def test_a_location_that_may_be_chosen_again_keeps_its_folders(
        self, ns: Server, client: RestCatalog
    ) -> None:
        chosen = f"file://{ns.warehouse}/chosen"
        client.create_table("ns.t", schema=ROWS.schema, location=chosen).append(ROWS)
        self.purge(ns, "t")
        assert files_below(chosen) == []
        assert (path_of(chosen) / "data").is_dir()
        client.create_table("ns.t", schema=ROWS.schema, location=chosen).append(ROWS)
        assert client.load_table("ns.t").scan().to_arrow().num_rows == 3

    def test_one_inside_which_another_table_lies_stays(self, tmp_path: Path) -> None:
        with serving(tmp_path, warehouse__allow_overlap=True) as server:
            server.namespace("ns")
            outer = server.table("t")["metadata"]["location"]
            inner = server.table("u", location=f"{outer}/inner")["metadata"]["location"]
            before = sorted(path_of(inner).rglob("*"))
            self.purge(server, "t")
            assert sorted(path_of(inner).rglob("*")) == before
            assert (path_of(inner) / "data").is_dir()


def path_of(location: str) -> Path:
    return Path(location.removeprefix("file://"))
