"""Paths, names, properties and files that were made to do harm: told apart, and refused early."""

import gzip
import json
import tracemalloc
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from falcon_catalog.catalog import metadata_files
from falcon_catalog.errors import BadRequestError
from falcon_catalog.fileio.local import LocalFileIO
from tests.catalog.serving import SCHEMA, Server, creation

T = "/v1/namespaces/ns/tables/t"
TABLES = "/v1/namespaces/ns/tables"
PATHS = (
    "write.metadata.path",
    "write.data.path",
    "write.object-storage.path",
    "write.folder-storage.path",
)

CLIENT_SETTINGS = (
    "s3.endpoint",
    "S3.Endpoint",
    "gcs.service.host",
    "adls.connection-string",
    "hdfs.host",
    "client.region",
    "http-client.proxy-endpoint",
    "signer.uri",
    "rest.sigv4-enabled",
    "credentials.uri",
    "header.Authorization",
    "io-impl",
    "py-io-impl",
    "token",
    "credential",
    "uri",
)


def snapshot_of(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if ".db" not in path.name}


@pytest.fixture(params=["outside", "{warehouse}-sibling", "{warehouse}/..", "s3://bucket/x"])
def foreign(ns: Server, request: pytest.FixtureRequest) -> str:
    if request.param == "outside":
        return f"file://{ns.folder}/outside"
    return str(request.param).format(warehouse=f"file://{ns.warehouse}")


