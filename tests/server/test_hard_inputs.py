"""Inputs as large as anybody has: served in bounded memory, or refused with a clear 4xx."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from falcon_catalog.store import open_database
from tests.catalog.serving import SCHEMA
from tests.processes import Running

MEBIBYTE = 1024 * 1024
TIMEOUT = 120
T = "/v1/namespaces/ns/tables/t"
TABLES = "/v1/namespaces/ns/tables"


@dataclass
class Process:
    """A catalog in a process of its own, and what it costs."""

    url: str
    server: Running
    folder: Path

    def call(self, verb: str, path: str, body: object = None) -> requests.Response:
        return requests.request(verb, self.url + path, json=body, timeout=TIMEOUT)

    def ok(self, verb: str, path: str, body: object = None) -> Any:
        answer = self.call(verb, path, body)
        assert answer.status_code in (200, 204), answer.text[:1000]
        return answer.json() if answer.content else None

    def refused(self, verb: str, path: str, body: object) -> tuple[int, str]:
        answer = self.call(verb, path, body)
        error = answer.json()["error"]
        assert error["code"] == answer.status_code
        return answer.status_code, error["message"]

    @property
    def peak(self) -> float:
        """The most memory that it has had, in MiB."""
        return peak(self.server.process.pid)


def peak(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmHWM")


@pytest.fixture
def catalog(cli: Any, tmp_path: Path) -> Iterator[Process]:
    """A catalog as it is installed, with a namespace ``ns``."""
    # What makes a store is loaded only where it is made: not in the process that is weighed.
    (tmp_path / "var/catalog").mkdir(parents=True)
    open_database(f"sqlite:///{tmp_path}/var/catalog/catalog.db").close()
    environ = {
        "CATALOG_LOG_LEVEL": "WARNING",
        "CATALOG_WAREHOUSE_ALLOWED_LOCATIONS": "file:///lake",  # of manifest lists
    }
    running = cli("serve", "--listen", "127.0.0.1:0", environ=environ)
    process = Process(running.url(), running, tmp_path)
    process.ok("POST", "/v1/namespaces", {"namespace": ["ns"]})
    yield process
    assert running.stop() == 0
    assert running.errors == []


def columns(count: int) -> list[dict[str, Any]]:
    return [
        {"id": n, "name": f"column_{n}", "type": "long", "required": False, "doc": "a column"}
        for n in range(1, count + 1)
    ]


def nested(levels: int, kind: str) -> Any:
    """Return a type with ``levels`` structs, lists or maps inside each other."""
    inner: Any = "long"
    for level in range(levels):
        one, two = 2 * level + 2, 2 * level + 3
        if kind == "struct":
            field = {"id": one, "name": "f", "type": inner, "required": False}
            inner = {"type": "struct", "fields": [field]}
        elif kind == "list":
            inner = {"type": "list", "element-id": one, "element": inner}
            inner["element-required"] = False
        else:
            key = {"key-id": one, "key": "string"}
            inner = {"type": "map", **key, "value-id": two, "value": inner}
            inner["value-required"] = False
    return inner


def schema(*fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "struct", "fields": list(fields)}


def register(catalog: Process, name: str, metadata: dict[str, Any]) -> Any:
    """Write a metadata file beside the warehouse's own, and register it."""
    table = f"{uuid.uuid4()}"
    location = f"file://{catalog.folder}/var/catalog/warehouse/{table}"
    metadata |= {"location": location, "table-uuid": table, "metadata-log": []}
    path = Path(location.removeprefix("file://"), "metadata", f"00000-{table}.metadata.json")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(metadata), encoding="utf-8")
    body = {"name": name, "metadata-location": f"file://{path}"}
    return catalog.ok("POST", "/v1/namespaces/ns/register", body)


