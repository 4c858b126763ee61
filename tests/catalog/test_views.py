"""Views over a real socket: their life, their names beside tables', their commits."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from falcon_catalog.catalog.purge import purge_expired
from falcon_catalog.store.database import OutcomeUnknownError
from tests.catalog.serving import SCHEMA, Server, committer, serving

VIEWS = "/v1/namespaces/ns/views"
V = f"{VIEWS}/v"
REGISTER = "/v1/namespaces/ns/register-view"
RENAME = "/v1/views/rename"


def path_of(location: str) -> Path:
    return Path(location.removeprefix("file://"))


def version(sql: str = "select * from ns.t", dialect: str = "spark") -> dict[str, Any]:
    return {
        "version-id": 1,
        "timestamp-ms": 1_600_000_000_000,
        "schema-id": 7,
        "summary": {"engine-name": "spark"},
        "default-namespace": ["ns"],
        "representations": [{"type": "sql", "sql": sql, "dialect": dialect}],
    }


def request(name: str = "v", **fields: Any) -> dict[str, Any]:
    known = {"schema": SCHEMA, "view-version": version(), "properties": {"k": "v"}}
    return {"name": name, **known, **fields}


def make(ns: Server, name: str = "v", **fields: Any) -> dict[str, Any]:
    """Create a view in the namespace ``ns``."""
    return ns.ok("POST", VIEWS, request(name, **fields))


def replacement(sql: str, dialect: str = "spark") -> dict[str, Any]:
    added = {**version(sql, dialect), "schema-id": 0}
    return {
        "updates": [
            {"action": "add-view-version", "view-version": added},
            {"action": "set-current-view-version", "view-version-id": -1},
        ]
    }


def set_properties(**updates: str) -> dict[str, Any]:
    return {"updates": [{"action": "set-properties", "updates": updates}]}


def rename(source: str, namespace: list[str], name: str) -> dict[str, Any]:
    return {
        "source": {"namespace": ["ns"], "name": source},
        "destination": {"namespace": namespace, "name": name},
    }


def metadata_files(server: Server) -> set[Path]:
    return set(server.warehouse.rglob("*.metadata.json"))


class TestCreate:
    def test_a_new_view_lies_in_a_folder_of_its_own(self, ns: Server) -> None:
        made = make(ns)
        metadata = made["metadata"]
        assert list(made) == ["metadata-location", "metadata", "config"]
        assert made["config"] == {}
        assert metadata["location"] == f"file://{ns.warehouse}/ns/v-{metadata['view-uuid']}"
        assert made["metadata-location"].startswith(f"{metadata['location']}/metadata/00000-")
        assert metadata["versions"] == [{**version(), "schema-id": 0}]
        assert metadata["schemas"] == [{**SCHEMA, "schema-id": 0}]
        assert json.loads(path_of(made["metadata-location"]).read_bytes()) == metadata
        assert ns.ok("GET", V) == made
        assert ns.call("HEAD", V).status_code == 204
        assert ": null" not in json.dumps(made)

    @pytest.mark.parametrize("form", ["file://{}", "file:{}", "{}", "file://{}/"])
    def test_a_requested_location_is_kept_as_given(self, ns: Server, form: str) -> None:
        location = form.format(ns.warehouse / "mine")
        assert make(ns, location=location)["metadata"]["location"] == location.rstrip("/")

    def test_a_metadata_path_is_used(self, ns: Server) -> None:
        folder = f"file://{ns.warehouse}/logs"
        made = make(ns, properties={"write.metadata.path": folder})
        assert made["metadata-location"].startswith(f"{folder}/00000-")

    @pytest.mark.parametrize(
        ("fields", "status"),
        [
            ({"location": "file:///etc/v"}, 403),
            ({"location": "s3://bucket/v"}, 400),
            ({"location": 7}, 400),
            ({"properties": {"write.metadata.path": "/tmp/x"}}, 403),
            ({"name": ""}, 400),
            ({"schema": {"type": "int"}}, 400),
            ({"view-version": {}}, 400),
        ],
    )
    def test_a_bad_one_is_refused_and_leaves_nothing(
        self, ns: Server, fields: dict[str, Any], status: int
    ) -> None:
        assert ns.fails("POST", VIEWS, {**request(), **fields})[0] == status
        assert not metadata_files(ns)
        assert ns.ok("GET", VIEWS)["identifiers"] == []

    def test_a_view_may_lie_at_around_or_inside_a_table(self, ns: Server) -> None:
        """As in Apache's server: it owns only metadata files, whose names are unique."""
        location = ns.table("t")["metadata"]["location"]
        around = location.rsplit("/", 1)[0]
        for place in (around, f"{location}/data", location):
            assert make(ns, location=place)["metadata"]["location"] == place
            last = ns.ok("POST", V, set_properties(a="b"))
            ns.ok("DELETE", V)
            body = {"name": "v", "metadata-location": last["metadata-location"]}
            assert ns.ok("POST", REGISTER, body) == last
            ns.ok("DELETE", V)
        make(ns)
        body = {"updates": [{"action": "set-location", "location": location}]}
        ns.ok("POST", V, body)
        assert ns.fails("POST", VIEWS, request("w", location=location))[0] == 403  # as before
        assert ns.ok("GET", "/v1/namespaces/ns/tables/t")["metadata"]["location"] == location

    def test_a_table_may_lie_over_a_view(self, ns: Server) -> None:
        location = f"file://{ns.warehouse}/shared"
        make(ns, location=f"{location}/inner")
        ns.table("t", location=location)
        ns.table("u")
        inside = ns.fails(
            "POST",
            "/v1/namespaces/ns/tables",
            {"name": "w", "schema": {"type": "struct", "fields": []}, "location": location},
        )
        assert inside[0] == 403  # tables still exclude each other

    def test_a_namespace_may_have_its_tables_at_a_view(self, ns: Server) -> None:
        location = make(ns)["metadata"]["location"]
        body = {"namespace": ["n"], "properties": {"location": location}}
        ns.ok("POST", "/v1/namespaces", body)

    def test_a_purge_of_a_table_spares_the_view_in_its_folder(self, ns: Server) -> None:
        """Also when the table's own metadata names the view's file as one of its own."""
        table = ns.table("t")
        view = make(ns, location=table["metadata"]["location"])
        file = {
            "snapshot-id": 1,
            "statistics-path": view["metadata-location"],
            "file-size-in-bytes": 1,
            "file-footer-size-in-bytes": 1,
            "blob-metadata": [],
        }
        update = {"action": "set-statistics", "snapshot-id": 1, "statistics": file}
        ns.ok("POST", "/v1/namespaces/ns/tables/t", {"updates": [update]})
        last = path_of(ns.ok("GET", "/v1/namespaces/ns/tables/t")["metadata-location"])
        ns.ok("DELETE", "/v1/namespaces/ns/tables/t?purgeRequested=true")
        with ns.catalog.store.write() as tx:
            tx.change("UPDATE dropped_tabulars SET expires_at = ?", (tx.now,))
        purge_expired(ns.catalog)
        with serving(ns.folder) as other:
            assert other.ok("GET", V) == view
        ns.ok("DELETE", V)
        assert path_of(view["metadata-location"]).exists()
        assert last.exists()  # a metadata file where a view lies may be the view's

    def test_a_view_needs_its_namespace(self, server: Server) -> None:
        assert server.fails("POST", "/v1/namespaces/no/views", request()) == (
            404,
            "NoSuchNamespaceException",
            "Namespace does not exist: no",
        )

    @pytest.mark.parametrize("name", ["a/b", "a.b", "a b", "100%", "a+b", "a?b", "ü", ".."])
    def test_any_name_works(self, ns: Server, name: str) -> None:
        made = make(ns, name)
        encoded = f"{VIEWS}/{quote(name, safe='')}"
        assert ns.ok("GET", encoded) == made
        assert ns.call("DELETE", encoded).status_code == 204

    def test_two_queries_of_one_dialect_are_java_s_illegal_argument(self, ns: Server) -> None:
        one = version()["representations"][0]
        twice = {**version(), "representations": [one, {**one, "dialect": "SPARK"}]}
        assert ns.fails("POST", VIEWS, request(**{"view-version": twice})) == (
            400,
            "IllegalArgumentException",
            "Invalid view version: Cannot add multiple queries for dialect spark",
        )
        assert metadata_files(ns) == set()


