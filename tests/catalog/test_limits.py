"""What asks for too much is refused with a clear 400, before any effect; the most allowed works."""

from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.catalog.serving import SCHEMA, Server

Start = Callable[..., Server]
T = "/v1/namespaces/ns/tables/t"
TABLES = "/v1/namespaces/ns/tables"


@pytest.fixture
def limited(start: Start) -> Callable[..., Server]:
    """Return a function that starts a catalog with limits, and a table ``ns.t`` in it."""

    def begin(**limits: int) -> Server:
        server = start(**{f"limits__{name}": value for name, value in limits.items()})
        server.namespace("ns")
        server.table("t")
        return server

    return begin


def refused(server: Server, path: str, body: object) -> str:
    """Send what is too much; return why it was refused, having had no effect."""
    before = server.ok("GET", T)["metadata-location"]
    status, kind, message = server.fails("POST", path, body)
    assert (status, kind) == (400, "BadRequestException")
    assert server.ok("GET", T)["metadata-location"] == before
    return message


def setting(*names: str) -> dict[str, Any]:
    return {"action": "set-properties", "updates": dict.fromkeys(names, "v")}


def wide(columns: int) -> dict[str, Any]:
    fields = [
        {"id": n, "name": f"c{n}", "type": "int", "required": False} for n in range(1, columns + 1)
    ]
    return {"type": "struct", "fields": fields}


def lists(levels: int) -> Any:
    """Return a column's type: so many lists inside each other."""
    kind: Any = "int"
    for level in range(levels):
        kind = {"type": "list", "element-id": 100 + level, "element": kind}
        kind["element-required"] = False
    return kind


def test_updates(limited: Any) -> None:
    server = limited(updates=2)
    server.ok("POST", T, {"updates": [setting("a"), setting("b")]})
    said = refused(server, T, {"updates": [setting("a"), setting("b"), setting("c")]})
    assert said == "Invalid updates: 3 at once, at most 2 are allowed"


def test_requirements(limited: Any) -> None:
    server = limited(requirements=1)
    uuid = server.ok("GET", T)["metadata"]["table-uuid"]
    asserted = {"type": "assert-table-uuid", "uuid": uuid}
    server.ok("POST", T, {"requirements": [asserted], "updates": [setting("a")]})
    said = refused(server, T, {"requirements": [asserted] * 2, "updates": [setting("b")]})
    assert said == "Invalid requirements: 2 at once, at most 1 are allowed"


def test_tables_of_a_transaction_and_what_it_asks_of_each(limited: Any) -> None:
    server = limited(table_changes=2, updates=1)
    names = ["t", "u", "v"]
    server.table("u")
    server.table("v")

    def change(name: str, *updates: dict[str, Any]) -> dict[str, Any]:
        return {"identifier": {"namespace": ["ns"], "name": name}, "updates": list(updates)}

    path = "/v1/transactions/commit"
    server.ok("POST", path, {"table-changes": [change(n, setting("a")) for n in names[:2]]})
    said = refused(server, path, {"table-changes": [change(n, setting("b")) for n in names]})
    assert said == "Invalid table-changes: 3 at once, at most 2 are allowed"
    said = refused(server, path, {"table-changes": [change("t", setting("b"), setting("c"))]})
    assert said == "Invalid updates: 2 at once, at most 1 are allowed"


def test_how_many_properties(limited: Any) -> None:
    server = limited(properties=2)
    said = "Invalid properties: 3 at once, at most 2 are allowed"
    abc = dict.fromkeys("abc", "v")
    server.ok("POST", T, {"updates": [setting("a", "b")]})
    assert refused(server, T, {"updates": [setting("a", "b", "c")]}) == said
    assert refused(server, TABLES, {"name": "u", "schema": SCHEMA, "properties": abc}) == said
    assert refused(server, "/v1/namespaces", {"namespace": ["n"], "properties": abc}) == said
    path = "/v1/namespaces/ns/properties"
    server.ok("POST", path, {"updates": dict.fromkeys("ab", "v")})
    assert refused(server, path, {"updates": abc}) == said
    for removal in ({"removals": list("abc")},):
        assert "Invalid removals: 3 at once" in refused(server, path, removal)
        commit = {"updates": [{"action": "remove-properties", **removal}]}
        assert "Invalid removals: 3 at once" in refused(server, T, commit)