class TestPaths:
    """No way to change a table sends a writer, the server least of all, out of the warehouse."""

    @pytest.mark.fault(number=4)
    @pytest.mark.parametrize("key", PATHS)
    def test_properties(self, ns: Server, foreign: str, key: str) -> None:
        ns.table("t")
        before = snapshot_of(ns.folder)
        update = {"action": "set-properties", "updates": {key: foreign}}
        change = {"identifier": {"namespace": ["ns"], "name": "t"}, "updates": [update]}
        new = {"name": "u", "schema": SCHEMA, "properties": {key: foreign}}
        for path, body in (
            (T, {"updates": [update]}),
            ("/v1/transactions/commit", {"table-changes": [change]}),
            (TABLES, new),
            (TABLES, {**new, "stage-create": True}),
        ):
            assert ns.fails("POST", path, body)[0] in (400, 403), path
        assert snapshot_of(ns.folder) == before

    def test_a_location_with_a_segment_of_300_characters(self, ns: Server) -> None:
        made = ns.table("t")
        (ns.warehouse / "metadata").mkdir()
        before = snapshot_of(ns.folder)
        long = f"file://{ns.warehouse}/{'x' * 300}"
        for path, body in (
            (TABLES, {"name": "u", "schema": SCHEMA, "location": long}),
            (TABLES, {"name": "u", "schema": SCHEMA, "location": long, "stage-create": True}),
            (T, {"updates": [{"action": "set-location", "location": long}]}),
            *(
                (T, {"updates": [{"action": "set-properties", "updates": {k: long}}]})
                for k in PATHS
            ),
            ("/v1/namespaces", {"namespace": ["n"], "properties": {"location": long}}),
            ("/v1/namespaces/ns/properties", {"updates": {"location": long}}),
            *(
                (
                    f"/v1/namespaces/ns/{register}",
                    {
                        "name": "u",
                        "metadata-location": f"file://{ns.warehouse}/metadata/{'x' * 300}.json",
                    },
                )
                for register in ("register", "register-view")
            ),
        ):
            status, kind, message = ns.fails("POST", path, body)
            assert (status, kind) == (400, "BadRequestException"), path
            assert "has more than 255 bytes" in message
        assert snapshot_of(ns.folder) == before
        assert ns.ok("GET", T)["metadata-location"] == made["metadata-location"]

    def test_a_location_of_more_bytes_than_a_path_may_have(self, ns: Server) -> None:
        before = snapshot_of(ns.folder)
        location = "/".join([f"file://{ns.warehouse}", *["é" * 100] * 22])
        body = {"name": "u", "schema": SCHEMA, "location": location}
        status, _, message = ns.fails("POST", TABLES, body)
        assert status == 400
        assert "too long for the file system" in message
        assert {path for path in snapshot_of(ns.folder) if path.is_file()} == {
            path for path in before if path.is_file()
        }

    def test_a_registered_file_whose_name_is_one_long_number(self, ns: Server) -> None:
        """The next file's name begins with the next number, and has to fit as well."""
        made = ns.table("t")
        ns.ok("POST", f"{T}/unregister")
        old = Path(made["metadata-location"].removeprefix("file://"))
        new = old.with_name(f"{'9' * 230}-x.metadata.json")
        old.rename(new)
        ns.ok(
            "POST",
            "/v1/namespaces/ns/register",
            {"name": "t", "metadata-location": f"file://{new}"},
        )
        update = {"action": "set-properties", "updates": {"k": "v"}}
        assert ns.ok("POST", T, {"updates": [update]})["metadata"]["properties"]["k"] == "v"

    def test_the_commit_of_a_staged_table(self, ns: Server, foreign: str) -> None:
        staged = ns.table("u", **{"stage-create": True})["metadata"]
        before = snapshot_of(ns.folder)
        updates = [
            *creation(staged),
        ]
        create = {"requirements": [{"type": "assert-create"}]}
        moved = {"action": "set-location", "location": foreign}
        stays = {"action": "set-location", "location": staged["location"]}
        for tail in (
            [moved],
            *([stays, {"action": "set-properties", "updates": {key: foreign}}] for key in PATHS),
        ):
            body = {**create, "updates": [*updates, *tail]}
            assert ns.fails("POST", f"{TABLES}/u", body)[0] in (400, 403)
        assert snapshot_of(ns.folder) == before

    @pytest.mark.parametrize("key", ["location", *PATHS])
    def test_a_registered_file(self, ns: Server, foreign: str, key: str) -> None:
        made = ns.table("t")
        metadata = made["metadata"] | {"table-uuid": str(uuid.uuid4())}
        metadata["location"] = f"file://{ns.warehouse}/elsewhere"
        if key == "location":
            metadata["location"] = foreign
        else:
            metadata["properties"] = {key: foreign}
        path = ns.warehouse / "00000-x.metadata.json"
        path.write_text(json.dumps(metadata), encoding="utf-8")
        body = {"name": "u", "metadata-location": f"file://{path}"}
        assert ns.fails("POST", "/v1/namespaces/ns/register", body)[0] in (400, 403)
        assert path.is_file()

    def test_a_namespace_whose_tables_would_lie_outside(self, ns: Server, foreign: str) -> None:
        body = {"namespace": ["home"], "properties": {"location": foreign}}
        assert ns.fails("POST", "/v1/namespaces", body)[0] in (400, 403)
        assert ns.call("HEAD", "/v1/namespaces/home").status_code == 404
        update = {"updates": {"location": foreign}}
        assert ns.fails("POST", "/v1/namespaces/ns/properties", update)[0] in (400, 403)
        assert ns.table("t")["metadata"]["location"].startswith(f"file://{ns.warehouse}/")

    @pytest.mark.fault(number=5)
    def test_the_servers_own_reading_and_writing_heeds_no_property(self, ns: Server) -> None:
        """An engine's settings in a namespace are for engines."""
        hostile = dict.fromkeys(CLIENT_SETTINGS, "http://127.0.0.1:1")
        ns.ok("POST", "/v1/namespaces/ns/properties", {"updates": hostile})
        made = ns.table("t")
        assert made["metadata-location"].startswith(f"file://{ns.warehouse}/")
        assert not hostile.keys() & made["metadata"]["properties"].keys()
        assert ns.ok("GET", T).get("config", {}) == {}
        assert ns.ok("POST", f"{T}/plan", {})["status"] == "completed"


NASTY = (
    "'; DROP TABLE tabulars; --",
    '" OR 1=1 --',
    "%",
    "_",
    "\\",
    "a'b\"c`d",
    "${jndi:x}",
    "<script>",
    "{}",
    "%27",
    "é",
    "e\u0301",
)


