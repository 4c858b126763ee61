"""What asks for too much is refused with a clear 400, before any effect; the most allowed works."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.catalog.serving import JSON_BODY, SCHEMA, Server, serving

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
        answer = requests.post(
            server.url + T, data='{"x":' + inside + "}", headers=JSON_BODY, timeout=60
        )
        assert answer.status_code == 400
        message = answer.json()["error"]["message"]
        # Beyond 1,024 levels the JSON library refuses to read it at all.
        refusal = "depth limit exceeded" if depth > 1024 else "nested deeper than 20 levels"
        assert refusal in message
        level = '{"x":' + opened * 18 + "1" + closed * 18 + ',"updates":[]}'
        assert (
            requests.post(server.url + T, data=level, headers=JSON_BODY, timeout=60).status_code
            == 200
        )


@pytest.mark.parametrize(("value", "most"), [("{}", 499), ("[]", 499), ("1", 999), ('""', 999)])
def test_values_of_json(limited: Any, value: str, most: int) -> None:
    server = limited(json_values=1000)
    for count, status in ((most, 200), (most + 2, 400)):
        text = '{"x":[' + ",".join([value] * count) + "]" + " " * 1000 + "}"
        answer = requests.post(server.url + T, data=text, headers=JSON_BODY, timeout=60)
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


NAMESPACE = "/v1/namespaces/ns"
VIEW = "/v1/namespaces/ns/views/v"


def add_view(server: Server) -> None:
    version = {
        "version-id": 1,
        "timestamp-ms": 1,
        "schema-id": 0,
        "summary": {},
        "default-namespace": ["ns"],
        "representations": [{"type": "sql", "sql": "SELECT 1", "dialect": "spark"}],
    }
    body = {"name": "v", "schema": SCHEMA, "view-version": version, "properties": {}}
    server.ok("POST", "/v1/namespaces/ns/views", body)


def updating(path: str, name: str, value: str) -> tuple[str, dict[str, Any]]:
    """Return the request that sets one property of a table, a view or a namespace."""
    if path == NAMESPACE:
        return f"{path}/properties", {"updates": {name: value}}
    return path, {"updates": [{"action": "set-properties", "updates": {name: value}}]}


def removing(path: str, name: str) -> tuple[str, dict[str, Any]]:
    """Return the request that removes one."""
    if path == NAMESPACE:
        return f"{path}/properties", {"removals": [name]}
    return path, {"updates": [{"action": "remove-properties", "removals": [name]}]}


def properties(server: Server, path: str) -> dict[str, str]:
    loaded = server.ok("GET", path)
    found: dict[str, str] = loaded.get("metadata", loaded)["properties"]
    return found


@pytest.mark.parametrize("path", [T, VIEW, NAMESPACE], ids=["table", "view", "namespace"])
def test_properties_do_not_grow_without_end(limited: Any, path: str) -> None:
    server = limited(properties_bytes=1024)
    add_view(server)
    kept = 0
    while (answer := server.call("POST", *updating(path, f"k{kept}", "v" * 92))).ok:
        kept += 1
        assert kept < 11  # so much is 100 bytes, of which 1,024 are allowed
    assert kept == 9 if path == T else 10  # a table has a property by itself
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["type"] == "BadRequestException"
    what = {T: "table ns.t", VIEW: "view ns.v", NAMESPACE: "namespace ns"}[path]
    assert error["message"].startswith(f"Invalid properties of {what}: 1")
    assert error["message"].endswith(" bytes of JSON in all, at most 1024 are allowed")
    assert f"k{kept}" not in properties(server, path)
    server.ok("POST", *removing(path, "k0"))
    server.ok("POST", *updating(path, "new", "v" * 90))
    assert "k0" not in properties(server, path)


@pytest.mark.parametrize("path", [T, VIEW, NAMESPACE], ids=["table", "view", "namespace"])
def test_properties_that_were_too_long_before_may_not_grow(tmp_path: Path, path: str) -> None:
    with serving(tmp_path / "both") as server:
        server.namespace("ns")
        server.table("t")
        add_view(server)
        for name in ("a", "b"):
            server.ok("POST", *updating(path, name, "v" * 2000))
    with serving(tmp_path / "both", limits__properties_bytes=1024) as server:
        assert set(properties(server, path)) >= {"a", "b"}
        status, _, message = server.fails("POST", *updating(path, "b", "v" * 2001))
        assert (status, "at most 1024 are allowed" in message) == (400, True)
        assert properties(server, path)["b"] == "v" * 2000
        server.ok("POST", *updating(path, "b", "w" * 2000))
        if path == T:  # and what is not of properties is as before
            schema = {"action": "add-schema", "schema": wide(3)}
            server.ok("POST", path, {"updates": [schema]})
        server.ok("POST", *removing(path, "a"))
        assert properties(server, path)["b"] == "w" * 2000
        assert "a" not in properties(server, path)


def test_too_long_properties_keep_a_whole_transaction_from_effect(limited: Any) -> None:
    server = limited(properties_bytes=1024)
    server.table("u")

    def change(name: str, value: str) -> dict[str, Any]:
        update = {"action": "set-properties", "updates": {"k": value}}
        return {"identifier": {"namespace": ["ns"], "name": name}, "updates": [update]}

    def written() -> list[str]:
        return sorted(str(file) for file in server.warehouse.rglob("*.json"))

    before = written()
    changes = {"table-changes": [change("u", "v"), change("t", "v" * 1024)]}
    said = refused(server, "/v1/transactions/commit", changes)
    assert said.startswith("Invalid properties of table ns.t: ")
    assert "k" not in properties(server, "/v1/namespaces/ns/tables/u")
    assert written() == before


def test_too_long_properties_of_what_is_new(limited: Any) -> None:
    server = limited(properties_bytes=1024)
    body = {"name": "u", "schema": SCHEMA, "stage-create": True}
    staged = server.ok("POST", TABLES, body)["metadata"]
    updates = [
        {"action": "assign-uuid", "uuid": staged["table-uuid"]},
        {"action": "add-schema", "schema": staged["schemas"][0]},
        {"action": "set-current-schema", "schema-id": -1},
        {"action": "add-spec", "spec": staged["partition-specs"][0]},
        {"action": "add-sort-order", "sort-order": staged["sort-orders"][0]},
        {"action": "set-location", "location": staged["location"]},
        {"action": "set-properties", "updates": {"k": "v" * 1024}},
    ]
    commit = {"requirements": [{"type": "assert-create"}], "updates": updates}
    said = refused(server, f"{TABLES}/u", commit)
    assert said.startswith("Invalid properties of table ns.u: ")
    long = {"k": "v" * 1024}
    said = refused(server, TABLES, {"name": "u", "schema": SCHEMA, "properties": long})
    assert said.startswith("Invalid properties of table ns.u: ")
    said = refused(server, "/v1/namespaces", {"namespace": ["n"], "properties": long})
    assert said.startswith("Invalid properties of namespace n: 1032 bytes of JSON in all, at most ")
    assert server.call("GET", "/v1/namespaces/n").status_code == 404
    assert server.call("GET", f"{TABLES}/u").status_code == 404


def test_removals_of_snapshots_count_as_one_update(limited: Callable[..., Server]) -> None:
    """Clients send one for each snapshot that expires."""
    server = limited(updates=10)
    removals = [{"action": "remove-snapshots", "snapshot-ids": [n]} for n in range(1, 50)]
    others = [setting(f"k{n}") for n in range(11)]
    server.ok("POST", T, {"updates": [*removals, *others[:10]]})
    message = refused(server, T, {"updates": [*removals, *others]})
    assert message == "Invalid updates: 11 at once, at most 10 are allowed"
