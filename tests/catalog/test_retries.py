"""Idempotency-Key: one effect and one answer, however often and from however many hands."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests

from falcon_catalog.locations import local_path
from falcon_catalog.store import open_database
from tests.catalog.serving import Server, store_url

T = "/v1/namespaces/ns/tables/t"
EMPTY = {"type": "struct", "fields": []}


def keyed() -> dict[str, Any]:
    return {"headers": {"Idempotency-Key": str(uuid.uuid4())}}


def set_properties(**updates: str) -> dict[str, Any]:
    return {"updates": [{"action": "set-properties", "updates": updates}]}


def twice(server: Server, verb: str, path: str, body: object = None) -> list[requests.Response]:
    options = keyed()
    return [server.call(verb, path, body, **options) for _ in range(2)]


def test_the_lifetime_of_keys_is_advertised(server: Server) -> None:
    assert server.ok("GET", "/v1/config")["idempotency-key-lifetime"] == "PT30M"


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("POST", "/v1/namespaces", {"namespace": ["new"], "properties": {"k": "v"}}),
        ("DELETE", "/v1/namespaces/empty", None),
        ("POST", "/v1/namespaces/ns/properties", {"updates": {"k": "v"}, "removals": ["x"]}),
        ("POST", "/v1/namespaces/ns/tables", {"name": "new", "schema": EMPTY}),
        ("POST", T, set_properties(a="b")),
        ("POST", T, {"updates": []}),
        ("DELETE", T, None),
        ("POST", f"{T}/unregister", None),
        (
            "POST",
            "/v1/tables/rename",
            {
                "source": {"namespace": ["ns"], "name": "t"},
                "destination": {"namespace": ["ns"], "name": "u"},
            },
        ),
        (
            "POST",
            "/v1/transactions/commit",
            {
                "table-changes": [
                    {"identifier": {"namespace": ["ns"], "name": "t"}, **set_properties(a="b")}
                ]
            },
        ),
    ],
)
def test_a_retry_is_answered_the_same_and_does_nothing(
    ns: Server, verb: str, path: str, body: object
) -> None:
    ns.namespace("empty")
    ns.table("t")
    first, second = twice(ns, verb, path, body)
    assert first.status_code in (200, 204)
    files = sorted(ns.warehouse.rglob("*.metadata.json"))
    assert second.status_code == first.status_code
    if first.content:
        shown = second.json()
        assert {key: shown[key] for key in first.json()} == first.json()
    assert sorted(ns.warehouse.rglob("*.metadata.json")) == files


def test_a_registration_is_answered_again(ns: Server) -> None:
    location = ns.table("t")["metadata-location"]
    ns.ok("DELETE", T)
    body = {"name": "t", "metadata-location": location}
    first, second = twice(ns, "POST", "/v1/namespaces/ns/register", body)
    assert first.json() == second.json()
    assert first.headers["ETag"] == second.headers["ETag"]


def test_what_a_registered_file_omits_is_in_each_answer(ns: Server) -> None:
    location = ns.table("t")["metadata-location"]
    ns.ok("DELETE", T)
    path = Path(local_path(location))
    metadata = orjson.loads(path.read_bytes())
    for field in ("properties", "snapshots", "refs", "metadata-log", "snapshot-log"):
        metadata.pop(field, None)
    path.write_bytes(orjson.dumps(metadata))
    body = {"name": "t", "metadata-location": location}
    first, second = twice(ns, "POST", "/v1/namespaces/ns/register", body)
    assert first.json()["metadata"]["snapshots"] == []
    assert second.json() == first.json()
    first, second = twice(ns, "POST", f"{T}/unregister")
    assert second.json()["metadata"] == first.json()["metadata"]


def test_views_are_retried_too(ns: Server) -> None:
    version = {
        "version-id": 1,
        "schema-id": 0,
        "timestamp-ms": 1,
        "summary": {},
        "default-namespace": ["ns"],
        "representations": [{"type": "sql", "sql": "SELECT 1", "dialect": "duckdb"}],
    }
    body = {"name": "v", "schema": EMPTY, "view-version": version, "properties": {}}
    made = [answer.json() for answer in twice(ns, "POST", "/v1/namespaces/ns/views", body)]
    assert made[0] == made[1]
    path = "/v1/namespaces/ns/views/v"
    changed = [answer.json() for answer in twice(ns, "POST", path, set_properties(a="b"))]
    assert changed[0] == changed[1]
    assert [answer.status_code for answer in twice(ns, "DELETE", path)] == [204, 204]


def test_a_refusal_is_final_for_its_key(ns: Server) -> None:
    options = keyed()
    body = {"namespace": ["ns"]}
    refused = ns.fails("POST", "/v1/namespaces", body, **options)
    assert refused[0] == 409
    ns.ok("DELETE", "/v1/namespaces/ns")
    assert ns.fails("POST", "/v1/namespaces", body, **options) == refused
    ns.ok("POST", "/v1/namespaces", body, **keyed())


def test_a_failure_of_the_server_is_not_final(ns: Server, inside: pytest.MonkeyPatch) -> None:
    ns.table("t")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    options = keyed()
    with inside.context() as patch:
        patch.setattr("os.fdatasync", full)
        assert ns.fails("POST", T, set_properties(a="b"), **options)[0] == 503
    assert ns.ok("POST", T, set_properties(a="b"), **options)["metadata"]["properties"]["a"] == "b"


def test_the_answer_tells_what_was_then(ns: Server) -> None:
    ns.table("t")
    options = keyed()
    first = ns.ok("POST", T, set_properties(a="1"), **options)
    ns.ok("POST", T, set_properties(a="2"))
    assert ns.ok("POST", T, set_properties(a="1"), **options)["metadata"] == first["metadata"]
    assert ns.ok("GET", T)["metadata"]["properties"]["a"] == "2"


def test_a_key_survives_a_restart_and_expires(ns: Server) -> None:
    options = keyed()
    ns.ok("DELETE", "/v1/namespaces/ns", **options)
    other = open_database(store_url(ns.folder))
    with other.read() as tx:
        assert tx.one("SELECT count(*) FROM idempotency_keys") == (1,)
    assert ns.call("DELETE", "/v1/namespaces/ns", **options).status_code == 204
    with other.write() as tx:
        tx.change("UPDATE idempotency_keys SET expires_at = ?", (tx.now,))
    other.close()
    assert ns.fails("DELETE", "/v1/namespaces/ns", **options)[0] == 404


def test_twins_at_once_have_one_effect(ns: Server) -> None:
    ns.table("t")
    options = keyed()
    requirement = {"type": "assert-current-schema-id", "current-schema-id": 0}
    field = {"id": 3, "name": "x", "type": "int", "required": False}
    schema = ns.ok("GET", T)["metadata"]["schemas"][0]
    body = {
        "requirements": [requirement],
        "updates": [
            {"action": "add-schema", "schema": {**schema, "fields": [*schema["fields"], field]}},
            {"action": "set-current-schema", "schema-id": -1},
        ],
    }
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ns.call("POST", T, body, **options), range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert len({answer.json()["metadata-location"] for answer in answers}) == 1
    assert len(ns.ok("GET", T)["metadata"]["metadata-log"]) == 1


def test_a_key_belongs_to_one_request(ns: Server) -> None:
    options = keyed()
    ns.ok("POST", "/v1/namespaces", {"namespace": ["a"]}, **options)
    status, kind, message = ns.fails("DELETE", "/v1/namespaces/a", **options)
    assert (status, kind) == (422, "UnprocessableEntityException")
    assert "was used for another request, POST /v1/namespaces." in message
    ns.ok("DELETE", "/v1/namespaces/a", **keyed())


def test_a_key_with_another_body_is_refused_and_its_effect_is_not_lost(ns: Server) -> None:
    """The answer to the first would tell the client that the second was done, too."""
    ns.table("t")
    options = keyed()
    first = ns.ok("POST", T, set_properties(a="1"), **options)
    for number in range(2):
        status, kind, message = ns.fails("POST", T, set_properties(a="2"), **options)
        assert (status, kind) == (422, "UnprocessableEntityException"), number
        assert "with another body or query. Nothing was done; send a new key" in message
    assert ns.ok("GET", T)["metadata"]["properties"]["a"] == "1"
    again = ns.ok("POST", T, set_properties(a="1"), **options)
    assert again["metadata-location"] == first["metadata-location"]
    assert ns.ok("POST", T, set_properties(a="2"), **keyed())["metadata"]["properties"]["a"] == "2"


def test_a_key_with_another_query_is_refused(ns: Server) -> None:
    ns.table("t")
    options = keyed()
    ns.ok("DELETE", T, **options)
    assert ns.fails("DELETE", f"{T}?purgeRequested=true", **options)[0] == 422
    assert ns.call("DELETE", T, **options).status_code == 204


def test_a_retry_may_write_its_body_in_another_way(ns: Server) -> None:
    ns.table("t")
    options = keyed()
    body = {**set_properties(a="1"), "requirements": []}
    first = ns.ok("POST", T, body, **options)
    again = requests.post(
        f"{ns.url}{T}",
        data=orjson.dumps(dict(reversed(body.items())), option=orjson.OPT_INDENT_2),
        headers=options["headers"] | {"Content-Type": "application/json"},
        timeout=30,
    )
    assert again.json()["metadata"] == first["metadata"]


def test_of_two_bodies_at_once_one_is_done_and_the_other_hears_it(ns: Server) -> None:
    ns.table("t")
    options = keyed()
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda n: ns.call("POST", T, set_properties(n=f"{n}"), **options), range(8))
        )
    done = [n for n, answer in enumerate(answers) if answer.status_code == 200]
    assert len(done) == 1
    assert {answer.status_code for answer in answers} <= {200, 409, 422}
    assert ns.ok("GET", T)["metadata"]["properties"]["n"] == f"{done[0]}"


@pytest.mark.parametrize("key", ["x", "", "0" * 36, "3cb305ab-e8af-4a69-b02e-b4ee3cc28b1"])
def test_a_key_is_a_uuid(ns: Server, key: str) -> None:
    answer = ns.fails(
        "POST", "/v1/namespaces", {"namespace": ["a"]}, headers={"Idempotency-Key": key}
    )
    assert answer[0] == 400
    assert "is not a UUID" in answer[2]
