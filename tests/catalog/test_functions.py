"""Functions: put, listed, loaded, dropped."""

import copy
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.catalog.serving import Server

MANAGED = "/management/v1/warehouses/default/namespaces"
UUID = "42fd3f91-bc10-41c1-8a52-92b57dd0a9b2"


def definition(*types: Any, **fields: Any) -> dict[str, Any]:
    """Return a definition of a function whose parameters are a, b … of these types."""
    return {
        "definition-id": ",".join(str(kind) for kind in types),
        "parameters": [
            {"name": name, "type": kind} for name, kind in zip("abcdefgh", types, strict=False)
        ],
        "return-type": "int",
        "versions": [version(1)],
        "current-version-id": 1,
        "function-type": "udf",
        **fields,
    }


def version(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "version-id": number,
        "representations": [{"type": "sql", "dialect": "trino", "sql": f"a + {number}"}],
        "timestamp-ms": 1_734_507_000_123 + number,
        **fields,
    }


ADD_ONE: dict[str, Any] = {
    "function-uuid": UUID,
    "format-version": 1,
    "definitions": [
        definition(
            "int",
            **{
                "specific-name": "add_one_int",
                "return-nullable": False,
                "versions": [version(1), version(2, deterministic=True)],
                "current-version-id": 2,
                "doc": "Add one to the input integer",
            },
        ),
        definition("float", **{"return-type": "float"}),
    ],
    "definition-log": [
        {
            "timestamp-ms": 1_734_507_000_124,
            "definition-versions": [{"definition-id": "int", "version-id": 2}],
        }
    ],
    "location": "file:///lake/ns/add_one",
    "properties": {"owner": "me"},
    "secure": False,
    "doc": "Overloaded scalar function",
}


def put(
    server: Server, name: str, metadata: dict[str, Any] = ADD_ONE, namespace: str = "ns"
) -> Any:
    return server.ok("PUT", f"{MANAGED}/{namespace}/functions/{name}", metadata)


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    metadata = copy.deepcopy(ADD_ONE)
    change(metadata)
    return metadata


def test_a_function_comes_back_as_it_was_put(ns: Server) -> None:
    assert put(ns, "add_one") == {"metadata": ADD_ONE}
    assert ns.ok("GET", "/v1/namespaces/ns/functions/add_one") == {"metadata": ADD_ONE}
    prefixed = ns.ok("GET", "/v1/default/namespaces/ns/functions/add_one")
    assert prefixed == {"metadata": ADD_ONE}


def test_identifiers_are_arrays_and_only_of_this_namespace(ns: Server) -> None:
    ns.namespace("ns", "inner")
    empty = {"identifiers": [], "next-page-token": None}
    assert ns.ok("GET", "/v1/namespaces/ns/functions") == empty
    for name in ("b", "a"):
        put(ns, name, {**ADD_ONE})
    put(ns, "c", namespace="ns%1Finner")
    listed = ns.ok("GET", "/v1/namespaces/ns/functions")
    assert listed == {"identifiers": [["ns", "a"], ["ns", "b"]], "next-page-token": None}
    inner = ns.ok("GET", "/v1/namespaces/ns%1Finner/functions")
    assert inner["identifiers"] == [["ns", "inner", "c"]]


def test_pages(ns: Server) -> None:
    for name in ("a", "b", "c"):
        put(ns, name)
    seen, token = [], ""
    while token is not None:
        params = {"pageToken": token, "pageSize": "2"}
        page = ns.ok("GET", "/v1/namespaces/ns/functions", params=params)
        seen += page["identifiers"]
        token = page["next-page-token"]
    assert seen == [["ns", "a"], ["ns", "b"], ["ns", "c"]]
    bad = ns.fails("GET", "/v1/namespaces/ns/functions", params={"pageToken": "!"})
    assert bad[:2] == (400, "BadRequestException")


@pytest.mark.parametrize("name", ["a.b", "a b", "a/b", "ä+%", "a?#b"])
def test_names_of_all_kinds(ns: Server, name: str) -> None:
    raw = "".join(f"%{byte:02X}" for byte in name.encode())
    put(ns, raw)
    assert ns.ok("GET", "/v1/namespaces/ns/functions")["identifiers"] == [["ns", name]]
    assert ns.ok("GET", f"/v1/namespaces/ns/functions/{raw}")["metadata"] == ADD_ONE
    ns.ok("DELETE", f"{MANAGED}/ns/functions/{raw}")


