"""What SQLite's single writer guarantees, with two requests at the same time on PostgreSQL.

Each case stops one request inside its transaction, after its checks, starts the other one, waits
until that one waits for a lock of the first or is done, and lets the first one go on.
"""

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from falcon_catalog.identifiers import Namespace, TableIdentifier
from falcon_catalog.store import dropped, open_database, orphans, principals, warehouses
from falcon_catalog.store.database import Database
from falcon_catalog.store.postgres.connection import PostgresDatabase
from falcon_catalog.store.postgres.transaction import Connection
from falcon_catalog.store.principals import SigningKey
from falcon_catalog.store.tabulars import TabularRow
from tests.catalog.serving import SCHEMA, Server, serving
from tests.catalog.test_functions import ADD_ONE
from tests.postgres import cluster
from tests.processes import DEADLINE, wait_for

Request = Callable[[], int]
T = "/v1/namespaces/ns/tables/t"
MANAGED = "/management/v1/warehouses/default"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    url = cluster.store_url(f"c{uuid.uuid4().hex}")
    retention = {"warehouse__drop_retention": 60}
    with serving(tmp_path, processes=1, **{"store__url": url, **retention}) as running:
        running.namespace("ns")
        yield running


class Gate:
    """Stops the first COMMIT that comes after it was armed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._armed = threading.Event()
        self.reached, self.opened = threading.Event(), threading.Event()
        commit = PostgresDatabase._commit

        def stopped(database: PostgresDatabase, connection: Connection) -> None:
            if self._armed.is_set():
                self._armed.clear()
                self.reached.set()
                assert self.opened.wait(DEADLINE)
            commit(database, connection)

        monkeypatch.setattr(PostgresDatabase, "_commit", stopped)

    def arm(self) -> None:
        self._armed.set()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


def waiting() -> bool:
    """Return whether a session waits for a lock of another one."""
    found = cluster.shared().sql("SELECT count(*) FROM pg_locks WHERE NOT granted")
    return bool(found[0][0])


def at_once(gate: Gate, first: Request, second: Request) -> tuple[int, int]:
    """Send the second request while the first one is about to COMMIT; return both statuses."""
    with ThreadPoolExecutor(2) as pool:
        gate.arm()
        one = pool.submit(first)
        assert gate.reached.wait(DEADLINE)
        other: Future[int] = pool.submit(second)
        with contextlib.ExitStack() as always:
            always.callback(gate.opened.set)
            wait_for(lambda: other.done() or waiting(), "the second request")
        return one.result(DEADLINE), other.result(DEADLINE)


def sending(server: Server, verb: str, path: str, body: object = None) -> Request:
    return lambda: server.call(verb, path, body).status_code


def creating(server: Server, name: str, namespace: str = "ns", **fields: object) -> Request:
    path = f"/v1/namespaces/{namespace}/tables"
    return sending(server, "POST", path, {"name": name, "schema": SCHEMA, **fields})


def renaming(server: Server, old: str, new: str) -> Request:
    places = {"source": old, "destination": new}
    body = {key: {"namespace": ["ns"], "name": name} for key, name in places.items()}
    return sending(server, "POST", "/v1/tables/rename", body)


def committing(server: Server, *names: str, value: str = "x") -> Request:
    updates = [{"action": "set-properties", "updates": {value: value}}]
    changes = [
        {"identifier": {"namespace": ["ns"], "name": name}, "requirements": [], "updates": updates}
        for name in names
    ]
    return sending(server, "POST", "/v1/transactions/commit", {"table-changes": changes})


def dropping(server: Server) -> Request:
    return sending(server, "DELETE", T)


class TestNames:
    def test_one_of_two_creators_of_a_name_wins(self, server: Server, gate: Gate) -> None:
        assert at_once(gate, creating(server, "t"), creating(server, "t")) == (200, 409)
        assert len(list((server.warehouse / "ns").rglob("*.metadata.json"))) == 1

    def test_a_rename_does_not_take_the_name_of_a_new_table(
        self, server: Server, gate: Gate
    ) -> None:
        server.table("old")
        assert at_once(gate, creating(server, "t"), renaming(server, "old", "t")) == (200, 409)

    def test_a_create_does_not_take_the_name_of_a_renamed_table(
        self, server: Server, gate: Gate
    ) -> None:
        server.table("old")
        assert at_once(gate, renaming(server, "old", "t"), creating(server, "t")) == (204, 409)

    def test_two_renames_do_not_take_one_name(self, server: Server, gate: Gate) -> None:
        for name in ("a", "b"):
            server.table(name)
        assert at_once(gate, renaming(server, "a", "t"), renaming(server, "b", "t")) == (204, 409)

    def test_a_table_has_one_new_name(self, server: Server, gate: Gate) -> None:
        server.table("t")
        assert at_once(gate, renaming(server, "t", "a"), renaming(server, "t", "b")) == (204, 404)

    def test_a_function_keeps_its_uuid(self, server: Server, gate: Gate) -> None:
        path = f"{MANAGED}/namespaces/ns/functions/f"
        both = [
            sending(server, "PUT", path, {**ADD_ONE, "function-uuid": str(uuid.uuid4())})
            for _ in range(2)
        ]
        assert at_once(gate, *both) == (200, 409)


class TestNamespaces:
    def test_a_namespace_is_not_dropped_under_a_new_table(self, server: Server, gate: Gate) -> None:
        drop = sending(server, "DELETE", "/v1/namespaces/ns")
        assert at_once(gate, creating(server, "t"), drop) == (200, 409)

    def test_no_table_is_created_in_a_dropped_namespace(self, server: Server, gate: Gate) -> None:
        drop = sending(server, "DELETE", "/v1/namespaces/ns")
        assert at_once(gate, drop, creating(server, "t")) == (204, 404)

    def test_a_namespace_is_not_dropped_under_a_new_one(self, server: Server, gate: Gate) -> None:
        drop = sending(server, "DELETE", "/v1/namespaces/ns")
        inner = sending(server, "POST", "/v1/namespaces", {"namespace": ["ns", "inner"]})
        assert at_once(gate, inner, drop) == (200, 409)

    def test_one_of_two_creators_of_a_namespace_wins(self, server: Server, gate: Gate) -> None:
        create = sending(server, "POST", "/v1/namespaces", {"namespace": ["new"]})
        assert at_once(gate, create, create) == (200, 409)

    def test_no_property_is_lost(self, server: Server, gate: Gate) -> None:
        path = "/v1/namespaces/ns/properties"
        both = [sending(server, "POST", path, {"updates": {name: "x"}}) for name in ("a", "b")]
        assert at_once(gate, *both) == (200, 200)
        assert server.ok("GET", "/v1/namespaces/ns")["properties"] == {"a": "x", "b": "x"}

    def test_a_table_is_not_renamed_into_a_dropped_namespace(
        self, server: Server, gate: Gate
    ) -> None:
        server.namespace("other")
        server.table("t")
        drop = sending(server, "DELETE", "/v1/namespaces/other")
        body = {
            "source": {"namespace": ["ns"], "name": "t"},
            "destination": {"namespace": ["other"], "name": "t"},
        }
        assert at_once(gate, drop, sending(server, "POST", "/v1/tables/rename", body)) == (204, 404)


class TestLocations:
    @pytest.mark.parametrize(
        ("one", "other"), [("a", "a"), ("a", "a/b"), ("a/b/c", "a")], ids=["at", "inside", "around"]
    )
    def test_two_new_tables_do_not_overlap(
        self, server: Server, gate: Gate, one: str, other: str
    ) -> None:
        root = f"file://{server.warehouse}"
        first = creating(server, "t", location=f"{root}/{one}")
        second = creating(server, "u", location=f"{root}/{other}")
        assert at_once(gate, first, second) == (200, 403)

    def test_tables_beside_one_another_do_not_wait(self, server: Server, gate: Gate) -> None:
        root = f"file://{server.warehouse}"
        with ThreadPoolExecutor(1) as pool:
            gate.arm()
            first = pool.submit(creating(server, "t", location=f"{root}/a/b"))
            assert gate.reached.wait(DEADLINE)
            assert creating(server, "u", location=f"{root}/a/c")() == 200
            assert not first.done()
            gate.opened.set()
            assert first.result(DEADLINE) == 200

    def test_a_table_does_not_move_over_a_new_one(self, server: Server, gate: Gate) -> None:
        server.table("old")
        root = f"file://{server.warehouse}"
        updates = [{"action": "set-location", "location": f"{root}/a"}]
        move = sending(server, "POST", "/v1/namespaces/ns/tables/old", {"updates": updates})
        assert at_once(gate, creating(server, "t", location=f"{root}/a/b"), move) == (200, 403)


class TestCommits:
    def test_both_of_two_commits_to_a_table_are_stored(self, server: Server, gate: Gate) -> None:
        server.table("t")
        with serving_beside(server) as other:
            one, two = committing(server, "t", value="a"), committing(other, "t", value="b")
            assert at_once(gate, one, two) == (204, 204)
        assert {"a", "b"} <= set(server.ok("GET", T)["metadata"]["properties"])

    def test_commits_to_many_tables_do_not_block_one_another_for_good(
        self, server: Server, gate: Gate
    ) -> None:
        for name in ("t", "u", "v"):
            server.table(name)
        with serving_beside(server) as other:
            one = committing(server, "t", "u", "v", value="a")
            assert at_once(gate, one, committing(other, "v", "u", "t", value="b")) == (204, 204)

    def test_a_commit_does_not_bring_a_dropped_table_back(self, server: Server, gate: Gate) -> None:
        server.table("t")
        with serving_beside(server) as other:
            assert at_once(gate, dropping(server), committing(other, "t")) == (204, 404)

    def test_a_drop_keeps_the_newest_pointer(self, server: Server, gate: Gate) -> None:
        server.table("t")
        with serving_beside(server) as other:
            assert at_once(gate, committing(server, "t"), dropping(other)) == (204, 204)
        drop = server.ok("GET", f"{MANAGED}/dropped")["dropped"][0]
        assert "/00001-" in drop["metadata-location"]

    def test_a_table_is_dropped_once(self, server: Server, gate: Gate) -> None:
        server.table("t")
        assert at_once(gate, dropping(server), dropping(server)) == (204, 404)
        assert len(server.ok("GET", f"{MANAGED}/dropped")["dropped"]) == 1

    def test_a_drop_and_a_rename(self, server: Server, gate: Gate) -> None:
        server.table("t")
        assert at_once(gate, dropping(server), renaming(server, "t", "u")) == (204, 404)


class TestDrops:
    def test_a_table_is_undropped_once(self, server: Server, gate: Gate) -> None:
        server.table("t")
        dropping(server)()
        drop = server.ok("GET", f"{MANAGED}/dropped")["dropped"][0]["id"]
        path = f"{MANAGED}/dropped/{drop}/undrop"
        undrop = sending(server, "POST", path)
        other = sending(server, "POST", path, {"identifier": {"namespace": ["ns"], "name": "u"}})
        assert at_once(gate, undrop, other) == (200, 404)

    def test_what_is_being_undropped_is_not_purged(self, server: Server, gate: Gate) -> None:
        made = server.table("t")
        server.call("DELETE", f"{T}?purgeRequested=true")
        drop = server.ok("GET", f"{MANAGED}/dropped")["dropped"][0]["id"]
        undrop = sending(server, "POST", f"{MANAGED}/dropped/{drop}/undrop")
        purge = sending(server, "DELETE", f"{MANAGED}/dropped/{drop}")
        assert at_once(gate, undrop, purge) == (200, 404)
        assert server.ok("GET", T) == made

    def test_what_is_being_registered_is_not_purged(self, server: Server, gate: Gate) -> None:
        location = server.table("t")["metadata-location"]
        server.call("DELETE", f"{T}?purgeRequested=true")
        drop = server.ok("GET", f"{MANAGED}/dropped")["dropped"][0]["id"]
        body = {"name": "t", "metadata-location": location}
        register = sending(server, "POST", "/v1/namespaces/ns/register", body)
        purge = sending(server, "DELETE", f"{MANAGED}/dropped/{drop}")
        assert at_once(gate, register, purge) == (200, 404)
        server.ok("GET", T)

    def test_what_is_being_purged_is_not_registered(self, server: Server, gate: Gate) -> None:
        location = server.table("t")["metadata-location"]
        server.call("DELETE", f"{T}?purgeRequested=true")
        drop = server.ok("GET", f"{MANAGED}/dropped")["dropped"][0]["id"]
        body = {"name": "t", "metadata-location": location}
        register = sending(server, "POST", "/v1/namespaces/ns/register", body)
        purge = sending(server, "DELETE", f"{MANAGED}/dropped/{drop}")
        first, second = at_once(gate, purge, register)
        assert first == 200
        assert second == 409
        assert server.call("HEAD", T).status_code == 404


class TestRetries:
    def test_twins_have_one_effect_and_one_answer(self, server: Server, gate: Gate) -> None:
        key = {"Idempotency-Key": str(uuid.uuid4())}
        body = {"namespace": ["new"]}
        answers = []

        def create() -> int:
            answer = server.call("POST", "/v1/namespaces", body, headers=key)
            answers.append(answer.text)
            return answer.status_code

        assert at_once(gate, create, create) == (200, 200)
        assert answers[0] == answers[1]


@contextlib.contextmanager
def serving_beside(server: Server) -> Iterator[Server]:
    """Serve the same catalog a second time, with locks and caches of its own."""
    url = server.app.warehouses[0].store._settings.url  # type: ignore[attr-defined]
    with serving(server.folder, processes=1, store__url=url) as other:
        yield other


class TestWorkers:
    @pytest.fixture
    def store(self) -> Iterator[Database]:
        url = cluster.store_url(f"w{uuid.uuid4().hex}")
        with contextlib.closing(open_database(url)) as store:
            yield store

    def test_each_takes_another_drop_without_waiting(self, store: Database) -> None:
        identifier = TableIdentifier(Namespace(("ns",)), "t")
        with store.write() as tx:
            warehouse = warehouses.ensure(tx, "w")
            for number in range(2):
                place = f"file:///w/{number}/"
                row = TabularRow(number, "table", f"u{number}", f"{place}1.json", place, 0)
                dropped.insert(tx, warehouse, identifier, row, purge=True, retention_ms=0)
        with store.write() as one, store.write() as two, store.write() as three:
            taken = [dropped.take_due(tx, warehouse, lease_ms=60_000) for tx in (one, two, three)]
        assert taken[2] is None
        assert {row.uuid for row in taken if row is not None} == {"u0", "u1"}

    def test_two_that_need_a_signing_key_get_one(self, store: Database) -> None:
        def ensure(kid: str) -> None:
            with store.write() as tx:
                principals.ensure_signing_key(tx, SigningKey(kid, b""))

        with ThreadPoolExecutor(1) as pool:
            with store.write() as tx:
                principals.ensure_signing_key(tx, SigningKey("one", b""))
                other = pool.submit(ensure, "two")
                wait_for(waiting, "the other one")
            other.result(DEADLINE)
        assert principals.signing_key(store.autocommit()) == SigningKey("one", b"")

    def test_two_rotations_follow_one_another(self, store: Database) -> None:
        def rotate() -> None:
            with store.write() as tx:
                principals.replace_signing_key(tx, SigningKey("two", b""), overlap_ms=60_000)

        with ThreadPoolExecutor(1) as pool:
            with store.write() as tx:
                principals.replace_signing_key(tx, SigningKey("one", b""), overlap_ms=60_000)
                other = pool.submit(rotate)
                wait_for(waiting, "the other one")
            other.result(DEADLINE)
        assert principals.signing_key(store.autocommit()) == SigningKey("two", b"")
        assert principals.verifying_key(store.autocommit(), "one") is not None

    def test_a_file_that_is_being_deleted_is_not_forgotten(self, store: Database) -> None:
        def forget() -> bool:
            with store.write() as tx:
                return orphans.forget(tx, "file:///x")

        with store.write() as tx:
            warehouse = warehouses.ensure(tx, "w")
            orphans.insert(tx, warehouse, "file:///x", grace_ms=0)
        (orphan,) = orphans.due(store.autocommit(), warehouse, 1)
        with ThreadPoolExecutor(1) as pool:
            with store.write() as tx:
                assert orphans.claim(tx, orphan.id)
                other = pool.submit(forget)
                wait_for(waiting, "the other one")
            assert other.result(DEADLINE) is False
