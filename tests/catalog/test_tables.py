import json
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from tests.catalog.serving import JSON_BODY, SCHEMA, Server

T = "/v1/namespaces/ns/tables/t"


def path_of(location: str) -> Path:
    return Path(location.removeprefix("file://"))


def set_properties(**updates: str) -> dict[str, Any]:
    return {"updates": [{"action": "set-properties", "updates": updates}]}


class TestCreate:
    def test_a_new_table_lies_in_a_folder_of_its_own(self, ns: Server) -> None:
        made = ns.table("t", properties={"k": "v"})
        metadata = made["metadata"]
        assert made["config"] == {}
        assert metadata["location"] == f"file://{ns.warehouse}/ns/t-{metadata['table-uuid']}"
        assert metadata["properties"]["k"] == "v"
        assert json.loads(path_of(made["metadata-location"]).read_bytes()) == metadata
        assert ns.ok("GET", T) == made
        assert ns.call("HEAD", T).status_code == 204
        assert ns.ok("GET", "/v1/namespaces/ns/tables") == {
            "identifiers": [{"namespace": ["ns"], "name": "t"}],
            "next-page-token": None,
        }

    def test_nothing_is_null_in_what_clients_parse(self, ns: Server) -> None:
        text = json.dumps(ns.table("t"))
        assert ": null" not in text

    def test_a_staged_create_leaves_no_row_but_its_folders(self, ns: Server) -> None:
        staged = ns.table("t", **{"stage-create": True})
        assert "metadata-location" not in staged
        folder = path_of(staged["metadata"]["location"])
        assert sorted(entry.name for entry in folder.iterdir()) == ["data", "metadata"]
        assert ns.call("HEAD", T).status_code == 404

    def test_names_are_shared_and_taken_once(self, ns: Server) -> None:
        ns.table("t")
        for staged in (False, True):
            body = {"name": "t", "schema": {"type": "struct", "fields": []}, "stage-create": staged}
            assert ns.fails("POST", "/v1/namespaces/ns/tables", body) == (
                409,
                "AlreadyExistsException",
                "Table already exists: ns.t",
            )

    def test_a_table_needs_its_namespace(self, server: Server) -> None:
        body = {"name": "t", "schema": {"type": "struct", "fields": []}}
        assert server.fails("POST", "/v1/namespaces/no/tables", body) == (
            404,
            "NoSuchNamespaceException",
            "Namespace does not exist: no",
        )

    @pytest.mark.parametrize("form", ["file://{}", "file:{}", "{}", "file://{}/"])
    def test_a_requested_location_is_kept_as_given(self, ns: Server, form: str) -> None:
        location = form.format(ns.warehouse / "mine")
        made = ns.table("t", location=location)
        assert made["metadata"]["location"] == location.rstrip("/")
        assert (ns.warehouse / "mine" / "metadata").is_dir()

    def test_the_namespace_s_location_is_the_home_of_its_tables(self, server: Server) -> None:
        home = f"file://{server.warehouse}/elsewhere"
        server.ok("POST", "/v1/namespaces", {"namespace": ["ns"], "properties": {"location": home}})
        metadata = server.table("t")["metadata"]
        assert metadata["location"] == f"{home}/t-{metadata['table-uuid']}"

    @pytest.mark.parametrize(
        "name", ["a/b", "a.b", "a b", "100%", "a+b", "a?b", "a#b", "ü", "日本", "..", "*", "'"]
    )
    def test_any_name_works_and_none_reaches_a_path(self, ns: Server, name: str) -> None:
        location = ns.table(name)["metadata"]["location"]
        tail = location.removeprefix(f"file://{ns.warehouse}/ns/")
        assert set(tail) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")
        encoded = quote(name, safe="")
        assert (
            ns.ok("GET", f"/v1/namespaces/ns/tables/{encoded}")["metadata"]["location"] == location
        )
        assert ns.call("DELETE", f"/v1/namespaces/ns/tables/{encoded}").status_code == 204

    def test_a_renamed_and_a_new_table_share_no_folder(self, ns: Server) -> None:
        first = ns.table("t")["metadata"]["location"]
        moved = {"namespace": ["ns"], "name": "old"}
        ns.ok(
            "POST",
            "/v1/tables/rename",
            {"source": {"namespace": ["ns"], "name": "t"}, "destination": moved},
        )
        assert ns.table("t")["metadata"]["location"] != first
        ns.ok("DELETE", T)
        assert ns.table("t")["metadata"]["location"] != first
        assert ns.ok("GET", "/v1/namespaces/ns/tables/old")["metadata"]["location"] == first

    @pytest.mark.parametrize(("depth", "status"), [(65, 200), (66, 400), (1000, 400)])
    def test_a_schema_is_as_deep_as_allowed_or_refused(
        self, ns: Server, depth: int, status: int
    ) -> None:
        kind: Any = "int"
        for level in range(depth):
            field = {"id": level + 1, "name": "f", "type": kind, "required": False}
            kind = {"type": "struct", "fields": [field]}
        text = f'{{"name":"t","schema":{_dumps(kind)}}}'
        url = f"{ns.url}/v1/namespaces/ns/tables"
        assert requests.post(url, data=text, headers=JSON_BODY, timeout=30).status_code == status