def test_a_replaced_function_keeps_its_uuid(ns: Server) -> None:
    drawn = put(ns, "f", changed(lambda m: m.pop("function-uuid")))["metadata"]["function-uuid"]
    later = changed(lambda m: m.pop("function-uuid")) | {"doc": "later"}
    assert put(ns, "f", later)["metadata"] == {**later, "function-uuid": drawn}
    upper = {**ADD_ONE, "function-uuid": drawn.upper()}
    assert put(ns, "f", upper)["metadata"] == upper
    status, kind, message = ns.fails("PUT", f"{MANAGED}/ns/functions/f", ADD_ONE)
    assert (status, kind) == (400, "BadRequestException")
    assert message == f"Invalid function-uuid {UUID}: ns.f has {drawn}, for good"
    assert ns.ok("GET", "/v1/namespaces/ns/functions/f")["metadata"] == upper
    ns.ok("DELETE", f"{MANAGED}/ns/functions/f")
    assert put(ns, "f")["metadata"]["function-uuid"] == UUID


def test_what_is_not_there_is_a_404_of_its_kind(ns: Server) -> None:
    for verb, path in (("GET", "/v1/namespaces"), ("DELETE", MANAGED)):
        missing = ns.fails(verb, f"{path}/ns/functions/f")
        assert missing == (404, "NoSuchFunctionException", "Function does not exist: ns.f")
        nowhere = ns.fails(verb, f"{path}/nowhere/functions/f")
        assert nowhere[:2] == (404, "NoSuchNamespaceException")
    assert ns.fails("GET", "/v1/namespaces/nowhere/functions")[1] == "NoSuchNamespaceException"
    put_nowhere = ns.fails("PUT", f"{MANAGED}/nowhere/functions/f", ADD_ONE)
    assert put_nowhere[:2] == (404, "NoSuchNamespaceException")
    other = ns.fails("PUT", "/management/v1/warehouses/other/namespaces/ns/functions/f", ADD_ONE)
    assert other[:2] == (404, "NoSuchWarehouseException")


def test_a_namespace_with_a_function_cannot_be_dropped(ns: Server) -> None:
    put(ns, "f")
    status, kind, message = ns.fails("DELETE", "/v1/namespaces/ns")
    assert (status, kind) == (409, "NamespaceNotEmptyException")
    assert message == "Namespace ns is not empty. It holds 1 functions."
    ns.ok("DELETE", f"{MANAGED}/ns/functions/f")
    ns.ok("DELETE", "/v1/namespaces/ns")


def test_a_function_may_be_called_like_a_table(ns: Server) -> None:
    put(ns, "t")
    ns.table("t")
    assert ns.ok("GET", "/v1/namespaces/ns/functions/t")["metadata"] == ADD_ONE
    ns.ok("DELETE", f"{MANAGED}/ns/functions/t")
    assert ns.call("HEAD", "/v1/namespaces/ns/tables/t").status_code == 204


def test_only_what_the_specification_knows_is_kept(ns: Server) -> None:
    odd = {"type": "list", "element-id": 7, "element": "decimal(09,2)", "element-required": True}
    given = changed(lambda m: m["definitions"].append(definition(odd)))
    given["definitions"][-1]["definition-id"] = "list<decimal(9,2)>"
    given |= {"format": "x", "doc": None}
    stored = put(ns, "f", given)["metadata"]
    kept = {"type": "list", "element": "decimal(9,2)"}
    assert stored["definitions"][-1]["parameters"] == [{"name": "a", "type": kept}]
    assert set(stored) == set(ADD_ONE) - {"doc"}


STRUCT = {
    "type": "struct",
    "fields": [{"name": "id", "type": "int"}, {"name": "tags", "type": {"type": "list"}}],
}


@pytest.mark.parametrize(
    ("types", "definition_id"),
    [
        ([], ""),
        (["int", "string"], "int,string"),
        (["decimal(9,2)", "variant", "timestamp_ns"], "decimal(9,2),variant,timestamp_ns"),
        (["fixed[4]", "geometry(OGC:CRS84)"], "fixed[4],geometry(OGC:CRS84)"),
        (
            [{"type": "map", "key": "string", "value": {"type": "list", "element": "int"}}],
            "map<string,list<int>>",
        ),
        (
            ["int", {"type": "struct", "fields": [{"name": "id", "type": "int"}]}],
            "int,struct<id:int>",
        ),
    ],
)
def test_the_definition_id_follows_from_the_types(
    ns: Server, types: list[Any], definition_id: str
) -> None:
    one = definition(*types, **{"definition-id": definition_id})
    metadata = {**ADD_ONE, "definitions": [one]}
    assert put(ns, "f", metadata)["metadata"] == metadata
    metadata["definitions"] = [{**one, "definition-id": definition_id + "x"}]
    status, _, message = ns.fails("PUT", f"{MANAGED}/ns/functions/f", metadata)
    assert status == 400
    assert f"must be {definition_id!r}, as its parameters' types are" in message