def test_how_long_properties(limited: Any) -> None:
    server = limited(property_characters=10)
    server.ok("POST", T, {"updates": [{"action": "set-properties", "updates": {"k": "v" * 9}}]})
    long = {"updates": [{"action": "set-properties", "updates": {"k": "v" * 10}}]}
    said = refused(server, T, long)
    assert said == "Invalid properties: 11 characters, at most 10 are allowed"


def test_columns_of_a_schema(limited: Any) -> None:
    server = limited(columns=5)
    server.ok("POST", TABLES, {"name": "u", "schema": wide(5)})
    said = "Invalid schema: more than 5 columns, nested ones included"
    assert refused(server, TABLES, {"name": "v", "schema": wide(6)}) == said
    add = {"action": "add-schema", "schema": wide(6)}
    assert refused(server, T, {"updates": [add]}) == said
    pair = {"type": "map", "key-id": 7, "key": "int", "value-id": 8, "value": wide(3)}
    nested = {"type": "struct", "fields": [{"id": 9, "name": "m", "type": pair}]}
    assert refused(server, TABLES, {"name": "v", "schema": nested}) == said


def test_levels_of_a_schema(limited: Any) -> None:
    server = limited(schema_depth=3)

    def schema(levels: int) -> dict[str, Any]:
        field = {"id": 1, "name": "c", "type": lists(levels), "required": False}
        return {"type": "struct", "fields": [field]}

    server.ok("POST", TABLES, {"name": "u", "schema": schema(3)})
    said = refused(server, TABLES, {"name": "v", "schema": schema(4)})
    assert said == "Invalid schema: its types are nested deeper than 3 levels"


@pytest.mark.parametrize("depth", [21, 300, 1100, 1_000_000])
def test_levels_of_json(limited: Any, depth: int) -> None:
    server = limited(json_depth=20)
    for opened, closed in (("[", "]"), ('{"a":', "}")):
        inside = opened * (depth - 1) + "1" + closed * (depth - 1)
        answer = requests.post(server.url + T, data='{"x":' + inside + "}", timeout=60)
        assert answer.status_code == 400
        message = answer.json()["error"]["message"]
        # Beyond 1,024 levels the JSON library refuses to read it at all.
        refusal = "depth limit exceeded" if depth > 1024 else "nested deeper than 20 levels"
        assert refusal in message
        level = '{"x":' + opened * 18 + "1" + closed * 18 + ',"updates":[]}'
        assert requests.post(server.url + T, data=level, timeout=60).status_code == 200


@pytest.mark.parametrize(("value", "most"), [("{}", 499), ("[]", 499), ("1", 999), ('""', 999)])
def test_values_of_json(limited: Any, value: str, most: int) -> None:
    server = limited(json_values=1000)
    for count, status in ((most, 200), (most + 2, 400)):
        text = '{"x":[' + ",".join([value] * count) + "]" + " " * 1000 + "}"
        answer = requests.post(server.url + T, data=text, timeout=60)
        assert answer.status_code == status, answer.text
        assert ("more than 1000 values" in answer.text) == (status == 400)


def test_a_flat_body_with_many_objects_is_not_deep(limited: Any) -> None:
    server = limited(json_depth=20)
    server.ok("POST", TABLES, {"name": "u", "schema": wide(500)})


def test_entries_of_a_page(limited: Any) -> None:
    server = limited(page_size=2)
    for name in ("u", "v", "w", "x"):
        server.table(name)
    found, token = [], ""
    while token is not None:
        page = server.ok("GET", TABLES, params={"pageSize": "100", "pageToken": token})
        assert len(page["identifiers"]) <= 2
        found += [one["name"] for one in page["identifiers"]]
        token = page["next-page-token"]
    assert found == ["t", "u", "v", "w", "x"]


@pytest.mark.parametrize(
    "body",
    [
        {"schema": 7},
        {"schema": {"fields": [1, None, {"type": {"fields": {}}}]}},
        {"schema": {"element": {"key": [], "value": {}}}},
        {"updates": 7, "requirements": "x", "removals": {}, "properties": [1]},
        {"updates": [1, [], {"schema": []}], "table-changes": [1, {"updates": {"a": 1}}]},
    ],
)
def test_another_shape_is_told_by_who_reads_it(limited: Any, body: dict[str, Any]) -> None:
    server = limited()
    for path in (T, TABLES, "/v1/transactions/commit", "/v1/namespaces/ns/properties"):
        answer = server.call("POST", path, body)
        assert answer.status_code in (200, 400), answer.text
        assert "at most" not in answer.text