def history(catalog: Process, count: int) -> dict[str, Any]:
    """Return a table's metadata with ``count`` snapshots, one after the other, on main."""
    made = catalog.ok("POST", TABLES, {"name": "made", "schema": SCHEMA})["metadata"]
    first = made["last-updated-ms"] - count  # none is from the future
    snapshots = [snapshot(n, first + n) for n in range(1, count + 1)]
    return made | {
        "snapshots": snapshots,
        "snapshot-log": [
            {"snapshot-id": one["snapshot-id"], "timestamp-ms": one["timestamp-ms"]}
            for one in snapshots
        ],
        "refs": {"main": {"type": "branch", "snapshot-id": count}},
        "current-snapshot-id": count,
        "last-sequence-number": count,
        "last-updated-ms": first + count,
    }


def snapshot(number: int, timestamp: int) -> dict[str, Any]:
    """Return a snapshot as an engine writes them."""
    return {
        "snapshot-id": number,
        **({"parent-snapshot-id": number - 1} if number > 1 else {}),
        "sequence-number": number,
        "timestamp-ms": timestamp,
        "schema-id": 0,
        "manifest-list": f"file:///lake/ns/t/metadata/snap-{number}-1-{uuid.UUID(int=number)}.avro",
        "summary": {
            "operation": "append",
            "added-data-files": "1",
            "added-records": "1000",
            "total-data-files": str(number),
            "total-records": str(1000 * number),
        },
    }