def set_(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Return a change that sets, or with ... removes, what a path leads to."""

    def change(metadata: Any) -> None:
        *steps, last = [int(step) if step.isdigit() else step for step in path.split("/")]
        for step in steps:
            metadata = metadata[step]
        if value is ...:
            del metadata[last]
        else:
            metadata[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *((set_(f, ...), f"missing field {f}") for f in ("format-version", "definitions")),
        (set_("definition-log", ...), "missing field definition-log"),
        (set_("function-uuid", "x"), "field function-uuid: 'x' is no UUID"),
        (set_("format-version", 2), "format-version 2 is not supported, use 1"),
        (set_("definitions", []), "definitions is empty"),
        (set_("definitions", {}), "field definitions: must be an array, got an object"),
        (set_("location", 1), "field location: must be a string"),
        (set_("properties", {"a": 1}), "value of 'a': must be a string"),
        (set_("secure", "no"), "field secure: must be true or false"),
        *(
            (set_(f"definitions/0/{f}", ...), f"definitions[0]: missing field {f}")
            for f in (
                *("definition-id", "parameters", "return-type", "versions"),
                *("current-version-id", "function-type"),
            )
        ),
        (set_("definitions/1/specific-name", "add_one_int"), "specific-name 'add_one_int' occurs"),
        (set_("definitions/1", definition("int")), "definition-id 'int' occurs twice"),
        (set_("definitions/0/function-type", "macro"), "must be one of udf, udtf, got 'macro'"),
        (set_("definitions/0/function-type", "udtf"), "the return-type of a udtf must be a str"),
        (set_("definitions/0/current-version-id", 3), "current-version-id 3 is not in versions"),
        (set_("definitions/0/versions/1", version(1)), "version-id 1 occurs twice"),
        (set_("definitions/0/parameters/0/name", ...), "parameters[0]: missing field name"),
        (set_("definitions/0/parameters/0/type", "integer"), "Cannot parse type string to prim"),
        (set_("definitions/0/parameters/0/type", "decimal(9, 2)"), "has a space or quote in it"),
        (set_("definitions/0/return-type", "'int'"), "has a space or quote in it"),
        (set_("definitions/0/return-type", STRUCT), "missing field element"),
        (
            set_("definitions/0/return-type", {"type": "set"}),
            "must be one of list, map, struct, got 'set'",
        ),
        (set_("definitions/0/return-type", 1), "must be an object, got 1"),
        (set_("definitions/0/return-nullable", 1), "must be true or false, got 1"),
        (set_("definitions/0/versions/0/representations", []), "representations is empty"),
        (set_("definitions/0/versions/0/timestamp-ms", ...), "missing field timestamp-ms"),
        (
            set_("definitions/0/versions/0/on-null-input", "x"),
            "must be one of return-null, call, got 'x'",
        ),
        (
            set_(
                "definitions/0/versions/0/representations",
                [{"type": "sql", "dialect": dialect, "sql": "1"} for dialect in ("Spark", "spark")],
            ),
            "dialect 'spark' occurs twice",
        ),
        (
            set_("definitions/0/versions/0/representations/0/type", "python"),
            "must be one of sql, got 'python'",
        ),
        (set_("definition-log/0/timestamp-ms", "now"), "must be an integer, got 'now'"),
        (
            set_("definition-log/0/definition-versions/0/version-id", ...),
            "definition-versions[0]: missing field version-id",
        ),
    ],
)
def test_bad_metadata_is_refused_and_says_why(
    ns: Server, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    status, kind, told = ns.fails("PUT", f"{MANAGED}/ns/functions/f", changed(change))
    assert (status, kind) == (400, "BadRequestException")
    assert message in told
    assert ns.ok("GET", "/v1/namespaces/ns/functions")["identifiers"] == []


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: {"type": "list", "element": inner},
        lambda inner: {"type": "struct", "fields": [{"name": "a", "type": inner}]},
    ],
)
@pytest.mark.parametrize(("levels", "message"), [(75, ""), (95, "nested deeper than")])
def test_a_type_that_is_too_deep_is_refused(
    ns: Server, wrap: Callable[[Any], Any], levels: int, message: str
) -> None:
    deep: Any = "int"
    for _ in range(levels):
        deep = wrap(deep)
    metadata = changed(set_("definitions/0/return-type", deep))
    if levels < 80:
        assert put(ns, "f", metadata)["metadata"] == metadata
    else:
        answer = ns.fails("PUT", f"{MANAGED}/ns/functions/f", metadata)
        assert answer[0] == 400
        assert message in answer[2]


@pytest.mark.parametrize("name", ["%07", "a%1Fb", "x" * 256])
def test_a_bad_name_is_refused(ns: Server, name: str) -> None:
    status, _, message = ns.fails("PUT", f"{MANAGED}/ns/functions/{name}", ADD_ONE)
    assert status == 400
    assert message.startswith("Invalid function name")


def test_twins_that_drop_a_function_are_answered_the_same(ns: Server) -> None:
    for _ in range(5):
        put(ns, "add_one")
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        path = f"{MANAGED}/ns/functions/add_one"

        def drop(_: int, headers: dict[str, str] = headers, path: str = path) -> int:
            return ns.call("DELETE", path, headers=headers).status_code

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(drop, range(8))) == [204] * 8