class TestNames:
    """Tables and views share the names of a namespace."""

    def test_a_view_s_name_is_taken_once(self, ns: Server) -> None:
        made = make(ns)
        taken = (409, "AlreadyExistsException", "View already exists: ns.v")
        assert ns.fails("POST", VIEWS, request()) == taken
        body = {"name": "v", "metadata-location": made["metadata-location"]}
        assert ns.fails("POST", REGISTER, body) == taken

    def test_no_view_takes_a_table_s_name(self, ns: Server) -> None:
        ns.table("v")
        taken = (409, "AlreadyExistsException", "Table with same name already exists: ns.v")
        assert ns.fails("POST", VIEWS, request()) == taken
        body = {"name": "v", "metadata-location": make(ns, "other")["metadata-location"]}
        assert ns.fails("POST", REGISTER, body) == taken

    def test_no_table_takes_a_view_s_name(self, ns: Server) -> None:
        make(ns)
        taken = (409, "AlreadyExistsException", "View with same name already exists: ns.v")
        location = ns.table("other")["metadata-location"]
        for staged in (False, True):
            body = {"name": "v", "schema": SCHEMA, "stage-create": staged}
            assert ns.fails("POST", "/v1/namespaces/ns/tables", body) == taken
        for overwrite in (False, True):
            body = {"name": "v", "metadata-location": location, "overwrite": overwrite}
            assert ns.fails("POST", "/v1/namespaces/ns/register", body) == taken
        body = {"requirements": [{"type": "assert-create"}], "updates": []}
        assert ns.fails("POST", "/v1/namespaces/ns/tables/v", body) == taken

    def test_neither_is_the_other(self, ns: Server) -> None:
        ns.table("t")
        make(ns)
        assert ns.fails("GET", f"{VIEWS}/t")[2] == "View does not exist: ns.t"
        assert ns.fails("GET", "/v1/namespaces/ns/tables/v")[2] == "Table does not exist: ns.v"
        assert ns.fails("DELETE", f"{VIEWS}/t")[0] == 404
        assert ns.fails("DELETE", "/v1/namespaces/ns/tables/v")[0] == 404
        assert ns.fails("POST", "/v1/tables/rename", rename("v", ["ns"], "x"))[0] == 404
        assert ns.fails("POST", RENAME, rename("t", ["ns"], "x"))[0] == 404

    def test_lists_keep_them_apart_and_go_page_by_page(self, ns: Server) -> None:
        ns.table("t")
        names = [f"v{number}" for number in range(5)]
        for name in names:
            make(ns, name)
        whole = {"identifiers": [{"namespace": ["ns"], "name": name} for name in names]}
        assert ns.ok("GET", VIEWS) == {**whole, "next-page-token": None}
        assert len(ns.ok("GET", "/v1/namespaces/ns/tables")["identifiers"]) == 1
        seen, token = [], ""
        while token is not None:
            page = ns.ok("GET", VIEWS, params={"pageToken": token, "pageSize": "2"})
            seen += [entry["name"] for entry in page["identifiers"]]
            token = page["next-page-token"]
        assert seen == names
        assert ns.fails("GET", "/v1/namespaces/no/views")[:2] == (404, "NoSuchNamespaceException")

    def test_a_namespace_with_a_view_is_not_empty(self, ns: Server) -> None:
        make(ns)
        assert ns.fails("DELETE", "/v1/namespaces/ns")[:2] == (409, "NamespaceNotEmptyException")
        ns.ok("DELETE", V)
        ns.ok("DELETE", "/v1/namespaces/ns")


