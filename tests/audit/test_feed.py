"""The feed of changes: every change once, in the order of the commits, or an error."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from falcon_catalog.catalog import event_log, events
from falcon_catalog.catalog.events import Event, Origin
from falcon_catalog.store import events as event_rows
from falcon_catalog.store import open_database
from falcon_catalog.store.database import Database
from falcon_catalog.store.events import Filter
from tests.audit.log import rows
from tests.audit.test_verbs import COMMIT, MEMBER, RENAME, VIEW
from tests.catalog.serving import Server, creation, sql
from tests.postgres import stores

FEED = "/management/v1/warehouses/default/events"


def query(server: Server, **fields: Any) -> dict[str, Any]:
    body = {name.replace("_", "-"): value for name, value in fields.items()}
    return server.ok("POST", FEED, body)


def everything(server: Server, size: int, **fields: Any) -> list[dict[str, Any]]:
    """Read the feed to its end, in pages."""
    found, token = [], None
    while True:
        page = query(
            server, page_size=size, **fields, **({"continuation_token": token} if token else {})
        )
        assert len(page["events"]) <= size
        if token == page["continuation-token"]:
            return found
        found += page["events"]
        token = page["continuation-token"]


def types(found: list[dict[str, Any]]) -> list[str]:
    return [event["operation"]["operation-type"] for event in found]


@pytest.fixture
def busy(ns: Server) -> Server:
    """A catalog in which something of each kind has happened."""
    ns.ok("POST", "/v1/namespaces/ns/properties", {"updates": {"a": "1"}, "removals": ["b"]})
    ns.table("t")
    ns.ok("POST", "/v1/namespaces/ns/tables/t", COMMIT)
    ns.ok(
        "POST",
        "/v1/transactions/commit",
        {
            "table-changes": [
                {**MEMBER, "updates": [{"action": "set-properties", "updates": {"colour": "red"}}]}
            ]
        },
    )
    staged = ns.table("s", **{"stage-create": True})["metadata"]
    updates = [*creation(staged), {"action": "set-location", "location": staged["location"]}]
    ns.ok(
        "POST",
        "/v1/namespaces/ns/tables/s",
        {"requirements": [{"type": "assert-create"}], "updates": updates},
    )
    ns.ok("POST", "/v1/tables/rename", RENAME)
    ns.ok("POST", "/v1/namespaces/ns/views", {"name": "v", **VIEW})
    ns.ok("DELETE", "/v1/namespaces/ns/views/v")
    ns.ok("DELETE", "/v1/namespaces/ns/tables/u?purgeRequested=true")
    ns.namespace("other")
    ns.ok("DELETE", "/v1/namespaces/other")
    return ns


TYPES = [
    "create-namespace",
    "update-namespace-properties",
    "create-table",
    "update-table",
    "update-table",
    "create-table",
    "rename-table",
    "create-view",
    "drop-view",
    "drop-table",
    "create-namespace",
    "drop-namespace",
]


def test_it_has_the_proposed_types_and_shape(busy: Server) -> None:
    page = query(busy)
    found = page["events"]
    assert types(found) == TYPES
    assert page["highest-processed-timestamp-ms"] == found[-1]["timestamp-ms"]
    for event in found:
        assert sorted(event) == [
            "actor",
            "event-id",
            "operation",
            "request-event-count",
            "request-id",
            "timestamp-ms",
        ]
        assert event["actor"] == {"name": "anonymous", "via": "anonymous"}
    assert len({event["event-id"] for event in found}) == len(found)
    changed, rename, dropped = (found[at]["operation"] for at in (1, 6, 9))
    assert (changed["namespace"], changed["updated"], changed["missing"]) == (["ns"], ["a"], [])
    assert rename["source"] == {"namespace": ["ns"], "name": "t"}
    assert rename["destination"] == {"namespace": ["ns"], "name": "u"}
    assert dropped["purge"] is True
    assert dropped["table-uuid"] == found[2]["operation"]["table-uuid"]


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_pages_of_any_size_are_the_same_sequence(busy: Server, size: int) -> None:
    assert everything(busy, size) == query(busy)["events"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"operation_types": ["create-table"]}, ["create-table"] * 2),
        ({"operation_types": ["update-table", "drop-view"]}, ["update-table"] * 2 + ["drop-view"]),
        ({"object_types": ["view"]}, ["create-view", "drop-view"]),
        ({"catalog_objects_by_name": [["other"]]}, ["create-namespace", "drop-namespace"]),
        ({"catalog_objects_by_name": [["ns", "v"]]}, ["create-view", "drop-view"]),
        (
            {"catalog_objects_by_name": [["ns", "t"]]},
            ["create-table", "update-table", "update-table", "rename-table"],
        ),
        ({"catalog_objects_by_name": [["ns"]]}, TYPES[:10]),
        ({"after_timestamp_ms": 2**53}, []),
        ({"after_timestamp_ms": 1}, TYPES),
    ],
)
def test_filters(busy: Server, fields: dict[str, Any], expected: list[str]) -> None:
    for size in (1, 3, 1000):
        assert types(everything(busy, size, **fields)) == expected


def test_a_table_by_its_uuid_under_all_its_names(busy: Server) -> None:
    table = query(busy)["events"][2]["operation"]["table-uuid"]
    expected = ["create-table", "update-table", "update-table", "rename-table", "drop-table"]
    for given in (table, {"uuid": table.upper()}):
        assert types(query(busy, catalog_objects_by_id=[given])["events"]) == expected


def test_it_goes_on_where_it_ended(busy: Server) -> None:
    token = query(busy)["continuation-token"]
    again = query(busy, continuation_token=token)
    assert again["events"] == []
    busy.namespace("later")
    (event,) = query(busy, continuation_token=again["continuation-token"])["events"]
    assert event["operation"]["namespace"] == ["later"]


def test_another_warehouse_has_its_own(start: Callable[..., Server], tmp_path: Path) -> None:
    server = start(warehouse__more=(f"other=file://{tmp_path}/other",))
    server.namespace("here")
    server.ok("POST", "/v1/other/namespaces", {"namespace": ["there"]})
    own = server.ok("POST", "/management/v1/warehouses/other/events", {})
    assert [event["operation"]["namespace"] for event in own["events"]] == [["there"]]
    token = own["continuation-token"]
    assert server.fails("POST", FEED, {"continuation-token": token})[:2] == (
        400,
        "BadRequestException",
    )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"page-size": 0}, "page-size 0 is not above 0"),
        ({"page-size": "many"}, "page-size: must be an integer, got 'many'"),
        ({"after-timestamp-ms": 2**63}, "does not fit in 64 bits"),
        ({"object-types": ["chair"]}, "'chair'"),
        ({"custom-filters": {"a": 1}}, "custom-filters has some, and none is known"),
        ({"continuation-token": "x"}, "'x': it was not issued by this server"),
        ({"continuation-token": "ünicode"}, "it was not issued by this server"),
        ({"continuation-token": 7}, "must be a string"),
        ({"catalog-objects-by-name": ["ns"]}, "must be an array, got 'ns'"),
        ({"catalog-objects-by-name": [[]]}, "it has no levels"),
        ({"catalog-objects-by-id": ["no"]}, "'no'"),
        ({"catalog-objects-by-name": [["ns"]] * 101}, "it has 101 names, at most 100"),
        ({"operation-types": ["x"] * 101}, "it has 101 operation types, at most 100"),
    ],
)
def test_a_malformed_request_is_refused(server: Server, body: Any, words: str) -> None:
    status, kind, message = server.fails("POST", FEED, body)
    assert (status, kind) == (400, "BadRequestException")
    assert words in message


def test_a_token_of_other_filters_or_of_another_log(busy: Server) -> None:
    token = query(busy)["continuation-token"]
    other = {"continuation-token": token, "object-types": ["view"]}
    assert "with other filters" in busy.fails("POST", FEED, other)[2]
    sql(busy.folder, "UPDATE event_log SET log_id = ?", "0" * 8 + "-0000-0000-0000-" + "0" * 12)
    status, kind, message = busy.fails("POST", FEED, {"continuation-token": token})
    assert (status, kind) == (400, "BadRequestException")
    assert "it is of another log" in message


def test_a_token_older_than_what_is_kept_is_410(busy: Server) -> None:
    first = query(busy, page_size=1)["continuation-token"]
    last = query(busy)["continuation-token"]
    known = rows(busy.folder, "catalog")
    store = busy.catalog.store
    with store.write() as tx:
        ids = [row.id for row in known[:5]]
        event_rows.note_removed(tx, ids[-1])
        event_rows.delete(tx, ids)
    status, kind, message = busy.fails("POST", FEED, {"continuation-token": first})
    assert (status, kind) == (410, "ExpiredContinuationTokenException")
    assert "events after it were removed" in message
    assert query(busy, continuation_token=last)["events"] == []
    assert types(query(busy)["events"]) == TYPES[5:]


def test_a_page_looks_at_a_bounded_number_of_rows(
    busy: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    if busy.own_app is None:
        pytest.skip("changes the server, which is in processes of its own here")
    monkeypatch.setattr(event_log, "_SCANNED", 2)
    assert types(everything(busy, 1000)) == TYPES
    assert types(everything(busy, 1000, object_types=["view"])) == ["create-view", "drop-view"]


BY = Origin(None, "ann", "token", warehouse="w")


@pytest.fixture(params=stores.KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with closing(open_database(stores.url(request.param, tmp_path))) as store:
        yield store


def _add(store: Database, name: str) -> None:
    with store.write() as tx:
        events.record(tx, BY, Event("createTable", "table", None, detail={"name": name}))


def _read(store: Database, after: int) -> tuple[list[int], int]:
    tx = store.autocommit()
    through = tx.settled_id("events")
    found = event_rows.forward(tx, Filter(), after=after, through=through, size=1000)
    return [row_id for row_id, _ in found], max(after, through)


def test_a_reader_beside_writers_misses_nothing(database: Database) -> None:
    """Ids are drawn before COMMIT: of two transactions the one with the higher may be first."""
    writers = [
        threading.Thread(
            target=lambda number=number: [_add(database, f"{number}-{n}") for n in range(40)]
        )
        for number in range(6)
    ]
    seen: list[int] = []
    after = 0
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        found, after = _read(database, after)
        seen += found
    found, after = _read(database, after)
    seen += found
    stored = [row[0] for row in database.autocommit().all("SELECT id FROM events ORDER BY id")]
    assert len(stored) == 240
    assert seen == stored


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_transaction_that_is_late_holds_the_reader_back(database: Database) -> None:
    """This is what goes wrong without the locks: the second id is visible before the first."""
    _add(database, "before")
    (first,), after = _read(database, 0)
    with database.write() as late:
        events.record(late, BY, Event("createTable", "table", None))
        _add(database, "early")
        visible = [row[0] for row in database.autocommit().all("SELECT id FROM events")]
        assert sorted(visible) == [first, first + 2]
        found, settled = _read(database, after)
        assert found == []
        assert settled == first
    found, _ = _read(database, settled)
    assert found == [first + 1, first + 2]


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_transaction_that_fails_holds_nothing_back(database: Database) -> None:
    _add(database, "before")
    with contextlib.suppress(RuntimeError), database.write() as tx:
        events.record(tx, BY, Event("createTable", "table", None))
        raise RuntimeError("undone")
    _add(database, "after")
    found, _ = _read(database, 0)
    assert len(found) == 2