@pytest.mark.slow
def test_a_hundred_thousand_snapshots(catalog: Process) -> None:
    count = 100_000
    loaded = register(catalog, "t", history(catalog, count))
    assert len(loaded["metadata"]["snapshots"]) == count
    size = len(json.dumps(loaded))
    newest = snapshot(count + 1, loaded["metadata"]["last-updated-ms"] + 1)
    commit = {
        "requirements": [{"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": count}],
        "updates": [
            {"action": "add-snapshot", "snapshot": newest},
            {
                "action": "set-snapshot-ref",
                "ref-name": "main",
                "type": "branch",
                "snapshot-id": count + 1,
            },
        ],
    }
    committed = catalog.ok("POST", T, commit)
    assert committed["metadata"]["current-snapshot-id"] == count + 1
    assert len(committed["metadata"]["snapshots"]) == count + 1
    # What expires half of them names each.
    gone = list(range(1, count // 2 + 1))
    removal = {"updates": [{"action": "remove-snapshots", "snapshot-ids": gone}]}
    assert len(catalog.ok("POST", T, removal)["metadata"]["snapshots"]) == count // 2 + 1
    refs = catalog.ok("GET", f"{T}?snapshots=refs")["metadata"]
    assert [one["snapshot-id"] for one in refs["snapshots"]] == [count + 1]
    assert catalog.peak < 100 + 12 * size / MEBIBYTE


def test_a_thousand_refs(catalog: Process) -> None:
    metadata = history(catalog, 1000)
    register(catalog, "t", metadata)
    for kind in ("branch", "tag"):
        updates = [
            {"action": "set-snapshot-ref", "ref-name": f"{kind}-{n}", "type": kind}
            | {"snapshot-id": n}
            for n in range(1, 501)
        ]
        catalog.ok("POST", T, {"updates": updates})
    asserted = [
        {"type": "assert-ref-snapshot-id", "ref": f"{kind}-{n}", "snapshot-id": n}
        for kind in ("branch", "tag")
        for n in range(1, 501)
    ]
    gone = {"action": "remove-snapshot-ref", "ref-name": "tag-1"}
    done = catalog.ok("POST", T, {"requirements": asserted, "updates": [gone]})
    assert len(done["metadata"]["refs"]) == 1000  # with main
    assert catalog.call("POST", T, {"requirements": asserted}).status_code == 409
    assert catalog.peak < 100


def test_ten_thousand_columns(catalog: Process) -> None:
    wide = schema(*columns(10_000))
    assert len(catalog.ok("POST", TABLES, {"name": "t", "schema": wide})) == 3
    loaded = catalog.ok("GET", T)["metadata"]
    assert len(loaded["schemas"][0]["fields"]) == 10_000
    wide["fields"][0]["doc"] = "another"
    changed = catalog.ok("POST", T, {"updates": [{"action": "add-schema", "schema": wide}]})
    assert len(changed["metadata"]["schemas"]) == 2
    status, said = catalog.refused(
        "POST", TABLES, {"name": "u", "schema": schema(*columns(10_001))}
    )
    assert (status, said) == (
        400,
        "Invalid schema: more than 10000 columns, nested ones included",
    )
    assert catalog.peak < 150


@pytest.mark.parametrize("kind", ["struct", "list", "map"])
def test_sixty_four_levels(catalog: Process, kind: str) -> None:
    def body(name: str, levels: int) -> dict[str, Any]:
        field = {"id": 1, "name": "deep", "required": False, "type": nested(levels, kind)}
        return {"name": name, "schema": schema(field)}

    catalog.ok("POST", TABLES, body("t", 64))
    kept = catalog.ok("GET", T)["metadata"]["schemas"][0]["fields"][0]["type"]
    levels = 0
    while isinstance(kept, dict):
        levels += 1
        kept = (
            kept["fields"][0]["type"]
            if kind == "struct"
            else kept.get("element", kept.get("value"))
        )
    assert levels == 64
    field = {"id": 200, "name": "more", "required": False, "type": nested(64, kind)}
    _renumber(field, 200)
    made = catalog.ok("GET", T)["metadata"]["schemas"][0]["fields"]
    add = {"action": "add-schema", "schema": schema(*made, field)}
    change = {"identifier": {"namespace": ["ns"], "name": "t"}, "updates": [add]}
    catalog.ok("POST", "/v1/transactions/commit", {"table-changes": [change]})
    status, said = catalog.refused("POST", TABLES, body("u", 65))
    assert (status, said) == (400, "Invalid schema: its types are nested deeper than 64 levels")


def _renumber(field: dict[str, Any], first: int) -> None:
    """Move every id in a column by ``first``."""
    for key, value in field.items():
        if key == "id" or key.endswith("-id"):
            field[key] = value + first
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict):
                _renumber(inner, first)


def test_ten_megabytes_of_properties_are_refused(catalog: Process) -> None:
    many = {f"key-{n}": "v" * 1000 for n in range(10_000)}
    body = {"name": "t", "schema": SCHEMA, "properties": many}
    status, said = catalog.refused("POST", TABLES, body)
    assert status == 400
    assert said.startswith("Invalid properties: 100")
    assert said.endswith(" characters, at most 4194304 are allowed")
    assert catalog.peak < 150


def test_as_many_properties_as_allowed_are_kept(catalog: Process) -> None:
    many = {f"key-{n}": "v" * 400 for n in range(10_000)}
    catalog.ok("POST", TABLES, {"name": "t", "schema": SCHEMA, "properties": many})
    more = {"updates": [{"action": "set-properties", "updates": {"one": "more"}}]}
    assert len(catalog.ok("POST", T, more)["metadata"]["properties"]) >= 10_001
    catalog.ok("POST", "/v1/namespaces/ns/properties", {"updates": many})
    assert catalog.ok("GET", "/v1/namespaces/ns")["properties"] == many
    assert catalog.peak < 180


def test_a_body_of_many_small_values_is_refused_unread(catalog: Process) -> None:
    before = catalog.peak
    body = b'{"updates":[' + b"{}," * (20 * MEBIBYTE) + b"{}]}"
    answer = requests.post(
        catalog.url + TABLES,
        data=body,
        headers={"Content-Type": "application/json"},
        timeout=TIMEOUT,
    )
    assert answer.status_code == 400
    assert "more than 2000000 values" in answer.json()["error"]["message"]
    assert catalog.peak - before < 3 * len(body) / MEBIBYTE
