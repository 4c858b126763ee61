"""Files that metadata names: none is opened outside of the allowed locations or through a link."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.rest import RestCatalog

from falcon_catalog.catalog.purge import reached_through_links
from falcon_catalog.errors import BadRequestError, ForbiddenError
from falcon_catalog.fileio.base import MAX_FILE_BYTES
from falcon_catalog.fileio.local import LocalFileIO
from tests.catalog.serving import Server, creation
from tests.catalog.test_undrop import dropped, expire

T = "/v1/namespaces/ns/tables/t"
TABLES = "/v1/namespaces/ns/tables"
ROWS = pa.table({"id": [1, 2, 3]})


def path_of(location: str) -> Path:
    return Path(location.removeprefix("file://"))


def filled(server: Server, name: str = "t", **options: Any) -> Path:
    """Create a table with one data file; return its folder."""
    client = RestCatalog("test", uri=server.url)
    table = client.create_table(f"ns.{name}", ROWS.schema, **options)
    table.append(ROWS)
    return path_of(table.location())


def add_snapshot(manifest_list: str) -> dict[str, Any]:
    snapshot = {
        "snapshot-id": 1,
        "sequence-number": 1,
        "timestamp-ms": 1,
        "manifest-list": manifest_list,
        "summary": {"operation": "append"},
    }
    return {"action": "add-snapshot", "snapshot": snapshot}


def plant(folder: Path, outside: Path) -> None:
    """Move a folder out of the warehouse, and plant a link to it in its place."""
    folder.rename(outside)
    folder.symlink_to(outside)


class TestAManifestList:
    @pytest.mark.fault(number=4)
    @pytest.mark.parametrize(
        "location", ["/dev/zero", "{0}/x.avro", "{0}/warehouse/../x", "s3://b/x"]
    )
    def test_outside_the_allowed_locations_is_no_commit(self, ns: Server, location: str) -> None:
        made = ns.table("t")
        location = location.format(ns.folder)
        updates = [add_snapshot(location if ":" in location else f"file://{location}")]
        change = {"identifier": {"namespace": ["ns"], "name": "t"}, "updates": updates}
        for path, body in (
            (T, {"updates": updates}),
            ("/v1/transactions/commit", {"table-changes": [change]}),
        ):
            status, _, message = ns.fails("POST", path, body)
            assert status == 400
            assert location in message
        assert ns.ok("GET", T) == made

    def test_outside_the_allowed_locations_is_no_staged_create(self, ns: Server) -> None:
        staged = ns.table("u", **{"stage-create": True})["metadata"]
        updates = [
            *creation(staged),
            {"action": "set-location", "location": staged["location"]},
            add_snapshot("file:///dev/zero"),
        ]
        body = {"requirements": [{"type": "assert-create"}], "updates": updates}
        status, _, message = ns.fails("POST", f"{TABLES}/u", body)
        assert (status, "/dev/zero" in message) == (400, True)
        assert ns.call("HEAD", f"{TABLES}/u").status_code == 404

    def test_outside_the_allowed_locations_is_not_registered(self, ns: Server) -> None:
        filled(ns)
        location = ns.ok("GET", T)["metadata-location"]
        ns.ok("DELETE", T)
        metadata = json.loads(path_of(location).read_bytes())
        metadata["snapshots"][0]["manifest-list"] = "file:///dev/zero"
        path_of(location).write_text(json.dumps(metadata), "utf-8")
        body = {"name": "t", "metadata-location": location}
        status, _, message = ns.fails("POST", "/v1/namespaces/ns/register", body)
        assert (status, "/dev/zero" in message) == (400, True)


class TestAPurge:
    def test_opens_no_manifest_list_outside(
        self, ns: Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        """As a table of an older version may have it."""
        folder = filled(ns)
        location = path_of(ns.ok("GET", T)["metadata-location"])
        metadata = json.loads(location.read_bytes())
        own = path_of(metadata["snapshots"][0]["manifest-list"])
        outside = ns.folder / own.name
        own.rename(outside)
        metadata["snapshots"][0]["manifest-list"] = f"file://{outside}"
        location.write_text(json.dumps(metadata), "utf-8")
        ns.ok("DELETE", T, params={"purgeRequested": "true"})
        [said] = expire(ns)
        assert said.startswith("ns.t: purged")
        assert f"cannot read file://{outside}: Location file://{outside} is outside" in caplog.text
        assert outside.is_file()
        assert list((folder / "data").iterdir())  # nothing names it but what was not opened

    def test_deletes_nothing_through_a_planted_link(self, ns: Server) -> None:
        folder = filled(ns)
        ns.ok("DELETE", T, params={"purgeRequested": "true"})
        plant(folder, ns.folder / "outside")
        before = sorted((ns.folder / "outside").rglob("*"))
        [said] = expire(ns)
        assert f"leads to {ns.folder}/outside" in said
        assert "is outside the allowed locations" in str(dropped(ns)[0]["trouble"])
        assert sorted((ns.folder / "outside").rglob("*")) == before

    def test_deletes_nothing_through_a_link_to_another_dropped_table(self, ns: Server) -> None:
        """Which is still to be restored: no living table lies there."""
        mine, theirs = filled(ns, "mine"), filled(ns, "theirs")
        ns.ok("DELETE", f"{TABLES}/theirs")
        ns.ok("DELETE", f"{TABLES}/mine", params={"purgeRequested": "true"})
        (mine / "data").rename(mine / "aside")
        [victim] = (theirs / "data").iterdir()
        [own] = (mine / "aside").iterdir()
        victim.rename(victim.with_name(own.name))
        (mine / "data").symlink_to(theirs / "data")
        expire(ns)
        assert (theirs / "data" / own.name).is_file()

    @pytest.mark.serverless
    def test_resolves_only_what_may_be_a_link(self, tmp_path: Path) -> None:
        """Of all tables, of which there may be a million."""
        folder, resolved = tmp_path.resolve(), []

        class Counting(LocalFileIO):
            def resolve(self, location: str) -> str:
                resolved.append(location)
                return super().resolve(location)

        for name in ("real/t", "disk/behind", *(f"ns/t{number}" for number in range(50))):
            (folder / name).mkdir(parents=True)
        (folder / "ns/link").symlink_to(folder / "real/t")
        (folder / "mount").symlink_to(folder / "disk")
        tables = [*(f"ns/t{number}" for number in range(50)), "ns/gone", "ns/link", "mount/behind"]
        keys = [*(f"{folder}/{name}/" for name in tables), "s3://bucket/t/"]
        found = reached_through_links(Counting(), keys)
        assert found == {f"{folder}/real/t/", f"{folder}/disk/behind/"}
        assert sorted(resolved) == [
            f"{folder}/{name}/" for name in ("mount", "mount/behind", "ns", "ns/link")
        ]


def test_a_table_behind_a_planted_link_is_neither_read_nor_written(ns: Server) -> None:
    folder = filled(ns)
    plant(folder, ns.folder / "outside")
    before = sorted((ns.folder / "outside").rglob("*"))
    update = {"updates": [{"action": "set-properties", "updates": {"a": "1"}}]}
    assert ns.fails("POST", T, update)[0] == 403
    ns.ok("POST", "/v1/namespaces", {"namespace": ["other"]})
    body = {"name": "t", "metadata-location": f"file://{next(folder.glob('metadata/*.json'))}"}
    status, _, message = ns.fails("POST", "/v1/namespaces/other/register", body)
    assert (status, f"leads to {ns.folder}/outside" in message) == (403, True)
    assert sorted((ns.folder / "outside").rglob("*")) == before


def test_an_expired_metadata_file_behind_a_link_is_anothers(ns: Server) -> None:
    ns.table("other")
    ns.table("t", properties={"write.metadata.previous-versions-max": "1"})
    victim = path_of(ns.ok("GET", f"{TABLES}/other")["metadata-location"])
    location = ns.ok("GET", T)["metadata-location"]
    (path_of(location).parent / "link").symlink_to(victim.parent)
    metadata = json.loads(path_of(location).read_bytes())
    named = f"{location.rpartition('/')[0]}/link/{victim.name}"
    metadata["metadata-log"] = [{"timestamp-ms": 1, "metadata-file": named}]
    planted = path_of(location).with_name("00007-x.metadata.json")
    planted.write_text(json.dumps(metadata), "utf-8")
    ns.ok("DELETE", T)
    ns.ok(
        "POST",
        "/v1/namespaces/ns/register",
        {"name": "t", "metadata-location": f"file://{planted}"},
    )
    asked = {"write.metadata.delete-after-commit.enabled": "true"}
    for number in "123":
        updates = {**asked, "number": number}
        ns.ok("POST", T, {"updates": [{"action": "set-properties", "updates": updates}]})
    assert not planted.exists()  # the table's own are deleted
    assert victim.is_file()


@pytest.mark.serverless
class TestAccessWithinRoots:
    @pytest.mark.parametrize(
        "attempt",
        [
            lambda files, place: files.read(f"{place}/x"),
            lambda files, place: files.write(f"{place}/new", b"1"),
            lambda files, place: files.write(f"{place}/folder/new", b"1"),
            lambda files, place: files.create(f"{place}/new", b"1"),
            lambda files, place: files.replace(f"{place}/x", b"1"),
            lambda files, place: files.delete(f"{place}/x"),
            lambda files, place: files.prepare_table(f"{place}/t"),
            lambda files, place: files.prepare_table(f"{place}/t", staged=True),
            lambda files, place: files.remove_empty_folders(f"{place}/empty"),
        ],
    )
    @pytest.mark.parametrize("how", ["path", "link"])
    def test_what_is_outside_stays(
        self, tmp_path: Path, attempt: Callable[[LocalFileIO, str], object], how: str
    ) -> None:
        outside, root = tmp_path / "outside", tmp_path / "root"
        (outside / "empty").mkdir(parents=True)
        (outside / "x").write_bytes(b"theirs")
        root.mkdir()
        (root / "link").symlink_to(outside)
        before = sorted(tmp_path.rglob("*"))
        place = {"path": outside, "link": root / "link"}[how]
        files = LocalFileIO().within([f"file://{root}"])
        with pytest.raises(ForbiddenError, match="outside the allowed locations"):
            attempt(files, f"file://{place}")
        assert sorted(tmp_path.rglob("*")) == before
        assert (outside / "x").read_bytes() == b"theirs"

    def test_a_link_in_the_place_of_a_file_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "root").mkdir()
        (tmp_path / "secret").write_bytes(b"theirs")
        (tmp_path / "root/x").symlink_to(tmp_path / "secret")
        files = LocalFileIO().within([f"{tmp_path}/root"])
        with pytest.raises(ForbiddenError, match=f"leads to {tmp_path}/secret"):
            files.read(f"{tmp_path}/root/x")
        files.delete(f"{tmp_path}/root/x")
        assert (tmp_path / "secret").read_bytes() == b"theirs"
        assert not (tmp_path / "root/x").is_symlink()

    def test_a_link_that_stays_inside_and_a_root_that_is_one_are_followed(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "disk/a").mkdir(parents=True)
        (tmp_path / "disk/b").symlink_to(tmp_path / "disk/a")
        (tmp_path / "root").symlink_to(tmp_path / "disk")
        files = LocalFileIO().within([f"{tmp_path}/root"])
        files.write(f"{tmp_path}/root/b/x", b"1")
        assert files.read(f"{tmp_path}/root/a/x") == b"1"
        # The operator points the root at another disk.
        (tmp_path / "disk").rename(tmp_path / "another")
        (tmp_path / "root").unlink()
        (tmp_path / "root").symlink_to(tmp_path / "another")
        assert files.read(f"{tmp_path}/root/a/x") == b"1"

    def test_a_file_without_end_is_not_read(self, tmp_path: Path) -> None:
        (tmp_path / "x").touch()
        os.truncate(tmp_path / "x", MAX_FILE_BYTES + 1)
        with pytest.raises(BadRequestError, match=f"at most {MAX_FILE_BYTES} are read"):
            LocalFileIO().read(f"{tmp_path}/x")