class TestPlacement:
    @pytest.mark.parametrize(
        "location", ["file:///etc/x", "/tmp/elsewhere", "{}/../outside", "{}-sibling/t", "s3://b/k"]
    )
    @pytest.mark.parametrize("staged", [True, False])
    def test_no_table_is_made_outside_the_warehouse(
        self, ns: Server, location: str, staged: bool
    ) -> None:
        body = {"location": location.format(f"file://{ns.warehouse}"), "stage-create": staged}
        before = sorted(ns.folder.rglob("*"))
        status, kind, message = ns.fails(
            "POST", "/v1/namespaces/ns/tables", {"name": "t", "schema": EMPTY, **body}
        )
        assert (status, kind) in ((403, "ForbiddenException"), (400, "BadRequestException"))
        assert location.format(f"file://{ns.warehouse}") in message
        assert sorted(ns.folder.rglob("*")) == before

    @pytest.mark.parametrize("key", ["write.metadata.path", "write.data.path"])
    def test_no_property_sends_writers_outside(self, ns: Server, key: str) -> None:
        ns.table("t")
        outside = ns.folder / "outside"
        assert ns.fails("POST", T, set_properties(**{key: str(outside)}))[0] == 403
        body = {"name": "u", "schema": EMPTY, "properties": {key: str(outside)}}
        assert ns.fails("POST", "/v1/namespaces/ns/tables", body)[0] == 403
        assert not outside.exists()

    def test_no_commit_moves_a_table_outside_or_over_another(self, ns: Server) -> None:
        other = ns.table("other")["metadata"]["location"]
        ns.table("t")
        for location in ("file:///etc", other, f"{other}/data", f"file://{ns.warehouse}"):
            update = {"action": "set-location", "location": location}
            assert ns.fails("POST", T, {"updates": [update]})[0] == 403

    def test_no_table_is_made_over_another_s_files(self, ns: Server) -> None:
        other = ns.table("other")["metadata"]["location"]
        for location in (other, f"{other}/", f"{other}/data/x", f"file://{ns.warehouse}/ns"):
            body = {"name": "t", "schema": EMPTY, "location": location}
            status, _, message = ns.fails("POST", "/v1/namespaces/ns/tables", body)
            assert status == 403
            assert "overlaps" in message
        ns.table("t", location=f"{other}-2")

    def test_a_metadata_path_inside_is_used(self, ns: Server) -> None:
        folder = f"file://{ns.warehouse}/logs"
        made = ns.table("t", properties={"write.metadata.path": folder})
        assert made["metadata-location"].startswith(f"{folder}/00000-")
        assert path_of(made["metadata-location"]).is_file()


