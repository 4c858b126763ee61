"""The catalog on a warehouse in an S3 store, with a local one beside it."""

import itertools
import json
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

from falcon_catalog.catalog import purge
from falcon_catalog.cli import main
from falcon_catalog.errors import CatalogError, ServiceUnavailableError
from falcon_catalog.fileio.object_store import ObjectStoreFileIO
from falcon_catalog.store.database import now_ms
from tests.catalog.handwork import relist
from tests.catalog.scanning import plan, pyiceberg
from tests.catalog.serving import SCHEMA, VIEW, Server, creation
from tests.catalog.test_functions import ADD_ONE
from tests.clouds.faulty import Faulty, only
from tests.clouds.lake import Lake
from tests.processes import wait_for

TABLE = "/v1/namespaces/ns/tables/t"
NAMED = {"name": "t", "schema": SCHEMA}
SET = {"action": "set-properties", "updates": {"k": "v"}}


@pytest.fixture
def server(lake: Lake) -> Iterator[Server]:
    with lake.serving() as server:
        server.namespace("ns")
        yield server


@pytest.fixture
def requests_made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is asked of the store, and for which location, from here on."""
    made: list[tuple[str, str]] = []
    really = ObjectStoreFileIO._call

    def call(self: Any, operation: str, location: str, act: Any) -> Any:
        made.append((operation, location))
        return really(self, operation, location, act)

    monkeypatch.setattr(ObjectStoreFileIO, "_call", call)
    return made


def commit(server: Server, *updates: Any, path: str = TABLE) -> Any:
    return server.ok("POST", path, {"requirements": [], "updates": list(updates)})


class TestVerbs:
    def test_a_table_is_created_committed_to_loaded_and_dropped(
        self, lake: Lake, server: Server
    ) -> None:
        created = server.table("t")
        location = created["metadata"]["location"]
        uuid = created["metadata"]["table-uuid"]
        assert location == f"{lake.location}/ns/t-{uuid}"
        committed = commit(server, SET)
        assert committed["metadata-location"].startswith(f"{location}/metadata/00001-")
        loaded = server.ok("GET", TABLE)
        assert loaded["metadata"] == committed["metadata"]
        assert json.loads(lake.get(loaded["metadata-location"])) == loaded["metadata"]
        selected = server.ok("GET", "/v1/config", params={"warehouse": lake.location})
        assert selected["overrides"]["prefix"] == "default"
        with lake.serving() as another:  # which has nothing cached
            assert another.ok("GET", TABLE)["metadata"] == loaded["metadata"]
        server.ok("DELETE", TABLE)
        assert server.call("HEAD", TABLE).status_code == 404
        assert len(lake.all_keys("warehouse/ns/")) == 2

    def test_gzipped_metadata_is_an_object_without_an_encoding(
        self, lake: Lake, server: Server
    ) -> None:
        made = server.table("t", properties={"write.metadata.compression-codec": "gzip"})
        assert lake.get(made["metadata-location"])[:2] == b"\x1f\x8b"
        bucket, _, key = made["metadata-location"].removeprefix("s3://").partition("/")
        head = lake.client.head_object(Bucket=bucket, Key=key)
        assert head["ContentType"] == "application/json"
        assert "ContentEncoding" not in head

    def test_a_staged_create_and_a_transaction(self, server: Server) -> None:
        staged = server.table("t", **{"stage-create": True})["metadata"]
        create = [*creation(staged), {"action": "set-location", "location": staged["location"]}]
        body = {"requirements": [{"type": "assert-create"}], "updates": create}
        assert server.ok("POST", TABLE, body)["metadata"]["location"] == staged["location"]
        server.table("u")
        changes = [
            {
                "identifier": {"namespace": ["ns"], "name": name},
                "requirements": [],
                "updates": [{**SET, "updates": {"both": "yes"}}],
            }
            for name in ("t", "u")
        ]
        server.ok("POST", "/v1/transactions/commit", {"table-changes": changes})
        for name in ("t", "u"):
            table = server.ok("GET", f"/v1/namespaces/ns/tables/{name}")
            assert table["metadata"]["properties"]["both"] == "yes"

    def test_views_and_functions(self, lake: Lake, server: Server) -> None:
        made = server.ok("POST", "/v1/namespaces/ns/views", {"name": "v", **VIEW})
        assert made["metadata"]["location"].startswith(f"{lake.location}/ns/v-")
        view = "/v1/namespaces/ns/views/v"
        assert commit(server, SET, path=view)["metadata"]["properties"] == {"k": "v"}
        assert server.ok("GET", view)["metadata"]["properties"] == {"k": "v"}
        server.ok("DELETE", view)
        managed = "/management/v1/warehouses/default/namespaces/ns/functions/add_one"
        server.ok("PUT", managed, ADD_ONE)
        assert server.ok("GET", "/v1/namespaces/ns/functions/add_one")

    def test_a_table_is_unregistered_and_registered(self, lake: Lake, server: Server) -> None:
        server.table("t")
        last = commit(server, SET)
        gone = server.ok("POST", f"{TABLE}/unregister")
        assert gone["metadata-location"] == last["metadata-location"]
        body = {"name": "again", "metadata-location": last["metadata-location"]}
        again = server.ok("POST", "/v1/namespaces/ns/register", body)
        assert again["metadata"] == last["metadata"]
        lake.delete(last["metadata-location"])
        missing = {"name": "lost", "metadata-location": f"{lake.location}/x.metadata.json"}
        assert server.fails("POST", "/v1/namespaces/ns/register", missing)[0] == 404

    def test_a_dropped_table_comes_back_or_is_purged(self, lake: Lake, server: Server) -> None:
        location = server.table("t")["metadata"]["location"]
        server.ok("DELETE", TABLE, params={"purgeRequested": "true"})
        managed = "/management/v1/warehouses/default/dropped"
        (drop,) = server.ok("GET", managed)["dropped"]
        server.ok("POST", f"{managed}/{drop['id']}/undrop")
        assert server.ok("GET", TABLE)["metadata"]["location"] == location
        lake.put(f"{location}/data/strange.parquet", b"of somebody who did not commit")
        server.ok("DELETE", TABLE, params={"purgeRequested": "true"})
        (drop,) = server.ok("GET", managed)["dropped"]
        server.ok("DELETE", f"{managed}/{drop['id']}")
        assert lake.all_keys("warehouse/ns/") == [
            f"{location.removeprefix(f's3://{lake.s3.bucket}/{lake.prefix}/')}/data/strange.parquet"
        ]

    def test_metadata_files_that_fell_out_of_the_log_are_deleted(
        self, lake: Lake, server: Server
    ) -> None:
        forgetful = {
            "write.metadata.delete-after-commit.enabled": "true",
            "write.metadata.previous-versions-max": "1",
        }
        server.table("t", properties=forgetful)
        for number in range(3):
            commit(server, {**SET, "updates": {"n": str(number)}})
        versions = [key.rsplit("/", 1)[1][:5] for key in lake.all_keys("warehouse/ns/")]
        assert versions == ["00002", "00003"]

    def test_a_local_warehouse_is_beside_it(self, lake: Lake, server: Server) -> None:
        server.ok("POST", "/v1/local/namespaces", {"namespace": ["ns"]})
        path = "/v1/local/namespaces/ns/tables"
        made = server.ok("POST", path, {"name": "t", "schema": SCHEMA})
        assert made["metadata"]["location"].startswith(f"file://{lake.folder}/local/ns/t-")
        elsewhere = {"name": "u", "schema": SCHEMA, "location": f"{lake.location}/u"}
        assert server.fails("POST", path, elsewhere)[0] == 400
        server.ok("DELETE", f"{path}/t", params={"purgeRequested": "true"})
        (drop,) = server.ok("GET", "/management/v1/warehouses/local/dropped")["dropped"]
        server.table("t")  # whose location is no path
        server.ok("DELETE", f"/management/v1/warehouses/local/dropped/{drop['id']}")
        assert not list((lake.folder / "local").rglob("*.metadata.json"))


class TestRequests:
    """How often the store is asked."""

    def test_a_commit_is_one_request_and_a_load_of_what_is_cached_is_none(
        self, server: Server, requests_made: list[tuple[str, str]]
    ) -> None:
        server.table("t")
        commit(server, {**SET, "updates": {"first": "1"}})
        requests_made.clear()
        commit(server, SET)
        assert [operation for operation, _ in requests_made] == ["write a file"]
        requests_made.clear()
        first = server.call("GET", TABLE)
        again = server.call("GET", TABLE, headers={"If-None-Match": first.headers["ETag"]})
        assert again.status_code == 304
        assert requests_made == []

    def test_readiness_does_not_ask_again_and_again(
        self, lake: Lake, server: Server, requests_made: list[tuple[str, str]]
    ) -> None:
        for _ in range(5):
            assert server.ok("GET", "/health/ready") == {"status": "ready"}
        assert requests_made in ([], [("read a file", f"{lake.location}/_falcon-catalog.json")])

    def test_a_scan_reads_each_manifest_once(
        self, lake: Lake, server: Server, requests_made: list[tuple[str, str]]
    ) -> None:
        catalog = pyiceberg(server, **lake.properties)
        table = catalog.create_table("ns.scanned", schema=pa.schema([("id", pa.int64())]))
        table.append(pa.table({"id": [1, 2]}))
        requests_made.clear()
        assert plan(server, "scanned").rows == 2
        read = sorted(location.rsplit(".", 1)[1] for _, location in requests_made)
        assert read.count("avro") == 2
        requests_made.clear()
        assert plan(server, "scanned").rows == 2
        assert sum(location.endswith("-m0.avro") for _, location in requests_made) == 0


class TestLocks:
    def test_no_verb_locks_the_database_while_it_waits_for_the_store(
        self, lake: Lake, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        catalog = pyiceberg(server, **lake.properties)
        table = catalog.create_table("ns.scanned", schema=pa.schema([("id", pa.int64())]))
        table.append(pa.table({"id": [1, 2]}))
        numbers, asked = itertools.count(), set[str]()
        really = ObjectStoreFileIO._call

        def call(self: Any, operation: str, *arguments: Any) -> Any:
            asked.add(operation)
            server.namespace(f"made-{next(numbers)}")  # by another thread, which needs the lock
            return really(self, operation, *arguments)

        monkeypatch.setattr(ObjectStoreFileIO, "_call", call)
        path = "/v1/namespaces/ns/tables"
        server.table("staged", **{"stage-create": True})
        server.table("t")
        server.table("u")
        commit(server, SET)
        changes = [
            {"identifier": {"namespace": ["ns"], "name": name}, "requirements": [], **updates}
            for name in ("t", "u")
            for updates in [{"updates": [{**SET, "updates": {"both": "yes"}}]}]
        ]
        server.ok("POST", "/v1/transactions/commit", {"table-changes": changes})
        server.ok("POST", "/v1/namespaces/ns/views", {"name": "v", **VIEW})
        commit(server, SET, path="/v1/namespaces/ns/views/v")
        gone = server.ok("POST", f"{path}/u/unregister")
        body = {"name": "u", "metadata-location": gone["metadata-location"]}
        server.ok("POST", "/v1/namespaces/ns/register", body)
        server.ok("POST", "/v1/namespaces/ns/register", {**body, "overwrite": True})
        rename = {
            "source": {"namespace": ["ns"], "name": "u"},
            "destination": {"namespace": ["ns"], "name": "w"},
        }
        server.ok("POST", "/v1/tables/rename", rename)
        server.ok("DELETE", f"{path}/w")
        managed = "/management/v1/warehouses/default/dropped"
        (drop,) = server.ok("GET", managed)["dropped"]
        server.ok("POST", f"{managed}/{drop['id']}/undrop")
        assert plan(server, "scanned").rows == 2
        key = {"Idempotency-Key": "019a1111-1111-7111-8111-111111111111"}
        body = {"requirements": [], "updates": [{**SET, "updates": {"again": "1"}}]}
        for _ in range(2):
            server.ok("POST", TABLE, body, headers=key)
        for name in ("scanned", "t"):
            server.ok("DELETE", f"{path}/{name}", params={"purgeRequested": "true"})
        server.ok("DELETE", "/v1/namespaces/ns/views/v")
        for drop in server.ok("GET", managed)["dropped"]:
            server.ok("DELETE", f"{managed}/{drop['id']}")
        assert asked >= {"read a file", "write a file", "delete a file", "list files"}
        assert next(numbers) > 20


class TestLocations:
    """Cases 10, 11 and 12 of the handbook on object stores."""

    @pytest.mark.parametrize(
        "end",
        [
            *("../x", "a/../b", "./a", "a/./b", "a//b", "%2e%2e/x", "a%2Fb", "a\\b", "a\x00b"),
            *("a\tb", "a\u200bb", "a\u200fb", "a?b", "a#b", " a", "a /b", "e\u0301", "x" * 5000),
        ],
    )
    @pytest.mark.parametrize("field", ["location", "write.data.path", "write.metadata.path"])
    def test_10_a_location_that_may_be_misread_is_refused(
        self, lake: Lake, server: Server, field: str, end: str
    ) -> None:
        location = f"{lake.location}/{end}"
        fields: dict[str, Any] = {field: location}
        if field != "location":
            fields = {"properties": {field: location}}
        body = {"name": "bad", "schema": SCHEMA, **fields}
        status, kind, message = server.fails("POST", "/v1/namespaces/ns/tables", body)
        assert (status, kind) == (400, "BadRequestException")
        assert message.startswith("Invalid location ")
        assert not [key for key in lake.all_keys() if not key.endswith("/_falcon-catalog.json")]

    @pytest.mark.parametrize(
        "authority",
        ["{0}.", "{0}:9000", "user@{0}", "user:password@{0}", "LAKE", "Lake"],
    )
    def test_10_another_spelling_of_the_bucket_is_refused(
        self, lake: Lake, server: Server, authority: str
    ) -> None:
        location = f"s3://{authority.format(lake.s3.bucket)}/{lake.prefix}/warehouse/x"
        body = {"name": "bad", "schema": SCHEMA, "location": location}
        assert server.fails("POST", "/v1/namespaces/ns/tables", body)[0] == 400

    @pytest.mark.parametrize("scheme", ["S3", "s3a", "s3n", "gs", "hdfs", "file", "https"])
    def test_10_another_scheme_is_refused(self, lake: Lake, server: Server, scheme: str) -> None:
        location = f"{scheme}{lake.location.removeprefix('s3')}/x"
        body = {"name": "bad", "schema": SCHEMA, "location": location}
        status, _, message = server.fails("POST", "/v1/namespaces/ns/tables", body)
        assert status == 400
        assert message.startswith("Invalid location ")

    @pytest.mark.parametrize("scheme", ["s3", "s3a", "s3n"])
    def test_11_an_alias_overlaps_what_it_means(self, lake: Lake, scheme: str) -> None:
        lake.more = {"allow_aliases": True}
        with lake.serving() as server:
            server.namespace("ns")
            path = "/v1/namespaces/ns/tables"
            first = f"s3a{lake.location.removeprefix('s3')}/x"
            body = {"name": "t", "schema": SCHEMA, "location": first}
            made = server.ok("POST", path, body)
            assert made["metadata"]["location"] == first
            commit(server, SET)
            assert server.ok("GET", TABLE)["metadata"]["location"] == first
            for end in ("/x", "/x/inner", ""):
                location = f"{scheme}{lake.location.removeprefix('s3')}{end}"
                other = {"name": "u", "schema": SCHEMA, "location": location}
                assert server.fails("POST", path, other)[0] == 403
            update = {"action": "set-location", "location": f"{scheme}{first[3:]}"}
            server.table("moves")
            answer = server.fails(
                "POST", f"{path}/moves", {"requirements": [], "updates": [update]}
            )
            assert answer[0] == 403

    def test_12_a_new_table_never_lies_where_an_old_one_did(self, server: Server) -> None:
        places = [server.table("t")["metadata"]["location"]]
        rename = {
            "source": {"namespace": ["ns"], "name": "t"},
            "destination": {"namespace": ["ns"], "name": "old"},
        }
        server.ok("POST", "/v1/tables/rename", rename)
        places.append(server.table("t")["metadata"]["location"])
        server.ok("DELETE", TABLE)
        places.append(server.table("t")["metadata"]["location"])
        assert len(set(places)) == 3
        assert server.ok("GET", "/v1/namespaces/ns/tables/old")["metadata"]["location"] == places[0]
        body = {"name": "u", "schema": SCHEMA, "location": places[0]}
        assert server.fails("POST", "/v1/namespaces/ns/tables", body)[0] == 403

    def test_a_default_location_is_short_enough_for_a_policy(
        self, lake: Lake, server: Server
    ) -> None:
        levels = ["x" * 64 for _ in range(8)]
        for depth in range(1, 9):
            server.ok("POST", "/v1/namespaces", {"namespace": levels[:depth]})
        path = f"/v1/namespaces/{'%1F'.join(levels)}/tables"
        made = server.ok("POST", path, {"name": "n" * 200, "schema": SCHEMA})["metadata"]
        assert len(made["location"]) <= 512
        assert made["location"].startswith(f"{lake.location}/nnn")
        assert made["location"].endswith(made["table-uuid"])

    def test_9_what_is_registered_lies_in_the_allowed_locations(
        self, lake: Lake, server: Server, requests_made: list[tuple[str, str]]
    ) -> None:
        made = server.table("t")
        body = json.loads(lake.get(made["metadata-location"]))
        outside = f"s3://other/{lake.prefix}/v1.metadata.json"
        lake.put(outside, json.dumps(body).encode())
        inside = f"{lake.location}/x/metadata/v1.metadata.json"
        requests_made.clear()
        path = "/v1/namespaces/ns/register"
        answer = server.fails("POST", path, {"name": "r", "metadata-location": outside})
        assert answer[:2] == (403, "ForbiddenException")
        assert requests_made == []
        snapshot = {
            "snapshot-id": 1,
            "timestamp-ms": 1,
            "sequence-number": 1,
            "summary": {"operation": "append"},
            "schema-id": 0,
            "manifest-list": f"s3://other/{lake.prefix}/snap.avro",
        }
        for change, status in (
            ({"location": f"s3://other/{lake.prefix}/x"}, 403),
            ({"location": f"{lake.location}/x", "snapshots": [snapshot]}, 400),
            (
                {
                    "location": f"{lake.location}/x",
                    "properties": {"write.data.path": f"s3://other/{lake.prefix}"},
                },
                403,
            ),
        ):
            lake.put(inside, json.dumps({**body, **change}).encode())
            answer = server.fails("POST", path, {"name": "r", "metadata-location": inside})
            assert answer[0] == status, answer


class TestForeignFiles:
    """Case 24 of the handbook: manifests that name files of others."""

    @pytest.fixture
    def poisoned(self, lake: Lake, server: Server) -> tuple[str, list[str]]:
        """A table whose manifests name another table's files; return its location and those."""
        # With keys that open all of the bucket: vended ones would not read what it names.
        header = {"header.X-Iceberg-Access-Delegation": "client-managed"}
        catalog = pyiceberg(server, **lake.properties, **header)
        schema = pa.schema([("id", pa.int64())])
        victim = catalog.create_table("ns.victim", schema=schema)
        victim.append(pa.table({"id": [1]}))
        table = catalog.create_table("ns.t", schema=schema)
        foreign = [task.file.file_path for task in victim.scan().plan_files()]
        table.add_files(foreign)
        lake.put(f"s3://other/{lake.prefix}/secret.parquet", lake.get(foreign[0]))
        elsewhere = f"s3://other/{lake.prefix}/secret.parquet"
        table.add_files([elsewhere])
        return table.location(), [*foreign, elsewhere]

    def test_24_a_purge_deletes_none_of_them(
        self, lake: Lake, server: Server, poisoned: tuple[str, list[str]]
    ) -> None:
        location, foreign = poisoned
        server.ok("DELETE", TABLE, params={"purgeRequested": "true"})
        managed = "/management/v1/warehouses/default/dropped"
        (drop,) = server.ok("GET", managed)["dropped"]
        server.ok("DELETE", f"{managed}/{drop['id']}")
        below = location.removeprefix(f"s3://{lake.s3.bucket}/{lake.prefix}/")
        assert lake.all_keys(f"{below}/") == []
        for each in foreign:
            assert lake.get(each)
        victim = pyiceberg(server, **lake.properties).load_table("ns.victim")
        assert victim.scan().to_arrow().num_rows == 1

    def test_a_purge_deletes_files_of_one_kind_with_one_request(
        self, lake: Lake, server: Server, requests_made: list[tuple[str, str]]
    ) -> None:
        catalog = pyiceberg(server, **lake.properties)
        table = catalog.create_table("ns.t", schema=pa.schema([("id", pa.int64())]))
        for number in range(4):
            table.append(pa.table({"id": [number]}))
        assert len(lake.all_keys("warehouse/ns/")) == 17  # 4 data files, 4 of each other kind
        server.ok("DELETE", TABLE, params={"purgeRequested": "true"})
        managed = "/management/v1/warehouses/default/dropped"
        (drop,) = server.ok("GET", managed)["dropped"]
        requests_made.clear()
        assert "17 files deleted" in server.ok("DELETE", f"{managed}/{drop['id']}")["outcome"]
        deletes = [name for name, _ in requests_made if name == "delete a file"]
        # Data files, manifests, lists, earlier metadata files, the last metadata file.
        assert len(deletes) == 5
        assert lake.all_keys("warehouse/ns/") == []

    def test_24_a_scan_opens_no_manifest_elsewhere(
        self, lake: Lake, server: Server, requests_made: list[tuple[str, str]]
    ) -> None:
        server.table("t")
        snapshot = {
            "snapshot-id": 1,
            "timestamp-ms": int(time.time() * 1000),
            "sequence-number": 1,
            "summary": {"operation": "append"},
            "schema-id": 0,
            "manifest-list": f"s3://other/{lake.prefix}/snap.avro",
        }
        body = {"requirements": [], "updates": [{"action": "add-snapshot", "snapshot": snapshot}]}
        status, _, message = server.fails("POST", TABLE, body)
        assert status == 400
        assert "outside the allowed locations" in message
        # One inside, which names a manifest that is not.
        catalog = pyiceberg(server, **lake.properties)
        table = catalog.create_table("ns.u", schema=pa.schema([("id", pa.int64())]))
        table.append(pa.table({"id": [1]}))
        current = table.current_snapshot()
        assert current is not None
        (manifest,) = current.manifests(table.io)
        outside = f"s3://other/{lake.prefix}/m.avro"
        lake.put(outside, lake.get(manifest.manifest_path))
        relist(table, current.manifest_list, manifest.manifest_path, outside)
        requests_made.clear()
        assert server.fails("POST", "/v1/namespaces/ns/tables/u/plan", {})[0] == 403
        assert not [location for _, location in requests_made if "s3://other" in location]