class TestLoad:
    def test_a_view_that_is_not_there(self, ns: Server) -> None:
        expected = (404, "NoSuchViewException", "View does not exist: ns.v")
        assert ns.fails("GET", V) == expected
        assert ns.fails("POST", V, set_properties(a="b")) == expected
        assert ns.fails("DELETE", V) == expected
        assert ns.call("HEAD", V).status_code == 404
        assert ns.fails("GET", "/v1/namespaces/no/views/v")[2] == "View does not exist: no.v"

    def test_the_views_on_the_way_may_be_named(self, ns: Server) -> None:
        made = make(ns)
        for chain in ("ns%1Fouter", "ns%1Fouter,a%1Fb%1Finner%2Cmost", ""):
            assert ns.ok("GET", V, params={"referenced-by": chain}) == made
            assert ns.ok("GET", f"{V}?referenced-by={chain}") == made

    def test_a_metadata_file_that_is_gone_is_named(self, ns: Server) -> None:
        location = make(ns)["metadata-location"]
        path_of(location).unlink()
        message = (
            f"Failed to open input stream for file: {location}. This is the current metadata file"
            " of view ns.v, which exists: falcon-catalog doctor names the repair"
        )
        assert ns.fails("GET", V) == (404, "NotFoundException", message)
        assert ns.call("DELETE", V).status_code == 204


