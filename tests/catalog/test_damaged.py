"""Metadata files that are damaged, foreign, old, or of a later version."""

import json
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField, StringType

from tests.catalog.scanning import plan
from tests.catalog.serving import VIEW, Server, serving

T = "/v1/namespaces/ns/tables/t"
V = "/v1/namespaces/ns/views/v"
REGISTER = "/v1/namespaces/ns/register"
SET = {"updates": [{"action": "set-properties", "updates": {"k": "v"}}]}
CHANGE = {"table-changes": [{"identifier": {"namespace": ["ns"], "name": "t"}, **SET}]}
NAMED = {"name": "v", **VIEW}
DAMAGES = {
    "empty": b"",
    "truncated": None,
    "no object": b"[]",
    "another object": b"{}",
    "a later version": b'{"format-version": 9}',
    "bad fields": b'{"format-version": 2, "table-uuid": 7, "location": []}',
    "gzip": b"\x1f\x8b\x08\x00",
}


def path_of(location: str) -> Path:
    return Path(location.removeprefix("file://"))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_metadata_file_is_the_server_s_fault_and_named(ns: Server, damage: str) -> None:
    """404 would read as "no such table", and 400 as a mistake of the client's."""
    for kind, made in (
        ("table", ns.table("t")),
        ("view", ns.ok("POST", "/v1/namespaces/ns/views", NAMED)),
    ):
        path = path_of(made["metadata-location"])
        whole = path.read_bytes()
        content = DAMAGES[damage]
        path.write_bytes(whole[:-9] if content is None else content)
        with serving(ns.folder) as other:
            files = set(ns.warehouse.rglob("*"))
            own = T if kind == "table" else V
            requests: list[tuple[str, str, Any]] = [("GET", own, None), ("POST", own, SET)]
            if kind == "table":
                requests += [
                    ("GET", f"{T}?snapshots=refs", None),
                    ("POST", "/v1/transactions/commit", CHANGE),
                    ("POST", f"{T}/plan", {}),
                    ("POST", f"{T}/unregister", None),
                ]
            for verb, url, body in requests:
                status, error, message = other.fails(verb, url, body)
                assert (status, error) == (500, "InternalServerError"), (verb, url)
                assert message.startswith(
                    f"Cannot load {kind} ns.{own[-1]} from {made['metadata-location']}: "
                )
            assert other.call("HEAD", own).status_code == 204
            assert set(ns.warehouse.rglob("*")) == files
            path.write_bytes(whole)
            assert other.ok("GET", own) == made


def test_the_metadata_file_of_another_table_is_refused(ns: Server) -> None:
    mine, foreign = ns.table("t"), ns.table("other")
    path = path_of(mine["metadata-location"])
    whole = path.read_bytes()
    path.write_bytes(path_of(foreign["metadata-location"]).read_bytes())
    with serving(ns.folder) as other:
        for verb, body in (("GET", None), ("POST", SET)):
            status, _, message = other.fails(verb, T, body)
            assert status == 500
            found, expected = (made["metadata"]["table-uuid"] for made in (foreign, mine))
            assert message.endswith(f": its table-uuid is {found}, not {expected}")
        path.write_bytes(whole)
        assert other.ok("GET", T) == mine


def test_the_metadata_file_of_a_view_is_no_table_s(ns: Server) -> None:
    mine, view = ns.table("t"), ns.ok("POST", "/v1/namespaces/ns/views", NAMED)
    path_of(mine["metadata-location"]).write_bytes(path_of(view["metadata-location"]).read_bytes())
    with serving(ns.folder) as other:
        status, _, message = other.fails("GET", T)
        assert status == 500
        assert "its table-uuid is none, not " in message


def written(ns: Server, version: int) -> dict[str, Any]:
    """Return a partitioned table's response, with one file a value of ``id``, unregistered."""
    client = RestCatalog("test", uri=ns.url)
    schema = Schema(
        NestedField(1, "id", LongType(), required=False),
        NestedField(2, "data", StringType(), required=False),
    )
    table = client.create_table(
        "ns.t",
        schema,
        properties={"format-version": str(version), "write.metadata.metrics.default": "none"},
    )
    with table.update_spec() as spec:
        spec.add_identity("id")
    for number in range(3):
        table.append(pa.table({"id": [number], "data": ["x"]}))
    made = ns.ok("GET", T)
    ns.ok("POST", f"{T}/unregister")
    return dict(made)