class TestLoad:
    def test_a_table_that_is_not_there(self, ns: Server) -> None:
        expected = (404, "NoSuchTableException", "Table does not exist: ns.t")
        assert ns.fails("GET", T) == expected
        assert ns.fails("POST", T, set_properties(a="b")) == expected
        assert ns.fails("DELETE", T) == expected
        assert ns.call("HEAD", T).status_code == 404

    def test_a_metadata_file_that_is_gone_is_named(self, ns: Server) -> None:
        location = ns.table("t")["metadata-location"]
        path_of(location).rename(ns.folder / "away")
        status, kind, message = ns.fails("GET", T)
        assert (status, kind) == (404, "NotFoundException")
        assert message == (
            f"Failed to open input stream for file: {location}. This is the current metadata file"
            " of table ns.t, which exists: falcon-catalog doctor names the repair"
        )
        assert ns.call("DELETE", T).status_code == 204

    def test_what_the_client_has_is_not_sent_again(self, ns: Server) -> None:
        ns.table("t")
        tag = ns.call("GET", T).headers["ETag"]
        assert tag.startswith('W/"')  # one for the plain and the compressed answer
        for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
            answer = ns.call("GET", T, headers={"If-None-Match": known})
            assert (answer.status_code, answer.content) == (304, b"")
            assert answer.headers["ETag"] == tag
        refs = ns.call("GET", T, params={"snapshots": "refs"}, headers={"If-None-Match": tag})
        assert refs.status_code == 200
        assert refs.headers["ETag"] != tag
        ns.ok("POST", T, set_properties(a="b"))
        assert ns.call("GET", T, headers={"If-None-Match": tag}).status_code == 200

    def test_create_and_commit_carry_the_tag_that_load_would(self, ns: Server) -> None:
        body = {"name": "t", "schema": EMPTY}
        made = ns.call("POST", "/v1/namespaces/ns/tables", body)
        assert made.headers["ETag"] == ns.call("GET", T).headers["ETag"]
        changed = ns.call("POST", T, set_properties(a="b"))
        assert changed.headers["ETag"] == ns.call("GET", T).headers["ETag"] != made.headers["ETag"]

    def test_refs_leave_out_what_no_ref_names(self, ns: Server) -> None:
        ns.table("t")
        for number in (1, 2):
            ns.ok("POST", T, {"updates": snapshot(ns, number, parent=number - 1 or None)})
        every = ns.ok("GET", T)["metadata"]
        shown = ns.ok("GET", T, params={"snapshots": "refs"})
        assert [s["snapshot-id"] for s in every["snapshots"]] == [1, 2]
        assert [s["snapshot-id"] for s in shown["metadata"]["snapshots"]] == [2]
        assert shown["metadata"]["snapshot-log"] == every["snapshot-log"]
        assert shown["metadata-location"] == ns.ok("GET", T)["metadata-location"]

    def test_another_choice_of_snapshots_is_refused(self, ns: Server) -> None:
        ns.table("t")
        assert ns.fails("GET", T, params={"snapshots": "some"})[0] == 400

    def test_gzip_metadata_is_written_and_read(self, ns: Server) -> None:
        made = ns.table("t", properties={"write.metadata.compression-codec": "gzip"})
        assert made["metadata-location"].endswith(".gz.metadata.json")
        assert path_of(made["metadata-location"]).read_bytes()[:2] == b"\x1f\x8b"
        assert ns.ok("GET", T)["metadata"] == made["metadata"]
        ns.ok("POST", T, set_properties(a="b"))
        assert ns.ok("GET", T)["metadata"]["properties"]["a"] == "b"


class TestDropAndRename:
    def test_a_drop_keeps_the_files(self, ns: Server) -> None:
        location = ns.table("t")["metadata-location"]
        assert ns.call("DELETE", T).status_code == 204
        assert path_of(location).is_file()

    @pytest.mark.parametrize("value", ["false", "False", "FALSE"])
    def test_not_purging_may_be_said_in_any_case(self, ns: Server, value: str) -> None:
        ns.table("t")
        assert ns.call("DELETE", T, params={"purgeRequested": value}).status_code == 204

    def test_a_purge_is_asked_for_in_plain_words(self, ns: Server) -> None:
        ns.table("t")
        assert ns.fails("DELETE", T, params={"purgeRequested": "maybe"})[0] == 400
        assert ns.call("HEAD", T).status_code == 204
        assert ns.call("DELETE", T, params={"purgeRequested": "True"}).status_code == 204

    def test_a_rename_keeps_table_and_location(self, ns: Server) -> None:
        made = ns.table("t")
        ns.namespace("b")
        body = rename("t", ["b"], "u")
        assert ns.call("POST", "/v1/tables/rename", body).status_code == 204
        assert ns.ok("GET", "/v1/namespaces/b/tables/u") == made
        assert ns.call("HEAD", T).status_code == 404

    def test_a_rename_that_cannot_be_is_explained(self, ns: Server) -> None:
        ns.table("t")
        ns.table("u")
        assert ns.fails("POST", "/v1/tables/rename", rename("t", ["ns"], "u")) == (
            409,
            "AlreadyExistsException",
            "Cannot rename ns.t to ns.u. Table already exists",
        )
        assert ns.fails("POST", "/v1/tables/rename", rename("t", ["no"], "u"))[:2] == (
            404,
            "NoSuchNamespaceException",
        )
        assert ns.fails("POST", "/v1/tables/rename", rename("no", ["ns"], "x"))[:2] == (
            404,
            "NoSuchTableException",
        )
        assert ns.fails("POST", "/v1/tables/rename", {"source": "t"})[0] == 400