class TestReplace:
    def test_a_replacement_is_a_new_version_in_a_new_file(self, ns: Server) -> None:
        made = make(ns)
        uuid = made["metadata"]["view-uuid"]
        required = {"requirements": [{"type": "assert-view-uuid", "uuid": uuid}]}
        new = ns.ok("POST", V, {**required, **replacement("select 2")})
        assert list(new) == ["metadata-location", "metadata", "config"]
        assert new["metadata-location"].rsplit("/", 1)[1].startswith("00001-")
        assert new["metadata"]["current-version-id"] == 2
        assert new["metadata"]["versions"][0] == made["metadata"]["versions"][0]
        assert ns.ok("GET", V) == new
        assert len(metadata_files(ns)) == 2

    def test_the_same_again_changes_nothing(self, ns: Server) -> None:
        make(ns)
        new = ns.ok("POST", V, replacement("select 2"))
        assert ns.ok("POST", V, replacement("select 2")) == new
        assert ns.ok("POST", V, {"updates": []}) == new
        assert len(metadata_files(ns)) == 2

    def test_another_uuid_is_a_conflict_and_leaves_no_file(self, ns: Server) -> None:
        uuid = make(ns)["metadata"]["view-uuid"]
        other = "00000000-0000-0000-0000-000000000000"
        required = {"requirements": [{"type": "assert-view-uuid", "uuid": other}]}
        assert ns.fails("POST", V, {**required, **set_properties(a="b")}) == (
            409,
            "CommitFailedException",
            f"Requirement failed: view UUID does not match: expected {uuid} != {other}",
        )
        assert len(metadata_files(ns)) == 1

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            ({}, "updates is not a list of objects"),
            ({"updates": {}}, "updates is not a list of objects"),
            ({"updates": [], "requirements": 1}, "requirements is not a list of objects"),
            ({"updates": [], "requirements": [{"type": "assert-create"}]}, "assert-create"),
            ({"updates": [{"action": "add-snapshot"}]}, "Unknown update action: 'add-snapshot'"),
            (replacement("select 2", "trino"), "Cannot replace view due to loss of view dialects"),
        ],
    )
    def test_a_bad_commit_is_explained(self, ns: Server, body: object, said: str) -> None:
        made = make(ns)
        status, kind, message = ns.fails("POST", V, body)
        assert (status, kind) == (400, "BadRequestException")
        assert said in message
        assert ns.ok("GET", V) == made
        assert len(metadata_files(ns)) == 1

    def test_a_view_moves_inside_the_warehouse_only(self, ns: Server) -> None:
        make(ns)
        for location in ("file:///etc", f"file://{ns.warehouse}-sibling"):
            body = {"updates": [{"action": "set-location", "location": location}]}
            assert ns.fails("POST", V, body)[0] == 403
        assert ns.fails("POST", V, set_properties(**{"write.metadata.path": "/tmp/x"}))[0] == 403
        location = f"file://{ns.warehouse}/moved"
        body = {"updates": [{"action": "set-location", "location": location}]}
        moved = ns.ok("POST", V, body)
        assert moved["metadata-location"].startswith(f"{location}/metadata/00001-")

    def test_no_metadata_file_is_deleted(self, ns: Server) -> None:
        make(ns, properties={"write.metadata.delete-after-commit.enabled": "true"})
        ns.ok("POST", V, set_properties(a="b"))
        assert len(metadata_files(ns)) == 2


class TestDropAndRename:
    def test_a_drop_keeps_the_files(self, ns: Server) -> None:
        location = make(ns)["metadata-location"]
        answer = ns.call("DELETE", V)
        assert (answer.status_code, answer.content) == (204, b"")
        assert path_of(location).is_file()

    def test_a_rename_keeps_view_and_location(self, ns: Server) -> None:
        made = make(ns)
        ns.namespace("b")
        assert ns.call("POST", RENAME, rename("v", ["b"], "w")).status_code == 204
        assert ns.ok("GET", "/v1/namespaces/b/views/w") == made
        assert ns.call("HEAD", V).status_code == 404
        assert make(ns)["metadata"]["location"] != made["metadata"]["location"]

    def test_a_rename_that_cannot_be_is_explained(self, ns: Server) -> None:
        make(ns, "viewOne")
        make(ns, "viewTwo")
        ns.table("table")
        assert ns.fails("POST", RENAME, rename("viewOne", ["ns"], "viewTwo")) == (
            409,
            "AlreadyExistsException",
            "Cannot rename ns.viewOne to ns.viewTwo. View already exists",
        )
        assert ns.fails("POST", RENAME, rename("viewOne", ["ns"], "table")) == (
            409,
            "AlreadyExistsException",
            "Cannot rename ns.viewOne to ns.table. Table already exists",
        )
        assert ns.fails("POST", "/v1/tables/rename", rename("table", ["ns"], "viewOne")) == (
            409,
            "AlreadyExistsException",
            "Cannot rename ns.table to ns.viewOne. View already exists",
        )
        assert ns.fails("POST", RENAME, rename("viewOne", ["no"], "x")) == (
            404,
            "NoSuchNamespaceException",
            "Namespace does not exist: no",
        )
        assert ns.fails("POST", RENAME, rename("no", ["ns"], "x")) == (
            404,
            "NoSuchViewException",
            "View does not exist: ns.no",
        )
        assert ns.fails("POST", RENAME, {"source": "v"})[0] == 400


