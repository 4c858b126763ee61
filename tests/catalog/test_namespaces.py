import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from falcon_catalog.locations import local_path
from tests.catalog.serving import JSON_BODY, Server, serving


def test_the_life_of_a_namespace(server: Server) -> None:
    made = server.ok("POST", "/v1/namespaces", {"namespace": ["a"], "properties": {"k": "v"}})
    assert made == {"namespace": ["a"], "properties": {"k": "v"}}
    assert server.ok("GET", "/v1/namespaces/a") == made
    assert server.call("HEAD", "/v1/namespaces/a").status_code == 204
    changed = server.ok(
        "POST",
        "/v1/namespaces/a/properties",
        {"removals": ["k", "absent"], "updates": {"n": "1"}},
    )
    assert changed == {"removed": ["k"], "updated": ["n"], "missing": ["absent"]}
    assert server.ok("GET", "/v1/namespaces/a")["properties"] == {"n": "1"}
    assert server.call("DELETE", "/v1/namespaces/a").status_code == 204
    assert server.call("HEAD", "/v1/namespaces/a").status_code == 404
    assert server.fails("GET", "/v1/namespaces/a") == (
        404,
        "NoSuchNamespaceException",
        "Namespace does not exist: a",
    )


def test_a_list_holds_direct_children_only(server: Server) -> None:
    for levels in (["b"], ["a"], ["a", "x"], ["a", "x", "y"]):
        server.namespace(*levels)
    assert server.ok("GET", "/v1/namespaces")["namespaces"] == [["a"], ["b"]]
    below = server.ok("GET", "/v1/namespaces", params={"parent": "a"})
    assert below == {"namespaces": [["a", "x"]], "next-page-token": None}
    deeper = server.ok("GET", "/v1/namespaces", params={"parent": "a\x1fx"})
    assert deeper["namespaces"] == [["a", "x", "y"]]
    assert server.fails("GET", "/v1/namespaces", params={"parent": "non-existing"}) == (
        404,
        "NoSuchNamespaceException",
        "Namespace does not exist: non-existing",
    )


def test_what_is_there_cannot_be_made_again(server: Server) -> None:
    server.namespace("a")
    assert server.fails("POST", "/v1/namespaces", {"namespace": ["a"]}) == (
        409,
        "AlreadyExistsException",
        "Namespace already exists: a",
    )


def test_a_namespace_needs_its_parent(server: Server) -> None:
    assert server.fails("POST", "/v1/namespaces", {"namespace": ["a", "b"]}) == (
        404,
        "NoSuchNamespaceException",
        "Namespace does not exist: a",
    )


def test_a_namespace_with_something_in_it_stays(ns: Server) -> None:
    ns.namespace("ns", "child")
    ns.table("t")
    status, kind, message = ns.fails("DELETE", "/v1/namespaces/ns")
    assert (status, kind) == (409, "NamespaceNotEmptyException")
    assert message == "Namespace ns is not empty. It holds 1 tables, 1 namespaces."
    assert ns.call("HEAD", "/v1/namespaces/ns").status_code == 204


def test_a_key_cannot_be_removed_and_set_at_once(ns: Server) -> None:
    body = {"removals": ["k"], "updates": {"k": "v"}}
    status, kind, message = ns.fails("POST", "/v1/namespaces/ns/properties", body)
    assert (status, kind) == (422, "UnprocessableEntityException")
    assert "k cannot be both removed and updated" in message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "Invalid namespace"),
        ({"namespace": []}, "no levels"),
        ({"namespace": "a"}, "not a list of names"),
        ({"namespace": [""]}, "it is empty"),
        ({"namespace": ["a\x1fb"]}, "control character"),
        ({"namespace": ["a"], "properties": {"k": 1}}, "value of 'k': must be a string"),
        ({"namespace": ["a"], "properties": ["k"]}, "must be an object"),
        ([], "not a JSON object"),
        ("a", "not a JSON object"),
    ],
)
def test_a_bad_namespace_is_explained(server: Server, body: object, said: str) -> None:
    status, kind, message = server.fails("POST", "/v1/namespaces", body)
    assert (status, kind) == (400, "BadRequestException")
    assert said in message
    assert server.ok("GET", "/v1/namespaces")["namespaces"] == []


@pytest.mark.parametrize("depth", [1, 300, 1000])
@pytest.mark.parametrize("around", ["[", '{"a":'])
def test_a_bad_namespace_is_explained_briefly_however_deep_it_is(
    server: Server, around: str, depth: int
) -> None:
    value = around * depth + "7" + {"[": "]", '{"a":': "}"}[around] * depth
    for text in (value, f"[{value}]", json.dumps("x" * 100_000)):
        body = f'{{"namespace":{text}}}'.encode()
        answer = requests.post(
            f"{server.url}/v1/namespaces", data=body, headers=JSON_BODY, timeout=30
        )
        assert answer.status_code == 400
        assert len(answer.json()["error"]["message"]) < 200