class TestRegister:
    def test_a_table_comes_back_from_its_file(self, ns: Server) -> None:
        made = ns.table("t")
        ns.ok("DELETE", T)
        body = {"name": "t", "metadata-location": made["metadata-location"]}
        registered = ns.call("POST", "/v1/namespaces/ns/register", body)
        assert registered.json() == made
        assert registered.headers["ETag"] == ns.call("GET", T).headers["ETag"]
        ns.ok("POST", T, set_properties(a="b"))
        assert (
            ns.ok("GET", T)["metadata"]["metadata-log"][0]["metadata-file"]
            == (made["metadata-location"])
        )

    def test_overwrite_points_a_table_elsewhere(self, ns: Server) -> None:
        first = ns.table("t")
        second = ns.ok("POST", T, set_properties(a="b"))
        body = {"name": "t", "metadata-location": first["metadata-location"]}
        assert ns.fails("POST", "/v1/namespaces/ns/register", body) == (
            409,
            "AlreadyExistsException",
            "Table already exists: ns.t",
        )
        ns.ok("POST", "/v1/namespaces/ns/register", {**body, "overwrite": True})
        assert ns.ok("GET", T)["metadata-location"] == first["metadata-location"]
        assert path_of(second["metadata-location"]).is_file()

    def test_what_is_no_metadata_file_is_refused(self, ns: Server) -> None:
        (ns.warehouse / "x").mkdir(parents=True)
        for name, content in {"a.json": "{}", "b.json": "[]", "c.json": "{", "d.json": ""}.items():
            (ns.warehouse / "x" / name).write_text(content)
            body = {"name": "t", "metadata-location": f"file://{ns.warehouse}/x/{name}"}
            assert ns.fails("POST", "/v1/namespaces/ns/register", body)[0] == 400
        body = {"name": "t", "metadata-location": f"file://{ns.warehouse}/x/none.json"}
        assert ns.fails("POST", "/v1/namespaces/ns/register", body)[:2] == (
            404,
            "NotFoundException",
        )
        body = {"name": "t", "metadata-location": "file:///etc/passwd"}
        assert ns.fails("POST", "/v1/namespaces/ns/register", body)[0] == 403
        assert ns.call("HEAD", T).status_code == 404

    def test_a_conflicting_name_is_refused_in_every_request(self, ns: Server) -> None:
        """A column named like a partition field of another one; Java could not load the table."""
        field = {"source-id": 1, "field-id": 1000, "transform": "bucket[2]", "name": "extra"}
        spec = {"spec-id": 0, "fields": [field]}
        columns = [*SCHEMA["fields"], {"id": 3, "name": "extra", "type": "int", "required": False}]
        schema = {"type": "struct", "schema-id": 1, "fields": columns}
        updates = [
            {"action": "add-schema", "schema": schema},
            {"action": "set-current-schema", "schema-id": -1},
        ]
        ns.table("t", **{"partition-spec": spec})
        identifier = {"namespace": ["ns"], "name": "t"}
        change = {"identifier": identifier, "requirements": [], "updates": updates}
        creating = {"name": "u", "schema": schema, "partition-spec": spec}
        before = ns.ok("GET", T)
        file = path_of(before["metadata-location"])
        other = file.with_name("00009-other.metadata.json")
        broken = {**before["metadata"], "schemas": [{**schema, "schema-id": 0}]}
        other.write_text(json.dumps(broken), encoding="utf-8")
        registration = {"name": "t", "metadata-location": f"file://{other}", "overwrite": True}
        for path, body in (
            (T, change),
            ("/v1/transactions/commit", {"table-changes": [change]}),
            ("/v1/namespaces/ns/register", registration),
            ("/v1/namespaces/ns/tables", creating),
        ):
            status, kind, message = ns.fails("POST", path, body)
            assert (status, kind) == (400, "BadRequestException")
            assert message.endswith("schema: extra")
        assert ns.ok("GET", T) == before

    def test_a_default_that_java_cannot_parse_is_refused_in_every_request(self, ns: Server) -> None:
        column = {"id": 3, "name": "at", "type": "time", "required": False}
        broken = {**column, "initial-default": "25:00:00"}
        schema = {**SCHEMA, "schema-id": 1, "fields": [*SCHEMA["fields"], broken]}
        v3 = {"format-version": "3"}
        before = ns.table("t", properties=v3)
        adding = {"action": "add-schema", "schema": schema}
        identifier = {"namespace": ["ns"], "name": "t"}
        change = {"identifier": identifier, "requirements": [], "updates": [adding]}
        version = {
            "version-id": 1,
            "timestamp-ms": 1,
            "schema-id": 0,
            "summary": {},
            "default-namespace": ["ns"],
            "representations": [{"type": "sql", "sql": "select 1", "dialect": "spark"}],
        }
        view = {"name": "v", "schema": schema, "view-version": version, "properties": {}}
        file = path_of(before["metadata-location"]).with_name("00009-other.metadata.json")
        metadata = {**before["metadata"], "schemas": [{**schema, "schema-id": 0}]}
        file.write_text(json.dumps(metadata), encoding="utf-8")
        registration = {"name": "t", "metadata-location": f"file://{file}", "overwrite": True}
        for path, body in (
            ("/v1/namespaces/ns/tables", {"name": "u", "schema": schema, "properties": v3}),
            (T, change),
            ("/v1/transactions/commit", {"table-changes": [change]}),
            ("/v1/namespaces/ns/register", registration),
            ("/v1/namespaces/ns/views", view),
        ):
            status, kind, message = ns.fails("POST", path, body)
            assert (status, kind) == (400, "BadRequestException")
            assert "column 'at', field initial-default: '25:00:00' is not a default" in message
        assert ns.ok("GET", T)["metadata"] == before["metadata"]

    def test_two_names_never_share_one_table_s_files(self, ns: Server) -> None:
        body = {"name": "u", "metadata-location": ns.table("t")["metadata-location"]}
        assert ns.fails("POST", "/v1/namespaces/ns/register", body)[0] == 403


