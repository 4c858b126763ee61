"""Where tables may lie and send their writers, and what their properties may tell clients."""

import json
import logging
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from falcon_catalog.cli import main
from falcon_catalog.logs import JsonFormatter
from tests.catalog.serving import SCHEMA, Server, creation, serving, store_url
from tests.catalog.test_hostile import CLIENT_SETTINGS, PATHS, snapshot_of
from tests.catalog.test_views import make as make_view

TABLES = "/v1/namespaces/ns/tables"
T = f"{TABLES}/t"
Attempt = Callable[[Server, dict[str, str]], tuple[int, str, str]]


def set_properties(properties: dict[str, str]) -> dict[str, Any]:
    return {"updates": [{"action": "set-properties", "updates": properties}]}


def planted(server: Server, **fields: Any) -> str:
    """Write a metadata file beside the tables, as another catalog may have; return its location."""
    table = str(uuid.uuid4())
    own = {"table-uuid": table, "location": f"file://{server.warehouse}/{table}"}
    metadata = server.ok("GET", T)["metadata"] | own | fields
    path = server.warehouse / f"00000-{table}.metadata.json"
    path.write_text(json.dumps(metadata), encoding="utf-8")
    return f"file://{path}"


def commit(server: Server, properties: dict[str, str]) -> tuple[int, str, str]:
    return server.fails("POST", T, set_properties(properties))


def transaction(server: Server, properties: dict[str, str]) -> tuple[int, str, str]:
    change = {"identifier": {"namespace": ["ns"], "name": "t"}, **set_properties(properties)}
    return server.fails("POST", "/v1/transactions/commit", {"table-changes": [change]})


def create(server: Server, properties: dict[str, str]) -> tuple[int, str, str]:
    body = {"name": "u", "schema": SCHEMA, "properties": properties}
    return server.fails("POST", TABLES, body)


def stage(server: Server, properties: dict[str, str]) -> tuple[int, str, str]:
    body = {"name": "u", "schema": SCHEMA, "properties": properties, "stage-create": True}
    return server.fails("POST", TABLES, body)


def commit_staged(server: Server, properties: dict[str, str]) -> tuple[int, str, str]:
    staged = server.table("u", **{"stage-create": True})["metadata"]
    updates = [
        *creation(staged),
        {"action": "set-location", "location": staged["location"]},
        *set_properties(properties)["updates"],
    ]
    body = {"requirements": [{"type": "assert-create"}], "updates": updates}
    return server.fails("POST", f"{TABLES}/u", body)


def register(server: Server, properties: dict[str, str]) -> tuple[int, str, str]:
    body = {"name": "u", "metadata-location": planted(server, properties=properties)}
    return server.fails("POST", "/v1/namespaces/ns/register", body)


WAYS = pytest.mark.parametrize(
    "attempt", [commit, transaction, create, stage, commit_staged, register]
)


@pytest.fixture
def two(ns: Server) -> Server:
    """A catalog with the tables ``t`` and ``other``."""
    ns.table("t")
    ns.table("other")
    return ns


def location(server: Server, name: str) -> str:
    return str(server.ok("GET", f"{TABLES}/{name}")["metadata"]["location"])


def unchanged(server: Server) -> dict[str, Any]:
    return {name: server.ok("GET", f"{TABLES}/{name}") for name in ("t", "other")}


class TestAnotherTablesFolder:
    """A writer there would overwrite, and an orphan removal delete, another table's files."""

    @WAYS
    @pytest.mark.parametrize("key", PATHS)
    def test_is_no_place_for_a_property(self, two: Server, attempt: Attempt, key: str) -> None:
        before = unchanged(two)
        theirs = location(two, "other")
        for place in (theirs, f"{theirs}/data/x", theirs.rpartition("/")[0]):
            status, kind, message = attempt(two, {key: place})
            assert (status, kind) == (403, "ForbiddenException"), place
            assert place in message
            assert "overlaps another table's location" in message
        assert unchanged(two) == before
        assert two.call("HEAD", f"{TABLES}/u").status_code == 404

    @pytest.mark.parametrize("key", PATHS)
    def test_is_one_by_another_spelling(self, two: Server, key: str) -> None:
        theirs = location(two, "other").removeprefix("file://")
        for place in (theirs, f"file:{theirs}", f"file:///{theirs}/./"):
            assert commit(two, {key: place})[0] == 403

    @pytest.mark.parametrize("key", PATHS)
    def test_is_one_through_a_link(self, two: Server, key: str) -> None:
        (two.warehouse / "link").symlink_to(location(two, "other").removeprefix("file://"))
        assert commit(two, {key: f"file://{two.warehouse}/link/data"})[0] == 403

    @pytest.mark.parametrize("key", PATHS)
    def test_a_tables_own_folder_and_a_free_one_are_accepted(self, two: Server, key: str) -> None:
        for place in (f"{location(two, 't')}/more", f"file://{two.warehouse}/free/{uuid.uuid4()}"):
            two.ok("POST", T, set_properties({key: place}))
            assert two.ok("GET", T)["metadata"]["properties"][key] == place

    def test_is_accepted_where_overlaps_are(self, tmp_path: Path) -> None:
        with serving(tmp_path, warehouse__allow_overlap=True) as server:
            server.namespace("ns")
            server.table("t")
            server.table("other")
            theirs = location(server, "other")
            server.ok("POST", T, set_properties({"write.data.path": theirs}))
        with serving(tmp_path) as server:  # what was accepted once stops no other change
            server.ok("POST", T, set_properties({"a": "b"}))
            assert commit(server, {"write.metadata.path": theirs})[0] == 403