class TestNames:
    def test_quotes_and_wildcards_are_names_like_others(self, ns: Server) -> None:
        for name in NASTY:
            ns.table(name)
            ns.namespace(name)
        listed = [entry["name"] for entry in ns.ok("GET", TABLES)["identifiers"]]
        assert sorted(listed) == sorted(NASTY)
        for name in NASTY:
            path = quote(name, safe="")
            assert ns.ok("GET", f"/v1/namespaces/{path}")["namespace"] == [name]
            ns.ok("DELETE", f"{TABLES}/{path}")
            ns.ok("DELETE", f"/v1/namespaces/{path}")
            listed.remove(name)
            rest = [entry["name"] for entry in ns.ok("GET", TABLES)["identifiers"]]
            assert rest == listed

    @pytest.mark.parametrize("name", ["a\x1fb", "\x00", "a\nb", "a\r\nSet-Cookie: x=1", "\x7f"])
    def test_control_characters_are_refused_everywhere(self, ns: Server, name: str) -> None:
        made = ns.table("t")
        rename = {
            "source": {"namespace": ["ns"], "name": "t"},
            "destination": {"namespace": ["ns"], "name": name},
        }
        for path, body in (
            ("/v1/namespaces", {"namespace": [name]}),
            (TABLES, {"name": name, "schema": SCHEMA}),
            ("/v1/tables/rename", rename),
            (
                "/v1/namespaces/ns/register",
                {"name": name, "metadata-location": made["metadata-location"]},
            ),
        ):
            assert ns.fails("POST", path, body)[:2] == (400, "BadRequestException"), path

    @pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "%0d%0aX-Evil: 1", "a%0AX-Evil:1"])
    def test_nothing_a_client_sends_makes_a_header_of_its_own(self, ns: Server, value: str) -> None:
        made = ns.table("t")
        encoded = quote(value, safe="%")
        folder = f"file://{ns.warehouse}/{value}"
        for verb, path, body in (
            ("GET", f"{TABLES}/{encoded}", None),
            ("GET", f"/v1/config?warehouse={encoded}", None),
            ("GET", f"/v1/namespaces?pageToken={encoded}", None),
            ("POST", TABLES, {"name": "u", "schema": SCHEMA, "location": folder}),
            ("POST", T, {"updates": [{"action": "set-location", "location": folder}]}),
        ):
            answer = ns.call(verb, path, body)
            assert "X-Evil" not in answer.headers, path
        assert ns.ok("GET", T)["metadata"]["table-uuid"] == made["metadata"]["table-uuid"]


class TestFiles:
    @pytest.fixture
    def small(self, inside: pytest.MonkeyPatch) -> int:
        inside.setattr(metadata_files, "_MAX_UNZIPPED_BYTES", 1 << 20)
        return 1 << 20

    def zipped(self, ns: Server, content: bytes) -> str:
        path = ns.warehouse / "00000-x.gz.metadata.json"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return f"file://{path}"

    @pytest.mark.parametrize("members", [1, 200])
    def test_a_zip_bomb_goes_off_in_a_small_room(
        self, ns: Server, small: int, members: int
    ) -> None:
        """However many members unfold, no more than one bound is unfolded, and a bit."""
        one = gzip.compress(b" " * (small * 100 if members == 1 else small - 1))
        location = self.zipped(ns, one * members)
        tracemalloc.start()
        try:
            with pytest.raises(BadRequestError, match=f"larger than {small} B"):
                metadata_files.read(LocalFileIO(), location)
            assert tracemalloc.get_traced_memory()[1] < 8 * small
        finally:
            tracemalloc.stop()
        body = {"name": "t", "metadata-location": location}
        assert ns.fails("POST", "/v1/namespaces/ns/register", body)[0] == 400

    def test_several_members_are_one_text(self, ns: Server) -> None:
        location = self.zipped(ns, gzip.compress(b'{"a":') + gzip.compress(b"1}"))
        assert metadata_files.read(LocalFileIO(), location) == {"a": 1}

    @pytest.mark.parametrize("depth", [90, 300, 1000, 100_000])
    @pytest.mark.parametrize("where", ["schema", "unknown", "properties"])
    def test_a_deep_file_is_refused_or_kept_and_never_too_much(
        self, ns: Server, depth: int, where: str
    ) -> None:
        made = ns.table("t")["metadata"] | {"table-uuid": str(uuid.uuid4())}
        made["location"] = f"file://{ns.warehouse}/elsewhere"
        path = ns.warehouse / "00000-x.metadata.json"
        path.write_text(_deep(made, where, depth), encoding="utf-8")
        body = {"name": "u", "metadata-location": f"file://{path}"}
        status = ns.call("POST", "/v1/namespaces/ns/register", body).status_code
        assert status in (200, 400)
        assert ns.call("GET", f"{TABLES}/u").status_code == (200 if status == 200 else 404)


def _deep(metadata: dict[str, Any], where: str, depth: int) -> str:
    if where == "schema":
        inner = '"long"'
        tail = ""
        head = ""
        for level in range(depth // 3):
            head += f'{{"type":"list","element-id":{level + 10},"element-required":false,"element":'
            tail += "}"
        fields = f'[{{"id":1,"name":"f","required":false,"type":{head}{inner}{tail}}}]'
        schema = f'{{"type":"struct","schema-id":0,"fields":{fields}}}'
        text = json.dumps({**metadata, "last-column-id": depth + 10, "schemas": "HERE"})
        return text.replace('"HERE"', f"[{schema}]")
    text = json.dumps({**metadata, where: "HERE"})
    return text.replace('"HERE"', "[" * depth + "]" * depth)