EMPTY = {"type": "struct", "fields": []}


def _dumps(kind: Any) -> str:
    """Write a deep type; json's own writer recurses."""
    if isinstance(kind, str):
        return json.dumps(kind)
    head, tail, inner = "", "", kind
    while not isinstance(inner, str):
        [field] = inner["fields"]
        head += (
            f'{{"type":"struct","fields":[{{"id":{field["id"]},"name":"f","required":false,"type":'
        )
        tail = "}]}" + tail
        inner = field["type"]
    return head + json.dumps(inner) + tail


def rename(source: str, namespace: list[str], name: str) -> dict[str, Any]:
    return {
        "source": {"namespace": ["ns"], "name": source},
        "destination": {"namespace": namespace, "name": name},
    }


def snapshot(ns: Any, number: int, *, parent: int | None) -> list[dict[str, Any]]:
    """Updates that add a snapshot and make it the head of main."""
    added = {
        "snapshot-id": number,
        "sequence-number": number,
        "timestamp-ms": ns.ok("GET", T)["metadata"]["last-updated-ms"] + 1,
        "manifest-list": f"file:///nowhere/{uuid.uuid4()}.avro",
        "summary": {"operation": "append"},
        "schema-id": 0,
        **({} if parent is None else {"parent-snapshot-id": parent}),
    }
    ref = {"action": "set-snapshot-ref", "ref-name": "main", "type": "branch"}
    return [{"action": "add-snapshot", "snapshot": added}, {**ref, "snapshot-id": number}]