class TestTheRootOfTheWarehouse:
    """A table there would block every other."""

    @pytest.mark.parametrize("form", ["file://{}", "file:{}/", "{}", "file://{}/."])
    def test_is_no_table_s(self, ns: Server, form: str) -> None:
        root = form.format(ns.warehouse)
        before = snapshot_of(ns.folder)
        for body in (
            {"name": "t", "schema": SCHEMA, "location": root},
            {"name": "t", "schema": SCHEMA, "location": root, "stage-create": True},
        ):
            status, _, message = ns.fails("POST", TABLES, body)
            assert status == 403
            assert "no other table could lie in it" in message
        assert snapshot_of(ns.folder) == before
        ns.table("t")

    def test_is_no_place_to_move_to_register_at_or_write_to(self, ns: Server) -> None:
        ns.table("t")
        root = f"file://{ns.warehouse}"
        before = snapshot_of(ns.folder)
        move = {"updates": [{"action": "set-location", "location": root}]}
        assert ns.fails("POST", T, move)[0] == 403
        for key in PATHS:
            assert commit(ns, {key: root})[0] == 403
        assert snapshot_of(ns.folder) == before  # not even an empty folder
        body = {"name": "u", "metadata-location": planted(ns, location=root)}
        assert ns.fails("POST", "/v1/namespaces/ns/register", body)[0] == 403
        ns.table("u")

    def test_is_no_view_s(self, ns: Server) -> None:
        make_view(ns, name="v")
        move = {"updates": [{"action": "set-location", "location": f"file://{ns.warehouse}"}]}
        assert ns.fails("POST", "/v1/namespaces/ns/views/v", move)[0] == 403

    def test_is_no_place_for_another_warehouse_s_table(self, tmp_path: Path) -> None:
        more, allowed = f"b=file://{tmp_path}/b", f"file://{tmp_path}"
        with serving(
            tmp_path, warehouse__more=more, warehouse__allowed_locations=allowed
        ) as server:
            server.namespace("ns")
            for place in (f"{allowed}/b", allowed):
                body = {"name": "t", "schema": SCHEMA, "location": place}
                assert server.fails("POST", TABLES, body)[0] == 403
            server.table("t", location=f"{allowed}/beside")

    def test_a_folder_that_the_settings_allow_may_be_one_table(self, tmp_path: Path) -> None:
        own = f"file://{tmp_path}/one-table"
        with serving(tmp_path, warehouse__allowed_locations=own) as server:
            server.namespace("ns")
            assert server.table("t", location=own)["metadata"]["location"] == own


class TestALocationThatClientsReadDifferently:
    """Java drops what follows ? and #, and some clients decode %2e%2e to a step up."""

    @pytest.mark.parametrize(
        "name", ["a#b", "a?b", "a%2e", "%2E%2e/x", "a%2fb", "a%5Cb", "a%23b", "a%3fb", "a%00"]
    )
    def test_is_rejected_wherever_one_is_given(self, ns: Server, name: str) -> None:
        ns.table("t")
        place = f"file://{ns.warehouse}/{name}"
        before = snapshot_of(ns.folder)
        home = {"namespace": ["home"], "properties": {"location": place}}
        for path, body in (
            (TABLES, {"name": "u", "schema": SCHEMA, "location": place}),
            (TABLES, {"name": "u", "schema": SCHEMA, "location": place, "stage-create": True}),
            (T, {"updates": [{"action": "set-location", "location": place}]}),
            *((T, set_properties({key: place})) for key in PATHS),
            ("/v1/namespaces", home),
            ("/v1/namespaces/ns/properties", {"updates": {"location": place}}),
            (
                "/v1/namespaces/ns/register",
                {"name": "u", "metadata-location": f"{place}/1.metadata.json"},
            ),
        ):
            status, _, message = ns.fails("POST", path, body)
            assert status == 400, path
            assert "which some clients read as a part of a URL" in message
        assert snapshot_of(ns.folder) == before

    def test_is_not_registered(self, ns: Server) -> None:
        ns.table("t")
        place = f"file://{ns.warehouse}/a%2eb"
        body = {"name": "u", "metadata-location": planted(ns, location=place)}
        assert ns.fails("POST", "/v1/namespaces/ns/register", body)[0] == 400

    def test_a_percent_sign_that_means_nothing_is_accepted(self, ns: Server) -> None:
        place = f"file://{ns.warehouse}/100%/a%20b"
        assert ns.table("t", location=place)["metadata"]["location"] == place

    def test_the_root_is_the_operators(self, tmp_path: Path) -> None:
        with serving(tmp_path / "c#") as server:
            server.namespace("ns")
            assert "/c#/" in server.table("t")["metadata"]["location"]


