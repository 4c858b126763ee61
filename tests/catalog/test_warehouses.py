"""Several warehouses on one server: each with namespaces, tables and folders of its own."""

from pathlib import Path
from typing import Any

import pytest

from tests.catalog.conftest import Start
from tests.catalog.serving import SCHEMA, Server, serving


@pytest.fixture
def two(start: Start, tmp_path: Path) -> Server:
    return start(warehouse__more=[f"archive=file://{tmp_path}/archive"])


def prefix_of(server: Server, selector: str) -> Any:
    return server.ok("GET", "/v1/config", params={"warehouse": selector})["overrides"]["prefix"]


def test_a_warehouse_is_chosen_by_name_or_by_location(two: Server) -> None:
    assert prefix_of(two, "") == "default"
    assert prefix_of(two, "archive") == "archive"
    assert prefix_of(two, f"file://{two.folder}/archive/") == "archive"
    status, kind, message = two.fails("GET", "/v1/config", params={"warehouse": "attic"})
    assert (status, kind) == (404, "NoSuchWarehouseException")
    assert "there is: default, archive" in message


def test_they_share_nothing_but_the_server(two: Server) -> None:
    for prefix in ("default", "archive"):
        two.ok("POST", f"/v1/{prefix}/namespaces", {"namespace": ["ns"]})
        body = {"name": "t", "schema": SCHEMA}
        made = two.ok("POST", f"/v1/{prefix}/namespaces/ns/tables", body)
        root = two.folder / ("warehouse" if prefix == "default" else "archive")
        assert made["metadata"]["location"].startswith(f"file://{root}/ns/t-")
    two.ok("DELETE", "/v1/archive/namespaces/ns/tables/t")
    assert two.call("HEAD", "/v1/namespaces/ns/tables/t").status_code == 204
    assert two.ok("GET", "/management/v1/warehouses/default/dropped")["dropped"] == []
    assert len(two.ok("GET", "/management/v1/warehouses/archive/dropped")["dropped"]) == 1


def test_no_table_of_one_is_placed_in_the_other(two: Server) -> None:
    two.namespace("ns")
    body = {"name": "t", "schema": SCHEMA, "location": f"file://{two.folder}/archive/x"}
    assert two.fails("POST", "/v1/namespaces/ns/tables", body)[0] == 403


def test_tables_lie_over_one_another_only_where_that_is_allowed(start: Start) -> None:
    server = start(warehouse__allow_overlap=True)
    server.namespace("ns")
    location = server.table("t")["metadata"]["location"]
    assert server.table("u", location=f"{location}/inside")["metadata"]["location"]


def test_a_location_that_a_link_leads_to_is_rejected(ns: Server) -> None:
    there = ns.table("t")["metadata"]["location"]
    (ns.warehouse / "link").symlink_to(there.removeprefix("file://"))
    for location in (f"file://{ns.warehouse}/link", f"file://{ns.warehouse}/link/inner"):
        body = {"name": "u", "schema": SCHEMA, "location": location}
        status, kind, message = ns.fails("POST", "/v1/namespaces/ns/tables", body)
        assert (status, kind) == (403, "ForbiddenException")
        assert f"symbolic link to {there.removeprefix('file://')}" in message
        update = {"action": "set-location", "location": location}
        commit = {"requirements": [], "updates": [update]}
        ns.table("moves")
        assert ns.fails("POST", "/v1/namespaces/ns/tables/moves", commit)[0] == 403
        ns.ok("DELETE", "/v1/namespaces/ns/tables/moves")


def test_a_warehouse_may_itself_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "warehouse").symlink_to(tmp_path / "disk")
    with serving(tmp_path) as server:
        server.namespace("ns")
        server.table("t")
        assert server.ok("GET", "/v1/namespaces/ns/tables/t")["metadata"]["location"]