class TestOutage:
    """A store that does not answer: cases 23 and the readiness of a server."""

    def test_only_its_own_warehouse_is_unavailable(self, lake: Lake) -> None:
        with lake.serving(apart=True) as server:
            server.namespace("ns")
        lake.more = {"endpoint": "http://127.0.0.1:9", "timeout": 1}
        with lake.serving(apart=True) as server:
            status, kind, message = server.fails(
                "POST", "/v1/namespaces/ns/tables", {"name": "t", "schema": SCHEMA}
            )
            assert (status, kind) == (503, "SlowDownException")
            assert "The warehouse default" in message
            assert "cannot be reached" in message
            server.ok("POST", "/v1/local/namespaces", {"namespace": ["ns"]})
            body = {"name": "t", "schema": SCHEMA}
            server.ok("POST", "/v1/local/namespaces/ns/tables", body)
            ready = server.ok("GET", "/health/ready")
            assert ready["status"] == "ready"
            (why,) = ready["unavailable"]
            assert why.startswith(f"The warehouse default ({lake.location}) is not available: ")
            for text in (message, why, server.log):
                assert lake.s3.secret_access_key not in text
                assert "http://127.0.0.1:9" not in text
                assert "<Error>" not in text

    def test_a_server_without_any_warehouse_is_not_ready(self, lake: Lake) -> None:
        assert lake.run("migrate")[0] == 0
        lake.more = {"endpoint": "http://127.0.0.1:9", "timeout": 1}
        with lake.serving(warehouse__more=()) as server:
            assert server.fails("GET", "/health/ready")[0] == 503

    def test_a_new_server_starts_before_its_store_answers(self, lake: Lake, faulty: Faulty) -> None:
        lake.more = {"endpoint": faulty.url, "timeout": 2}
        faulty.always("reset")
        with lake.serving(apart=True, warehouse__more=()) as server:
            status, _, message = server.fails("GET", "/health/ready")
            assert (status, f"warehouse default ({lake.location})" in message) == (503, True)
            assert server.fails("POST", "/v1/namespaces/ns/tables", NAMED)[0] in (404, 503)
            faulty.clear()
            wait_for(lambda: server.call("GET", "/health/ready").status_code == 200, "the store")
            server.namespace("ns")
            made = server.table("t")
        with lake.serving(apart=True) as server:
            assert server.ok("GET", TABLE) == made
        assert "warehouse/_falcon-catalog.json" in lake.all_keys()

    def test_a_new_server_takes_no_full_warehouse_when_its_store_answers(
        self, lake: Lake, faulty: Faulty
    ) -> None:
        with lake.serving(apart=True, warehouse__more=()) as server:
            server.namespace("ns")
            server.table("t")
        keys = lake.all_keys()
        for file in lake.folder.glob("catalog.db*"):
            file.unlink()
        own = dict(lake.more)
        lake.more = {"endpoint": faulty.url, "timeout": 2}
        faulty.always("503")
        with lake.serving(apart=True, warehouse__more=()) as server:
            server.namespace("ns")
            faulty.clear()
            wait_for(
                lambda: "another catalog's store" in server.call("GET", "/health/ready").text,
                "the store",
            )
            assert server.fails("POST", "/v1/namespaces/ns/tables", NAMED)[0] == 503
        assert lake.all_keys() == keys
        lake.more = own
        status, _, err = lake.run("migrate")
        assert (status, "belongs to another catalog's store" in err) == (1, True), err

    @pytest.mark.parametrize(
        ("more", "why"),
        [
            ({"location": "s3://nobody-made-this/wh"}, "no such bucket"),
            ({"credential": "env:WRONG"}, "refuses the server's own credentials"),
        ],
    )
    def test_a_new_server_with_wrong_settings_does_not_start(
        self, lake: Lake, monkeypatch: pytest.MonkeyPatch, more: dict[str, str], why: str
    ) -> None:
        monkeypatch.setenv("WRONG_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        monkeypatch.setenv("WRONG_SECRET_ACCESS_KEY", "wrong")
        lake.more = {**more, "allowed_locations": []}
        status, _, err = lake.run("migrate")
        assert (status, why in err) == (1, True), err
        assert not (lake.folder / "catalog.db").exists()

    def test_it_is_found_again(self, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
        with lake.serving() as server:
            server.namespace("ns")
            server.table("t")
            commit(server, {**SET, "updates": {"first": "1"}})
            really = ObjectStoreFileIO._call

            def fail(*_: Any) -> Any:
                raise ServiceUnavailableError("the store is down")

            monkeypatch.setattr(ObjectStoreFileIO, "_call", fail)
            body = {"requirements": [], "updates": [SET]}
            assert server.fails("POST", TABLE, body)[0] == 503
            assert server.ok("GET", "/health/ready")["unavailable"]
            assert server.ok("GET", TABLE)  # which is cached
            monkeypatch.setattr(ObjectStoreFileIO, "_call", really)
            wait_for(lambda: server.call("POST", TABLE, body).status_code == 200, "the store")
            assert server.ok("GET", "/health/ready") == {"status": "ready"}

    def test_a_store_that_hangs_keeps_neither_readiness_nor_a_local_warehouse_waiting(
        self, lake: Lake, faulty: Faulty
    ) -> None:
        lake.more = {"endpoint": faulty.url, "timeout": 3}
        body = {"requirements": [], "updates": [SET]}
        with lake.serving(apart=True) as server, ThreadPoolExecutor(12) as pool:
            server.namespace("ns")
            server.table("t")
            server.ok("POST", "/v1/local/namespaces", {"namespace": ["ns"]})
            faulty.always("hang")  # for longer than any client waits
            waiting = [pool.submit(server.call, "POST", TABLE, body) for _ in range(12)]
            answers = meanwhile = 0
            while not all(each.done() for each in waiting):
                name = {"name": f"t{answers}", "schema": SCHEMA}
                server.ok("POST", "/v1/local/namespaces/ns/tables", name)
                assert server.ok("GET", "/health/ready")["status"] == "ready"
                answers += 1
                meanwhile += not all(each.done() for each in waiting)
            assert meanwhile
            assert {each.result().status_code for each in waiting} == {503}
            (why,) = server.ok("GET", "/health/ready")["unavailable"]
            assert why.startswith(f"The warehouse default ({lake.location}) is not available")
            faulty.clear()
            wait_for(lambda: server.call("POST", TABLE, body).status_code == 200, "the store")

    def test_a_server_starts_beside_a_store_that_hangs(self, lake: Lake, faulty: Faulty) -> None:
        assert lake.run("migrate")[0] == 0
        lake.more = {"endpoint": faulty.url, "timeout": 2}
        faulty.always("hang")  # for longer than a start may take
        with lake.serving(apart=True) as server:
            assert server.ok("GET", "/health/ready")["unavailable"]
            server.ok("POST", "/v1/local/namespaces", {"namespace": ["ns"]})

    def test_another_bucket_in_its_place_is_not_taken_for_it(self, lake: Lake) -> None:
        with lake.serving() as server:
            server.namespace("ns")
            made = server.table("t")
            marker = f"{lake.location}/_falcon-catalog.json"
            content = lake.get(marker)
            lake.delete(marker)
            lake.delete(made["metadata-location"])
        with lake.serving() as server:
            status, _, message = server.fails("GET", TABLE)
            assert status == 503
            assert "is it the right bucket?" in message
            lake.put(marker, content)
            wait_for(lambda: server.call("GET", TABLE).status_code != 503, "the bucket")
            status, kind, message = server.fails("GET", TABLE)  # the file alone is missing
            assert (status, kind) == (404, "NotFoundException")
            assert "table ns.t, which exists: falcon-catalog doctor names the repair" in message
            assert server.fails("POST", TABLE, {"updates": [SET]})[2] == message
            assert server.call("HEAD", TABLE).status_code == 204
            path = "/v1/namespaces/ns/tables"
            assert server.fails("POST", path, {"name": "t", "schema": SCHEMA})[0] == 409


class TestLeftBehind:
    """Metadata files of commits that failed: recorded, and deleted a day later."""

    @pytest.fixture
    def server(self, lake: Lake, faulty: Faulty) -> Iterator[Server]:
        lake.more = {"endpoint": faulty.url, "timeout": 2}
        with lake.serving() as server:
            server.namespace("ns")
            yield server

    @staticmethod
    def recorded(lake: Lake) -> list[str]:
        return [location for (location,) in lake.sql("SELECT location FROM orphans ORDER BY id")]

    @staticmethod
    def keys(lake: Lake) -> list[str]:
        prefix = f"s3://{lake.s3.bucket}/{lake.prefix}/"
        return [f"{prefix}{key}" for key in lake.all_keys("warehouse/ns/")]

    @staticmethod
    def a_day_later(lake: Lake) -> str:
        """Let the time pass, and run what a server runs each minute; return what it says."""
        lake.sql("UPDATE orphans SET due_at = due_at - 24 * 60 * 60 * 1000")
        status, out, err = lake.run("maintain")
        assert status == 0, out + err
        return out

    def lose(self, lake: Lake, server: Server, faulty: Faulty, path: str, body: Any) -> str:
        """Let a request fail whose file was written; return the file."""
        before = self.keys(lake)
        server.call("GET", TABLE)  # what a commit builds on is not read again
        faulty.always("lost-500")
        assert server.fails("POST", path, body)[0] == 503
        faulty.clear()
        wait_for(lambda: server.call("GET", "/health/ready").text.count("lake") == 0, "the store")
        (left,) = set(self.keys(lake)) - set(before)
        assert self.recorded(lake) == [left]
        return left

    def test_a_commit_leaves_a_file_for_a_day(
        self, lake: Lake, server: Server, faulty: Faulty
    ) -> None:
        server.table("t")
        left = self.lose(lake, server, faulty, TABLE, {"requirements": [], "updates": [SET]})
        made = commit(server, SET)
        assert lake.run("maintain")[1] == "Nothing to do.\n"
        assert left in self.keys(lake)
        assert self.a_day_later(lake) == "default: 1 metadata files of failed commits deleted\n"
        assert left not in self.keys(lake)
        assert server.ok("GET", TABLE)["metadata-location"] == made["metadata-location"]
        assert self.recorded(lake) == []

    def test_a_create_leaves_a_folder_for_a_day(
        self, lake: Lake, server: Server, faulty: Faulty
    ) -> None:
        self.lose(lake, server, faulty, "/v1/namespaces/ns/tables", NAMED)
        assert server.call("HEAD", TABLE).status_code == 404
        self.a_day_later(lake)
        assert self.keys(lake) == []

    def test_what_was_never_written_is_forgotten(
        self, lake: Lake, server: Server, faulty: Faulty
    ) -> None:
        server.table("t")
        server.ok("GET", TABLE)
        faulty.always("reset")
        body = {"requirements": [], "updates": [SET]}
        assert server.fails("POST", TABLE, body)[0] == 503
        faulty.clear()
        assert len(self.recorded(lake)) == 1
        assert self.a_day_later(lake) == "Nothing to do.\n"
        assert self.recorded(lake) == []

    def test_what_cannot_be_deleted_is_recorded(
        self, lake: Lake, server: Server, faulty: Faulty
    ) -> None:
        server.table("t")
        server.table("u")
        before = self.keys(lake)
        faulty.spoil("403", 9, only("PUT", "/ns/u-"))
        faulty.spoil("500", 9, only("DELETE"))
        changes = [
            {
                "identifier": {"namespace": ["ns"], "name": name},
                "requirements": [],
                "updates": [SET],
            }
            for name in ("t", "u")
        ]
        body = {"table-changes": changes}
        assert server.fails("POST", "/v1/transactions/commit", body)[0] == 503
        faulty.clear()
        (left,) = set(self.keys(lake)) - set(before)
        assert self.recorded(lake) == [left]
        self.a_day_later(lake)
        assert self.keys(lake) == before

    def test_what_is_being_deleted_is_not_referred_to(
        self, lake: Lake, server: Server, faulty: Faulty
    ) -> None:
        server.table("t")
        left = self.lose(lake, server, faulty, TABLE, {"requirements": [], "updates": [SET]})
        row = lake.sql("SELECT id FROM tabulars WHERE name = 't'")[0][0]
        faulty.spoil("500", 9, only("DELETE"))
        self.a_day_later(lake)  # it may be deleted, or not
        faulty.clear()
        status, _, err = lake.run("doctor", "--repair", f"repoint={row}@{left}")
        assert (status, "is being deleted" in err) == (2, True)
        body = {"name": "other", "metadata-location": left}
        server.ok("POST", f"{TABLE}/unregister")
        status, kind, message = server.fails("POST", "/v1/namespaces/ns/register", body)
        assert (status, kind) == (409, "CommitFailedException")
        assert f"{left}, which a failed commit left behind, is being deleted" in message
        self.a_day_later(lake)
        assert left not in self.keys(lake)
        assert self.recorded(lake) == []

    @pytest.mark.parametrize("age", ["current", "older"])
    @pytest.mark.parametrize("by", ["doctor", "registration", "neither"])
    def test_what_a_table_refers_to_stays(
        self, lake: Lake, server: Server, faulty: Faulty, by: str, age: str
    ) -> None:
        server.table("t")
        left = self.lose(lake, server, faulty, TABLE, {"requirements": [], "updates": [SET]})
        row = lake.sql("SELECT id FROM tabulars WHERE name = 't'")[0][0]
        if by == "registration":
            server.ok("POST", f"{TABLE}/unregister")
            body = {"name": "t", "metadata-location": left}
            server.ok("POST", "/v1/namespaces/ns/register", body)
        else:
            assert lake.run("doctor", "--repair", f"repoint={row}@{left}")[0] == 0
        assert self.recorded(lake) == []
        if by == "neither":  # as in a store that was restored
            lake.sql(
                "INSERT INTO orphans (warehouse_id, location, due_at) SELECT id, ?, 0"
                " FROM warehouses WHERE name = 'default'",
                left,
            )
        if age == "older":
            commit(server, {**SET, "updates": {"later": "1"}})
        before = server.ok("GET", TABLE)
        assert self.a_day_later(lake) == "Nothing to do.\n"
        assert left in self.keys(lake)
        assert self.recorded(lake) == []
        assert server.ok("GET", TABLE) == before


class TestCommands:
    def test_a_new_store_beside_a_full_warehouse_is_refused(self, lake: Lake) -> None:
        with lake.serving() as server:
            server.namespace("ns")
            server.table("t")
        for file in lake.folder.glob("catalog.db*"):
            file.unlink()
        status, _, err = lake.run("migrate")
        assert status == 1
        assert f"the warehouse default ({lake.location}) holds files" in err
        status, out, err = lake.run("migrate", "--adopt-warehouse")
        assert (status, "is up to date" in out) == (0, True), err
        with lake.serving() as server:
            server.namespace("ns")
            server.table("t")

    def test_flags_and_variables_are_enough(self, lake: Lake) -> None:
        environ = {
            f"CATALOG_WAREHOUSE_{name.upper()}": str(value)
            for name, value in lake.warehouse.items()
            if name not in ("location", "allowed_locations")
        }
        flags = ["--store", f"{lake.folder}/catalog.db", "--warehouse", lake.location]
        done = CliRunner().invoke(main, ["migrate", *flags], env=environ)
        assert done.exit_code == 0, done.output
        assert lake.all_keys() == ["warehouse/_falcon-catalog.json"]
        with lake.serving() as server:
            server.namespace("ns")
            server.table("t")

    def test_another_stores_warehouse_is_refused(self, lake: Lake) -> None:
        assert lake.run("migrate")[0] == 0
        for file in lake.folder.glob("catalog.db*"):
            file.rename(f"{file}.away")
        (lake.folder / "local/_falcon-catalog.json").unlink()
        marker = f"{lake.location}/_falcon-catalog.json"
        content = lake.get(marker)
        lake.delete(marker)
        assert lake.run("migrate")[0] == 0
        lake.put(marker, content)
        status, _, err = lake.run("migrate")
        assert status == 1
        assert "belongs to another catalog's store" in err

    def test_what_was_backed_up_is_restored(self, lake: Lake) -> None:
        with lake.serving() as server:
            server.namespace("ns")
            server.table("t")
            last = commit(server, SET)
            server.ok("POST", "/v1/local/namespaces", {"namespace": ["ns"]})
            body = {"name": "t", "schema": SCHEMA}
            server.ok("POST", "/v1/local/namespaces/ns/tables", body)
            status, out, err = lake.run("backup", str(lake.folder / "backup"))
            assert (status, "2 metadata files" in out) == (0, True), err
        place = last["metadata-location"].removeprefix("s3://")
        copied = lake.folder / "backup/objects/s3" / place
        assert copied.read_bytes() == lake.get(last["metadata-location"])
        lake.delete(last["metadata-location"])
        status, out, err = lake.run("restore", "--replace", str(lake.folder / "backup"))
        assert status == 0, out + err
        assert "1 of 2 metadata files were missing and are restored" in err
        with lake.serving() as server:
            assert server.ok("GET", TABLE)["metadata"] == last["metadata"]

    def test_a_store_is_not_restored_into_an_empty_bucket_by_mistake(self, lake: Lake) -> None:
        with lake.serving() as server:
            server.namespace("ns")
            server.table("t")
            assert lake.run("backup", str(lake.folder / "backup"))[0] == 0
        for key in lake.all_keys():
            lake.delete(f"s3://{lake.s3.bucket}/{lake.prefix}/{key}")
        status, _, err = lake.run("restore", "--replace", str(lake.folder / "backup"))
        assert status == 2
        assert "has neither a marker nor any metadata file" in err
        restore = ("restore", "--replace", "--adopt-warehouse")
        status, out, err = lake.run(*restore, str(lake.folder / "backup"))
        assert status == 0, out + err
        with lake.serving() as server:
            assert server.ok("GET", TABLE)

    def test_the_doctor_finds_nothing_in_what_is_well(self, lake: Lake, server: Server) -> None:
        catalog = pyiceberg(server, **lake.properties)
        table = catalog.create_table("ns.t", schema=pa.schema([("id", pa.int64())]))
        table.append(pa.table({"id": [1, 2]}))
        server.ok("POST", "/v1/namespaces/ns/views", {"name": "v", **VIEW})
        assert lake.findings("--deep") == []

    def test_the_doctor_asks_for_no_file_that_it_has_listed(
        self, lake: Lake, server: Server, requests_made: list[tuple[str, str]]
    ) -> None:
        server.table("t")
        for number in range(5):
            commit(server, {**SET, "updates": {"n": str(number)}})
        requests_made.clear()
        assert lake.findings() == []
        assert "look for a file" not in {operation for operation, _ in requests_made}
        lake.delete(server.ok("GET", TABLE)["metadata"]["metadata-log"][0]["metadata-file"])
        assert [check for check, _, _ in lake.findings()] == ["history-missing"]

    @pytest.mark.parametrize("limit", [1, 4])
    def test_the_doctor_asks_for_many_files_at_once_and_finds_the_same(
        self, lake: Lake, server: Server, monkeypatch: pytest.MonkeyPatch, limit: int
    ) -> None:
        table = pyiceberg(server, **lake.properties).create_table(
            "ns.t", schema=pa.schema([("id", pa.int64())])
        )
        for number in range(6):
            table.append(pa.table({"id": [number]}))
        data = sorted(task.file.file_path for task in table.scan().plan_files())
        really, together = ObjectStoreFileIO.size, threading.Barrier(limit)
        asked: list[str] = []

        def size(self: Any, location: str) -> int:
            asked.append(location)
            if location in data[:4]:
                together.wait(60)  # for as many requests as may be made at once
            return really(self, location)

        monkeypatch.setattr(ObjectStoreFileIO, "size", size)
        lake.more = {"max_requests": limit}
        assert lake.findings("--deep") == []
        assert asked.count(data[0]) == 1
        for location in data[4:]:
            lake.delete(location)
        lake.put(data[0], b"cut")
        _, out, _ = lake.run("doctor", "--deep", "--json")
        gone = {f"{', '.join(both)} do not exist" for both in (data[4:], data[:3:-1])}
        missing, cut = (one["what"] for one in json.loads(out)["findings"])
        assert missing in gone
        assert cut.startswith(f"{data[0]} has 3 bytes instead of ")

    def test_the_doctor_finds_what_is_missing_and_repairs_it(
        self, lake: Lake, server: Server
    ) -> None:
        server.table("t")
        first = server.ok("GET", TABLE)["metadata-location"]
        last = commit(server, SET)
        lake.delete(last["metadata-location"])
        row = lake.sql("SELECT id FROM tabulars WHERE name = 't'")[0][0]
        assert lake.findings() == [
            ("metadata-missing", "table default:ns.t", f"repoint={row}"),
        ]
        status, out, err = lake.run("doctor", "--repair", f"repoint={row}")
        assert status == 0, out + err
        with lake.serving() as another:
            assert another.ok("GET", TABLE)["metadata-location"] == first

    def test_the_doctor_deletes_orphans_and_nothing_else(
        self, lake: Lake, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = server.table("t")
        last = commit(server, SET)
        folder = f"{made['metadata']['location']}/metadata"
        orphan, data = f"{folder}/00000-orphan.metadata.json", f"{folder}/x.avro"
        lake.put(orphan, json.dumps(made["metadata"]).encode())
        lake.put(data, b"not metadata")
        assert lake.findings() == []  # it is too young to be one
        later = now_ms() + 8 * 86_400_000
        monkeypatch.setattr("falcon_catalog.doctor.check.now_ms", lambda: later)
        assert lake.findings() == [("orphan-metadata", "table default:ns.t", "orphans")]
        really = ObjectStoreFileIO.delete_all

        def delete_all(self: Any, locations: Sequence[str]) -> dict[str, CatalogError]:
            server.namespace("made-meanwhile")  # the database is not locked
            return really(self, locations)

        monkeypatch.setattr(ObjectStoreFileIO, "delete_all", delete_all)
        status, out, err = lake.run("doctor", "--repair", "orphans")
        assert (status, "1 metadata file deleted" in out) == (0, True), out + err
        prefix = f"s3://{lake.s3.bucket}/{lake.prefix}/"
        left = {f"{prefix}{key}" for key in lake.all_keys("warehouse/ns/")}
        assert left == {made["metadata-location"], last["metadata-location"], data}
        assert server.call("HEAD", "/v1/namespaces/made-meanwhile").status_code == 204

    def test_the_doctor_finds_folders_that_no_table_has(self, lake: Lake) -> None:
        with lake.serving() as server:
            server.namespace("ns")
            location = server.table("t")["metadata"]["location"]
            server.table("u")
        lake.sql("DELETE FROM tabulars WHERE name = 't'")
        assert lake.findings() == [("unclaimed-folder", location, None)]

    @pytest.mark.parametrize("repair", ["repoint", "clock", "forget"])
    def test_a_repair_reads_no_file_while_it_locks_the_database(
        self, lake: Lake, server: Server, monkeypatch: pytest.MonkeyPatch, repair: str
    ) -> None:
        server.table("t")
        last = commit(server, SET)
        row = lake.sql("SELECT id FROM tabulars WHERE name = 't'")[0][0]
        if repair == "repoint":
            lake.delete(last["metadata-location"])
        elif repair == "forget":
            for key in lake.all_keys("warehouse/ns/"):
                lake.delete(f"s3://{lake.s3.bucket}/{lake.prefix}/{key}")
        numbers = itertools.count()
        really = ObjectStoreFileIO._call

        def call(self: Any, *arguments: Any) -> Any:
            with monkeypatch.context() as patch:
                patch.setattr(ObjectStoreFileIO, "_call", really)
                server.namespace(f"made-{next(numbers)}")  # which takes the lock
                return really(self, *arguments)

        monkeypatch.setattr(ObjectStoreFileIO, "_call", call)
        status, out, err = lake.run("doctor", "--repair", f"{repair}={row}")
        if repair == "clock":  # is not needed
            assert (status, "no snapshot of main is ahead" in err) == (2, True), out + err
        else:
            assert status == 0, out + err
        assert next(numbers) > 1

    def test_the_doctor_names_a_store_that_is_down_and_nothing_in_it(self, lake: Lake) -> None:
        with lake.serving() as server:
            server.namespace("ns")
            server.table("t")
        lake.more = {"endpoint": "http://127.0.0.1:9", "timeout": 1}
        found = lake.findings()
        assert found == [("warehouse-missing", f"warehouse default ({lake.location})", None)]

    def test_maintain_purges(self, lake: Lake) -> None:
        with lake.serving() as server:
            server.namespace("ns")
            server.table("t")
            server.ok("DELETE", TABLE, params={"purgeRequested": "true"})
        lake.sql("UPDATE dropped_tabulars SET expires_at = 0")
        status, out, _ = lake.run("maintain")
        assert (status, "ns.t: purged" in out) == (0, True)
        assert lake.all_keys("warehouse/ns/") == []

    def test_undrop(self, lake: Lake) -> None:
        with lake.serving() as server:
            server.namespace("ns")
            server.table("t")
            server.ok("DELETE", TABLE)
        row = lake.sql("SELECT id FROM dropped_tabulars")[0][0]
        assert lake.run("undrop", str(row), "--as", "ns.u")[0] == 0
        with lake.serving() as server:
            assert server.ok("GET", "/v1/namespaces/ns/tables/u")

    def test_relocate_refuses_what_is_in_an_object_store(self, lake: Lake) -> None:
        assert lake.run("migrate")[0] == 0
        for old, new in ((lake.location, "file:///srv/x"), ("file:///srv/x", lake.location)):
            status, _, err = lake.run("relocate", old, new)
            assert status == 2
            assert "is in an object store: only folders can be relocated" in err

    def test_a_local_warehouse_is_relocated_beside_it(self, lake: Lake) -> None:
        with lake.serving() as server:
            server.namespace("ns")
            server.table("t")
            server.ok("POST", "/v1/local/namespaces", {"namespace": ["ns"]})
            body = {"name": "t", "schema": SCHEMA}
            server.ok("POST", "/v1/local/namespaces/ns/tables", body)
        (lake.folder / "local").rename(lake.folder / "moved")
        old, new = f"file://{lake.folder}/local", f"file://{lake.folder}/moved"
        text = lake.config.read_text(encoding="utf-8").replace("/local", "/moved")
        moved = lake.folder / "moved.toml"
        moved.write_text(text, encoding="utf-8")
        status, out, err = lake.run("relocate", old, new, "--config", str(moved))
        assert status == 0, out + err
        with lake.serving(warehouse__more=[f"local={lake.folder}/moved"]) as server:
            assert server.ok("GET", "/v1/local/namespaces/ns/tables/t")
            assert server.ok("GET", TABLE)


def test_nothing_secret_is_shown(lake: Lake) -> None:
    with lake.serving(apart=True, log__level="DEBUG") as server:
        server.namespace("ns")
        server.table("t")
        answers = [
            server.call("GET", path).text
            for path in ("/v1/config", TABLE, "/metrics", "/health/ready")
        ]
        answers += [server.log, repr(server.settings)]
    answers += [*lake.run("config", "show"), *lake.run("config", "show", "--json")[1:]]
    assert len(lake.s3.secret_access_key) > 20
    for text in map(str, answers):
        assert lake.s3.secret_access_key not in text


def test_a_purge_goes_on_in_the_background(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "_INTERVAL_SECONDS", 0.1)
    with lake.serving(warehouse__drop_retention=0) as server:
        server.namespace("ns")
        server.table("t")
        server.ok("DELETE", TABLE, params={"purgeRequested": "true"})
        wait_for(lambda: not lake.all_keys("warehouse/ns/"), "the purge")
