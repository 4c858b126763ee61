"""COMMITs whose answer is lost, and transactions that the database rolls back: each is settled."""

import contextlib
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from falcon_catalog.catalog import accounts
from falcon_catalog.catalog.call import StoreCall
from falcon_catalog.errors import CatalogError
from falcon_catalog.store import open_database
from falcon_catalog.store.database import RolledBackError, again
from falcon_catalog.store.postgres import connection, outcomes
from tests.catalog.serving import SCHEMA, Server, serving
from tests.catalog.test_functions import ADD_ONE
from tests.catalog.test_metrics import SCAN
from tests.postgres import cluster
from tests.postgres.cluster import Cluster
from tests.postgres.proxy import Cut, Proxy
from tests.processes import DEADLINE, wait_for

T = "/v1/namespaces/ns/tables/t"
FUNCTION = "/management/v1/warehouses/default/namespaces/ns/functions"
DROPPED = "/management/v1/warehouses/default/dropped"
SET = {"updates": [{"action": "set-properties", "updates": {"a": "b"}}]}


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with contextlib.closing(Proxy(cluster.shared().port)) as proxy:
        yield proxy


@pytest.fixture
def behind(proxy: Proxy, tmp_path: Path) -> Iterator[Server]:
    """A catalog whose database is behind the proxy."""
    url = cluster.store_url(f"f{uuid.uuid4().hex}")
    url = url.replace(f":{cluster.shared().port}/", f":{proxy.port}/")
    more = {"warehouse__drop_retention": 60, "store__lock_timeout": 2}
    with serving(tmp_path, processes=1, store__url=url, **more) as server:
        for name in ("ns", "empty"):
            server.namespace(name)
        for name in ("t", "gone"):
            server.table(name)
        server.ok("PUT", f"{FUNCTION}/f", ADD_ONE)
        server.ok("DELETE", "/v1/namespaces/ns/tables/gone")
        yield server


def files(server: Server) -> list[Path]:
    return sorted((server.warehouse / "ns").rglob("*.metadata.json"))


def _undrop(server: Server) -> None:
    drop = server.ok("GET", DROPPED)["dropped"][0]["id"]
    server.ok("POST", f"{DROPPED}/{drop}/undrop")


def _rename(server: Server) -> None:
    names = {"source": "t", "destination": "u"}
    body = {key: {"namespace": ["ns"], "name": name} for key, name in names.items()}
    server.ok("POST", "/v1/tables/rename", body)


def _create(server: Server) -> None:
    server.ok("POST", "/v1/namespaces/ns/tables", {"name": "new", "schema": SCHEMA})


def _principal(server: Server) -> None:
    accounts.add(StoreCall(server.catalog.store), "etl")


VERBS: dict[str, tuple[Callable[[Server], object], str]] = {
    "create a namespace": (
        lambda server: server.namespace("new"),
        "SELECT count(*) FROM namespaces WHERE path = 'new'",
    ),
    "set a namespace's properties": (
        lambda server: server.ok("POST", "/v1/namespaces/ns/properties", {"updates": {"a": "b"}}),
        "SELECT count(*) FROM namespaces WHERE properties LIKE '%%\"b\"%%'",
    ),
    "drop a namespace": (
        lambda server: server.ok("DELETE", "/v1/namespaces/empty"),
        "SELECT 1 - count(*) FROM namespaces WHERE path = 'empty'",
    ),
    "create a table": (_create, "SELECT count(*) FROM tabulars WHERE name = 'new'"),
    "commit": (
        lambda server: server.ok("POST", T, SET),
        "SELECT count(*) FROM tabulars WHERE metadata_location LIKE '%%/00001-%%'",
    ),
    "rename": (_rename, "SELECT count(*) FROM tabulars WHERE name = 'u'"),
    "drop a table": (
        lambda server: server.ok("DELETE", T),
        "SELECT count(*) FROM dropped_tabulars WHERE name = 't'",
    ),
    "undrop": (_undrop, "SELECT count(*) FROM tabulars WHERE name = 'gone'"),
    "put a function": (
        lambda server: server.ok("PUT", f"{FUNCTION}/g", ADD_ONE),
        "SELECT count(*) FROM functions WHERE name = 'g'",
    ),
    "drop a function": (
        lambda server: server.ok("DELETE", f"{FUNCTION}/f"),
        "SELECT 1 - count(*) FROM functions WHERE name = 'f'",
    ),
    "report metrics": (
        lambda server: server.ok("POST", f"{T}/metrics", SCAN),
        "SELECT count(*) FROM metrics_reports",
    ),
    "add a principal": (_principal, "SELECT count(*) FROM principals WHERE name = 'etl'"),
}