def test_a_parent_may_be_encoded_twice(server: Server) -> None:
    server.namespace("a b")
    server.namespace("a b", "c")
    server.namespace("a b", "c", "d")
    for parent in ("a%20b%1Fc", "a%2520b%1Fc", "a%2520b%251Fc"):
        found = server.ok("GET", f"/v1/namespaces?parent={parent}")["namespaces"]
        assert found == [["a b", "c", "d"]], parent
    assert server.fails("GET", "/v1/namespaces?parent=no%251Fno")[0] == 404


@pytest.mark.parametrize("name", ["a%00b", "%1F", "a%", "%41"])
def test_a_parent_that_looks_encoded_is_found_as_it_is(server: Server, name: str) -> None:
    server.namespace(name)
    server.namespace(name, "below")
    found = server.ok("GET", "/v1/namespaces", params={"parent": name})["namespaces"]
    assert found == [[name, "below"]]


names = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(levels=st.lists(names, min_size=1, max_size=3))
def test_any_name_comes_back_through_the_url(server: Server, levels: list[str]) -> None:
    for depth in range(1, len(levels) + 1):
        server.call("POST", "/v1/namespaces", {"namespace": levels[:depth]})
    path = "%1F".join(quote(level, safe="") for level in levels)
    assert server.ok("GET", f"/v1/namespaces/{path}")["namespace"] == levels
    assert server.ok("GET", f"/v1/default/namespaces/{path}")["namespace"] == levels


def test_a_plus_in_a_path_is_a_space_and_an_encoded_plus_a_plus(server: Server) -> None:
    server.namespace("a b")
    server.namespace("a+b")
    assert server.ok("GET", "/v1/namespaces/a+b")["namespace"] == ["a b"]
    assert server.ok("GET", "/v1/namespaces/a%20b")["namespace"] == ["a b"]
    assert server.ok("GET", "/v1/namespaces/a%2Bb")["namespace"] == ["a+b"]


def test_the_separator_may_be_written_in_either_case(server: Server) -> None:
    server.namespace("a")
    server.namespace("a", "b")
    assert server.ok("GET", "/v1/namespaces/a%1fb")["namespace"] == ["a", "b"]


class TestPages:
    def test_every_page_together_is_the_whole_list(self, server: Server) -> None:
        for number in range(25):
            server.namespace(f"n{number:02}")
        seen, token, pages = [], "", 0
        while token is not None:
            page = server.ok("GET", "/v1/namespaces", params={"pageToken": token, "pageSize": 10})
            seen += page["namespaces"]
            token, pages = page["next-page-token"], pages + 1
        assert seen == [[f"n{number:02}"] for number in range(25)]
        assert pages == 3

    def test_without_a_token_everything_comes_at_once(self, server: Server) -> None:
        for number in range(12):
            server.namespace(f"n{number:02}")
        page = server.ok("GET", "/v1/namespaces", params={"pageSize": 10})
        assert len(page["namespaces"]) == 12
        assert page["next-page-token"] is None

    def test_a_list_goes_on_rightly_while_it_changes(self, server: Server) -> None:
        for name in "bdf":
            server.namespace(name)
        first = server.ok("GET", "/v1/namespaces", params={"pageToken": "", "pageSize": 2})
        assert first["namespaces"] == [["b"], ["d"]]
        server.namespace("a")
        server.namespace("e")
        server.ok("DELETE", "/v1/namespaces/d")
        token = first["next-page-token"]
        rest = server.ok("GET", "/v1/namespaces", params={"pageToken": token, "pageSize": 2})
        assert rest == {"namespaces": [["e"], ["f"]], "next-page-token": None}

    @pytest.mark.parametrize(
        ("query", "said"),
        [
            ({"pageToken": "nonsense!"}, "pageToken"),
            ({"pageToken": "", "pageSize": "0"}, "pageSize"),
            ({"pageToken": "", "pageSize": "-1"}, "pageSize"),
            ({"pageToken": "", "pageSize": "ten"}, "pageSize"),
        ],
    )
    def test_a_bad_page_is_explained(
        self, server: Server, query: dict[str, str], said: str
    ) -> None:
        status, kind, message = server.fails("GET", "/v1/namespaces", params=query)
        assert (status, kind) == (400, "BadRequestException")
        assert said in message


