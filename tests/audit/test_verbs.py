"""Each operation that changes something writes its event, and exactly one for each change."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from falcon_catalog.api.operations import OPERATIONS
from falcon_catalog.api.routes import operations
from tests.audit.log import rows, since
from tests.audit.test_access import ACCESS
from tests.catalog.serving import VIEW, Server, creation

MANAGEMENT = "/management/v1/warehouses/default"
FUNCTION = {
    "format-version": 1,
    "definitions": [
        {
            "definition-id": "int",
            "parameters": [{"type": "int", "name": "x"}],
            "return-type": "int",
            "function-type": "udf",
            "versions": [
                {
                    "version-id": 1,
                    "representations": [{"type": "sql", "dialect": "duckdb", "sql": "x + 1"}],
                    "timestamp-ms": 1,
                }
            ],
            "current-version-id": 1,
        }
    ],
    "definition-log": [{"timestamp-ms": 1, "definition-versions": []}],
}
SET = {"action": "set-properties", "updates": {"colour": "blue"}}


@dataclass(frozen=True)
class Expected:
    """What the one event of an operation says, besides its operation."""

    kind: str
    name: str
    before: bool = False
    after: bool = False
    former: str = ""
    detail: Any = None


def _pointer(server: Server, name: str = "t", kind: str = "tables") -> str:
    return str(server.ok("GET", f"/v1/namespaces/ns/{kind}/{name}")["metadata-location"])


def _dropped(server: Server) -> str:
    server.table("t")
    server.ok("DELETE", "/v1/namespaces/ns/tables/t?purgeRequested=true")
    (one,) = server.ok("GET", f"{MANAGEMENT}/dropped")["dropped"]
    return f"{MANAGEMENT}/dropped/{one['id']}"


def _register(server: Server) -> Callable[[], object]:
    server.table("t")
    location = server.ok("POST", "/v1/namespaces/ns/tables/t/unregister")["metadata-location"]
    body = {"name": "again", "metadata-location": location}
    return lambda: server.ok("POST", "/v1/namespaces/ns/register", body)


def _register_view(server: Server) -> Callable[[], object]:
    server.ok("POST", "/v1/namespaces/ns/views", {"name": "v", **VIEW})
    location = _pointer(server, "v", "views")
    server.ok("DELETE", "/v1/namespaces/ns/views/v")
    body = {"name": "again", "metadata-location": location}
    return lambda: server.ok("POST", "/v1/namespaces/ns/register-view", body)


def _view(server: Server) -> None:
    server.ok("POST", "/v1/namespaces/ns/views", {"name": "v", **VIEW})


def _with_table(verb: str, path: str, body: object = None) -> Callable[[Server], Any]:
    def prepare(server: Server) -> Callable[[], object]:
        server.table("t")
        return lambda: server.ok(verb, path, body)

    return prepare


def _with_view(verb: str, path: str, body: object = None) -> Callable[[Server], Any]:
    def prepare(server: Server) -> Callable[[], object]:
        _view(server)
        return lambda: server.ok(verb, path, body)

    return prepare


def _alone(verb: str, path: str, body: object = None) -> Callable[[Server], Any]:
    return lambda server: lambda: server.ok(verb, path, body)


def _with_function(server: Server) -> Callable[[], object]:
    server.ok("PUT", f"{MANAGEMENT}/namespaces/ns/functions/f", FUNCTION)
    return lambda: server.ok("DELETE", f"{MANAGEMENT}/namespaces/ns/functions/f")


def _undrop(server: Server) -> Callable[[], object]:
    path = _dropped(server)
    back = {"identifier": {"namespace": ["ns"], "name": "back"}}
    return lambda: server.ok("POST", f"{path}/undrop", back)


RENAME = {
    "source": {"namespace": ["ns"], "name": "t"},
    "destination": {"namespace": ["ns"], "name": "u"},
}
RENAME_VIEW = {
    "source": {"namespace": ["ns"], "name": "v"},
    "destination": {"namespace": ["ns"], "name": "w"},
}
COMMIT = {"requirements": [], "updates": [SET]}
MEMBER = {"identifier": {"namespace": ["ns"], "name": "t"}, **COMMIT}
KEYS = {"set": ["colour"]}
COMPRESSION = "write.parquet.compression-codec"  # a default of new tables
CHANGES: dict[str, tuple[Callable[[Server], Any], Expected]] = {
    "createNamespace": (
        _alone("POST", "/v1/namespaces", {"namespace": ["ns", "a"], "properties": {"colour": "x"}}),
        Expected("namespace", "ns.a", detail=KEYS),
    ),
    "dropNamespace": (_alone("DELETE", "/v1/namespaces/ns"), Expected("namespace", "ns")),
    "updateProperties": (
        _alone("POST", "/v1/namespaces/ns/properties", {"updates": {"colour": "x"}}),
        Expected("namespace", "ns", detail=KEYS),
    ),
    "createTable": (
        lambda server: lambda: server.table("t", properties={"colour": "x"}),
        Expected("table", "ns.t", after=True, detail={"set": [COMPRESSION, "colour"]}),
    ),
    "updateTable": (
        _with_table("POST", "/v1/namespaces/ns/tables/t", COMMIT),
        Expected(
            "table", "ns.t", before=True, after=True, detail={"updates": ["set-properties"], **KEYS}
        ),
    ),
    "dropTable": (
        _with_table("DELETE", "/v1/namespaces/ns/tables/t"),
        Expected("table", "ns.t", before=True, detail={"purge": False}),
    ),
    "unregisterTable": (
        _with_table("POST", "/v1/namespaces/ns/tables/t/unregister"),
        Expected("table", "ns.t", before=True),
    ),
    "registerTable": (_register, Expected("table", "ns.again", after=True)),
    "renameTable": (
        _with_table("POST", "/v1/tables/rename", RENAME),
        Expected("table", "ns.u", before=True, after=True, former="ns.t"),
    ),
    "commitTransaction": (
        _with_table("POST", "/v1/transactions/commit", {"table-changes": [MEMBER]}),
        Expected(
            "table", "ns.t", before=True, after=True, detail={"updates": ["set-properties"], **KEYS}
        ),
    ),
    "createView": (
        lambda server: lambda: _view(server),
        Expected("view", "ns.v", after=True, detail={}),
    ),
    "replaceView": (
        _with_view("POST", "/v1/namespaces/ns/views/v", COMMIT),
        Expected(
            "view", "ns.v", before=True, after=True, detail={"updates": ["set-properties"], **KEYS}
        ),
    ),
    "dropView": (
        _with_view("DELETE", "/v1/namespaces/ns/views/v"),
        Expected("view", "ns.v", before=True, detail={"purge": False}),
    ),
    "registerView": (_register_view, Expected("view", "ns.again", after=True)),
    "renameView": (
        _with_view("POST", "/v1/views/rename", RENAME_VIEW),
        Expected("view", "ns.w", before=True, after=True, former="ns.v"),
    ),
    "putFunction": (
        _alone("PUT", f"{MANAGEMENT}/namespaces/ns/functions/f", FUNCTION),
        Expected("function", "ns.f", detail={"replaced": False}),
    ),
    "dropFunction": (_with_function, Expected("function", "ns.f")),
    "undrop": (_undrop, Expected("table", "ns.back", after=True, former="ns.t")),
}
"""What changes something for good, with a request that does."""

WITHOUT = {
    "getToken": "a token is no row of the store; refused ones are in the table of refusals",
    "planTableScan": "a plan is a cache of what the table says",
    "cancelPlanning": "as planTableScan",
    "fetchScanTasks": "reads",
    "reportMetrics": "reports are a log of their own",
    "signRequest": "recorded by caller and minute: test_files.py",
    "purgeDropped": "has two events, of its beginning and its end: test_a_purge_has_two",
    "checkStorage": "writes and removes a file of its own",
    "listEvents": "reads",
    **dict.fromkeys(ACCESS, "about principals and grants: test_access.py"),
}
"""Other operations with a method that may change something, and why they are not in CHANGES."""


def test_every_operation_that_may_change_something_is_known() -> None:
    changing = {
        operation.name for (_, method), operation in operations() if method not in ("GET", "HEAD")
    }
    assert changing - CHANGES.keys() - WITHOUT.keys() == set()
    assert CHANGES.keys() | WITHOUT.keys() <= set(OPERATIONS)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_has_one_event(ns: Server, name: str) -> None:
    prepare, expected = CHANGES[name]
    change = prepare(ns)
    known = rows(ns.folder)
    change()
    (event,) = since(ns, known)
    assert event.operation == name
    assert (
        Expected(
            event.kind,
            event.name,
            before=event.before is not None,
            after=event.after is not None,
            former=event.former,
            detail=event.detail,
        )
        == expected
    )
    assert (event.topic, event.warehouse) == ("catalog", "default")
    assert (event.actor_id, event.actor, event.via) == (None, "anonymous", "anonymous")
    assert event.address == "127.0.0.1"
    assert event.client is not None
    assert event.client.startswith("python-")
    assert event.request_id
    assert (event.request_index, event.request_count) == (0, 1)
    parsed = uuid.UUID(event.event_id)
    assert (parsed.version, parsed.int >> 80) == (7, event.at_ms)
    if event.kind != "namespace":
        assert event.uuid


def test_the_events_name_the_pointers(ns: Server) -> None:
    ns.table("t")
    created = _pointer(ns)
    ns.ok("POST", "/v1/namespaces/ns/tables/t", COMMIT)
    committed = _pointer(ns)
    first, second = rows(ns.folder)[-2:]
    assert (first.before, first.after) == (None, created)
    assert (second.before, second.after) == (created, committed)
    assert first.uuid == second.uuid


def test_a_staged_create_has_an_event_when_it_is_committed(ns: Server) -> None:
    known = rows(ns.folder)
    staged = ns.table("t", **{"stage-create": True})["metadata"]
    assert since(ns, known) == []
    place = {"action": "set-location", "location": staged["location"]}
    updates = [*creation(staged), place]
    body = {"requirements": [{"type": "assert-create"}], "updates": updates}
    ns.ok("POST", "/v1/namespaces/ns/tables/t", body)
    (event,) = since(ns, known)
    assert (event.operation, event.before, event.uuid) == (
        "updateTable",
        None,
        staged["table-uuid"],
    )
    assert event.after == _pointer(ns)


def test_members_of_a_transaction_have_a_row_each(ns: Server) -> None:
    for name in ("a", "b", "c"):
        ns.table(name)
    known = rows(ns.folder)
    changes = [
        {"identifier": {"namespace": ["ns"], "name": name}, "requirements": [], "updates": updates}
        for name, updates in (("a", [SET]), ("b", []), ("c", [SET]))
    ]
    headers = {"X-Request-Id": "the-one"}
    ns.ok("POST", "/v1/transactions/commit", {"table-changes": changes}, headers=headers)
    found = since(ns, known)
    assert [(row.name, row.request_index, row.request_count) for row in found] == [
        ("ns.a", 0, 2),
        ("ns.c", 1, 2),
    ]
    assert {row.request_id for row in found} == {"the-one"}


def test_what_changes_nothing_has_no_event(ns: Server) -> None:
    ns.table("t")
    known = rows(ns.folder)
    ns.ok("POST", "/v1/namespaces/ns/tables/t", {"requirements": [], "updates": []})
    ns.ok("POST", "/v1/namespaces/ns/properties", {"removals": ["absent"]})
    assert ns.call("DELETE", "/v1/namespaces/ns").status_code == 409
    assert ns.call("POST", "/v1/namespaces", {"namespace": ["ns"]}).status_code == 409
    taken = {"name": "t", "schema": {"type": "struct", "fields": []}}
    assert ns.call("POST", "/v1/namespaces/ns/tables", taken).status_code == 409
    wrong = {"type": "assert-table-uuid", "uuid": str(uuid.uuid4())}
    failing = {"requirements": [wrong], "updates": [SET]}
    assert ns.call("POST", "/v1/namespaces/ns/tables/t", failing).status_code == 409
    assert ns.call("GET", "/v1/namespaces/ns/tables/t").status_code == 200
    assert since(ns, known) == []


def test_a_replay_writes_nothing_again(ns: Server) -> None:
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    body = {"name": "t", "schema": {"type": "struct", "fields": []}}
    for _ in range(3):
        ns.ok("POST", "/v1/namespaces/ns/tables", body, headers=headers)
    assert [row.operation for row in rows(ns.folder)] == ["createNamespace", "createTable"]


def test_a_purge_has_two(ns: Server) -> None:
    path = _dropped(ns)
    known = rows(ns.folder)
    ns.ok("DELETE", path)
    begun, ended = since(ns, known)
    assert (begun.operation, begun.actor) == ("purgeDropped", "anonymous")
    assert (ended.operation, ended.actor, ended.via) == ("purge", "system", "system")
    assert ended.detail["deleted-files"] >= 1
    assert (begun.uuid, begun.before) == (ended.uuid, ended.before)


def test_a_long_detail_is_left_out(ns: Server) -> None:
    updates = {f"key-{number:05d}": "v" for number in range(2000)}
    ns.ok("POST", "/v1/namespaces/ns/properties", {"updates": updates})
    event = rows(ns.folder)[-1]
    assert set(event.detail) == {"omitted-bytes"}
    assert event.detail["omitted-bytes"] > 16 * 1024


def test_a_long_user_agent_is_cut(server: Server) -> None:
    server.ok("POST", "/v1/namespaces", {"namespace": ["a"]}, headers={"User-Agent": "x" * 1000})
    assert rows(server.folder)[-1].client == "x" * 256