class TestClientSettings:
    """PyIceberg merges a table's properties over the catalog's settings of file access."""

    @pytest.mark.fault(number=5)
    @WAYS
    def test_are_no_properties_of_a_table(self, two: Server, attempt: Attempt) -> None:
        before = unchanged(two)
        for key in CLIENT_SETTINGS:
            status, kind, message = attempt(two, {"a": "b", key: "http://evil.example"})
            assert (status, kind) == (400, "BadRequestException"), key
            assert key in message
            assert "evil" not in message
        assert unchanged(two) == before
        assert two.call("HEAD", f"{TABLES}/u").status_code == 404

    def test_are_no_properties_of_a_view(self, ns: Server) -> None:
        make_view(ns, name="v")
        body = set_properties({"py-io-impl": "os.system"})
        assert ns.fails("POST", "/v1/namespaces/ns/views/v", body)[0] == 400

    @pytest.mark.parametrize(
        "key", ["s3", "owner", "user.s3.x", "urim", "write.object-storage.enabled", "clients.a"]
    )
    def test_what_only_looks_like_one_is_accepted(self, ns: Server, key: str) -> None:
        ns.table("t", properties={key: "true"})
        assert ns.ok("GET", T)["metadata"]["properties"][key] == "true"

    def test_those_of_an_older_version_stay_until_they_are_removed(self, tmp_path: Path) -> None:
        key = "s3.endpoint"
        with serving(tmp_path) as server:
            server.namespace("ns")
            made = server.table("t")
        path = Path(made["metadata-location"].removeprefix("file://"))
        metadata = json.loads(path.read_bytes())
        metadata["properties"][key] = "http://old.example"
        path.write_text(json.dumps(metadata), encoding="utf-8")
        with serving(tmp_path) as server:
            server.ok("POST", T, set_properties({"a": "b", key: "http://old.example"}))
            assert commit(server, {key: "http://evil.example"})[0] == 400
            server.ok("POST", T, {"updates": [{"action": "remove-properties", "removals": [key]}]})
            assert key not in server.ok("GET", T)["metadata"]["properties"]
            assert commit(server, {key: "http://old.example"})[0] == 400


ODD = "a\x85b\x9b31mc\u202ed\u2066e\u2028f"


@pytest.fixture
def odd(tmp_path: Path) -> list[str]:
    """Flags of a store with a dropped table of an odd name."""
    with serving(tmp_path) as server:
        server.namespace("ns")
        server.table(ODD)
        name = "a%C2%85b%C2%9B31mc%E2%80%AEd%E2%81%A6e%E2%80%A8f"
        server.ok("DELETE", f"{TABLES}/{name}", params={"purgeRequested": "true"})
    return [
        "--store",
        store_url(tmp_path),
        "--warehouse",
        f"file://{tmp_path}/warehouse",
    ]


class TestNamesOnATerminal:
    """C1 controls are commands to a terminal, NEL ends a line, and RLO turns text around."""

    @pytest.mark.parametrize("command", [["dropped"], ["doctor"], ["doctor", "--json"]])
    def test_are_escaped_by_commands(self, odd: list[str], command: list[str]) -> None:
        flags = odd[:2] if command == ["dropped"] else odd  # which reads no files
        printed = CliRunner().invoke(main, [*command, *flags]).output
        assert "Usage" not in printed
        assert all(line.isprintable() for line in printed.split("\n"))

    def test_are_shown_by_dropped(self, odd: list[str]) -> None:
        printed = CliRunner().invoke(main, ["dropped", *odd[:2]]).output
        assert r'ns."a\x85b\x9b31mc\u202ed\u2066e\u2028f"' in printed

    def test_are_escaped_in_a_json_log(self) -> None:
        record = logging.LogRecord("x", logging.INFO, "", 0, f"GET {ODD}", None, None)
        record.pairs = {"table": ODD, "other": "é"}
        line = JsonFormatter().format(record)
        assert line.isprintable()
        assert json.loads(line)["table"] == ODD