class TestLocations:
    """A namespace's location is where its tables are made: it is accepted if they can be."""

    @pytest.fixture(
        params=[
            ("file://{folder}/elsewhere", 403, "is outside the allowed locations"),
            ("file:{folder}/elsewhere", 403, "is outside the allowed locations"),
            ("{folder}/elsewhere/", 403, "is outside the allowed locations"),
            ("file://{root}-2/ns", 403, "is outside the allowed locations"),
            ("file:///", 403, "is outside the allowed locations"),
            ("file://{root}/../elsewhere", 400, "contains '..'"),
            ("file://{root}/a/../../elsewhere", 400, "contains '..'"),
            ("s3://bucket/ns", 400, "the scheme 's3' is not supported"),
            ("file://host{root}/ns", 400, "the host 'host' is not local"),
            ("relative", 400, "not an absolute path"),
            ("file://{root}/a\nb", 400, "control character"),
            ("file://{root}/" + "x" * 5000, 400, "more than 4096 characters"),
        ],
        ids=lambda param: param[0][:40],
    )
    def bad(self, request: Any, server: Server) -> tuple[str, int, str]:
        form, status, told = request.param
        return form.format(root=server.warehouse, folder=server.folder), status, told

    def test_one_in_which_no_table_can_be_made_is_refused(
        self, server: Server, bad: tuple[str, int, str]
    ) -> None:
        location, status, told = bad
        body = {"namespace": ["n"], "properties": {"location": location, "k": "v"}}
        answer = server.fails("POST", "/v1/namespaces", body)
        assert answer[0] == status
        assert told in answer[2]
        if status == 403:
            assert f"file://{server.warehouse}" in answer[2]
        assert server.call("HEAD", "/v1/namespaces/n").status_code == 404

        server.namespace("m")
        change = {"updates": {"location": location, "k": "v"}}
        assert server.fails("POST", "/v1/namespaces/m/properties", change) == answer
        assert server.ok("GET", "/v1/namespaces/m")["properties"] == {}

    def test_one_that_was_accepted_before_can_be_lived_with_and_mended(
        self, server: Server, bad: tuple[str, int, str]
    ) -> None:
        location = bad[0]
        server.namespace("n")
        properties = json.dumps({"location": location, "k": "v"})
        with server.catalog.store.write() as tx:
            tx.change("UPDATE namespaces SET properties = ?", (properties,))
        path = "/v1/namespaces/n/properties"
        server.ok("POST", path, {"updates": {"k": "w"}})
        server.ok("POST", path, {"updates": {"l": "x", "location": location}, "removals": ["k"]})
        assert server.ok("GET", "/v1/namespaces/n")["properties"] == {
            "location": location,
            "l": "x",
        }
        body = {"name": "t", "schema": {"type": "struct", "fields": []}}
        assert server.call("POST", "/v1/namespaces/n/tables", body).status_code == bad[1]
        again = {"namespace": ["n"], "properties": {"location": location}}
        assert server.fails("POST", "/v1/namespaces", again)[0] == 409
        server.ok("POST", path, {"removals": ["location"]})
        server.ok("POST", "/v1/namespaces/n/tables", body)

    @pytest.mark.parametrize(
        "form",
        [
            "file://{root}",
            "file://{root}/",
            "file:{root}/x",
            "{root}/x",
            "file://localhost{root}/x",
            "file://{root}/./x//y",
            "",
        ],
    )
    def test_one_in_which_tables_can_be_made_is_kept_as_given(
        self, server: Server, form: str
    ) -> None:
        location = form.format(root=server.warehouse)
        body = {"namespace": ["n"], "properties": {"location": location}}
        server.ok("POST", "/v1/namespaces", body)
        assert server.ok("GET", "/v1/namespaces/n")["properties"] == {"location": location}
        table = {"name": "t", "schema": {"type": "struct", "fields": []}}
        made = server.ok("POST", "/v1/namespaces/n/tables", table)["metadata"]
        assert local_path(made["location"]).startswith(f"{server.warehouse}/")

    def test_one_behind_a_link_is_refused_as_for_a_table(self, server: Server) -> None:
        (server.folder / "other-disk").mkdir()
        server.warehouse.mkdir(exist_ok=True)
        (server.warehouse / "link").symlink_to(server.folder / "other-disk")
        for location in (f"{server.warehouse}/link/a", f"{server.folder}/other-disk/b"):
            body = {"namespace": ["a"], "properties": {"location": f"file://{location}"}}
            assert server.fails("POST", "/v1/namespaces", body)[0] == 403

    def test_one_inside_a_table_is_refused(self, ns: Server) -> None:
        location = ns.table("t")["metadata"]["location"]
        for inside in (location, f"{location}/", f"{location}/data/x"):
            body = {"namespace": ["n"], "properties": {"location": inside}}
            answer = ns.fails("POST", "/v1/namespaces", body)
            assert answer[0] == 403
            assert "lies in a table's location" in answer[2]
        # Around a table it is where tables are.
        body = {"namespace": ["n"], "properties": {"location": location.rpartition("/")[0]}}
        ns.ok("POST", "/v1/namespaces", body)

    def test_where_tables_may_lie_over_one_another_so_may_it(self, tmp_path: Path) -> None:
        with serving(tmp_path, warehouse__allow_overlap=True) as server:
            server.namespace("ns")
            location = server.table("t")["metadata"]["location"]
            body = {"namespace": ["n"], "properties": {"location": location}}
            server.ok("POST", "/v1/namespaces", body)