class TestALostCommit:
    @pytest.mark.parametrize("cut", ["before", "after"])
    @pytest.mark.parametrize("verb", VERBS)
    def test_is_settled_for_every_verb(
        self, behind: Server, proxy: Proxy, verb: str, cut: Cut
    ) -> None:
        """It succeeds, once: as it was done, or as it is done again."""
        do, count = VERBS[verb]
        before = len(files(behind))
        proxy.cut = cut
        do(behind)
        assert proxy.cut is None
        assert behind.catalog.store.autocommit().one(count) == (1,)
        made = verb in ("create a table", "commit")
        assert len(files(behind)) == before + made  # nothing is left behind

    def test_that_comes_late_has_no_effect(self, behind: Server, proxy: Proxy) -> None:
        loaded = behind.ok("GET", T)
        proxy.cut = "late"
        # Until it comes, its session has the row locked.
        status, _, message = behind.fails("POST", T, SET)
        assert status == 503
        assert message.endswith("Nothing was changed")
        proxy.released.set()
        wait_for(lambda: proxy.late_answer is not None, "the answer to the late COMMIT")
        assert b"duplicate key value violates unique constraint" in (proxy.late_answer or b"")
        assert behind.ok("GET", T) == loaded
        assert len(files(behind)) == 2
        behind.ok("POST", T, SET)

    def test_that_cannot_be_settled_is_unknown_and_keeps_its_file(
        self, behind: Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "_SETTLE_SECONDS", 0.5)
        before = behind.ok("GET", T)
        proxy.cut, proxy.is_closed = "before", True
        status, kind, _ = behind.fails("POST", T, SET)
        assert (status, kind) == (500, "CommitStateUnknownException")
        assert len(files(behind)) == 3
        proxy.is_closed = False
        wait_for(lambda: behind.call("GET", T).status_code == 200, "the database")
        assert behind.ok("GET", T) == before
        behind.ok("POST", T, SET)  # the server goes on

    def test_that_is_settled_too_late_is_unknown(
        self, behind: Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(outcomes, "SETTLED_SECONDS", -1.0)
        proxy.cut = "after"
        answer = behind.call("POST", "/v1/namespaces", {"namespace": ["new"]})
        assert answer.json()["error"]["type"] == "CommitStateUnknownException"

    @pytest.mark.parametrize("cut", ["before", "after"])
    def test_a_retry_with_its_key_has_one_effect(
        self, behind: Server, proxy: Proxy, cut: Cut
    ) -> None:
        key = {"Idempotency-Key": str(uuid.uuid4())}
        proxy.cut = cut
        body = {"namespace": ["new"]}
        for _ in range(2):
            assert behind.call("POST", "/v1/namespaces", body, headers=key).status_code == 200
        assert behind.fails("POST", "/v1/namespaces", body)[0] == 409


def test_a_lost_commit_is_settled_after_a_failover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The primary crashes after COMMIT and before its answer; the standby, which has it, serves."""
    monkeypatch.setattr(connection, "_SETTLE_SECONDS", DEADLINE)
    primary, standby = Cluster(durable=True), Cluster(durable=True)
    with contextlib.ExitStack() as stack:
        for each in (primary, standby):
            stack.callback(each.remove)
        primary.create()
        primary.start()
        standby.copy_from(primary)
        standby.start()
        primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.sql("SELECT pg_reload_conf()")
        in_step = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
        wait_for(lambda: primary.sql(in_step) == [(1,)], "the standby")
        proxy = stack.enter_context(contextlib.closing(Proxy(primary.port)))
        hosts = f"127.0.0.1:{proxy.port},127.0.0.1:{standby.port}"
        url = f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write"
        server = stack.enter_context(serving(tmp_path, processes=1, store__url=url))
        server.namespace("ns")
        server.table("t")
        pool = stack.enter_context(ThreadPoolExecutor(1))
        proxy.cut, proxy.is_closed = "after", True
        proxy.was_cut.clear()
        change = pool.submit(server.ok, "POST", T, SET)
        assert proxy.was_cut.wait(DEADLINE)
        primary.crash()
        standby.promote()
        made = change.result(DEADLINE)
        assert server.ok("GET", T)["metadata-location"] == made["metadata-location"]
        assert "/00001-" in made["metadata-location"]
        assert len(files(server)) == 2
        assert standby.sql("SELECT is_stored FROM outcomes ORDER BY at DESC LIMIT 1") == [(True,)]


def test_old_marks_are_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    url = cluster.store_url(f"m{uuid.uuid4().hex}")
    with contextlib.closing(open_database(url)) as store, psycopg.connect(url) as session:
        accounts.add(StoreCall(store), "one")
        session.execute("UPDATE outcomes SET at = at - interval '1 hour'")
        session.commit()
        monkeypatch.setattr(store, "_prune_at", 0.0)
        accounts.add(StoreCall(store), "two")
        row = session.execute("SELECT count(*), bool_and(is_stored) FROM outcomes").fetchone()
        assert row == (1, True)


def test_what_changes_nothing_leaves_no_mark() -> None:
    url = cluster.store_url(f"m{uuid.uuid4().hex}")
    with contextlib.closing(open_database(url)) as store:
        with store.write() as tx:
            tx.all("SELECT * FROM principals")
        assert store.autocommit().one("SELECT count(*) FROM outcomes") == (0,)


class TestADeadlock:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[Server]:
        """A catalog whose transactions look for deadlocks after five seconds of waiting."""
        url = cluster.store_url(f"d{uuid.uuid4().hex}") + "%20-cdeadlock_timeout%3D5s"
        with serving(tmp_path, processes=1, store__url=url) as server:
            for name in ("ns", "other"):
                server.namespace(name)
            for name in ("t", "u"):
                server.table(name)
            yield server

    @pytest.mark.parametrize("verb", ["commit", "rename"])
    def test_is_run_again(self, server: Server, verb: str) -> None:
        """Another session locks in the other order; the catalog's transaction is the victim."""
        url = server.app.warehouses[0].store._settings.url  # type: ignore[attr-defined]
        lock = "SELECT 1 FROM {} FOR UPDATE"
        if verb == "commit":
            names = [{"namespace": ["ns"], "name": name} for name in ("t", "u")]
            changes = [{"identifier": each, "requirements": [], **SET} for each in names]
            path, body = "/v1/transactions/commit", {"table-changes": changes}
            taken_first, then = "tabulars WHERE name = 'u'", "tabulars WHERE name = 't'"
        else:
            path = "/v1/tables/rename"
            body = {
                "source": {"namespace": ["ns"], "name": "t"},
                "destination": {"namespace": ["other"], "name": "t"},
            }
            taken_first, then = "namespaces WHERE path = 'other'", "tabulars WHERE name = 't'"
        before = deadlocks()
        with ThreadPoolExecutor(1) as pool, psycopg.connect(url) as session:
            session.execute("SET deadlock_timeout = '1h'")
            session.execute(lock.format(taken_first).encode())
            change = pool.submit(server.call, "POST", path, body)
            pid = session.info.backend_pid
            blocked = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))"
            wait_for(lambda: cluster.shared().sql(blocked, pid) == [(1,)], "the server to wait")
            session.execute(lock.format(then).encode())  # once the victim has let go of it
            session.rollback()
            assert change.result(DEADLINE).status_code == 204
        wait_for(lambda: deadlocks() > before, "the database to count the deadlock")


def deadlocks() -> int:
    statement = "SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'"
    ((count,),) = cluster.shared().sql(statement)
    return int(count)


def test_it_is_not_tried_for_ever() -> None:
    tried = []

    @again
    def change() -> None:
        tried.append(1)
        raise RolledBackError("deadlock detected. Nothing was changed")

    with pytest.raises(CatalogError, match="Nothing was changed"):
        change()
    assert len(tried) == 5