class TestRegister:
    def test_a_view_comes_back_from_its_file(self, ns: Server) -> None:
        made = make(ns)
        ns.ok("DELETE", V)
        body = {"name": "w", "metadata-location": made["metadata-location"]}
        assert ns.ok("POST", REGISTER, body) == made
        assert ns.ok("GET", f"{VIEWS}/w") == made
        new = ns.ok("POST", f"{VIEWS}/w", replacement("select 2"))
        assert new["metadata-location"].rsplit("/", 1)[1].startswith("00001-")

    def test_what_is_no_view_s_file_is_refused(self, ns: Server) -> None:
        table = ns.table("t")["metadata-location"]
        elsewhere = "file:///etc/passwd"
        missing = f"file://{ns.warehouse}/none.json"
        for location, status in ((table, 400), (elsewhere, 403), (missing, 404), ("", 400)):
            body = {"name": "v", "metadata-location": location}
            assert ns.fails("POST", REGISTER, body)[0] == status
        assert ns.fails("POST", REGISTER, {"name": "v"})[0] == 400
        view = make(ns, "w")["metadata-location"]
        body = {"name": "u", "metadata-location": view}
        assert ns.fails("POST", "/v1/namespaces/ns/register", body)[0] == 400
        assert ns.fails("POST", REGISTER, body)[0] == 403
        assert ns.fails("POST", "/v1/namespaces/no/register-view", body)[0] == 404


class TestAtOnce:
    def test_independent_commits_all_succeed(self, ns: Server) -> None:
        make(ns, properties={"version.history.num-entries": "30"})

        def write(writer: int) -> None:
            for number in range(5):
                ns.ok("POST", V, replacement(f"select {writer}, {number}"))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(4)))
        metadata = ns.ok("GET", V)["metadata"]
        ids = [version["version-id"] for version in metadata["versions"]]
        assert ids == list(range(1, 22))
        assert [entry["version-id"] for entry in metadata["version-log"]] == ids
        assert len(metadata_files(ns)) == 21

    def test_of_the_creators_of_one_name_one_succeeds(self, ns: Server) -> None:
        start = threading.Barrier(8)

        def write(writer: int) -> int:
            start.wait()
            if writer % 2:
                return ns.call("POST", VIEWS, request()).status_code
            body = {"name": "v", "schema": SCHEMA}
            return ns.call("POST", "/v1/namespaces/ns/tables", body).status_code

        with ThreadPoolExecutor(8) as pool:
            assert sorted(pool.map(write, range(8))) == [200] + [409] * 7
        assert len(metadata_files(ns)) == 1


class TestUnknownOutcome:
    """COMMIT raises: the row may be there or not, and no file may go."""

    WRITES: tuple[Callable[[Server], Any], ...] = (
        lambda ns: ns.call("POST", VIEWS, request("new")),
        lambda ns: ns.call("POST", V, set_properties(a="b")),
    )

    @pytest.mark.parametrize("write", WRITES)
    def test_stored_after_all_is_a_success(
        self, ns: Server, inside: pytest.MonkeyPatch, write: Callable[[Server], Any]
    ) -> None:
        make(ns)
        commit = getattr(*committer())

        def commit_then_fail(writer: Any, connection: Any) -> None:
            commit(writer, connection)
            raise OutcomeUnknownError("COMMIT failed: disk I/O error")

        inside.setattr(*committer(), commit_then_fail)
        assert write(ns).status_code == 200

    @pytest.mark.parametrize("write", WRITES)
    def test_not_to_be_seen_is_unknown_and_keeps_the_file(
        self, ns: Server, inside: pytest.MonkeyPatch, write: Callable[[Server], Any]
    ) -> None:
        make(ns)

        def fail(_writer: Any, connection: Any) -> None:
            connection.execute("ROLLBACK")
            raise OutcomeUnknownError("COMMIT failed: disk I/O error")

        inside.setattr(*committer(), fail)
        answer = write(ns)
        assert answer.status_code == 500
        assert answer.json()["error"]["type"] == "CommitStateUnknownException"
        assert len(metadata_files(ns)) == 2