def registered(ns: Server, made: dict[str, Any], **changed: Any) -> Any:
    """Register a copy of a metadata file with other fields; None removes one."""
    old = path_of(made["metadata-location"])
    metadata = {**made["metadata"], **{k.replace("_", "-"): v for k, v in changed.items()}}
    metadata = {key: value for key, value in metadata.items() if value is not None}
    new = old.with_name(f"00009-{uuid.uuid4()}.metadata.json")
    new.write_text(json.dumps(metadata), encoding="utf-8")
    return ns.ok("POST", REGISTER, {"name": "t", "metadata-location": f"file://{new}"})


def unknown(specs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**spec, "fields": [{**field, "transform": "zorder[2]"} for field in spec["fields"]]}
        for spec in specs
    ]


@pytest.mark.parametrize("version", [1, 2])
def test_a_table_with_an_unknown_transform_can_be_registered_and_changed(
    ns: Server, version: int
) -> None:
    made = written(ns, version)
    specs = unknown(made["metadata"]["partition-specs"])
    loaded = registered(ns, made, partition_specs=specs)
    assert loaded["metadata"]["partition-specs"] == specs
    fields = [*made["metadata"]["schemas"][-1]["fields"]]
    fields.append({"id": 3, "name": "more", "type": "int", "required": False})
    update = {"action": "add-schema", "schema": {"type": "struct", "fields": fields}}
    current = {"action": "set-current-schema", "schema-id": -1}
    ns.ok("POST", T, {"updates": [update, current]})
    assert ns.ok("GET", T)["metadata"]["partition-specs"] == specs
    table = RestCatalog("test", uri=ns.url).load_table("ns.t")
    assert table.scan().to_arrow().num_rows == 3


@pytest.mark.parametrize("version", [1, 2])
def test_an_unknown_transform_skips_no_file(ns: Server, version: int) -> None:
    made = written(ns, version)
    specs = made["metadata"]["partition-specs"]
    one = {"filter": {"type": "eq", "term": "id", "value": 1}}
    registered(ns, made)
    assert len(plan(ns, "t", one).paths) == 1  # the partition is all that is known of a file
    ns.ok("POST", f"{T}/unregister")
    registered(ns, made, partition_specs=unknown(specs))
    found = plan(ns, "t", one)
    assert len(found.paths) == 3
    partitions = sorted(task["data-file"]["partition"] for task in found.tasks)
    assert partitions == [["0"], ["1"], ["2"]]


def test_v1_metadata_without_a_uuid_can_be_registered_and_written(ns: Server) -> None:
    made = written(ns, 1)
    key = {"Idempotency-Key": str(uuid.uuid4())}
    old = path_of(made["metadata-location"])
    metadata = {k: v for k, v in made["metadata"].items() if k != "table-uuid"}
    bare = old.with_name(f"00009-{uuid.uuid4()}.metadata.json")
    bare.write_text(json.dumps(metadata), encoding="utf-8")
    body = {"name": "t", "metadata-location": f"file://{bare}"}
    first = ns.ok("POST", REGISTER, body, headers=key)
    assert uuid.UUID(first["metadata"]["table-uuid"])
    assert ns.ok("POST", REGISTER, body, headers=key) == first
    with serving(ns.folder) as other:
        assert other.ok("GET", T) == first
        assert sorted(plan(other, "t").paths) == sorted(plan(ns, "t").paths)
    table = RestCatalog("test", uri=ns.url).load_table("ns.t")
    table.append(pa.table({"id": [7], "data": ["y"]}))
    stored = json.loads(path_of(ns.ok("GET", T)["metadata-location"]).read_bytes())
    assert stored["table-uuid"] == first["metadata"]["table-uuid"]
    assert table.scan().to_arrow().num_rows == 4
